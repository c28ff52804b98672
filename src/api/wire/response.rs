//! Bodies of answers, as they are documented.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::wire::attention::WordAttention;
use crate::api::wire::edit_report::{WarningBody, WindowsBody};
use crate::api::wire::schema::{
    EditTypeSchema, OutputFormatSchema, RecordingSchema, RelationSchema, RoleSchema, SchedulerSchema, TierSchema,
};

/// An edited image and what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct EditResponse {
    /// `edit_` and 32 hexadecimal digits.
    pub id: String,
    /// `edit`.
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// The model's name.
    pub model: String,
    /// The source's session, which can be edited again.
    pub session: SessionRef,
    /// The source's seed.
    pub seed: u64,
    /// Width and height in pixels.
    pub size: String,
    /// The images' format.
    #[schema(value_type = OutputFormatSchema)]
    pub output_format: &'static str,
    /// The edit type; what `auto` came down to, and `auto` itself where words were aligned one by one.
    #[schema(value_type = EditTypeSchema)]
    pub edit_type: &'static str,
    /// The words of both prompts, in the target's order.
    pub alignment: Vec<AlignedWordsBody>,
    /// When attention is the source's.
    pub windows: WindowsBody,
    /// What the request may not have meant; empty where there is nothing.
    pub warnings: Vec<WarningBody>,
    /// The source's image, if it was asked for, then the edit's.
    pub data: Vec<ImageData>,
    /// Where the edit attends to each word of its prompt, all steps summed; where `attention` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<Vec<WordAttention>>,
    /// How long it took.
    pub timings_ms: TimingsBody,
}

/// A session as an edit refers to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionRef {
    /// Its id.
    pub id: String,
    /// How it was found.
    #[schema(value_type = RecordingSchema)]
    pub recording: &'static str,
}

/// Words of the target and what they stand for in the source.
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

/// One image.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageData {
    /// Whose image it is.
    #[schema(value_type = RoleSchema)]
    pub role: &'static str,
    /// The file as base64.
    pub b64_json: String,
}

/// How long the parts of a job took, in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimingsBody {
    /// Waiting for its turn.
    pub queue: f64,
    /// Encoding prompts.
    pub encode: f64,
    /// Denoising.
    pub denoise: f64,
    /// From latents to pixels.
    pub decode: f64,
    /// From the request to the answer.
    pub total: f64,
}

/// A recorded source.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionResponse {
    /// `ses_` and 32 hexadecimal digits, the same for the same source on every replica.
    pub id: String,
    /// `session`.
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// Seconds since 1970.
    pub last_used: u64,
    /// The model's name.
    pub model: String,
    /// What it was made from, defaults filled in.
    pub source: SourceBody,
    /// Width and height in pixels.
    pub size: String,
    /// The best tier that holds it.
    #[schema(value_type = TierSchema)]
    pub tier: &'static str,
    /// Bytes per tier.
    pub bytes: TierBytes,
    /// How often it was found recorded.
    pub hits: u64,
    /// In the answer to a `POST`: how it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RecordingSchema>)]
    pub recording: Option<&'static str>,
    /// In the answer to a `POST`: what the request may not have meant; empty where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<WarningBody>>,
    /// In the answer to a `POST`: the source's image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<ImageData>>,
    /// In the answer to a `POST`: how long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings_ms: Option<TimingsBody>,
}

/// Bytes of a recording, by where they lie.
#[derive(Debug, Serialize, ToSchema)]
pub struct TierBytes {
    /// Attention, on the device.
    pub device: u64,
    /// Attention, in the memory of the host.
    pub memory: u64,
    /// Files.
    pub disk: u64,
    /// Latents, mean maps and the image, in the memory of the host.
    pub trajectory: u64,
}

/// A source with all its settings.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceBody {
    /// The prompt.
    pub prompt: String,
    /// The negative prompt.
    pub negative_prompt: String,
    /// The seed.
    #[schema(schema_with = crate::api::operations::source::seed_schema)]
    pub seed: u64,
    /// Denoising steps.
    pub num_inference_steps: usize,
    /// Scale of classifier-free guidance.
    pub guidance_scale: f64,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The scheduler.
    #[schema(value_type = SchedulerSchema)]
    pub scheduler: &'static str,
}

/// All sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    /// `list`.
    pub object: &'static str,
    /// The most recently used first.
    pub data: Vec<SessionResponse>,
}

/// Two prompts, token by token and word by word.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlignResponse {
    /// `alignment`.
    pub object: &'static str,
    /// What the edit type came down to.
    #[schema(value_type = EditTypeSchema)]
    pub edit_type: &'static str,
    /// The source's tokens.
    pub source_tokens: Vec<TokenBody>,
    /// The target's tokens.
    pub target_tokens: Vec<TokenBody>,
    /// Tokens that a prompt may have.
    pub max_tokens: usize,
    /// The words of both prompts, in the target's order.
    pub alignment: Vec<AlignedWordsBody>,
    /// When attention is the source's in an edit of this type that asks for no windows.
    pub windows: WindowsBody,
    /// What the request may not have meant; empty where there is nothing.
    pub warnings: Vec<WarningBody>,
}

/// A token of a prompt.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenBody {
    /// Its position, counted from the start marker at 0.
    pub position: usize,
    /// Its number in the vocabulary.
    pub id: u32,
    /// As it stands in the vocabulary.
    pub token: String,
    /// The part of the prompt that it stands for.
    pub text: String,
}
