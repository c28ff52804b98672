//! What holds for any two prompts: agreement with the published code, and the laws of the linear form.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::published;
use super::testing::{MAX_TOKENS, pieces, prompt};
use super::*;

/// Words of one to three tokens, some of them phrase openers, some with punctuation, which is a token more.
fn word() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a",
        "cat",
        "dog",
        "bird",
        "tiger",
        "squirrel",
        "chinchilla",
        "in",
        "with",
        "on",
        "snow",
        "snow,",
        "Cat",
        "(dog)",
        "bench,",
        "watercolor",
    ])
}

fn words(
    count: impl Into<proptest::collection::SizeRange>,
) -> impl Strategy<Value = Vec<&'static str>> {
    vec(word(), count)
}

fn any_prompt() -> impl Strategy<Value = Prompt> {
    words(1..10).prop_map(|words| prompt(&words.join(" ")))
}

fn equally_many_words() -> impl Strategy<Value = (Prompt, Prompt)> {
    (1_usize..10)
        .prop_flat_map(|count| (words(count), words(count)))
        .prop_map(|(x, y)| (prompt(&x.join(" ")), prompt(&y.join(" "))))
}

/// A prompt, and one with words put in anywhere.
fn pure_addition() -> impl Strategy<Value = (Prompt, Prompt)> {
    (words(1..8), vec((any::<Index>(), word()), 1..5)).prop_map(|(source, added)| {
        let mut target = source.clone();
        for (at, word) in added {
            target.insert(at.index(target.len() + 1), word);
        }
        (prompt(&source.join(" ")), prompt(&target.join(" ")))
    })
}

/// A target that shares words with its source, so that runs between kept words come about.
fn related() -> impl Strategy<Value = (Prompt, Prompt)> {
    let edit = prop_oneof![3 => Just(None), 2 => words(0..4).prop_map(Some)];
    vec((word(), edit), 1..8).prop_map(|parts| {
        let source: Vec<_> = parts.iter().map(|part| part.0).collect();
        let target: Vec<_> = parts
            .into_iter()
            .flat_map(|(word, edit)| edit.unwrap_or_else(|| vec![word]))
            .collect();
        (prompt(&source.join(" ")), prompt(&target.join(" ")))
    })
}

fn window() -> impl Strategy<Value = Window> {
    (0.0..=1.0_f64, 0.0..=1.0_f64).prop_map(|(a, b)| Window {
        lo: a.min(b),
        hi: a.max(b),
    })
}

/// Every token injected at every step.
fn always(edit_type: EditType) -> EditParams {
    EditParams {
        cross_replace: CrossReplaceSteps {
            default: Window { lo: 0.0, hi: 1.0 },
            words: vec![],
        },
        ..EditParams::new(edit_type)
    }
}

fn published_replace(source: &Prompt, target: &Prompt) -> Vec<Vec<f32>> {
    let cut = |prompt: &Prompt| -> Vec<String> {
        let text = prompt.text();
        pieces(text)
            .into_iter()
            .map(|span| text[span].to_owned())
            .collect()
    };
    let (x, y) = (cut(source), cut(target));
    let x: Vec<&str> = x.iter().map(String::as_str).collect();
    let y: Vec<&str> = y.iter().map(String::as_str).collect();
    published::replacement_mapper((source.text(), &x), (target.text(), &y), MAX_TOKENS)
}

/// Number of tokens of the entry's sides that a target token of it is spread over: source over target, or 1.
fn expected_sum(entry: &AlignedWords) -> f32 {
    let (from, to) = (entry.source_tokens.len(), entry.target_tokens.len());
    if entry.relation == Relation::Replaced && from != to {
        from as f32 / to as f32
    } else {
        1.0
    }
}

