//! What holds for any plan of an edit: the laws of gates, linear form and local blend.
//!
//! Contract: as in `align::properties`, every property is independent of the others.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::p2p::align::auto::auto;
use crate::p2p::align::refine::refine;
use crate::p2p::blend::plan::BlendPlan;
use crate::p2p::schedule::gates::GateTable;
use crate::p2p::testing::{MAX_TOKENS, any_prompt, prompt, related, window};
use crate::p2p::*;

/// The positions of the map that a position of the mask looks at: the one under it, and with `pool` those around.
fn looked_at((y, x): (usize, usize), (h, w): (usize, usize), (map_h, map_w): (usize, usize), pool: bool) -> Vec<usize> {
    let reach = usize::from(pool);
    let (under_y, under_x) = (y * map_h / h, x * map_w / w);
    (0..map_h * map_w)
        .filter(|at| (at / map_w).abs_diff(under_y) <= reach && (at % map_w).abs_diff(under_x) <= reach)
        .collect()
}

/// Whether a row of a gate table lies in a window: bounds are taken over one row more than there are steps.
fn opens(window: Window, row: usize, steps: usize) -> bool {
    let bound = |part: f64| (part * (steps + 1) as f64).floor();
    bound(window.lo) <= row as f64 && (row as f64) < bound(window.hi)
}

proptest! {
    #[test]
    fn a_gate_is_a_function_of_the_last_window_on_its_token(
        target in any_prompt(),
        default in window(),
        own in vec((any::<Index>(), window()), 0..4),
        steps in 1_usize..60,
    ) {
        let words: Vec<(usize, Window)> =
            own.into_iter().map(|(at, window)| (at.index(target.words().len()), window)).collect();
        let asked = words.iter().map(|&(word, window)| (WordRef::Index(word), window)).collect();
        let Ok(table) = GateTable::new(&target, &CrossReplaceSteps { default, words: asked }, steps) else {
            // A window that selects no step; what that is has its own tests.
            return Err(TestCaseError::reject("no step"));
        };
        for token in 0..MAX_TOKENS {
            let own = words.iter().rev().find(|(word, _)| target.words()[*word].tokens.contains(&token));
            let window = own.map_or(default, |own| own.1);
            for row in 0..=steps {
                let gate = table.row(row)[token];
                prop_assert_eq!(gate, if opens(window, row, steps) { 1.0 } else { 0.0 });
            }
        }
    }

    #[test]
    fn a_window_is_refused_exactly_where_it_opens_no_step(window in window(), steps in 1_usize..60) {
        let target = prompt("a cat");
        let cross_replace = CrossReplaceSteps { default: window, words: vec![] };
        let table = GateTable::new(&target, &cross_replace, steps);
        let some = (0..steps).any(|step| opens(window, step, steps));
        prop_assert_eq!(table.is_ok(), some || window.is_off());
    }

    #[test]
    fn an_edit_to_itself_is_the_identity(source in any_prompt(), window in window(), kind in 0..4_usize) {
        use EditType::{Auto, Refine, Replace, Reweight};
        let steps = 4;
        let cross_replace = CrossReplaceSteps { default: window, words: vec![] };
        let params = EditParams {
            cross_replace: Some(cross_replace.clone()),
            ..EditParams::new([Auto, Replace, Refine, Reweight][kind])
        };
        let Ok(plan) = EditPlan::new(&source, &source, &params, &Presets::default(), steps) else {
            return Err(TestCaseError::reject("no step"));
        };
        prop_assert!(plan.is_identity());
        let gates = GateTable::new(&source, &cross_replace, steps).expect("valid");
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
    fn the_linear_form_is_the_edit_one_thing_after_the_other(
        (source, target) in related(),
        edit_type in select(vec![EditType::Auto, EditType::Refine]),
        strength in -3.0..3.0_f32,
        at in any::<Index>(),
        attention in vec(0.0..1.0_f32, 2 * MAX_TOKENS),
        step in 0..10_usize,
    ) {
        prop_assume!(!target.words().is_empty());
        let word = WordRef::Index(at.index(target.words().len()));
        let params = EditParams {
            cross_replace: Some(CrossReplaceSteps { default: Window { lo: 0.0, hi: 0.5 }, words: vec![] }),
            equalizer: vec![Equalize { word: word.clone(), strength }],
            ..EditParams::new(edit_type)
        };
        let plan = EditPlan::new(&source, &target, &params, &Presets::default(), 10);
        let injection = plan.expect("valid").cross(step);
        let alignment = if edit_type == EditType::Auto { auto(&source, &target).1 } else { refine(&source, &target) };
        let (base, own) = attention.split_at(MAX_TOKENS);
        let scaled = target.find(&word).expect("a word");
        for (token, &own) in own.iter().enumerate() {
            // Align, equalize, and blend by the gate, as the paper describes it.
            let taken: f32 = alignment.map.column(token).zip(base).map(|(weight, base)| weight * base).sum();
            let aligned = if alignment.has_source[token] { taken } else { own };
            let equalized = if scaled.contains(&token) { aligned * strength } else { aligned };
            let edited = if step < 5 { equalized } else { own };
            let from_source: f32 = injection.from_source.column(token).zip(base).map(|(w, b)| w * b).sum();
            prop_assert!((from_source + injection.own[token] * own - edited).abs() < 1e-4);
        }
    }

    #[test]
    fn steps_of_one_phase_inject_the_same((source, target) in related(), default in window(), own in window()) {
        prop_assume!(!target.words().is_empty());
        let words = vec![(WordRef::Index(0), own)];
        let params = EditParams {
            cross_replace: Some(CrossReplaceSteps { default, words }),
            ..EditParams::default()
        };
        let Ok(plan) = EditPlan::new(&source, &target, &params, &Presets::default(), 6) else {
            return Err(TestCaseError::reject("no step"));
        };
        for step in 0..plan.steps() {
            prop_assert_eq!(plan.cross(step), plan.cross(plan.phases()[plan.phase(step)]));
        }
    }

    #[test]
    fn the_blend_mask_is_where_words_are_bright_and_excluded_ones_are_not(
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
        // Each position of the mask by itself: what it looks at, beside the brightest that any position looks at.
        let bright = |maps: &[f32], side: usize, pool| -> Vec<bool> {
            let attention = |at: usize| -> f32 { tokens(side).iter().map(|token| maps[at * 4 + token]).sum() };
            let seen: Vec<f32> = (0..h * w)
                .map(|at| looked_at((at / w, at % w), (h, w), (map_h, map_w), pool))
                .map(|near| near.into_iter().map(attention).fold(0.0, f32::max))
                .collect();
            let brightest = seen.iter().copied().fold(0.0, f32::max);
            seen.iter().map(|&seen| brightest > 0.0 && seen / brightest > threshold).collect()
        };
        let (from, to) = (bright(source, 0, true), bright(target, 1, true));
        let (not_from, not_to) = (bright(source, 2, false), bright(target, 3, false));
        let expected: Vec<bool> =
            (0..h * w).map(|at| (from[at] || to[at]) && !(not_from[at] || not_to[at])).collect();
        prop_assert_eq!(blend_mask(&plan, source, target, map_h, map_w, h, w), expected);
    }
}
