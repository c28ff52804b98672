//! A job as it is told of.

use std::time::Duration;

use crate::api::delivery::jobs::{End, Ended, Job};
use crate::api::delivery::response::unix_seconds;
use crate::api::wire::{JobResponse, ProgressBody, QueueBody};
use crate::engine::Stage;

/// A place in the queue as it stands in answers.
pub fn queue(position: usize, estimated_wait: Duration) -> QueueBody {
    let estimated_wait_ms = u64::try_from(estimated_wait.as_millis()).unwrap_or(u64::MAX);
    QueueBody { position, estimated_wait_ms }
}

/// A job without its result. `ttl` is how long it is kept after its end.
pub fn summary(job: &Job, ttl: Duration) -> JobResponse<'static> {
    // In this order: what has no stage any more has an end.
    let (stage, ended) = (job.stage(), job.ended());
    describe(job, stage, ended.as_ref(), ttl)
}

/// All of a job, as JSON.
///
/// # Errors
/// None that can happen: everything in it can be written.
pub fn object(job: &Job, ttl: Duration) -> serde_json::Result<Vec<u8>> {
    let (stage, ended) = (job.stage(), job.ended());
    let result = match &ended {
        Some(Ended { end: End::Succeeded(answer), .. }) => Some(answer.json()),
        _ => None,
    };
    serde_json::to_vec(&JobResponse { result, ..describe(job, stage, ended.as_ref(), ttl) })
}

fn describe(
    job: &Job,
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
            body.error = Some(problem.body(&job.origin.request_id));
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
