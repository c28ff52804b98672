//! Where a run of substituted words ends.
//!
//! Contract: between two words that both prompts keep stand a run of source words and a run of target words.
//! "cat" against "polar bear" is one thing for another. "cat" against "dog in the snow" is a substitution and an
//! addition: were "in the snow" to share the cat's map, snow would be painted where the cat is and the dog would get
//! a quarter of its attention. English marks such an addition with a preposition, a conjunction or a comma, a closed
//! set of words, so that no grammar is needed.

use crate::p2p::prompt::Word;

/// Prepositions, conjunctions and relative words, and the two participles that only ever open a phrase. Participles
/// that also stand before a noun ("a big sleeping cat") are left out: a substitution must not break there.
const OPENERS: &[&str] = &[
    "about",
    "above",
    "across",
    "after",
    "against",
    "along",
    "amid",
    "among",
    "and",
    "around",
    "as",
    "at",
    "before",
    "behind",
    "below",
    "beneath",
    "beside",
    "between",
    "beyond",
    "but",
    "by",
    "down",
    "during",
    "for",
    "from",
    "holding",
    "in",
    "inside",
    "into",
    "like",
    "near",
    "next",
    "of",
    "off",
    "on",
    "onto",
    "or",
    "out",
    "outside",
    "over",
    "past",
    "that",
    "through",
    "to",
    "toward",
    "towards",
    "under",
    "underneath",
    "up",
    "upon",
    "wearing",
    "where",
    "which",
    "while",
    "who",
    "with",
    "within",
    "without",
];

/// How many words of the two runs are a substitution; what follows in either run is added or removed.
///
/// Where only one run opens a phrase after its first word, the substitution ends there. Where both do ("cat on ice"
/// against "dog in the deep snow") or neither does, the runs stand for each other as a whole. A run may also be
/// empty: then nothing is substituted.
pub(crate) fn substituted(source: &[Word], target: &[Word]) -> (usize, usize) {
    if source.is_empty() || target.is_empty() {
        return (0, 0);
    }
    match (opens(source), opens(target)) {
        (false, true) => (source.len(), phrase_start(target)),
        (true, false) => (phrase_start(source), target.len()),
        _ => (source.len(), target.len()),
    }
}

/// True where the run has a phrase opener anywhere, or goes on after a comma.
fn opens(run: &[Word]) -> bool {
    run.first().is_some_and(is_opener) || phrase_start(run) < run.len()
}

/// Index of the first word after the run's first that opens a phrase; the run's length where none does.
fn phrase_start(run: &[Word]) -> usize {
    (1..run.len()).find(|&at| is_opener(&run[at]) || run[at - 1].text.ends_with(',')).unwrap_or(run.len())
}

/// Whether a word is a preposition, a conjunction or one of the others that open a phrase.
pub(crate) fn is_opener(word: &Word) -> bool {
    OPENERS.binary_search(&word.key()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::prompt;

    fn split(source: &str, target: &str) -> (usize, usize) {
        substituted(prompt(source).words(), prompt(target).words())
    }

    #[test]
    fn openers_are_sorted_for_the_search() {
        assert!(OPENERS.is_sorted());
    }

    #[test]
    fn words_for_words_are_one_substitution() {
        assert_eq!(split("cat", "polar bear"), (1, 2));
        assert_eq!(split("big red car", "bus"), (3, 1));
        assert_eq!(split("cat on ice", "dog in the deep snow"), (3, 5));
    }

    #[test]
    fn a_phrase_that_only_the_target_opens_is_added() {
        assert_eq!(split("cat", "dog in the snow"), (1, 1));
        assert_eq!(split("cat", "polar bear With a hat"), (1, 2));
        assert_eq!(split("cat", "dog, oil painting"), (1, 1));
    }

    #[test]
    fn a_phrase_that_only_the_source_opens_is_removed() {
        assert_eq!(split("cat on a bench", "dog"), (1, 1));
    }

    #[test]
    fn a_run_that_begins_with_an_opener_is_not_cut_there() {
        assert_eq!(split("nearby", "in town"), (1, 2));
        assert_eq!(split("in", "under a bench on"), (1, 4));
    }

    #[test]
    fn nothing_replaces_an_empty_run() {
        assert_eq!(split("", "in the snow"), (0, 0));
        assert_eq!(split("in the snow", ""), (0, 0));
    }
}
