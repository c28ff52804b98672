//! The parameters of attention.

use serde::Deserialize;
use utoipa::IntoParams;

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
