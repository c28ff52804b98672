//! `replace`: word for word, exactly as the published `AttentionReplace` maps tokens.
//!
//! Contract: prompts of as many words; the matrix is that of `get_replacement_mapper_` (`seq_aligner.py`), number for
//! number. Two of its habits look like mistakes and are kept, because a published edit depends on them: after the
//! last differing word a target token maps to its own position, not to the position of its word in the source; and if
//! the target has fewer tokens, the last columns stay zero. [`Alignment::shifted`] says which maps the words take then.

use crate::p2p::align::alignment::{AlignedWords, Alignment, Relation, spread};
use crate::p2p::align::matrix::TokenMatrix;
use crate::p2p::error::EditError;
use crate::p2p::prompt::{Prompt, Word};

/// Aligns prompts of equally many words, each word with the one at its place (`AttentionReplace`, section 3.2 of the
/// paper, "word swap").
///
/// # Errors
/// [`EditError::ReplaceWordCount`] where the numbers of words differ.
pub fn replace(source: &Prompt, target: &Prompt) -> Result<Alignment, EditError> {
    if source.words().len() != target.words().len() {
        return Err(EditError::ReplaceWordCount {
            source_words: source.words().len(),
            target_words: target.words().len(),
        });
    }
    Ok(by_position(source, target))
}

/// As [`replace`], for prompts that are known to have as many words.
pub(crate) fn by_position(source: &Prompt, target: &Prompt) -> Alignment {
    let words = source.words().iter().zip(target.words()).enumerate();
    let aligned = words.map(|(at, (from, to))| {
        let is_kept = is_same_word(source, from, target, to);
        let relation = if is_kept { Relation::Kept } else { Relation::Replaced };
        AlignedWords::new(relation, source, vec![at], target, vec![at])
    });
    let words: Vec<_> = aligned.collect();
    let map = mapper(&words, target.max_tokens());
    let taken = taken(source, target, &map);
    let shifted = (taken != words).then_some(taken);
    Alignment { map, has_source: vec![true; target.max_tokens()], words, shifted }
}

/// The published matrix goes by the text; to the model, "A" and "a" are the same word.
fn is_same_word(source: &Prompt, from: &Word, target: &Prompt, to: &Word) -> bool {
    let ids = |prompt: &Prompt, tokens: &[usize]| tokens.iter().map(|&at| prompt.ids()[at]).collect::<Vec<_>>();
    from.text == to.text || !from.tokens.is_empty() && ids(source, &from.tokens) == ids(target, &to.tokens)
}

/// The words by the maps that they take. A target word is kept where it takes the map of the same word; one that takes
/// the map of no word at all, but that of a marker or of padding, has source tokens without a source word. Source words
/// that no target word takes anything from are removed.
fn taken(source: &Prompt, target: &Prompt, map: &TokenMatrix) -> Vec<AlignedWords> {
    let mut entries = Vec::new();
    // The first source word without an entry yet. The columns ascend, so one pass puts removed words at their place.
    let mut next = 0;
    for (at, word) in target.words().iter().enumerate() {
        let gives = |from: &usize| word.tokens.iter().any(|&token| map.get(*from, token) != 0.0);
        let tokens: Vec<usize> = (0..map.size()).filter(gives).collect();
        let touched = |word: &Word| word.tokens.iter().any(|token| tokens.contains(token));
        let words: Vec<usize> = (0..source.words().len()).filter(|&from| touched(&source.words()[from])).collect();
        // A word that the tokenizer dropped takes no map, and is what stands in its place.
        let words = if word.tokens.is_empty() { vec![at] } else { words };
        let is_kept = match words[..] {
            [from] => {
                tokens == source.words()[from].tokens && is_same_word(source, &source.words()[from], target, word)
            }
            _ => false,
        };
        if let Some(&last) = words.last() {
            let unused = (next..last).filter(|from| !words.contains(from));
            entries.extend(unused.map(|from| AlignedWords::new(Relation::Removed, source, vec![from], target, vec![])));
            next = next.max(last + 1);
        }
        let relation = if is_kept { Relation::Kept } else { Relation::Replaced };
        let entry = AlignedWords::new(relation, source, words, target, vec![at]);
        entries.push(AlignedWords { source_tokens: tokens, ..entry });
    }
    let unused = next..source.words().len();
    entries.extend(unused.map(|from| AlignedWords::new(Relation::Removed, source, vec![from], target, vec![])));
    entries
}

