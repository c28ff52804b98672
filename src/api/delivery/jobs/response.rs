//! Jobs as they are in answers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::delivery::answer::AnswerBody;
use crate::api::problem::ProblemBody;
use crate::api::wire::{CancelReasonSchema, JobKindSchema, JobStatusSchema};

/// A position in the queue; also the data of the event `queued`.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueBody {
    /// Jobs before this one.
    pub position: usize,
    /// Estimated time until it starts, in milliseconds.
    pub estimated_wait_ms: u64,
}

/// The progress of a job.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProgressBody {
    /// Steps done.
    pub step: usize,
    /// Steps in all; 0 before the job has started.
    pub steps: usize,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobResponse<'a> {
    /// `job_` and 32 hexadecimal digits.
    pub id: String,
    /// `job`.
    pub object: &'static str,
    /// What it makes.
    #[schema(value_type = JobKindSchema)]
    pub kind: &'static str,
    /// Its status.
    #[schema(value_type = JobStatusSchema)]
    pub status: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<u64>,
    /// Its position in the queue, while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueBody>,
    /// Its progress; of a finished job, the last.
    pub progress: ProgressBody,
    /// The response of the plain call, once the job has succeeded. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<&'a AnswerBody>,
    /// The problem, once the job has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ProblemBody>,
    /// Why the job was canceled, once it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CancelReasonSchema>)]
    pub cancel_reason: Option<&'static str>,
    /// When it expires, in seconds since 1970, once it has ended; it may be evicted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// All jobs that are kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobList {
    /// `list`.
    pub object: &'static str,
    /// The newest first, without results.
    #[schema(value_type = Vec<JobResponse>)]
    pub data: Vec<JobResponse<'static>>,
}
