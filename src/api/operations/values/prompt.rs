//! The text of a prompt, checked for its length and for words.

use serde_json::{Value, json};

use crate::api::fields::{Components, FieldType, Node, shape, to_schema};
use crate::api::problem::{Code, Problem};

/// Longer prompts are refused before they are tokenized: 77 tokens of any language take fewer bytes.
pub(crate) const MAX_PROMPT_BYTES: usize = 4096;

/// A prompt that has a word and is short enough to be tokenized. Whether its tokens fit depends on the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptText(String);

/// Why a text cannot be a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPrompt {
    /// It is empty, or white space.
    #[error("the prompt has no words")]
    Empty,
    /// It has too many bytes.
    #[error("expected a prompt of at most {MAX_PROMPT_BYTES} bytes, got {bytes}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl PromptText {
    /// Checks a text.
    ///
    /// # Errors
    /// [`InvalidPrompt`].
    pub(crate) fn new(text: impl Into<String>) -> Result<Self, InvalidPrompt> {
        let text = text.into();
        check_length(&text)?;
        if text.trim().is_empty() { Err(InvalidPrompt::Empty) } else { Ok(Self(text)) }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks the length of a text that may be empty, such as a negative prompt.
///
/// # Errors
/// [`InvalidPrompt::TooLong`].
pub(crate) fn check_length(text: &str) -> Result<(), InvalidPrompt> {
    if text.len() <= MAX_PROMPT_BYTES { Ok(()) } else { Err(InvalidPrompt::TooLong { bytes: text.len() }) }
}

impl InvalidPrompt {
    /// The code of the problem.
    pub(crate) fn code(self) -> Code {
        match self {
            Self::Empty => Code::EmptyPrompt,
            Self::TooLong { .. } => Code::PromptTooLong,
        }
    }
}

impl FieldType for PromptText {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        let text = String::read(node)?;
        Self::new(text).map_err(|error| node.problem(error.code(), error.to_string()))
    }

    fn schema() -> Value {
        shape::reference("Prompt")
    }

    fn components(into: &mut Components) {
        into.add("Prompt", || {
            json!({
                "type": "string", "minLength": 1, "maxLength": MAX_PROMPT_BYTES, "pattern": r"\S",
                "description": "A prompt: it has a word, and fits into the model's tokens."
            })
        });
    }
}

to_schema!(PromptText as "Prompt");
