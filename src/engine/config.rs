//! The configuration of an engine: where and in what its worker computes, and limits on batches, the queue and
//! recordings.

use std::num::NonZeroUsize;
use std::time::Duration;

use candle_core::{DType, Device};

use crate::recordings::SessionLimits;

/// The configuration of one engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The device of the tensors.
    pub device: Device,
    /// The type of the numbers.
    pub dtype: DType,
    /// Threads that kernels share their work among.
    pub threads: NonZeroUsize,
    /// The most rows of one UNet pass. A run takes two with classifier-free guidance.
    pub max_batch_rows: usize,
    /// The most jobs that wait in the queue.
    pub queue_limit: usize,
    /// Limits on recordings and sessions.
    pub sessions: SessionLimits,
    /// A worker that has been idle for this long tests whether it still computes.
    pub self_test_after: Duration,
}
