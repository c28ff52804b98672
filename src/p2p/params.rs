//! The parameters of an edit, besides its two prompts.
//!
//! Contract: plain data. Words are as a person wrote them; [`EditPlan::new`](crate::p2p::EditPlan::new) looks them up
//! and checks every range.

use crate::p2p::align::alignment::EditType;
use crate::p2p::prompt::WordRef;
use crate::p2p::schedule::window::{CrossReplaceSteps, Window};

/// The parameters of an edit.
#[derive(Debug, Clone, PartialEq)]
pub struct EditParams {
    /// How the prompts are aligned.
    pub edit_type: EditType,
    /// When cross-attention maps are injected; `None`: as the preset says that fits the edit, or during the first 0.8
    /// of the steps (see [`Windows`](crate::p2p::Windows)). A window that was asked for must select a step, others need
    /// not.
    pub cross_replace: Option<CrossReplaceSteps>,
    /// When self-attention maps are injected; `None`: likewise, or during the first 0.4 of the steps.
    pub self_replace: Option<Window>,
    /// Factors on the attention that words of the target get; of two on one token the later holds.
    pub equalizer: Vec<Equalize>,
    /// Keeps the source image outside the parts that words select.
    pub local_blend: Option<LocalBlendParams>,
}

/// A factor on a word's attention (section 3.2 of the paper, "attention re-weighting").
#[derive(Debug, Clone, PartialEq)]
pub struct Equalize {
    /// A word of the target.
    pub word: WordRef,
    /// Any finite number: above 1 more of the word, below 1 less, negative against it.
    pub strength: f32,
}

/// Where an edit may change the image (`LocalBlend` of the published code).
#[derive(Debug, Clone, PartialEq)]
pub struct LocalBlendParams {
    /// The words whose parts of the image may change.
    pub words: BlendWords,
    /// Words of either prompt whose parts of the image must not change.
    pub exclude: Vec<WordRef>,
    /// What part of the highest attention a position must pass, in `[0, 1)`.
    pub threshold: f32,
    /// The part of the steps, in `[0, 1)`, after which the blend is applied.
    pub start: f64,
}

/// The words of a local blend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BlendWords {
    /// Those in which the prompts differ.
    #[default]
    DifferingWords,
    /// Those given; on a side without a list, those in which that side's prompt differs.
    Listed {
        /// Words of the source.
        source: Option<Vec<WordRef>>,
        /// Words of the target.
        target: Option<Vec<WordRef>>,
    },
}

impl EditParams {
    /// An edit that asks for no windows, no equalizer and no local blend.
    #[must_use]
    pub fn new(edit_type: EditType) -> Self {
        Self { edit_type, ..Self::default() }
    }
}

impl Default for EditParams {
    fn default() -> Self {
        Self {
            edit_type: EditType::Auto,
            cross_replace: None,
            self_replace: None,
            equalizer: Vec::new(),
            local_blend: None,
        }
    }
}

impl Default for LocalBlendParams {
    fn default() -> Self {
        Self { words: BlendWords::DifferingWords, exclude: Vec::new(), threshold: 0.3, start: 0.2 }
    }
}
