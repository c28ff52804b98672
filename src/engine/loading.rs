//! The start of a worker: the model is loaded and warmed up, its presets are parsed, and its recordings of earlier
//! processes are found in the store. Then the engine is ready, or `Loaded` reports the error.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use crate::diffusion::nn::Compute;
use crate::diffusion::{Model, ModelError, ModelFiles, ModelInfo};
use crate::engine::EngineConfig;
use crate::engine::backend::Backend;
use crate::engine::presets::presets;
use crate::engine::shared::{Event, LoadedModel, Shared};
use crate::recordings::{RecordingStore, StoreError};
use crate::telemetry::millis;

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The model could not be loaded.
    #[error("model: {0}")]
    Model(#[from] ModelError),
    /// The folder of recordings cannot be used.
    #[error("recordings_dir: {} cannot be used: {source}", dir.display())]
    Recordings {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        source: StoreError,
    },
    /// A byte budget is too small for the model.
    #[error(
        "{key}: unsupported value {given}; expected at least {least} bytes, for an edit of this model at {width}x{height} with {steps} steps"
    )]
    Budget {
        /// The key of the budget.
        key: &'static str,
        /// Its value, in bytes.
        given: u64,
        /// The least value, in bytes.
        least: u64,
        /// The width of the model's own size, in pixels.
        width: usize,
        /// The height of the model's own size, in pixels.
        height: usize,
        /// The model's default number of steps.
        steps: usize,
    },
}

/// Loads a model and runs its smallest pass once ([`Backend::probe`]), so that the first job does not pay for it.
///
/// # Errors
/// An invalid file of the model, or a pass that fails or computes NaN or infinity.
pub fn load(files: &ModelFiles, config: &EngineConfig) -> Result<Box<dyn Backend>, LoadError> {
    let started = Instant::now();
    let model = Model::load_as(files, &Compute { device: config.device.clone(), dtype: config.dtype })?;
    model.probe()?;
    let took_ms = millis(started.elapsed());
    tracing::info!(model = %model.info.name, fingerprint = %&model.info.fingerprint[..16], took_ms, "model loaded");
    Ok(Box::new(model))
}

/// Loads the model, opens the store and reports the result to `loaded`. `None` if anything failed.
pub(crate) fn prepare(
    config: &EngineConfig,
    shared: &Shared,
    (load, open): (
        impl FnOnce(&EngineConfig) -> Result<Box<dyn Backend>, LoadError>,
        impl FnOnce(&ModelInfo) -> Result<Option<Arc<dyn RecordingStore>>, StoreError>,
    ),
    events: Sender<Event>,
    loaded: oneshot::Sender<Result<(), LoadError>>,
) -> Option<Box<dyn Backend>> {
    let ready = load(config).and_then(|model| {
        let presets = presets(&model.info().hints)?;
        let on_event = move |event| {
            // It fails only after the worker has ended, and then it concerns no job.
            let _ = events.send(Event::Stored(event));
        };
        let opened = open(model.info()).and_then(|store| match store {
            Some(store) => shared.recordings.open(store, on_event),
            None => Ok(()),
        });
        let dir = || config.sessions.dir.clone().unwrap_or_default();
        opened.map_err(|source| LoadError::Recordings { dir: dir(), source })?;
        Ok((model, presets))
    });
    match ready {
        Ok((model, presets)) => {
            shared.beat();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            shared.metrics.process_start.set(now.as_secs_f64());
            shared.model.set(LoadedModel { info: Arc::clone(model.info()), presets }).ok()?;
            let _ = loaded.send(Ok(()));
            Some(model)
        }
        Err(error) => {
            let _ = loaded.send(Err(error));
            None
        }
    }
}
