//! Ways to wait, as they are documented: headers of requests, events of streams, jobs.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::api::problem::ProblemBody;
use crate::api::wire::images::ImagesResponse;
use crate::api::wire::response::{EditResponse, SessionResponse};
use crate::api::wire::schema::{CancelReasonSchema, JobKindSchema, JobStatusSchema, OutputFormatSchema};

/// Headers that say how the answer is waited for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub struct WaitHeaders {
    /// `respond-async`: `202` and a job to be asked about, in place of the answer. Other preferences are left alone.
    #[param(rename = "Prefer", required = false, example = "respond-async")]
    prefer: String,
    /// 1 to 255 visible ASCII characters. The same key on the same address and body is the same job, which is run
    /// once: who comes later waits for it or is given its answer, marked `idempotent-replayed: true`. A job that was
    /// cancelled, or failed with 429 or 5xx, frees its key.
    #[param(rename = "Idempotency-Key", required = false, pattern = "^[!-~]{1,255}$", example = "8e03978e-40d5-43dd")]
    idempotency_key: String,
    /// A duration from the request's arrival, such as `90`, `90s`, `1m30s` or `500ms`, after which the job is
    /// cancelled; a day at most. Where a key finds a job that runs already, it bounds this request's waiting alone.
    #[param(
        rename = "Cancel-After",
        required = false,
        pattern = "^(?=.*[1-9])([0-9]+|([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$",
        example = "1m30s"
    )]
    cancel_after: String,
}

/// A place in the queue; also the data of the event `queued`.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueBody {
    /// Jobs before this one.
    pub position: usize,
    /// When it is likely to start, in milliseconds from now.
    pub estimated_wait_ms: u64,
}

/// The data of the event `started`: nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedEvent {}

/// The data of the event `step`, which comes once for each step and in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepEvent {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// A preview as base64, where one of `partial_images` belongs to this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b64_json: Option<String>,
    /// The preview's format.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OutputFormatSchema>)]
    pub output_format: Option<&'static str>,
}

/// How far a job is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProgressBody {
    /// Steps done.
    pub step: usize,
    /// Steps in all; 0 before it is known.
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
    /// Where it stands.
    #[schema(value_type = JobStatusSchema)]
    pub status: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<u64>,
    /// Where it waits, while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueBody>,
    /// How far it is, or was when it ended.
    pub progress: ProgressBody,
    /// The answer that the plain call would have given, when the job has succeeded. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ResultSchema>)]
    pub result: Option<&'a RawValue>,
    /// The problem, when the job has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ProblemBody>,
    /// Why, when the job was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CancelReasonSchema>)]
    pub cancel_reason: Option<&'static str>,
    /// When it is forgotten, in seconds since 1970, once it has ended; sooner where there is no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// What a job has made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = JobResult)]
#[allow(clippy::large_enum_variant)]
pub enum ResultSchema {
    /// Of an edit.
    Edit(EditResponse),
    /// Of a session.
    Session(SessionResponse),
    /// Of generated images.
    Images(ImagesResponse),
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
