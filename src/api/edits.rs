//! `POST /v1/edits` and `POST /v1/sessions/{id}/edits`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value};

use super::accept::Form;
use super::body::JsonObject;
use super::edit_params::EditSpec;
use super::problem::{Code, Problem};
use super::sessions::{SessionPath, known_source};
use super::wire::{EditBody, EditRequest, EditResponse};
use super::{AppState, accept, answer, attention, problem, source};
use crate::engine::{JobOptions, PreparedEdit, Work};
use crate::session::Source;

/// Edits a source by its prompt, in one call.
///
/// The source is run and recorded unless it is already; the same source is found again by its content.
#[utoipa::path(
    post, path = "/v1/edits", operation_id = "create_edit", tag = "edits",
    request_body(content = EditRequest, example = json!({
        "source": {"prompt": "a cat on the beach", "seed": 3}, "prompt": "a dog on the beach"
    })),
    responses(
        (status = 200, description = "The edited image; bare, with the rest in `x-reprompt-*` headers, where an image is accepted", content(
            (EditResponse = "application/json"), (Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp")
        )),
        (status = "4XX", description = "What cannot be done", body = problem::ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "What went wrong", body = problem::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    JsonObject(mut body): JsonObject,
) -> Result<Response, Problem> {
    let model = state.engine.model()?;
    let source = source::parse(source::take(&mut body)?, "source", model)?;
    edit(&state, &headers, Arc::new(source), body).await
}

/// Edits a session's source.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/edits", operation_id = "create_session_edit", tag = "edits",
    params(("id" = String, Path, description = "The session")),
    request_body(content = EditBody, example = json!({"prompt": "a dog on the beach"})),
    responses(
        (status = 200, description = "The edited image; bare, with the rest in `x-reprompt-*` headers, where an image is accepted", content(
            (EditResponse = "application/json"), (Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp")
        )),
        (status = 404, description = "There is no such session", body = problem::ProblemBody, content_type = "application/problem+json"),
        (status = "4XX", description = "What cannot be done", body = problem::ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "What went wrong", body = problem::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_in_session(
    State(state): State<Arc<AppState>>,
    SessionPath(id): SessionPath,
    headers: HeaderMap,
    JsonObject(body): JsonObject,
) -> Result<Response, Problem> {
    let source = known_source(&state, &id)?;
    edit(&state, &headers, source, body).await
}

async fn edit(
    state: &AppState,
    headers: &HeaderMap,
    source: Arc<Source>,
    body: Map<String, Value>,
) -> Result<Response, Problem> {
    let form = accept::form(headers)?;
    let model = state.engine.model()?;
    let spec = EditSpec::parse(body)?;
    if spec.include_source && matches!(form, Form::Image(_)) {
        let detail = "a bare image is accepted, which holds the edit alone; the source's is at the session's /image";
        return Err(Problem::new(Code::InvalidValue, detail).at("include_source"));
    }
    if spec.attention && matches!(form, Form::Image(_)) {
        let detail = "a bare image is accepted, which holds no numbers; accept application/json for attention";
        return Err(Problem::new(Code::InvalidValue, detail).at("attention"));
    }
    let prompt = spec.prompt.as_deref().unwrap_or(&source.prompt);
    source::check_prompt(prompt, "prompt")?;
    let edit = PreparedEdit::new(model, &source, prompt, &spec.params)?;
    let work = Work::Edit { source: Arc::clone(&source), edit: edit.clone() };
    let options = JobOptions { attention: spec.attention, ..JobOptions::default() };
    let outcome = state.engine.submit(work, options)?.outcome().await?;
    let attention = match spec.attention {
        true => Some(attention::of_edit(model, &edit, &outcome).await?),
        false => None,
    };
    answer::edit(&model.name, &source, &edit, &spec, &outcome, attention, form).await
}
