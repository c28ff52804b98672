//! Attention to words, as it is in answers.

use serde::Serialize;
use utoipa::ToSchema;

/// Where the image attends to a word.
#[derive(Debug, Serialize, ToSchema)]
pub struct WordAttention {
    /// The word.
    pub word: String,
    /// Its 0-based index; absent if the request gave a text, which may match several words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Positions of its tokens, counted from the start marker at 0.
    pub tokens: Vec<usize>,
    /// Rows of `values`.
    pub height: usize,
    /// Columns of `values`.
    pub width: usize,
    /// The attention of a value of 1: the mean over layers, heads and the word's tokens, summed over the steps.
    pub max: f32,
    /// Attention by row and column of the image, 0 to 1, as a fraction of `max`.
    pub values: Vec<Vec<f32>>,
}

/// The attention of a session's image to a word of its prompt.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttentionResponse {
    /// `attention`.
    pub object: &'static str,
    /// The session.
    pub session: String,
    /// The step, counted from 0; null for the sum over all steps.
    pub step: Option<usize>,
    /// Steps of the source.
    pub steps: usize,
    /// The word and its map.
    #[serde(flatten)]
    pub word: WordAttention,
}

/// The attention of a session's image to all words of its prompt.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttentionList {
    /// `list`.
    pub object: &'static str,
    /// In the order of the prompt.
    pub data: Vec<AttentionResponse>,
}

/// The attention to one word if the request names one, else to all words.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum AttentionAnswer {
    /// To one word.
    One(AttentionResponse),
    /// To all words.
    All(AttentionList),
}
