//! `reprompt.json`, an optional file beside the diffusers files: what the makers of a model recommend.
//!
//! Contract: sampling settings are validated here. Presets and examples are kept as they are in the file; the modules
//! that edit with them validate them when the model is loaded. An unknown key is an error.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::files::ModelFiles;

/// The file, relative to the model.
pub const PROFILE_FILE: &str = "reprompt.json";

/// Sampling settings that a model suggests for requests that leave them out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingDefaults {
    /// Denoising steps.
    pub num_inference_steps: usize,
    /// Scale of classifier-free guidance.
    pub guidance_scale: f64,
}

/// What a model's file recommends for editing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hints {
    /// Words that the model was trained on, by group; empty where the file has none.
    pub vocabulary: BTreeMap<String, Vec<String>>,
    /// Windows of steps by kind of edit, as they are in the file.
    pub presets: Map<String, Value>,
    /// Edits that show what the model can do, as they are in the file.
    pub examples: Vec<Map<String, Value>>,
}

/// The file's keys; what is left out is as in the published code, or empty.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Profile {
    num_inference_steps: usize,
    guidance_scale: f64,
    vocabulary: BTreeMap<String, Vec<String>>,
    presets: Map<String, Value>,
    examples: Vec<Map<String, Value>>,
}

impl Default for Profile {
    fn default() -> Self {
        let Hints { vocabulary, presets, examples } = Hints::default();
        Self { num_inference_steps: 50, guidance_scale: 7.5, vocabulary, presets, examples }
    }
}

/// Reads the file of a model; a model without one has the defaults.
///
/// # Errors
/// [`ModelError::Config`], naming the key.
pub fn load(files: &ModelFiles) -> Result<(SamplingDefaults, Hints), ModelError> {
    let Profile { num_inference_steps, guidance_scale, vocabulary, presets, examples } =
        files.json_if_present(PROFILE_FILE)?.unwrap_or_default();
    Ok((SamplingDefaults { num_inference_steps, guidance_scale }, Hints { vocabulary, presets, examples }))
}
