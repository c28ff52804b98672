//! `refine`: the target says more than the source, exactly as the published `AttentionRefine` maps tokens.
//!
//! Contract: the matrix and flags are the mapper and `alphas` of `get_mapper` (`seq_aligner.py`): token ids, BOS and
//! EOS included, aligned globally; a target token with a counterpart takes its map, one without keeps its own;
//! positions past the target's end map to themselves, even where the source is longer.

use crate::p2p::align::alignment::{AlignedWords, Alignment, Relation, joined, tokens};
use crate::p2p::align::matrix::TokenMatrix;
use crate::p2p::align::needleman_wunsch;
use crate::p2p::prompt::Prompt;

/// Aligns prompts token by token (`AttentionRefine`, section 3.2 of the paper, "adding a new phrase").
#[must_use]
pub fn refine(source: &Prompt, target: &Prompt) -> Alignment {
    let size = target.max_tokens();
    let pairs = needleman_wunsch::align(source.ids(), target.ids());
    let mut map = TokenMatrix::zeros(size);
    let mut has_source = vec![false; size];
    let padding = (target.len()..size).map(|position| (position, position));
    for (from, to) in pairs.iter().copied().chain(padding) {
        map.set(from, to, 1.0);
        has_source[to] = true;
    }
    Alignment { map, has_source, words: words(source, target, &pairs), shifted: None }
}

/// A target word is kept where any of its tokens has a counterpart, punctuation aside: a comma that comes from another
/// word's comma makes no word of that one. A source word is removed where no target word is kept from it.
fn words(source: &Prompt, target: &Prompt, pairs: &[(usize, usize)]) -> Vec<AlignedWords> {
    let mut entries = Vec::new();
    // The first source word without an entry yet. Pairs ascend, so one pass puts removed words at their place.
    let mut next = 0;
    for (at, word) in target.words().iter().enumerate() {
        let from = |tokens: &[usize]| -> Vec<usize> {
            pairs.iter().filter(|(_, to)| tokens.contains(to)).map(|&(from, _)| from).collect()
        };
        let source_words = words_of(source, &from(word.inner_tokens()));
        let used = if source_words.is_empty() { Vec::new() } else { from(&word.tokens) };
        if let Some(&last) = source_words.last() {
            // Also words amid the used ones: pieces of a word may come from several words.
            let unused = (next..last).filter(|word| !source_words.contains(word));
            entries.extend(unused.map(|word| removed(source, target, word)));
            next = next.max(last + 1);
        }
        entries.push(AlignedWords {
            relation: if source_words.is_empty() { Relation::Added } else { Relation::Kept },
            target: joined(target, &[at]),
            source: joined(source, &source_words),
            target_tokens: tokens(target, &[at]),
            source_tokens: used,
            target_words: vec![at],
            source_words,
        });
    }
    entries.extend((next..source.words().len()).map(|word| removed(source, target, word)));
    entries
}

/// Indices of the words that the tokens belong to.
fn words_of(prompt: &Prompt, tokens: &[usize]) -> Vec<usize> {
    let touched = |word: &usize| {
        let word = &prompt.words()[*word];
        word.tokens.iter().any(|token| tokens.contains(token))
    };
    (0..prompt.words().len()).filter(touched).collect()
}

fn removed(source: &Prompt, target: &Prompt, word: usize) -> AlignedWords {
    AlignedWords::new(Relation::Removed, source, vec![word], target, vec![])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::{MAX_TOKENS, prompt};

    fn described(alignment: &Alignment) -> Vec<(&str, Option<&str>, Option<&str>)> {
        let entries = alignment.words.iter();
        entries.map(|w| (w.relation.as_str(), w.source.as_deref(), w.target.as_deref())).collect()
    }

    #[test]
    fn added_words_keep_their_own_maps() {
        let alignment = refine(&prompt("a cat"), &prompt("a big cat"));
        assert_eq!(alignment.map.get(1, 1), 1.0);
        assert_eq!(alignment.map.column(2).sum::<f32>(), 0.0);
        assert!(!alignment.has_source[2]);
        assert_eq!(alignment.map.get(2, 3), 1.0);
        // EOS to EOS, and padding to itself.
        assert_eq!(alignment.map.get(3, 4), 1.0);
        assert_eq!(alignment.map.get(5, 5), 1.0);
        assert_eq!(
            described(&alignment),
            [("kept", Some("a"), Some("a")), ("added", None, Some("big")), ("kept", Some("cat"), Some("cat")),]
        );
        assert_eq!(alignment.words[2].source_tokens, [2]);
    }

    #[test]
    fn removed_words_keep_their_position() {
        let alignment = refine(&prompt("a very big cat sits"), &prompt("a cat"));
        assert_eq!(
            described(&alignment),
            [
                ("kept", Some("a"), Some("a")),
                ("removed", Some("very"), None),
                ("removed", Some("big"), None),
                ("kept", Some("cat"), Some("cat")),
                ("removed", Some("sits"), None),
            ]
        );
    }

    #[test]
    fn positions_past_the_target_map_to_themselves_even_into_the_source() {
        let alignment = refine(&prompt("a very big cat"), &prompt("a cat"));
        assert_eq!(alignment.map.get(4, 4), 1.0);
        assert_eq!(alignment.map.get(MAX_TOKENS - 1, MAX_TOKENS - 1), 1.0);
        assert!(alignment.has_source.iter().all(|&has| has));
    }

    #[test]
    fn a_word_is_kept_when_part_of_it_is() {
        let alignment = refine(&prompt("a cat"), &prompt("a cat, here"));
        assert_eq!(described(&alignment)[1], ("kept", Some("cat"), Some("cat,")));
        assert_eq!(alignment.words[1].target_tokens, [2, 3]);
        assert_eq!(alignment.words[1].source_tokens, [2]);
    }

    #[test]
    fn a_comma_makes_no_word_of_the_one_it_comes_from() {
        let alignment = refine(&prompt("snow a bench,"), &prompt("snow,"));
        let expected =
            [("kept", Some("snow"), Some("snow,")), ("removed", Some("a"), None), ("removed", Some("bench,"), None)];
        assert_eq!(described(&alignment), expected);
    }
}
