//! Configuration: defaults < file < environment < flags.
//!
//! - `keys`: the one table of keys, from which [`Options`] and [`Settings`] are made
//! - `values`, `given`: the types of values, and how they are given; `check`: conditions on values beyond their types
//! - `blame`: the flag, the variable or the line of the file that gave a value; `message`: messages of parsers
//! - `unknown`: unknown keys and variables, and which one may have been meant

mod blame;
mod check;
mod given;
mod keys;
mod message;
mod unknown;
mod values;

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use toml::de::DeTable;

use crate::api::delivery::webhooks::WebhookConfig;
use crate::api::guard::GuardConfig;

pub(crate) use crate::telemetry::LogFormat;
pub use check::CPU_DTYPES;
pub(crate) use given::Whole;
pub use keys::{Options, Settings};
pub use unknown::unknown_variables;
pub(crate) use values::exact_size;
pub use values::{DeviceChoice, DtypeChoice};

/// Why the configuration is invalid: one line that names the key, the value and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("config: {}, line {line}: {detail}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        line: usize,
        /// What is wrong there.
        detail: String,
    },
    /// A value that its key cannot have.
    #[error("{key}: unsupported value {value}; {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// The same, with the place that gave the value: a flag, a variable, or a line of the file.
    #[error("{place}: unsupported value {value}; {expected}")]
    Given {
        /// The place.
        place: String,
        /// The value.
        value: String,
        /// What was expected.
        expected: String,
    },
}

impl Options {
    /// Reads a TOML file.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let invalid = |span: Option<Range<usize>>, detail: String| {
            let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
            ConfigError::Invalid { path: path.to_owned(), line: before.matches('\n').count() + 1, detail }
        };
        let message = |error: &toml::de::Error| message::plain(error.message());
        let table = DeTable::parse(&text).map_err(|error| invalid(error.span(), message(&error)))?;
        if let Some(key) = table.get_ref().keys().find(|key| !unknown::is_key(key.get_ref())) {
            return Err(invalid(Some(key.span()), unknown::unknown_key(key.get_ref())));
        }
        let document = toml::Deserializer::from(table);
        serde_path_to_error::deserialize(document).map_err(|error| {
            let key = error.path().to_string();
            let key = if key == "." { String::new() } else { format!("{key}: ") };
            invalid(error.inner().span(), format!("{key}{}", message(error.inner())))
        })
    }
}

impl Settings {
    /// The settings of flags and environment (`given`) over those of the file, checked.
    pub fn new(given: Options, file: &Options) -> Result<Self, ConfigError> {
        let mut settings = given.or(file).over_defaults();
        // Sessions that expire at once would be of no use: 0 means that they never expire.
        settings.session_ttl = settings.session_ttl.filter(|ttl| !ttl.is_zero());
        check::check(&settings)?;
        Ok(settings)
    }

    /// Who may call, and how much.
    pub fn guard(&self) -> Result<GuardConfig, ConfigError> {
        check::guard(self)
    }

    /// The configuration of webhooks; `None` where no host is allowed.
    pub fn webhooks(&self) -> Result<Option<WebhookConfig>, ConfigError> {
        check::webhooks(self)
    }

    /// Every key with its value and where it came from, as TOML.
    pub fn describe(&self, matches: &ArgMatches, file: &Options) -> String {
        let mut out = String::new();
        for keys::Row { key, value, in_file } in self.rows(file) {
            let origin = match blame::source(matches, key) {
                Some(ValueSource::CommandLine) => "flag",
                Some(ValueSource::EnvVariable) => "environment",
                _ if in_file => "file",
                _ => "default",
            };
            let line = value.map_or_else(|| format!("# {key} is not set"), |value| format!("{key} = {value}"));
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{line:<48} # {origin}");
        }
        out
    }
}

#[cfg(test)]
mod tests;
