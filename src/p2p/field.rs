//! The fields of an edit, as the method names them.
//!
//! Contract: an error points to the field at fault with one of these, never with a name from the outside. Each
//! interface renders the field in its own way: the HTTP API as a path (`equalizer[0].word`), the command line as a flag
//! (`--equalizer`).

use crate::p2p::prompt::WordRef;

/// A field of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The source prompt.
    SourcePrompt,
    /// The target prompt.
    Prompt,
    /// How the prompts are aligned.
    EditType,
    /// The windows of cross-attention.
    CrossReplaceSteps(CrossWindow),
    /// The window of self-attention.
    SelfReplaceSteps,
    /// An entry of the equalizer.
    Equalizer {
        /// Index of the entry, from 0.
        at: usize,
        /// The part of the entry.
        part: EqualizerPart,
    },
    /// The local blend.
    LocalBlend(BlendPart),
    /// The word that a heat map is asked for.
    HeatMapWord,
}

/// One of the windows of cross-attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrossWindow {
    /// The only window.
    Only,
    /// The window of all words that have none of their own.
    Default,
    /// The window of one word.
    Word(WordRef),
}

/// A part of an equalizer entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EqualizerPart {
    /// The word.
    Word,
    /// The factor on its attention.
    Strength,
}

/// A part of a local blend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlendPart {
    /// The blend as a whole.
    Whole,
    /// A word of the source prompt, by its index in the list.
    SourceWord(usize),
    /// A word of the target prompt, by its index in the list.
    TargetWord(usize),
    /// An excluded word, by its index in the list.
    ExcludedWord(usize),
    /// The threshold.
    Threshold,
    /// The start.
    Start,
}
