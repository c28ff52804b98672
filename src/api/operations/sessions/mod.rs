//! `/v1/sessions`: recording sources, and listing, showing and deleting what is recorded.

mod operation;
pub(crate) mod request;
pub(crate) mod response;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Map, Value};

use crate::api::delivery::encoded_image::EncodedImage;
use crate::api::delivery::jobs::response::JobResponse;
use crate::api::delivery::png_metadata;
use crate::api::delivery::respond::{Call, respond};
use crate::api::guard::Caller;
use crate::api::operations::output::Output;
use crate::api::operations::sessions::operation::SessionOperation;
use crate::api::operations::sessions::request::SessionRequest;
use crate::api::operations::sessions::response::{SessionList, SessionResponse};
use crate::api::operations::warnings;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::content_negotiation;
use crate::api::transport::content_negotiation::Representation;
use crate::api::transport::path_id::{IdPath, PathId};
use crate::api::wire::{ImageFileSchema, StreamEventSchema, WaitHeaders};
use crate::engine::{Engine, JobOptions, PreparedSource, Work};
use crate::recordings::{SessionId, Source};

/// Runs and records a source.
///
/// The same source is always the same session; nothing is recomputed.
#[utoipa::path(
    post, path = "/v1/sessions", operation_id = "create_session", tag = "sessions",
    params(WaitHeaders),
    request_body(content = SessionRequest, example = json!({"source": {"prompt": "a cat on the beach", "seed": 3}})),
    responses(
        (status = 201, description = "Recorded; `Location` is the session's path. With `Accept: image/…` the bare image, with the rest in `x-reprompt-*` headers", content(
            (SessionResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp")
        )),
        (status = 200, description = "It was recorded already; with `stream` events", content(
            (SessionResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp"),
            (StreamEventSchema = "text/event-stream")
        )),
        (status = 202, description = "An asynchronous job; `Location` is its path", body = JobResponse),
    )
)]
pub async fn create(State(state): State<Arc<AppState>>, call: Call) -> Result<Response, Problem> {
    let shared = Arc::clone(&state);
    respond(state, call, move |body, representation| prepare(&shared, &body, representation)).await
}

/// The session that a body asks for.
fn prepare(
    state: &AppState,
    body: &Map<String, Value>,
    representation: Representation,
) -> Result<SessionOperation, Problem> {
    let engine = state.models.default_engine();
    let model = engine.model()?;
    let SessionRequest { source, place, files } = SessionRequest::read(body)?;
    let output = files.output()?;
    let output = if let Representation::Image(format) = representation { output.in_format(format) } else { output };
    let source = source.resolve(model).map_err(|error| place.problem(error))?;
    let warnings = warnings::source_bodies(engine.presets()?.vocabulary(), &source, place);
    Ok(SessionOperation::new(engine, model, source, warnings, output))
}

/// Lists the sessions, the most recently used first.
#[utoipa::path(
    get, path = "/v1/sessions", operation_id = "list_sessions", tag = "sessions",
    responses((status = 200, description = "All sessions", body = SessionList))
)]
pub async fn list(State(state): State<Arc<AppState>>) -> Result<Json<SessionList>, Problem> {
    let mut views = Vec::new();
    for engine in state.models.iter() {
        let model = engine.model()?;
        views.extend(engine.sessions().views().into_iter().map(|view| (&model.name, view)));
    }
    // Those of each engine are sorted already.
    views.sort_by_key(|(_, view)| std::cmp::Reverse(view.last_used));
    let data = views.iter().map(|(model, view)| SessionResponse::new(model, view)).collect();
    Ok(Json(SessionList { object: "list", data }))
}

/// Shows a session.
#[utoipa::path(
    get, path = "/v1/sessions/{id}", operation_id = "get_session", tag = "sessions",
    params(("id" = String, Path, description = "The session", pattern = "^ses_[0-9a-f]{32}$", example = "ses_8b1a9953c4611296a827abf8c47804d7")),
    responses(
        (status = 200, description = "The session", body = SessionResponse),
    )
)]
pub async fn show(
    State(state): State<Arc<AppState>>,
    IdPath(id): IdPath<SessionId>,
) -> Result<Json<SessionResponse>, Problem> {
    let (engine, _) = find_source(&state, &id)?;
    let view = engine.sessions().view(&id).ok_or_else(|| not_found(&id))?;
    Ok(Json(SessionResponse::new(&engine.model()?.name, &view)))
}

/// The source's image. The source is run again if its image was evicted.
#[utoipa::path(
    get, path = "/v1/sessions/{id}/image", operation_id = "get_session_image", tag = "sessions",
    params(("id" = String, Path, description = "The session", pattern = "^ses_[0-9a-f]{32}$", example = "ses_8b1a9953c4611296a827abf8c47804d7")),
    responses(
        (status = 200, description = "The image, as PNG or the accepted type", content(
            (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp")
        )),
    )
)]
pub async fn image(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    IdPath(id): IdPath<SessionId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let output = Output::default().in_format(content_negotiation::image(&headers)?);
    let (engine, source) = find_source(&state, &id)?;
    let texts = png_metadata::of_source(engine.model()?, &source);
    let image = match engine.sessions().image(&id) {
        Some(image) => image,
        None => {
            let _permit = state.guard.permit_jobs(&caller, 1, engine.job_ends_in())?;
            let source = PreparedSource::new(engine.model()?, source)?;
            engine.submit(Work::Record { source }, JobOptions::default())?.outcome().await?.source_image
        }
    };
    Ok(EncodedImage::encode(image, output, texts).await?.into_response())
}

/// Deletes a session.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", operation_id = "delete_session", tag = "sessions",
    params(("id" = String, Path, description = "The session", pattern = "^ses_[0-9a-f]{32}$", example = "ses_8b1a9953c4611296a827abf8c47804d7")),
    responses(
        (status = 204, description = "Deleted"),
    )
)]
pub async fn forget(State(state): State<Arc<AppState>>, IdPath(id): IdPath<SessionId>) -> Result<StatusCode, Problem> {
    let forgotten = id.clone();
    // Freeing gigabytes of tensors, and deleting their files, blocks.
    let was_removed =
        tokio::task::spawn_blocking(move || state.models.iter().any(|engine| engine.sessions().remove(&forgotten)))
            .await;
    if was_removed.unwrap_or(false) { Ok(StatusCode::NO_CONTENT) } else { Err(not_found(&id)) }
}

impl PathId for SessionId {
    const NOT_FOUND: Code = Code::SessionNotFound;

    fn from_client(text: &str) -> Self {
        Self::from_client(text)
    }
}

/// The engine and the source of a session. The session may be removed at any time, even before this returns.
///
/// # Errors
/// `session_not_found`; `loading` if an engine that is still loading may have the session.
pub(crate) fn find_source<'a>(state: &'a AppState, id: &SessionId) -> Result<(&'a Arc<Engine>, Arc<Source>), Problem> {
    let mut loading = None;
    for engine in state.models.iter() {
        if let Some(source) = engine.sessions().source(id) {
            return Ok((engine, source));
        }
        loading = loading.or_else(|| engine.model().err());
    }
    Err(loading.map_or_else(|| not_found(id), Problem::from))
}

fn not_found(id: &SessionId) -> Problem {
    Problem::new(
        Code::SessionNotFound,
        format!("no session {id}: it never existed, was deleted or evicted, or has expired"),
    )
    .at("id")
}
