//! Heat maps: where the image attends to a word (DAAM, Tang et al., arXiv 2210.04885).
//!
//! Contract: pure functions on slices. Maps are \[positions, tokens\], row-major, positions line by line: means over
//! layers and heads already. DAAM sums over the steps and takes the mean over a word's tokens; its upscaling to the
//! image's size comes last here, which changes nothing, as all of it is linear.
//!
//! A heat map is divided by its maximum, not stretched from its minimum to its maximum as DAAM's program shows it: 0
//! stays "not attended to", a word that is attended to everywhere alike looks like that instead of like noise at full
//! contrast, and a value is what `local_blend.threshold` is compared with. With the maximum beside it, words can be
//! compared with each other.

use crate::p2p::error::{EditError, PromptSide};
use crate::p2p::field::Field;
use crate::p2p::prompt::{Prompt, WordRef};

/// A word of a prompt, as it was asked for or as it is written in the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedWord {
    /// The word or phrase as it was asked for; the prompt's, where an index was.
    pub word: String,
    /// Its index among the words, where one word is meant.
    pub index: Option<usize>,
    /// Positions of its tokens, ascending.
    pub tokens: Vec<usize>,
}

/// A word's attention by position.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// `[positions]`, 0 to 1; 1 is the maximum. All 0 where nothing is attended to.
    pub values: Vec<f32>,
    /// The attention of a value of 1, summed over the steps that went in.
    pub max: f32,
}

/// The word that a text names in the source's prompt: a word, a phrase, or a 0-based index. As in the windows of an
/// edit, a text that is a word is never taken for an index.
///
/// # Errors
/// [`EditError::WordNotFound`] at [`Field::HeatMapWord`].
pub fn named_word(prompt: &Prompt, text: &str) -> Result<NamedWord, EditError> {
    let asked = WordRef::Text(text.to_owned());
    if let Some(tokens) = prompt.find(&asked) {
        return Ok(NamedWord { word: text.trim().to_owned(), index: None, tokens });
    }
    let by_index = text.trim().parse().ok().and_then(|index| by_index(prompt, index));
    by_index
        .filter(|word| !word.tokens.is_empty())
        .ok_or_else(|| EditError::word_not_found(&asked, PromptSide::Source, &[prompt], Field::HeatMapWord))
}

/// The same in several prompts, for each of them; a prompt may lack the word, not all of them.
///
/// # Errors
/// [`EditError::WordNotFound`] at [`Field::HeatMapWord`].
pub fn named_word_of(prompts: &[Prompt], text: &str) -> Result<Vec<Option<NamedWord>>, EditError> {
    let found: Vec<_> = prompts.iter().map(|prompt| named_word(prompt, text).ok()).collect();
    if found.iter().all(Option::is_none) {
        let (asked, prompts) = (WordRef::Text(text.to_owned()), prompts.iter().collect::<Vec<_>>());
        return Err(EditError::word_not_found(&asked, PromptSide::Either, &prompts, Field::HeatMapWord));
    }
    Ok(found)
}

/// All words of a prompt in their order; one that the tokenizer dropped has no tokens.
#[must_use]
pub fn all_words(prompt: &Prompt) -> Vec<NamedWord> {
    (0..prompt.words().len()).filter_map(|index| by_index(prompt, index)).collect()
}

fn by_index(prompt: &Prompt, index: usize) -> Option<NamedWord> {
    let word = prompt.words().get(index)?.text.clone();
    let tokens = prompt.find(&WordRef::Index(index)).unwrap_or_default();
    Some(NamedWord { word, index: Some(index), tokens })
}

/// The sum of the maps of several steps, all of one size; empty without steps.
#[must_use]
pub fn sum_steps<'a>(steps: impl IntoIterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut sum = Vec::new();
    steps.into_iter().for_each(|maps| add_step(&mut sum, maps));
    sum
}

/// Adds the maps of one more step to a sum, which is empty before the first.
pub fn add_step(sum: &mut Vec<f32>, maps: &[f32]) {
    if sum.is_empty() {
        sum.extend_from_slice(maps);
    } else {
        sum.iter_mut().zip(maps).for_each(|(sum, value)| *sum += value);
    }
}

