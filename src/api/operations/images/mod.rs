//! `POST /v1/images/generations`: images of a prompt, asked for and answered as in the OpenAI Images API. Each is the
//! image of a session, which can be edited afterwards.
//!
//! Fields of that API that this service lacks are accepted where they would not change the image, accepted with a warning
//! where they ask for more or less of something, and refused where the image would have to be another one.

mod operation;
pub(crate) mod response;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::api::delivery::jobs::response::JobResponse;
use crate::api::delivery::respond::{Call, respond};
use crate::api::operations::bodies::WarningBody;
use crate::api::operations::edit_params::Output;
use crate::api::operations::images::operation::ImagesOperation;
use crate::api::operations::images::response::ImagesResponse;
use crate::api::operations::{source, warnings};
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::body::read;
use crate::api::transport::content_negotiation::Representation;
use crate::api::wire::{ImageFileSchema, ImageStreamEventSchema, ImagesBody, ImagesRequest, OutputBody, WaitHeaders};
use crate::recordings::Source;

/// The most images of one request.
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
    respond(state, call, move |body, representation| prepare(&known, body, representation)).await
}

/// What images to be generated come down to.
fn prepare(
    state: &AppState,
    mut body: Map<String, Value>,
    representation: Representation,
) -> Result<ImagesOperation, Problem> {
    let engine = state.models.resolve(body.get("model").and_then(Value::as_str))?;
    let model = engine.model()?;
    let mut fields: Map<String, Value> = SOURCE_FIELDS.iter().filter_map(|field| body.remove_entry(*field)).collect();
    if fields.get("size").is_some_and(|size| size == "auto") {
        fields.remove("size");
    }
    let request: ImagesBody = read(body, "")?;
    let (limit, queue) = (state.guard.job_limit(), engine.queue_limit());
    let most = if limit == 0 { queue } else { limit.min(queue) };
    let count = count(&request, representation, u64::try_from(most).unwrap_or(u64::MAX))?;
    let (output, as_url) = output(&request, representation)?;
    let mut warnings = without_effect(&request)?;
    let source = source::parse(fields, "", model)?;
    warnings.extend(warnings::of_source(engine.presets()?.vocabulary(), &source, ""));
    let source_at = |index: u64| {
        let seed = source.seed.checked_add(index).ok_or_else(|| {
            let detail = format!("the seed of the last of {count} images from {} on is too large", source.seed);
            Problem::new(Code::InvalidValue, detail).at("seed")
        })?;
        Ok(Arc::new(Source { seed, ..source.clone() }))
    };
    let before = (0..count - 1).map(source_at).collect::<Result<_, Problem>>()?;
    Ok(ImagesOperation::new(engine, model, before, source_at(count - 1)?, as_url, warnings, output))
}

/// How many; `most` is what can wait at once.
fn count(request: &ImagesBody, representation: Representation, most: u64) -> Result<u64, Problem> {
    let invalid = |detail: String| Err(Problem::new(Code::InvalidValue, detail).at("n"));
    match request.n.unwrap_or(1) {
        1 => Ok(1),
        n if n == 0 || n > MAX_IMAGES => invalid(format!("expected 1 to {MAX_IMAGES} images, got {n}")),
        n if matches!(representation, Representation::Image(_)) => {
            invalid(format!("a bare image is one image, got n = {n}; accept application/json for several"))
        }
        n if matches!(representation, Representation::Events) => {
            invalid(format!("a stream is of one image, got n = {n}"))
        }
        n if n > most => invalid(format!("this server makes at most {most} images per request, got n = {n}")),
        n => Ok(n),
    }
}

/// How images are written, and whether as URLs.
fn output(request: &ImagesBody, representation: Representation) -> Result<(Output, bool), Problem> {
    let as_url = request.response_format.as_deref() == Some("url");
    if let Some(other) = request.response_format.as_deref().filter(|format| !as_url && *format != "b64_json") {
        let detail = format!("unsupported response format {other:?}; expected \"b64_json\" or \"url\"");
        return Err(Problem::new(Code::InvalidValue, detail).at("response_format"));
    }
    let output = Output::new(&OutputBody {
        output_format: request.output_format.clone(),
        output_compression: request.output_compression,
        ..OutputBody::default()
    })?;
    Ok(if let Representation::Image(format) = representation {
        (output.in_format(format), false)
    } else {
        (output, as_url)
    })
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
            let detail = format!("the quality {quality} has no effect; use num_inference_steps");
            warnings.push(warning("quality", detail));
        }
        Some(other) => {
            return invalid(
                "quality",
                format!(
                    "unknown quality {other:?}; expected \"auto\", \"standard\", \"low\", \"medium\", \"high\" or \"hd\""
                ),
            );
        }
    }
    match request.style.as_deref() {
        None => {}
        Some(style @ ("vivid" | "natural")) => {
            let detail = format!("the style {style} has no effect; describe it in the prompt");
            warnings.push(warning("style", detail));
        }
        Some(other) => return invalid("style", format!("unknown style {other:?}; expected \"vivid\" or \"natural\"")),
    }
    match request.background.as_deref() {
        None | Some("auto" | "opaque") => {}
        Some("transparent") => {
            return invalid("background", "unsupported background \"transparent\"; images are opaque".to_owned());
        }
        Some(other) => {
            return invalid("background", format!("unknown background {other:?}; expected \"auto\" or \"opaque\""));
        }
    }
    match request.moderation.as_deref() {
        None | Some("auto" | "low") => Ok(warnings),
        Some(other) => invalid("moderation", format!("unknown moderation {other:?}; expected \"auto\" or \"low\"")),
    }
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
        let of = |body, representation| {
            count(&request(body), representation, 10).map_err(|problem| problem.param().map(str::to_owned))
        };
        let refused = Err(Some("n".to_owned()));
        assert_eq!(of(json!({}), Representation::Json), Ok(1));
        assert_eq!(of(json!({"n": 10}), Representation::Json), Ok(10));
        assert_eq!(of(json!({"n": 0}), Representation::Json), refused);
        assert_eq!(of(json!({"n": 11}), Representation::Json), refused);
        assert_eq!(of(json!({"n": 2}), Representation::Events), refused);
        assert_eq!(count(&request(json!({"n": 3})), Representation::Json, 2).unwrap_err().param(), Some("n"));
        assert_eq!(of(json!({"n": 2}), Representation::Image(None)), refused);
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
