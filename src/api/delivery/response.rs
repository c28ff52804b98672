//! Answers: outcomes of jobs as JSON or as bare images.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::api::delivery::png_metadata;
use crate::api::operations::edit_params::Output;
use crate::api::operations::source::SCHEDULER;
use crate::api::operations::windows;
use crate::api::problem::{Code, Problem};
use crate::api::transport::content_negotiation::Form;
use crate::api::wire::{
    AlignedWordsBody, EditResponse, ImageData, SessionRef, SessionResponse, SourceBody, TierBytes, TimingsBody,
    WarningBody, WordAttention,
};
use crate::diffusion::ModelInfo;
use crate::engine::{Outcome, PreparedEdit, RecordingUse, Timings};
use crate::media::{Image, OutputFormat, Text, base64, decode, from_base64};
use crate::p2p::{AlignedWords, EditParams};
use crate::recordings::{SessionView, Source, Tier};

/// An answer in full, from which it is given in whatever form a request accepts.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    location: Option<HeaderValue>,
    json: Box<RawValue>,
    files: Files,
    /// What goes with a bare image.
    headers: HeaderMap,
}

/// How the images of an answer are written, and what is told inside the last one.
#[derive(Debug, Default)]
pub struct Files {
    /// How all are written.
    pub output: Output,
    /// What stands in the last one, which is the one that was asked for.
    pub texts: Vec<Text>,
}

impl Answer {
    /// An answer with this body.
    ///
    /// # Errors
    /// `internal_error` where the body cannot be written.
    pub(crate) fn new(
        status: StatusCode,
        location: Option<HeaderValue>,
        body: &impl Serialize,
        files: Files,
        headers: HeaderMap,
    ) -> Result<Self, Problem> {
        let json = to_raw_value(body).map_err(|error| internal("an answer could not be written", &error))?;
        Ok(Self { status, location, json, files, headers })
    }

    /// All of it as JSON.
    pub fn json(&self) -> &RawValue {
        &self.json
    }

    /// The answer in a form; an image in another format than that of the JSON is converted from it.
    ///
    /// # Errors
    /// `internal_error` where an image cannot be converted.
    pub async fn response(self: Arc<Self>, form: Form) -> Result<Response, Problem> {
        let (status, location) = (self.status, self.location.clone());
        let mut response = match form {
            Form::Json | Form::Events => {
                ([(header::CONTENT_TYPE, "application/json")], self.json.get().to_owned()).into_response()
            }
            Form::Image(format) => {
                let format = format.unwrap_or(self.files.output.format);
                let headers = self.headers.clone();
                let file = blocking(move || self.image(format)).await?;
                (headers, [(header::CONTENT_TYPE, format.content_type())], file).into_response()
            }
        };
        *response.status_mut() = status;
        response.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
        Ok(response)
    }

    /// The last image, which is the one that was asked for, as a file. Takes its time.
    fn image(&self, format: OutputFormat) -> Result<Vec<u8>, Problem> {
        let broken = |error: &dyn std::error::Error| internal("an image of an answer could not be read", error);
        let images: Images<'_> = serde_json::from_str(self.json.get()).map_err(|error| broken(&error))?;
        let file = from_base64(images.data.last().map_or("", ImageFile::base64)).map_err(|error| broken(&error))?;
        let Files { output, texts } = &self.files;
        if format == output.format {
            return Ok(file);
        }
        let image = decode(&file).map_err(|error| broken(&error))?;
        let file = image.encode(format, output.quality, texts);
        file.map_err(|error| internal("an image could not be encoded", &error))
    }
}

/// The images of an answer, to be read from its JSON.
#[derive(Deserialize)]
struct Images<'a> {
    #[serde(borrow)]
    data: Vec<ImageFile<'a>>,
}

#[derive(Deserialize)]
struct ImageFile<'a> {
    #[serde(borrow, default)]
    b64_json: Option<Cow<'a, str>>,
    /// A data URL.
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
}

impl ImageFile<'_> {
    fn base64(&self) -> &str {
        let of_url = || self.url.as_deref().and_then(|url| url.rsplit(',').next());
        self.b64_json.as_deref().or_else(of_url).unwrap_or_default()
    }
}

/// Seconds since 1970.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Width and height as they stand in answers.
pub fn size(source: &Source) -> String {
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
pub async fn encode(image: Arc<Image>, output: Output, texts: Vec<Text>) -> Result<Vec<u8>, Problem> {
    blocking(move || {
        let file = image.encode(output.format, output.quality, &texts);
        file.map_err(|error| internal("an image could not be encoded", &error))
    })
    .await
}

/// Does what takes its time on a thread that may take it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(internal("work on an image panicked", &error)))
}

pub(crate) fn internal(what: &str, error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "{what}");
    Problem::new(Code::Internal, what)
}

async fn image_data(role: &'static str, image: &Arc<Image>, files: &Files) -> Result<ImageData, Problem> {
    let Files { output, texts } = files;
    Ok(ImageData { role, b64_json: base64(&encode(Arc::clone(image), *output, texts.clone()).await?) })
}

/// What the answer to an edit holds besides the edit.
#[derive(Debug)]
pub struct Beside<'a> {
    /// What was asked for.
    pub params: &'a EditParams,
    /// Whether the source's image is wanted.
    pub include_source: bool,
    /// Where the edit attends to its words.
    pub attention: Option<Vec<WordAttention>>,
    /// What the request may not have meant.
    pub warnings: Vec<WarningBody>,
}

