//! Why an edit cannot be planned.
//!
//! Contract: every error names the [`Field`] at fault, and its message says what was asked for and what there is. An
//! edit that would silently do nothing is an error too.

use crate::p2p::field::{BlendPart, EqualizerPart, Field};
use crate::p2p::prompt::{Prompt, WordRef};

/// Why an edit cannot be planned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A word is not in the prompt that it is looked up in.
    #[error("{prompt} {word}; {} {}", prompt.listing(), words.join(", "))]
    WordNotFound {
        word: WordRef,
        prompt: PromptSide,
        /// The prompt's words, each once, without the punctuation around them.
        words: Vec<String>,
        field: Field,
    },
    /// A word of a list overrides another one, because it names the same tokens or more.
    #[error("{word} names all that {earlier} names, so that {earlier} has no effect; name each word once")]
    WordTwice { word: WordRef, earlier: WordRef, field: Field },
    /// A prompt has more tokens than the text encoder takes.
    #[error("the prompt has {tokens} tokens; the model reads at most {max_tokens}")]
    PromptTooLong { tokens: usize, max_tokens: usize, field: Field },
    /// `replace` needs a word for every word.
    #[error(
        "replace needs prompts with the same number of words; the source prompt has {source_words}, the target prompt {target_words}"
    )]
    ReplaceWordCount { source_words: usize, target_words: usize },
    /// `reweight` was asked for with another prompt.
    #[error("reweight needs the source's prompt, but the target prompt has other tokens")]
    ReweightChangesPrompt,
    /// The bounds of a window are out of order or out of range.
    #[error("{window}")]
    InvalidWindow { window: InvalidWindow, field: Field },
    /// A window that is not off selects no step.
    #[error("the window from {lo} to {hi} contains none of the {steps} steps")]
    WindowSelectsNoStep { lo: f64, hi: f64, steps: usize, field: Field },
    /// An equalizer strength is not a finite number.
    #[error("expected a finite strength, got {strength}")]
    InvalidStrength { strength: f32, at: usize },
    /// An equalizer scales injected attention only, and none is injected for its word.
    #[error(
        "the equalizer on {word} has no effect: the word's cross-attention is injected at none of the {steps} steps"
    )]
    EqualizerNoEffect { word: WordRef, steps: usize, at: usize },
    /// A local blend without a word that selects a part of the image.
    #[error("the local blend has no words: none are given, and no words of the prompts differ")]
    LocalBlendNoWords,
    /// A threshold outside `[0, 1)`.
    #[error("expected a threshold of at least 0 and below 1, got {threshold}")]
    InvalidThreshold { threshold: f32 },
    /// A start outside `[0, 1)`.
    #[error("expected a start of at least 0 and below 1, got {start}")]
    InvalidStart { start: f64 },
}

/// Bounds that are not those of a [`Window`](crate::p2p::Window).
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("expected a window [low, high] with 0 <= low <= high <= 1, got [{lo}, {hi}]")]
pub struct InvalidWindow {
    /// The lower bound.
    pub lo: f64,
    /// The upper bound.
    pub hi: f64,
}

/// The prompt that a word was looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptSide {
    /// The source's.
    Source,
    /// The target's.
    Target,
    /// Both, where one of them would do.
    Either,
}

impl EditError {
    /// The field at fault.
    #[must_use]
    pub fn field(&self) -> Field {
        match self {
            Self::WordNotFound { field, .. }
            | Self::WordTwice { field, .. }
            | Self::PromptTooLong { field, .. }
            | Self::InvalidWindow { field, .. }
            | Self::WindowSelectsNoStep { field, .. } => field.clone(),
            Self::InvalidStrength { at, .. } => Field::Equalizer { at: *at, part: EqualizerPart::Strength },
            Self::EqualizerNoEffect { at, .. } => Field::Equalizer { at: *at, part: EqualizerPart::Word },
            Self::ReplaceWordCount { .. } | Self::ReweightChangesPrompt => Field::Prompt,
            Self::LocalBlendNoWords => Field::LocalBlend(BlendPart::Whole),
            Self::InvalidThreshold { .. } => Field::LocalBlend(BlendPart::Threshold),
            Self::InvalidStart { .. } => Field::LocalBlend(BlendPart::Start),
        }
    }

    /// A word that is not in a prompt.
    pub(crate) fn word_not_found(word: &WordRef, side: PromptSide, prompts: &[&Prompt], field: Field) -> Self {
        let mut words: Vec<String> = Vec::new();
        for word in prompts.iter().flat_map(|prompt| prompt.word_list()) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        Self::WordNotFound { word: word.clone(), prompt: side, words, field }
    }
}

impl InvalidWindow {
    /// The error of an edit whose field holds these bounds.
    #[must_use]
    pub fn at(self, field: Field) -> EditError {
        EditError::InvalidWindow { window: self, field }
    }
}

impl PromptSide {
    fn listing(self) -> &'static str {
        match self {
            Self::Source | Self::Target => "its words are:",
            Self::Either => "their words are:",
        }
    }
}

/// The beginning of the sentence that a missing word ends.
impl std::fmt::Display for PromptSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Source => "the source prompt has no word",
            Self::Target => "the target prompt has no word",
            Self::Either => "neither prompt has a word",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::{prompt, text};

    fn not_found(word: WordRef, side: PromptSide, prompts: &[&Prompt]) -> EditError {
        EditError::word_not_found(&word, side, prompts, Field::Equalizer { at: 0, part: EqualizerPart::Word })
    }

    #[test]
    fn a_missing_word_is_named_with_the_words_there_are() {
        let (cat, dog) = (prompt("a cat, a hat - here"), prompt("a dog on grass"));
        let error = not_found(text("dgo"), PromptSide::Target, &[&dog]);
        assert_eq!(error.to_string(), "the target prompt has no word \"dgo\"; its words are: a, dog, on, grass");
        assert_eq!(error.field(), Field::Equalizer { at: 0, part: EqualizerPart::Word });
        assert_eq!(
            not_found(WordRef::Index(7), PromptSide::Source, &[&cat]).to_string(),
            "the source prompt has no word 7; its words are: a, cat, hat, -, here"
        );
        assert_eq!(
            not_found(text("x"), PromptSide::Either, &[&cat, &dog]).to_string(),
            "neither prompt has a word \"x\"; their words are: a, cat, hat, -, here, dog, on, grass"
        );
    }

    #[test]
    fn an_invalid_window_names_its_field() {
        let error = InvalidWindow { lo: 0.5, hi: 0.2 }.at(Field::SelfReplaceSteps);
        assert_eq!(error.field(), Field::SelfReplaceSteps);
        assert_eq!(error.to_string(), "expected a window [low, high] with 0 <= low <= high <= 1, got [0.5, 0.2]");
    }
}
