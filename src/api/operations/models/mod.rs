//! `/v1/models`: the models that are served, in the shape of the OpenAI API, with what clients need to know about them.

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
use crate::engine::{Engine, EngineError, ResolveError, max_pixels};
use crate::p2p::{Preset, Presets};

pub use crate::api::operations::models::example::check_examples;

const OWNER: &str = "reprompt";

/// Lists the models that are served.
#[utoipa::path(
    get, path = "/v1/models", operation_id = "list_models", tag = "models",
    responses(
        (status = 200, description = "The model", body = ModelList),
    )
)]
pub(crate) async fn list(State(state): State<Arc<AppState>>) -> Result<Json<ModelList>, Problem> {
    let data = state.models.iter().map(|engine| model(engine, state.started)).collect::<Result<_, _>>()?;
    Ok(Json(ModelList { object: "list", data }))
}

/// Describes a model.
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
    let engine = state.models.resolve(Some(&name)).map_err(|error| match error {
        ResolveError::Loading => Problem::from(error),
        ResolveError::Unknown { .. } => Problem::from(error).at("id"),
    })?;
    Ok(Json(model(engine, state.started)?))
}

/// The name of a model in a path.
#[derive(Debug)]
pub(crate) struct ModelName(String);

impl PathId for ModelName {
    const NOT_FOUND: Code = Code::ModelNotFound;

    fn from_client(text: &str) -> Self {
        Self(text.to_owned())
    }
}

fn model(engine: &Engine, started: SystemTime) -> Result<ModelResponse, EngineError> {
    Ok(describe(engine.model()?, engine.presets()?, started))
}

/// A model of a service that started at `started`.
pub(crate) fn describe(info: &ModelInfo, presets: &Presets, started: SystemTime) -> ModelResponse {
    ModelResponse {
        id: info.name.clone(),
        object: "model",
        created: unix_seconds(started),
        owned_by: OWNER,
        fingerprint: info.fingerprint.clone(),
        defaults: ModelDefaults {
            width: info.native_width,
            height: info.native_height,
            num_inference_steps: info.defaults.num_inference_steps,
            guidance_scale: info.defaults.guidance_scale,
            scheduler: info.default_sampler.as_str(),
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
