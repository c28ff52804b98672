//! What a command line comes to on a model: the source, and each edit ready to run. All that is wrong with it shows here.

use std::sync::Arc;

use crate::api::delivery::png_metadata;
use crate::api::delivery::response::{Beside, told_of_edit};
use crate::api::operations::edit_params::{EditSpec, Output};
use crate::api::operations::{source, warnings};
use crate::api::problem::Problem;
use crate::api::wire::{EditResponse, WarningBody};
use crate::cli::CliError;
use crate::cli::edit::args::EditArgs;
use crate::cli::edit::body::{body, flag};
use crate::cli::edit::scopes::Scope;
use crate::diffusion::ModelInfo;
use crate::engine::{Outcome, PreparedEdit, tokenize};
use crate::media::Text;
use crate::p2p::{EditParams, Equalize, NamedWord, Presets, WordRef, named_word_of};
use crate::recordings::Source;

/// All that is to be made.
#[derive(Debug)]
pub struct Plan {
    /// The source.
    pub source: Arc<Source>,
    /// What the source's prompts may not have meant.
    pub warnings: Vec<WarningBody>,
    /// The words whose heat maps of the source are wanted.
    pub heat: Vec<NamedWord>,
    /// The edits, one at least.
    pub edits: Vec<PlannedEdit>,
    /// What stands inside the source's image.
    pub texts: Vec<Text>,
    /// How images are written.
    pub output: Output,
}

/// One edit, ready to run.
#[derive(Debug)]
pub struct PlannedEdit {
    /// The edit.
    pub prepared: PreparedEdit,
    /// What it is called among others in messages.
    pub name: String,
    /// What stands below its image.
    pub caption: String,
    /// What its prompt may not have meant.
    pub warnings: Vec<WarningBody>,
    /// The words whose heat maps are wanted, those that its prompt has.
    pub heat: Vec<NamedWord>,
    /// What was asked for.
    params: EditParams,
    /// What stands inside its image.
    pub texts: Vec<Text>,
}

impl Plan {
    /// Settles everything.
    pub fn new(args: &EditArgs, scopes: &[Scope], model: &ModelInfo, presets: &Presets) -> Result<Self, CliError> {
        let mut edits = Vec::new();
        let mut of_source = None;
        for (at, scope) in scopes.iter().enumerate() {
            let name = scope.to.as_deref().filter(|_| scopes.len() > 1);
            let name = name.map_or_else(String::new, |to| format!("edit {} (--to \"{to}\")", at + 1));
            let refused = |problem| refused(&problem, &name, scope);
            let mut body = body(&args.source, scope, &args.output).map_err(|error| named(&name, error))?;
            // The source is the same for all: a seed that is drawn is drawn once.
            let taken = source::take(&mut body).map_err(refused)?;
            let source = match &of_source {
                Some((source, _)) => Arc::clone(source),
                None => Arc::new(source::parse(taken, "source", model).map_err(|problem| refused_source(&problem))?),
            };
            let spec = EditSpec::parse(body).map_err(refused)?;
            let prompt = spec.prompt.clone().unwrap_or_else(|| source.prompt.clone());
            source::check_prompt(&prompt, "prompt").map_err(refused)?;
            let prepared = PreparedEdit::new(model, presets, &source, &prompt, &spec.params)
                .map_err(|error| refused(error.into()))?;
            let warnings = warnings::of_edit(presets.vocabulary(), &spec);
            let (caption, texts) =
                (caption(&prompt, &spec), png_metadata::of_edit(model, &source, &prepared, &spec.params));
            let params = spec.params;
            edits.push(PlannedEdit { prepared, caption, name, warnings, heat: Vec::new(), params, texts });
            of_source = Some((source, spec.output));
        }
        let (source, output) =
            of_source.ok_or_else(|| CliError::Request("--to: a target prompt is wanted".to_owned()))?;
        let warnings = warnings::of_source(presets.vocabulary(), &source, "source");
        let texts = png_metadata::of_source(model, &source);
        let mut plan = Self { source, warnings, heat: Vec::new(), edits, texts, output };
        plan.find_heat(&args.output.heatmap, model)?;
        Ok(plan)
    }

    /// Looks up the words of heat maps in all prompts.
    fn find_heat(&mut self, words: &[String], model: &ModelInfo) -> Result<(), CliError> {
        let texts = std::iter::once(&self.source.prompt).chain(self.edits.iter().map(|edit| &edit.prepared.prompt));
        let prompts = texts.map(|text| tokenize(model, text)).collect::<Result<Vec<_>, _>>()?;
        for word in words {
            let found = named_word_of(&prompts, word);
            let mut found = found.map_err(|error| CliError::Request(format!("--heatmap: {error}")))?.into_iter();
            self.heat.extend(found.next().flatten());
            self.edits.iter_mut().zip(found).for_each(|(edit, word)| edit.heat.extend(word));
        }
        Ok(())
    }
}

impl PlannedEdit {
    /// What the API would tell of it.
    pub fn told(&self, model: &str, plan: &Plan, outcome: &Outcome) -> EditResponse {
        let warnings = plan.warnings.iter().chain(&self.warnings).cloned().collect();
        let beside = Beside { params: &self.params, include_source: true, attention: None, warnings };
        told_of_edit(model, &plan.source, &self.prepared, outcome, beside, plan.output)
    }
}

/// The prompt, with what a reader cannot see in it.
fn caption(prompt: &str, spec: &EditSpec) -> String {
    let strengths = spec.params.equalizer.iter().map(|Equalize { word, strength }| match word {
        WordRef::Text(word) => format!(" [{word}={strength}]"),
        WordRef::Index(index) => format!(" [{index}={strength}]"),
    });
    format!("{prompt}{}", strengths.collect::<String>())
}

fn named(name: &str, error: CliError) -> CliError {
    match error {
        CliError::Request(detail) if !name.is_empty() => CliError::Request(format!("{name}: {detail}")),
        other => other,
    }
}

fn refused_source(problem: &Problem) -> CliError {
    CliError::Request(format!("{}: {}", flag(problem.param().unwrap_or("source.prompt")), problem.detail()))
}

/// A problem in the words of the command line.
fn refused(problem: &Problem, name: &str, scope: &Scope) -> CliError {
    let is_json = scope.list("local_blend").iter().any(|text| text.starts_with('{'));
    let flag = problem.param().map(|param| match param {
        blend if is_json && blend.starts_with("local_blend") => "--local-blend: ".to_owned(),
        other => format!("{}: ", flag(other)),
    });
    named(name, CliError::Request(format!("{}{}", flag.unwrap_or_default(), problem.detail())))
}
