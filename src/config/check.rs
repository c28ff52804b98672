//! Checks of values beyond their types. An error names the key, the value and what was expected.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;

use crate::api::delivery::webhooks::{AllowedHost, InvalidSecret, WebhookConfig, WebhookSecret};
use crate::api::guard::GuardConfig;
use crate::api::guard::address::{Proxies, network};
use crate::api::guard::api_keys::file::KeyFile;
use crate::api::guard::cors::{InvalidOrigin, OriginPattern};
use crate::api::guard::hosts::{HostPattern, Hosts, InvalidHostPattern};
use crate::api::guard::timeouts::TimeLimits;
use crate::config::ConfigError;
use crate::config::keys::Settings;
use crate::config::values::{DeviceChoice, DtypeChoice};
use crate::diffusion::samplers::GuidanceMode;
use crate::diffusion::weights::not_a_folder;

/// The types of numbers that the CPU computes in, for errors.
pub const CPU_DTYPES: &str = "expected f32 or bf16 on the CPU";

/// Compute threads for each core that are allowed, and how many are allowed on the smallest machine.
const THREADS_PER_CORE: usize = 4;
const LEAST_MOST_THREADS: usize = 64;
/// Characters of a model's name.
const LONGEST_NAME: usize = 200;

pub(crate) fn check(settings: &Settings) -> Result<(), ConfigError> {
    check_computing(settings)?;
    check_numbers(settings)?;
    check_folders(settings)?;
    check_listen(settings)?;
    check_otlp(settings)?;
    guard(settings)?;
    webhooks(settings).map(drop)
}

fn refused(key: &'static str, value: impl ToString, expected: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, value: value.to_string(), expected: expected.into() }
}

fn refuse(key: &'static str, value: impl ToString, expected: impl Into<String>) -> Result<(), ConfigError> {
    Err(refused(key, value, expected))
}

fn check_computing(settings: &Settings) -> Result<(), ConfigError> {
    if settings.max_batch_rows < GuidanceMode::MAX_ROWS {
        let expected = format!("expected at least {}, the rows of one image", GuidanceMode::MAX_ROWS);
        return refuse("max_batch_rows", settings.max_batch_rows, expected);
    }
    let has_cuda = cfg!(feature = "cuda");
    if let DeviceChoice::Cuda(_) = settings.device
        && !has_cuda
    {
        return refuse("device", settings.device, "this build has no CUDA; expected auto or cpu");
    }
    if settings.dtype == DtypeChoice::F16 && (settings.device == DeviceChoice::Cpu || !has_cuda) {
        return refuse("dtype", "f16", CPU_DTYPES);
    }
    Ok(())
}

/// The most compute threads: more than some for each core only wait for each other.
fn most_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (THREADS_PER_CORE * cores).max(LEAST_MOST_THREADS)
}

fn check_numbers(settings: &Settings) -> Result<(), ConfigError> {
    if let Some(threads) = settings.threads.filter(|threads| *threads > most_threads()) {
        let expected = format!("expected at most {} on this machine; one for each core is the fastest", most_threads());
        return refuse("threads", threads, expected);
    }
    if settings.max_connections > tokio::sync::Semaphore::MAX_PERMITS {
        let expected = format!("expected at most {}", tokio::sync::Semaphore::MAX_PERMITS);
        return refuse("max_connections", settings.max_connections, expected);
    }
    if settings.queue_limit > tokio::sync::Semaphore::MAX_PERMITS {
        let expected = format!("expected at most {}", tokio::sync::Semaphore::MAX_PERMITS);
        return refuse("queue_limit", settings.queue_limit, expected);
    }
    for (key, is_zero, expected) in [
        ("threads", settings.threads == Some(0), "expected at least 1"),
        ("queue_limit", settings.queue_limit == 0, "expected at least 1 job"),
        ("max_sessions", settings.max_sessions == 0, "expected at least 1 session"),
        ("max_jobs", settings.max_jobs == 0, "expected at least 1 job, or no result could be fetched"),
        ("job_ttl", settings.job_ttl.is_zero(), "expected more than 0, or no result could be fetched"),
        ("job_result_bytes", settings.job_result_bytes.0 == 0, "expected more than 0, or no result could be fetched"),
        ("max_connections", settings.max_connections == 0, "expected at least 1, or no client could connect"),
        ("header_timeout", settings.header_timeout.is_zero(), "expected more than 0, or no request could arrive"),
        ("body_timeout", settings.body_timeout.is_zero(), "expected more than 0, or no request could arrive"),
    ] {
        if is_zero {
            return refuse(key, 0, expected);
        }
    }
    Ok(())
}

/// Without API keys the service listens on the loopback interface only, unless `insecure` is set.
fn check_listen(settings: &Settings) -> Result<(), ConfigError> {
    let is_loopback = settings.listen.ip().to_canonical().is_loopback();
    if is_loopback || settings.insecure || settings.api_keys_file.is_some() {
        return Ok(());
    }
    let expected = "without api_keys_file, expected 127.0.0.1 or [::1], unless insecure is set";
    refuse("listen", settings.listen, expected)
}

