//! What holds for any two prompts, however they are aligned.
//!
//! Contract: every property is independent of the others: a law or a naive definition. `published_tests` checks
//! agreement with the published code, on data.

use proptest::prelude::*;

use crate::p2p::align::auto::{auto, word_by_word};
use crate::p2p::align::pairing::Pairing;
use crate::p2p::align::refine::refine;
use crate::p2p::align::replace::replace;
use crate::p2p::prompt::Word;
use crate::p2p::testing::{MAX_TOKENS, any_prompt, equally_many_words, pure_addition, related, swapped};
use crate::p2p::*;

/// The most pairs that an alignment in order of the first `i` and `j` elements has, at \[i\]\[j\].
fn most_pairs(x: &[u32], y: &[u32]) -> Vec<Vec<usize>> {
    let mut most = vec![vec![0; y.len() + 1]; x.len() + 1];
    for (i, from) in x.iter().enumerate() {
        for (j, to) in y.iter().enumerate() {
            let without = most[i][j + 1].max(most[i + 1][j]);
            most[i + 1][j + 1] = if from == to { most[i][j] + 1 } else { without };
        }
    }
    most
}

/// A column with a single one.
fn one_at(row: usize) -> Vec<f32> {
    (0..MAX_TOKENS).map(|at| if at == row { 1.0 } else { 0.0 }).collect()
}

/// What a target token takes in all where `from` tokens stand for `to`.
fn sum_of_spread(from: usize, to: usize) -> f32 {
    if from == to { 1.0 } else { from as f32 / to as f32 }
}

/// The tokens of an entry's words without the punctuation around them: the source's and the target's.
fn core_tokens(entry: &AlignedWords, source: &Prompt, target: &Prompt) -> (Vec<usize>, Vec<usize>) {
    let of = |prompt: &Prompt, words: &[usize]| -> Vec<usize> {
        words.iter().flat_map(|&word| prompt.words()[word].core_tokens.clone()).collect()
    };
    (of(source, &entry.source_words), of(target, &entry.target_words))
}

