//! When attention is injected: windows of steps, and the gate per step and token.
//!
//! Contract: what a request asks for holds; a window that it leaves out comes from the presets of the model, or is the
//! published one.
//!
//! | file | holds |
//! | --- | --- |
//! | `window`, `window_serde` | windows of steps, and how one is written in a file |
//! | `gates` | the gate per step and token |
//! | `vocabulary` | the words that a model knows, in groups |
//! | `relation_kind`, `edit_kind` | the kind of an edit, by the words that change |
//! | `presets`, `preset_error` | windows that suit kinds of edits |
//! | `windows` | the windows of an edit: requested, from a preset, or published |

pub(crate) mod edit_kind;
pub(crate) mod gates;
pub(crate) mod preset_error;
pub(crate) mod presets;
mod relation_kind;
pub(crate) mod vocabulary;
pub(crate) mod window;
mod window_serde;
pub(crate) mod windows;
