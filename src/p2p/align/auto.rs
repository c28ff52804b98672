//! `auto`: for every word the rule that fits it.
//!
//! Contract: equal tokens are the identity; where each word has as many tokens as the word at its place, punctuation
//! at the same ones, it is `replace`, on pure additions `refine`, matrix for matrix, so that what the paper shows comes out as published.
//! Anything else is aligned word by word. Then every token follows its word, whatever the numbers of tokens, and the
//! matrix says what the words beside it say:
//!
//! - a kept word takes the source word's maps, token by token;
//! - substituted words take the maps of those they replace, word for word where there are as many of them, spread as
//!   `AttentionReplace` spreads them, punctuation aside;
//! - added words keep their own maps, and the maps of removed words are not used;
//! - BOS and EOS take BOS and EOS; padding takes the same position where that is padding in the source too.

use std::ops::Range;

use crate::p2p::align::alignment::{AlignedWords, Alignment, EditType, Relation, spread};
use crate::p2p::align::matrix::TokenMatrix;
use crate::p2p::align::pairing::Pairing;
use crate::p2p::align::reweight::identity;
use crate::p2p::align::{needleman_wunsch, refine, replace};
use crate::p2p::prompt::phrase;
use crate::p2p::prompt::{Prompt, Word};

/// Aligns any two prompts. The type says which rule held: `Reweight` for equal tokens, `Replace`, `Refine`, or `Auto`
/// where words were aligned one by one.
#[must_use]
pub fn auto(source: &Prompt, target: &Prompt) -> (EditType, Alignment) {
    if source.ids() == target.ids() {
        return (EditType::Reweight, identity(source, target));
    }
    let pairing = Pairing::new(source, target);
    if pairing.is_by_position && same_token_counts(source.words(), target.words()) {
        return (EditType::Replace, replace::by_position(source, target));
    }
    if only_adds(source.words(), target.words()) {
        let alignment = refine::refine(source, target);
        if keeps_words_whole(&alignment, source, target) {
            return (EditType::Refine, alignment);
        }
    }
    (EditType::Auto, word_by_word(source, target, &pairing))
}

/// True where every word has as many tokens as the word at its place, and its punctuation at the same ones.
fn same_token_counts(source: &[Word], target: &[Word]) -> bool {
    let inner = |word: &Word| -> Vec<usize> {
        let start = word.tokens.first().copied().unwrap_or(0);
        word.inner_tokens().iter().map(|token| token - start).collect()
    };
    source.iter().zip(target).all(|(from, to)| from.tokens.len() == to.tokens.len() && inner(from) == inner(to))
}

/// True where every word of the target takes the maps of one source word that is the same, in full, or keeps its own.
/// Tokens are aligned without regard to words, so that a piece of a word may have found its like in another word.
fn keeps_words_whole(alignment: &Alignment, source: &Prompt, target: &Prompt) -> bool {
    target.words().iter().all(|word| {
        let from: Option<Vec<usize>> = word.inner_tokens().iter().map(|&token| alignment.source_of(token)).collect();
        match from {
            Some(from) => source.words().iter().any(|same| same.key() == word.key() && same.inner_tokens() == from),
            None => word.inner_tokens().iter().all(|&token| alignment.source_of(token).is_none()),
        }
    })
}

/// True where the target has all words of the source, punctuation and case aside, in their order.
fn only_adds(source: &[Word], target: &[Word]) -> bool {
    let mut rest = target.iter();
    source.iter().all(|word| rest.any(|other| other.key() == word.key()))
}

/// Aligns the words that both prompts have, and then the runs between them.
pub(crate) fn word_by_word(source: &Prompt, target: &Prompt, pairing: &Pairing) -> Alignment {
    let mut building = Building {
        source,
        target,
        map: TokenMatrix::zeros(target.max_tokens()),
        has_source: vec![false; target.max_tokens()],
        words: Vec::new(),
        is_by_position: pairing.is_by_position,
    };
    building.specials();
    let (mut from, mut to) = (0, 0);
    for &(kept_from, kept_to) in &pairing.kept {
        building.run(from..kept_from, to..kept_to);
        building.kept(kept_from, kept_to);
        (from, to) = (kept_from + 1, kept_to + 1);
    }
    building.run(from..source.words().len(), to..target.words().len());
    Alignment { map: building.map, has_source: building.has_source, words: building.words, shifted: None }
}

