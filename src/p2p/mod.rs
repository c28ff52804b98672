//! Prompt-to-Prompt (Hertz et al., arXiv 2208.01626) as pure functions: two tokenized prompts and parameters in,
//! numbers out.
//!
//! The method edits an image by putting the source prompt's attention maps in place of the target prompt's. Every
//! edit of the paper is linear in the attention probabilities and acts on the token axis, so an [`EditPlan`] comes
//! down to two matrices a step ([`CrossInjection`]), a window of steps for self-attention, and the words of a local
//! blend. Nothing here knows of tensors, HTTP or a model; what is wrong with a request shows here, as an
//! [`EditError`], before anything runs.
//!
//! | file | holds |
//! | --- | --- |
//! | `prompt` | a tokenized prompt, its words, and how a word is looked up |
//! | `matrix` | a square matrix over token positions |
//! | `align` | what an alignment is: matrix, flags, and words for people |
//! | `sequence` | Needleman-Wunsch with the published scores |
//! | `replace`, `refine`, `auto` | the three ways to align two prompts (`reweight` in `align`) |
//! | `phrase` | where a substituted run of words ends |
//! | `schedule` | windows of steps, and the gate per step and token |
//! | `window_form` | how a window is written down |
//! | `vocabulary`, `kind`, `presets` | windows that suit kinds of edits, by the words that change |
//! | `windows` | the windows of an edit: asked for, from a preset, or published |
//! | `equalizer` | the factor per token |
//! | `params`, `plan` | what is asked for, and all that follows from it |
//! | `blend_plan`, `blend` | local blend: its tokens, and its mask |
//! | `heat` | heat maps: where the image attends to a word |
//! | `error` | what can be wrong |

mod align;
mod blend;
mod equalizer;
mod error;
mod heat_map;
mod params;
mod plan;
mod prompt;
mod schedule;

#[cfg(test)]
mod plan_properties;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod published_tests;
#[cfg(test)]
mod testing;

pub use align::auto::auto;
pub use align::matrix::TokenMatrix;
pub use align::refine::refine;
pub use align::replace::replace;
pub use align::{AlignedWords, Alignment, EditType, Relation, reweight};
pub use blend::plan::BlendPlan;
pub use blend::{blend_level, blend_mask, mask};
pub use error::{EditError, InvalidWindow, PromptSide};
pub use heat_map::{HeatMap, NamedWord, add_step, all_words, heat_map, named_word, named_word_of, sum_steps};
pub use params::{BlendWords, EditParams, Equalize, LocalBlendParams};
pub use plan::{CrossInjection, EditPlan};
pub use prompt::{Prompt, Word, WordRef};
pub use schedule::presets::{Preset, PresetError, Presets};
pub use schedule::vocabulary::Vocabulary;
pub use schedule::windows::{Origin, Windows};
pub use schedule::{CrossReplaceSteps, GateTable, Window};
