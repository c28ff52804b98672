//! Bodies of requests, as they are documented.
//!
//! Fields whose type is a matter of choice (a number, or a pair, or an object) are read as JSON values here, documented
//! by [`crate::api::wire::schema`], and given their meaning in [`crate::api::operations::edit_params`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::wire::schema::{
    CrossWindowsSchema, EditTypeSchema, LocalBlendSchema, OutputFormatSchema, PromptSchema, ResponseFormatSchema,
    SchedulerNameSchema, WindowSchema, WordSchema, WordsSchema,
};

/// What an image is made from. Only the prompt is required; the rest defaults to the model's own.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceRequest {
    /// The source's prompt.
    #[schema(value_type = PromptSchema, example = "a cat on the beach")]
    pub prompt: String,
    /// What guidance leads away from.
    #[serde(default)]
    #[schema(default = "", max_length = 4096)]
    pub negative_prompt: Option<String>,
    /// Seed of the noise, as in diffusers on a CPU generator. Absent or null: a random one, which the answer tells.
    #[serde(default)]
    #[schema(example = 42)]
    pub seed: Option<u64>,
    /// Denoising steps, fewer than the model was trained on. Also `steps`.
    #[serde(default, alias = "steps")]
    #[schema(minimum = 1, maximum = 99_999, example = 20)]
    pub num_inference_steps: Option<usize>,
    /// Scale of classifier-free guidance. Also `cfg_scale`.
    #[serde(default, alias = "cfg_scale")]
    #[schema(minimum = 0, maximum = 100, example = 5.0)]
    pub guidance_scale: Option<f64>,
    /// Width in pixels; see `sizes` of `/v1/models`.
    #[serde(default)]
    #[schema(minimum = 8, maximum = 16_383, example = 128)]
    pub width: Option<usize>,
    /// Height in pixels.
    #[serde(default)]
    #[schema(minimum = 8, maximum = 16_383, example = 128)]
    pub height: Option<usize>,
    /// Width and height in one, as `512x512`; in place of the two.
    #[serde(default)]
    #[schema(pattern = "^[0-9]+[xX*][0-9]+$", example = "128x128")]
    pub size: Option<String>,
    /// `ddim` is the one there is. Also `sampler_name`.
    #[serde(default, alias = "sampler_name")]
    #[schema(value_type = Option<SchedulerNameSchema>, example = "ddim")]
    pub scheduler: Option<String>,
}

/// A target prompt, how attention is controlled, and how the answer is wanted.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditBody {
    /// The target prompt. May be left out for `reweight`, which keeps the source's. Also `target_prompt`.
    #[serde(default, alias = "target_prompt")]
    #[schema(value_type = Option<PromptSchema>, example = "a dog on the beach")]
    pub prompt: Option<String>,
    /// `auto` (by default), `replace`, `refine` or `reweight`.
    #[serde(default)]
    #[schema(value_type = Option<EditTypeSchema>, default = "auto", example = "auto")]
    pub edit_type: Option<String>,
    /// When cross-attention is the source's: a fraction of the steps, a window `[0.0, 0.8]`, or windows per word
    /// `{"default_": 0.8, "tiger": [0.0, 0.2]}`. 0 turns it off. Absent: with `auto`, the model's presets for this kind
    /// of edit, where it has any (see `/v1/models`); otherwise 0.8.
    #[serde(default)]
    #[schema(value_type = Option<CrossWindowsSchema>, example = json!(0.8))]
    pub cross_replace_steps: Option<Value>,
    /// When self-attention is the source's: a fraction of the steps or a window. 0 turns it off. Absent: as
    /// with `cross_replace_steps`; otherwise 0.4.
    #[serde(default)]
    #[schema(value_type = Option<WindowSchema>, example = json!(0.4))]
    pub self_replace_steps: Option<Value>,
    /// Factors on the attention to words of the target prompt.
    // Each is read by itself: an array in place of an object would be read by position.
    #[serde(default)]
    #[schema(value_type = Option<Vec<EqualizerEntry>>, max_items = 256)]
    pub equalizer: Option<Vec<Map<String, Value>>>,
    /// Words, in place of `equalizer`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<WordSchema>>, max_items = 256)]
    pub equalizer_words: Option<Vec<Value>>,
    /// One strength for each of `equalizer_words`.
    #[serde(default)]
    #[schema(max_items = 256)]
    pub equalizer_strengths: Option<Vec<f64>>,
    /// Keeps the source outside the words' parts of the image: an object, or `true` for the words that differ.
    #[serde(default)]
    #[schema(value_type = Option<LocalBlendSchema>)]
    pub local_blend: Option<Value>,
    /// `[source words, target words]`, each a word or a list of words, in place of `local_blend`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<WordsSchema>>, min_items = 2, max_items = 2)]
    pub local_blend_words: Option<Vec<Value>>,
    /// Whether the source's image stands in the answer too.
    #[serde(default)]
    #[schema(default = false)]
    pub include_source: Option<bool>,
    /// Whether the answer tells where the edit attends to each word of its prompt.
    #[serde(default)]
    #[schema(default = false)]
    pub attention: Option<bool>,
    /// `b64_json` is the one there is; `Accept: image/png` gives the bare image.
    #[serde(default)]
    #[schema(value_type = Option<ResponseFormatSchema>, default = "b64_json")]
    pub response_format: Option<String>,
    /// The images' format. Where the `Accept` header names one for a bare image, it is that.
    #[serde(default)]
    #[schema(value_type = Option<OutputFormatSchema>, default = "png")]
    pub output_format: Option<String>,
    /// Quality of a JPEG (90 without it) or of a lossy WebP (lossless without it); a PNG has none.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100, example = 90)]
    pub output_compression: Option<u64>,
    /// Whether the answer is a stream of events, as with `Accept: text/event-stream`: `queued` (`QueueBody`),
    /// `started` (`StartedEvent`), `step` (`StepEvent`), and in the end `completed` (the whole answer) or `error`
    /// (`ProblemBody`).
    #[serde(default)]
    #[schema(default = false)]
    pub stream: Option<bool>,
    /// Previews on the way, for streams and jobs.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 16, default = 0)]
    pub partial_images: Option<u64>,
    /// A URL on a host that the server allows: it is sent the job by POST when the job has ended, signed as
    /// standardwebhooks.com says. With `Prefer: respond-async` alone.
    #[serde(default)]
    #[schema(format = "uri", max_length = 2048, example = "https://hooks.example.com/reprompt")]
    pub webhook: Option<String>,
}