/// An alignment in the making.
#[derive(Debug)]
struct Building<'a> {
    source: &'a Prompt,
    target: &'a Prompt,
    map: TokenMatrix,
    has_source: Vec<bool>,
    words: Vec<AlignedWords>,
    is_by_position: bool,
}

impl Building<'_> {
    fn connect(&mut self, source: usize, target: usize, weight: f32) {
        self.map.set(source, target, weight);
        self.has_source[target] = true;
    }

    fn entry(&mut self, relation: Relation, source: Vec<usize>, target: Vec<usize>) {
        let entry = AlignedWords::new(relation, self.source, source, self.target, target);
        self.words.push(entry);
    }

    /// BOS, EOS and padding. In the published refine a short target's padding takes what the source's last words
    /// attended to; nothing is gained by that here.
    fn specials(&mut self) {
        let (source, target) = (self.source.len(), self.target.len());
        if source > 0 && target > 0 {
            self.connect(0, 0, 1.0);
            self.connect(source - 1, target - 1, 1.0);
        }
        for position in source.max(target)..self.target.max_tokens() {
            self.connect(position, position, 1.0);
        }
    }

    /// One word in both prompts; its punctuation or case may differ, and then its tokens.
    fn kept(&mut self, source: usize, target: usize) {
        self.entry(Relation::Kept, vec![source], vec![target]);
        let from = &self.source.words()[source].tokens;
        let to = &self.target.words()[target].tokens;
        let ids = |prompt: &Prompt, tokens: &[usize]| -> Vec<u32> {
            tokens.iter().map(|&token| prompt.ids()[token]).collect()
        };
        let pairs = needleman_wunsch::align(&ids(self.source, from), &ids(self.target, to));
        let weights = if pairs.is_empty() {
            // A tokenizer that minds case has no token in common for "Cat" and "cat".
            spread(from, to)
        } else {
            let pairs = pairs.into_iter();
            pairs.map(|(i, j)| (from[i], to[j], 1.0)).collect()
        };
        for (s, t, weight) in weights {
            self.connect(s, t, weight);
        }
    }

    /// The words of both prompts between two kept ones.
    fn run(&mut self, source: Range<usize>, target: Range<usize>) {
        let (replaced, by) = if self.is_by_position {
            (source.len(), target.len())
        } else {
            phrase::substituted(&self.source.words()[source.clone()], &self.target.words()[target.clone()])
        };
        let (removed, added) = (source.start + replaced, target.start + by);
        if replaced == by {
            for (from, to) in (source.start..removed).zip(target.start..added) {
                self.substituted(from..from + 1, to..to + 1);
            }
        } else {
            self.substituted(source.start..removed, target.start..added);
        }
        for word in removed..source.end {
            self.entry(Relation::Removed, vec![word], vec![]);
        }
        for word in added..target.end {
            self.entry(Relation::Added, vec![], vec![word]);
        }
    }

    /// Words in the place of words.
    ///
    /// The words' core tokens stand for each other, without the punctuation around them. "a cat" to "a dog, oil
    /// painting" swaps cat for dog; were the comma to count, dog and comma would each get half of the cat's
    /// attention, and a dog at half strength is hardly painted. A target's punctuation then has nothing to stand for
    /// and keeps its own map, except for an ending that both runs have, from the last token back: "cat," to "polar
    /// bear," leaves the comma what it was. Where a side is punctuation only there is nothing else to take, and all
    /// tokens count.
    fn substituted(&mut self, source: Range<usize>, target: Range<usize>) {
        let (from, to) = (core_tokens(self.source, source.clone()), core_tokens(self.target, target.clone()));
        let entry = AlignedWords::new(Relation::Replaced, self.source, source.collect(), self.target, target.collect());
        let weights = if from.is_empty() || to.is_empty() {
            spread(&entry.source_tokens, &entry.target_tokens)
        } else {
            let endings = ending(&entry.source_tokens, &from).zip(ending(&entry.target_tokens, &to));
            let common = endings.take_while(|&(s, t)| self.source.ids()[s] == self.target.ids()[t]);
            spread(&from, &to).into_iter().chain(common.map(|(s, t)| (s, t, 1.0))).collect()
        };
        self.words.push(entry);
        for (s, t, weight) in weights {
            self.connect(s, t, weight);
        }
    }
}

