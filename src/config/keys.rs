//! The one table of keys: the help, type, default, variable and value name of each.
//!
//! [`Options`] are the values that one origin gives (flags and variables through clap, the file through serde),
//! [`Settings`] the values in force. A key is a line of the table and a paragraph of `config/default.toml`; its flag is
//! its name with dashes. `check` has the conditions on values beyond their types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, ArgMatches, Args};
use serde::Deserialize;

use crate::api::guard::address::ForwardedHeader;
use crate::config::values::{DeviceChoice, DtypeChoice, Setting};
use crate::telemetry::LogFormat;

/// A key with its value, and whether the file gives it.
pub(crate) struct Row {
    pub key: &'static str,
    /// `None` where the key is not set.
    pub value: Option<toml::Value>,
    pub in_file: bool,
}

macro_rules! keys {
    ($(
        $(#[doc = $help:literal])+
        $key:ident: $type:ty = $default:expr, $variable:literal, $value:literal $(, ($($flag:tt)*))?;
    )*) => {
        /// Every key, where it is given.
        #[derive(Debug, Clone, Default, Args, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Options {
            $($(#[doc = $help])+ #[arg(long, env = $variable, value_name = $value, $($($flag)*)?)]
            pub $key: Option<<$type as Setting>::Given>,)*
        }

        /// Every value, valid.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($(#[doc = $help])+ pub $key: $type,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl Options {
            /// With all of what flags have given in several goes.
            #[must_use]
            pub fn joined(self, matches: &ArgMatches) -> Self {
                Self { $($key: <$type as Setting>::joined(matches, stringify!($key)).or(self.$key),)* }
            }

            /// Fills in what is not given from `fallback`.
            pub(crate) fn or(self, fallback: &Self) -> Self {
                let fallback = fallback.clone();
                Self { $($key: self.$key.or(fallback.$key),)* }
            }

            /// The settings with defaults for what is not given, not checked yet.
            pub(crate) fn over_defaults(self) -> Settings {
                let defaults = Settings::default();
                Settings { $($key: self.$key.map_or(defaults.$key, Setting::from_given),)* }
            }
        }

        impl Settings {
            /// All keys in the order of the table.
            pub(crate) fn rows(&self, file: &Options) -> Vec<Row> {
                vec![$(Row {
                    key: stringify!($key),
                    value: self.$key.shown(),
                    in_file: file.$key.is_some(),
                },)*]
            }
        }

        /// Keys and their variables.
        pub(crate) const VARIABLES: &[(&str, &str)] = &[$((stringify!($key), $variable)),*];
    };
}