/// How images are answered, and how the answer is waited for.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputBody {
    /// `b64_json` is the one there is; `Accept: image/png` gives the bare image.
    #[serde(default)]
    #[schema(value_type = Option<ResponseFormatSchema>, default = "b64_json")]
    pub response_format: Option<String>,
    /// The images' format. Where the `Accept` header names one for a bare image, it is that.
    #[serde(default)]
    #[schema(value_type = Option<OutputFormatSchema>, default = "png")]
    pub output_format: Option<String>,
    /// Quality of a JPEG (90 without it) or of a lossy WebP (lossless without it); a PNG has none.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100, example = 90)]
    pub output_compression: Option<u64>,
    /// Whether the answer is a stream of events, as with `Accept: text/event-stream`: `queued` (`QueueBody`),
    /// `started` (`StartedEvent`), `step` (`StepEvent`), and in the end `completed` (the whole answer) or `error`
    /// (`ProblemBody`).
    #[serde(default)]
    #[schema(default = false)]
    pub stream: Option<bool>,
    /// Previews on the way, for streams and jobs.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 16, default = 0)]
    pub partial_images: Option<u64>,
    /// A URL on a host that the server allows: it is sent the job by POST when the job has ended, signed as
    /// standardwebhooks.com says. With `Prefer: respond-async` alone.
    #[serde(default)]
    #[schema(format = "uri", max_length = 2048, example = "https://hooks.example.com/reprompt")]
    pub webhook: Option<String>,
}

/// A factor on the attention that a word gets.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EqualizerEntry {
    /// A word of the target prompt, a phrase, or a 0-based word index.
    #[schema(value_type = WordSchema, example = "dog")]
    pub word: Value,
    /// Above 1 more of it, below 1 less, negative against it.
    #[schema(example = 2.0)]
    pub strength: f64,
}

/// Where an edit may change the image.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalBlendBody {
    /// Words of the source prompt (or 0-based indices); absent: those that differ.
    #[serde(default)]
    #[schema(value_type = Option<WordsSchema>, example = json!(["cat"]))]
    pub source_words: Option<Value>,
    /// Words of the target prompt (or 0-based indices); absent: those that differ.
    #[serde(default)]
    #[schema(value_type = Option<WordsSchema>, example = json!(["dog"]))]
    pub target_words: Option<Value>,
    /// Words of either prompt whose parts of the image stay as they are.
    #[serde(default)]
    #[schema(value_type = Option<WordsSchema>)]
    pub exclude_words: Option<Value>,
    /// What part of the highest attention a position must pass.
    #[serde(default)]
    #[schema(minimum = 0, exclusive_maximum = 1, default = 0.3)]
    pub threshold: Option<f64>,
    /// The part of the steps after which the blend begins.
    #[serde(default)]
    #[schema(minimum = 0, exclusive_maximum = 1, default = 0.2)]
    pub start: Option<f64>,
}

/// `POST /v1/edits`: a source, and an edit of it.
// Its fields, and those of the body below, are put together in `openapi`: `allOf` cannot join closed objects.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EditRequest {
    /// The source.
    pub source: SourceRequest,
}

/// `POST /v1/sessions`: a source to be run and recorded.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionRequest {
    /// The source.
    pub source: SourceRequest,
}

/// `POST /v1/align`: two prompts, nothing is run.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlignRequest {
    /// The source's prompt.
    #[schema(value_type = PromptSchema, example = "a cat on the beach")]
    pub source_prompt: String,
    /// The target prompt. Also `target_prompt`.
    #[serde(alias = "target_prompt")]
    #[schema(value_type = PromptSchema, example = "a dog on the beach")]
    pub prompt: String,
    /// As in an edit.
    #[serde(default)]
    #[schema(value_type = Option<EditTypeSchema>, default = "auto", example = "auto")]
    pub edit_type: Option<String>,
}
