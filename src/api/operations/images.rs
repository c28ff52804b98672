//! `POST /v1/images/generations`: images of a prompt, asked for and answered as in the OpenAI Images API. Each is the
//! image of a session, which can be edited afterwards.

pub(crate) mod request;

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::api::delivery::png_metadata;
use crate::api::delivery::respond;
use crate::api::delivery::respond::Call;
use crate::api::delivery::response;
use crate::api::delivery::response::{Answer, Files, put, unix_seconds};
use crate::api::operations::images::request::ImagesRequest;
use crate::api::operations::operation::Prepared;
use crate::api::operations::output::Output;
use crate::api::operations::source::SourcePlace;
use crate::api::operations::values::names::ImagesResponseFormat;
use crate::api::operations::warnings;
use crate::api::problem::dialect::{BACKGROUND, QUALITY};
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::content_negotiation::Form;
use crate::api::wire::{
    GeneratedImage, ImageFileSchema, ImageStreamEventSchema, ImagesResponse, JobResponse, SessionRef, WaitHeaders,
    WarningBody,
};
use crate::diffusion::ModelInfo;
use crate::engine::Outcome;
use crate::media::base64;
use crate::recordings::Source;

/// Generates images of a prompt.
///
/// As in the OpenAI Images API: its clients work with `base_url` set to this service's `/v1`.
#[utoipa::path(
    post, path = "/v1/images/generations", operation_id = "create_images", tag = "images",
    params(WaitHeaders),
    request_body(content = ImagesRequest, example = json!({"prompt": "a cat on the beach", "size": "128x128", "seed": 3})),
    responses(
        (status = 200, description = "The images; bare, with the rest in `x-reprompt-*` headers, where an image is accepted; events where a stream is asked for", content(
            (ImagesResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"),
            (ImageFileSchema = "image/webp"), (ImageStreamEventSchema = "text/event-stream")
        )),
        (status = 202, description = "A job; `Location` tells where", body = JobResponse),
    )
)]
pub async fn create(State(state): State<Arc<AppState>>, call: Call) -> Result<Response, Problem> {
    let known = Arc::clone(&state);
    respond::answer(state, call, move |body, form| prepare(&known, &body, form)).await
}

/// The images that a body asks for.
fn prepare(state: &AppState, body: &Map<String, Value>, form: Form) -> Result<Prepared, Problem> {
    let model = state.engine.model()?;
    let ImagesRequest { source, images, files } = ImagesRequest::read(body)?;
    if let Some(other) = images.model.as_deref().filter(|name| *name != model.name) {
        let detail = format!("unknown model {other:?}; expected {:?}", model.name);
        return Err(Problem::new(Code::ModelNotFound, detail).at("model"));
    }
    let places = state.guard.places().limit();
    let most = if places == 0 { state.engine.queue_limit() } else { places.min(state.engine.queue_limit()) };
    let count = images.count(form, u64::try_from(most).unwrap_or(u64::MAX))?;
    let output = files.output()?;
    let (output, as_url) = match form {
        Form::Image(format) => (output.in_format(format), false),
        Form::Json | Form::Events => (output, images.response_format == ImagesResponseFormat::Url),
    };
    let mut warnings = images.without_effect();
    let source = source.resolve(model).map_err(|error| SourcePlace::Top.problem(error))?;
    warnings.extend(warnings::source_bodies(state.engine.presets()?.vocabulary(), &source, SourcePlace::Top));
    let sources = (0..count).map(|index| {
        let seed = source.seed.checked_add(index).ok_or_else(|| {
            let detail = format!("the seed of the last of {count} images from {} on is too large", source.seed);
            Problem::new(Code::InvalidValue, detail).at("seed")
        })?;
        Ok(Arc::new(Source { seed, ..source.clone() }))
    });
    Ok(Prepared::images(model, sources.collect::<Result<_, Problem>>()?, as_url, warnings, output))
}

/// The answer to generated images: the sources and what became of each.
///
/// # Errors
/// `internal_error` where an image cannot be encoded.
pub async fn answer(
    model: &ModelInfo,
    made: &[(&Source, &Outcome)],
    as_url: bool,
    warnings: Vec<WarningBody>,
    output: Output,
) -> Result<Answer, Problem> {
    let Some(&(last, outcome)) = made.last() else {
        return Err(Problem::new(Code::Internal, "images were asked for, and none are there"));
    };
    let slowest = made.iter().map(|(_, outcome)| outcome.timings).max_by_key(|timings| timings.total);
    let mut body = ImagesResponse {
        created: unix_seconds(SystemTime::now()),
        background: BACKGROUND,
        output_format: output.format.as_str(),
        quality: QUALITY,
        size: response::size(last),
        data: Vec::with_capacity(made.len()),
        id: format!("images_{}", uuid::Uuid::new_v4().simple()),
        object: "images",
        model: model.name.clone(),
        warnings,
        timings_ms: response::timings(&slowest.unwrap_or_default()),
    };
    let mut headers = response::run_headers(&body.model, last, outcome, &body.warnings, &body.timings_ms);
    put(&mut headers, "x-reprompt-id", &body.id);
    for (source, outcome) in made {
        let texts = png_metadata::of_source(model, source);
        let file = base64(&response::encode(Arc::clone(&outcome.source_image), output, texts).await?);
        let (b64_json, url) = match as_url {
            true => (None, Some(format!("data:{};base64,{file}", output.format.content_type()))),
            false => (Some(file), None),
        };
        let session = SessionRef { id: outcome.session.to_string(), recording: outcome.recording.as_str() };
        body.data.push(GeneratedImage { b64_json, url, seed: source.seed, session });
    }
    let files = Files { output, texts: png_metadata::of_source(model, last) };
    Answer::new(StatusCode::OK, None, &body, files, headers)
}
