//! The answer to an alignment.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::operations::bodies::{AlignedWordsBody, WarningBody, WindowsBody};
use crate::api::wire::EditTypeSchema;

/// Two prompts, token by token and word by word.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlignResponse {
    /// `alignment`.
    pub object: &'static str,
    /// What the edit type came down to.
    #[schema(value_type = EditTypeSchema)]
    pub edit_type: &'static str,
    /// The source's tokens.
    pub source_tokens: Vec<TokenBody>,
    /// The target's tokens.
    pub target_tokens: Vec<TokenBody>,
    /// Tokens that a prompt may have.
    pub max_tokens: usize,
    /// The words of both prompts, in the target's order.
    pub alignment: Vec<AlignedWordsBody>,
    /// When attention is the source's in an edit of this type that asks for no windows.
    pub windows: WindowsBody,
    /// Warnings about the request; may be empty.
    pub warnings: Vec<WarningBody>,
}

/// A token of a prompt.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenBody {
    /// Its position, counted from the start marker at 0.
    pub position: usize,
    /// Its number in the vocabulary.
    pub id: u32,
    /// Its entry in the vocabulary.
    pub token: String,
    /// The part of the prompt that it covers.
    pub text: String,
}
