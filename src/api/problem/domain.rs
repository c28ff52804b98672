//! Turns the errors of the engine, the method and the models into problems.

use std::time::Duration;

use crate::api::problem::field_path::path;
use crate::api::problem::{Code, Problem};
use crate::diffusion::ModelError;
use crate::engine::{EngineError, PrepareError, ResolveError};
use crate::p2p::EditError;

/// When a client may retry if the model is loading or this replica is shutting down.
const LOADING_RETRY: Duration = Duration::from_secs(1);

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        match error {
            EngineError::Loading => Self::new(Code::Loading, detail).with_retry_after(LOADING_RETRY),
            EngineError::Draining => Self::new(Code::Draining, detail).with_retry_after(LOADING_RETRY),
            EngineError::Stalled | EngineError::SelfTestFailed => Self::new(Code::WorkerStalled, detail),
            EngineError::DeviceLost => Self::new(Code::DeviceLost, detail),
            EngineError::QueueFull { retry_after, .. } => {
                Self::new(Code::QueueFull, detail).with_retry_after(retry_after)
            }
            EngineError::SourceTooLarge { .. } => Self::new(Code::SourceTooLarge, detail),
            EngineError::Diverged => Self::new(Code::Diverged, detail),
            EngineError::ModelNotFinite(_) => Self::new(Code::ModelNotFinite, detail),
            EngineError::Internal(_) => {
                tracing::error!(%error, "a job failed");
                Self::new(Code::Internal, "the job failed; the service's log has the cause under this request's id")
            }
        }
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        let detail = error.to_string();
        match error {
            ResolveError::Loading => Self::new(Code::Loading, detail).with_retry_after(LOADING_RETRY),
            ResolveError::Unknown { .. } => Self::new(Code::ModelNotFound, detail).at("model"),
        }
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        let code = match error {
            EditError::WordNotFound { .. } => Code::WordNotFound,
            EditError::WordTwice { .. } => Code::InvalidValue,
            EditError::PromptTooLong { .. } => Code::PromptTooLong,
            EditError::ReplaceWordCount { .. } => Code::ReplaceWordCount,
            EditError::ReweightChangesPrompt => Code::ReweightChangesPrompt,
            EditError::InvalidWindow { .. } => Code::InvalidWindow,
            EditError::WindowSelectsNoStep { .. } => Code::WindowSelectsNoStep,
            EditError::InvalidStrength { .. } => Code::InvalidStrength,
            EditError::EqualizerNoEffect { .. } => Code::EqualizerNoEffect,
            EditError::LocalBlendNoWords => Code::LocalBlendNoWords,
            EditError::InvalidThreshold { .. } => Code::InvalidThreshold,
            EditError::InvalidStart { .. } => Code::InvalidStart,
        };
        Self::new(code, error.to_string()).at(path(&error.field()))
    }
}

impl From<PrepareError> for Problem {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Edit(error) => error.into(),
            PrepareError::Prompt { field, error } => prompt_problem(&error, &path(&field)),
        }
    }
}

/// The problem of the prompt in the field `param`.
pub fn prompt_problem(error: &ModelError, param: &str) -> Problem {
    match error {
        ModelError::PromptTooLong { .. } => Problem::new(Code::PromptTooLong, error.to_string()).at(param),
        _ => {
            tracing::error!(%error, "a prompt could not be tokenized");
            Problem::new(Code::InvalidValue, "the prompt cannot be tokenized").at(param)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::{EditParams, EditPlan, EditType, Field, Presets, Prompt, Window};

    #[test]
    fn errors_of_an_edit_keep_their_field() {
        let window = Window::new(0.9, 0.1).unwrap_err().at(Field::SelfReplaceSteps);
        let problem = Problem::from(window);
        assert_eq!((problem.code(), problem.param()), (Code::InvalidWindow, Some("self_replace_steps")));
        let word = |ids| Prompt::new("", ids, vec![0..0, 0..0], 77);
        let params = EditParams::new(EditType::Reweight);
        let error = EditPlan::new(&word(vec![1, 2]), &word(vec![1, 3]), &params, &Presets::default(), 10).unwrap_err();
        assert_eq!(Problem::from(error).code(), Code::ReweightChangesPrompt);
    }
}
