//! What kind of edit it is: the words that decide, and what each of them says.
//!
//! Contract: goes by words alone, case and punctuation aside.
//!
//! - Words that are replaced, added or removed decide. Where none is, the edit is a reweighting.
//! - Function words decide only where nothing else changed: "a cat" to "a dog in the snow" is about dog and snow.
//! - Of words that are added or removed side by side, the last one decides, which the others describe, as words before
//!   a noun do in English: "with a red hat" is about a hat. A word that is added alone, as in "a red cat", decides, and
//!   so does each word of a substitution: what it stands for was there, and is to change.

use std::collections::BTreeSet;

use crate::p2p::align::alignment::{AlignedWords, Relation};
use crate::p2p::prompt::phrase::is_opener;
use crate::p2p::prompt::{Prompt, Word};
use crate::p2p::schedule::relation_kind::{ADDED, REPLACED, REWEIGHTED};
use crate::p2p::schedule::vocabulary::{OTHER, Vocabulary};

/// What a deciding word says of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Says<'a> {
    /// The groups of the vocabulary that it is in.
    pub groups: Option<&'a BTreeSet<String>>,
    /// Its relation, one of [`RELATIONS`](crate::p2p::schedule::relation_kind::RELATIONS).
    pub relation: &'static str,
}

/// What the words that decide say, one at least.
pub(crate) fn says<'a>(
    source: &Prompt,
    target: &Prompt,
    alignment: &[AlignedWords],
    vocabulary: &'a Vocabulary,
) -> Vec<Says<'a>> {
    let changed = changed(source, target, alignment);
    if changed.is_empty() {
        return vec![Says { groups: None, relation: REWEIGHTED }];
    }
    let is_function = |word: &Word| match vocabulary.groups_of(word.key()) {
        Some(groups) => groups.iter().all(|group| group == OTHER),
        None => word.is_punctuation() || is_opener(word),
    };
    let describes = |word: &Changed<'_>| {
        let next = |other: &Changed<'_>| other.follows(word) && !is_function(other.word);
        word.relation != Relation::Replaced && !word.word.is_set_off() && changed.iter().any(next)
    };
    let decides = |word: &&Changed<'_>| !is_function(word.word) && !describes(word);
    let mut deciding: Vec<&Changed<'_>> = changed.iter().filter(decides).collect();
    if deciding.is_empty() {
        deciding = changed.iter().collect();
    }
    let says = |changed: &Changed<'_>| Says {
        groups: vocabulary.groups_of(changed.word.key()),
        relation: if changed.relation == Relation::Added { ADDED } else { REPLACED },
    };
    deciding.into_iter().map(says).collect()
}

/// A word that is not the same in both prompts.
struct Changed<'a> {
    word: &'a Word,
    index: usize,
    is_of_target: bool,
    relation: Relation,
}

impl Changed<'_> {
    /// Whether it comes right after another word of its prompt that changed in the same way.
    fn follows(&self, other: &Self) -> bool {
        self.is_of_target == other.is_of_target && self.index == other.index + 1 && self.relation == other.relation
    }
}

