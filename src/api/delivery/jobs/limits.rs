//! How long and how much of jobs is kept.

use std::time::Duration;

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
