//! Who may call, from where, how often and for how long: the layers between the socket and the handlers.
//!
//! Contract, from the outside in:
//! - Every response has the headers of [`security_headers`].
//! - Pages of origins that are not configured cannot read responses ([`cors`]).
//! - A request for the host of another site is refused ([`hosts`]).
//! - The arrival of a request's body and the start of its response have time limits ([`timeouts`]). A response that has
//!   begun, such as a stream of events, has none.
//! - If there are keys, a request needs one, unless its endpoint is [`Access::Open`] ([`admit`]). It is counted against
//!   its [`Caller`] by [`rate`].
//! - Jobs are counted by [`job_limit`]; handlers ask for permits.
//!
//! Keys are neither logged nor kept: [`api_keys`] holds their hashes. [`protect`] adds timeouts and admission; the
//! router adds the rest, because responses outside the guard need it too.

pub mod address;
pub(crate) mod admit;
pub mod api_keys;
pub(crate) mod caller;
pub mod cors;
pub mod hosts;
pub(crate) mod job_limit;
pub(crate) mod rate;
pub(crate) mod security_headers;
pub mod timeouts;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};
use prometheus::IntGauge;
use tokio::task::AbortHandle;

use crate::api::guard::address::Proxies;
use crate::api::guard::api_keys::file::{KeyFile, KeysReload};
pub(crate) use crate::api::guard::caller::Caller;
use crate::api::guard::cors::OriginPattern;
use crate::api::guard::hosts::Hosts;
use crate::api::guard::job_limit::{JobLimiter, JobPermit};
use crate::api::guard::rate::Rate;
use crate::api::guard::timeouts::TimeLimits;
use crate::api::problem::{Code, Problem};
use crate::telemetry::labels::label;
use crate::telemetry::metrics::Counters;

/// Whether a request for an endpoint needs an API key, if there are keys; an extension of every request.
///
/// Requests for open endpoints are not counted against a rate limit either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No key is needed.
    Open,
    /// A key is needed.
    Key,
}

label! {
    /// Why a request was refused, or aborted, before it became a job.
    RequestRefusal as "reason" {
        /// It has no API key.
        NoKey = "no_key",
        /// Its API key is unknown.
        UnknownKey = "unknown_key",
        /// It names a host that is not allowed.
        HostNotAllowed = "host_not_allowed",
        /// Its caller exceeds the rate limit.
        RateLimited = "rate_limited",
        /// Its caller has too many jobs.
        TooManyConcurrent = "too_many_concurrent",
        /// Its answer took too long.
        AnswerTimeout = "answer_timeout",
    }
}

/// Settings of the guard; the default limits nothing.
#[derive(Debug, Clone, Default)]
pub struct GuardConfig {
    /// The API keys; `None`: no key is needed.
    pub keys: Option<Arc<KeyFile>>,
    /// Requests per minute and caller; `None`: no limit.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Queued and running jobs per caller; 0: no limit.
    pub jobs: usize,
    /// Proxies that are trusted to name the client.
    pub proxies: Proxies,
    /// Origins whose pages may read answers.
    pub cors_origins: Vec<OriginPattern>,
    /// The hosts that requests may name; `None`: all.
    pub hosts: Option<Hosts>,
    /// How long a request may take.
    pub times: TimeLimits,
    /// Whether metrics are served at an address of their own instead of beside the API.
    pub metrics_apart: bool,
}

/// The metrics of the guard.
#[derive(Debug, Clone)]
pub struct GuardMetrics {
    /// Requests that were refused.
    pub refused: Counters<RequestRefusal>,
    /// API keys in force.
    pub keys: IntGauge,
    /// Changes of the file of API keys.
    pub reloads: Counters<KeysReload>,
}

/// The guard of a service.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    rate: Rate,
    jobs: JobLimiter,
    metrics: GuardMetrics,
    /// Watches the file of keys for as long as the guard lives.
    watcher: Option<AbortHandle>,
}

impl Guard {
    /// A guard with these settings. To be called within a tokio runtime.
    pub fn new(config: GuardConfig, metrics: GuardMetrics) -> Self {
        let watcher = config.keys.as_ref().map(|keys| {
            let (keys, gauge, reloads) = (Arc::clone(keys), metrics.keys.clone(), metrics.reloads.clone());
            tokio::spawn(async move { keys.watch(&gauge, &reloads).await }).abort_handle()
        });
        let (rate, jobs) = (Rate::new(config.requests_per_minute), JobLimiter::new(config.jobs));
        Self { config, rate, jobs, metrics, watcher }
    }

    /// The most jobs that a caller may have queued and running; 0: no limit.
    pub(crate) fn job_limit(&self) -> usize {
        self.jobs.limit()
    }

    /// Permits for `count` more jobs of a caller.
    ///
    /// # Errors
    /// `too_many_concurrent` if the caller would exceed the limit; `retry_after` is the estimated time until a job
    /// ends.
    pub(crate) fn permit_jobs(
        &self,
        caller: &Caller,
        count: usize,
        retry_after: Duration,
    ) -> Result<JobPermit, Problem> {
        self.jobs.acquire(caller, count).ok_or_else(|| {
            self.metrics.refused.with(RequestRefusal::TooManyConcurrent).inc();
            let detail = format!("the limit of queued and running jobs per client is {}", self.jobs.limit());
            Problem::new(Code::TooManyConcurrent, detail).with_retry_after(retry_after)
        })
    }

    /// Whether metrics are served at an address of their own instead of beside the API.
    pub fn metrics_apart(&self) -> bool {
        self.config.metrics_apart
    }

    /// The CORS layer, if origins are configured.
    pub fn cors(&self) -> Option<tower_http::cors::CorsLayer> {
        cors::layer(&self.config.cors_origins)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.watcher.iter().for_each(AbortHandle::abort);
    }
}

/// Puts the check of hosts, the time limits and the admission of requests in front of the handlers.
pub fn protect(router: Router, guard: &Arc<Guard>) -> Router {
    router
        .layer(middleware::from_fn_with_state(Arc::clone(guard), admit::admit))
        .layer(middleware::from_fn_with_state(Arc::clone(guard), timeouts::within))
        .layer(middleware::from_fn_with_state(Arc::clone(guard), hosts::check))
}
