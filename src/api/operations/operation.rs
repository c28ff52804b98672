//! A prepared request: its work for the engine, and how the answer is made from the outcome.
//!
//! Each request that runs a job is prepared into an [`Operation`]; [`crate::api::delivery`] uses nothing else of it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::api::delivery::answer::Answer;
use crate::api::delivery::jobs::Kind;
use crate::api::operations::output::Output;
use crate::api::problem::Problem;
use crate::engine::{Engine, EngineError, JobGroup, JobOptions, Outcomes, Work};

/// A request that is ready to be queued.
pub(crate) trait Operation: fmt::Debug + Send + Sync + 'static {
    /// What its job makes.
    fn kind(&self) -> Kind;

    /// How its images are encoded.
    fn output(&self) -> Output;

    /// The engine of its model.
    fn engine(&self) -> &Arc<Engine>;

    /// The work for the engine.
    fn works(&self) -> Works;

    /// The path of the source in the request; `None` if the source's fields are at its top.
    fn source_field(&self) -> Option<&'static str>;

    /// The answer to the outcomes of the work.
    ///
    /// # Errors
    /// `internal_error` if an image cannot be encoded; `no_attention_maps` if attention is wanted and there is none.
    fn respond(&self, outcomes: Outcomes) -> impl Future<Output = Result<Answer, Problem>> + Send;

    /// The problem of an error of the engine, with the source's field if the source is at fault.
    fn problem(&self, error: EngineError) -> Problem {
        let field = self.source_field().filter(|_| matches!(error, EngineError::SourceTooLarge { .. }));
        let problem = Problem::from(error);
        match field {
            Some(field) => problem.at(field),
            None => problem,
        }
    }
}

/// The jobs of the engine for one request, one at least, in order.
#[derive(Debug)]
pub(crate) struct Works {
    /// All but the last.
    pub before: Vec<Work>,
    /// The last.
    pub last: Work,
    /// Whether the attention of edits is wanted.
    pub attention: bool,
}

impl Works {
    /// One job, without attention.
    pub fn one(work: Work) -> Self {
        Self { before: Vec::new(), last: work, attention: false }
    }

    /// The number of jobs.
    pub fn len(&self) -> usize {
        self.before.len() + 1
    }

    /// Submits all jobs. If one is refused, those before it are canceled.
    ///
    /// # Errors
    /// Those of [`Engine::submit`].
    pub fn submit(self, engine: &Engine, previews: usize) -> Result<JobGroup, EngineError> {
        // Several images have no previews.
        let previews = if self.before.is_empty() { previews } else { 0 };
        let submit = |work| engine.submit(work, JobOptions { previews, attention: self.attention });
        let before = self.before.into_iter().map(submit).collect::<Result<_, _>>()?;
        Ok(JobGroup::new(before, submit(self.last)?))
    }
}
