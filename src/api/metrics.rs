//! The metrics of the HTTP service.

use std::sync::Mutex;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::api::delivery::webhooks::WebhookEnd;
use crate::api::guard::RequestRefusal;
use crate::api::guard::api_keys::file::KeysReload;
use crate::api::transport::connections::Listener;
use crate::sync::lock;
use crate::telemetry::labels::{Label, label};
use crate::telemetry::metrics::MetricsRegistry;
use crate::telemetry::metrics::{Counters, Gauges, Histograms, SECONDS, metrics};
use crate::telemetry::register::{Metric, kept};
use crate::telemetry::{REVISION, VERSION};

metrics! {
    /// The metrics of the HTTP service.
    HttpMetrics {
        build_info: BuildInfo = "reprompt_build_info", "always 1; the version, revision and model of the process are its labels";
        requests: RequestCounters = "reprompt_http_requests_total", "HTTP requests, by call and status";
        request_seconds: Histograms<Call> = "reprompt_http_request_seconds", "time from a request's headers to its response's headers", SECONDS;
        requests_refused: Counters<RequestRefusal> = "reprompt_http_requests_refused_total", "HTTP requests refused before they became a job, by reason";
        connections: Gauges<Listener> = "reprompt_http_connections", "open connections, by listener";
        connections_limit: IntGauge = "reprompt_http_connections_limit", "maximum number of open API connections";
        api_keys: IntGauge = "reprompt_api_keys", "valid API keys; 0 if no key is required";
        api_keys_reloads: Counters<KeysReload> = "reprompt_api_keys_reloads_total", "reloads of the API key file, by outcome";
        async_jobs: IntGauge = "reprompt_async_jobs", "asynchronous jobs in the job store, finished ones included";
        webhooks: Counters<WebhookEnd> = "reprompt_webhooks_total", "webhooks, by outcome of the delivery";
    }
}

label! {
    /// The calls of the API, for request metrics.
    Call as "call" {
        /// `POST /v1/edits`.
        CreateEdit = "create_edit",
        /// `POST /v1/sessions/{id}/edits`.
        CreateSessionEdit = "create_session_edit",
        /// `POST /v1/sessions`.
        CreateSession = "create_session",
        /// `GET /v1/sessions` and below.
        ReadSession = "read_session",
        /// `DELETE /v1/sessions/{id}`.
        DeleteSession = "delete_session",
        /// `POST /v1/images/generations`.
        CreateImages = "create_images",
        /// `POST /v1/align`.
        Align = "align",
        /// `/v1/jobs` and below.
        Jobs = "jobs",
        /// Models, probes, metrics, the contract, pages, and unknown addresses.
        Other = "other",
    }
}

label! {
    /// Kinds of responses.
    StatusClass as "status" {
        /// 2xx and 3xx.
        Success = "2xx",
        /// 4xx without 429.
        ClientError = "4xx",
        /// 429.
        Refused = "429",
        /// 5xx.
        ServerError = "5xx",
        /// The client disconnected before the response.
        ClientGone = "gone",
    }
}

/// The build and the models of the process. Before a model is loaded, its name is empty.
#[derive(Debug)]
pub struct BuildInfo {
    series: IntGaugeVec,
    models: Mutex<Vec<String>>,
}

impl BuildInfo {
    /// Shows the names of the loaded models.
    pub(crate) fn show(&self, models: Vec<String>) {
        let mut shown = lock(&self.models);
        if models.is_empty() || *shown == models {
            return;
        }
        models.iter().for_each(|model| self.series.with_label_values(&[VERSION, REVISION, model]).set(1));
        for gone in shown.iter().filter(|gone| !models.contains(gone)) {
            // It fails only if there is no such series.
            let _ = self.series.remove_label_values(&[VERSION, REVISION, gone]);
        }
        *shown = models;
    }
}

impl Metric for BuildInfo {
    fn register(registry: &MetricsRegistry, name: &str, help: &str, _: &[&[f64]]) -> Result<Self, prometheus::Error> {
        let series = IntGaugeVec::new(registry.opts(name, help), &["version", "revision", "model"])?;
        let info = Self { series: kept(registry, series)?, models: Mutex::new(Vec::new()) };
        info.show(vec![String::new()]);
        Ok(info)
    }
}

/// Requests by call and kind of response.
#[derive(Debug)]
pub struct RequestCounters(IntCounterVec);

impl RequestCounters {
    /// The counter of a call's responses of one kind.
    pub fn with(&self, call: Call, status: StatusClass) -> IntCounter {
        self.0.with_label_values(&[call.as_str(), status.as_str()])
    }
}

impl Metric for RequestCounters {
    fn register(registry: &MetricsRegistry, name: &str, help: &str, _: &[&[f64]]) -> Result<Self, prometheus::Error> {
        let counters =
            Self(kept(registry, IntCounterVec::new(registry.opts(name, help), &[Call::NAME, StatusClass::NAME])?)?);
        for call in Call::ALL {
            for status in StatusClass::ALL {
                counters.with(*call, *status);
            }
        }
        Ok(counters)
    }
}
