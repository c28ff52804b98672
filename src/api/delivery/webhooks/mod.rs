//! Webhooks: a job that has ended is sent to the URL of its request, signed by the Standard Webhooks specification
//! (standardwebhooks.com).
//!
//! - [`AllowedHost`]: permitted hosts; [`WebhookSecret`]: signatures; `retry`: when an attempt is repeated
//! - `pending`: what a service that shuts down waits for
//!
//! A delivery holds the job's id alone and reads the job for each attempt. So memory for receivers that are down is
//! bounded by the job store.

mod hosts;
mod pending;
mod retry;
mod sign;

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, header};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::api::delivery::jobs::{JobId, JobStore, object};
pub(crate) use crate::api::delivery::webhooks::hosts::AllowedHost;
use crate::api::delivery::webhooks::pending::{Pending, PendingGuard};
use crate::api::delivery::webhooks::retry::{Attempt, with_retries};
pub(crate) use crate::api::delivery::webhooks::sign::InvalidSecret;
pub use crate::api::delivery::webhooks::sign::WebhookSecret;
use crate::api::operations::bodies::unix_seconds;
use crate::api::problem::{Code, Problem};
use crate::telemetry::labels::label;
use crate::telemetry::metrics::Counters;
use crate::telemetry::trace_context::TraceContext;

label! {
    /// How the delivery of a webhook ended.
    WebhookEnd as "outcome" {
        /// The receiver accepted it.
        Delivered = "delivered",
        /// No attempt was accepted.
        GivenUp = "given_up",
    }
}

/// How long a receiver may take to respond.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Concurrent attempts.
const MAX_AT_ONCE: usize = 16;
/// The longest URL.
const MAX_URL_BYTES: usize = 2048;
/// The default wait before the second attempt.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// Settings of webhooks.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Permitted hosts.
    pub hosts: Vec<AllowedHost>,
    /// Signs requests.
    pub secret: WebhookSecret,
    /// The wait before the second attempt; each later one is four times as long.
    pub first_wait: Duration,
}

impl WebhookConfig {
    /// Webhooks to these hosts.
    pub fn new(hosts: Vec<AllowedHost>, secret: WebhookSecret) -> Self {
        Self { hosts, secret, first_wait: FIRST_WAIT }
    }
}

/// Delivers webhooks.
#[derive(Debug)]
pub struct Webhooks {
    config: WebhookConfig,
    client: Client,
    turns: Semaphore,
    ends: Counters<WebhookEnd>,
    pending: Arc<Pending>,
}

/// The webhook of a request, at a permitted host. It is pending until it is dropped.
#[derive(Debug)]
pub struct Webhook {
    url: Url,
    webhooks: Arc<Webhooks>,
    _pending: PendingGuard,
    /// The trace of the request.
    trace: Option<TraceContext>,
}

