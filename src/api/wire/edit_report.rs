//! What answers tell of an edit and of a request, beside the image: windows and warnings.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::wire::schema::{CrossWindowsSchema, OriginSchema, WarningCodeSchema};

/// When an edit takes the source's attention, and who said so.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WindowsBody {
    /// Of cross-attention: from one fraction of the steps to another, or windows per word as in a request.
    #[schema(value_type = CrossWindowsSchema, example = json!([0.0, 0.8]))]
    pub cross_replace_steps: Value,
    /// Of self-attention.
    #[schema(example = json!([0.0, 0.4]))]
    pub self_replace_steps: [f64; 2],
    /// Where each of the two comes from.
    pub from: WindowsFrom,
    /// The kinds of edit whose presets these are, see `/v1/models`; none where no preset took part.
    #[schema(example = json!([]))]
    pub presets: Vec<String>,
}

/// Where windows come from: `request`; `preset`, the model's for this kind of edit; `default`, the published one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WindowsFrom {
    /// That of cross-attention.
    #[schema(value_type = OriginSchema)]
    pub cross_replace_steps: &'static str,
    /// That of self-attention.
    #[schema(value_type = OriginSchema)]
    pub self_replace_steps: &'static str,
}

/// Something that a request may not have meant. It changes nothing of what is done.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WarningBody {
    /// A stable name for programs.
    #[schema(value_type = WarningCodeSchema)]
    pub code: &'static str,
    /// The path of the field.
    #[schema(example = "prompt")]
    pub param: String,
    /// Of `unknown_word`: the word, without punctuation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "griffin")]
    pub word: Option<String>,
    /// What there is to know.
    #[schema(example = "the model does not know the word \"griffin\"; what it makes of it is chance")]
    pub detail: String,
}
