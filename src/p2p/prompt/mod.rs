//! A tokenized prompt and its words.
//!
//! Contract: words are the runs between white space; a token belongs to every word whose bytes it covers in part.
//! Token positions count from 0, which is BOS. [`Prompt::find`] is the one place where a word that a person wrote
//! meets the words of a prompt.

mod form;
pub(crate) mod phrase;

use std::fmt;
use std::ops::Range;

/// A tokenized prompt: its text, the token ids from BOS to EOS without padding, and the words with their tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    text: String,
    ids: Vec<u32>,
    words: Vec<Word>,
    max_tokens: usize,
}

/// A word of a prompt: a run of characters between white space, punctuation included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word as it is written, `"bench,"`.
    pub text: String,
    /// Positions of the tokens that cover the word, ascending. Empty where the tokenizer dropped the word.
    pub tokens: Vec<usize>,
    /// Positions of the tokens that cover the word without its leading and trailing punctuation.
    pub core_tokens: Vec<usize>,
    key: String,
}

/// A word as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordRef {
    /// A word or a phrase.
    Text(String),
    /// A word's index, from 0.
    Index(usize),
}

impl Prompt {
    /// A prompt from a tokenizer's output.
    ///
    /// `ids` runs from BOS to EOS; `spans` gives for every token the bytes of `text` that it covers (an empty range
    /// for BOS and EOS); `max_tokens` is the length that the text encoder pads to, 77 for CLIP. A prompt longer than
    /// that can be made but not edited: [`EditPlan::new`](crate::p2p::EditPlan::new) refuses it.
    #[must_use]
    pub fn new(text: &str, ids: Vec<u32>, spans: Vec<Range<usize>>, max_tokens: usize) -> Self {
        debug_assert_eq!(ids.len(), spans.len(), "one span a token");
        let words = word_ranges(text).map(|range| Word::new(text, range, &spans)).collect();
        Self { text: text.to_owned(), ids, words, max_tokens }
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Token ids from BOS to EOS, without padding.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Number of tokens, BOS and EOS included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Number of token positions of the padded prompt: the size of every matrix over its tokens.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The words, in order.
    #[must_use]
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Positions of all tokens of a word, ascending and without duplicates, over all its occurrences.
    ///
    /// - An index means that word with its punctuation (as `get_word_inds` of the published code).
    /// - A text is first sought as a whole word, case and punctuation included: all tokens of the words found.
    /// - Otherwise case and surrounding punctuation are put aside, and a text of several words is sought as a run of
    ///   consecutive words: the tokens found leave the words' punctuation out. Words that are punctuation only are
    ///   passed over.
    /// - If that finds nothing, the same is done with the form of characters put aside too: "cat's" finds "cat’s".
    ///
    /// `None` where nothing matches, or what matches has no tokens.
    #[must_use]
    pub fn find(&self, word: &WordRef) -> Option<Vec<usize>> {
        let mut tokens = match word {
            WordRef::Index(index) => self.words.get(*index)?.tokens.clone(),
            WordRef::Text(text) => self.find_text(text.trim()),
        };
        tokens.sort_unstable();
        tokens.dedup();
        (!tokens.is_empty()).then_some(tokens)
    }

    fn find_text(&self, text: &str) -> Vec<usize> {
        let mut exact = self.words.iter().filter(|word| word.text == text).peekable();
        if exact.peek().is_some() {
            return exact.flat_map(|word| word.tokens.clone()).collect();
        }
        let found = self.find_phrase(text, normalize);
        if found.is_empty() { self.find_phrase(text, |word| normalize(&form::plain(word))) } else { found }
    }

    /// The tokens of all runs of words that are those of a text when they are compared by `key`.
    fn find_phrase(&self, text: &str, key: fn(&str) -> String) -> Vec<usize> {
        let phrase: Vec<String> = text.split_whitespace().map(key).filter(|key| !key.is_empty()).collect();
        if phrase.is_empty() {
            return Vec::new();
        }
        let words = self.words.iter().map(|word| (word, key(&word.text)));
        let words: Vec<(&Word, String)> = words.filter(|(_, key)| !key.is_empty()).collect();
        words
            .windows(phrase.len())
            .filter(|run| run.iter().zip(&phrase).all(|((_, word), key)| word == key))
            .flatten()
            .flat_map(|(word, _)| word.inner_tokens().to_vec())
            .collect()
    }

    /// The words as an error message lists them: without the punctuation around them, each once.
    pub(crate) fn word_list(&self) -> Vec<String> {
        let mut list: Vec<String> = Vec::new();
        for word in &self.words {
            let core = strip(&word.text);
            let shown = if core.is_empty() { &word.text } else { core };
            if !list.iter().any(|listed| listed == shown) {
                list.push(shown.to_owned());
            }
        }
        list
    }
}

impl Word {
    fn new(text: &str, range: Range<usize>, spans: &[Range<usize>]) -> Self {
        let word = &text[range.clone()];
        let core = strip(word);
        let trimmed = word.len() - word.trim_start_matches(|c: char| !c.is_alphanumeric()).len();
        let core_start = range.start + trimmed;
        Self {
            text: word.to_owned(),
            tokens: overlapping(spans, &range),
            core_tokens: overlapping(spans, &(core_start..core_start + core.len())),
            key: normalize(word),
        }
    }

    /// What two words are compared by when case and punctuation are put aside; the word itself where it is
    /// punctuation only.
    pub(crate) fn key(&self) -> &str {
        if self.key.is_empty() { &self.text } else { &self.key }
    }

    /// The tokens that carry its meaning: those without the punctuation around it, or all where it is punctuation only.
    pub(crate) fn inner_tokens(&self) -> &[usize] {
        if self.core_tokens.is_empty() { &self.tokens } else { &self.core_tokens }
    }