fn check_otlp(settings: &Settings) -> Result<(), ConfigError> {
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(());
    };
    if !cfg!(feature = "otlp") {
        return refuse(
            "otlp_endpoint",
            endpoint,
            "this build cannot export traces; expected a build with the feature otlp",
        );
    }
    let url = reqwest::Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match url {
        Some(_) => Ok(()),
        None => refuse("otlp_endpoint", endpoint, "expected a URL such as http://127.0.0.1:4318"),
    }
}

/// The configuration of guards.
pub(crate) fn guard(settings: &Settings) -> Result<GuardConfig, ConfigError> {
    let keys = settings.api_keys_file.as_deref().map(|file| {
        let opened = KeyFile::open(file).map(Arc::new);
        opened
            .map_err(|error| refused("api_keys_file", file.display(), format!("expected a file of API keys: {error}")))
    });
    let trusted = settings.trusted_proxies.iter().map(|entry| {
        let expected = "expected an address such as 127.0.0.1 or a network such as 10.0.0.0/8 or fd00::/8";
        network(entry).map_err(|_| refused("trusted_proxies", entry, expected))
    });
    let origins = settings.cors_origin.iter().map(|entry| {
        let invalid = |error: InvalidOrigin| refused("cors_origin", entry, error.to_string());
        entry.parse::<OriginPattern>().map_err(invalid)
    });
    Ok(GuardConfig {
        keys: keys.transpose()?,
        requests_per_minute: NonZeroU32::new(settings.client_requests_per_minute),
        jobs: settings.client_jobs,
        proxies: Proxies { trusted: trusted.collect::<Result<_, _>>()?, header: settings.forwarded_header },
        cors_origins: origins.collect::<Result<_, _>>()?,
        hosts: hosts(settings)?,
        times: TimeLimits {
            body: settings.body_timeout,
            answer: Some(settings.answer_timeout).filter(|limit| !limit.is_zero()),
        },
        metrics_apart: settings.metrics_listen.is_some(),
    })
}

/// The hosts that requests may name; `None`: all.
fn hosts(settings: &Settings) -> Result<Option<Hosts>, ConfigError> {
    let pattern = |entry: &String| {
        let invalid = |error: InvalidHostPattern| refused("allowed_hosts", entry, error.to_string());
        entry.parse::<HostPattern>().map_err(invalid)
    };
    let patterns = settings.allowed_hosts.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
    let is_open = settings.listen.ip().to_canonical().is_loopback() && settings.api_keys_file.is_none();
    let is_checked = is_open || !patterns.is_empty();
    Ok(is_checked.then_some(Hosts { patterns, allows_addresses: !is_open }))
}

fn check_folders(settings: &Settings) -> Result<(), ConfigError> {
    if let Some(model) = settings.model.as_deref()
        && let Some(reason) = not_a_folder::reason(model)
    {
        return refuse("model", model.display(), reason);
    }
    if let Some(name) = settings.model_name.as_deref().filter(|name| !is_name(name)) {
        let expected =
            format!("expected 1 to {LONGEST_NAME} characters without white space at the ends or control characters");
        return refuse("model_name", name, expected);
    }
    if let Some(dir) = settings.recordings_dir.as_deref().filter(|dir| dir.exists() && !dir.is_dir()) {
        return refuse("recordings_dir", dir.display(), "expected a folder, or a path that does not exist yet");
    }
    Ok(())
}

/// Whether a model can be called so in JSON, in headers and in a path.
fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.chars().count()) && name.trim() == name && !name.contains(char::is_control)
}

/// The configuration of webhooks; `None` where no host is named.
pub(crate) fn webhooks(settings: &Settings) -> Result<Option<WebhookConfig>, ConfigError> {
    let host = |entry: &String| {
        entry.parse::<AllowedHost>().map_err(|_| {
            let expected = "expected a host such as hooks.example.com, *.example.com or http://127.0.0.1:9000";
            refused("webhook_hosts", entry, expected)
        })
    };
    let hosts = settings.webhook_hosts.iter().map(host).collect::<Result<Vec<_>, _>>()?;
    let secret = settings.webhook_secret_file.as_deref().map(secret).transpose()?;
    match secret {
        _ if hosts.is_empty() => Ok(None),
        Some(secret) => Ok(Some(WebhookConfig::new(hosts, secret))),
        None => {
            let expected = "expected webhook_secret_file to be set, because webhooks are signed";
            Err(refused("webhook_hosts", settings.webhook_hosts.join(","), expected))
        }
    }
}

fn secret(file: &Path) -> Result<WebhookSecret, ConfigError> {
    let refused = |expected: String| refused("webhook_secret_file", file.display(), expected);
    let text = std::fs::read_to_string(file).map_err(|error| refused(format!("expected a readable file: {error}")))?;
    // The error says what a secret looks like and not what is there.
    text.trim().parse().map_err(|error: InvalidSecret| refused(error.to_string()))
}
