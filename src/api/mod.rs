//! HTTP: routes, the types on the wire, problems. Nothing here sees a tensor.
//!
//! - [`wire`]: bodies as they are documented; [`body`], [`source`], [`edit_params`]: from there to the domain; [`query`]
//! - [`edits`], [`sessions`], [`attention`], [`align`], [`health`], [`metrics`]: the calls; [`answer`], [`accept`]: what comes back, and how
//! - [`problem`]: everything that can go wrong, in one table; [`request_id`]: the id that every answer carries
//! - [`openapi`]: the contract, made from all of this

pub mod accept;
pub mod align;
pub mod answer;
pub mod attention;
pub mod body;
pub mod edit_params;
pub mod edits;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod query;
pub mod request_id;
pub mod sessions;
pub mod source;
pub mod wire;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use self::problem::{Code, Problem};
use crate::engine::Engine;

/// What every call may use.
#[derive(Debug)]
pub struct AppState {
    /// The engine.
    pub engine: Engine,
}

/// The service: a router that can be served, or called in a test.
pub fn router(state: Arc<AppState>) -> Router {
    Router::new()
        .route("/v1/edits", post(edits::create))
        .route("/v1/align", post(align::align))
        .route("/v1/sessions", post(sessions::create).get(sessions::list))
        .route("/v1/sessions/{id}", get(sessions::show).delete(sessions::forget))
        .route("/v1/sessions/{id}/image", get(sessions::image))
        .route("/v1/sessions/{id}/attention", get(attention::show))
        .route("/v1/sessions/{id}/edits", post(edits::create_in_session))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show))
        .route("/openapi.json", get(|| async { Json(openapi::json()) }))
        .fallback(|| async {
            Problem::new(Code::NotFound, "there is nothing at this address, /openapi.json lists what there is")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                Code::MethodNotAllowed,
                "this address does not take this method, the allow header lists those it takes",
            )
        })
        .with_state(Arc::clone(&state))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(state, metrics::count))
        .layer(middleware::from_fn(request_id::request_id))
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(panic = text.as_deref().unwrap_or("no message"), "a handler panicked");
    Problem::new(Code::Internal, "the request failed; the server's log says more under this request's id")
        .into_response()
}
