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
    /// The edit type that applies. For `auto`: the published type that it equals for these prompts, else `auto`.
    #[schema(value_type = EditTypeSchema)]
    pub edit_type: &'static str,
    /// The source's tokens.
    pub source_tokens: Vec<TokenBody>,
    /// The target's tokens.
    pub target_tokens: Vec<TokenBody>,
    /// Maximum number of tokens of a prompt.
    pub max_tokens: usize,
    /// The words of both prompts, in the target's order.
    pub alignment: Vec<AlignedWordsBody>,
    /// The windows of an edit of this type that sets none.
    pub windows: WindowsBody,
    /// Warnings about the request; empty if there are none.
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
    /// The part of the prompt that it encodes.
    pub text: String,
}
