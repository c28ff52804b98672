//! `/v1/models`: the models that are served, in the shape of the OpenAI API, with what clients need to know of them.

pub(crate) mod response;

pub(crate) mod example;

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;

use crate::api::operations::bodies::unix_seconds;
use crate::api::operations::models::response::{ModelDefaults, ModelList, ModelResponse, ModelSizes, PresetBody};
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::path_id::{IdPath, PathId};
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
pub(crate) async fn list(State(state): State<Arc<AppState>>) -> Result<Json<ModelList>, Problem> {
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
pub(crate) async fn show(
    State(state): State<Arc<AppState>>,
    IdPath(ModelName(name)): IdPath<ModelName>,
) -> Result<Json<ModelResponse>, Problem> {
    let model = model(&state)?;
    if name == model.id {
        return Ok(Json(model));
    }
    Err(Problem::new(Code::ModelNotFound, format!("unknown model {name:?}; expected {:?}", model.id)).at("id"))
}

/// The name of a model, as a path has it.
#[derive(Debug)]
pub(crate) struct ModelName(String);

impl PathId for ModelName {
    const NOT_FOUND: Code = Code::ModelNotFound;

    fn from_client(text: &str) -> Self {
        Self(text.to_owned())
    }
}

fn model(state: &AppState) -> Result<ModelResponse, EngineError> {
    Ok(told(state.engine.model()?, state.engine.presets()?, state.started))
}

/// What is told of a model that is there since `started`.
pub(crate) fn told(info: &ModelInfo, presets: &Presets, started: SystemTime) -> ModelResponse {
    ModelResponse {
        id: info.name.clone(),
        object: "model",
        created: unix_seconds(started),
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