fn changed<'a>(source: &'a Prompt, target: &'a Prompt, alignment: &[AlignedWords]) -> Vec<Changed<'a>> {
    let mut changed = Vec::new();
    for entry in alignment.iter().filter(|entry| entry.relation != Relation::Kept) {
        let sides = [(source, &entry.source_words, false), (target, &entry.target_words, true)];
        let [from, to] = sides.map(|(prompt, words, is_of_target)| {
            let changed = |&index: &usize| {
                let word = &prompt.words()[index];
                Changed { word, index, is_of_target, relation: entry.relation }
            };
            words.iter().map(changed).collect::<Vec<_>>()
        });
        // Words that differ in case or punctuation only are the same.
        if !from.iter().map(|word| word.word.key()).eq(to.iter().map(|word| word.word.key())) {
            changed.extend(from.into_iter().chain(to));
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::align::auto::auto;
    use crate::p2p::testing::{prompt, vocabulary};

    /// What an edit is about: the groups, or else the relation, of each deciding word, each once.
    fn about(vocabulary: &Vocabulary, source: &str, target: &str) -> String {
        let (source, target) = (prompt(source), prompt(target));
        let (_, alignment) = auto(&source, &target);
        let says = says(&source, &target, &alignment.words, vocabulary);
        let names = says.iter().flat_map(|says| match says.groups {
            Some(groups) => groups.iter().map(String::as_str).collect(),
            None => vec![says.relation],
        });
        let names: BTreeSet<&str> = names.collect();
        names.into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_edit_is_about_the_words_that_change() {
        let words = vocabulary();
        for (source, target, kinds) in [
            ("a cat", "a dog", "objects"),
            ("a red car on the grass", "a blue car on the grass", "colours"),
            ("a cat", "a red cat", "colours"),
            ("a red cat", "a cat", "colours"),
            ("a cat on the grass", "a cat on the beach", "places"),
            ("a cat", "a cat in the snow", "places"),
            ("a cat in the snow", "a cat in the snow at night", "times"),
            ("a cat on the beach", "a cat on the beach at sunset", "times"),
            ("a cat", "a sketch of a cat", "styles"),
            ("a cat", "pixel art of a cat", "styles"),
            ("a cat", "a cat, pixel art", "styles"),
            ("a cat with a hat", "a cat", "accessories"),
            ("a cat with a hat", "a cat with a crown", "accessories"),
            ("a cat in the snow", "a cat", "places"),
            ("a Cat, here", "a dog here", "objects"),
        ] {
            assert_eq!(about(&words, source, target), kinds, "{source} -> {target}");
        }
    }

    #[test]
    fn an_edit_may_be_about_several_things() {
        let words = vocabulary();
        for (source, target, kinds) in [
            ("a red car on the grass", "a blue bus on the grass", "colours objects"),
            ("a cat", "a dog in the snow at night", "objects places times"),
            ("a cat on the grass", "a dog with a hat on the grass", "accessories objects"),
            ("a cat in the snow", "a cat at night", "places times"),
            ("a cat", "a sketch of a dog", "objects styles"),
            // Words of a substitution stand for something that was there, each of them.
            ("a cat", "a red dog", "colours objects"),
            ("a cat", "a pixel art dog", "objects styles"),
            ("a cat", "a cat at night, pixel art", "styles times"),
            ("a cat", "a red cat sketch", "colours styles"),
        ] {
            assert_eq!(about(&words, source, target), kinds, "{source} -> {target}");
        }
    }

    #[test]
    fn a_word_added_or_removed_before_another_describes_it() {
        let words = vocabulary();
        for (source, target, kinds) in [
            ("a cat on the grass", "a cat with a red hat on the grass", "accessories"),
            ("a cat with a red hat on the grass", "a cat on the grass", "accessories"),
            ("a cat", "a dog with a red hat", "accessories objects"),
            ("a cat", "a cat with a shiny hat", "accessories"),
            ("a cat with a hat", "a cat with a red hat", "colours"),
            // What punctuation or a function word parts is not one phrase.
            ("a cat", "a cat with a hat, red", "accessories colours"),
            ("a cat", "a cat, red, with a hat", "accessories colours"),
            ("a cat", "a cat in snow near grass", "places"),
        ] {
            assert_eq!(about(&words, source, target), kinds, "{source} -> {target}");
        }
    }

    #[test]
    fn function_words_decide_only_where_nothing_else_changed() {
        let words = vocabulary();
        assert_eq!(about(&words, "a cat on the grass", "the cat in the grass"), "other");
        assert_eq!(about(&words, "a cat on the grass", "a cat near the grass"), "other replaced");
        assert_eq!(about(&words, "the cat", "a dog"), "objects");
        // Unknown prepositions are prepositions too.
        assert_eq!(about(&words, "a cat", "a cat beneath the snow"), "places");
        assert_eq!(about(&words, "a cat", "a cat - in the snow"), "places");
    }

    #[test]
    fn words_that_are_unknown_go_by_their_relation() {
        let words = vocabulary();
        assert_eq!(about(&words, "a cat", "a griffin"), "objects replaced");
        assert_eq!(about(&words, "a cat", "a cat with a griffin"), "added");
        assert_eq!(about(&words, "a cat with a griffin", "a cat"), "replaced");
        let none = Vocabulary::default();
        assert_eq!(about(&none, "a cat", "a dog"), "replaced");
        assert_eq!(about(&none, "a cat", "a cat in the snow"), "added");
        assert_eq!(about(&none, "a cat in the snow", "a cat"), "replaced");
        assert_eq!(about(&none, "a cat", "a dog in snow"), "added replaced");
    }

    #[test]
    fn the_same_words_are_a_reweighting() {
        let words = vocabulary();
        for target in ["a cat, here", "A CAT here", "a cat here"] {
            assert_eq!(about(&words, "a cat here", target), "reweighted", "{target}");
        }
    }
}
