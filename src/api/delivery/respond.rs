//! The path of every request that runs a job. [`respond`] reads how the answer is to be delivered, prepares the request
//! into an [`Operation`], submits its work to the engine (or finds the job of its idempotency key), and delivers the
//! answer:
//!
//! | the request has | it gets |
//! | --- | --- |
//! | neither of the below | the answer |
//! | `"stream": true`, or `Accept: text/event-stream` without `"stream": false` | events, the answer last ([`sse`]) |
//! | `Prefer: respond-async` | `202` and a job ([`crate::api::delivery::jobs`]) |
//!
//! In each case a client that disconnects cancels the job, unless other requests wait for it or it was requested with
//! `Prefer: respond-async`. `Idempotency-Key` and `Cancel-After` can be combined with each.

use std::sync::Arc;

use axum::RequestExt;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tracing::Instrument;

use crate::api::delivery::idempotency::{Fingerprint, IDEMPOTENT_REPLAYED, IdempotencyKey};
use crate::api::delivery::jobs::{JobRecord, JobWork, Origin, Waiter, drive, job_response};
use crate::api::delivery::sse;
use crate::api::delivery::webhooks::Webhook;
use crate::api::guard::Caller;
use crate::api::operations::operation::Operation;
use crate::api::operations::waiting::{MAX_PREVIEWS, WaitFields};
use crate::api::problem::{Code, Dialect, Problem};
use crate::api::state::AppState;
use crate::api::transport::body::JsonObject;
use crate::api::transport::cancel_after::deadline;
use crate::api::transport::content_negotiation::{self, Representation, representation_or, representation_or_events};
use crate::api::transport::headers::{RESPOND_ASYNC, prefers_async};
use crate::api::transport::request_id::Arrival;

/// A request that runs a job, with its body read.
#[derive(Debug)]
pub(crate) struct Call {
    path: String,
    headers: HeaderMap,
    arrival: Arrival,
    caller: Caller,
    dialect: Dialect,
    body: Map<String, Value>,
}

impl FromRequest<Arc<AppState>> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<AppState>) -> Result<Self, Problem> {
        let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
        let extensions = request.extensions();
        let arrival = extensions.get::<Arrival>().cloned();
        let arrival = arrival.ok_or_else(|| Problem::new(Code::Internal, "the request has no id"))?;
        let caller = extensions.get::<Caller>().cloned().unwrap_or(Caller::Unknown);
        let dialect = extensions.get::<Dialect>().copied().unwrap_or_default();
        let JsonObject(body) = request.extract().await?;
        Ok(Self { path, headers, arrival, caller, dialect, body })
    }
}

/// How an answer is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeliveryMode {
    /// In the response.
    Plain(Representation),
    /// As events.
    Stream,
    /// As a job.
    Async,
}

/// How the answer to a request is to be delivered.
#[derive(Debug)]
struct WaitOptions {
    mode: DeliveryMode,
    previews: usize,
    webhook: Option<Webhook>,
    key: Option<IdempotencyKey>,
    deadline: Option<Instant>,
}

