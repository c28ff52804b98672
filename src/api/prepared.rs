//! What a request comes down to: work that the engine can be given, and how its outcome is answered. All calls that
//! run something make one of these; the ways to wait for it know nothing else of it.

use std::sync::Arc;

use super::answer::{self, Answer, Beside};
use super::attention;
use super::edit_params::{EditSpec, Output};
use super::jobs::Kind;
use super::problem::Problem;
use super::wire::WarningBody;
use crate::diffusion::ModelInfo;
use crate::engine::{Engine, EngineError, JobHandle, JobOptions, Outcome, PreparedEdit, Work};
use crate::session::{SessionView, Source};

/// Work that is ready to be queued.
#[derive(Debug, Clone)]
pub struct Prepared {
    model: Arc<ModelInfo>,
    work: Work,
    include_source: bool,
    attention: bool,
    warnings: Vec<WarningBody>,
    output: Output,
}

impl Prepared {
    /// An edit.
    pub fn edit(
        model: &Arc<ModelInfo>,
        source: Arc<Source>,
        edit: PreparedEdit,
        spec: &EditSpec,
        warnings: Vec<WarningBody>,
        output: Output,
    ) -> Self {
        let (include_source, attention) = (spec.include_source, spec.attention);
        let work = Work::Edit { source, edit };
        Self { model: Arc::clone(model), work, include_source, attention, warnings, output }
    }

    /// A source to be run and recorded.
    pub fn session(model: &Arc<ModelInfo>, source: Arc<Source>, warnings: Vec<WarningBody>, output: Output) -> Self {
        let work = Work::Record { source };
        Self { model: Arc::clone(model), work, include_source: true, attention: false, warnings, output }
    }

    /// What it makes.
    pub fn kind(&self) -> Kind {
        match self.work {
            Work::Edit { .. } => Kind::Edit,
            Work::Record { .. } => Kind::Session,
        }
    }

    /// How its images are written.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Queues the work.
    ///
    /// # Errors
    /// Those of [`Engine::submit`].
    pub fn submit(&self, engine: &Engine, previews: usize) -> Result<JobHandle, EngineError> {
        engine.submit(self.work.clone(), JobOptions { previews, attention: self.attention })
    }

    /// The answer to what the work came to.
    ///
    /// # Errors
    /// `internal_error` where an image cannot be encoded.
    pub async fn answer(&self, engine: &Engine, outcome: Outcome) -> Result<Answer, Problem> {
        let model = &self.model.name;
        match &self.work {
            Work::Edit { source, edit } => {
                let attention = match self.attention {
                    true => Some(attention::of_edit(&self.model, edit, &outcome).await?),
                    false => None,
                };
                let (include_source, warnings) = (self.include_source, self.warnings.clone());
                let beside = Beside { include_source, attention, warnings };
                answer::edit(model, source, edit, &outcome, beside, self.output).await
            }
            Work::Record { source } => {
                // Where it was forgotten again in the meantime, it is told of as what is left of it: its source.
                let view = engine.sessions().view(&outcome.session);
                let view = view.unwrap_or_else(|| SessionView::of_source(&outcome.session, source));
                answer::recorded_session(model, &view, &outcome, self.warnings.clone(), self.output).await
            }
        }
    }
}
