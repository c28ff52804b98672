//! Why a command failed, and the exit code of each reason.

use std::path::Path;

use bytesize::ByteSize;
use clap::ArgMatches;

use crate::config::{ConfigError, exact_size};
use crate::diffusion::ModelError;
use crate::engine::{EngineError, LoadError};

/// Why a command ended without having done its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is not one to start with.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model could not be loaded, or what it needs is not there.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What is asked for cannot be done; the text begins with the flag.
    #[error("{0}")]
    Request(String),
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine did not do one of several edits.
    #[error("{which}: {source}")]
    Edit {
        /// The edit.
        which: String,
        /// Why not.
        source: EngineError,
    },
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

impl From<ModelError> for CliError {
    fn from(error: ModelError) -> Self {
        Self::Load(error.into())
    }
}

impl CliError {
    /// A request that cannot be carried out, with the flag at fault.
    pub(crate) fn at(flag: &str, detail: impl std::fmt::Display) -> Self {
        Self::Request(format!("{flag}: {detail}"))
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }

    /// With the flag, the variable or the line of the file that gave a value which cannot be used.
    #[must_use]
    pub(crate) fn blame(self, matches: &ArgMatches, file: Option<&Path>) -> Self {
        match self {
            Self::Config(error) => Self::Config(error.blame(matches, file)),
            Self::Load(LoadError::Budget { key, given, least, width, height, steps }) => {
                let kib = least.div_ceil(1024);
                let expected = format!("expected at least {kib}KiB, for edits at {width}x{height} with {steps} steps");
                let value = exact_size(&ByteSize::b(given));
                Self::Config(ConfigError::Value { key, value, expected }.blame(matches, file))
            }
            error => error,
        }
    }

    /// The process's exit code, as `--help` explains it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Request(_) => 2,
            Self::Engine(EngineError::Stalled) | Self::Edit { source: EngineError::Stalled, .. } => 70,
            Self::Engine(EngineError::DeviceLost) | Self::Edit { source: EngineError::DeviceLost, .. } => 71,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{edit, serve};

    #[test]
    fn exit_codes_tell_a_bad_start_a_lost_worker_and_a_lost_device_apart() {
        let value = ConfigError::Value { key: "threads", value: "0".to_owned(), expected: String::new() };
        let of_edit = |source| CliError::Edit { which: "edit 2".to_owned(), source };
        let cases = [
            (CliError::Config(value), 1),
            (CliError::io("listen")(std::io::Error::other("in use")), 1),
            (of_edit(EngineError::Diverged), 1),
            (CliError::Request("--to: no".to_owned()), 2),
            (CliError::Engine(EngineError::Stalled), 70),
            (CliError::Engine(EngineError::DeviceLost), 71),
            (of_edit(EngineError::DeviceLost), 71),
        ];
        for (error, code) in cases {
            assert_eq!(error.exit_code(), code, "{error}");
            for codes in [serve::EXIT_CODES, edit::EXIT_CODES] {
                assert!(codes.lines().any(|line| line.trim_start().starts_with(&format!("{code} "))));
            }
        }
    }
}
