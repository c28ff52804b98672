//! Every request has an id: the client's own if it sent a sensible one, otherwise a new one. Every answer carries it
//! in `x-request-id`, every problem in its body, and every log line in its span, which also tells of the trace that the
//! request belongs to.

use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::openai::Dialect;
use super::problem::Problem;
use super::trace_context::TraceParent;

/// The header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Ids longer than this are not taken over: they end up in every log line.
const MAX_LENGTH: usize = 128;

/// What is known of a request before it is read; an extension of every request.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The request's id.
    pub request_id: String,
    /// When its head was there.
    pub at: Instant,
}

/// Gives the request its id, and writes out the problem if the answer is one.
pub async fn request_id(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = client_id(&request).unwrap_or_else(|| Uuid::new_v4().to_string());
    request.extensions_mut().insert(Arrival { request_id: id.clone(), at: started });
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let dialect = Dialect::of(&path);
    let span = tracing::info_span!("request", request_id = %id, %method, path, trace_id = Empty, parent_id = Empty);
    if let Some(trace) = TraceParent::of(request.headers()) {
        span.record("trace_id", trace.trace_id).record("parent_id", trace.parent_id);
    }
    let gone = ClientGone(Some(span.clone()));
    let response = next.run(request).instrument(span.clone()).await;
    gone.answered();
    let problem = response.extensions().get::<Problem>().cloned();
    let mut response = match &problem {
        Some(problem) => {
            // What axum says of the methods that an address takes belongs to the problem too.
            let allow = response.headers().get(ALLOW).cloned();
            let mut rendered = problem.render(&id, dialect);
            rendered.headers_mut().extend(allow.map(|allow| (ALLOW, allow)));
            rendered
        }
        None => response,
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    span.in_scope(|| {
        let (status, took_ms) = (response.status().as_u16(), started.elapsed().as_secs_f64() * 1e3);
        match problem {
            Some(problem) => tracing::info!(status, took_ms, code = problem.code().as_str(), "answered"),
            None => tracing::info!(status, took_ms, "answered"),
        }
    });
    response
}

/// Says so where a request is dropped before it is answered: its client has gone away.
struct ClientGone(Option<Span>);

impl ClientGone {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for ClientGone {
    fn drop(&mut self) {
        if let Some(span) = &self.0 {
            span.in_scope(|| tracing::info!("the client went away before the answer"));
        }
    }
}

fn client_id(request: &Request) -> Option<String> {
    let id = request.headers().get(&X_REQUEST_ID)?.to_str().ok()?;
    let is_sensible = !id.is_empty() && id.len() <= MAX_LENGTH && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_sensible.then(|| id.to_owned())
}
