//! `source.json`: what a session is made from, as text that people can read.
//!
//! The file needs no checksum: the session's id is a hash of everything in it and names the folder. The guidance scale
//! is kept as text, because JSON readers round numbers, and its last bit counts.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::diffusion::samplers::SamplerName;
use crate::recordings::session_id::SessionId;
use crate::recordings::source::{Origin, Source};
use crate::recordings::store::StoreError;

/// The version of this file alone; files of tensors have their own. Files of another version are foreign. 1 and 2 had
/// no sampler, and ids of the first derivation.
pub(crate) const VERSION: u32 = 3;
/// Longer files are neither written nor read; a request's body is much shorter.
const MAX_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceFile {
    #[serde(rename = "version")]
    _version: u32,
    fingerprint: String,
    prompt: String,
    negative_prompt: String,
    seed: u64,
    sampler: String,
    steps: usize,
    guidance_scale: String,
    width: usize,
    height: usize,
}

/// The text of a source's file.
pub(crate) fn text(source: &Source, fingerprint: &str) -> String {
    let Source { prompt, negative_prompt, origin, sampler, steps, guidance_scale, width, height } = source;
    let Origin::Seed(seed) = origin;
    json!({
        "version": VERSION,
        "fingerprint": fingerprint,
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "seed": seed,
        "sampler": sampler.as_str(),
        "steps": steps,
        // As few digits as give the same number back.
        "guidance_scale": guidance_scale.to_string(),
        "width": width,
        "height": height,
    })
    .to_string()
}

/// The text to be written for the session `id`.
pub(crate) fn text_of_session(source: &Source, fingerprint: &str, id: &SessionId) -> Result<String, StoreError> {
    if source.session_id(fingerprint) != *id {
        return Err(StoreError::Unwritable(format!("the source is not that of {id}")));
    }
    let text = text(source, fingerprint);
    if text.len() as u64 > MAX_BYTES {
        return Err(StoreError::Unwritable(format!("the source is longer than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// Reads a source and verifies that it is that of the session `id`.
pub(crate) fn read(file: impl Read, path: &Path, fingerprint: &str, id: &SessionId) -> Result<Source, StoreError> {
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(StoreError::io(path))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(StoreError::Damaged(format!("the source is longer than {MAX_BYTES} bytes")));
    }
    // Another version may have other fields, so the version is read first.
    let Version { version } = serde_json::from_slice(&text).map_err(not_a_source)?;
    if version != VERSION {
        return Err(StoreError::Foreign(format!("expected version {VERSION}, got {version}")));
    }
    let file: SourceFile = serde_json::from_slice(&text).map_err(not_a_source)?;
    if file.fingerprint != fingerprint {
        return Err(StoreError::Foreign(format!("expected the model `{fingerprint}`, got `{}`", file.fingerprint)));
    }
    let guidance_scale = file.guidance_scale.parse().map_err(|_| {
        StoreError::Damaged(format!("`guidance_scale`: expected a number, got `{}`", file.guidance_scale))
    })?;
    // A later process may know samplers that this one does not.
    let sampler = file.sampler.parse::<SamplerName>().map_err(|error| StoreError::Foreign(error.to_string()))?;
    let source = Source {
        prompt: file.prompt,
        negative_prompt: file.negative_prompt,
        origin: Origin::Seed(file.seed),
        sampler,
        steps: file.steps,
        guidance_scale,
        width: file.width,
        height: file.height,
    };
    match source.session_id(fingerprint) {
        of_source if of_source == *id => Ok(source),
        of_source => Err(StoreError::Foreign(format!("expected the source of {id}, got that of {of_source}"))),
    }
}

fn not_a_source(error: serde_json::Error) -> StoreError {
    let kind = if error.is_eof() { StoreError::Truncated } else { StoreError::Damaged };
    kind(error.to_string())
}
