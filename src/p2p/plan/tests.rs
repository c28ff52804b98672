//! Edit plans, by example.

use super::*;
use crate::p2p::params::{Equalize, LocalBlendParams};
use crate::p2p::schedule::window::{CrossReplaceSteps, Window};
use crate::p2p::testing::{MAX_TOKENS, prompt, text};

fn planned(source: &str, target: &str, params: &EditParams) -> Result<EditPlan, EditError> {
    EditPlan::new(&prompt(source), &prompt(target), params, &Presets::default(), 10)
}

fn equalized(edit_type: EditType, word: &str, strength: f32) -> EditParams {
    EditParams { equalizer: vec![Equalize { word: text(word), strength }], ..EditParams::new(edit_type) }
}

fn column(injection: &CrossInjection, token: usize) -> f32 {
    injection.from_source.column(token).sum()
}

#[test]
fn an_open_gate_takes_the_source_and_a_shut_one_the_own_map() {
    let plan = planned("a cat", "a dog", &EditParams::default()).expect("valid");
    // int(0.8 * 11) = 8 steps of cross-attention, int(0.4 * 10) = 4 of self-attention.
    let open = plan.cross(7);
    assert!(open.source_is_identity() && open.uses_source() && !open.uses_own());
    let shut = plan.cross(8);
    assert!(!shut.uses_source() && shut.own == [1.0; MAX_TOKENS]);
    assert!(plan.injects_self(3) && !plan.injects_self(4));
}

#[test]
fn a_token_without_a_source_keeps_its_own_map() {
    let plan = planned("a cat", "a big cat", &EditParams::default()).expect("valid");
    let injection = plan.cross(0);
    assert_eq!((column(&injection, 2), injection.own[2]), (0.0, 1.0));
    assert_eq!((column(&injection, 3), injection.own[3]), (1.0, 0.0));
    assert!(injection.uses_own() && !injection.source_is_identity());
}

#[test]
fn the_equalizer_scales_what_is_injected_with_or_without_a_source() {
    let params = equalized(EditType::Refine, "cat", -2.0);
    let plan = planned("a cat", "a big cat", &params).expect("valid");
    assert_eq!(column(&plan.cross(0), 3), -2.0);
    assert_eq!(plan.cross(9).own[3], 1.0, "not outside the window");

    let params = equalized(EditType::Refine, "big", 3.0);
    let plan = planned("a cat", "a big cat", &params).expect("valid");
    assert_eq!(plan.cross(0).own[2], 3.0);
    assert_eq!(plan.cross(9).own[2], 1.0);
}

#[test]
fn the_same_prompt_is_the_identity_in_every_type() {
    use EditType::{Auto, Refine, Replace, Reweight};
    for edit_type in [Auto, Replace, Refine, Reweight] {
        let plan = planned("a cat", "a cat", &EditParams::new(edit_type)).expect("valid");
        assert!(plan.is_identity(), "{edit_type:?}");
        let plan = planned("a cat", "a cat", &equalized(edit_type, "cat", 2.0)).expect("valid");
        assert!(!plan.is_identity(), "{edit_type:?} with an equalizer");
        let plan = planned("a cat", "a cat", &equalized(edit_type, "cat", 1.0)).expect("valid");
        assert!(plan.is_identity(), "{edit_type:?} with a strength of 1");
    }
    let other = planned("a cat", "a dog", &EditParams::default()).expect("valid");
    assert!(!other.is_identity(), "an identity map of other words");
}

#[test]
fn auto_says_what_it_came_down_to() {
    let edit_type = |target| {
        let plan = planned("a cat", target, &EditParams::default());
        plan.expect("valid").edit_type()
    };
    assert_eq!(edit_type("a cat"), EditType::Reweight);
    assert_eq!(edit_type("a dog"), EditType::Replace);
    assert_eq!(edit_type("a big cat"), EditType::Refine);
    assert_eq!(edit_type("a polar bear"), EditType::Auto);
}

#[test]
fn steps_of_one_gate_row_are_one_phase() {
    let params = EditParams {
        cross_replace: Some(CrossReplaceSteps {
            default: Window { lo: 0.0, hi: 0.3 },
            words: vec![(text("dog"), Window { lo: 0.0, hi: 0.6 })],
        }),
        ..EditParams::default()
    };
    let plan = planned("a cat", "a dog", &params).expect("valid");
    let phases: Vec<_> = (0..10).map(|step| plan.phase(step)).collect();
    // int(0.3 * 11) = 3 and int(0.6 * 11) = 6.
    assert_eq!(phases, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]);
    assert_eq!(plan.phases(), [0, 3, 6]);
}

#[test]
fn a_gate_that_shuts_again_returns_to_its_first_phase() {
    let params = EditParams {
        cross_replace: Some(CrossReplaceSteps { default: Window { lo: 0.2, hi: 0.4 }, words: vec![] }),
        ..EditParams::default()
    };
    let plan = planned("a cat", "a dog", &params).expect("valid");
    let phases: Vec<_> = (0..10).map(|step| plan.phase(step)).collect();
    assert_eq!(phases, [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn what_would_do_nothing_is_an_error() {
    let small = EditParams { self_replace: Some(Window { lo: 0.0, hi: 0.05 }), ..EditParams::default() };
    let error = planned("a cat", "a dog", &small).expect_err("int(0.5) = 0");
    let field = Field::SelfReplaceSteps;
    assert_eq!(error, EditError::WindowSelectsNoStep { lo: 0.0, hi: 0.05, steps: 10, field });

    let blend = EditParams { local_blend: Some(LocalBlendParams::default()), ..EditParams::default() };
    assert_eq!(planned("a cat", "a cat", &blend), Err(EditError::LocalBlendNoWords));
    let plan = planned("a cat", "a dog", &blend).expect("valid");
    assert_eq!(plan.blend().map(|blend| blend.start_step), Some(2));

    let off = Window { lo: 0.0, hi: 0.0 };
    let all_off = EditParams {
        cross_replace: Some(CrossReplaceSteps { default: off, words: vec![] }),
        self_replace: Some(off),
        ..equalized(EditType::Auto, "dog", 2.0)
    };
    let error = planned("a cat", "a dog", &all_off).expect_err("gates are shut");
    assert!(matches!(error, EditError::EqualizerNoEffect { .. }));
}

#[test]
fn edit_types_that_do_not_fit_say_so() {
    let error = |edit_type, target| planned("a cat", target, &EditParams::new(edit_type)).expect_err("refused");
    let replace = error(EditType::Replace, "a big cat");
    assert_eq!(replace, EditError::ReplaceWordCount { source_words: 2, target_words: 3 });
    let reweight = error(EditType::Reweight, "a dog");
    assert_eq!(reweight, EditError::ReweightChangesPrompt);
    assert_eq!((replace.field(), reweight.field()), (Field::Prompt, Field::Prompt));
}

#[test]
fn a_prompt_that_does_not_fit_is_refused() {
    let long = "word ".repeat(76);
    let error = planned("a cat", &long, &EditParams::default()).expect_err("78 tokens");
    assert_eq!(error, EditError::PromptTooLong { tokens: 78, max_tokens: 77, field: Field::Prompt });
    assert_eq!(error.to_string(), "the prompt has 78 tokens; the model reads at most 77");
    let error = planned(&long, "a cat", &EditParams::default()).expect_err("78 tokens");
    assert_eq!(error.field(), Field::SourcePrompt);
}
