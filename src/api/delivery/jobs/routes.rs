//! `/v1/jobs`: what became of jobs that were asked for by `Prefer: respond-async`, or under a key.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use crate::api::delivery::jobs::{Job, JobId, object, summary};
use crate::api::delivery::sse;
use crate::api::guard::Caller;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::content_negotiation::{Form, form_or_events};
use crate::api::transport::request_id::Arrival;
use crate::api::wire::{JobList, JobResponse, StreamEventSchema};
use crate::engine::CancelReason;

/// Lists the jobs that are kept, the newest first; those of the API key that asks, where there are keys.
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

/// Tells of a job; with `Accept: text/event-stream` as events from where it stands, previews so far included.
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
    JobPath(id): JobPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    match form_or_events(&headers)? {
        Form::Events => Ok(sse::of_job(find(&state, &caller, &id)?.watch(), arrival.request_id)),
        Form::Json => told(&state, find(&state, &caller, &id)?.as_ref()),
        Form::Image(_) => {
            let detail = "an image is accepted; a job is told of as application/json or text/event-stream";
            Err(Problem::new(Code::NotAcceptable, detail))
        }
    }
}

/// Cancels a job that has not ended, and forgets one that has.
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", operation_id = "delete_job", tag = "jobs",
    params(("id" = String, Path, description = "The job", pattern = "^job_[0-9a-f]{32}$", example = "job_5d41402abc4b2a76b9719d911017c592")),
    responses(
        (status = 200, description = "Cancelled", body = JobResponse),
        (status = 204, description = "It had ended and is forgotten"),
    )
)]
pub async fn cancel(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    JobPath(id): JobPath,
) -> Result<Response, Problem> {
    let job = find(&state, &caller, &id)?;
    if job.ended().is_some() {
        state.jobs.remove(&id);
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    job.cancel(CancelReason::Deleted);
    job.end().await;
    told(&state, &job)
}

/// A job in full, as an answer.
///
/// # Errors
/// None that can happen.
pub fn told(state: &AppState, job: &Job) -> Result<Response, Problem> {
    let body = object(job, state.jobs.ttl()).map_err(|error| {
        tracing::error!(%error, "a job could not be written");
        Problem::new(Code::Internal, "the job could not be written")
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// A job of the caller: another's are not there for it.
fn find(state: &AppState, caller: &Caller, id: &JobId) -> Result<Arc<Job>, Problem> {
    let job = state.jobs.get(id).filter(|job| job.origin.owner.as_ref() == caller.owner());
    job.ok_or_else(|| {
        let detail = format!("there is no job {id}, or it was given up when its time or the room for results was up");
        Problem::new(Code::JobNotFound, detail).at("id")
    })
}

/// The job that a path names.
#[derive(Debug)]
pub struct JobPath(pub JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(JobId::from_client(&id)))
            .map_err(|_| Problem::new(Code::JobNotFound, "there is no job whose id is not text").at("id"))
    }
}
