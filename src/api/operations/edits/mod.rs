//! `POST /v1/edits` and `POST /v1/sessions/{id}/edits`: edits of a source in the request, and of a session's source.

mod operation;
pub(crate) mod request;
pub(crate) mod response;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::api::delivery::jobs::response::JobResponse;
use crate::api::delivery::respond::{Call, respond};
use crate::api::operations::bodies::WarningBody;
use crate::api::operations::edits::operation::EditOperation;
use crate::api::operations::edits::request::{EditFields, EditRequest, SessionEditRequest};
use crate::api::operations::edits::response::EditResponse;
use crate::api::operations::output::FileFields;
use crate::api::operations::sessions::find_source;
use crate::api::operations::source::SourcePlace;
use crate::api::operations::values::prompt::PromptText;
use crate::api::operations::warnings;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::content_negotiation::Representation;
use crate::api::transport::path_id::IdPath;
use crate::api::wire::{ImageFileSchema, StreamEventSchema, WaitHeaders};
use crate::engine::{Engine, PreparedEdit, PreparedSource};
use crate::recordings::SessionId;

/// Edits a source by its prompt, in one call.
///
/// The source is run and recorded, unless there is a recording of it. Recordings are found by the source's content.
#[utoipa::path(
    post, path = "/v1/edits", operation_id = "create_edit", tag = "edits",
    params(WaitHeaders),
    request_body(content = EditRequest, example = json!({
        "source": {"prompt": "a cat on the beach", "seed": 3}, "prompt": "a dog on the beach"
    })),
    responses(
        (status = 200, description = "The edit as JSON; with `Accept: image/…` the bare image, with the rest in `x-reprompt-*` headers; with `stream` events", content(
            (EditResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp"),
            (StreamEventSchema = "text/event-stream")
        )),
        (status = 202, description = "An asynchronous job; `Location` is its path", body = JobResponse),
    )
)]
pub async fn create(State(state): State<Arc<AppState>>, call: Call) -> Result<Response, Problem> {
    let shared = Arc::clone(&state);
    respond(state, call, move |body, representation| {
        let engine = shared.models.default_engine();
        let EditRequest { source, edit, files } = EditRequest::read(&body)?;
        let source = source.resolve(engine.model()?).map_err(|error| SourcePlace::Nested.problem(error))?;
        let vocabulary = engine.presets()?.vocabulary();
        let warnings = warnings::source_bodies(vocabulary, &source, SourcePlace::Nested);
        prepare(engine, source, warnings, edit, &files, representation)
    })
    .await
}

/// Edits a session's source.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/edits", operation_id = "create_session_edit", tag = "edits",
    params(("id" = String, Path, description = "The session", pattern = "^ses_[0-9a-f]{32}$", example = "ses_8b1a9953c4611296a827abf8c47804d7"), WaitHeaders),
    request_body(content = SessionEditRequest, example = json!({"prompt": "a dog on the beach"})),
    responses(
        (status = 200, description = "The edit as JSON; with `Accept: image/…` the bare image, with the rest in `x-reprompt-*` headers; with `stream` events", content(
            (EditResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp"),
            (StreamEventSchema = "text/event-stream")
        )),
        (status = 202, description = "An asynchronous job; `Location` is its path", body = JobResponse),
    )
)]
pub async fn create_in_session(
    State(state): State<Arc<AppState>>,
    IdPath(id): IdPath<SessionId>,
    call: Call,
) -> Result<Response, Problem> {
    let shared = Arc::clone(&state);
    respond(state, call, move |body, representation| {
        let (engine, source) = find_source(&shared, &id)?;
        let SessionEditRequest { edit, files } = SessionEditRequest::read(&body)?;
        let source = PreparedSource::new(engine.model()?, source)?;
        // The answer to the session's own request had the warnings of its source.
        prepare(engine, source, Vec::new(), edit, &files, representation)
    })
    .await
}

/// Prepares the edit of a source; `warnings` are those about the source.
fn prepare(
    engine: &Arc<Engine>,
    source: PreparedSource,
    mut warnings: Vec<WarningBody>,
    edit: EditFields,
    files: &FileFields,
    representation: Representation,
) -> Result<EditOperation, Problem> {
    let (model, presets) = (engine.model()?, engine.presets()?);
    let (params, output) = (edit.params()?, files.output()?);
    let output = match representation {
        Representation::Image(_) if edit.include_source => {
            let detail = "`include_source` needs application/json in the accept header; a bare image is the edit alone";
            return Err(Problem::new(Code::InvalidValue, detail).at("include_source"));
        }
        Representation::Image(_) if edit.attention => {
            let detail = "`attention` needs application/json in the accept header; a bare image has no numbers";
            return Err(Problem::new(Code::InvalidValue, detail).at("attention"));
        }
        Representation::Image(format) => output.in_format(format),
        Representation::Json | Representation::Events => output,
    };
    let prompt = edit.prompt.as_ref().map(PromptText::as_str);
    let prepared = PreparedEdit::new(model, presets, &source, prompt.unwrap_or(&source.prompt), &params)?;
    warnings.extend(prompt.into_iter().flat_map(|prompt| warnings::target_bodies(presets.vocabulary(), prompt)));
    Ok(EditOperation::new(engine, model, source, prepared, (edit, params), warnings, output))
}
