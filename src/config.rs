//! Configuration: defaults < file < environment < flags.
//!
//! [`Options`] is the one list of keys: clap reads it from flags and `REPROMPT_…` variables, serde from the TOML
//! file. [`Settings`] is what comes out, every value valid.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytesize::ByteSize;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use serde::Deserialize;

use crate::engine::run::ROWS_PER_RUN;

/// Why there is no configuration to start with: one line that names the key, the value and what is allowed.
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
    /// A value is out of its range.
    #[error("{key}: {value} is not possible, {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

/// Where tensors live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DeviceChoice {
    /// The best there is.
    Auto,
    /// The processor.
    Cpu,
    /// A GPU, by its number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Self::Cuda).ok_or_else(|| format!("{text} is no device, auto, cpu, cuda and cuda:N are"))
            }
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// What numbers are computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DtypeChoice {
    /// What suits the device.
    Auto,
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// 16 bits with the range of 32.
    Bf16,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Every key, where it is given.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// A folder in the diffusers layout; without it, the embedded model.
    #[arg(long, env = "REPROMPT_MODEL", value_name = "FOLDER")]
    pub model: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, env = "REPROMPT_LISTEN", value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, env = "REPROMPT_DEVICE")]
    pub device: Option<DeviceChoice>,
    /// What to compute in.
    #[arg(long, env = "REPROMPT_DTYPE")]
    pub dtype: Option<DtypeChoice>,
    /// Threads of a tensor operation; without it, one for small models and one a core for large ones.
    #[arg(long, env = "REPROMPT_THREADS")]
    pub threads: Option<usize>,
    /// Rows of one UNet pass at most; a source or an edit takes two.
    #[arg(long, env = "REPROMPT_MAX_BATCH_ROWS", value_name = "ROWS")]
    pub max_batch_rows: Option<usize>,
    /// Jobs that may wait for their turn; more are refused.
    #[arg(long, env = "REPROMPT_QUEUE_LIMIT", value_name = "JOBS")]
    pub queue_limit: Option<usize>,
    /// Memory that recordings of sources may take, such as 512MiB.
    #[arg(long, env = "REPROMPT_RECORDINGS_MEMORY_BYTES", value_name = "SIZE")]
    pub recordings_memory_bytes: Option<ByteSize>,
    /// Sessions that are remembered, recorded or not.
    #[arg(long, env = "REPROMPT_MAX_SESSIONS", value_name = "SESSIONS")]
    pub max_sessions: Option<usize>,
    /// How log lines look.
    #[arg(long, env = "REPROMPT_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Every value, valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// A model folder; `None` is the embedded model.
    pub model: Option<PathBuf>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to compute.
    pub device: DeviceChoice,
    /// What to compute in.
    pub dtype: DtypeChoice,
    /// Threads of a tensor operation; `None` goes by the model's size.
    pub threads: Option<usize>,
    /// Rows of one UNet pass at most.
    pub max_batch_rows: usize,
    /// Jobs that may wait.
    pub queue_limit: usize,
    /// Memory for recordings.
    pub recordings_memory_bytes: ByteSize,
    /// Sessions that are remembered.
    pub max_sessions: usize,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            threads: None,
            max_batch_rows: 8,
            queue_limit: 256,
            recordings_memory_bytes: ByteSize::gib(8),
            max_sessions: 10_000,
            log_format: LogFormat::Pretty,
        }
    }
}

impl Options {
    /// Reads a TOML file.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let invalid = |error: &toml::de::Error, key: String| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let key = if key == "." { String::new() } else { format!("{key}: ") };
            ConfigError::Invalid {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                detail: format!("{key}{}", error.message().replace('\n', ", ")),
            }
        };
        let document = toml::Deserializer::parse(&text).map_err(|error| invalid(&error, ".".to_owned()))?;
        serde_path_to_error::deserialize(document).map_err(|error| invalid(error.inner(), error.path().to_string()))
    }

    /// Fills in what is not given from `fallback`.
    fn or(self, fallback: &Self) -> Self {
        let fallback = fallback.clone();
        Self {
            model: self.model.or(fallback.model),
            listen: self.listen.or(fallback.listen),
            device: self.device.or(fallback.device),
            dtype: self.dtype.or(fallback.dtype),
            threads: self.threads.or(fallback.threads),
            max_batch_rows: self.max_batch_rows.or(fallback.max_batch_rows),
            queue_limit: self.queue_limit.or(fallback.queue_limit),
            recordings_memory_bytes: self.recordings_memory_bytes.or(fallback.recordings_memory_bytes),
            max_sessions: self.max_sessions.or(fallback.max_sessions),
            log_format: self.log_format.or(fallback.log_format),
        }
    }
}

