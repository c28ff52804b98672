//! What the tests of the worker share: a worker's context without a model, with small budgets.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use crate::diffusion::unet::{AttentionControl, AttentionSite};
use crate::diffusion::{Conditioning, ConditioningKey, ModelError, ModelInfo};
use crate::engine::EngineMetrics;
use crate::engine::backend::Backend;
use crate::engine::shared::Shared;
use crate::engine::worker::context::Context;
use crate::recordings::{RecordingMetrics, Recordings, SessionLimits, ValueBytes};
use crate::telemetry::metrics::MetricsRegistry;

/// A model that must not be used.
struct NoModel;

impl Backend for NoModel {
    fn info(&self) -> &Arc<ModelInfo> {
        panic!("there is no model")
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn sites(&self, _: usize, _: usize) -> Vec<AttentionSite> {
        panic!("there is no model")
    }

    fn value_bytes(&self, _: &[AttentionSite]) -> ValueBytes {
        panic!("there is no model")
    }

    fn condition(&self, _: &[ConditioningKey]) -> std::result::Result<Vec<Conditioning>, ModelError> {
        panic!("there is no model")
    }

    fn noise(&self, _: u64, _: usize, _: usize) -> Result<Tensor> {
        panic!("there is no model")
    }

    fn forward(&self, _: &Tensor, _: &[f64], _: &[&Conditioning], _: &mut dyn AttentionControl) -> Result<Tensor> {
        panic!("there is no model")
    }

    fn decode(&self, _: &Tensor) -> Result<Vec<Vec<u8>>> {
        panic!("there is no model")
    }
}

/// The shared state of an engine with these byte budgets.
pub fn shared(device_bytes: u64, memory_bytes: u64) -> Shared {
    let registry = MetricsRegistry::new();
    let limits = SessionLimits { device_bytes, memory_bytes, ..SessionLimits::default() };
    let recordings = Recordings::new(limits, Arc::new(RecordingMetrics::register(&registry).unwrap()));
    Shared::new(Arc::new(recordings), Arc::new(EngineMetrics::register(&registry).unwrap()), 8)
}

/// A worker's context without a model.
pub fn context(shared: &Shared) -> Context<'_> {
    Context::new(Box::new(NoModel), shared)
}
