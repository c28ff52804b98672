//! `/v1/sessions`: sources that were run and recorded.

pub(crate) mod request;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use serde_json::{Map, Value};

use crate::api::delivery::respond;
use crate::api::delivery::respond::Call;
use crate::api::delivery::{png_metadata, response};
use crate::api::guard::Caller;
use crate::api::operations::operation::Prepared;
use crate::api::operations::output::Output;
use crate::api::operations::sessions::request::SessionRequest;
use crate::api::operations::warnings;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::content_negotiation;
use crate::api::transport::content_negotiation::Form;
use crate::api::wire::{ImageFileSchema, JobResponse, SessionList, SessionResponse, StreamEventSchema, WaitHeaders};
use crate::engine::{JobOptions, Work};
use crate::recordings::{SessionId, Source};

/// Runs and records a source.
///
/// The same source again is the same session, and nothing is recomputed.
#[utoipa::path(
    post, path = "/v1/sessions", operation_id = "create_session", tag = "sessions",
    params(WaitHeaders),
    request_body(content = SessionRequest, example = json!({"source": {"prompt": "a cat on the beach", "seed": 3}})),
    responses(
        (status = 201, description = "Recorded; `Location` tells where. Bare, with the rest in `x-reprompt-*` headers, where an image is accepted", content(
            (SessionResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp")
        )),
        (status = 200, description = "It was recorded already; or events, where a stream is asked for", content(
            (SessionResponse = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp"),
            (StreamEventSchema = "text/event-stream")
        )),
        (status = 202, description = "A job; `Location` tells where", body = JobResponse),
    )
)]
pub async fn create(State(state): State<Arc<AppState>>, call: Call) -> Result<Response, Problem> {
    let known = Arc::clone(&state);
    respond::answer(state, call, move |body, form| prepare(&known, &body, form)).await
}

/// The session that a body asks for.
fn prepare(state: &AppState, body: &Map<String, Value>, form: Form) -> Result<Prepared, Problem> {
    let model = state.engine.model()?;
    let SessionRequest { source, place, files } = SessionRequest::read(body)?;
    let output = files.output()?;
    let output = if let Form::Image(format) = form { output.in_format(format) } else { output };
    let source = source.resolve(model).map_err(|error| place.problem(error))?;
    let warnings = warnings::source_bodies(state.engine.presets()?.vocabulary(), &source, place);
    Ok(Prepared::session(model, Arc::new(source), warnings, output))
}

/// Lists the sessions, the most recently used first.
#[utoipa::path(
    get, path = "/v1/sessions", operation_id = "list_sessions", tag = "sessions",
    responses((status = 200, description = "All sessions", body = SessionList))
)]
pub async fn list(State(state): State<Arc<AppState>>) -> Result<Json<SessionList>, Problem> {
    let model = state.engine.model()?;
    let views = state.engine.sessions().views();
    let data = views.iter().map(|view| response::session(&model.name, view)).collect();
    Ok(Json(SessionList { object: "list", data }))
}

/// Tells of a session.
#[utoipa::path(
    get, path = "/v1/sessions/{id}", operation_id = "get_session", tag = "sessions",
    params(("id" = String, Path, description = "The session", pattern = "^ses_[0-9a-f]{32}$", example = "ses_8b1a9953c4611296a827abf8c47804d7")),
    responses(
        (status = 200, description = "The session", body = SessionResponse),
    )
)]
pub async fn show(
    State(state): State<Arc<AppState>>,
    SessionPath(id): SessionPath,
) -> Result<Json<SessionResponse>, Problem> {
    let model = state.engine.model()?;
    let view = state.engine.sessions().view(&id).ok_or_else(|| not_found(&id))?;
    Ok(Json(response::session(&model.name, &view)))
}

/// The source's image; it is run again if only the source is left of the session.
#[utoipa::path(
    get, path = "/v1/sessions/{id}/image", operation_id = "get_session_image", tag = "sessions",
    params(("id" = String, Path, description = "The session", pattern = "^ses_[0-9a-f]{32}$", example = "ses_8b1a9953c4611296a827abf8c47804d7")),
    responses(
        (status = 200, description = "The image: PNG, or what is accepted", content(
            (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp")
        )),
    )
)]
pub async fn image(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    SessionPath(id): SessionPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let output = Output::default().in_format(content_negotiation::image(&headers)?);
    let source = known_source(&state, &id)?;
    let texts = png_metadata::of_source(state.engine.model()?, &source);
    let image = match state.engine.sessions().image(&id) {
        Some(image) => image,
        None => {
            let _place = respond::place(&state, &caller, 1)?;
            state.engine.submit(Work::Record { source }, JobOptions::default())?.outcome().await?.source_image
        }
    };
    response::bare_image(&image, output, texts).await
}

/// Forgets a session.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", operation_id = "delete_session", tag = "sessions",
    params(("id" = String, Path, description = "The session", pattern = "^ses_[0-9a-f]{32}$", example = "ses_8b1a9953c4611296a827abf8c47804d7")),
    responses(
        (status = 204, description = "Forgotten"),
    )
)]
pub async fn forget(State(state): State<Arc<AppState>>, SessionPath(id): SessionPath) -> Result<StatusCode, Problem> {
    let forgotten = id.clone();
    // Giving back gigabytes of tensors takes its time.
    let was_known = tokio::task::spawn_blocking(move || state.engine.sessions().remove(&forgotten)).await;
    if was_known.unwrap_or(false) { Ok(StatusCode::NO_CONTENT) } else { Err(not_found(&id)) }
}

/// The session that a path names.
#[derive(Debug)]
pub struct SessionPath(pub SessionId);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(SessionId::from_client(&id)))
            .map_err(|_| Problem::new(Code::SessionNotFound, "there is no session whose id is not text").at("id"))
    }
}

/// The source of a session.
pub fn known_source(state: &AppState, id: &SessionId) -> Result<Arc<Source>, Problem> {
    state.engine.sessions().source(id).ok_or_else(|| not_found(id))
}

fn not_found(id: &SessionId) -> Problem {
    Problem::new(Code::SessionNotFound, format!("there is no session {id}, or it was given up long ago")).at("id")
}
