//! `POST /v1/align`: how two prompts align; nothing is run.

pub(crate) mod response;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};

use crate::api::operations::align::response::{AlignResponse, TokenBody};
use crate::api::operations::bodies::alignment;
use crate::api::operations::edit_params::edit_type;
use crate::api::operations::source::check_prompt;
use crate::api::operations::{warnings, windows};
use crate::api::problem::{Problem, prompt_problem};
use crate::api::state::AppState;
use crate::api::transport::body::{JsonObject, read};
use crate::api::wire::AlignRequest;
use crate::diffusion::text::tokenizer::{Tokenizer, Tokens};
use crate::p2p::{EditParams, EditPlan, Presets, Prompt};

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
    let engine = state.models.default_engine();
    let (model, presets) = (engine.model()?, engine.presets()?);
    answer_to(body, &model.tokenizer, presets, model.defaults.num_inference_steps).map(Json)
}

/// What is answered to a body, from those parts of a model that it takes; `steps` are the model's own.
pub fn answer_to(
    body: Map<String, Value>,
    tokenizer: &Tokenizer,
    presets: &Presets,
    steps: usize,
) -> Result<AlignResponse, Problem> {
    let request: AlignRequest = read(body, "")?;
    let edit_type = edit_type(request.edit_type.as_deref())?;
    check_prompt(&request.source_prompt, "source_prompt")?;
    check_prompt(&request.prompt, "prompt")?;
    let tokens = |text, field| tokenizer.encode_prompt(text).map_err(|error| prompt_problem(&error, field));
    let source = tokens(&request.source_prompt, "source_prompt")?;
    let target = tokens(&request.prompt, "prompt")?;
    let prompt =
        |text, tokens: &Tokens| Prompt::new(text, tokens.ids.clone(), tokens.spans.clone(), tokenizer.max_tokens());
    let prompts = (prompt(&request.source_prompt, &source), prompt(&request.prompt, &target));
    let plan = EditPlan::new(&prompts.0, &prompts.1, &EditParams::new(edit_type), presets, steps)?;
    let named = [("source_prompt", request.source_prompt.as_str()), ("prompt", &request.prompt)];
    Ok(AlignResponse {
        object: "alignment",
        edit_type: plan.edit_type().as_str(),
        source_tokens: token_bodies(tokenizer, &request.source_prompt, source),
        target_tokens: token_bodies(tokenizer, &request.prompt, target),
        max_tokens: tokenizer.max_tokens(),
        alignment: alignment(plan.alignment()),
        windows: windows::body(plan.windows()),
        warnings: warnings::unknown_words(presets.vocabulary(), &named),
    })
}

fn token_bodies(tokenizer: &Tokenizer, text: &str, tokens: Tokens) -> Vec<TokenBody> {
    let body = |(position, (id, span)): (usize, (u32, std::ops::Range<usize>))| TokenBody {
        position,
        id,
        token: tokenizer.token(id).unwrap_or_default(),
        text: text.get(span).unwrap_or_default().to_owned(),
    };
    tokens.ids.into_iter().zip(tokens.spans).enumerate().map(body).collect()
}
