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

/// Words of the target and the words of the source that they correspond to.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlignedWordsBody {
    /// The target's word or words; null for removed ones.
    pub target: Option<String>,
    /// The source's word or words; null for added ones.
    pub source: Option<String>,
    /// What became of it.
    #[schema(value_type = RelationSchema)]
    pub relation: &'static str,
    /// Token positions in the target prompt, counted from the start marker at 0.
    pub target_tokens: Vec<usize>,
    /// Token positions in the source prompt.
    pub source_tokens: Vec<usize>,
}

/// When an edit takes the source's attention, and where these windows come from.
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

/// A possible mistake in a request. It does not change what is done.
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
    /// The warning, as text.
    #[schema(example = "the model does not know the word \"griffin\"; what it makes of it is chance")]
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
