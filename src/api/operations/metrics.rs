//! `/metrics`, and the layer that counts requests and measures their time.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::metrics::{Call, HttpMetrics, StatusClass};
use crate::api::problem::Problem;
use crate::api::state::AppState;

/// Prometheus' text format, version 0.0.4.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4";

/// All metrics, for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operations",
    responses(
        (status = 200, description = "All metrics in Prometheus' text format", body = String, content_type = "text/plain; version=0.0.4"),
    ))]
pub async fn show(State(state): State<Arc<AppState>>) -> Result<Response, Problem> {
    // Metrics of the process are read from files of the system.
    let text = tokio::task::spawn_blocking(move || {
        state.models.iter().for_each(|engine| engine.refresh_metrics());
        let loaded = state.models.iter().filter_map(|engine| engine.model().ok());
        state.metrics.build_info.show(loaded.map(|model| model.name.clone()).collect());
        state.registry.text()
    })
    .await;
    let text = text.map_err(|error| Problem::internal("the metrics could not be written", &error))?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

/// Counts a request and the time from its headers to those of its response.
pub async fn count(State(metrics): State<Arc<HttpMetrics>>, request: Request, next: Next) -> Response {
    let call = request.extensions().get::<Call>().copied().unwrap_or(Call::Other);
    let pending = Pending { metrics: &metrics, call, started: Instant::now(), status: None };
    let response = next.run(request).await;
    pending.responded(response.status());
    response
}

fn class(status: StatusCode) -> StatusClass {
    match status.as_u16() {
        429 => StatusClass::Refused,
        ..400 => StatusClass::Success,
        400..500 => StatusClass::ClientError,
        _ => StatusClass::ServerError,
    }
}

/// Counts a request when it is dropped: with the status of its response or, without one, as a client that disconnected.
struct Pending<'a> {
    metrics: &'a HttpMetrics,
    call: Call,
    started: Instant,
    status: Option<StatusCode>,
}

impl Pending<'_> {
    fn responded(mut self, status: StatusCode) {
        self.metrics.request_seconds.with(self.call).observe(self.started.elapsed().as_secs_f64());
        self.status = Some(status);
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.metrics.requests.with(self.call, self.status.map_or(StatusClass::ClientGone, class)).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_with_429_are_not_client_errors() {
        let classes =
            [200, 304, 400, 422, 429, 499, 500, 503].map(|status| class(StatusCode::from_u16(status).unwrap()));
        use StatusClass::{ClientError, Refused, ServerError, Success};
        assert_eq!(
            classes,
            [Success, Success, ClientError, ClientError, Refused, ClientError, ServerError, ServerError]
        );
    }
}