proptest! {
    #[test]
    fn replace_is_the_published_mapper((source, target) in equally_many_words()) {
        let alignment = replace(&source, &target).expect("equally many words");
        let published = published_replace(&source, &target);
        let rows: Vec<Vec<f32>> = alignment.map.rows().map(<[f32]>::to_vec).collect();
        prop_assert_eq!(rows, published);
        prop_assert!(alignment.has_source.iter().all(|&has| has));
    }

    #[test]
    fn refine_is_the_published_mapper(source in any_prompt(), target in any_prompt()) {
        let alignment = refine(&source, &target);
        let (mapper, alphas) = published::refinement_mapper(source.ids(), target.ids(), MAX_TOKENS);
        for token in 0..MAX_TOKENS {
            prop_assert_eq!(alignment.has_source[token], alphas[token] == 1.0);
            let column: Vec<f32> = alignment.map.column(token).collect();
            let mut expected = vec![0.0; MAX_TOKENS];
            if let Ok(from) = usize::try_from(mapper[token]) {
                expected[from] = 1.0;
            }
            prop_assert_eq!(column, expected);
        }
    }

    #[test]
    fn refine_tells_of_every_word_once(source in any_prompt(), target in any_prompt()) {
        let words = refine(&source, &target).words;
        let told: Vec<usize> = words.iter().flat_map(|entry| entry.target_words.clone()).collect();
        prop_assert_eq!(told, (0..target.words().len()).collect::<Vec<_>>());
        for word in 0..source.words().len() {
            let entries = || words.iter().filter(|entry| entry.source_words.contains(&word));
            let removed = entries().filter(|entry| entry.relation == Relation::Removed).count();
            // A source word is removed, once, or a part of one or more target words.
            let once = entries().count() == 1;
            prop_assert!(once || (removed == 0 && entries().count() > 0));
        }
    }

    #[test]
    fn auto_is_replace_on_equally_many_words((source, target) in equally_many_words()) {
        let (edit_type, alignment) = auto(&source, &target);
        if source.ids() == target.ids() {
            prop_assert_eq!(edit_type, EditType::Reweight);
            prop_assert!(alignment.map.is_identity());
        } else {
            prop_assert_eq!(edit_type, EditType::Replace);
            prop_assert_eq!(alignment, replace(&source, &target).expect("equally many words"));
        }
    }

    #[test]
    fn auto_is_refine_on_pure_additions((source, target) in pure_addition()) {
        let (edit_type, alignment) = auto(&source, &target);
        prop_assert_eq!(edit_type, EditType::Refine);
        prop_assert_eq!(alignment, refine(&source, &target));
    }

    #[test]
    fn word_by_word_gives_every_column_its_sum((source, target) in related()) {
        let alignment = super::auto::word_by_word(&source, &target);
        for (token, &has_source) in alignment.has_source.iter().enumerate() {
            let sum: f32 = alignment.map.column(token).sum();
            let entry = alignment.words.iter().find(|entry| entry.target_tokens.contains(&token));
            let expected = match (has_source, entry) {
                (false, _) => 0.0,
                (true, Some(entry)) => expected_sum(entry),
                (true, None) => 1.0,
            };
            prop_assert!((sum - expected).abs() < 1e-5, "{token}: {sum}, not {expected}");
            if let Some(entry) = entry {
                let takes = matches!(entry.relation, Relation::Replaced | Relation::Kept);
                prop_assert!(takes || !has_source);
                prop_assert!(entry.relation != Relation::Replaced || has_source);
            }
        }
    }

    #[test]
    fn word_by_word_tells_of_every_word_once_and_in_order((source, target) in related()) {
        let alignment = super::auto::word_by_word(&source, &target);
        let targets: Vec<usize> = alignment.words.iter().flat_map(|w| w.target_words.clone()).collect();
        let sources: Vec<usize> = alignment.words.iter().flat_map(|w| w.source_words.clone()).collect();
        prop_assert_eq!(targets, (0..target.words().len()).collect::<Vec<_>>());
        prop_assert_eq!(sources, (0..source.words().len()).collect::<Vec<_>>());
    }

    #[test]
    fn word_by_word_takes_maps_only_from_the_entry_s_source((source, target) in related()) {
        let alignment = super::auto::word_by_word(&source, &target);
        for entry in &alignment.words {
            for &token in &entry.target_tokens {
                for (from, weight) in alignment.map.column(token).enumerate() {
                    prop_assert!(weight == 0.0 || entry.source_tokens.contains(&from));
                }
            }
        }
    }

    #[test]
    fn gates_are_the_published_table(
        target in any_prompt(),
        default in window(),
        own in vec((any::<Index>(), window()), 0..4),
        steps in 1_usize..60,
    ) {
        let words: Vec<(WordRef, Window)> = own
            .into_iter()
            .map(|(at, window)| (WordRef::Index(at.index(target.words().len())), window))
            .collect();
        let cross_replace = CrossReplaceSteps { default, words };
        let Ok(table) = GateTable::new(&target, &cross_replace, steps) else {
            // A window that selects no step; what that is has its own tests.
            return Err(TestCaseError::reject("no step"));
        };
        let words: Vec<_> = cross_replace
            .words
            .iter()
            .map(|(word, window)| (target.find(word).expect("a word"), (window.lo, window.hi)))
            .collect();
        let published =
            published::time_words_alpha(steps, (default.lo, default.hi), &words, MAX_TOKENS);
        for (step, row) in published.iter().enumerate() {
            prop_assert_eq!(table.row(step), &row[..]);
        }
    }

    #[test]
    fn a_window_is_refused_exactly_where_it_opens_no_step(window in window(), steps in 1_usize..60) {
        let target = prompt("a cat");
        let cross_replace = CrossReplaceSteps { default: window, words: vec![] };
        let table = GateTable::new(&target, &cross_replace, steps);
        let published = published::time_words_alpha(steps, (window.lo, window.hi), &[], 1);
        let opens = published[..steps].iter().any(|row| row[0] == 1.0);
        prop_assert_eq!(table.is_ok(), opens || window.is_off());
    }

    #[test]
    fn an_edit_to_itself_is_the_identity(source in any_prompt(), window in window(), kind in 0..4_usize) {
        use EditType::{Auto, Refine, Replace, Reweight};
        let steps = 4;
        let params = EditParams {
            cross_replace: CrossReplaceSteps { default: window, words: vec![] },
            ..EditParams::new([Auto, Replace, Refine, Reweight][kind])
        };
        let Ok(plan) = EditPlan::new(&source, &source, &params, steps) else {
            return Err(TestCaseError::reject("no step"));
        };
        prop_assert!(plan.is_identity());
        let gates = GateTable::new(&source, &params.cross_replace, steps).expect("valid");
        for step in 0..steps {
            let (gate, injection) = (gates.row(step), plan.cross(step));
            // A = diag(a), B = diag(1 - a): together all ones.
            let diagonal = TokenMatrix::identity(MAX_TOKENS).scale_columns(gate);
            prop_assert_eq!(&injection.from_source, &diagonal);
            for (token, gate) in gate.iter().enumerate() {
                let sum: f32 = injection.from_source.column(token).sum();
                prop_assert_eq!(injection.own[token], 1.0 - gate);
                prop_assert_eq!(sum + injection.own[token], 1.0);
            }
        }
    }

    #[test]
    fn the_linear_form_is_the_published_forward(
        (source, target) in related(),
        strength in -3.0..3.0_f32,
        at in any::<Index>(),
        attention in vec(0.0..1.0_f32, 2 * MAX_TOKENS),
        step in 0..10_usize,
    ) {
        prop_assume!(!target.words().is_empty());
        let word = WordRef::Index(at.index(target.words().len()));
        let mut params = always(EditType::Refine);
        params.cross_replace.default.hi = 0.5;
        params.equalizer = vec![Equalize { word: word.clone(), strength }];
        let plan = EditPlan::new(&source, &target, &params, 10).expect("valid");
        let injection = plan.cross(step);
        let (mapper, alphas) = published::refinement_mapper(source.ids(), target.ids(), MAX_TOKENS);
        let (base, own) = attention.split_at(MAX_TOKENS);
        let scaled = target.find(&word).expect("a word");
        for token in 0..MAX_TOKENS {
            // AttentionRefine, AttentionReweight and the gate of AttentionControlEdit, one after the other.
            let from = usize::try_from(mapper[token]).map_or(base[MAX_TOKENS - 1], |from| base[from]);
            let refined = from * alphas[token] + own[token] * (1.0 - alphas[token]);
            let equalizer = if scaled.contains(&token) { strength } else { 1.0 };
            let gate = if step < 5 { 1.0 } else { 0.0 };
            let published = refined * equalizer * gate + (1.0 - gate) * own[token];
            let taken: f32 = injection.from_source.column(token).zip(base).map(|(w, b)| w * b).sum();
            prop_assert!((taken + injection.own[token] * own[token] - published).abs() < 1e-6);
        }
    }

    #[test]
    fn steps_of_one_phase_inject_the_same((source, target) in related(), default in window(), own in window()) {
        prop_assume!(!target.words().is_empty());
        let words = vec![(WordRef::Index(0), own)];
        let params = EditParams {
            cross_replace: CrossReplaceSteps { default, words },
            ..EditParams::default()
        };
        let Ok(plan) = EditPlan::new(&source, &target, &params, 6) else {
            return Err(TestCaseError::reject("no step"));
        };
        for step in 0..plan.steps() {
            prop_assert_eq!(plan.cross(step), plan.cross(plan.phases()[plan.phase(step)]));
        }
    }

    #[test]
    fn the_blend_mask_is_the_published_one(
        (map_h, map_w) in (1..9_usize, 1..9_usize),
        (h, w) in (1..20_usize, 1..20_usize),
        values in vec(prop_oneof![2 => Just(0.0), 3 => 0.0..4.0_f32], 2 * 8 * 8 * 4),
        chosen in vec(vec(any::<bool>(), 4), 4),
        threshold in 0.0..0.99_f32,
    ) {
        let tokens = |side: usize| -> Vec<usize> { (0..4).filter(|&token| chosen[side][token]).collect() };
        let plan = BlendPlan {
            source_tokens: tokens(0),
            target_tokens: tokens(1),
            exclude_source: tokens(2),
            exclude_target: tokens(3),
            threshold,
            start_step: 0,
        };
        let length = map_h * map_w * 4;
        let (source, target) = (&values[..length], &values[length..2 * length]);
        let published = |maps: &[f32], side: usize, pool| {
            let alpha: Vec<f32> = chosen[side].iter().map(|&set| if set { 1.0 } else { 0.0 }).collect();
            let maps: Vec<Vec<Vec<f32>>> = maps
                .chunks(map_w * 4)
                .map(|line| line.chunks(4).map(<[f32]>::to_vec).collect())
                .collect();
            published::get_mask(&maps, &alpha, pool, (h, w), threshold).concat()
        };
        let (from, to) = (published(source, 0, true), published(target, 1, true));
        let (not_from, not_to) = (published(source, 2, false), published(target, 3, false));
        let expected: Vec<bool> = (0..h * w)
            .map(|at| (from[at] || to[at]) && !(not_from[at] || not_to[at]))
            .collect();
        prop_assert_eq!(blend_mask(&plan, source, target, map_h, map_w, h, w), expected);
    }
}
