//! What a request comes down to: work for the engine, and the answer to its outcome.
//!
//! Each request that runs something is prepared into an [`Operation`]; the ways to wait for it
//! ([`crate::api::delivery`]) know nothing else of it.

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

    /// The path of the source in the request; `None` where the source's fields stand at its top.
    fn source_field(&self) -> Option<&'static str>;

    /// The answer to the outcomes of the work.
    ///
    /// # Errors
    /// `internal_error` where an image cannot be encoded.
    fn respond(&self, outcomes: Outcomes) -> impl Future<Output = Result<Answer, Problem>> + Send;

    /// The problem of an error of the engine.
    fn problem(&self, error: EngineError) -> Problem {
        let field = self.source_field().filter(|_| matches!(error, EngineError::SourceTooLarge { .. }));
        let problem = Problem::from(error);
        match field {
            Some(field) => problem.at(field),
            None => problem,
        }
    }
}

/// Work for the engine, one piece at least, in order.
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
    /// One piece of work, without attention.
    pub fn one(work: Work) -> Self {
        Self { before: Vec::new(), last: work, attention: false }
    }

    /// How many jobs of the engine it is.
    pub fn len(&self) -> usize {
        self.before.len() + 1
    }

    /// Queues all of the work or, where there is no room for some of it, none.
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
