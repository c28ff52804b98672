//! `POST /v1/images/generations`: images of a prompt, requested and answered as in the OpenAI Images API. Each is the
//! image of a session, which can be edited afterwards.

mod operation;
pub(crate) mod request;
pub(crate) mod response;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::api::delivery::jobs::response::JobResponse;
use crate::api::delivery::respond::{Call, respond};
use crate::api::operations::images::operation::ImagesOperation;
use crate::api::operations::images::request::ImagesRequest;
use crate::api::operations::images::response::ImagesResponse;
use crate::api::operations::source::SourcePlace;
use crate::api::operations::values::names::ImagesResponseFormat;
use crate::api::operations::warnings;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::content_negotiation::Representation;
use crate::api::wire::{ImageFileSchema, ImageStreamEventSchema, WaitHeaders};
use crate::recordings::Origin;

/// Generates images from a prompt.
///
/// As in the OpenAI Images API: its clients work with `base_url` set to this service's `/v1`.
#[utoipa::path(
    post, path = "/v1/images/generations", operation_id = "create_images", tag = "images",
    params(WaitHeaders),
    request_body(content = ImagesRequest, example = json!({"prompt": "a cat on the beach", "size": "128x128", "seed": 3})),
    responses(
        (status = 200, description = "The images as JSON; with `Accept: image/…` the bare image, with the rest in `x-reprompt-*` headers; with `stream` events", content(
            (ImagesResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"),
            (ImageFileSchema = "image/webp"), (ImageStreamEventSchema = "text/event-stream")
        )),
        (status = 202, description = "An asynchronous job; `Location` is its path", body = JobResponse),
    )
)]
pub async fn create(State(state): State<Arc<AppState>>, call: Call) -> Result<Response, Problem> {
    let shared = Arc::clone(&state);
    respond(state, call, move |body, representation| prepare(&shared, &body, representation)).await
}

/// The images that a body asks for.
fn prepare(
    state: &AppState,
    body: &Map<String, Value>,
    representation: Representation,
) -> Result<ImagesOperation, Problem> {
    let ImagesRequest { source, images, files } = ImagesRequest::read(body)?;
    let engine = state.models.resolve(images.model.as_deref())?;
    let model = engine.model()?;
    let (limit, queue) = (state.guard.job_limit(), engine.queue_limit());
    let most = if limit == 0 { queue } else { limit.min(queue) };
    let count = images.count(representation, u64::try_from(most).unwrap_or(u64::MAX))?;
    let output = files.output()?;
    let (output, as_url) = match representation {
        Representation::Image(format) => (output.in_format(format), false),
        Representation::Json | Representation::Events => (output, images.response_format == ImagesResponseFormat::Url),
    };
    let mut warnings = images.without_effect();
    let source = source.resolve(model).map_err(|error| SourcePlace::Top.problem(error))?;
    warnings.extend(warnings::source_bodies(engine.presets()?.vocabulary(), &source, SourcePlace::Top));
    let source_at = |index: u64| {
        let seed = source.seed().checked_add(index).ok_or_else(|| {
            let detail =
                format!("expected a seed that leaves room for {count} consecutive seeds, got {}", source.seed());
            Problem::new(Code::InvalidValue, detail).at("seed")
        })?;
        Ok(source.with_origin(Origin::Seed(seed)))
    };
    let before = (0..count - 1).map(source_at).collect::<Result<_, Problem>>()?;
    Ok(ImagesOperation::new(engine, model, before, source_at(count - 1)?, as_url, warnings, output))
}