    /// True where there is nothing but punctuation.
    pub(crate) fn is_punctuation(&self) -> bool {
        self.key.is_empty()
    }

    /// True where punctuation follows, so that the next word belongs to something else.
    pub(crate) fn is_set_off(&self) -> bool {
        !self.text.ends_with(char::is_alphanumeric)
    }
}

/// The words of a text without the punctuation around them, each with what it is compared by. Words that are
/// punctuation only are passed over.
pub(crate) fn bare_words(text: &str) -> impl Iterator<Item = (&str, String)> {
    let words = word_ranges(text).map(|range| strip(&text[range]));
    words.filter(|word| !word.is_empty()).map(|word| (word, normalize(word)))
}

impl fmt::Display for WordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

/// Byte ranges of the runs between white space.
fn word_ranges(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(|c: char| !c.is_whitespace())?;
        let end = text[start..].find(char::is_whitespace).map_or(text.len(), |length| start + length);
        rest = end;
        Some(start..end)
    })
}

fn overlapping(spans: &[Range<usize>], range: &Range<usize>) -> Vec<usize> {
    let covers = |span: &Range<usize>| span.start.max(range.start) < span.end.min(range.end);
    (0..spans.len()).filter(|&at| covers(&spans[at])).collect()
}

fn strip(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

fn normalize(word: &str) -> String {
    strip(word).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::{prompt, text};

    fn find(prompt: &Prompt, word: &str) -> Option<Vec<usize>> {
        prompt.find(&text(word))
    }

    #[test]
    fn words_are_runs_between_white_space_and_know_their_tokens() {
        // The test tokenizer: pieces of four letters, every punctuation mark a token.
        let prompt = prompt("a  chinchilla,\ton grass");
        let words: Vec<_> = prompt.words().iter().map(|w| w.text.as_str()).collect();
        assert_eq!(words, ["a", "chinchilla,", "on", "grass"]);
        assert_eq!(prompt.words()[1].tokens, [2, 3, 4, 5]);
        assert_eq!(prompt.words()[1].core_tokens, [2, 3, 4]);
        assert_eq!(prompt.words()[3].tokens, [7, 8]);
        assert_eq!(prompt.len(), 10);
    }

    #[test]
    fn an_exact_word_has_its_punctuation_and_every_occurrence() {
        let prompt = prompt("a cat, a Cat, a cat");
        assert_eq!(find(&prompt, "cat,"), Some(vec![2, 3]));
        assert_eq!(find(&prompt, "cat"), Some(vec![8]));
        assert_eq!(find(&prompt, "a"), Some(vec![1, 4, 7]));
    }

    #[test]
    fn otherwise_case_and_punctuation_are_put_aside() {
        let prompt = prompt("a cat, a (Cat) ÉTÉ");
        assert_eq!(find(&prompt, "CAT"), Some(vec![2, 6]));
        assert_eq!(find(&prompt, " été! "), Some(vec![8]));
    }

    #[test]
    fn a_phrase_is_a_run_of_consecutive_words() {
        let prompt = prompt("red car - Red, car, red bus");
        // The dash between "car" and "Red" is passed over: "car red" is there twice.
        assert_eq!(find(&prompt, "red car"), Some(vec![1, 2, 4, 6]));
        assert_eq!(find(&prompt, "car red"), Some(vec![2, 4, 6, 8]));
        assert_eq!(find(&prompt, "red grass"), None);
    }

    #[test]
    fn punctuation_alone_matches_only_exactly() {
        let prompt = prompt("a cat - b");
        assert_eq!(find(&prompt, "-"), Some(vec![3]));
        assert_eq!(find(&prompt, ","), None);
        assert_eq!(find(&prompt, ""), None);
    }

    #[test]
    fn the_form_of_characters_is_put_aside_last() {
        let words = prompt("a cat\u{2019}s ice\u{2011}cream, CAF\u{00C9} \u{FF43}\u{FF41}\u{FF54}");
        for (word, index) in [
            ("cat's", 1),
            ("CAT\u{2019}S", 1),
            ("ice-cream", 2),
            ("Ice\u{2013}Cream!", 2),
            ("cafe\u{0301}", 3),
            ("Cat", 4),
            ("cafe\u{0301} cat", 3),
        ] {
            let found = find(&words, word).unwrap_or_else(|| panic!("{word:?}"));
            assert!(words.words()[index].tokens.starts_with(&found[..1]), "{word:?}: {found:?}");
        }
        assert_eq!(find(&words, "cats"), None);
        assert_eq!(find(&words, "cafe"), None);
        // What is written alike comes first.
        let both = prompt("cat's cat\u{2019}s");
        assert_eq!(find(&both, "cat's"), Some(both.words()[0].tokens.clone()));
        assert_eq!(find(&both, "CAT\u{2019}S"), Some(both.words()[1].tokens.clone()));
        assert_eq!(find(&both, "cat\u{02BC}s"), find(&both, "cat\u{2032}s"));
    }

    #[test]
    fn an_index_is_the_whole_word() {
        let prompt = prompt("a cat, here");
        assert_eq!(prompt.find(&WordRef::Index(1)), Some(vec![2, 3]));
        assert_eq!(prompt.find(&WordRef::Index(3)), None);
    }

    #[test]
    fn a_word_without_tokens_is_not_found() {
        let prompt = Prompt::new("a b", vec![0, 5, 1], vec![0..0, 0..1, 0..0], 8);
        assert_eq!(find(&prompt, "a"), Some(vec![1]));
        assert_eq!(find(&prompt, "b"), None);
        assert_eq!(prompt.find(&WordRef::Index(1)), None);
    }
}
