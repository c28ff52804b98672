//! What can be wrong with an edit before anything runs.
//!
//! Contract: every error has a stable code for programs, the path of the field in the request, and a message that
//! names what was asked and what there is. An edit that would silently do nothing is an error too.

use crate::p2p::prompt::{Prompt, WordRef};

/// Why an edit cannot be planned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum EditError {
    /// A word is not in the prompt that it is looked up in.
    #[error("{prompt} {word}; {} {}", prompt.listing(), words.join(", "))]
    WordNotFound {
        word: WordRef,
        prompt: PromptSide,
        /// The prompt's words, each once, without the punctuation around them.
        words: Vec<String>,
        param: String,
    },
    /// A prompt has more tokens than the text encoder takes.
    #[error("the prompt has {tokens} tokens; at most {max_tokens} fit")]
    PromptTooLong { tokens: usize, max_tokens: usize, param: String },
    /// `replace` needs a word for every word.
    #[error(
        "replace needs prompts of equally many words, but the source prompt has {source_words} and the prompt {target_words}"
    )]
    ReplaceWordCount { source_words: usize, target_words: usize },
    /// `reweight` was asked for with another prompt.
    #[error("reweight keeps the prompt, but the tokens of the prompt differ from the source prompt's")]
    ReweightChangesPrompt,
    /// A window is none.
    #[error("{window}")]
    InvalidWindow { window: InvalidWindow, param: String },
    /// A window that is not off selects no step.
    #[error("the window from {lo} to {hi} selects none of the {steps} steps")]
    WindowSelectsNoStep { lo: f64, hi: f64, steps: usize, param: String },
    /// An equalizer strength is not a finite number.
    #[error("the strength of an equalizer must be a finite number, not {strength}")]
    InvalidStrength { strength: f32, param: String },
    /// An equalizer scales injected attention only, and none is injected for its word.
    #[error(
        "the equalizer on {word} does nothing: at none of the {steps} steps are the word's attention maps injected"
    )]
    EqualizerNoEffect { word: WordRef, steps: usize, param: String },
    /// A local blend without a word that selects a part of the image.
    #[error("the local blend has no words: none are given, and no words of the prompts differ")]
    LocalBlendNoWords,
    /// A threshold outside `[0, 1)`.
    #[error("the threshold of a local blend must be at least 0 and below 1, not {threshold}")]
    InvalidThreshold { threshold: f32 },
    /// A start outside `[0, 1)`.
    #[error("the start of a local blend must be at least 0 and below 1, not {start}")]
    InvalidStart { start: f64 },
}

/// Bounds that make no [`Window`](crate::p2p::Window).
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a window needs 0 <= low <= high <= 1, not [{lo}, {hi}]")]
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
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WordNotFound { .. } => "word_not_found",
            Self::PromptTooLong { .. } => "prompt_too_long",
            Self::ReplaceWordCount { .. } => "replace_word_count",
            Self::ReweightChangesPrompt => "reweight_changes_prompt",
            Self::InvalidWindow { .. } => "invalid_window",
            Self::WindowSelectsNoStep { .. } => "window_selects_no_step",
            Self::InvalidStrength { .. } => "invalid_strength",
            Self::EqualizerNoEffect { .. } => "equalizer_no_effect",
            Self::LocalBlendNoWords => "local_blend_no_words",
            Self::InvalidThreshold { .. } => "invalid_threshold",
            Self::InvalidStart { .. } => "invalid_start",
        }
    }

    /// The path of the field in the request, such as `equalizer[0].word`.
    #[must_use]
    pub fn param(&self) -> String {
        match self {
            Self::WordNotFound { param, .. }
            | Self::PromptTooLong { param, .. }
            | Self::InvalidWindow { param, .. }
            | Self::WindowSelectsNoStep { param, .. }
            | Self::InvalidStrength { param, .. }
            | Self::EqualizerNoEffect { param, .. } => param.clone(),
            Self::ReplaceWordCount { .. } | Self::ReweightChangesPrompt => "prompt".to_owned(),
            Self::LocalBlendNoWords => "local_blend".to_owned(),
            Self::InvalidThreshold { .. } => "local_blend.threshold".to_owned(),
            Self::InvalidStart { .. } => "local_blend.start".to_owned(),
        }
    }

    /// A word that is not in a prompt.
    pub(crate) fn word_not_found(word: &WordRef, side: PromptSide, prompts: &[&Prompt], param: String) -> Self {
        let mut words: Vec<String> = Vec::new();
        for word in prompts.iter().flat_map(|prompt| prompt.word_list()) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        Self::WordNotFound { word: word.clone(), prompt: side, words, param }
    }
}

impl InvalidWindow {
    /// The error of a request whose field at `param` holds these bounds.
    #[must_use]
    pub fn at(self, param: impl Into<String>) -> EditError {
        EditError::InvalidWindow { window: self, param: param.into() }
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
            Self::Target => "the prompt has no word",
            Self::Either => "neither prompt has a word",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::{prompt, text};

    fn not_found(word: WordRef, side: PromptSide, prompts: &[&Prompt]) -> EditError {
        EditError::word_not_found(&word, side, prompts, "equalizer[0].word".to_owned())
    }

    #[test]
    fn a_missing_word_is_named_with_the_words_there_are() {
        let (cat, dog) = (prompt("a cat, a hat - here"), prompt("a dog on grass"));
        let error = not_found(text("dgo"), PromptSide::Target, &[&dog]);
        assert_eq!(error.to_string(), "the prompt has no word \"dgo\"; its words are: a, dog, on, grass");
        assert_eq!(error.code(), "word_not_found");
        assert_eq!(error.param(), "equalizer[0].word");
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
    fn a_window_learns_its_field_from_the_request() {
        let error = InvalidWindow { lo: 0.5, hi: 0.2 }.at("self_replace_steps");
        assert_eq!(error.param(), "self_replace_steps");
        assert_eq!(error.to_string(), "a window needs 0 <= low <= high <= 1, not [0.5, 0.2]");
    }
}
