//! Sessions, as they are in answers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::operations::bodies::{ImageData, TimingsBody, WarningBody, size, unix_seconds};
use crate::api::wire::{RecordingSchema, SchedulerSchema, TierSchema};
use crate::recordings::{SessionView, Source, Tier};

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
    /// The source, with defaults filled in.
    pub source: SourceBody,
    /// Width and height in pixels.
    pub size: String,
    /// The fastest tier that holds it.
    #[schema(value_type = TierSchema)]
    pub tier: &'static str,
    /// Bytes per tier.
    pub bytes: TierBytes,
    /// How often its recording was found.
    pub hits: u64,
    /// In the response to a `POST`: how its recording was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RecordingSchema>)]
    pub recording: Option<&'static str>,
    /// In the response to a `POST`: warnings about the request; empty if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<WarningBody>>,
    /// In the response to a `POST`: the source's image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<ImageData>>,
    /// In the response to a `POST`: how long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings_ms: Option<TimingsBody>,
}

/// Bytes of a recording, by tier.
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

impl From<&Source> for SourceBody {
    fn from(source: &Source) -> Self {
        Self {
            prompt: source.prompt.clone(),
            negative_prompt: source.negative_prompt.clone(),
            seed: source.seed(),
            num_inference_steps: source.steps,
            guidance_scale: source.guidance_scale,
            width: source.width,
            height: source.height,
            scheduler: source.sampler.as_str(),
        }
    }
}

impl SessionResponse {
    /// A session of a model, without what the answer to a `POST` has besides.
    pub(crate) fn new(model: &str, view: &SessionView) -> Self {
        let source = &view.source;
        Self {
            id: view.id.to_string(),
            object: "session",
            created: unix_seconds(view.created),
            last_used: unix_seconds(view.last_used),
            model: model.to_owned(),
            size: size(source),
            source: SourceBody::from(&**source),
            tier: view.tier.as_str(),
            bytes: TierBytes {
                device: view.bytes[Tier::Device],
                memory: view.bytes[Tier::Memory],
                disk: view.bytes[Tier::Disk],
                trajectory: view.bytes[Tier::Trajectory],
            },
            hits: view.hits,
            recording: None,
            warnings: None,
            data: None,
            timings_ms: None,
        }
    }
}
