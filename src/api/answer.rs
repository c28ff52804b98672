//! Answers: outcomes of jobs as JSON or as bare images.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::accept::Form;
use super::edit_params::{EditSpec, Output};
use super::problem::{Code, Problem};
use super::source::SCHEDULER;
use super::wire::{
    AlignedWordsBody, EditResponse, ImageData, SessionRef, SessionResponse, SourceBody, TierBytes, TimingsBody,
    WordAttention,
};
use crate::engine::{Outcome, PreparedEdit, Timings};
use crate::media::{Image, base64};
use crate::p2p::AlignedWords;
use crate::session::{SessionView, Source};

/// Seconds since 1970.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Width and height as they stand in answers.
fn size(source: &Source) -> String {
    format!("{}x{}", source.width, source.height)
}

/// Aligned words as they stand in answers.
pub fn alignment(words: &[AlignedWords]) -> Vec<AlignedWordsBody> {
    let body = |words: &AlignedWords| AlignedWordsBody {
        target: words.target.clone(),
        source: words.source.clone(),
        relation: words.relation.as_str(),
        target_tokens: words.target_tokens.clone(),
        source_tokens: words.source_tokens.clone(),
    };
    words.iter().map(body).collect()
}

/// Encodes an image on a thread that may take its time.
pub async fn encode(image: Arc<Image>, output: Output) -> Result<Vec<u8>, Problem> {
    let encoded = tokio::task::spawn_blocking(move || image.encode(output.format, output.quality)).await;
    match encoded {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(error)) => Err(internal("an image could not be encoded", &error)),
        Err(error) => Err(internal("encoding an image panicked", &error)),
    }
}

pub(super) fn internal(what: &str, error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "{what}");
    Problem::new(Code::Internal, what)
}

async fn image_data(role: &'static str, image: &Arc<Image>, output: Output) -> Result<ImageData, Problem> {
    Ok(ImageData { role, b64_json: base64(&encode(Arc::clone(image), output).await?) })
}

/// The answer to an edit.
pub async fn edit(
    model: &str,
    source: &Source,
    edit: &PreparedEdit,
    spec: &EditSpec,
    outcome: &Outcome,
    attention: Option<Vec<WordAttention>>,
    form: Form,
) -> Result<Response, Problem> {
    let output = spec.output;
    let edited = outcome.edited_image.as_ref().unwrap_or(&outcome.source_image);
    let mut body = EditResponse {
        id: format!("edit_{}", uuid::Uuid::new_v4().simple()),
        object: "edit",
        created: unix_seconds(SystemTime::now()),
        model: model.to_owned(),
        session: SessionRef { id: outcome.session.to_string(), recording: outcome.recording.as_str() },
        seed: source.seed,
        size: size(source),
        output_format: output.format.as_str(),
        edit_type: edit.plan.edit_type().as_str(),
        alignment: alignment(edit.plan.alignment()),
        data: Vec::new(),
        attention,
        timings_ms: timings(&outcome.timings),
    };
    if let Form::Image(format) = form {
        let mut headers = HeaderMap::new();
        put(&mut headers, "x-reprompt-id", &body.id);
        put(&mut headers, "x-reprompt-model", &body.model);
        put(&mut headers, "x-reprompt-session", &body.session.id);
        put(&mut headers, "x-reprompt-recording", body.session.recording);
        put(&mut headers, "x-reprompt-seed", &body.seed.to_string());
        put(&mut headers, "x-reprompt-size", &body.size);
        put(&mut headers, "x-reprompt-edit-type", body.edit_type);
        put_json(&mut headers, "x-reprompt-alignment", &body.alignment);
        put_json(&mut headers, "x-reprompt-timings-ms", &body.timings_ms);
        return bare_image(edited, output.in_format(format), headers).await;
    }
    if spec.include_source {
        body.data.push(image_data("source", &outcome.source_image, output).await?);
    }
    body.data.push(image_data("edit", edited, output).await?);
    Ok(Json(body).into_response())
}

/// A session as it is told of.
pub fn session(model: &str, view: &SessionView) -> SessionResponse {
    let source = &view.source;
    SessionResponse {
        id: view.id.to_string(),
        object: "session",
        created: unix_seconds(view.created),
        last_used: unix_seconds(view.last_used),
        model: model.to_owned(),
        size: size(source),
        source: SourceBody {
            prompt: source.prompt.clone(),
            negative_prompt: source.negative_prompt.clone(),
            seed: source.seed,
            num_inference_steps: source.steps,
            guidance_scale: source.guidance_scale,
            width: source.width,
            height: source.height,
            scheduler: SCHEDULER,
        },
        tier: view.tier.as_str(),
        bytes: TierBytes {
            device: view.bytes.device,
            memory: view.bytes.memory,
            disk: view.bytes.disk,
            trajectory: view.bytes.trajectory,
        },
        hits: view.hits,
        recording: None,
        data: None,
        timings_ms: None,
    }
}

/// The answer to a session that was made or found.
pub async fn recorded_session(
    model: &str,
    view: &SessionView,
    outcome: &Outcome,
    output: Output,
    form: Form,
) -> Result<Response, Problem> {
    let mut body = session(model, view);
    if let Form::Image(format) = form {
        let mut headers = HeaderMap::new();
        put(&mut headers, "x-reprompt-model", &body.model);
        put(&mut headers, "x-reprompt-session", &body.id);
        put(&mut headers, "x-reprompt-recording", outcome.recording.as_str());
        put(&mut headers, "x-reprompt-seed", &body.source.seed.to_string());
        put(&mut headers, "x-reprompt-size", &body.size);
        put_json(&mut headers, "x-reprompt-timings-ms", &timings(&outcome.timings));
        return bare_image(&outcome.source_image, output.in_format(format), headers).await;
    }
    body.recording = Some(outcome.recording.as_str());
    body.data = Some(vec![image_data("source", &outcome.source_image, output).await?]);
    body.timings_ms = Some(timings(&outcome.timings));
    Ok(Json(body).into_response())
}

/// An image with nothing around it.
pub async fn bare_image(image: &Arc<Image>, output: Output, mut headers: HeaderMap) -> Result<Response, Problem> {
    let file = encode(Arc::clone(image), output).await?;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(output.format.content_type()));
    Ok((headers, file).into_response())
}

fn timings(timings: &Timings) -> TimingsBody {
    // Microseconds are as fine as is worth reading.
    let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    TimingsBody {
        queue: millis(timings.queue),
        encode: millis(timings.encode),
        denoise: millis(timings.denoise),
        decode: millis(timings.decode),
        total: millis(timings.total),
    }
}

/// Puts a header whose value is known to be plain; one that is not is left out.
pub(super) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Longer values are left out of headers.
const MAX_JSON_HEADER: usize = 2048;

/// Puts JSON into a header, everything outside ASCII escaped.
pub(super) fn put_json(headers: &mut HeaderMap, name: &'static str, value: &impl Serialize) {
    let Ok(json) = serde_json::to_string(value) else {
        return;
    };
    // Proxies refuse answers whose headers do not fit into a few kilobytes.
    if json.len() > MAX_JSON_HEADER {
        return;
    }
    put(headers, name, &ascii(&json));
}

/// Text for a header: everything outside ASCII escaped as JSON does.
pub(super) fn ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    let mut units = [0; 2];
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}
