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
    /// A folder in the diffusers layout; without it, the embedded model.
    model: Option<PathBuf> = None, "REPROMPT_MODEL", "FOLDER";
    /// Address and port to listen on.
    listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)), "REPROMPT_LISTEN", "ADDR:PORT";
    /// A file with the API keys of which a call needs one.
    api_keys_file: Option<PathBuf> = None, "REPROMPT_API_KEYS_FILE", "FILE";
    /// Listens beyond this machine without API keys: every client that reaches the address may use the service.
    insecure: bool = false, "REPROMPT_INSECURE", "BOOL",
        (num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new());
    /// Requests that a caller (an API key, or an address where there are none) may make a minute; 0: any number.
    client_requests_per_minute: u32 = 0, "REPROMPT_CLIENT_REQUESTS_PER_MINUTE", "REQUESTS";
    /// Jobs that a caller may have waiting and running; 0: any number.
    client_jobs: usize = 0, "REPROMPT_CLIENT_JOBS", "JOBS";
    /// Networks of proxies that are believed about where a request comes from, with commas between them.
    trusted_proxies: Vec<String> = Vec::new(), "REPROMPT_TRUSTED_PROXIES", "NETWORKS", (action = ArgAction::Append);
    /// The header in which these proxies name the client: x-forwarded-for or forwarded.
    forwarded_header: ForwardedHeader = ForwardedHeader::XForwardedFor, "REPROMPT_FORWARDED_HEADER", "HEADER";
    /// Origins whose pages may call and read answers; may be given several times.
    cors_origin: Vec<String> = Vec::new(), "REPROMPT_CORS_ORIGIN", "ORIGINS", (action = ArgAction::Append);
    /// Connections to the API at once; more have to wait.
    max_connections: usize = 1024, "REPROMPT_MAX_CONNECTIONS", "CONNECTIONS";
    /// How long the headers of a request may take to arrive, and the pause before it.
    header_timeout: Duration = Duration::from_secs(75), "REPROMPT_HEADER_TIMEOUT", "DURATION";
    /// How long the body of a request may take to arrive.
    body_timeout: Duration = Duration::from_secs(30), "REPROMPT_BODY_TIMEOUT", "DURATION";
    /// How long an answer is waited for that is no stream and no job; 0: any time.
    answer_timeout: Duration = Duration::from_secs(3600), "REPROMPT_ANSWER_TIMEOUT", "DURATION";
    /// Address and port of metrics and probes, without a key; without it, metrics are beside the API.
    metrics_listen: Option<SocketAddr> = None, "REPROMPT_METRICS_LISTEN", "ADDR:PORT";
    /// Where to compute: auto, cpu, cuda or cuda:N.
    device: DeviceChoice = DeviceChoice::Auto, "REPROMPT_DEVICE", "DEVICE";
    /// What to compute in.
    dtype: DtypeChoice = DtypeChoice::Auto, "REPROMPT_DTYPE", "DTYPE";
    /// Threads that an image is computed with; without it, one a core.
    threads: Option<usize> = None, "REPROMPT_THREADS", "THREADS";
    /// Rows of one UNet pass at most; a source or an edit takes two.
    max_batch_rows: usize = 8, "REPROMPT_MAX_BATCH_ROWS", "ROWS";
    /// Jobs that may wait for their turn; more are refused.
    queue_limit: usize = 256, "REPROMPT_QUEUE_LIMIT", "JOBS";
    /// Memory of the device that recordings of sources may take; not used where the device is the CPU.
    recordings_device_bytes: ByteSize = ByteSize::b(0), "REPROMPT_RECORDINGS_DEVICE_BYTES", "SIZE";
    /// Memory that recordings of sources may take, such as 512MiB.
    recordings_memory_bytes: ByteSize = ByteSize::gib(8), "REPROMPT_RECORDINGS_MEMORY_BYTES", "SIZE";
    /// Memory that trajectories of sources may take, from which their recordings are computed again.
    recordings_trajectory_bytes: ByteSize = ByteSize::gib(1), "REPROMPT_RECORDINGS_TRAJECTORY_BYTES", "SIZE";
    /// Disk space that recordings of sources may take.
    recordings_disk_bytes: ByteSize = ByteSize::gib(32), "REPROMPT_RECORDINGS_DISK_BYTES", "SIZE";
    /// A folder for recordings of sources; without it, nothing is written to disk.
    recordings_dir: Option<PathBuf> = None, "REPROMPT_RECORDINGS_DIR", "FOLDER";
    /// Sessions that are remembered, recorded or not.
    max_sessions: usize = 10_000, "REPROMPT_MAX_SESSIONS", "SESSIONS";
    /// Sessions that were not used for so long are forgotten, such as 24h; without it, or with 0, none is.
    session_ttl: Option<Duration> = None, "REPROMPT_SESSION_TTL", "DURATION";
    /// How long the result of an asynchronous job can be fetched.
    job_ttl: Duration = Duration::from_secs(3600), "REPROMPT_JOB_TTL", "DURATION";
    /// Asynchronous jobs that are kept once they have ended; of more, the oldest are forgotten.
    max_jobs: usize = 1000, "REPROMPT_MAX_JOBS", "JOBS";
    /// Memory that results of asynchronous jobs may take; of more, the oldest are forgotten.
    job_result_bytes: ByteSize = ByteSize::mib(256), "REPROMPT_JOB_RESULT_BYTES", "SIZE";
    /// Hosts that webhooks may be sent to, with commas between them: HOST, *.DOMAIN, http://HOST:PORT.
    webhook_hosts: Vec<String> = Vec::new(), "REPROMPT_WEBHOOK_HOSTS", "HOSTS", (action = ArgAction::Append);
    /// A file with the secret that webhooks are signed with.
    webhook_secret_file: Option<PathBuf> = None, "REPROMPT_WEBHOOK_SECRET_FILE", "FILE";
    /// How long running work may take once the service is shutting down.
    drain_deadline: Duration = Duration::from_secs(30), "REPROMPT_DRAIN_DEADLINE", "DURATION";
    /// A collector that traces are sent to by OTLP over HTTP, such as http://127.0.0.1:4318.
    otlp_endpoint: Option<String> = None, "REPROMPT_OTLP_ENDPOINT", "URL";
    /// How log lines look.
    log_format: LogFormat = LogFormat::Pretty, "REPROMPT_LOG_FORMAT", "FORMAT";
}