impl Settings {
    /// What flags and environment (`given`) and the file come to, checked.
    pub fn new(given: Options, file: &Options) -> Result<Self, ConfigError> {
        let options = given.or(file);
        let defaults = Self::default();
        let settings = Self {
            model: options.model,
            listen: options.listen.unwrap_or(defaults.listen),
            device: options.device.unwrap_or(defaults.device),
            dtype: options.dtype.unwrap_or(defaults.dtype),
            threads: options.threads,
            max_batch_rows: options.max_batch_rows.unwrap_or(defaults.max_batch_rows),
            queue_limit: options.queue_limit.unwrap_or(defaults.queue_limit),
            recordings_memory_bytes: options.recordings_memory_bytes.unwrap_or(defaults.recordings_memory_bytes),
            max_sessions: options.max_sessions.unwrap_or(defaults.max_sessions),
            log_format: options.log_format.unwrap_or(defaults.log_format),
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse =
            |key, value: String, allowed: &str| Err(ConfigError::Value { key, value, allowed: allowed.to_owned() });
        if self.max_batch_rows < ROWS_PER_RUN {
            let allowed = format!("at least {ROWS_PER_RUN}, the rows of one image, are needed");
            return refuse("max_batch_rows", self.max_batch_rows.to_string(), &allowed);
        }
        if self.threads == Some(0) {
            return refuse("threads", "0".to_owned(), "at least 1 is needed");
        }
        if self.queue_limit == 0 || self.queue_limit > tokio::sync::Semaphore::MAX_PERMITS {
            return refuse("queue_limit", self.queue_limit.to_string(), "at least 1 job must be able to wait");
        }
        if self.max_sessions == 0 {
            return refuse("max_sessions", "0".to_owned(), "at least 1 session must be remembered");
        }
        if let Some(model) = self.model.as_deref().filter(|model| !model.is_dir()) {
            return refuse("model", model.display().to_string(), "a folder in the diffusers layout is wanted");
        }
        if self.dtype == DtypeChoice::F16 || self.dtype == DtypeChoice::Bf16 {
            let value = if self.dtype == DtypeChoice::F16 { "f16" } else { "bf16" };
            return refuse("dtype", value.to_owned(), "the processor computes in f32: auto and f32 are possible");
        }
        if let DeviceChoice::Cuda(_) = self.device {
            return refuse("device", self.device.to_string(), "this build has no CUDA: auto and cpu are possible");
        }
        Ok(())
    }

    /// Every key with its value and where it came from, as TOML.
    pub fn describe(&self, matches: &ArgMatches, file: &Options) -> String {
        let text = |value: &dyn std::fmt::Display| format!("\"{value}\"");
        let name =
            |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |v| text(&v.get_name()));
        let model = self.model.as_ref().map(|model| text(&model.display()));
        let threads = self.threads.map(|threads| threads.to_string());
        let rows: [(&str, String, bool); 10] = [
            ("model", model.unwrap_or_default(), file.model.is_some()),
            ("listen", text(&self.listen), file.listen.is_some()),
            ("device", text(&self.device), file.device.is_some()),
            ("dtype", name(self.dtype.to_possible_value()), file.dtype.is_some()),
            ("threads", threads.unwrap_or_default(), file.threads.is_some()),
            ("max_batch_rows", self.max_batch_rows.to_string(), file.max_batch_rows.is_some()),
            ("queue_limit", self.queue_limit.to_string(), file.queue_limit.is_some()),
            ("recordings_memory_bytes", text(&self.recordings_memory_bytes), file.recordings_memory_bytes.is_some()),
            ("max_sessions", self.max_sessions.to_string(), file.max_sessions.is_some()),
            ("log_format", name(self.log_format.to_possible_value()), file.log_format.is_some()),
        ];
        let mut out = String::new();
        for (key, value, in_file) in rows {
            let origin = match matches.try_get_raw(key).is_ok().then(|| matches.value_source(key)).flatten() {
                Some(ValueSource::CommandLine) => "flag",
                Some(ValueSource::EnvVariable) => "environment",
                _ if in_file => "file",
                _ => "default",
            };
            let line = if value.is_empty() { format!("# {key} is not set") } else { format!("{key} = {value}") };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{line:<48} # {origin}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Options, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Options::from_file(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_checked_in_defaults_are_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/default.toml");
        let settings = Settings::new(Options::default(), &Options::from_file(&path).unwrap()).unwrap();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn what_is_given_comes_before_the_file_and_the_file_before_the_defaults() {
        let file = file("queue_limit = 3\nmax_batch_rows = 4\nrecordings_memory_bytes = \"512MiB\"").unwrap();
        let given = Options { queue_limit: Some(5), ..Options::default() };
        let settings = Settings::new(given, &file).unwrap();
        assert_eq!((settings.queue_limit, settings.max_batch_rows), (5, 4));
        assert_eq!(settings.recordings_memory_bytes, ByteSize::mib(512));
        assert_eq!(settings.max_sessions, Settings::default().max_sessions);
    }

    #[test]
    fn errors_name_the_key_the_value_and_what_is_allowed_in_one_line() {
        let unknown = file("listen = \"127.0.0.1:1\"\nquue_limit = 3").unwrap_err();
        assert!(
            unknown.contains("line 2") && unknown.contains("quue_limit") && unknown.contains("queue_limit"),
            "{unknown}"
        );
        assert!(!unknown.contains('\n'));
        let dtype = file("dtype = \"f8\"").unwrap_err();
        assert!(dtype.contains("dtype") && dtype.contains("f8") && dtype.contains("bf16"), "{dtype}");
        let device = file("device = \"tpu\"").unwrap_err();
        assert!(device.contains("tpu") && device.contains("cuda:N"), "{device}");
        let rows = Options { max_batch_rows: Some(1), ..Options::default() };
        let error = Settings::new(rows, &Options::default()).unwrap_err().to_string();
        assert_eq!(error, "max_batch_rows: 1 is not possible, at least 2, the rows of one image, are needed");
    }
}