/// The heat map of a word's tokens from maps of `prompt_tokens` tokens a position.
#[must_use]
pub fn heat_map(maps: &[f32], prompt_tokens: usize, word_tokens: &[usize]) -> HeatMap {
    #[expect(clippy::cast_precision_loss)]
    let count = word_tokens.len().max(1) as f32;
    let mean = |position: &[f32]| word_tokens.iter().filter_map(|&token| position.get(token)).sum::<f32>() / count;
    let mut values: Vec<f32> = maps.chunks_exact(prompt_tokens.max(1)).map(mean).collect();
    let max = values.iter().copied().fold(0.0, f32::max);
    if max > 0.0 {
        values.iter_mut().for_each(|value| *value = (*value / max).max(0.0));
    }
    HeatMap { values, max }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::prompt;

    #[test]
    fn steps_add_up_tokens_average_and_the_maximum_is_1() {
        // Two positions, three tokens, two steps.
        let steps: [&[f32]; 2] = [&[0.5, 0.1, 0.4, 0.2, 0.3, 0.5], &[0.5, 0.3, 0.2, 0.6, 0.1, 0.3]];
        let sum = sum_steps(steps);
        let word = heat_map(&sum, 3, &[1, 2]);
        // Position 0: (0.4 + 0.6) / 2, position 1: (0.4 + 0.8) / 2.
        assert!((word.max - 0.6).abs() < 1e-6, "{word:?}");
        assert_eq!(word.values[1], 1.0);
        assert!((word.values[0] - 0.5 / 0.6).abs() < 1e-6, "{word:?}");
    }

    #[test]
    fn a_flat_map_stays_flat_and_nothing_stays_nothing() {
        assert_eq!(heat_map(&[0.25; 8], 2, &[1]), HeatMap { values: vec![1.0; 4], max: 0.25 });
        assert_eq!(heat_map(&[0.0; 8], 2, &[1]), HeatMap { values: vec![0.0; 4], max: 0.0 });
        assert_eq!(heat_map(&[0.25; 8], 2, &[]), HeatMap { values: vec![0.0; 4], max: 0.0 });
        assert_eq!(heat_map(&sum_steps([]), 2, &[1]), HeatMap { values: vec![], max: 0.0 });
    }

    #[test]
    fn negative_attention_which_an_equalizer_makes_is_no_heat() {
        assert_eq!(heat_map(&[-1.0, 0.5, 1.0], 1, &[0]).values, [0.0, 0.5, 1.0]);
        assert_eq!(heat_map(&[-1.0, -0.5], 1, &[0]).max, 0.0);
    }

    #[test]
    fn values_are_what_the_threshold_of_a_local_blend_is_compared_with() {
        let maps = [0.1, 0.4, 0.3, 0.2];
        let heat = heat_map(&maps, 1, &[0]);
        for threshold in [0.0, 0.3, 0.6, 0.8] {
            let mask = crate::p2p::blend::mask::mask(&maps, (2, 2), &[0], false, (2, 2), threshold);
            assert_eq!(mask, heat.values.iter().map(|&value| value > threshold).collect::<Vec<_>>());
        }
    }

    #[test]
    fn words_are_named_by_text_phrase_or_index_in_this_order() {
        let prompt = prompt("a cat, 3 red hats");
        let named = |text| named_word(&prompt, text).map(|named| (named.word, named.index, named.tokens));
        assert_eq!(named("Cat"), Ok(("Cat".to_owned(), None, vec![2])));
        assert_eq!(named("red hats"), Ok(("red hats".to_owned(), None, vec![5, 6])));
        assert_eq!(named("1"), Ok(("cat,".to_owned(), Some(1), vec![2, 3])));
        assert_eq!(named("3"), Ok(("3".to_owned(), None, vec![4])), "a word is not taken for an index");
        let error = named_word(&prompt, "9").unwrap_err();
        assert_eq!(error.field(), Field::HeatMapWord);
        assert!(error.to_string().ends_with("its words are: a, cat, 3, red, hats"), "{error}");
    }

    #[test]
    fn a_word_is_sought_in_each_of_several_prompts() {
        let prompts = [prompt("a cat"), prompt("a red cat"), prompt("a dog")];
        let tokens = |text| {
            let found = named_word_of(&prompts, text);
            found.map(|words| words.into_iter().map(|word| word.map(|word| word.tokens)).collect::<Vec<_>>())
        };
        assert_eq!(tokens("cat"), Ok(vec![Some(vec![2]), Some(vec![3]), None]));
        let error = tokens("rde").unwrap_err().to_string();
        assert_eq!(error, "neither prompt has a word \"rde\"; their words are: a, cat, red, dog");
    }

    #[test]
    fn all_words_come_in_their_order_also_those_without_tokens() {
        let words = all_words(&Prompt::new("a b", vec![0, 5, 1], vec![0..0, 0..1, 0..0], 8));
        let short: Vec<_> = words.iter().map(|w| (w.word.as_str(), w.index, w.tokens.as_slice())).collect();
        assert_eq!(short, [("a", Some(0), &[1][..]), ("b", Some(1), &[])]);
    }
}
