//! `POST /v1/images/generations`: images of a prompt, asked for and answered as in the OpenAI Images API. Each is the
//! image of a session, which can be edited afterwards.
//!
//! What that API knows and this service does not is taken where an image is what it would be anyway, taken with a
//! warning where it is a wish for more or less of something, and refused where the image would be another one.

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
use crate::api::operations::edit_params::Output;
use crate::api::operations::operation::Prepared;
use crate::api::operations::{source, warnings};
use crate::api::problem::dialect::{BACKGROUND, QUALITY};
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::body::read;
use crate::api::transport::content_negotiation::Form;
use crate::api::wire::{
    GeneratedImage, ImageFileSchema, ImageStreamEventSchema, ImagesBody, ImagesRequest, ImagesResponse, JobResponse,
    OutputBody, SessionRef, WaitHeaders, WarningBody,
};
use crate::diffusion::ModelInfo;
use crate::engine::Outcome;
use crate::media::base64;
use crate::recordings::{Origin, Source};

/// Images of one request at most.
const MAX_IMAGES: u64 = 10;
/// Fields of the source that is to be run.
const SOURCE_FIELDS: [&str; 10] = [
    "prompt",
    "negative_prompt",
    "seed",
    "num_inference_steps",
    "steps",
    "guidance_scale",
    "cfg_scale",
    "size",
    "scheduler",
    "sampler_name",
];

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
    respond::answer(state, call, move |body, form| prepare(&known, body, form)).await
}

/// What images to be generated come down to.
fn prepare(state: &AppState, mut body: Map<String, Value>, form: Form) -> Result<Prepared, Problem> {
    let model = state.engine.model()?;
    let mut fields: Map<String, Value> = SOURCE_FIELDS.iter().filter_map(|field| body.remove_entry(*field)).collect();
    if fields.get("size").is_some_and(|size| size == "auto") {
        fields.remove("size");
    }
    let request: ImagesBody = read(body, "")?;
    if let Some(other) = request.model.as_deref().filter(|name| *name != model.name) {
        let detail = format!("{other:?} is not served, {} is", model.name);
        return Err(Problem::new(Code::ModelNotFound, detail).at("model"));
    }
    let places = state.guard.places().limit();
    let most = if places == 0 { state.engine.queue_limit() } else { places.min(state.engine.queue_limit()) };
    let count = count(&request, form, u64::try_from(most).unwrap_or(u64::MAX))?;
    let (output, as_url) = output(&request, form)?;
    let mut warnings = without_effect(&request)?;
    let source = source::parse(fields, "", model)?;
    warnings.extend(warnings::of_source(state.engine.presets()?.vocabulary(), &source, ""));
    let sources = (0..count).map(|index| {
        let seed = source.seed().checked_add(index).ok_or_else(|| {
            let detail = format!("the seeds of {count} images from {} on are too large", source.seed());
            Problem::new(Code::InvalidValue, detail).at("seed")
        })?;
        Ok(Arc::new(Source { origin: Origin::Seed(seed), ..source.clone() }))
    });
    Ok(Prepared::images(model, sources.collect::<Result<_, Problem>>()?, as_url, warnings, output))
}

/// How many; `most` is what can wait at once.
fn count(request: &ImagesBody, form: Form, most: u64) -> Result<u64, Problem> {
    let invalid = |detail: String| Err(Problem::new(Code::InvalidValue, detail).at("n"));
    match request.n.unwrap_or(1) {
        1 => Ok(1),
        n if n == 0 || n > MAX_IMAGES => invalid(format!("{n} images cannot be asked for, 1 to {MAX_IMAGES} can")),
        n if matches!(form, Form::Image(_)) => {
            invalid(format!("a bare image is accepted, which is one and not {n}; accept application/json for all"))
        }
        n if matches!(form, Form::Events) => invalid(format!("a stream is of one image, not of {n}")),
        n if n > most => invalid(format!("{n} images cannot be asked for at once here, {most} can")),
        n => Ok(n),
    }
}

