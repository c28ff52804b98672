//! What a request comes down to: work that the engine can be given, and how its outcome is answered. All calls that
//! run something make one of these; the ways to wait for it know nothing else of it.

use std::sync::Arc;

use crate::api::delivery::job_group::Handles;
use crate::api::delivery::jobs::Kind;
use crate::api::delivery::response;
use crate::api::delivery::response::{Answer, Beside};
use crate::api::operations::edits::request::EditFields;
use crate::api::operations::output::Output;
use crate::api::operations::{attention, images};
use crate::api::problem::{Code, Problem};
use crate::api::wire::WarningBody;
use crate::diffusion::ModelInfo;
use crate::engine::{Engine, EngineError, JobOptions, Outcome, PreparedEdit, Work};
use crate::p2p::EditParams;
use crate::recordings::{SessionView, Source};

/// Work that is ready to be queued.
#[derive(Debug, Clone)]
pub struct Prepared {
    model: Arc<ModelInfo>,
    asked: Asked,
    warnings: Vec<WarningBody>,
    output: Output,
}

/// What was asked for.
#[derive(Debug, Clone)]
enum Asked {
    Edit { source: Arc<Source>, edit: PreparedEdit, params: Box<EditParams>, include_source: bool, attention: bool },
    Session { source: Arc<Source> },
    Images { sources: Vec<Arc<Source>>, as_url: bool },
}

impl Prepared {
    /// An edit.
    pub fn edit(
        model: &Arc<ModelInfo>,
        source: Arc<Source>,
        edit: PreparedEdit,
        (fields, params): (EditFields, EditParams),
        warnings: Vec<WarningBody>,
        output: Output,
    ) -> Self {
        let EditFields { include_source, attention, .. } = fields;
        let params = Box::new(params);
        let asked = Asked::Edit { source, edit, params, include_source, attention };
        Self { model: Arc::clone(model), asked, warnings, output }
    }

    /// A source to be run and recorded.
    pub fn session(model: &Arc<ModelInfo>, source: Arc<Source>, warnings: Vec<WarningBody>, output: Output) -> Self {
        Self { model: Arc::clone(model), asked: Asked::Session { source }, warnings, output }
    }

    /// Images of these sources, one at least, as files or as data URLs.
    pub fn images(
        model: &Arc<ModelInfo>,
        sources: Vec<Arc<Source>>,
        as_url: bool,
        warnings: Vec<WarningBody>,
        output: Output,
    ) -> Self {
        Self { model: Arc::clone(model), asked: Asked::Images { sources, as_url }, warnings, output }
    }

    /// What it makes.
    pub fn kind(&self) -> Kind {
        match self.asked {
            Asked::Edit { .. } => Kind::Edit,
            Asked::Session { .. } => Kind::Session,
            Asked::Images { .. } => Kind::Images,
        }
    }

    /// How its images are written.
    pub fn output(&self) -> Output {
        self.output
    }

    /// How many jobs of the engine it is.
    pub fn size(&self) -> usize {
        if let Asked::Images { sources, .. } = &self.asked { sources.len() } else { 1 }
    }

    /// What the engine says, with the field at fault as this request has it.
    pub fn problem(&self, error: EngineError) -> Problem {
        let is_of_source = matches!(error, EngineError::SourceTooLarge { .. });
        let problem = Problem::from(error);
        // Images have the fields of a source at the top.
        let has_field = !matches!(self.asked, Asked::Images { .. });
        if is_of_source && has_field { problem.at("source") } else { problem }
    }

    /// Queues the work: all of it or, where there is no room for some, none.
    ///
    /// # Errors
    /// Those of [`Engine::submit`].
    pub fn submit(&self, engine: &Engine, previews: usize) -> Result<Handles, Problem> {
        let record = |source: &Arc<Source>| Work::Record { source: Arc::clone(source) };
        let (works, attention) = match &self.asked {
            Asked::Edit { source, edit, attention, .. } => {
                (vec![Work::Edit { source: Arc::clone(source), edit: edit.clone() }], *attention)
            }
            Asked::Session { source } => (vec![record(source)], false),
            Asked::Images { sources, .. } => (sources.iter().map(record).collect(), false),
        };
        // Of several, nobody is shown previews.
        let previews = if works.len() == 1 { previews } else { 0 };
        let submitted = works.into_iter().map(|work| engine.submit(work, JobOptions { previews, attention }));
        let mut handles = submitted.collect::<Result<Vec<_>, _>>()?;
        let last = handles.pop().ok_or_else(|| Problem::new(Code::Internal, "there is nothing to be done"))?;
        Ok(Handles::new(handles, last))
    }

    /// The answer to what the work came to, in its order.
    ///
    /// # Errors
    /// `internal_error` where an image cannot be encoded.
    pub async fn answer(&self, engine: &Engine, outcomes: &[Outcome]) -> Result<Answer, Problem> {
        let (model, output, warnings) = (&*self.model, self.output, self.warnings.clone());
        match (&self.asked, outcomes) {
            (Asked::Edit { source, edit, params, include_source, attention }, [outcome]) => {
                let attention = match attention {
                    true => Some(attention::of_edit(model, edit, outcome).await?),
                    false => None,
                };
                let beside = Beside { params, include_source: *include_source, attention, warnings };
                response::edit(model, source, edit, outcome, beside, output).await
            }
            (Asked::Session { source }, [outcome]) => {
                // Where it was forgotten again in the meantime, it is told of as what is left of it: its source.
                let view = engine.sessions().view(&outcome.session);
                let view = view.unwrap_or_else(|| SessionView::of_source(&outcome.session, source));
                response::recorded_session(model, &view, outcome, warnings, output).await
            }
            (Asked::Images { sources, as_url }, outcomes) => {
                let made: Vec<_> = sources.iter().map(AsRef::as_ref).zip(outcomes).collect();
                images::answer(model, &made, *as_url, warnings, output).await
            }
            (Asked::Edit { .. } | Asked::Session { .. }, _) => {
                Err(Problem::new(Code::Internal, "one piece of work has several outcomes"))
            }
        }
    }
}
