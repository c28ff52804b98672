//! HTTP: routes, the types on the wire, problems. Nothing here sees a tensor.
//!
//! - [`wire`]: bodies as they are documented; [`body`], [`query`], [`source`], [`edit_params`]: from there to the domain;
//!   [`mistake`]: what is wrong with a field
//! - [`edits`], [`sessions`], [`images`], [`attention`], [`align`], [`models`], [`health`], [`metrics`]: the calls;
//!   [`prepared`], [`handles`]: what those that run something come to
//! - [`wait`]: the ways to wait for it, with [`headers`], [`deadline`] and [`idempotency`]; [`stream`]: as events;
//!   [`jobs`]: as a job to be asked about; [`webhook`]: or that tells of itself
//! - [`answer`], [`accept`]: what comes back, and how; [`windows`], [`warnings`]: what stands beside an image;
//!   [`recipe`]: what stands inside it; [`openai`]: how the OpenAI API says it
//! - [`problem`]: everything that can go wrong, in one table; [`request_id`]: the id that every answer carries
//! - [`connections`], [`guard`]: who may call, how often and for how long
//! - [`openapi`]: the contract, made from all of this; [`docs`]: as a page; [`playground`]: a page for trying it

pub mod accept;
pub mod align;
pub mod answer;
pub mod attention;
pub mod body;
pub mod connections;
pub mod deadline;
pub mod docs;
pub mod edit_params;
pub mod edits;
pub mod guard;
pub mod handles;
pub mod headers;
pub mod health;
pub mod idempotency;
pub mod images;
pub mod jobs;
pub mod limits;
pub mod metrics;
pub mod mistake;
pub mod models;
pub mod openai;
pub mod openapi;
pub mod playground;
pub mod prepared;
pub mod problem;
pub mod query;
pub mod recipe;
pub mod request_id;
pub mod sessions;
pub mod source;
pub mod stream;
pub mod wait;
pub mod warnings;
pub mod webhook;
pub mod windows;
pub mod wire;

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use self::guard::Guard;
use self::jobs::Jobs;
pub use self::limits::{ApiConfig, JobLimits};
use self::problem::{Code, Problem};
use self::webhook::Webhooks;
use crate::engine::Engine;

/// What every call may use.
#[derive(Debug)]
pub struct AppState {
    /// Jobs that outlive their requests.
    pub jobs: Jobs,
    /// Who may call, and how much.
    pub guard: Guard,
    /// Where jobs that have ended may be sent.
    pub webhooks: Option<Arc<Webhooks>>,
    /// When the service started.
    pub started: SystemTime,
    /// The engine; dropped last, for it waits for the jobs of those above.
    pub engine: Engine,
}

impl AppState {
    /// The state of a service. To be called within a tokio runtime.
    ///
    /// # Errors
    /// Where webhooks cannot be sent from this machine.
    pub fn new(engine: Engine, config: ApiConfig) -> io::Result<Self> {
        let metrics = engine.metrics();
        let webhooks = config.webhooks.map(|webhooks| Webhooks::new(webhooks, Arc::clone(metrics))).transpose()?;
        let jobs = Jobs::new(config.jobs, metrics.async_jobs.clone());
        let guard = Guard::new(config.guard, metrics);
        Ok(Self { jobs, guard, webhooks: webhooks.map(Arc::new), started: SystemTime::now(), engine })
    }
}

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
pub fn operations(state: Arc<AppState>) -> Router {
    let calls = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show))
        .fallback(|| async { Problem::new(Code::NotFound, "/metrics, /healthz and /readyz are served here") });
    told(calls.with_state(state))
}

/// What goes with every answer, problems included.
fn told(calls: Router) -> Router {
    calls.layer(middleware::from_fn(guard::answer_headers::put)).layer(middleware::from_fn(request_id::request_id))
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(panic = text.as_deref().unwrap_or("no message"), "a handler panicked");
    Problem::new(Code::Internal, "the request failed; the server's log says more under this request's id")
        .into_response()
}
