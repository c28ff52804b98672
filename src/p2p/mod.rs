//! Prompt-to-Prompt (Hertz et al., arXiv 2208.01626) as pure functions: two tokenized prompts and parameters in,
//! numbers out.
//!
//! The method edits an image by putting the source prompt's attention maps in place of the target prompt's. Every
//! edit of the paper is linear in the attention probabilities and acts on the token axis, so an [`EditPlan`] comes
//! down to two matrices a step ([`CrossInjection`]), a window of steps for self-attention, and the words of a local
//! blend. This module has no tensors, no HTTP and no models. A wrong request fails here, as an [`EditError`], before
//! anything runs; the error names the [`Field`] at fault.
//!
//! | module | content |
//! | --- | --- |
//! | `prompt` | a tokenized prompt, its words, and how a word is looked up |
//! | `align` | the four ways to align two prompts |
//! | `schedule` | windows of steps, the gate per step and token, presets by kind of edit |
//! | `blend` | local blend: its tokens, and its mask |
//! | `equalizer` | the factor per token |
//! | `params`, `plan` | the parameters of an edit, and all that follows from them |
//! | `heat_map` | where the image attends to a word |
//! | `field`, `error` | the fields of an edit, and what can be wrong with them |
//!
//! `published_tests` compares align, schedule and prompt with the published code; `testing` is what tests share.

mod align;
mod blend;
mod equalizer;
mod error;
mod field;
mod heat_map;
mod params;
mod plan;
mod prompt;
mod schedule;

#[cfg(test)]
mod published_tests;
#[cfg(test)]
mod testing;

pub use align::alignment::{AlignedWords, Alignment, EditType, Relation};
pub use align::auto::auto;
pub use align::matrix::TokenMatrix;
pub use align::refine::refine;
pub use align::replace::replace;
pub use align::reweight::reweight;
pub use blend::mask::{blend_level, blend_mask, mask};
pub use blend::plan::BlendPlan;
pub use error::{EditError, InvalidWindow, PromptSide};
pub use field::{BlendPart, CrossWindow, EqualizerPart, Field};
pub use heat_map::{HeatMap, NamedWord, add_step, all_words, heat_map, named_word, named_word_of, sum_steps};
pub use params::{BlendWords, EditParams, Equalize, LocalBlendParams};
pub use plan::{CrossInjection, EditPlan};
pub use prompt::{Prompt, Word, WordRef};
pub use schedule::gates::GateTable;
pub use schedule::preset_error::PresetError;
pub use schedule::presets::{Preset, Presets};
pub use schedule::vocabulary::Vocabulary;
pub use schedule::window::{CrossReplaceSteps, Window};
pub use schedule::windows::{Origin, Windows};
