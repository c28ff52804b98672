//! The state that all handlers share. Its fields are dropped in order: jobs before the engines that run them.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::{Instant, timeout_at};

use crate::api::config::ApiConfig;
use crate::api::delivery::jobs::Jobs;
use crate::api::delivery::webhooks::Webhooks;
use crate::api::guard::{Guard, GuardMetrics};
use crate::api::metrics::HttpMetrics;
use crate::engine::{Engine, ModelRegistry};
use crate::telemetry::metrics::MetricsRegistry;

/// The state that all handlers share.
#[derive(Debug)]
pub struct AppState {
    /// Jobs that outlive their requests.
    pub jobs: Jobs,
    /// Keys, rates and limits.
    pub guard: Arc<Guard>,
    /// Delivers webhooks, if hosts are configured.
    pub webhooks: Option<Arc<Webhooks>>,
    /// Metrics of HTTP.
    pub metrics: Arc<HttpMetrics>,
    /// All metrics.
    pub registry: MetricsRegistry,
    /// When the service started.
    pub started: SystemTime,
    /// The engine of the default model.
    pub engine: Arc<Engine>,
    /// All engines, by model. Dropped last, because dropping an engine waits for its jobs, which the fields above hold.
    pub models: ModelRegistry,
}

impl AppState {
    /// The state of a service. Call it within a tokio runtime.
    ///
    /// # Errors
    /// If webhooks cannot be sent from this machine, or the registry has metrics of these names.
    pub fn new(engine: Engine, config: ApiConfig, registry: MetricsRegistry) -> io::Result<Self> {
        let metrics = Arc::new(HttpMetrics::register(&registry).map_err(io::Error::other)?);
        let webhooks = config.webhooks.map(|webhooks| Webhooks::new(webhooks, metrics.webhooks.clone())).transpose()?;
        let jobs = Jobs::new(config.jobs, metrics.async_jobs.clone());
        let guard_metrics = GuardMetrics {
            refused: metrics.requests_refused.clone(),
            keys: metrics.api_keys.clone(),
            reloads: metrics.api_keys_reloads.clone(),
        };
        let guard = Arc::new(Guard::new(config.guard, guard_metrics));
        let models = ModelRegistry::new(engine);
        Ok(Self {
            jobs,
            guard,
            webhooks: webhooks.map(Arc::new),
            metrics,
            registry,
            started: SystemTime::now(),
            engine: Arc::clone(models.default_engine()),
            models,
        })
    }

    /// Waits until no job runs and no webhook is pending, until `limit` at most. Retries of webhooks that would begin
    /// later are given up. How many webhooks are still pending then.
    pub async fn finish(&self, limit: Instant) -> usize {
        let webhooks = self.webhooks.as_deref();
        if let Some(webhooks) = webhooks {
            webhooks.stop_at(limit);
        }
        let idle = async {
            self.jobs.idle().await;
            if let Some(webhooks) = webhooks {
                webhooks.idle().await;
            }
        };
        // What is left is counted.
        let _ = timeout_at(limit, idle).await;
        webhooks.map_or(0, Webhooks::pending)
    }
}
