//! Webhooks: a job that has ended is sent to where its client wants it, signed as the Standard Webhooks specification
//! has it (standardwebhooks.com).
//!
//! - [`AllowedHost`]: where they may go; [`WebhookSecret`]: how they are signed; `retry`: when they are tried again
//!
//! A delivery holds the job's id and no more, and reads the job for each attempt: what waits for a receiver that is
//! down is bounded by what the jobs' store may keep.

mod hosts;
mod retry;
mod sign;

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, header};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use tokio::sync::Semaphore;

use crate::api::delivery::jobs::{JobId, JobStore, object};
use crate::api::delivery::response::unix_seconds;
pub use crate::api::delivery::webhooks::hosts::{AllowedHost, InvalidHost};
use crate::api::delivery::webhooks::retry::{Attempt, with_retries};
pub use crate::api::delivery::webhooks::sign::{InvalidSecret, WebhookSecret};
use crate::api::metrics::HttpMetrics;
use crate::api::problem::{Code, Problem};
use crate::telemetry::labels::label;
use crate::telemetry::trace_context::TraceContext;

label! {
    /// How the delivery of a webhook ended.
    WebhookEnd as "outcome" {
        /// The receiver took it.
        Delivered = "delivered",
        /// The receiver did not take it, however often it was tried.
        GivenUp = "given_up",
    }
}

/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts at once; others wait for their turn.
const MAX_AT_ONCE: usize = 16;
/// Longer URLs are refused.
const MAX_URL_BYTES: usize = 2048;
/// How long the first wait before another attempt is by default.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// Settings of webhooks.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Where they may go.
    pub hosts: Vec<AllowedHost>,
    /// What they are signed with.
    pub secret: WebhookSecret,
    /// How long the first wait before another attempt is; each one after it takes four times as long.
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
    metrics: Arc<HttpMetrics>,
}

/// A webhook that was asked for, at an address that is allowed.
#[derive(Debug, Clone)]
pub struct Webhook {
    url: Url,
    webhooks: Arc<Webhooks>,
    /// The request that asked for it.
    trace: Option<TraceContext>,
}

impl Webhooks {
    /// Webhooks with these settings.
    ///
    /// # Errors
    /// Where hosts are to be reached with TLS and this machine has no certificates to trust.
    pub fn new(config: WebhookConfig, metrics: Arc<HttpMetrics>) -> io::Result<Self> {
        // Somebody else in this process may have chosen already; one choice is as good as another.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("reprompt/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            // What is allowed is a host, not whatever a proxy makes of it.
            .no_proxy();
        let is_encrypted = config.hosts.iter().any(AllowedHost::is_encrypted);
        // Without certificates of its own the client takes the machine's, and fails where there are none.
        let client = if is_encrypted { client } else { client.tls_certs_only([]) };
        let client = client.build().map_err(io::Error::other)?;
        Ok(Self { config, client, turns: Semaphore::new(MAX_AT_ONCE), metrics })
    }

    /// One attempt.
    async fn send(&self, Webhook { url, trace, .. }: &Webhook, id: &JobId, jobs: &Weak<JobStore>) -> Attempt {
        let Ok(_turn) = self.turns.acquire().await else {
            return Attempt::GivenUp("the service ends".to_owned());
        };
        let Some(jobs) = jobs.upgrade() else {
            return Attempt::GivenUp("the service ends".to_owned());
        };
        let Some(body) = jobs.get(id).and_then(|job| object(&job, jobs.ttl()).ok()) else {
            return Attempt::GivenUp("the job is not kept any more".to_owned());
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
            Ok(StatusCode::GONE) => Attempt::GivenUp(format!("status {}", StatusCode::GONE)),
            Ok(status) => Attempt::Failed(format!("status {status}")),
            // Paths of hooks may hold secrets of their own.
            Err(error) => Attempt::Failed(error.without_url().to_string()),
        }
    }
}

impl Webhook {
    /// The webhook at this URL.
    ///
    /// # Errors
    /// `invalid_value` where it is no URL, `webhook_not_allowed` where its host is not allowed.
    pub fn new(webhooks: Option<&Arc<Webhooks>>, url: &str) -> Result<Self, Problem> {
        const FIELD: &str = "webhook";
        let invalid = |detail: &str| Problem::new(Code::InvalidValue, detail).at(FIELD);
        if url.len() > MAX_URL_BYTES {
            return Err(invalid(&format!("the URL has {} bytes, at most {MAX_URL_BYTES} are possible", url.len())));
        }
        let url = Url::parse(url).map_err(|error| invalid(&format!("an absolute URL is wanted: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("a URL without a user and a password is wanted"));
        }
        let webhooks = webhooks.filter(|webhooks| webhooks.config.hosts.iter().any(|host| host.allows(&url)));
        webhooks.map(Arc::clone).map(|webhooks| Self { url, webhooks, trace: None }).ok_or_else(|| {
            let detail = "webhooks go to hosts that this server's configuration lists, over https unless it says http";
            Problem::new(Code::WebhookNotAllowed, detail).at(FIELD)
        })
    }

    /// The same, as part of a trace.
    #[must_use]
    pub fn traced(self, trace: &TraceContext) -> Self {
        Self { trace: Some(trace.clone()), ..self }
    }

    /// Sends a job that has ended, however often that takes.
    pub async fn deliver(&self, id: &JobId, jobs: &Weak<JobStore>) {
        let Self { url, webhooks, .. } = self;
        let delivered = with_retries(webhooks.config.first_wait, |_| webhooks.send(self, id, jobs)).await;
        let end = match delivered {
            Ok(()) => {
                tracing::info!(job = %id, host = url.host_str(), "a webhook was delivered");
                WebhookEnd::Delivered
            }
            Err(reason) => {
                tracing::warn!(job = %id, host = url.host_str(), reason, "a webhook was given up");
                WebhookEnd::GivenUp
            }
        };
        webhooks.metrics.webhooks.of(end).inc();
    }
}
