//! `POST /v1/align`: how two prompts align; nothing is run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::body::{JsonObject, read};
use super::edit_params::edit_type;
use super::problem::{Problem, prompt_problem};
use super::source::check_prompt;
use super::wire::{AlignRequest, AlignResponse, TokenBody};
use super::{AppState, answer, warnings, windows};
use crate::diffusion::ModelInfo;
use crate::engine::tokenize;
use crate::p2p::{EditParams, EditPlan};

/// Tokens and alignment of two prompts.
#[utoipa::path(
    post, path = "/v1/align", tag = "edits",
    request_body(content = AlignRequest, example = json!({"source_prompt": "a cat on the beach", "prompt": "a dog on the beach"})),
    responses(
        (status = 200, description = "Tokens and alignment", body = AlignResponse),
    )
)]
pub async fn align(
    State(state): State<Arc<AppState>>,
    JsonObject(body): JsonObject,
) -> Result<Json<AlignResponse>, Problem> {
    let (model, presets) = (state.engine.model()?, state.engine.presets()?);
    let request: AlignRequest = read(body, "")?;
    let edit_type = edit_type(request.edit_type.as_deref())?;
    check_prompt(&request.source_prompt, "source_prompt")?;
    check_prompt(&request.prompt, "prompt")?;
    let prompt = |text, field| tokenize(model, text).map_err(|error| prompt_problem(&error, field));
    let source = prompt(&request.source_prompt, "source_prompt")?;
    let target = prompt(&request.prompt, "prompt")?;
    let steps = model.defaults.num_inference_steps;
    let plan = EditPlan::new(&source, &target, &EditParams::new(edit_type), presets, steps)?;
    let prompts = [("source_prompt", request.source_prompt.as_str()), ("prompt", &request.prompt)];
    Ok(Json(AlignResponse {
        object: "alignment",
        edit_type: plan.edit_type().as_str(),
        source_tokens: tokens(model, &request.source_prompt, "source_prompt")?,
        target_tokens: tokens(model, &request.prompt, "prompt")?,
        max_tokens: model.tokenizer.max_tokens(),
        alignment: answer::alignment(plan.alignment()),
        windows: windows::body(plan.windows()),
        warnings: warnings::unknown_words(presets.vocabulary(), &prompts),
    }))
}

fn tokens(model: &ModelInfo, text: &str, field: &str) -> Result<Vec<TokenBody>, Problem> {
    let tokens = model.tokenizer.encode_prompt(text).map_err(|error| prompt_problem(&error, field))?;
    let body = |(position, (id, span)): (usize, (u32, std::ops::Range<usize>))| TokenBody {
        position,
        id,
        token: model.tokenizer.token(id).unwrap_or_default(),
        text: text.get(span).unwrap_or_default().to_owned(),
    };
    Ok(tokens.ids.into_iter().zip(tokens.spans).enumerate().map(body).collect())
}
