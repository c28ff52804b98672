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
//! | `overrides` | whether an entry of a list would override another one |
//! | `field`, `error` | the fields of an edit, and what can be wrong with them |
//!
//! `published_tests` compares align, schedule and prompt with the published code; `testing` is what tests share.

mod align;
mod blend;
mod equalizer;
mod error;
mod field;
mod heat_map;
mod overrides;
mod params;
mod plan;
mod prompt;
mod schedule;

#[cfg(test)]
mod published_tests;
#[cfg(test)]
mod testing;

pub use align::alignment::EditType;
pub(crate) use align::alignment::{AlignedWords, Relation};
pub(crate) use align::matrix::TokenMatrix;
pub(crate) use blend::mask::blend_level;
pub use blend::mask::blend_mask;
pub(crate) use error::{EditError, InvalidWindow};
pub(crate) use field::{BlendPart, CrossWindow, EqualizerPart, Field};
pub use heat_map::add_step;
pub(crate) use heat_map::{HeatMap, NamedWord, all_words, heat_map, named_word, named_word_of, sum_steps};
pub use params::EditParams;
pub(crate) use params::{BlendWords, Equalize, LocalBlendParams};
pub(crate) use plan::CrossInjection;
pub use plan::EditPlan;
pub(crate) use prompt::{Prompt, WordRef};
pub(crate) use schedule::preset_error::PresetError;
pub(crate) use schedule::presets::Preset;
pub use schedule::presets::Presets;
pub(crate) use schedule::vocabulary::Vocabulary;
pub use schedule::window::{CrossReplaceSteps, Window};
pub(crate) use schedule::windows::{Origin, Windows};