/// The tokens of words without the punctuation around each, ascending and without duplicates.
fn core_tokens(prompt: &Prompt, words: Range<usize>) -> Vec<usize> {
    let mut tokens: Vec<usize> = prompt.words()[words].iter().flat_map(|word| word.core_tokens.clone()).collect();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// The punctuation at the end of a run, from its last token back: what of `tokens` is past the last of `core`.
fn ending(tokens: &[usize], core: &[usize]) -> impl Iterator<Item = usize> {
    let last = core.last().copied();
    tokens.iter().rev().copied().take_while(move |&token| Some(token) > last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::{MAX_TOKENS, prompt};

    fn described(source: &str, target: &str) -> (EditType, Vec<String>) {
        let (edit_type, alignment) = auto(&prompt(source), &prompt(target));
        let entries = alignment.words.iter().map(|entry| {
            let (from, to) = (entry.source.as_deref(), entry.target.as_deref());
            let relation = entry.relation.as_str();
            format!("{relation} {} > {}", from.unwrap_or("-"), to.unwrap_or("-"))
        });
        (edit_type, entries.collect())
    }

    fn aligned(source: &str, target: &str) -> Alignment {
        auto(&prompt(source), &prompt(target)).1
    }

    #[test]
    fn the_published_rules_hold_where_they_fit() {
        assert_eq!(described("a cat", "a cat").0, EditType::Reweight);
        assert_eq!(described("a cat", "a dog").0, EditType::Replace);
        assert_eq!(described("a cat", "a cat in the snow").0, EditType::Refine);
        assert_eq!(described("", "a cat").0, EditType::Refine);
        assert_eq!(described("a cat", "a polar bear").0, EditType::Auto);
    }

    #[test]
    fn any_number_of_words_replaces_any_number() {
        let (_, entries) = described("a cat", "a polar bear");
        assert_eq!(entries, ["kept a > a", "replaced cat > polar bear"]);
        let (_, entries) = described("a big red car", "a bus");
        assert_eq!(entries, ["kept a > a", "replaced big red car > bus"]);
    }

    #[test]
    fn a_phrase_after_a_substitution_is_added() {
        let (_, entries) = described("a cat", "a dog in snow");
        let expected = ["kept a > a", "replaced cat > dog", "added - > in", "added - > snow"];
        assert_eq!(entries, expected);
        let alignment = aligned("a cat", "a dog in snow");
        assert_eq!(alignment.has_source[..6], [true, true, true, false, false, true]);
        assert_eq!(alignment.map.get(2, 2), 1.0);
    }

    #[test]
    fn a_phrase_after_a_substitution_is_removed() {
        let (_, entries) = described("a cat on ice here", "a dog here");
        let expected = ["kept a > a", "replaced cat > dog", "removed on > -", "removed ice > -", "kept here > here"];
        assert_eq!(entries, expected);
    }

    #[test]
    fn substituted_tokens_spread_and_those_after_follow_their_words() {
        // a | red | car | on | ice -> a | chin chil la | on | ice
        let map = aligned("a red car on ice", "a chinchilla on ice").map;
        for token in [2, 3, 4] {
            assert_eq!(map.get(2, token), 1.0 / 3.0);
            assert_eq!(map.get(3, token), 1.0 / 3.0);
        }
        assert_eq!((map.get(4, 5), map.get(5, 6)), (1.0, 1.0));
    }

    #[test]
    fn punctuation_takes_nothing_from_the_word_before_it() {
        let (source, target) = ("a cat", "a dog, oil painting");
        let (_, entries) = described(source, target);
        assert_eq!(entries, ["kept a > a", "replaced cat > dog,", "added - > oil", "added - > painting"]);
        let alignment = aligned(source, target);
        assert_eq!(alignment.map.column(2).collect::<Vec<_>>()[..3], [0.0, 0.0, 1.0]);
        assert_eq!(alignment.map.column(3).sum::<f32>(), 0.0);
        assert_eq!(alignment.has_source[1..5], [true, true, false, false]);
        assert_eq!(alignment.words[1].target_tokens, [2, 3], "the entry has all tokens of its words");
    }

    #[test]
    fn punctuation_of_the_source_gives_nothing_to_words() {
        // ( cat ) , | big -> pola r | bear | big
        let map = aligned("(cat), big", "polar bear big").map;
        assert_eq!(map.row(2)[1..5], [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert!([1, 3, 4].iter().all(|&mark| map.row(mark)[1..5] == [0.0; 4]));
    }

    #[test]
    fn an_ending_that_both_runs_have_maps_one_to_one() {
        // a | cat , | on -> a | pola r | bear , | on
        let alignment = aligned("a cat, on", "a polar bear, on");
        assert_eq!((alignment.map.get(2, 2), alignment.map.get(2, 4)), (1.0 / 3.0, 1.0 / 3.0));
        assert_eq!(alignment.map.column(5).collect::<Vec<_>>()[..4], [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(alignment.map.get(2, 5), 0.0);
        assert!(alignment.has_source[5]);

        // Another mark, and one that is not at the end.
        assert!(!aligned("a cat. on", "a polar bear, on").has_source[5]);
        assert!(!aligned("a cat! on", "a polar! bear on").has_source[4]);
        // Of two marks the last is common: cat ) , -> dog ! , and the one before is not.
        let alignment = aligned("a (cat), on", "a big dog!, on");
        assert_eq!((alignment.map.get(5, 5), alignment.has_source[4]), (1.0, false));
    }

    #[test]
    fn punctuation_alone_replaces_words_as_words_do() {
        let map = aligned("a - cat", "a big red cat").map;
        assert_eq!((map.get(2, 2), map.get(2, 3)), (0.5, 0.5));
        let alignment = aligned("a big red cat", "a , cat");
        assert_eq!((alignment.map.get(2, 2), alignment.map.get(3, 2)), (1.0, 1.0));
        assert!(alignment.has_source[2]);
    }

    #[test]
    fn specials_take_specials_and_padding_takes_padding() {
        // Six tokens in the source, four in the target.
        let alignment = aligned("a big red cat", "a cat");
        assert_eq!(alignment.map.get(0, 0), 1.0);
        assert_eq!(alignment.map.get(5, 3), 1.0);
        let has_source = &alignment.has_source;
        assert_eq!(has_source[..8], [true, true, true, true, false, false, true, true]);
        assert_eq!(alignment.map.get(MAX_TOKENS - 1, MAX_TOKENS - 1), 1.0);
    }

    #[test]
    fn kept_words_are_compared_with_case_and_punctuation_aside() {
        let (_, entries) = described("a big cat, here", "a Cat here");
        assert_eq!(entries, ["kept a > a", "removed big > -", "kept cat, > Cat", "kept here > here"]);
        let alignment = aligned("a cat here", "a cat, sits here now");
        assert_eq!(alignment.map.get(2, 2), 1.0);
        assert!(!alignment.has_source[3], "the comma keeps its own map");
    }

    #[test]
    fn a_kept_word_without_a_common_token_is_spread() {
        let spans = vec![0..0, 0..3, 0..0];
        let source = Prompt::new("Cat", vec![0, 8, 1], spans, 8);
        let spans = vec![0..0, 0..1, 1..3, 4..7, 8..10, 0..0];
        let target = Prompt::new("cat big on", vec![0, 9, 10, 11, 12, 1], spans, 8);
        let alignment = word_by_word(&source, &target, &Pairing::new(&source, &target));
        assert_eq!((alignment.map.get(1, 1), alignment.map.get(1, 2)), (0.5, 0.5));
    }
}
