//! What values must fulfil beyond their types. An error names the key, the value and what is allowed.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use crate::api::delivery::webhooks::{AllowedHost, InvalidSecret, WebhookConfig, WebhookSecret};
use crate::api::guard::GuardConfig;
use crate::api::guard::address::{Proxies, network};
use crate::api::guard::api_keys::file::KeyFile;
use crate::api::guard::cors::is_origin;
use crate::api::guard::timeouts::TimeLimits;
use crate::config::ConfigError;
use crate::config::keys::Settings;
use crate::config::values::{DeviceChoice, DtypeChoice};
use crate::diffusion::samplers::GuidanceMode;

/// What the processor computes in, for errors.
pub const PROCESSOR_DTYPES: &str = "the processor computes in f32 or bf16";

pub(crate) fn check(settings: &Settings) -> Result<(), ConfigError> {
    check_computing(settings)?;
    check_numbers(settings)?;
    check_folders(settings)?;
    check_listen(settings)?;
    check_otlp(settings)?;
    guard(settings)?;
    webhooks(settings).map(drop)
}

fn refused(key: &'static str, value: impl ToString, allowed: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, value: value.to_string(), allowed: allowed.into() }
}

fn refuse(key: &'static str, value: impl ToString, allowed: impl Into<String>) -> Result<(), ConfigError> {
    Err(refused(key, value, allowed))
}

fn check_computing(settings: &Settings) -> Result<(), ConfigError> {
    if settings.max_batch_rows < GuidanceMode::MAX_ROWS {
        let allowed = format!("at least {}, the rows of one image, are needed", GuidanceMode::MAX_ROWS);
        return refuse("max_batch_rows", settings.max_batch_rows, allowed);
    }
    let has_cuda = cfg!(feature = "cuda");
    if let DeviceChoice::Cuda(_) = settings.device
        && !has_cuda
    {
        return refuse("device", settings.device, "this build has no CUDA: auto and cpu are possible");
    }
    if settings.dtype == DtypeChoice::F16 && (settings.device == DeviceChoice::Cpu || !has_cuda) {
        return refuse("dtype", "f16", PROCESSOR_DTYPES);
    }
    Ok(())
}

fn check_numbers(settings: &Settings) -> Result<(), ConfigError> {
    if settings.max_connections > tokio::sync::Semaphore::MAX_PERMITS {
        let allowed = format!("at most {} can be open", tokio::sync::Semaphore::MAX_PERMITS);
        return refuse("max_connections", settings.max_connections, allowed);
    }
    if settings.queue_limit > tokio::sync::Semaphore::MAX_PERMITS {
        let allowed = format!("at most {} jobs can wait", tokio::sync::Semaphore::MAX_PERMITS);
        return refuse("queue_limit", settings.queue_limit, allowed);
    }
    for (key, is_zero, allowed) in [
        ("threads", settings.threads == Some(0), "at least 1 is needed"),
        ("queue_limit", settings.queue_limit == 0, "at least 1 job must be able to wait"),
        ("max_sessions", settings.max_sessions == 0, "at least 1 session must be remembered"),
        ("max_jobs", settings.max_jobs == 0, "at least 1 job must be kept, or no result could be fetched"),
        ("job_ttl", settings.job_ttl.is_zero(), "some time is needed, or no result could be fetched"),
        ("job_result_bytes", settings.job_result_bytes.0 == 0, "some are needed, or no result could be fetched"),
        ("max_connections", settings.max_connections == 0, "at least 1 is needed, or nobody could ask"),
        ("header_timeout", settings.header_timeout.is_zero(), "some time is needed, or no request could arrive"),
        ("body_timeout", settings.body_timeout.is_zero(), "some time is needed, or no request could arrive"),
    ] {
        if is_zero {
            return refuse(key, 0, allowed);
        }
    }
    Ok(())
}

/// Without keys, nobody but this machine is listened to by mistake.
fn check_listen(settings: &Settings) -> Result<(), ConfigError> {
    let is_loopback = settings.listen.ip().to_canonical().is_loopback();
    if is_loopback || settings.insecure || settings.api_keys_file.is_some() {
        return Ok(());
    }
    let allowed = "without api_keys_file only 127.0.0.1 and [::1] are listened on, unless insecure says otherwise";
    refuse("listen", settings.listen, allowed)
}

