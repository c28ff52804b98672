//! Attention to words, as it is in answers.

use serde::Serialize;
use utoipa::ToSchema;

/// Where the image attends to a word.
#[derive(Debug, Serialize, ToSchema)]
pub struct WordAttention {
    /// The word.
    pub word: String,
    /// Its 0-based index; absent if it was asked for by a text, which may match several words.
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
    /// Attention by row and column of the image, 0 to 1, as a part of `max`.
    pub values: Vec<Vec<f32>>,
}

/// The attention of a session's image to a word of its prompt.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttentionResponse {
    /// `attention`.
    pub object: &'static str,
    /// The session.
    pub session: String,
    /// The step, from 0; null where all are summed.
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

/// The attention to one word where one was asked for, otherwise to all.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum AttentionAnswer {
    /// One word's.
    One(AttentionResponse),
    /// All words'.
    All(AttentionList),
}
