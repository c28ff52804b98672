//! A prepared edit: its prompts are tokenized, its words are found and its plan is made. Invalid prompts and words fail
//! here, before anything is queued.

use std::sync::Arc;

use crate::diffusion::{ModelError, ModelInfo};
use crate::p2p::{EditError, EditParams, EditPlan, Field, Presets, Prompt};
use crate::recordings::Source;

/// Why an edit cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A prompt cannot be tokenized, or is too long.
    #[error("{error}")]
    Prompt {
        /// [`Field::SourcePrompt`] or [`Field::Prompt`].
        field: Field,
        /// What is wrong with it.
        error: ModelError,
    },
    /// The method cannot carry out the edit.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// An edit that is ready to run.
#[derive(Debug, Clone)]
pub struct PreparedEdit {
    /// The source's prompt.
    pub source_prompt: Arc<Prompt>,
    /// The target prompt.
    pub prompt: Arc<Prompt>,
    /// What is done at each step.
    pub plan: Arc<EditPlan>,
}

/// A prompt with its tokens and words.
///
/// # Errors
/// Where the text has more tokens than the model reads.
pub fn tokenize(model: &ModelInfo, text: &str) -> Result<Prompt, ModelError> {
    let tokens = model.tokenizer.encode_prompt(text)?;
    Ok(Prompt::new(text, tokens.ids, tokens.spans, model.tokenizer.max_tokens()))
}

impl PreparedEdit {
    /// Tokenizes both prompts and prepares the edit of `source` towards `prompt`.
    ///
    /// # Errors
    /// If a prompt cannot be tokenized, and those of [`Self::from_prompts`].
    pub fn new(
        model: &ModelInfo,
        presets: &Presets,
        source: &Source,
        prompt: &str,
        params: &EditParams,
    ) -> Result<Self, PrepareError> {
        let tokens = |field, text| match tokenize(model, text) {
            Ok(prompt) => Ok(Arc::new(prompt)),
            Err(error) => Err(PrepareError::Prompt { field, error }),
        };
        let (from, to) = (tokens(Field::SourcePrompt, &source.prompt)?, tokens(Field::Prompt, prompt)?);
        Ok(Self::from_prompts(presets, from, to, params, source.steps)?)
    }

    /// Prepares the edit of a source of so many steps towards `prompt`, with the windows of `presets` where `params`
    /// has none.
    ///
    /// # Errors
    /// Where the method cannot carry out the edit.
    pub fn from_prompts(
        presets: &Presets,
        source_prompt: Arc<Prompt>,
        prompt: Arc<Prompt>,
        params: &EditParams,
        steps: usize,
    ) -> Result<Self, EditError> {
        let plan = Arc::new(EditPlan::new(&source_prompt, &prompt, params, presets, steps)?);
        Ok(Self { source_prompt, prompt, plan })
    }
}
