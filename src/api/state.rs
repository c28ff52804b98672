//! What every call may use.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use crate::api::config::ApiConfig;
use crate::api::delivery::jobs::Jobs;
use crate::api::delivery::webhooks::Webhooks;
use crate::api::guard::Guard;
use crate::api::metrics::HttpMetrics;
use crate::engine::Engine;
use crate::telemetry::metrics::MetricsRegistry;

/// What every call may use.
#[derive(Debug)]
pub struct AppState {
    /// Jobs that outlive their requests.
    pub jobs: Jobs,
    /// Who may call, and how much.
    pub guard: Guard,
    /// Where jobs that have ended may be sent.
    pub webhooks: Option<Arc<Webhooks>>,
    /// What is counted of HTTP.
    pub metrics: Arc<HttpMetrics>,
    /// Where all metrics are registered.
    pub registry: MetricsRegistry,
    /// When the service started.
    pub started: SystemTime,
    /// The engine; dropped last, for it waits for the jobs of those above.
    pub engine: Engine,
}

impl AppState {
    /// The state of a service. To be called within a tokio runtime.
    ///
    /// # Errors
    /// Where webhooks cannot be sent from this machine, or the registry has metrics of these names.
    pub fn new(engine: Engine, config: ApiConfig, registry: MetricsRegistry) -> io::Result<Self> {
        let metrics = Arc::new(HttpMetrics::register(&registry).map_err(io::Error::other)?);
        let webhooks = config.webhooks.map(|webhooks| Webhooks::new(webhooks, Arc::clone(&metrics))).transpose()?;
        let jobs = Jobs::new(config.jobs, metrics.async_jobs.clone());
        let guard = Guard::new(config.guard, &metrics);
        Ok(Self {
            jobs,
            guard,
            webhooks: webhooks.map(Arc::new),
            metrics,
            registry,
            started: SystemTime::now(),
            engine,
        })
    }
}
