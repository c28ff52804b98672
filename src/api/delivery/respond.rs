//! The one path of all calls that run something: how the answer is to be waited for is read first, then the request's
//! own meaning, then the work is started (or found by its key) and waited for in that way.
//!
//! | the request says | it gets |
//! | --- | --- |
//! | nothing | the answer when it is there |
//! | `"stream": true` or `Accept: text/event-stream` | events, the answer last ([`sse`]) |
//! | `Prefer: respond-async` | `202` and a job to be asked about ([`crate::api::delivery::jobs`]) |
//!
//! In each of them a client that goes away cancels the job, unless others wait for it or it was asked for
//! asynchronously; `Idempotency-Key` and `Cancel-After` go with all of them.

use std::sync::Arc;

use axum::RequestExt;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tracing::Instrument;

use crate::api::delivery::idempotency::{Fingerprint, IDEMPOTENT_REPLAYED, IdempotencyKey};
use crate::api::delivery::jobs::routes::told;
use crate::api::delivery::jobs::{Job, Origin, Waiter, Work, carry};
use crate::api::delivery::sse;
use crate::api::delivery::webhooks::Webhook;
use crate::api::guard::Caller;
use crate::api::guard::RequestRefusal;
use crate::api::guard::job_limit::Place;
use crate::api::operations::operation::Prepared;
use crate::api::operations::waiting::{MAX_PREVIEWS, WaitFields};
use crate::api::problem::dialect::Dialect;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::body::JsonObject;
use crate::api::transport::cancel_after::deadline;
use crate::api::transport::content_negotiation::{Form, form_or_events};
use crate::api::transport::headers::{RESPOND_ASYNC, prefers_async};
use crate::api::transport::request_id::Arrival;

/// A request that asks for something to be run.
#[derive(Debug)]
pub struct Call {
    path: String,
    headers: HeaderMap,
    arrival: Arrival,
    caller: Caller,
    body: Map<String, Value>,
}

impl FromRequest<Arc<AppState>> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<AppState>) -> Result<Self, Problem> {
        let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
        let arrival = request.extensions().get::<Arrival>().cloned();
        let arrival = arrival.ok_or_else(|| Problem::new(Code::Internal, "the request has no id"))?;
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or(Caller::Unknown);
        let JsonObject(body) = request.extract().await?;
        Ok(Self { path, headers, arrival, caller, body })
    }
}

/// How an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain(Form),
    Stream,
    Async,
}

/// What a request says about waiting.
#[derive(Debug)]
struct Wish {
    way: Way,
    previews: usize,
    webhook: Option<Webhook>,
    key: Option<IdempotencyKey>,
    deadline: Option<Instant>,
}

