//! Models, as they are in answers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::operations::edits::request::EqualizerEntry;
use crate::api::wire::{CrossWindowsSchema, EditTypeSchema, LocalBlendSchema, SchedulerSchema, WindowSchema};

/// A model: its defaults, limits, vocabulary, presets and examples.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelResponse {
    /// Its name.
    #[schema(example = "reprompt-demo")]
    pub id: String,
    /// `model`.
    #[schema(example = "model")]
    pub object: &'static str,
    /// When the service started, in seconds since 1970.
    pub created: u64,
    /// `reprompt`.
    #[schema(example = "reprompt")]
    pub owned_by: &'static str,
    /// 64 hexadecimal digits. Models with the same fingerprint make the same images.
    pub fingerprint: String,
    /// Values of fields that a request omits, by field.
    pub defaults: ModelDefaults,
    /// The sizes that images can have.
    pub sizes: ModelSizes,
    /// Maximum number of tokens of a prompt, including its start and end markers.
    #[schema(example = 77)]
    pub max_tokens: usize,
    /// The default windows of `auto`, by kind of edit: a group of `vocabulary`, or `replaced`, `added` or `reweighted`.
    /// Other kinds of edit use the windows of `defaults`.
    pub presets: BTreeMap<String, PresetBody>,
    /// The words that the model knows, by group; empty if they are not listed.
    pub vocabulary: BTreeMap<String, Vec<String>>,
    /// Edits that show what it can do.
    #[schema(value_type = Vec<ExampleSchema>)]
    pub examples: Vec<Map<String, Value>>,
}

/// Values of fields that a request omits.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelDefaults {
    /// Width in pixels.
    #[schema(example = 128)]
    pub width: usize,
    /// Height in pixels.
    #[schema(example = 128)]
    pub height: usize,
    /// Denoising steps.
    #[schema(example = 20)]
    pub num_inference_steps: usize,
    /// Scale of classifier-free guidance.
    #[schema(example = 5.0)]
    pub guidance_scale: f64,
    /// The scheduler.
    #[schema(value_type = SchedulerSchema)]
    pub scheduler: &'static str,
    /// The windows of an edit that no preset fits.
    #[serde(flatten)]
    pub windows: PresetBody,
}

/// Windows for a kind of edit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PresetBody {
    /// When cross-attention is the source's, from one fraction of the steps to another.
    #[schema(example = json!([0.0, 0.8]))]
    pub cross_replace_steps: [f64; 2],
    /// When self-attention is the source's.
    #[schema(example = json!([0.0, 0.4]))]
    pub self_replace_steps: [f64; 2],
}

/// The sizes that images can have.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelSizes {
    /// Pixels that width and height are multiples of.
    #[schema(example = 8)]
    pub multiple_of: usize,
    /// The shortest side.
    #[schema(example = 32)]
    pub min_side: usize,
    /// Maximum of width times height.
    #[schema(example = 65536)]
    pub max_pixels: usize,
}

/// All models.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// `list`.
    #[schema(example = "list")]
    pub object: &'static str,
    /// The one that is served.
    pub data: Vec<ModelResponse>,
}

/// An edit that shows what a model can do: `{"source": {"prompt", "seed"}, "prompt": edit, …}` of `/v1/edits`.
#[derive(Debug, ToSchema)]
#[schema(as = ModelExample)]
// Documents the objects of a model's `examples`, which are passed on as they are.
#[allow(dead_code)]
pub struct ExampleSchema {
    /// The source's prompt.
    #[schema(example = "a red car on the grass")]
    pub prompt: String,
    /// The source's seed.
    #[schema(example = 7)]
    pub seed: Option<u64>,
    /// The target prompt.
    #[schema(example = "a blue car on the grass")]
    pub edit: String,
    /// As in an edit, and so are those below.
    pub edit_type: Option<EditTypeSchema>,
    /// When cross-attention is the source's.
    pub cross_replace_steps: Option<CrossWindowsSchema>,
    /// When self-attention is the source's.
    pub self_replace_steps: Option<WindowSchema>,
    /// Strengths of words.
    pub equalizer: Option<Vec<EqualizerEntry>>,
    /// Keeps the source outside the regions of words.
    pub local_blend: Option<LocalBlendSchema>,
}
