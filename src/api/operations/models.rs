//! `/v1/models`: what is served, in the shape of the OpenAI API, with what a client needs to know of it.

pub(crate) mod example;

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};

use crate::api::delivery::response;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::wire::{ModelDefaults, ModelList, ModelResponse, ModelSizes, PresetBody};
use crate::diffusion::ModelInfo;
use crate::diffusion::samplers::SamplerName;
use crate::engine::{EngineError, max_pixels};
use crate::p2p::{Preset, Presets};

pub use crate::api::operations::models::example::check_examples;

const OWNER: &str = "reprompt";

/// Lists the models: there is one.
#[utoipa::path(
    get, path = "/v1/models", operation_id = "list_models", tag = "models",
    responses(
        (status = 200, description = "The model", body = ModelList),
    )
)]
pub async fn list(State(state): State<Arc<AppState>>) -> Result<Json<ModelList>, Problem> {
    Ok(Json(ModelList { object: "list", data: vec![model(&state)?] }))
}

/// Tells of a model.
#[utoipa::path(
    get, path = "/v1/models/{id}", operation_id = "get_model", tag = "models",
    params(("id" = String, Path, description = "The model's name", example = "reprompt-demo")),
    responses(
        (status = 200, description = "The model", body = ModelResponse),
    )
)]
pub async fn show(
    State(state): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ModelResponse>, Problem> {
    let model = model(&state)?;
    match id {
        Ok(Path(id)) if id == model.id => Ok(Json(model)),
        // An id that is not text is nobody's.
        _ => Err(Problem::new(Code::ModelNotFound, format!("{} is the model that is served", model.id)).at("id")),
    }
}

fn model(state: &AppState) -> Result<ModelResponse, EngineError> {
    Ok(told(state.engine.model()?, state.engine.presets()?, state.started))
}

/// What is told of a model that is there since `started`.
pub fn told(info: &ModelInfo, presets: &Presets, started: SystemTime) -> ModelResponse {
    ModelResponse {
        id: info.name.clone(),
        object: "model",
        created: response::unix_seconds(started),
        owned_by: OWNER,
        fingerprint: info.fingerprint.clone(),
        defaults: ModelDefaults {
            width: info.native_size,
            height: info.native_size,
            num_inference_steps: info.defaults.num_inference_steps,
            guidance_scale: info.defaults.guidance_scale,
            scheduler: SamplerName::default().as_str(),
            windows: windows(&Preset::PUBLISHED),
        },
        sizes: ModelSizes { multiple_of: info.vae_factor, min_side: info.min_side, max_pixels: max_pixels(info) },
        max_tokens: info.tokenizer.max_tokens(),
        presets: presets.presets().iter().map(|(kind, preset)| (kind.clone(), windows(preset))).collect(),
        vocabulary: info.hints.vocabulary.clone(),
        examples: info.hints.examples.clone(),
    }
}

fn windows(preset: &Preset) -> PresetBody {
    let Preset { cross_replace_steps: cross, self_replace_steps: own } = preset;
    PresetBody { cross_replace_steps: [cross.lo, cross.hi], self_replace_steps: [own.lo, own.hi] }
}