/// `get_replacement_mapper_`: walks source position `i` and target position `j` through the prompts together.
fn mapper(words: &[AlignedWords], size: usize) -> TokenMatrix {
    let mut map = TokenMatrix::zeros(size);
    // A word without any token on either side moves nothing; the published code would fail on it.
    let mut replaced = words
        .iter()
        .filter(|word| word.relation == Relation::Replaced)
        .map(|word| (&word.source_tokens[..], &word.target_tokens[..]))
        .filter(|(source, target)| !source.is_empty() || !target.is_empty())
        .peekable();
    let (mut i, mut j) = (0, 0);
    while i < size && j < size {
        match replaced.peek() {
            Some(&(source, target)) if starts_at(source, target, i, j) => {
                for (s, t, weight) in spread(source, target) {
                    map.set(s, t, weight);
                }
                i += source.len();
                j += target.len();
                replaced.next();
            }
            Some(_) => {
                map.set(i, j, 1.0);
                i += 1;
                j += 1;
            }
            // The published tail: not (i, j).
            None => {
                map.set(j, j, 1.0);
                i += 1;
                j += 1;
            }
        }
    }
    map
}

/// Whether the walk has come to a replaced word: at its first source token, or at its first target token where the
/// tokenizer dropped the source word.
fn starts_at(source: &[usize], target: &[usize], i: usize, j: usize) -> bool {
    match source.first() {
        Some(&first) => first == i,
        None => target.first() == Some(&j),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::{MAX_TOKENS, prompt};

    fn aligned(source: &str, target: &str) -> Alignment {
        replace(&prompt(source), &prompt(target)).expect("equally many words")
    }

    #[test]
    fn one_token_for_one_is_the_identity() {
        let alignment = aligned("a cat on it", "a dog on it");
        assert!(alignment.map.is_identity());
        let relations: Vec<_> = alignment.words.iter().map(|w| w.relation.as_str()).collect();
        assert_eq!(relations, ["kept", "replaced", "kept", "kept"]);
    }

    #[test]
    fn tokens_of_a_longer_word_share_the_source_word() {
        // a | cat | on  ->  a | chin chil la | on
        let map = aligned("a cat on", "a chinchilla on").map;
        for token in [2, 3, 4] {
            assert_eq!(map.get(2, token), 1.0 / 3.0);
        }
        // The published tail: "on" at 5 takes position 5 of the source, not "on" at 3.
        assert_eq!((map.get(3, 5), map.get(5, 5)), (0.0, 1.0));
    }

    #[test]
    fn between_two_replaced_words_tokens_follow_their_words() {
        // a | chin chil la | on | ice  ->  a | cat | on | snow
        let map = aligned("a chinchilla on ice", "a cat on snow").map;
        assert_eq!(map.column(2).sum::<f32>(), 3.0);
        assert_eq!(map.get(5, 3), 1.0);
        assert_eq!(map.get(6, 4), 1.0);
        assert_eq!(map.get(5, 5), 1.0);
    }

    #[test]
    fn a_shorter_target_leaves_the_last_columns_zero_yet_with_a_source() {
        let alignment = aligned("a chinchilla", "a cat");
        for token in [MAX_TOKENS - 2, MAX_TOKENS - 1] {
            assert_eq!(alignment.map.column(token).sum::<f32>(), 0.0);
            assert!(alignment.has_source[token]);
        }
    }

    #[test]
    fn the_numbers_of_words_must_agree() {
        let error = replace(&prompt("a cat"), &prompt("a big cat"));
        let expected = EditError::ReplaceWordCount { source_words: 2, target_words: 3 };
        assert_eq!(error, Err(expected));
    }

    #[test]
    fn words_without_tokens_are_walked_past() {
        let source = Prompt::new("a b c", vec![0, 4, 6, 1], vec![0..0, 0..1, 4..5, 0..0], 8);
        let target = Prompt::new("a x d", vec![0, 4, 5, 7, 1], vec![0..0, 0..1, 2..3, 4..5, 0..0], 8);
        let map = by_position(&source, &target).map;
        assert_eq!(map.column(2).sum::<f32>(), 0.0);
        assert_eq!(map.get(2, 3), 1.0);
        assert_eq!(by_position(&target, &source).map.get(3, 2), 1.0);
    }
}
