//! The words that a model knows, in named groups.
//!
//! Contract: a word is compared as everywhere, with case and punctuation aside; an entry of several words ("pixel
//! art") is each of its words. A word may be in several groups. Without any words there is no vocabulary, and then
//! nothing is unknown.

use std::collections::{BTreeMap, BTreeSet};

use crate::p2p::prompt::bare_words;
use crate::p2p::schedule::preset_error::PresetError;
use crate::p2p::schedule::relation_kind::RELATIONS;

/// The group of words that say nothing by themselves, such as articles and prepositions.
pub(crate) const OTHER: &str = "other";

/// Words in groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    groups: BTreeSet<String>,
    /// The groups of each word.
    words: BTreeMap<String, BTreeSet<String>>,
}

impl Vocabulary {
    /// A vocabulary of words by group.
    ///
    /// # Errors
    /// [`PresetError`] for a group that is called as a relation is, and for an entry without a word.
    pub fn new(groups: &BTreeMap<String, Vec<String>>) -> Result<Self, PresetError> {
        let mut vocabulary = Self::default();
        for (group, entries) in groups {
            if RELATIONS.contains(&group.as_str()) {
                return Err(PresetError::ReservedGroup { group: group.clone() });
            }
            for (at, entry) in entries.iter().enumerate() {
                let mut words = bare_words(entry).map(|(_, key)| key).peekable();
                if words.peek().is_none() {
                    return Err(PresetError::NoWord { group: group.clone(), at, entry: entry.clone() });
                }
                for word in words {
                    vocabulary.words.entry(word).or_default().insert(group.clone());
                }
            }
            vocabulary.groups.insert(group.clone());
        }
        Ok(vocabulary)
    }

    /// The names of the groups, in alphabetical order.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    /// Whether there is such a group.
    #[must_use]
    pub fn has_group(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    /// The groups that a word is in, by what it is compared by.
    pub(crate) fn groups_of(&self, key: &str) -> Option<&BTreeSet<String>> {
        self.words.get(key)
    }

    /// The words of a prompt that are in no group, without punctuation, each once in the prompt's order.
    #[must_use]
    pub fn unknown_words(&self, prompt: &str) -> Vec<String> {
        if self.words.is_empty() {
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        let unknown = bare_words(prompt).filter(|(_, key)| !self.words.contains_key(key) && seen.insert(key.clone()));
        unknown.map(|(word, _)| word.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::vocabulary;

    #[test]
    fn words_are_looked_up_with_case_and_punctuation_aside() {
        let words = vocabulary();
        assert!(words.unknown_words("A Cat, in the (SNOW) - pixel-free art!").contains(&"pixel-free".to_owned()));
        assert_eq!(words.unknown_words("a Griffin, a griffin and \"ÉTÉ\" - in the snow"), ["Griffin", "ÉTÉ"]);
        assert_eq!(words.unknown_words("pixel cat, art cat"), Vec::<String>::new(), "parts of an entry are words");
        assert_eq!(words.unknown_words(" , - "), Vec::<String>::new());
    }

    #[test]
    fn without_words_nothing_is_unknown() {
        assert_eq!(Vocabulary::default().unknown_words("a griffin"), Vec::<String>::new());
        let empty = Vocabulary::new(&BTreeMap::from([("objects".to_owned(), Vec::new())])).expect("a group");
        assert_eq!(empty.unknown_words("a griffin"), Vec::<String>::new());
        assert!(empty.has_group("objects"));
    }

    #[test]
    fn a_word_may_be_in_several_groups() {
        let groups = [("fruits", "orange"), ("colours", "Orange")];
        let groups = groups.map(|(group, word)| (group.to_owned(), vec![word.to_owned()]));
        let words = Vocabulary::new(&BTreeMap::from(groups)).expect("a vocabulary");
        let of_orange: Vec<_> = words.groups_of("orange").expect("known").iter().collect();
        assert_eq!(of_orange, ["colours", "fruits"]);
    }

    #[test]
    fn groups_and_entries_are_checked() {
        let error = |group: &str, entries: &[&str]| {
            let entries = entries.iter().map(|&entry| entry.to_owned()).collect();
            Vocabulary::new(&BTreeMap::from([(group.to_owned(), entries)])).expect_err("refused")
        };
        let reserved = error("added", &["cat"]);
        assert_eq!(reserved.key(), "vocabulary.added");
        let empty = error("objects", &["cat", " - "]);
        assert_eq!(
            (empty.key().as_str(), empty.to_string().as_str()),
            ("vocabulary.objects[1]", "\" - \" contains no word")
        );
    }
}
