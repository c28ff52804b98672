//! What the API may keep, and where it may call.

use std::time::Duration;

use super::guard::GuardConfig;
use super::webhook::WebhookConfig;

/// Settings of the API.
#[derive(Debug, Clone, Default)]
pub struct ApiConfig {
    /// How long and how much of jobs is kept.
    pub jobs: JobLimits,
    /// Who may call, and how much.
    pub guard: GuardConfig,
    /// Where results may be sent; `None`: nowhere.
    pub webhooks: Option<WebhookConfig>,
}

/// How long and how much of jobs that have ended is kept. What runs is bounded by the engine's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// How long a job is kept after it has ended.
    pub ttl: Duration,
    /// Jobs that have ended at most; those that ended first go first.
    pub max_jobs: usize,
    /// Bytes that the results of jobs may take; those that ended first go first.
    pub max_result_bytes: u64,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(60 * 60), max_jobs: 1000, max_result_bytes: 256 << 20 }
    }
}
