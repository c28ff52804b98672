//! `source.json`: what a session was made from, as text that people can read.
//!
//! The file needs no checksum: the session's id is a hash of everything in it and names the folder. The guidance scale
//! is kept as text, because JSON readers round numbers, and the last bit of it counts.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::recordings::disk::error::DiskError;
use crate::recordings::disk::header::VERSION;
use crate::recordings::{SessionId, Source};

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
    steps: usize,
    guidance_scale: String,
    width: usize,
    height: usize,
}

/// The text of a source's file.
pub(crate) fn text(source: &Source, fingerprint: &str) -> String {
    let Source { prompt, negative_prompt, seed, steps, guidance_scale, width, height } = source;
    json!({
        "version": VERSION,
        "fingerprint": fingerprint,
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "seed": seed,
        "steps": steps,
        // As few digits as give the same number back.
        "guidance_scale": guidance_scale.to_string(),
        "width": width,
        "height": height,
    })
    .to_string()
}

/// The text to be written for the session `id`.
pub(crate) fn text_of_session(source: &Source, fingerprint: &str, id: &SessionId) -> Result<String, DiskError> {
    if source.session_id(fingerprint) != *id {
        return Err(DiskError::Unwritable(format!("the source is not that of {id}")));
    }
    let text = text(source, fingerprint);
    if text.len() as u64 > MAX_BYTES {
        return Err(DiskError::Unwritable(format!("the source is longer than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// Reads a source and verifies that it is that of the session `id`.
pub(crate) fn read(file: impl Read, path: &Path, fingerprint: &str, id: &SessionId) -> Result<Source, DiskError> {
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(DiskError::io(path))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(DiskError::damaged(format!("it is longer than {MAX_BYTES} bytes")));
    }
    // Another version may have other fields, so the version is asked first.
    let Version { version } = serde_json::from_slice(&text).map_err(not_a_source)?;
    if version != VERSION {
        return Err(DiskError::foreign(format!("its version is {version}, {VERSION} is wanted")));
    }
    let found: SourceFile = serde_json::from_slice(&text).map_err(not_a_source)?;
    if found.fingerprint != fingerprint {
        return Err(DiskError::foreign(format!("its model is `{}`, `{fingerprint}` is wanted", found.fingerprint)));
    }
    let guidance_scale = found
        .guidance_scale
        .parse()
        .map_err(|_| DiskError::damaged(format!("`guidance_scale` is `{}`, not a number", found.guidance_scale)))?;
    let source = Source {
        prompt: found.prompt,
        negative_prompt: found.negative_prompt,
        seed: found.seed,
        steps: found.steps,
        guidance_scale,
        width: found.width,
        height: found.height,
    };
    match source.session_id(fingerprint) {
        of_source if of_source == *id => Ok(source),
        of_source => Err(DiskError::foreign(format!("its source is that of {of_source}, {id} is wanted"))),
    }
}

fn not_a_source(error: serde_json::Error) -> DiskError {
    if error.is_eof() { DiskError::truncated(error.to_string()) } else { DiskError::damaged(error.to_string()) }
}
