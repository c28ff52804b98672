//! `POST /v1/edits` and `POST /v1/sessions/{id}/edits`.

mod operation;
pub(crate) mod response;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::api::delivery::jobs::response::JobResponse;
use crate::api::delivery::respond::{Call, respond};
use crate::api::operations::bodies::WarningBody;
use crate::api::operations::edit_params::EditSpec;
use crate::api::operations::edits::operation::EditOperation;
use crate::api::operations::edits::response::EditResponse;
use crate::api::operations::sessions::known_source;
use crate::api::operations::{source, warnings};
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::content_negotiation::Representation;
use crate::api::transport::path_id::IdPath;
use crate::api::wire::{EditBody, EditRequest, ImageFileSchema, StreamEventSchema, WaitHeaders};
use crate::engine::{Engine, PreparedEdit};
use crate::recordings::{SessionId, Source};

/// Edits a source by its prompt, in one call.
///
/// The source is run and recorded unless it is already; the same source is found again by its content.
#[utoipa::path(
    post, path = "/v1/edits", operation_id = "create_edit", tag = "edits",
    params(WaitHeaders),
    request_body(content = EditRequest, example = json!({
        "source": {"prompt": "a cat on the beach", "seed": 3}, "prompt": "a dog on the beach"
    })),
    responses(
        (status = 200, description = "The edited image; bare, with the rest in `x-reprompt-*` headers, where an image is accepted; events where a stream is asked for", content(
            (EditResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp"),
            (StreamEventSchema = "text/event-stream")
        )),
        (status = 202, description = "A job; `Location` tells where", body = JobResponse),
    )
)]
pub async fn create(State(state): State<Arc<AppState>>, call: Call) -> Result<Response, Problem> {
    let known = Arc::clone(&state);
    respond(state, call, move |mut body, representation| {
        let engine = known.models.default_engine();
        let source = source::parse(source::take(&mut body)?, "source", engine.model()?)?;
        let warnings = warnings::of_source(engine.presets()?.vocabulary(), &source, "source");
        prepare(engine, Arc::new(source), warnings, body, representation)
    })
    .await
}

/// Edits a session's source.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/edits", operation_id = "create_session_edit", tag = "edits",
    params(("id" = String, Path, description = "The session", pattern = "^ses_[0-9a-f]{32}$", example = "ses_8b1a9953c4611296a827abf8c47804d7"), WaitHeaders),
    request_body(content = EditBody, example = json!({"prompt": "a dog on the beach"})),
    responses(
        (status = 200, description = "The edited image; bare, with the rest in `x-reprompt-*` headers, where an image is accepted; events where a stream is asked for", content(
            (EditResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp"),
            (StreamEventSchema = "text/event-stream")
        )),
        (status = 202, description = "A job; `Location` tells where", body = JobResponse),
    )
)]
pub async fn create_in_session(
    State(state): State<Arc<AppState>>,
    IdPath(id): IdPath<SessionId>,
    call: Call,
) -> Result<Response, Problem> {
    let known = Arc::clone(&state);
    respond(state, call, move |body, representation| {
        // Warnings of the source were given when it was made.
        let (engine, source) = known_source(&known, &id)?;
        prepare(engine, source, Vec::new(), body, representation)
    })
    .await
}

/// What an edit of this source comes down to; `warnings` are those of the source.
fn prepare(
    engine: &Arc<Engine>,
    source: Arc<Source>,
    mut warnings: Vec<WarningBody>,
    body: Map<String, Value>,
    representation: Representation,
) -> Result<EditOperation, Problem> {
    let (model, presets) = (engine.model()?, engine.presets()?);
    let spec = EditSpec::parse(body)?;
    let output = match representation {
        Representation::Image(_) if spec.include_source => {
            let detail =
                "a bare image is accepted, which holds the edit alone; the source's is at the session's /image";
            return Err(Problem::new(Code::InvalidValue, detail).at("include_source"));
        }
        Representation::Image(_) if spec.attention => {
            let detail = "a bare image is accepted, which holds no numbers; accept application/json for attention";
            return Err(Problem::new(Code::InvalidValue, detail).at("attention"));
        }
        Representation::Image(format) => spec.output.in_format(format),
        Representation::Json | Representation::Events => spec.output,
    };
    let prompt = spec.prompt.as_deref().unwrap_or(&source.prompt);
    source::check_prompt(prompt, "prompt")?;
    let edit = PreparedEdit::new(model, presets, &source, prompt, &spec.params)?;
    warnings.extend(warnings::of_edit(presets.vocabulary(), &spec));
    Ok(EditOperation::new(engine, model, source, edit, spec, warnings, output))
}
