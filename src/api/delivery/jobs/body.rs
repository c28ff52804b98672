//! Jobs rendered as JSON: for lists, in full, and as a response.

use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::api::delivery::jobs::response::{JobResponse, ProgressBody, QueueBody};
use crate::api::delivery::jobs::{End, Ended, JobRecord, JobStore};
use crate::api::operations::bodies::unix_seconds;
use crate::api::problem::{Problem, ProblemBody};
use crate::engine::Stage;

/// A position in the queue, as it is in answers.
pub fn queue(position: usize, estimated_wait: Duration) -> QueueBody {
    let estimated_wait_ms = u64::try_from(estimated_wait.as_millis()).unwrap_or(u64::MAX);
    QueueBody { position, estimated_wait_ms }
}

/// A job without its result. `ttl` is how long it is kept after its end.
pub fn summary(job: &JobRecord, ttl: Duration) -> JobResponse<'static> {
    // The stage is read first: a job without one has ended.
    let (stage, ended) = (job.stage(), job.ended());
    describe(job, stage, ended.as_ref(), ttl)
}

/// All of a job, as JSON.
///
/// # Errors
/// If it cannot be serialized.
pub fn object(job: &JobRecord, ttl: Duration) -> serde_json::Result<Vec<u8>> {
    let (stage, ended) = (job.stage(), job.ended());
    let result = match &ended {
        Some(Ended { end: End::Succeeded(answer), .. }) => Some(&answer.body),
        _ => None,
    };
    serde_json::to_vec(&JobResponse { result, ..describe(job, stage, ended.as_ref(), ttl) })
}

/// The response that shows a job in full.
///
/// # Errors
/// `internal_error` if it cannot be serialized.
pub(crate) fn job_response(jobs: &JobStore, job: &JobRecord) -> Result<Response, Problem> {
    let body = object(job, jobs.ttl());
    let body = body.map_err(|error| Problem::internal("the job could not be serialized", &error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn describe(
    job: &JobRecord,
    stage: Option<(Stage, usize, usize)>,
    ended: Option<&Ended>,
    ttl: Duration,
) -> JobResponse<'static> {
    let (step, steps) = match (ended, stage) {
        (Some(ended), _) => (ended.step, ended.steps),
        (None, Some((_, step, steps))) => (step, steps),
        (None, None) => (0, 0),
    };
    let mut body = JobResponse {
        id: job.id.to_string(),
        object: "job",
        kind: job.kind.as_str(),
        status: "processing",
        created: unix_seconds(job.created),
        finished: ended.map(|ended| unix_seconds(ended.at)),
        queue: None,
        progress: ProgressBody { step, steps },
        result: None,
        error: None,
        cancel_reason: None,
        expires: ended.map(|ended| unix_seconds(ended.at + ttl)),
    };
    match (ended.map(|ended| &ended.end), stage) {
        (Some(End::Succeeded(_)), _) => body.status = "succeeded",
        (Some(End::Failed(problem)), _) => {
            body.status = "failed";
            body.error = Some(ProblemBody::new(problem, &job.origin.request_id));
        }
        (Some(End::Canceled(reason)), _) => {
            body.status = "canceled";
            body.cancel_reason = Some(reason.as_str());
        }
        (None, Some((Stage::Queued { position, estimated_wait }, ..))) => {
            body.status = "queued";
            body.queue = Some(queue(position, estimated_wait));
        }
        (None, _) => {}
    }
    body
}