fn check_otlp(settings: &Settings) -> Result<(), ConfigError> {
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(());
    };
    if !cfg!(feature = "otlp") {
        return refuse("otlp_endpoint", endpoint, "this build sends no traces: the feature otlp does");
    }
    let url = reqwest::Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match url {
        Some(_) => Ok(()),
        None => refuse("otlp_endpoint", endpoint, "a URL such as http://127.0.0.1:4318 is wanted"),
    }
}

/// What the keys about callers come to.
pub(crate) fn guard(settings: &Settings) -> Result<GuardConfig, ConfigError> {
    let keys = settings.api_keys_file.as_deref().map(|file| {
        let opened = KeyFile::open(file).map(Arc::new);
        opened.map_err(|error| refused("api_keys_file", file.display(), format!("a file with keys is wanted: {error}")))
    });
    let trusted = settings.trusted_proxies.iter().map(|entry| {
        let allowed = "addresses such as 127.0.0.1 and networks such as 10.0.0.0/8 and fd00::/8 are";
        network(entry).map_err(|_| refused("trusted_proxies", entry, allowed))
    });
    if let Some(wrong) = settings.cors_origin.iter().find(|origin| !is_origin(origin)) {
        let allowed = "origins as browsers send them, such as https://app.example.com, and * for all of them are";
        return Err(refused("cors_origin", wrong, allowed));
    }
    Ok(GuardConfig {
        keys: keys.transpose()?,
        requests_per_minute: NonZeroU32::new(settings.client_requests_per_minute),
        jobs: settings.client_jobs,
        proxies: Proxies { trusted: trusted.collect::<Result<_, _>>()?, header: settings.forwarded_header },
        cors_origins: settings.cors_origin.clone(),
        times: TimeLimits {
            body: settings.body_timeout,
            answer: Some(settings.answer_timeout).filter(|limit| !limit.is_zero()),
        },
        metrics_apart: settings.metrics_listen.is_some(),
    })
}

fn check_folders(settings: &Settings) -> Result<(), ConfigError> {
    if let Some(model) = settings.model.as_deref().filter(|model| !model.is_dir()) {
        return refuse("model", model.display(), "a folder in the diffusers layout is wanted");
    }
    if let Some(dir) = settings.recordings_dir.as_deref().filter(|dir| dir.exists() && !dir.is_dir()) {
        return refuse("recordings_dir", dir.display(), "a folder is wanted, or nothing yet at its place");
    }
    Ok(())
}

/// What the webhook keys come to; `None` where no host is named.
pub(crate) fn webhooks(settings: &Settings) -> Result<Option<WebhookConfig>, ConfigError> {
    let host = |entry: &String| {
        entry.parse::<AllowedHost>().map_err(|_| {
            let allowed = "hosts such as hooks.example.com, *.example.com and http://127.0.0.1:9000 are";
            refused("webhook_hosts", entry, allowed)
        })
    };
    let hosts = settings.webhook_hosts.iter().map(host).collect::<Result<Vec<_>, _>>()?;
    let secret = settings.webhook_secret_file.as_deref().map(secret).transpose()?;
    match secret {
        _ if hosts.is_empty() => Ok(None),
        Some(secret) => Ok(Some(WebhookConfig::new(hosts, secret))),
        None => {
            let allowed = "webhooks are signed: webhook_secret_file is needed too";
            Err(refused("webhook_hosts", settings.webhook_hosts.join(","), allowed))
        }
    }
}

fn secret(file: &Path) -> Result<WebhookSecret, ConfigError> {
    let refused = |allowed: String| refused("webhook_secret_file", file.display(), allowed);
    let text = std::fs::read_to_string(file)
        .map_err(|error| refused(format!("a file is wanted that can be read ({error})")))?;
    // The error says what a secret looks like and not what is there.
    text.trim().parse().map_err(|error: InvalidSecret| refused(error.to_string()))
}
