//! The model, the device and the engine's configuration of a command, from flags and variables or from all settings.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::api::{ApiConfig, JobLimits};
use crate::cli::{CliError, device};
use crate::config::{ConfigError, DeviceChoice, DtypeChoice, Options, Settings, Whole};
use crate::diffusion::ModelFiles;
use crate::diffusion::weights::embedded;
use crate::engine::{EngineConfig, EngineParts};
use crate::recordings::SessionLimits;
use crate::telemetry::metrics::MetricsRegistry;

/// A worker without work shows once a minute that it could do some.
const SELF_TEST_AFTER: Duration = Duration::from_secs(60);

/// Which model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// A model folder in the diffusers layout (docs/models.md); without it, the embedded model.
    #[arg(long, env = "REPROMPT_MODEL", value_name = "FOLDER")]
    pub model: Option<PathBuf>,
    /// Name of the model in responses and files [default: the folder's, or OWNER/NAME of the Hugging Face hub].
    #[arg(long, env = "REPROMPT_MODEL_NAME", value_name = "NAME")]
    pub model_name: Option<String>,
}

/// Where and in what to compute.
#[derive(Debug, Args)]
#[command(next_help_heading = "Computing")]
pub struct ComputingArgs {
    /// Device to compute on: auto, cpu, cuda or cuda:N [default: auto, the first GPU if there is one].
    #[arg(long, env = "REPROMPT_DEVICE")]
    pub device: Option<DeviceChoice>,
    /// Data type to compute in: auto, f32, f16 or bf16 [default: auto, f32 on the CPU and f16 on a GPU].
    #[arg(long, env = "REPROMPT_DTYPE")]
    pub dtype: Option<DtypeChoice>,
    /// Compute threads [default: one per core].
    #[arg(long, env = "REPROMPT_THREADS")]
    pub threads: Option<Whole<usize>>,
}

/// The settings of a command without a server; `jobs` is the number of jobs at once.
pub fn of_command(model: &ModelArgs, computing: Option<&ComputingArgs>, jobs: usize) -> Result<Settings, ConfigError> {
    let mut given = Options {
        model: model.model.clone(),
        model_name: model.model_name.clone(),
        queue_limit: Some(Whole(jobs.max(1))),
        ..Options::default()
    };
    if let Some(computing) = computing {
        (given.device, given.dtype, given.threads) = (computing.device, computing.dtype, computing.threads);
    }
    Settings::new(given, &Options::default())
}

/// Sets up memory and threads of the process. To be called first, before any other thread exists.
pub fn prepare() {
    // Kernels share their work among the engine's own threads. What is left to candle are small operations, for which
    // its threads wait for each other longer than they work.
    if !crate::kernels::thread_budget::limit(1) {
        eprintln!("reprompt: cannot limit candle's threads; RAYON_NUM_THREADS applies");
    }
    crate::kernels::memory::keep_freed();
}

/// Where the model's files are, and what it is called.
pub fn model_files(settings: &Settings) -> ModelFiles {
    let files = settings.model.clone().map_or_else(embedded::demo, ModelFiles::Folder);
    match &settings.model_name {
        Some(name) => files.named(name),
        None => files,
    }
}

/// What the engine is started with.
pub fn engine_config(settings: &Settings) -> Result<EngineConfig, ConfigError> {
    let (device, dtype) = device::chosen(settings)?;
    Ok(EngineConfig {
        device,
        dtype,
        threads: settings
            .threads
            .and_then(NonZeroUsize::new)
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN),
        max_batch_rows: settings.max_batch_rows,
        queue_limit: settings.queue_limit,
        sessions: SessionLimits {
            device_bytes: settings.recordings_device_bytes.as_u64(),
            memory_bytes: settings.recordings_memory_bytes.as_u64(),
            trajectory_bytes: settings.recordings_trajectory_bytes.as_u64(),
            disk_bytes: settings.recordings_disk_bytes.as_u64(),
            dir: settings.recordings_dir.clone(),
            max_sessions: settings.max_sessions,
            ttl: settings.session_ttl,
        },
        self_test_after: SELF_TEST_AFTER,
    })
}

/// The engine's metrics in `registry`, and its budgets: all bytes that the settings allow, as it is the only engine.
pub fn engine_parts(registry: &MetricsRegistry, config: &EngineConfig) -> Result<EngineParts, CliError> {
    let parts = EngineParts::new(registry, &config.sessions).map_err(std::io::Error::other);
    parts.map_err(CliError::io("cannot register metrics"))
}

/// What the HTTP API is started with.
pub fn api_config(settings: &Settings) -> Result<ApiConfig, ConfigError> {
    Ok(ApiConfig {
        jobs: JobLimits {
            ttl: settings.job_ttl,
            max_jobs: settings.max_jobs,
            max_result_bytes: settings.job_result_bytes.as_u64(),
        },
        guard: settings.guard()?,
        webhooks: settings.webhooks()?,
    })
}
