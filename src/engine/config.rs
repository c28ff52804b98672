//! What an engine is started with: its limits, and the metrics and byte budgets that it is given.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{DType, Device};

use crate::engine::EngineMetrics;
use crate::recordings::{Budgets, RecordingMetrics, SessionLimits};
use crate::telemetry::metrics::MetricsRegistry;

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
    /// How many sessions are kept, and where. Their bytes are limited by the budgets of the [`EngineParts`].
    pub sessions: SessionLimits,
    /// A worker that has been idle for this long tests whether it still computes.
    pub self_test_after: Duration,
}

/// What an engine counts in: its metrics and its byte budgets. They are made outside, so that several engines can live in
/// one process and be observed from there.
///
/// Engines may not share budgets. An engine evicts only its own recordings, so that it could wait forever for bytes that
/// another one holds and does not use. Where engines share a device or a host, each is given its share of the bytes.
#[derive(Debug)]
pub struct EngineParts {
    /// The metrics of the engine.
    pub metrics: Arc<EngineMetrics>,
    /// The metrics of its recordings.
    pub recording_metrics: Arc<RecordingMetrics>,
    /// The bytes that its recordings may take.
    pub budgets: Budgets,
}

impl EngineParts {
    /// Metrics in `registry`, and budgets of their own as the limits say.
    ///
    /// # Errors
    /// If the registry already has the metrics of an engine. Engines that share one are told apart by a label:
    /// [`MetricsRegistry::with_label`].
    pub fn new(registry: &MetricsRegistry, limits: &SessionLimits) -> Result<Self, prometheus::Error> {
        Ok(Self {
            metrics: Arc::new(EngineMetrics::register(registry)?),
            recording_metrics: Arc::new(RecordingMetrics::register(registry)?),
            budgets: Budgets::new(limits),
        })
    }
}