/// Responds to a request. `prepare` checks its body and makes an operation of it. If the idempotency key has a job,
/// that job is used: then the body was checked by an earlier request, and `prepare` is called again only in the OpenAI
/// dialect, to check that the answer can be delivered in this representation.
///
/// # Errors
/// A mistake in the request, a refusal to queue the job, and, if the answer is awaited, the failure of the job.
pub(crate) async fn respond<O: Operation>(
    state: Arc<AppState>,
    call: Call,
    prepare: impl FnOnce(Map<String, Value>, Representation) -> Result<O, Problem>,
) -> Result<Response, Problem> {
    let options = WaitOptions::of(&state, &call)?;
    let Call { path, arrival, caller, dialect, body, .. } = call;
    let WaitOptions { mode, previews, webhook, key, deadline } = options;
    let representation = match mode {
        DeliveryMode::Plain(representation) => representation,
        DeliveryMode::Stream => Representation::Events,
        DeliveryMode::Async => Representation::Json,
    };
    let start = |operation: O| {
        let works = operation.works();
        let permit = state.guard.permit_jobs(&caller, works.len(), operation.engine().job_ends_in())?;
        let group = works.submit(operation.engine(), previews)?;
        let origin = Origin { request_id: arrival.request_id.clone(), owner: caller.owner().cloned() };
        let (job, stop) = JobRecord::new(operation.kind(), origin, operation.output(), key.clone(), group.progress());
        let waiter = job.watch();
        let work = JobWork { operation, group, deadline, stop, webhook, permit };
        // Before the task below can end the job. A job with a key is inserted by `find_or_start`.
        if key.is_none() && mode == DeliveryMode::Async {
            state.jobs.insert(Arc::clone(&job));
        }
        // In the span of the request, so that all log lines of the job have the request's id.
        tokio::spawn(drive(work, job, Arc::clone(state.jobs.store())).in_current_span());
        Ok(waiter)
    };
    let (waiter, is_replay) = match &key {
        None => (start(prepare(body, representation)?)?, false),
        Some(key) => {
            let fingerprint = Fingerprint::of(&path, &body);
            match state.jobs.find(key, fingerprint)? {
                Some(waiter) => {
                    // Several images cannot be replayed as a bare image or as events; preparing checks that.
                    if dialect == Dialect::OpenAi {
                        prepare(body, representation)?;
                    }
                    (waiter, true)
                }
                None => {
                    let operation = prepare(body, representation)?;
                    state.jobs.find_or_start(key, fingerprint, || start(operation))?
                }
            }
        }
    };
    // The deadline of the request that started the job cancels the job; the deadline of another ends its own waiting.
    let waiter = if is_replay { waiter.until(deadline) } else { waiter };
    let mut response = match mode {
        DeliveryMode::Plain(representation) => plain(waiter, representation).await?,
        DeliveryMode::Stream => sse::from_the_start(waiter, arrival.request_id.clone(), dialect),
        DeliveryMode::Async => accepted(&state, &waiter)?,
    };
    if is_replay {
        response.headers_mut().insert(HeaderName::from_static(IDEMPOTENT_REPLAYED), HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The answer, or the problem that the job ended with.
async fn plain(mut waiter: Waiter, representation: Representation) -> Result<Response, Problem> {
    let end = waiter.end().await;
    Arc::clone(end.answer()?).respond(representation).await
}

/// The response with the job, which from here on runs without waiters.
fn accepted(state: &AppState, waiter: &Waiter) -> Result<Response, Problem> {
    waiter.job().detach();
    let mut response = job_response(&state.jobs, waiter.job())?;
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("preference-applied"), HeaderValue::from_static(RESPOND_ASYNC));
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{}", waiter.job().id)) {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}

impl WaitOptions {
    fn of(state: &AppState, call: &Call) -> Result<Self, Problem> {
        let Call { headers, arrival, caller, body, .. } = call;
        let body = WaitFields::of_body(body)?;
        let representation = match body.stream {
            // The body decides, as far as `Accept` allows it.
            Some(true) => content_negotiation::events(headers)?,
            Some(false) => representation_or(headers, Representation::Json)?,
            None => representation_or_events(headers)?,
        };
        let mode = mode(prefers_async(headers), body.stream == Some(true), representation)?;
        let webhook = match &body.webhook {
            Some(_) if mode != DeliveryMode::Async => {
                let detail = "`webhook` requires `Prefer: respond-async`";
                return Err(Problem::new(Code::InvalidValue, detail).at("webhook"));
            }
            Some(url) => Some(Webhook::new(state.webhooks.as_ref(), url)?.traced(&arrival.trace)),
            None => None,
        };
        Ok(Self {
            mode,
            previews: previews(body.partial_images, mode)?,
            webhook,
            key: IdempotencyKey::of(headers, caller.owner())?,
            deadline: deadline(headers, arrival.at)?,
        })
    }
}

fn mode(is_async: bool, is_stream: bool, representation: Representation) -> Result<DeliveryMode, Problem> {
    let not_acceptable = |detail: &str| Err(Problem::new(Code::NotAcceptable, detail));
    match (is_async, is_stream, representation) {
        (true, true, _) => {
            let detail =
                "`stream` and `Prefer: respond-async` exclude each other; the job's own path serves its events";
            Err(Problem::new(Code::InvalidValue, detail).at("stream"))
        }
        (true, false, Representation::Json) => Ok(DeliveryMode::Async),
        (true, false, Representation::Image(_) | Representation::Events) => not_acceptable(
            "`Prefer: respond-async` responds with a job; expected application/json in the accept header",
        ),
        (false, true, _) | (false, false, Representation::Events) => Ok(DeliveryMode::Stream),
        (false, false, plain) => Ok(DeliveryMode::Plain(plain)),
    }
}

fn previews(count: u64, mode: DeliveryMode) -> Result<usize, Problem> {
    let invalid = |detail: String| Err(Problem::new(Code::InvalidValue, detail).at("partial_images"));
    match usize::try_from(count) {
        Ok(previews) if count <= MAX_PREVIEWS => match mode {
            DeliveryMode::Plain(_) if previews > 0 => {
                invalid("`partial_images` requires `stream` or `Prefer: respond-async`".to_owned())
            }
            _ => Ok(previews),
        },
        _ => invalid(format!("expected at most {MAX_PREVIEWS} previews, got {count}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_has_its_representation() {
        let image = Representation::Image(None);
        let of = |is_async, is_stream, representation| {
            mode(is_async, is_stream, representation)
                .map_err(|problem| (problem.code(), problem.param().map(str::to_owned)))
        };
        assert_eq!(of(false, false, Representation::Json), Ok(DeliveryMode::Plain(Representation::Json)));
        assert_eq!(of(false, false, image), Ok(DeliveryMode::Plain(image)));
        assert_eq!(of(false, true, Representation::Events), Ok(DeliveryMode::Stream));
        assert_eq!(of(false, false, Representation::Events), Ok(DeliveryMode::Stream));
        assert_eq!(of(true, false, Representation::Json), Ok(DeliveryMode::Async));
        assert_eq!(of(true, false, image), Err((Code::NotAcceptable, None)));
        assert_eq!(of(true, false, Representation::Events), Err((Code::NotAcceptable, None)));
        assert_eq!(of(true, true, Representation::Events), Err((Code::InvalidValue, Some("stream".to_owned()))));
    }

    #[test]
    fn previews_are_limited_and_need_a_stream_or_a_job() {
        assert_eq!(previews(16, DeliveryMode::Stream), Ok(16));
        assert_eq!(previews(1, DeliveryMode::Async), Ok(1));
        assert_eq!(previews(0, DeliveryMode::Plain(Representation::Json)), Ok(0));
        for (count, mode) in [
            (1, DeliveryMode::Plain(Representation::Json)),
            (17, DeliveryMode::Stream),
            (u64::MAX, DeliveryMode::Async),
        ] {
            let problem = previews(count, mode).unwrap_err();
            assert_eq!((problem.code(), problem.param()), (Code::InvalidValue, Some("partial_images")));
        }
    }
}
