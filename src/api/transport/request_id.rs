//! The outer layer of every request: its id, its span and trace, its log line, and the rendering of its problem.
//!
//! The id is the client's own if there is one and it is valid, otherwise a new one. Every response has it in `x-request-id`, every
//! problem in its body, and every log line of the request in its span.

use axum::extract::{MatchedPath, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::api::problem::{Dialect, Problem, render};
use crate::api::transport::headers::single;
use crate::telemetry;
use crate::telemetry::trace_context::TraceContext;

/// The header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids are replaced: they would fill log lines.
const MAX_LENGTH: usize = 128;

/// An extension of requests by probes and scrapers: their log lines are at debug level, because they come every few
/// seconds and say nothing about clients.
#[derive(Debug, Clone, Copy)]
pub struct Routine;

/// The arrival of a request: its id, time and trace; an extension of every request.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The request's id.
    pub request_id: String,
    /// When its headers arrived.
    pub at: Instant,
    /// Its span, in the trace that it belongs to.
    pub trace: TraceContext,
}

/// Gives the request its id and its span, and renders the problem if the response is one.
pub async fn request_id(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = client_id(&request).unwrap_or_else(|| Uuid::new_v4().to_string());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let dialect = request.extensions().get::<Dialect>().copied().unwrap_or_default();
    let span = tracing::info_span!(
        "request", request_id = %id, %method, path, client = Empty, trace_id = Empty, otel.name = Empty, otel.kind = Empty
    );
    if cfg!(feature = "otlp") {
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        span.record("otel.name", format!("{method} {route}").trim_end());
        span.record("otel.kind", "server");
    }
    let trace = telemetry::begin_trace(&span, TraceContext::of(request.headers()).as_ref());
    let arrival = Arrival { request_id: id.clone(), at: started, trace: trace.clone() };
    request.extensions_mut().insert(arrival);
    let is_routine = request.extensions().get::<Routine>().is_some();
    let disconnected = Disconnected { span: Some(span.clone()), is_routine };
    let response = next.run(request).instrument(span.clone()).await;
    disconnected.answered();
    let problem = response.extensions().get::<Problem>().cloned();
    let mut response = match &problem {
        Some(problem) => {
            // Headers that layers have added stay: `Allow`, `WWW-Authenticate`, `RateLimit`.
            let mut rendered = render(problem, &id, dialect);
            let beside = response.headers().iter().filter(|(name, _)| ![CONTENT_TYPE, CONTENT_LENGTH].contains(name));
            for (name, value) in beside {
                rendered.headers_mut().append(name, value.clone());
            }
            rendered
        }
        None => response,
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    trace.put(response.headers_mut());
    span.in_scope(|| {
        let (status, took_ms) = (response.status().as_u16(), telemetry::millis(started.elapsed()));
        match problem {
            Some(problem) if is_routine => tracing::debug!(status, took_ms, code = problem.code().as_str(), "answered"),
            None if is_routine => tracing::debug!(status, took_ms, "answered"),
            Some(problem) => tracing::info!(status, took_ms, code = problem.code().as_str(), "answered"),
            None => tracing::info!(status, took_ms, "answered"),
        }
    });
    response
}

/// Logs a request that is dropped before its response: its client disconnected.
struct Disconnected {
    span: Option<Span>,
    is_routine: bool,
}

impl Disconnected {
    fn answered(mut self) {
        self.span = None;
    }
}

impl Drop for Disconnected {
    fn drop(&mut self) {
        const TEXT: &str = "the client disconnected before the response";
        if let Some(span) = &self.span {
            span.in_scope(|| if self.is_routine { tracing::debug!("{TEXT}") } else { tracing::info!("{TEXT}") });
        }
    }
}

fn client_id(request: &Request) -> Option<String> {
    let id = single(request.headers(), "x-request-id").ok()??;
    let is_valid = !id.is_empty() && id.len() <= MAX_LENGTH && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_valid.then(|| id.to_owned())
}
