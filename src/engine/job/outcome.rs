//! How jobs end: the outcome of a successful job, and the labels of all endings for metrics and answers.

use std::sync::Arc;
use std::time::Duration;

use crate::media::Image;
use crate::recordings::{AttentionMaps, SessionId};
use crate::telemetry::labels::label;

label! {
    /// How a job ended.
    JobEnd as "outcome" {
        /// With its result.
        Succeeded = "succeeded",
        /// With an error of its own.
        Failed = "failed",
        /// It was canceled, see [`CancelReason`].
        Canceled = "canceled",
    }
}

label! {
    /// Why a job was canceled.
    CancelReason as "reason" {
        /// Its client disconnected.
        Disconnected = "disconnected",
        /// It was deleted.
        Deleted = "deleted",
        /// Its deadline passed.
        Deadline = "deadline",
        /// The service is shutting down.
        Draining = "draining",
    }
}

label! {
    /// Why a job was refused.
    RefuseReason as "reason" {
        /// The queue has no free slot.
        QueueFull = "queue_full",
        /// The service is shutting down.
        Draining = "draining",
        /// The model is being loaded, or the worker has ended.
        NotReady = "not_ready",
    }
}

label! {
    /// How a job found its source.
    RecordingUse as "recording" {
        /// It was run and recorded for this job.
        Created = "created",
        /// All that the job reads was recorded, or was being recorded for another job.
        Hit = "hit",
        /// Its session existed, and what was missing of its recording was computed again.
        Replayed = "replayed",
    }
}

impl RecordingUse {
    /// The same once something had to be computed again.
    #[must_use]
    pub(crate) fn replayed(self) -> Self {
        if self == Self::Hit { Self::Replayed } else { self }
    }

    /// The same once the store was found to have the recording.
    #[must_use]
    pub(crate) fn found_in_store(self) -> Self {
        if self == Self::Created { Self::Hit } else { self }
    }
}

/// How long the parts of a job took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timings {
    /// Waiting in the queue.
    pub queue: Duration,
    /// Encoding prompts, including those of other jobs that are encoded in the same pass.
    pub encode: Duration,
    /// From the start to the last step, without `encode`. It includes waiting for the source's recording, and the steps
    /// of other runs.
    pub denoise: Duration,
    /// Decoding latents to pixels, including other images of the same batch.
    pub decode: Duration,
    /// From submission to the outcome. Image files are encoded later.
    pub total: Duration,
}

/// What a successful job delivers.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The source's session.
    pub session: SessionId,
    /// How the source was found.
    pub recording: RecordingUse,
    /// The source's image.
    pub source_image: Arc<Image>,
    /// The edit's image; `None` for a recording.
    pub edited_image: Option<Arc<Image>>,
    /// The source's attention, step by step.
    pub source_maps: AttentionMaps,
    /// The edit's attention to its target prompt, summed over all steps; where
    /// [`JobOptions::attention`](crate::engine::JobOptions::attention) asks for it and the edit is not its source.
    pub edited_maps: Option<AttentionMaps>,
    /// How long it took.
    pub timings: Timings,
}

impl Outcome {
    /// The image that the job was asked for: the edit's, or the source's where the job was a recording.
    pub fn image(&self) -> &Arc<Image> {
        self.edited_image.as_ref().unwrap_or(&self.source_image)
    }
}
