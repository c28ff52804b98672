//! Limits on jobs that have ended: how long and how many are kept.

use std::time::Duration;

/// Limits on jobs that have ended. Running jobs are bounded by the engine's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// How long a job is kept after it has ended.
    pub ttl: Duration,
    /// The most ended jobs that are kept; the oldest are evicted first.
    pub max_jobs: usize,
    /// The most bytes of results, as JSON; the oldest are evicted first.
    pub max_result_bytes: u64,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(60 * 60), max_jobs: 1000, max_result_bytes: 256 << 20 }
    }
}
