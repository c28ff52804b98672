//! `/v1/jobs`: listing, showing, streaming and canceling the jobs that are kept: those of `Prefer: respond-async`, and
//! those with an idempotency key.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use crate::api::delivery::jobs::response::{JobList, JobResponse};
use crate::api::delivery::jobs::{JobId, JobRecord, job_response, summary};
use crate::api::delivery::sse;
use crate::api::guard::Caller;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::content_negotiation::{Representation, representation_or_events};
use crate::api::transport::path_id::{IdPath, PathId};
use crate::api::transport::request_id::Arrival;
use crate::api::wire::StreamEventSchema;
use crate::engine::CancelReason;

/// Lists asynchronous jobs, the newest first. With API keys, only those of the request's key.
#[utoipa::path(
    get, path = "/v1/jobs", operation_id = "list_jobs", tag = "jobs",
    responses((status = 200, description = "All jobs, without results", body = JobList))
)]
pub async fn list(State(state): State<Arc<AppState>>, Extension(caller): Extension<Caller>) -> Json<JobList> {
    let all = state.jobs.all();
    let own = all.iter().filter(|job| job.origin.owner.as_ref() == caller.owner());
    let data = own.map(|job| summary(job, state.jobs.ttl())).collect();
    Json(JobList { object: "list", data })
}

/// Shows a job. With `Accept: text/event-stream`, streams its events from now on, and the previews so far.
#[utoipa::path(
    get, path = "/v1/jobs/{id}", operation_id = "get_job", tag = "jobs",
    params(("id" = String, Path, description = "The job", pattern = "^job_[0-9a-f]{32}$", example = "job_5d41402abc4b2a76b9719d911017c592")),
    responses(
        (status = 200, description = "The job", content(
            (JobResponse = "application/json"), (StreamEventSchema = "text/event-stream")
        )),
    )
)]
pub async fn show(
    State(state): State<Arc<AppState>>,
    Extension(arrival): Extension<Arrival>,
    Extension(caller): Extension<Caller>,
    IdPath(id): IdPath<JobId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    match representation_or_events(&headers)? {
        Representation::Events => Ok(sse::of_job(find(&state, &caller, &id)?.watch(), arrival.request_id)),
        Representation::Json => job_response(&state.jobs, find(&state, &caller, &id)?.as_ref()),
        Representation::Image(_) => {
            let detail = "expected application/json or text/event-stream in the accept header";
            Err(Problem::new(Code::NotAcceptable, detail))
        }
    }
}

/// Cancels an unfinished job, and deletes a finished one.
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", operation_id = "delete_job", tag = "jobs",
    params(("id" = String, Path, description = "The job", pattern = "^job_[0-9a-f]{32}$", example = "job_5d41402abc4b2a76b9719d911017c592")),
    responses(
        (status = 200, description = "Canceled", body = JobResponse),
        (status = 204, description = "It was finished and is deleted"),
    )
)]
pub async fn cancel(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    IdPath(id): IdPath<JobId>,
) -> Result<Response, Problem> {
    let job = find(&state, &caller, &id)?;
    if job.ended().is_some() {
        state.jobs.remove(&id);
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    job.cancel(CancelReason::Deleted);
    job.end().await;
    job_response(&state.jobs, &job)
}

/// A job of the caller. A job of another caller is reported as not found.
fn find(state: &AppState, caller: &Caller, id: &JobId) -> Result<Arc<JobRecord>, Problem> {
    let job = state.jobs.get(id).filter(|job| job.origin.owner.as_ref() == caller.owner());
    job.ok_or_else(|| {
        let detail = format!("no job {id}: it never existed, was deleted or evicted, or has expired");
        Problem::new(Code::JobNotFound, detail).at("id")
    })
}

impl PathId for JobId {
    const NOT_FOUND: Code = Code::JobNotFound;

    fn from_client(text: &str) -> Self {
        Self::from_client(text)
    }
}