keys! {
    /// A model folder in the diffusers layout (docs/models.md); without it, the embedded model.
    model: Option<PathBuf> = None, "REPROMPT_MODEL", "FOLDER";
    /// Name of the model in requests and responses; if not set, the folder's, or OWNER/NAME of the Hugging Face hub.
    model_name: Option<String> = None, "REPROMPT_MODEL_NAME", "NAME";
    /// Address and port to listen on.
    listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)), "REPROMPT_LISTEN", "ADDR:PORT";
    /// A file of API keys; every request then needs one of them.
    api_keys_file: Option<PathBuf> = None, "REPROMPT_API_KEYS_FILE", "FILE";
    /// Allows other addresses than loopback without API keys: any client that reaches them can use the service.
    insecure: bool = false, "REPROMPT_INSECURE", "BOOL",
        (num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new());
    /// Requests per minute and client; 0: no limit. A client is an API key or, without keys, an address.
    client_requests_per_minute: u32 = 0, "REPROMPT_CLIENT_REQUESTS_PER_MINUTE", "REQUESTS";
    /// Queued and running jobs per client; 0: no limit.
    client_jobs: usize = 0, "REPROMPT_CLIENT_JOBS", "JOBS";
    /// Networks of trusted proxies, separated by commas; their header names the client's address.
    trusted_proxies: Vec<String> = Vec::new(), "REPROMPT_TRUSTED_PROXIES", "NETWORKS", (action = ArgAction::Append);
    /// The header that is read from trusted proxies: x-forwarded-for or forwarded.
    forwarded_header: ForwardedHeader = ForwardedHeader::XForwardedFor, "REPROMPT_FORWARDED_HEADER", "HEADER";
    /// Origins whose pages may call the API, such as https://*.example.com or http://localhost:*; * allows any.
    cors_origin: Vec<String> = Vec::new(), "REPROMPT_CORS_ORIGIN", "ORIGINS", (action = ArgAction::Append);
    /// Hosts that requests may name, such as edit.example.com or *.example.com, besides loopback ones; * allows any.
    allowed_hosts: Vec<String> = Vec::new(), "REPROMPT_ALLOWED_HOSTS", "HOSTS", (action = ArgAction::Append);
    /// Maximum number of open API connections; further ones wait.
    max_connections: usize = 1024, "REPROMPT_MAX_CONNECTIONS", "CONNECTIONS";
    /// Time limit for the headers of a request, and for an idle connection before it.
    header_timeout: Duration = Duration::from_secs(75), "REPROMPT_HEADER_TIMEOUT", "DURATION";
    /// Time limit for the body of a request.
    body_timeout: Duration = Duration::from_secs(30), "REPROMPT_BODY_TIMEOUT", "DURATION";
    /// Time limit for a plain response, not a stream or an asynchronous job; 0: no limit.
    answer_timeout: Duration = Duration::from_secs(3600), "REPROMPT_ANSWER_TIMEOUT", "DURATION";
    /// Address and port of /metrics, /healthz and /readyz, without keys; if not set, /metrics is served with the API.
    metrics_listen: Option<SocketAddr> = None, "REPROMPT_METRICS_LISTEN", "ADDR:PORT";
    /// Device to compute on: auto, cpu, cuda or cuda:N.
    device: DeviceChoice = DeviceChoice::Auto, "REPROMPT_DEVICE", "DEVICE";
    /// Data type to compute in.
    dtype: DtypeChoice = DtypeChoice::Auto, "REPROMPT_DTYPE", "DTYPE";
    /// Compute threads; if not set, one per core.
    threads: Option<usize> = None, "REPROMPT_THREADS", "THREADS";
    /// Maximum number of rows in a UNet pass; a source or an edit takes two.
    max_batch_rows: usize = 8, "REPROMPT_MAX_BATCH_ROWS", "ROWS";
    /// Maximum number of queued jobs; further ones are refused.
    queue_limit: usize = 256, "REPROMPT_QUEUE_LIMIT", "JOBS";
    /// Device memory for recordings; leave it at 0 on the CPU.
    recordings_device_bytes: ByteSize = ByteSize::b(0), "REPROMPT_RECORDINGS_DEVICE_BYTES", "SIZE";
    /// Main memory for recordings, such as 512MiB.
    recordings_memory_bytes: ByteSize = ByteSize::gib(8), "REPROMPT_RECORDINGS_MEMORY_BYTES", "SIZE";
    /// Main memory for trajectories, from which recordings can be recomputed.
    recordings_trajectory_bytes: ByteSize = ByteSize::gib(1), "REPROMPT_RECORDINGS_TRAJECTORY_BYTES", "SIZE";
    /// Disk space for recordings.
    recordings_disk_bytes: ByteSize = ByteSize::gib(32), "REPROMPT_RECORDINGS_DISK_BYTES", "SIZE";
    /// A folder for recordings; if not set, nothing is written to disk.
    recordings_dir: Option<PathBuf> = None, "REPROMPT_RECORDINGS_DIR", "FOLDER";
    /// Maximum number of sessions to remember, recorded or not.
    max_sessions: usize = 10_000, "REPROMPT_MAX_SESSIONS", "SESSIONS";
    /// Time without use after which a session expires, such as 24h; if not set, or 0: never.
    session_ttl: Option<Duration> = None, "REPROMPT_SESSION_TTL", "DURATION";
    /// Time for which a finished asynchronous job is kept.
    job_ttl: Duration = Duration::from_secs(3600), "REPROMPT_JOB_TTL", "DURATION";
    /// Maximum number of finished asynchronous jobs to keep; the oldest are evicted first.
    max_jobs: usize = 1000, "REPROMPT_MAX_JOBS", "JOBS";
    /// Memory for results of asynchronous jobs; the oldest are evicted first.
    job_result_bytes: ByteSize = ByteSize::mib(256), "REPROMPT_JOB_RESULT_BYTES", "SIZE";
    /// Hosts that webhooks may be sent to, separated by commas: HOST, *.DOMAIN, http://HOST:PORT.
    webhook_hosts: Vec<String> = Vec::new(), "REPROMPT_WEBHOOK_HOSTS", "HOSTS", (action = ArgAction::Append);
    /// A file with the secret for signing webhooks.
    webhook_secret_file: Option<PathBuf> = None, "REPROMPT_WEBHOOK_SECRET_FILE", "FILE";
    /// Time that running jobs may take after a shutdown request; unfinished jobs are then canceled.
    drain_deadline: Duration = Duration::from_secs(30), "REPROMPT_DRAIN_DEADLINE", "DURATION";
    /// A collector for traces, by OTLP over HTTP, such as http://127.0.0.1:4318.
    otlp_endpoint: Option<String> = None, "REPROMPT_OTLP_ENDPOINT", "URL";
    /// Format of log lines.
    log_format: LogFormat = LogFormat::Pretty, "REPROMPT_LOG_FORMAT", "FORMAT";
}