proptest! {
    #[test]
    fn replace_is_the_identity_where_words_have_as_many_tokens((source, target) in equally_many_words()) {
        let alignment = replace(&source, &target).expect("equally many words");
        let as_many = |(x, y): (&Word, &Word)| x.tokens.len() == y.tokens.len();
        if source.words().iter().zip(target.words()).all(as_many) {
            prop_assert!(alignment.map.is_identity());
        }
        prop_assert!(alignment.has_source.iter().all(|&has| has));
    }

    #[test]
    fn replace_takes_words_for_words_up_to_the_last_that_differs((source, target) in equally_many_words()) {
        let alignment = replace(&source, &target).expect("equally many words");
        let last = alignment.words.iter().rposition(|entry| entry.relation == Relation::Replaced);
        let led = last.map_or(0, |last| last + 1);
        prop_assert_eq!(alignment.map.column(0).collect::<Vec<_>>(), one_at(0));
        for entry in &alignment.words[..led] {
            let (from, to) = (&entry.source_tokens, &entry.target_tokens);
            for (at, &token) in to.iter().enumerate() {
                let column: Vec<f32> = alignment.map.column(token).collect();
                if from.len() == to.len() {
                    prop_assert_eq!(column, one_at(from[at]));
                    continue;
                }
                for (source, &weight) in column.iter().enumerate() {
                    let share = if from.contains(&source) { 1.0 / to.len() as f32 } else { 0.0 };
                    prop_assert_eq!(weight, share);
                }
            }
        }
    }

    #[test]
    fn replace_keeps_positions_after_the_last_word_that_differs((source, target) in equally_many_words()) {
        let alignment = replace(&source, &target).expect("equally many words");
        let replaced = || alignment.words.iter().filter(|entry| entry.relation == Relation::Replaced);
        let tail = replaced().next_back().and_then(|entry| entry.target_tokens.last()).map_or(0, |last| last + 1);
        let from: usize = replaced().map(|entry| entry.source_tokens.len()).sum();
        let to: usize = replaced().map(|entry| entry.target_tokens.len()).sum();
        // The source comes to its end first where its words had more tokens, and nothing is left for the last columns.
        let end = MAX_TOKENS - from.saturating_sub(to);
        for token in tail..MAX_TOKENS {
            let expected = if token < end { one_at(token) } else { vec![0.0; MAX_TOKENS] };
            prop_assert_eq!(alignment.map.column(token).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn refine_pairs_equal_tokens_in_order_as_many_and_as_early_as_can_be(
        source in any_prompt(),
        target in any_prompt(),
    ) {
        let alignment = refine(&source, &target);
        let mut pairs = Vec::new();
        for token in 0..target.len() {
            let from = alignment.map.column(token).position(|weight| weight != 0.0);
            let expected = from.map_or(vec![0.0; MAX_TOKENS], one_at);
            prop_assert_eq!(alignment.map.column(token).collect::<Vec<_>>(), expected);
            prop_assert_eq!(alignment.has_source[token], from.is_some());
            pairs.extend(from.map(|from| (from, token)));
        }
        prop_assert!(pairs.iter().all(|&(from, to)| source.ids()[from] == target.ids()[to]));
        prop_assert!(pairs.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));

        // The most pairs there can be; of two target tokens for the last pair the earlier one, then of two source
        // tokens the earlier one, and so on before it.
        let most = most_pairs(source.ids(), target.ids());
        prop_assert_eq!(pairs.len(), most[source.len()][target.len()]);
        let mut end = source.len();
        for (before, &(from, to)) in pairs.iter().enumerate().rev() {
            prop_assert_eq!((most[end][to], most[end][to + 1]), (before, before + 1));
            prop_assert_eq!((most[from][to + 1], most[from + 1][to + 1]), (before, before + 1));
            end = from;
        }
        for token in target.len()..MAX_TOKENS {
            prop_assert_eq!(alignment.map.column(token).collect::<Vec<_>>(), one_at(token));
            prop_assert!(alignment.has_source[token]);
        }
    }

    #[test]
    fn refine_has_every_word_once(source in any_prompt(), target in any_prompt()) {
        let words = refine(&source, &target).words;
        let listed: Vec<usize> = words.iter().flat_map(|entry| entry.target_words.clone()).collect();
        prop_assert_eq!(listed, (0..target.words().len()).collect::<Vec<_>>());
        for word in 0..source.words().len() {
            let entries = || words.iter().filter(|entry| entry.source_words.contains(&word));
            let removed = entries().filter(|entry| entry.relation == Relation::Removed).count();
            // A source word is removed, once, or a part of one or more target words.
            let once = entries().count() == 1;
            prop_assert!(once || (removed == 0 && entries().count() > 0));
        }
    }

    #[test]
    fn auto_is_replace_where_words_are_swapped_for_words_of_as_many_tokens((source, target) in swapped()) {
        let (edit_type, alignment) = auto(&source, &target);
        // No token moves, and where a word has punctuation the other has it too.
        let has_core = |prompt: &Prompt| -> Vec<bool> {
            let words = prompt.words().iter();
            let tokens = words.flat_map(|word| word.tokens.iter().map(|token| word.core_tokens.is_empty() || word.core_tokens.contains(token)));
            tokens.collect()
        };
        let as_many = |(x, y): (&Word, &Word)| x.tokens.len() == y.tokens.len();
        let as_many = |words: (&Word, &Word)| as_many(words) && has_core(&source) == has_core(&target);
        if source.ids() == target.ids() {
            prop_assert_eq!(edit_type, EditType::Reweight);
            prop_assert!(alignment.map.is_identity());
        } else if source.words().iter().zip(target.words()).all(as_many) {
            prop_assert_eq!(edit_type, EditType::Replace);
            prop_assert_eq!(alignment, replace(&source, &target).expect("equally many words"));
        } else {
            prop_assert!(matches!(edit_type, EditType::Auto | EditType::Refine));
            let places: Vec<_> = alignment.words.iter().map(|entry| (&entry.source_words, &entry.target_words)).collect();
            prop_assert!(places.iter().all(|(from, to)| from == to && from.len() == 1), "word for word");
        }
    }

    #[test]
    fn auto_gives_a_kept_word_its_own_map_and_a_swapped_one_that_of_the_word_it_replaces(
        (source, target) in prop_oneof![equally_many_words(), related(), pure_addition(), swapped()],
    ) {
        let (_, alignment) = auto(&source, &target);
        prop_assert!(alignment.shifted.is_none());
        for entry in &alignment.words {
            let (from, to) = core_tokens(entry, &source, &target);
            let takes_from = |token: usize| -> Vec<usize> {
                let rows = 0..MAX_TOKENS;
                if alignment.has_source[token] {
                    rows.filter(|&row| alignment.map.get(row, token) != 0.0).collect()
                } else {
                    Vec::new()
                }
            };
            match entry.relation {
                Relation::Kept if from.len() == to.len() => {
                    prop_assert_eq!(to.iter().flat_map(|&token| takes_from(token)).collect::<Vec<_>>(), from);
                }
                Relation::Replaced if !from.is_empty() && !to.is_empty() => {
                    for token in to {
                        prop_assert!(!takes_from(token).is_empty());
                        prop_assert!(takes_from(token).iter().all(|row| from.contains(row)), "{:?}", entry);
                    }
                }
                Relation::Added => prop_assert!(to.iter().all(|&token| takes_from(token).is_empty())),
                _ => {}
            }
        }
    }

    #[test]
    fn replace_says_which_words_the_maps_come_from((source, target) in equally_many_words()) {
        let alignment = replace(&source, &target).expect("equally many words");
        for entry in alignment.taken().iter().filter(|entry| !entry.target_tokens.is_empty()) {
            let given = |row: &usize| entry.target_tokens.iter().any(|&token| alignment.map.get(*row, token) != 0.0);
            prop_assert_eq!(&(0..MAX_TOKENS).filter(given).collect::<Vec<_>>(), &entry.source_tokens);
            if entry.relation == Relation::Kept {
                let keys = |prompt: &Prompt, words: &[usize]| words.iter().map(|&word| prompt.words()[word].key().to_owned()).collect::<Vec<_>>();
                prop_assert_eq!(keys(&source, &entry.source_words), keys(&target, &entry.target_words));
            }
        }
        let targets: Vec<usize> = alignment.taken().iter().flat_map(|w| w.target_words.clone()).collect();
        prop_assert_eq!(targets, (0..target.words().len()).collect::<Vec<_>>());
    }

    #[test]
    fn auto_is_refine_on_pure_additions((source, target) in pure_addition()) {
        let (edit_type, alignment) = auto(&source, &target);
        prop_assert_eq!(edit_type, EditType::Refine);
        prop_assert_eq!(alignment, refine(&source, &target));
    }

    #[test]
    fn word_by_word_gives_every_column_its_sum((source, target) in related()) {
        let alignment = word_by_word(&source, &target, &Pairing::new(&source, &target));
        for (token, &has_source) in alignment.has_source.iter().enumerate() {
            let sum: f32 = alignment.map.column(token).sum();
            let entry = alignment.words.iter().find(|entry| entry.target_tokens.contains(&token));
            let replaced = entry.filter(|entry| entry.relation == Relation::Replaced);
            let expected = match replaced.map(|entry| (entry, core_tokens(entry, &source, &target))) {
                _ if !has_source => 0.0,
                Some((_, (from, to))) if !from.is_empty() && to.contains(&token) => sum_of_spread(from.len(), to.len()),
                Some((entry, (from, to))) if from.is_empty() || to.is_empty() => {
                    sum_of_spread(entry.source_tokens.len(), entry.target_tokens.len())
                }
                _ => 1.0,
            };
            prop_assert!((sum - expected).abs() < 1e-5, "{token}: {sum}, not {expected}");
            if let Some(entry) = entry {
                let takes = matches!(entry.relation, Relation::Replaced | Relation::Kept);
                prop_assert!(takes || !has_source);
            }
        }
    }

    #[test]
    fn substituted_words_take_from_words_and_punctuation_from_the_same_ending((source, target) in related()) {
        let alignment = word_by_word(&source, &target, &Pairing::new(&source, &target));
        for entry in alignment.words.iter().filter(|entry| entry.relation == Relation::Replaced) {
            let (from, to) = core_tokens(entry, &source, &target);
            let words_on_both_sides = !from.is_empty() && !to.is_empty();
            for &token in &entry.target_tokens {
                let takes_from = || (0..MAX_TOKENS).filter(|&source| alignment.map.get(source, token) != 0.0);
                if !words_on_both_sides || to.contains(&token) {
                    prop_assert!(alignment.has_source[token]);
                    prop_assert!(!words_on_both_sides || takes_from().all(|source| from.contains(&source)));
                    continue;
                }
                // A mark has a source exactly where it and all after it end both runs, past the words.
                let back = entry.target_tokens.iter().filter(|&&after| after >= token).count();
                let ends = |prompt: &Prompt, tokens: &[usize], core: &[usize]| -> Option<Vec<u32>> {
                    let ending = &tokens[tokens.len().checked_sub(back)?..];
                    let past = ending.iter().all(|mark| !core.contains(mark));
                    past.then(|| ending.iter().map(|&mark| prompt.ids()[mark]).collect())
                };
                let of_target = ends(&target, &entry.target_tokens, &to);
                let common = of_target.is_some() && of_target == ends(&source, &entry.source_tokens, &from);
                prop_assert_eq!(alignment.has_source[token], common);
                let expected = common.then(|| entry.source_tokens[entry.source_tokens.len() - back]);
                prop_assert_eq!(takes_from().collect::<Vec<_>>(), Vec::from_iter(expected));
            }
        }
    }

    #[test]
    fn word_by_word_has_every_word_once_and_in_order((source, target) in related()) {
        let alignment = word_by_word(&source, &target, &Pairing::new(&source, &target));
        let targets: Vec<usize> = alignment.words.iter().flat_map(|w| w.target_words.clone()).collect();
        let sources: Vec<usize> = alignment.words.iter().flat_map(|w| w.source_words.clone()).collect();
        prop_assert_eq!(targets, (0..target.words().len()).collect::<Vec<_>>());
        prop_assert_eq!(sources, (0..source.words().len()).collect::<Vec<_>>());
    }

    #[test]
    fn word_by_word_takes_maps_only_from_the_entry_s_source((source, target) in related()) {
        let alignment = word_by_word(&source, &target, &Pairing::new(&source, &target));
        for entry in &alignment.words {
            for &token in &entry.target_tokens {
                for (from, weight) in alignment.map.column(token).enumerate() {
                    prop_assert!(weight == 0.0 || entry.source_tokens.contains(&from));
                }
            }
        }
    }
}
