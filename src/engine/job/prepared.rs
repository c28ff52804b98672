//! Sources and edits that are ready to be queued: prompts are tokenized here and nowhere later, words are found, and the
//! plan of an edit is settled. Bad prompts and words fail here, before anything is queued.

use std::ops::Deref;
use std::sync::Arc;

use crate::diffusion::{ConditioningKey, ModelError, ModelInfo};
use crate::p2p::{EditError, EditParams, EditPlan, Field, Presets, Prompt};
use crate::recordings::{Origin, Source};

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

/// A source with the tokens of its prompts, for one model.
#[derive(Debug, Clone)]
pub struct PreparedSource {
    source: Arc<Source>,
    prompt: Arc<Prompt>,
    conditional: ConditioningKey,
    unconditional: ConditioningKey,
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

impl PreparedSource {
    /// Tokenizes the prompts of a source.
    ///
    /// # Errors
    /// [`PrepareError::Prompt`] at [`Field::SourcePrompt`] where the prompt or the negative prompt cannot be tokenized.
    pub fn new(model: &ModelInfo, source: impl Into<Arc<Source>>) -> Result<Self, PrepareError> {
        let source = source.into();
        let tokens =
            |text| tokenize(model, text).map_err(|error| PrepareError::Prompt { field: Field::SourcePrompt, error });
        let (prompt, negative) = (tokens(&source.prompt)?, tokens(&source.negative_prompt)?);
        Ok(Self::of(source, prompt, &negative))
    }

    /// A source of prompts that are tokenized already: `source` with their texts.
    pub fn from_prompts(prompt: Prompt, negative_prompt: &Prompt, source: Source) -> Self {
        let (text, negative) = (prompt.text().to_owned(), negative_prompt.text().to_owned());
        let source = Source { prompt: text, negative_prompt: negative, ..source };
        Self::of(Arc::new(source), prompt, negative_prompt)
    }

    fn of(source: Arc<Source>, prompt: Prompt, negative_prompt: &Prompt) -> Self {
        let [conditional, unconditional] = [&prompt, negative_prompt].map(|prompt| ConditioningKey::new(prompt.ids()));
        Self { source, prompt: Arc::new(prompt), conditional, unconditional }
    }

    /// The same prompts and settings with another origin.
    #[must_use]
    pub fn with_origin(&self, origin: Origin) -> Self {
        let source = Source { origin, ..Source::clone(&self.source) };
        Self { source: Arc::new(source), ..self.clone() }
    }

    /// The prompt, tokenized.
    pub fn tokenized_prompt(&self) -> &Arc<Prompt> {
        &self.prompt
    }

    /// What the prompt's conditioning and the negative prompt's depend on.
    pub fn conditioning_keys(&self) -> [&ConditioningKey; 2] {
        [&self.conditional, &self.unconditional]
    }
}

impl Deref for PreparedSource {
    type Target = Arc<Source>;

    fn deref(&self) -> &Arc<Source> {
        &self.source
    }
}

impl PreparedEdit {
    /// Tokenizes the target prompt, unless it is the source's, and prepares the edit of `source` towards it.
    ///
    /// # Errors
    /// Where the prompt cannot be tokenized, and those of [`Self::from_prompts`].
    pub fn new(
        model: &ModelInfo,
        presets: &Presets,
        source: &PreparedSource,
        prompt: &str,
        params: &EditParams,
    ) -> Result<Self, PrepareError> {
        let from = Arc::clone(source.tokenized_prompt());
        let to = if prompt == from.text() {
            Arc::clone(&from)
        } else {
            Arc::new(tokenize(model, prompt).map_err(|error| PrepareError::Prompt { field: Field::Prompt, error })?)
        };
        Ok(Self::from_prompts(presets, from, to, params, source.steps)?)
    }

    /// What the target prompt's conditioning depends on.
    pub fn conditioning_key(&self) -> ConditioningKey {
        ConditioningKey::new(self.prompt.ids())
    }

    /// Prepares the edit of a source of so many steps towards `prompt`, with the windows of `presets` where `params` has
    /// none.
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