/// How images are written, and whether as URLs.
fn output(request: &ImagesBody, form: Form) -> Result<(Output, bool), Problem> {
    let as_url = request.response_format.as_deref() == Some("url");
    if let Some(other) = request.response_format.as_deref().filter(|format| !as_url && *format != "b64_json") {
        let detail = format!("{other:?} is not served, b64_json and url are");
        return Err(Problem::new(Code::InvalidValue, detail).at("response_format"));
    }
    let output = Output::new(&OutputBody {
        output_format: request.output_format.clone(),
        output_compression: request.output_compression,
        ..OutputBody::default()
    })?;
    Ok(if let Form::Image(format) = form { (output.in_format(format), false) } else { (output, as_url) })
}

/// Checks the fields that change nothing here, and tells of those that were meant to.
fn without_effect(request: &ImagesBody) -> Result<Vec<WarningBody>, Problem> {
    let invalid = |field: &str, detail: String| Err(Problem::new(Code::InvalidValue, detail).at(field));
    let warning =
        |field: &str, detail: String| WarningBody { code: "no_effect", param: field.to_owned(), word: None, detail };
    let mut warnings = Vec::new();
    match request.quality.as_deref() {
        None | Some("auto" | "standard") => {}
        Some(quality @ ("low" | "medium" | "high" | "hd")) => {
            let detail = format!("the quality {quality} has no effect: num_inference_steps says how long to work");
            warnings.push(warning("quality", detail));
        }
        Some(other) => {
            return invalid("quality", format!("{other:?} is none, auto, standard, low, medium, high and hd are"));
        }
    }
    match request.style.as_deref() {
        None => {}
        Some(style @ ("vivid" | "natural")) => {
            let detail = format!("the style {style} has no effect: the prompt says how the image looks");
            warnings.push(warning("style", detail));
        }
        Some(other) => return invalid("style", format!("{other:?} is none, vivid and natural are")),
    }
    match request.background.as_deref() {
        None | Some("auto" | "opaque") => {}
        Some("transparent") => return invalid("background", "images are opaque, none is transparent".to_owned()),
        Some(other) => return invalid("background", format!("{other:?} is none, auto and opaque are")),
    }
    match request.moderation.as_deref() {
        None | Some("auto" | "low") => Ok(warnings),
        Some(other) => invalid("moderation", format!("{other:?} is none, auto and low are")),
    }
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
        body.data.push(GeneratedImage { b64_json, url, seed: source.seed(), session });
    }
    let files = Files { output, texts: png_metadata::of_source(model, last) };
    Answer::new(StatusCode::OK, None, &body, files, headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(body: Value) -> ImagesBody {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn one_to_ten_images_and_one_where_only_one_can_be_given() {
        let of = |body, form| count(&request(body), form, 10).map_err(|problem| problem.param().map(str::to_owned));
        let refused = Err(Some("n".to_owned()));
        assert_eq!(of(json!({}), Form::Json), Ok(1));
        assert_eq!(of(json!({"n": 10}), Form::Json), Ok(10));
        assert_eq!(of(json!({"n": 0}), Form::Json), refused);
        assert_eq!(of(json!({"n": 11}), Form::Json), refused);
        assert_eq!(of(json!({"n": 2}), Form::Events), refused);
        assert_eq!(count(&request(json!({"n": 3})), Form::Json, 2).unwrap_err().param(), Some("n"));
        assert_eq!(of(json!({"n": 2}), Form::Image(None)), refused);
    }

    #[test]
    fn wishes_are_warned_of_and_what_would_be_another_image_is_refused() {
        let of = |body| without_effect(&request(body));
        let params = |body| of(body).unwrap().into_iter().map(|warning| warning.param).collect::<Vec<_>>();
        let none = json!({"quality": "auto", "background": "opaque", "moderation": "low", "user": "me"});
        assert!(params(none).is_empty());
        assert_eq!(params(json!({"quality": "hd", "style": "vivid"})), ["quality", "style"]);
        for (field, value) in
            [("quality", "best"), ("style", "baroque"), ("background", "transparent"), ("moderation", "none")]
        {
            assert_eq!(of(json!({field: value})).unwrap_err().param(), Some(field));
        }
    }
}
