//! Who may call, from where, how often and for how long: what stands between the socket and the calls.
//!
//! Contract, from the outside in: every answer has the headers of [`answer_headers`]; other origins than the configured
//! ones are told nothing ([`cors`]); nobody waits longer than the [`time`] limits; a call needs a key where there are
//! keys, unless its route is [`open`](admit), and is counted against its [`Caller`] by [`rate`]; what runs is counted by
//! [`places`]. Keys are never logged and never kept: [`key_ring`] holds their hashes, [`key_file`] where they come from.

pub mod address;
pub mod admit;
pub mod api_keys;
pub mod caller;
pub mod cors;
pub mod job_limit;
pub mod rate;
pub mod security_headers;
pub mod timeouts;

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::{Router, middleware};
use tokio::task::AbortHandle;

use crate::api::guard::address::Proxies;
use crate::api::guard::api_keys::file::KeyFile;
pub use crate::api::guard::caller::Caller;
use crate::api::guard::job_limit::Places;
use crate::api::guard::rate::Rate;
use crate::api::guard::timeouts::TimeLimits;
use crate::api::metrics::HttpMetrics;
use crate::api::state::AppState;
use crate::telemetry::labels::label;

label! {
    /// Why a request was refused, or given up, before it came to a job.
    RequestRefusal as "reason" {
        /// It has no API key.
        NoKey = "no_key",
        /// Its API key is none.
        UnknownKey = "unknown_key",
        /// Its caller has made too many.
        RateLimited = "rate_limited",
        /// Its caller has too many jobs.
        TooManyConcurrent = "too_many_concurrent",
        /// Its answer took too long.
        AnswerTimeout = "answer_timeout",
    }
}

/// Settings of the guard; by default everybody may do everything.
#[derive(Debug, Clone, Default)]
pub struct GuardConfig {
    /// The keys of which a call needs one; `None`: none is needed.
    pub keys: Option<Arc<KeyFile>>,
    /// Requests that a caller may make a minute; `None`: any number.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Jobs that a caller may have waiting and running; 0: any number.
    pub jobs: usize,
    /// Who may say where a request comes from.
    pub proxies: Proxies,
    /// Origins whose pages may read answers; `*` is any.
    pub cors_origins: Vec<String>,
    /// How long requests may take.
    pub times: TimeLimits,
    /// Whether metrics are served at an address of their own and not beside the API.
    pub metrics_apart: bool,
}

/// The guard of a service.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    rate: Rate,
    places: Places,
    /// Watches the file of keys for as long as the guard lives.
    watcher: Option<AbortHandle>,
}

impl Guard {
    /// A guard with these settings. To be called within a tokio runtime.
    pub fn new(config: GuardConfig, metrics: &Arc<HttpMetrics>) -> Self {
        let watcher = config.keys.as_ref().map(|keys| {
            let (keys, metrics) = (Arc::clone(keys), Arc::clone(metrics));
            tokio::spawn(async move { keys.watch(&metrics).await }).abort_handle()
        });
        let (rate, places) = (Rate::new(config.requests_per_minute), Places::new(config.jobs));
        Self { config, rate, places, watcher }
    }

    /// Jobs that callers have waiting and running.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Whether metrics are served at an address of their own and not beside the API.
    pub fn metrics_apart(&self) -> bool {
        self.config.metrics_apart
    }

    /// Who pages of other origins may read answers for, if anybody.
    pub fn cors(&self) -> Option<tower_http::cors::CorsLayer> {
        cors::layer(&self.config.cors_origins)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.watcher.iter().for_each(AbortHandle::abort);
    }
}

/// Puts the guard in front of the calls.
pub fn protect(calls: Router, state: &Arc<AppState>) -> Router {
    calls
        .layer(middleware::from_fn_with_state(Arc::clone(state), admit::admit))
        .layer(middleware::from_fn_with_state(Arc::clone(state), timeouts::within))
}
