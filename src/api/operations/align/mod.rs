//! `POST /v1/align`: how two prompts align. It needs the tokenizer and the presets alone, and runs no job.

pub(crate) mod request;
pub(crate) mod response;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::api::fields::FieldName;
use crate::api::operations::align::request::{AlignBody, AlignField, AlignRequest};
use crate::api::operations::align::response::{AlignResponse, TokenBody};
use crate::api::operations::bodies::alignment;
use crate::api::operations::warnings::Warning;
use crate::api::operations::{warnings, windows};
use crate::api::problem::{Problem, prompt_problem};
use crate::api::state::AppState;
use crate::api::transport::body::JsonObject;
use crate::diffusion::ModelError;
use crate::diffusion::text::tokenizer::{Tokenizer, Tokens};
use crate::p2p::{EditError, EditParams, EditPlan, Presets, Prompt};

/// Tokens and alignment of two prompts.
#[utoipa::path(
    post, path = "/v1/align", tag = "edits",
    request_body(content = AlignBody, example = json!({"source_prompt": "a cat on the beach", "prompt": "a dog on the beach"})),
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
    let request = AlignRequest::of_body(&body)?;
    let (response, _) = answer_to(&request, &model.tokenizer, presets, model.defaults.num_inference_steps)?;
    Ok(Json(response))
}

/// The answer to a request and its warnings, from the parts of a model that it needs; `steps` is the model's default.
pub(crate) fn answer_to(
    request: &AlignRequest,
    tokenizer: &Tokenizer,
    presets: &Presets,
    steps: usize,
) -> Result<(AlignResponse, Vec<Warning<AlignField>>), AlignError> {
    let (source, target) = (request.source_prompt.as_str(), request.prompt.as_str());
    let tokens = |text, field| tokenizer.encode_prompt(text).map_err(|error| AlignError::Prompt { field, error });
    let (from, to) = (tokens(source, AlignField::SourcePrompt)?, tokens(target, AlignField::Prompt)?);
    let prompt =
        |text, tokens: &Tokens| Prompt::new(text, tokens.ids.clone(), tokens.spans.clone(), tokenizer.max_tokens());
    let params = EditParams::new(request.edit_type);
    let plan = EditPlan::new(&prompt(source, &from), &prompt(target, &to), &params, presets, steps)?;
    let prompts = [(AlignField::SourcePrompt, source), (AlignField::Prompt, target)];
    let mut warnings = warnings::of_prompts(presets.vocabulary(), &prompts);
    warnings.extend(warnings::of_shift(&plan, AlignField::EditType));
    let response = AlignResponse {
        object: "alignment",
        edit_type: plan.edit_type().as_str(),
        source_tokens: token_bodies(tokenizer, source, from),
        target_tokens: token_bodies(tokenizer, target, to),
        max_tokens: tokenizer.max_tokens(),
        alignment: alignment(plan.alignment()),
        windows: windows::body(plan.windows()),
        warnings: warnings.iter().cloned().map(|warning| warning.body(|field| field.name().to_owned())).collect(),
    };
    Ok((response, warnings))
}

/// Why prompts cannot be aligned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AlignError {
    /// A prompt has too many tokens, or cannot be tokenized.
    #[error("{error}")]
    Prompt {
        /// Its field.
        field: AlignField,
        /// What is wrong with it.
        error: ModelError,
    },
    /// The edit type cannot align them.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl From<AlignError> for Problem {
    fn from(error: AlignError) -> Self {
        match error {
            AlignError::Prompt { field, error } => prompt_problem(&error, field.name()),
            AlignError::Edit(error) => error.into(),
        }
    }
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
