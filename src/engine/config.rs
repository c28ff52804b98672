//! Limits of an engine: what its worker computes with, and how much work and how many recordings it takes.

use std::num::NonZeroUsize;
use std::time::Duration;

use candle_core::{DType, Device};

use crate::recordings::SessionLimits;

/// Limits of one engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where tensors live.
    pub device: Device,
    /// The numbers that are computed with.
    pub dtype: DType,
    /// Threads that kernels share their work among.
    pub threads: NonZeroUsize,
    /// The most rows of one UNet pass. A run takes two with classifier-free guidance.
    pub max_batch_rows: usize,
    /// The most jobs that wait in the queue.
    pub queue_limit: usize,
    /// How many bytes of recordings are kept, and where.
    pub sessions: SessionLimits,
    /// A worker that has been idle for this long tests whether it still computes.
    pub self_test_after: Duration,
}
