//! What values must fulfil beyond their types. An error names the key, the value and what is allowed.

use std::path::Path;

use super::ConfigError;
use super::keys::Settings;
use super::values::{DeviceChoice, DtypeChoice};
use crate::api::webhook::{AllowedHost, InvalidSecret, WebhookConfig, WebhookSecret};
use crate::engine::run::ROWS_PER_RUN;

/// What the processor computes in, for errors.
pub const PROCESSOR_DTYPES: &str = "the processor computes in f32 or bf16";

pub(super) fn check(settings: &Settings) -> Result<(), ConfigError> {
    check_computing(settings)?;
    check_numbers(settings)?;
    check_folders(settings)?;
    webhooks(settings).map(drop)
}

fn refused(key: &'static str, value: impl ToString, allowed: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, value: value.to_string(), allowed: allowed.into() }
}

fn refuse(key: &'static str, value: impl ToString, allowed: impl Into<String>) -> Result<(), ConfigError> {
    Err(refused(key, value, allowed))
}

fn check_computing(settings: &Settings) -> Result<(), ConfigError> {
    if settings.max_batch_rows < ROWS_PER_RUN {
        let allowed = format!("at least {ROWS_PER_RUN}, the rows of one image, are needed");
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
    ] {
        if is_zero {
            return refuse(key, 0, allowed);
        }
    }
    Ok(())
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
pub(super) fn webhooks(settings: &Settings) -> Result<Option<WebhookConfig>, ConfigError> {
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
