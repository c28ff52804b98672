//! Attention to words, as it is asked for and answered.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The parameters of `GET /v1/sessions/{id}/attention`.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AttentionQuery {
    /// A word of the source's prompt, a phrase, or a 0-based word index. Absent: all words, as JSON.
    #[serde(default)]
    #[param(min_length = 1, example = "cat")]
    pub word: Option<String>,
    /// One step, from 0. Absent: all steps summed.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 0, example = 0)]
    pub step: Option<String>,
}

/// Where the image attends to a word.
#[derive(Debug, Serialize, ToSchema)]
pub struct WordAttention {
    /// The word.
    pub word: String,
    /// Its 0-based index; absent where it was asked for by a text, which may stand for several words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Positions of its tokens, counted from the start marker at 0.
    pub tokens: Vec<usize>,
    /// Rows of `values`.
    pub height: usize,
    /// Columns of `values`.
    pub width: usize,
    /// What a value of 1 stands for: the mean over layers, heads and the word's tokens, summed over the steps.
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
