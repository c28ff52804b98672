//! Which call answers which request.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::assets::{docs, playground};
use crate::api::delivery::jobs;
use crate::api::operations::{align, attention, edits, health, images, metrics, models, sessions};
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::request_id;
use crate::api::{guard, openapi};

/// The service: a router that can be served, or called in a test.
pub fn router(state: Arc<AppState>) -> Router {
    let calls = Router::new()
        .route("/v1/edits", post(edits::create))
        .route("/v1/align", post(align::align))
        .route("/v1/images/generations", post(images::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::show))
        .route("/v1/sessions", post(sessions::create).get(sessions::list))
        .route("/v1/sessions/{id}", get(sessions::show).delete(sessions::forget))
        .route("/v1/sessions/{id}/image", get(sessions::image))
        .route("/v1/sessions/{id}/attention", get(attention::show))
        .route("/v1/sessions/{id}/edits", post(edits::create_in_session))
        .route("/v1/jobs", get(jobs::routes::list))
        .route("/v1/jobs/{id}", get(jobs::routes::show).delete(jobs::routes::cancel))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/", get(playground::page))
        .route("/assets/{*path}", get(playground::asset))
        .route("/openapi.json", get(openapi::show))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .fallback(|| async {
            Problem::new(Code::NotFound, "there is nothing at this address, /openapi.json lists what there is")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                Code::MethodNotAllowed,
                "this address does not take this method, the allow header lists those it takes",
            )
        });
    let calls = if state.guard.metrics_apart() { calls } else { calls.route("/metrics", get(metrics::show)) };
    let calls = guard::protect(calls.with_state(Arc::clone(&state)), &state);
    let calls = calls
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), metrics::count));
    // Before anything that needs a key: a browser asks first without one.
    let calls = if let Some(cors) = state.guard.cors() { calls.layer(cors) } else { calls };
    told(calls)
}

/// What is served to those who run the service, at an address of its own: metrics and probes, without a key.
pub fn metrics_router(state: Arc<AppState>) -> Router {
    let calls = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show))
        .fallback(|| async { Problem::new(Code::NotFound, "/metrics, /healthz and /readyz are served here") });
    told(calls.with_state(state))
}

/// What goes with every answer, problems included.
fn told(calls: Router) -> Router {
    calls.layer(middleware::from_fn(guard::security_headers::put)).layer(middleware::from_fn(request_id::request_id))
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(panic = text.as_deref().unwrap_or("no message"), "a handler panicked");
    Problem::new(Code::Internal, "the request failed; the server's log says more under this request's id")
        .into_response()
}
