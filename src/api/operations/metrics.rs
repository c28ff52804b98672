//! `/metrics`, and the count of all requests that it shows.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::metrics::Call;
use crate::api::metrics::HttpMetrics;
use crate::api::metrics::StatusClass;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;

/// Prometheus' text format, version 0.0.4.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4";

/// All metrics, for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operations",
    responses(
        (status = 200, description = "All metrics in Prometheus' text format", body = String, content_type = "text/plain; version=0.0.4"),
    ))]
pub async fn show(State(state): State<Arc<AppState>>) -> Result<Response, Problem> {
    // What is told of the process is read from files of the system.
    let text = tokio::task::spawn_blocking(move || {
        state.engine.refresh_metrics();
        state.registry.text()
    })
    .await;
    let text = text.map_err(|_| Problem::new(Code::Internal, "the metrics could not be written out"))?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

/// Counts a request and how long it took, from its head to its answer's.
pub async fn count(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let call = call(request.method(), path);
    let pending = Pending { metrics: &state.metrics, call, started: Instant::now(), answer: None };
    let response = next.run(request).await;
    pending.answered(response.status());
    response
}

/// The call that a method and a route are.
fn call(method: &Method, route: &str) -> Call {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match (method.as_str(), route) {
        ("POST", "/v1/edits") => Call::CreateEdit,
        ("POST", "/v1/sessions/{id}/edits") => Call::CreateSessionEdit,
        ("POST", "/v1/sessions") => Call::CreateSession,
        ("DELETE", "/v1/sessions/{id}") => Call::DeleteSession,
        ("POST", "/v1/images/generations") => Call::CreateImages,
        ("POST", "/v1/align") => Call::Align,
        (_, route) if is_read && route.starts_with("/v1/sessions") => Call::ReadSession,
        (method, route) if (is_read || method == "DELETE") && route.starts_with("/v1/jobs") => Call::Jobs,
        _ => Call::Other,
    }
}

fn class(status: StatusCode) -> StatusClass {
    match status.as_u16() {
        429 => StatusClass::Refused,
        ..400 => StatusClass::Success,
        400..500 => StatusClass::ClientError,
        _ => StatusClass::ServerError,
    }
}

/// A request that is counted when it is answered, or dropped because its client has gone away.
struct Pending<'a> {
    metrics: &'a HttpMetrics,
    call: Call,
    started: Instant,
    answer: Option<StatusCode>,
}

impl Pending<'_> {
    fn answered(mut self, status: StatusCode) {
        self.metrics.request_seconds.of(self.call).observe(self.started.elapsed().as_secs_f64());
        self.answer = Some(status);
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.metrics.requests.of(self.call, self.answer.map_or(StatusClass::ClientGone, class)).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart_by_method_and_route() {
        for (method, route, wanted) in [
            (Method::POST, "/v1/edits", Call::CreateEdit),
            (Method::POST, "/v1/sessions/{id}/edits", Call::CreateSessionEdit),
            (Method::POST, "/v1/sessions", Call::CreateSession),
            (Method::GET, "/v1/sessions", Call::ReadSession),
            (Method::GET, "/v1/sessions/{id}", Call::ReadSession),
            (Method::HEAD, "/v1/sessions/{id}/image", Call::ReadSession),
            (Method::GET, "/v1/sessions/{id}/attention", Call::ReadSession),
            (Method::DELETE, "/v1/sessions/{id}", Call::DeleteSession),
            (Method::POST, "/v1/images/generations", Call::CreateImages),
            (Method::POST, "/v1/align", Call::Align),
            (Method::GET, "/v1/jobs/{id}", Call::Jobs),
            (Method::DELETE, "/v1/jobs/{id}", Call::Jobs),
            (Method::GET, "/v1/edits", Call::Other),
            (Method::GET, "/readyz", Call::Other),
            (Method::POST, "", Call::Other),
        ] {
            assert_eq!(call(&method, route), wanted, "{method} {route}");
        }
    }

    #[test]
    fn a_refusal_for_lack_of_room_is_no_mistake_of_the_client() {
        let classes =
            [200, 304, 400, 422, 429, 499, 500, 503].map(|status| class(StatusCode::from_u16(status).unwrap()));
        use StatusClass::{ClientError, Refused, ServerError, Success};
        assert_eq!(
            classes,
            [Success, Success, ClientError, ClientError, Refused, ClientError, ServerError, ServerError]
        );
    }
}
