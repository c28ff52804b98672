//! Errors of models: files, configuration, weights, and tensor operations.

use std::path::PathBuf;

use crate::diffusion::not_finite::NotFinite;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the model folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file that was asked for.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A required file is missing.
    #[error("{model} has no {file}; {help}")]
    MissingFile {
        /// The model folder.
        model: String,
        /// The file, relative to the folder.
        file: String,
        /// What is there in its place, and what to do.
        help: String,
    },
    /// The folder holds a model of a kind that cannot be edited.
    #[error("{model} is a {class}, {what}; expected a StableDiffusionPipeline of Stable Diffusion 1.x or 2.x")]
    Pipeline {
        /// The model folder.
        model: String,
        /// The class in `model_index.json`.
        class: String,
        /// What such models are.
        what: String,
    },
    /// A configuration file is not what its name promises, or asks for something that is not supported.
    #[error("{file}: {detail}")]
    Config {
        /// The file, relative to the model folder.
        file: String,
        /// What is wrong, naming the key and the value.
        detail: String,
    },
    /// The architecture needs a tensor that the file lacks.
    #[error("{file}: tensor `{name}` is missing; expected one of shape {wanted:?}{hint}")]
    MissingTensor {
        /// The weights file.
        file: String,
        /// The tensor's name.
        name: String,
        /// The shape the configuration implies.
        wanted: Vec<usize>,
        /// What the file seems to hold, as the end of the sentence; empty where that is not known.
        hint: &'static str,
    },
    /// A tensor is there but has another shape than the configuration implies.
    #[error("{file}: expected tensor `{name}` of shape {wanted:?}, got {found:?}")]
    TensorShape {
        /// The weights file.
        file: String,
        /// The tensor's name.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape the configuration implies.
        wanted: Vec<usize>,
    },
    /// A weights file is damaged, truncated, or stored in a number format that weights do not come in.
    #[error("{file}: {detail}")]
    Weights {
        /// The weights file.
        file: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The tokenizer's files do not make a tokenizer.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A prompt has more tokens than the text encoder has positions.
    #[error("the prompt has {tokens} tokens; the model reads at most {limit}")]
    PromptTooLong {
        /// Tokens of the prompt, the two that mark its start and end included.
        tokens: usize,
        /// What the text encoder takes, the two markers included.
        limit: usize,
    },
    /// The sampling settings cannot be carried out with this model's schedule.
    #[error("{0}")]
    Schedule(String),
    /// A part of the model computed NaN or infinity.
    #[error("{0}: its weights are damaged, or its numbers overflow in this data type")]
    NotFinite(#[source] NotFinite),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[source] candle_core::Error),
}

impl From<candle_core::Error> for ModelError {
    fn from(error: candle_core::Error) -> Self {
        NotFinite::of(&error).map_or(Self::Tensor(error), Self::NotFinite)
    }
}

impl ModelError {
    pub(crate) fn config(file: &str, detail: impl Into<String>) -> Self {
        Self::Config { file: file.to_owned(), detail: detail.into() }
    }

    pub(crate) fn weights(file: &str, detail: impl Into<String>) -> Self {
        Self::Weights { file: file.to_owned(), detail: detail.into() }
    }
}