/// Answers a request in the way that it asks for. `prepare` gives its body a meaning; a request whose key is known is
/// answered without.
///
/// # Errors
/// Everything that is wrong with the request, that keeps the job from being queued or, where the answer is waited for,
/// that the job fails with.
pub async fn answer(
    state: Arc<AppState>,
    call: Call,
    prepare: impl FnOnce(Map<String, Value>, Form) -> Result<Prepared, Problem>,
) -> Result<Response, Problem> {
    let Call { path, headers, arrival, caller, body } = call;
    let Wish { way, previews, webhook, key, deadline } = Wish::of(&state, &headers, &arrival, &caller, &body)?;
    let form = match way {
        Way::Plain(form) => form,
        Way::Stream => Form::Events,
        Way::Async => Form::Json,
    };
    let start = |prepared: Prepared| {
        let place = place(&state, &caller, prepared.size())?;
        let handles = prepared.submit(&state.engine, previews)?;
        let origin = Origin { request_id: arrival.request_id.clone(), owner: caller.owner().cloned() };
        let (job, stop) = Job::new(prepared.kind(), origin, prepared.output(), key.clone(), handles.progress());
        let waiter = job.watch();
        let work = Work { prepared, handles, deadline, stop, webhook, place };
        // Before its task can end it. One with a key is kept by the store itself.
        if key.is_none() && way == Way::Async {
            state.jobs.insert(Arc::clone(&job));
        }
        // Its log lines carry the request's id, also after the request.
        tokio::spawn(carry(work, job, Arc::clone(&state)).in_current_span());
        Ok(waiter)
    };
    let (waiter, is_replay) = match &key {
        None => (start(prepare(body, form)?)?, false),
        Some(key) => {
            let fingerprint = Fingerprint::of(&path, &body);
            match state.jobs.find(key, fingerprint)? {
                Some(waiter) => {
                    // Several images of one answer can be told as JSON alone, whoever asks for them again.
                    if Dialect::of(&path) == Dialect::OpenAi {
                        prepare(body, form)?;
                    }
                    (waiter, true)
                }
                None => {
                    let prepared = prepare(body, form)?;
                    state.jobs.find_or_start(key, fingerprint, || start(prepared))?
                }
            }
        }
    };
    // The deadline of a job is that of the request that started it; others bound their own waiting.
    let waiter = if is_replay { waiter.until(deadline) } else { waiter };
    let mut response = match way {
        Way::Plain(form) => plain(waiter, form).await?,
        Way::Stream => sse::from_the_start(waiter, arrival.request_id.clone(), Dialect::of(&path)),
        Way::Async => accepted(&state, &waiter)?,
    };
    if is_replay {
        response.headers_mut().insert(HeaderName::from_static(IDEMPOTENT_REPLAYED), HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Places for so many more jobs of a caller.
///
/// # Errors
/// `too_many_concurrent` where it has as many as it may have.
pub fn place(state: &AppState, caller: &Caller, count: usize) -> Result<Place, Problem> {
    let places = state.guard.places();
    places.take(caller, count).ok_or_else(|| {
        state.metrics.requests_refused.of(RequestRefusal::TooManyConcurrent).inc();
        let detail = format!("{} jobs of one caller may wait and run at the same time", places.limit());
        Problem::new(Code::TooManyConcurrent, detail).retry_after(state.engine.retry_after())
    })
}

/// The answer, or what the job failed with.
async fn plain(mut waiter: Waiter, form: Form) -> Result<Response, Problem> {
    let end = waiter.end().await;
    Arc::clone(end.answer()?).response(form).await
}

/// The job, which is carried out from here on whether anybody waits for it or not.
fn accepted(state: &AppState, waiter: &Waiter) -> Result<Response, Problem> {
    waiter.job().detach();
    let mut response = told(state, waiter.job())?;
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("preference-applied"), HeaderValue::from_static(RESPOND_ASYNC));
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{}", waiter.job().id)) {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}

impl Wish {
    fn of(
        state: &AppState,
        headers: &HeaderMap,
        arrival: &Arrival,
        caller: &Caller,
        body: &Map<String, Value>,
    ) -> Result<Self, Problem> {
        let body = WaitFields::of_body(body)?;
        let way = way(prefers_async(headers), body.stream, form_or_events(headers)?)?;
        let webhook = match &body.webhook {
            Some(_) if way != Way::Async => {
                let detail = "a webhook tells of a job that is not waited for: it goes with Prefer: respond-async";
                return Err(Problem::new(Code::InvalidValue, detail).at("webhook"));
            }
            Some(url) => Some(Webhook::new(state.webhooks.as_ref(), url)?.traced(&arrival.trace)),
            None => None,
        };
        Ok(Self {
            way,
            previews: previews(body.partial_images, way)?,
            webhook,
            key: IdempotencyKey::of(headers, caller.owner())?,
            deadline: deadline(headers, arrival.at)?,
        })
    }
}

fn way(is_async: bool, is_stream: bool, form: Form) -> Result<Way, Problem> {
    let not_acceptable = |detail: &str| Err(Problem::new(Code::NotAcceptable, detail));
    match (is_async, is_stream, form) {
        (true, true, _) => {
            let detail = "give `stream` or Prefer: respond-async, not both; a job's own address gives its events";
            Err(Problem::new(Code::InvalidValue, detail).at("stream"))
        }
        (true, false, Form::Json) => Ok(Way::Async),
        (true, false, Form::Image(_) | Form::Events) => not_acceptable(
            "Prefer: respond-async is answered with a job as application/json; what it makes is at the job's address",
        ),
        (false, true, Form::Image(_)) => {
            not_acceptable("`stream` is true, but an image is accepted: a stream is text/event-stream")
        }
        (false, true, Form::Json | Form::Events) | (false, false, Form::Events) => Ok(Way::Stream),
        (false, false, form) => Ok(Way::Plain(form)),
    }
}

fn previews(count: u64, way: Way) -> Result<usize, Problem> {
    let invalid = |detail: String| Err(Problem::new(Code::InvalidValue, detail).at("partial_images"));
    match usize::try_from(count) {
        Ok(previews) if count <= MAX_PREVIEWS => match way {
            Way::Plain(_) if previews > 0 => {
                invalid("previews come with a stream or with Prefer: respond-async".to_owned())
            }
            _ => Ok(previews),
        },
        _ => invalid(format!("{count} previews are too many, {MAX_PREVIEWS} are possible")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_wait_has_its_form() {
        let image = Form::Image(None);
        let of = |is_async, is_stream, form| {
            way(is_async, is_stream, form).map_err(|problem| (problem.code(), problem.param().map(str::to_owned)))
        };
        assert_eq!(of(false, false, Form::Json), Ok(Way::Plain(Form::Json)));
        assert_eq!(of(false, false, image), Ok(Way::Plain(image)));
        assert_eq!(of(false, true, Form::Json), Ok(Way::Stream));
        assert_eq!(of(false, false, Form::Events), Ok(Way::Stream));
        assert_eq!(of(true, false, Form::Json), Ok(Way::Async));
        assert_eq!(of(false, true, image), Err((Code::NotAcceptable, None)));
        assert_eq!(of(true, false, image), Err((Code::NotAcceptable, None)));
        assert_eq!(of(true, false, Form::Events), Err((Code::NotAcceptable, None)));
        assert_eq!(of(true, true, Form::Json), Err((Code::InvalidValue, Some("stream".to_owned()))));
    }

    #[test]
    fn previews_are_few_and_go_to_somebody_who_waits_for_more_than_the_answer() {
        assert_eq!(previews(16, Way::Stream), Ok(16));
        assert_eq!(previews(1, Way::Async), Ok(1));
        assert_eq!(previews(0, Way::Plain(Form::Json)), Ok(0));
        for (count, way) in [(1, Way::Plain(Form::Json)), (17, Way::Stream), (u64::MAX, Way::Async)] {
            let problem = previews(count, way).unwrap_err();
            assert_eq!((problem.code(), problem.param()), (Code::InvalidValue, Some("partial_images")));
        }
    }
}