/// The headers that go with every image that was made, beside those of its call.
pub(crate) fn run_headers(
    model: &str,
    source: &Source,
    outcome: &Outcome,
    warnings: &[WarningBody],
    timings: &TimingsBody,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    put(&mut headers, "x-reprompt-model", model);
    put(&mut headers, "x-reprompt-session", &outcome.session.to_string());
    put(&mut headers, "x-reprompt-recording", outcome.recording.as_str());
    put(&mut headers, "x-reprompt-seed", &source.seed().to_string());
    put(&mut headers, "x-reprompt-size", &size(source));
    put_json(&mut headers, "x-reprompt-warnings", &warnings);
    put_json(&mut headers, "x-reprompt-timings-ms", timings);
    headers
}

/// The answer to an edit.
pub async fn edit(
    model: &ModelInfo,
    source: &Source,
    edit: &PreparedEdit,
    outcome: &Outcome,
    beside: Beside<'_>,
    output: Output,
) -> Result<Answer, Problem> {
    let (params, include_source) = (beside.params, beside.include_source);
    let edited = outcome.edited_image.as_ref().unwrap_or(&outcome.source_image);
    let mut body = told_of_edit(&model.name, source, edit, outcome, beside, output);
    let mut headers = run_headers(&body.model, source, outcome, &body.warnings, &body.timings_ms);
    put(&mut headers, "x-reprompt-id", &body.id);
    put(&mut headers, "x-reprompt-created", &body.created.to_string());
    put(&mut headers, "x-reprompt-edit-type", body.edit_type);
    put_json(&mut headers, "x-reprompt-alignment", &body.alignment);
    put_json(&mut headers, "x-reprompt-windows", &body.windows);
    if include_source {
        let files = Files { output, texts: png_metadata::of_source(model, source) };
        body.data.push(image_data("source", &outcome.source_image, &files).await?);
    }
    let files = Files { output, texts: png_metadata::of_edit(model, source, edit, params) };
    body.data.push(image_data("edit", edited, &files).await?);
    Answer::new(StatusCode::OK, None, &body, files, headers)
}

/// A source as it stands in answers.
pub fn source_body(source: &Source) -> SourceBody {
    SourceBody {
        prompt: source.prompt.clone(),
        negative_prompt: source.negative_prompt.clone(),
        seed: source.seed(),
        num_inference_steps: source.steps,
        guidance_scale: source.guidance_scale,
        width: source.width,
        height: source.height,
        scheduler: SCHEDULER,
    }
}

/// What is told of an edit, without its images.
pub fn told_of_edit(
    model: &str,
    source: &Source,
    edit: &PreparedEdit,
    outcome: &Outcome,
    beside: Beside<'_>,
    output: Output,
) -> EditResponse {
    EditResponse {
        id: format!("edit_{}", uuid::Uuid::new_v4().simple()),
        object: "edit",
        created: unix_seconds(SystemTime::now()),
        model: model.to_owned(),
        session: SessionRef { id: outcome.session.to_string(), recording: outcome.recording.as_str() },
        seed: source.seed(),
        size: size(source),
        output_format: output.format.as_str(),
        edit_type: edit.plan.edit_type().as_str(),
        alignment: alignment(edit.plan.alignment()),
        windows: windows::body(edit.plan.windows()),
        warnings: beside.warnings,
        data: Vec::new(),
        attention: beside.attention,
        timings_ms: timings(&outcome.timings),
    }
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
        source: source_body(source),
        tier: view.tier.as_str(),
        bytes: TierBytes {
            device: view.bytes[Tier::Device],
            memory: view.bytes[Tier::Memory],
            disk: view.bytes[Tier::Disk],
            trajectory: view.bytes[Tier::Trajectory],
        },
        hits: view.hits,
        recording: None,
        warnings: None,
        data: None,
        timings_ms: None,
    }
}

/// The answer to a session that was made or found.
pub async fn recorded_session(
    model: &ModelInfo,
    view: &SessionView,
    outcome: &Outcome,
    warnings: Vec<WarningBody>,
    output: Output,
) -> Result<Answer, Problem> {
    let mut body = session(&model.name, view);
    let headers = run_headers(&body.model, &view.source, outcome, &warnings, &timings(&outcome.timings));
    body.warnings = Some(warnings);
    body.recording = Some(outcome.recording.as_str());
    let files = Files { output, texts: png_metadata::of_source(model, &view.source) };
    body.data = Some(vec![image_data("source", &outcome.source_image, &files).await?]);
    body.timings_ms = Some(timings(&outcome.timings));
    let status = if outcome.recording == RecordingUse::Hit { StatusCode::OK } else { StatusCode::CREATED };
    let location = HeaderValue::from_str(&format!("/v1/sessions/{}", outcome.session)).ok();
    Answer::new(status, location, &body, files, headers)
}

/// An image with nothing around it.
pub async fn bare_image(image: &Arc<Image>, output: Output, texts: Vec<Text>) -> Result<Response, Problem> {
    let file = encode(Arc::clone(image), output, texts).await?;
    Ok(([(header::CONTENT_TYPE, output.format.content_type())], file).into_response())
}

pub(crate) fn timings(timings: &Timings) -> TimingsBody {
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
pub(crate) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Longer values are left out of headers.
const MAX_JSON_HEADER: usize = 2048;

/// Puts JSON into a header, everything outside ASCII escaped.
pub(crate) fn put_json(headers: &mut HeaderMap, name: &'static str, value: &impl Serialize) {
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
pub(crate) fn ascii(text: &str) -> String {
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
