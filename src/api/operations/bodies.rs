//! Parts of answers that several operations have.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::delivery::encoded_image::{Base64, EncodedImage};
use crate::api::wire::{
    CrossWindowsSchema, OriginSchema, RecordingSchema, RelationSchema, RoleSchema, WarningCodeSchema,
};
use crate::engine::{Outcome, Timings};
use crate::p2p::AlignedWords;
use crate::recordings::Source;

/// A session as an edit refers to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionRef {
    /// Its id.
    pub id: String,
    /// How it was found.
    #[schema(value_type = RecordingSchema)]
    pub recording: &'static str,
}

/// Words of the target prompt, and the source's words that they align with.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlignedWordsBody {
    /// The target's word or words; null for removed ones.
    pub target: Option<String>,
    /// The source's word or words; null for added ones.
    pub source: Option<String>,
    /// How the two relate.
    #[schema(value_type = RelationSchema)]
    pub relation: &'static str,
    /// Token positions in the target prompt, counted from the start marker at 0.
    pub target_tokens: Vec<usize>,
    /// Token positions in the source prompt.
    pub source_tokens: Vec<usize>,
}

/// The windows of an edit, and where they come from.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WindowsBody {
    /// The cross-attention window, or windows by word as in a request.
    #[schema(value_type = CrossWindowsSchema, example = json!([0.0, 0.8]))]
    pub cross_replace_steps: Value,
    /// The self-attention window.
    #[schema(example = json!([0.0, 0.4]))]
    pub self_replace_steps: [f64; 2],
    /// Where each of the two comes from.
    pub from: WindowsFrom,
    /// The presets that contributed, see `/v1/models`; empty if none did.
    #[schema(example = json!([]))]
    pub presets: Vec<String>,
}

/// Where windows come from: `request`; `preset`, the model's for this kind of edit; `default`, the published one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WindowsFrom {
    /// The origin of the cross-attention window.
    #[schema(value_type = OriginSchema)]
    pub cross_replace_steps: &'static str,
    /// The origin of the self-attention window.
    #[schema(value_type = OriginSchema)]
    pub self_replace_steps: &'static str,
}

/// A warning about a request. It does not change the result.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WarningBody {
    /// A stable name for programs.
    #[schema(value_type = WarningCodeSchema)]
    pub code: &'static str,
    /// The path of the field.
    #[schema(example = "prompt")]
    pub param: String,
    /// Of `unknown_word`: the word, without punctuation; of `prompt_syntax`: the part of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "griffin")]
    pub word: Option<String>,
    /// What the warning is about.
    #[schema(example = "the word \"griffin\" is not in the model's vocabulary; its effect is unpredictable")]
    pub detail: String,
}

/// One image.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageData {
    /// Whose image it is.
    #[schema(value_type = RoleSchema)]
    pub role: &'static str,
    /// The file as base64.
    #[schema(value_type = String)]
    pub(crate) b64_json: Base64,
}

/// How long the parts of a job took, in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimingsBody {
    /// Waiting in the queue.
    pub queue: f64,
    /// Encoding prompts.
    pub encode: f64,
    /// Denoising, including the steps of other jobs in between.
    pub denoise: f64,
    /// From latents to pixels.
    pub decode: f64,
    /// From the job's submission to its result, before image files are encoded.
    pub total: f64,
}

impl SessionRef {
    /// The session of an outcome.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        Self { id: outcome.session.to_string(), recording: outcome.recording.as_str() }
    }
}

impl ImageData {
    /// An image in its role, `source` or `edit`.
    pub(crate) fn new(role: &'static str, image: EncodedImage) -> Self {
        Self { role, b64_json: Base64(image) }
    }
}

impl From<&AlignedWords> for AlignedWordsBody {
    fn from(words: &AlignedWords) -> Self {
        Self {
            target: words.target.clone(),
            source: words.source.clone(),
            relation: words.relation.as_str(),
            target_tokens: words.target_tokens.clone(),
            source_tokens: words.source_tokens.clone(),
        }
    }
}

impl From<&Timings> for TimingsBody {
    fn from(timings: &Timings) -> Self {
        // Rounded to microseconds.
        let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        Self {
            queue: millis(timings.queue),
            encode: millis(timings.encode),
            denoise: millis(timings.denoise),
            decode: millis(timings.decode),
            total: millis(timings.total),
        }
    }
}

/// Aligned words as answers have them.
pub(crate) fn alignment(words: &[AlignedWords]) -> Vec<AlignedWordsBody> {
    words.iter().map(AlignedWordsBody::from).collect()
}

/// Seconds since 1970.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Width and height of a source's images, such as `512x512`.
pub(crate) fn size(source: &Source) -> String {
    format!("{}x{}", source.width, source.height)
}
