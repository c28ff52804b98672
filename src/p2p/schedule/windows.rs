//! The windows of an edit, and where they come from.
//!
//! Contract: what a request asks for holds, field by field. For a field that it leaves out, an edit that is aligned by
//! itself ([`EditType::Auto`]) takes the preset that fits it, and the published edit types keep the published windows.
//! A window that was not requested and that selects none of the steps, because there are very few, is off.

use crate::p2p::align::alignment::EditType;
use crate::p2p::params::EditParams;
use crate::p2p::schedule::presets::{Choice, Preset};
use crate::p2p::schedule::window::{CrossReplaceSteps, Window};

/// When attention is injected.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// Cross-attention.
    pub cross: CrossReplaceSteps,
    /// Where that comes from.
    pub cross_origin: Origin,
    /// Self-attention.
    pub self_attention: Window,
    /// Where that comes from.
    pub self_origin: Origin,
    /// The presets that a field comes from, in alphabetical order.
    pub presets: Vec<String>,
}

/// Where a window comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was asked for.
    Request,
    /// From presets of the model.
    Preset,
    /// It is the published one.
    Default,
}

impl Origin {
    /// All origins.
    pub const ALL: [Self; 3] = [Self::Request, Self::Preset, Self::Default];

    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Preset => "preset",
            Self::Default => "default",
        }
    }
}

impl Windows {
    /// The windows of an edit of `steps` steps; `choose` gives the windows of the presets.
    pub(crate) fn new(params: &EditParams, choose: impl FnOnce() -> Choice, steps: usize) -> Self {
        let asked = (&params.cross_replace, params.self_replace);
        let chosen = match (params.edit_type, asked) {
            (EditType::Auto, (None, _) | (_, None)) => choose(),
            _ => Choice { windows: Preset::PUBLISHED, presets: Vec::new() },
        };
        let otherwise = if chosen.presets.is_empty() { Origin::Default } else { Origin::Preset };
        let (cross, cross_origin) = match asked.0 {
            Some(cross) => (cross.clone(), Origin::Request),
            None => {
                let default = chosen.windows.cross_replace_steps.or_off(steps + 1, steps);
                (CrossReplaceSteps { default, words: Vec::new() }, otherwise)
            }
        };
        let (self_attention, self_origin) = match asked.1 {
            Some(window) => (window, Origin::Request),
            None => (chosen.windows.self_replace_steps.or_off(steps, steps), otherwise),
        };
        Self { cross, cross_origin, self_attention, self_origin, presets: chosen.presets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::{presets, prompt, text};
    use crate::p2p::{EditError, EditPlan};

    const STEPS: usize = 10;

    fn windows(params: &EditParams, steps: usize) -> Windows {
        let (source, target) = (prompt("a cat"), prompt("a dog"));
        let presets = presets(&[("objects", 0.5, 0.3)]);
        EditPlan::new(&source, &target, params, &presets, steps).expect("a plan").windows().clone()
    }

    fn window(hi: f64) -> Window {
        Window { lo: 0.0, hi }
    }

    #[test]
    fn what_is_left_out_comes_from_the_preset() {
        let both = windows(&EditParams::default(), STEPS);
        assert_eq!((both.cross.default, both.self_attention), (window(0.5), window(0.3)));
        assert_eq!((both.cross_origin, both.self_origin), (Origin::Preset, Origin::Preset));
        assert_eq!(both.presets, ["objects"]);
    }

    #[test]
    fn what_is_asked_for_holds_field_by_field() {
        let asked = EditParams { self_replace: Some(window(0.8)), ..EditParams::default() };
        let one = windows(&asked, STEPS);
        assert_eq!((one.cross.default, one.self_attention), (window(0.5), window(0.8)));
        assert_eq!((one.cross_origin, one.self_origin), (Origin::Preset, Origin::Request));

        // A window of one word: the others have what the request says of them, not the preset.
        let cross = CrossReplaceSteps { default: window(1.0), words: vec![(text("dog"), window(0.2))] };
        let asked = EditParams { cross_replace: Some(cross.clone()), ..EditParams::default() };
        let other = windows(&asked, STEPS);
        assert_eq!((other.cross, other.self_attention), (cross, window(0.3)));

        let asked = EditParams { self_replace: Some(window(0.8)), ..asked };
        let none = windows(&asked, STEPS);
        assert_eq!((none.cross_origin, none.self_origin, none.presets), (Origin::Request, Origin::Request, vec![]));
    }

    #[test]
    fn the_published_edit_types_keep_the_published_windows() {
        for edit_type in [EditType::Replace, EditType::Refine] {
            let published = windows(&EditParams::new(edit_type), STEPS);
            assert_eq!((published.cross.default, published.self_attention), (window(0.8), window(0.4)));
            assert_eq!((published.cross_origin, published.self_origin), (Origin::Default, Origin::Default));
            assert!(published.presets.is_empty());
        }
    }

    #[test]
    fn what_selects_no_step_of_few_is_off() {
        let few = windows(&EditParams::default(), 2);
        assert_eq!((few.cross.default, few.self_attention), (window(0.5), Window::OFF));
        let asked = EditParams { self_replace: Some(window(0.3)), ..EditParams::default() };
        let (source, target) = (prompt("a cat"), prompt("a dog"));
        let refused = EditPlan::new(&source, &target, &asked, &presets(&[]), 2).expect_err("asked for");
        assert!(matches!(refused, EditError::WindowSelectsNoStep { .. }));
    }
}