impl Webhooks {
    /// Webhooks with these settings.
    ///
    /// # Errors
    /// Where a host needs TLS and this machine trusts no certificates.
    pub fn new(config: WebhookConfig, ends: Counters<WebhookEnd>) -> io::Result<Self> {
        crate::telemetry::tls::install_provider();
        let client = Client::builder()
            .user_agent(concat!("reprompt/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            // A proxy could connect to other hosts.
            .no_proxy();
        let is_encrypted = config.hosts.iter().any(AllowedHost::is_encrypted);
        // The client fails to build where this machine has no certificates, so they are loaded only if needed.
        let client = if is_encrypted { client } else { client.tls_certs_only([]) };
        let client = client.build().map_err(io::Error::other)?;
        Ok(Self { config, client, turns: Semaphore::new(MAX_AT_ONCE), ends, pending: Arc::default() })
    }

    /// How many webhooks are pending: wanted by a request, and neither delivered nor given up yet.
    pub fn pending(&self) -> usize {
        self.pending.count()
    }

    /// Waits until no webhook is pending.
    pub async fn idle(&self) {
        self.pending.idle().await;
    }

    /// Gives up every webhook whose next retry would begin after `limit`: the service shuts down then.
    pub fn stop_at(&self, limit: Instant) {
        self.pending.stop_at(limit);
    }

    /// One attempt.
    async fn send(&self, Webhook { url, trace, .. }: &Webhook, id: &JobId, jobs: &Weak<JobStore>) -> Attempt {
        let Ok(_turn) = self.turns.acquire().await else {
            return Attempt::Rejected("the service is shutting down".to_owned());
        };
        let Some(jobs) = jobs.upgrade() else {
            return Attempt::Rejected("the service is shutting down".to_owned());
        };
        let Some(body) = jobs.get(id).and_then(|job| object(&job, jobs.ttl()).ok()) else {
            return Attempt::Rejected("the job has expired or was evicted".to_owned());
        };
        drop(jobs);
        let (id, timestamp) = (id.to_string(), unix_seconds(SystemTime::now()));
        let mut traced = HeaderMap::new();
        trace.iter().for_each(|trace| trace.put(&mut traced));
        let sent = self
            .client
            .post(url.clone())
            .headers(traced)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.config.secret.sign(&id, timestamp, &body))
            .body(body)
            .send()
            .await;
        match sent.map(|response| response.status()) {
            Ok(status) if status.is_success() => Attempt::Delivered,
            Ok(StatusCode::GONE) => Attempt::Rejected(format!("status {}", StatusCode::GONE)),
            Ok(status) => Attempt::Failed(format!("status {status}")),
            // The path of a webhook may hold a secret.
            Err(error) => Attempt::Failed(error.without_url().to_string()),
        }
    }
}

impl Webhook {
    /// The webhook at this URL.
    ///
    /// # Errors
    /// `invalid_value` for an invalid URL, `webhook_not_allowed` where its host is not permitted.
    pub fn new(webhooks: Option<&Arc<Webhooks>>, url: &str) -> Result<Self, Problem> {
        const FIELD: &str = "webhook";
        let invalid = |detail: &str| Problem::new(Code::InvalidValue, detail).at(FIELD);
        if url.len() > MAX_URL_BYTES {
            return Err(invalid(&format!("the URL has {} bytes; expected at most {MAX_URL_BYTES}", url.len())));
        }
        let url = Url::parse(url).map_err(|error| invalid(&format!("expected an absolute URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("expected a URL without user and password"));
        }
        let webhooks = webhooks.filter(|webhooks| webhooks.config.hosts.iter().any(|host| host.allows(&url)));
        let webhook = |webhooks: &Arc<Webhooks>| {
            let (webhooks, pending) = (Arc::clone(webhooks), webhooks.pending.add());
            Self { url, webhooks, _pending: pending, trace: None }
        };
        webhooks.map(webhook).ok_or_else(|| {
            let detail = "the service's configuration does not list this host, or lists it with another scheme or port";
            Problem::new(Code::WebhookNotAllowed, detail).at(FIELD)
        })
    }

    /// The same, as part of a trace.
    #[must_use]
    pub fn traced(self, trace: &TraceContext) -> Self {
        Self { trace: Some(trace.clone()), ..self }
    }

    /// Sends a job that has ended, with retries.
    pub async fn deliver(&self, id: &JobId, jobs: &Weak<JobStore>) {
        let Self { url, webhooks, .. } = self;
        let delivered =
            with_retries(webhooks.config.first_wait, webhooks.pending.limit(), |_| webhooks.send(self, id, jobs)).await;
        let end = match delivered {
            Ok(()) => {
                tracing::info!(job = %id, host = url.host_str(), "a webhook was delivered");
                WebhookEnd::Delivered
            }
            Err(reason) => {
                tracing::warn!(job = %id, host = url.host_str(), reason, "a webhook could not be delivered");
                WebhookEnd::GivenUp
            }
        };
        webhooks.ends.with(end).inc();
    }
}
