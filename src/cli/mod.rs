//! The command line: `serve` (also without a word), `edit` and `openapi`.

mod device;
mod edit;
mod serve;
mod signals;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::api::{ApiConfig, JobLimits};
use crate::config::{ConfigError, Options, Settings, unknown_variables};
use crate::diffusion::{ModelFiles, embedded};
use crate::engine::{EngineConfig, EngineError, LoadError};
use crate::session::SessionLimits;

/// A worker without work shows once a minute that it could do some.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// Why a command ended without having done its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is not one to start with.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model could not be loaded, or what it needs is not there.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The parameters of an edit are at fault.
    #[error("{0}")]
    Request(String),
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Traces cannot be sent.
    #[error(transparent)]
    Traces(#[from] crate::telemetry::TracesError),
    /// A file or a socket failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl CliError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }

    /// The process's exit code, as `serve --help` explains it.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Engine(EngineError::Stalled) => 70,
            Self::Engine(EngineError::DeviceLost) => 71,
            _ => 1,
        }
    }
}

/// Image editing by editing the prompt: Prompt-to-Prompt on Stable Diffusion, as a service and on the command line.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = serve::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the HTTP API (the same as no command).
    #[command(after_help = serve::EXIT_CODES)]
    Serve(Box<ServeArgs>),
    /// Makes one edit without a server and writes both images.
    #[command(after_help = edit::EXAMPLES)]
    Edit(Box<edit::EditArgs>),
    /// Prints the contract as an OpenAPI document.
    Openapi,
}

#[derive(Debug, clap::Args)]
struct ServeArgs {
    /// A TOML file with any of these settings.
    #[arg(long, env = "REPROMPT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Shows every setting and where it came from, and ends.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    options: Options,
}

/// Runs the command line and tells how it ended.
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        None => serve_with(cli.serve, &matches),
        Some(Command::Serve(args)) => serve_with(*args, matches.subcommand_matches("serve").unwrap_or(&matches)),
        Some(Command::Edit(args)) => edit::run(*args),
        Some(Command::Openapi) => {
            print!("{}", crate::api::openapi::yaml());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reprompt: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn serve_with(args: ServeArgs, matches: &ArgMatches) -> Result<(), CliError> {
    let file = args.config.as_deref().map(Options::from_file).transpose()?.unwrap_or_default();
    let settings = Settings::new(args.options.joined(matches), &file)?;
    if args.print_config {
        print!("{}", settings.describe(matches, &file));
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        unknown_variables(names).iter().for_each(|unknown| eprintln!("reprompt: {unknown}"));
        return Ok(());
    }
    serve::run(&settings)
}

/// Settles how tensors are computed and kept. The first thing that a command does: it must find no other thread.
fn prepare() {
    // Kernels share their work among the engine's own threads. What is left to candle are small operations, for which
    // its threads wait for each other longer than they work.
    if !crate::kernels::threads::limit(1) {
        eprintln!("reprompt: the threads of candle's operations cannot be limited here, RAYON_NUM_THREADS counts");
    }
    crate::kernels::memory::keep_freed();
}

fn model_files(settings: &Settings) -> ModelFiles {
    settings.model.clone().map_or_else(embedded::demo, ModelFiles::Folder)
}

fn engine_config(settings: &Settings) -> Result<EngineConfig, ConfigError> {
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
        probe_after: PROBE_AFTER,
    })
}

fn api_config(settings: &Settings) -> Result<ApiConfig, ConfigError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_a_bad_start_a_lost_worker_and_a_lost_device_apart() {
        let value = ConfigError::Value { key: "threads", value: "0".to_owned(), allowed: String::new() };
        let cases = [
            (CliError::Config(value), 1),
            (CliError::io("listen")(std::io::Error::other("in use")), 1),
            (CliError::Engine(EngineError::Stalled), 70),
            (CliError::Engine(EngineError::DeviceLost), 71),
        ];
        for (error, code) in cases {
            assert_eq!(error.exit_code(), code, "{error}");
            assert!(serve::EXIT_CODES.lines().any(|line| line.trim_start().starts_with(&format!("{code} "))));
        }
    }
}
