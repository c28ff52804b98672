//! The plan of a command line on a model: the source, and each edit ready to run. Invalid values fail here.

use crate::api::delivery::png_metadata;
use crate::api::fields::FieldName;
use crate::api::operations::edits::request::EditField;
use crate::api::operations::edits::response::{EditResponse, ResponseExtras};
use crate::api::operations::output::Output;
use crate::api::operations::source::{SourceField, SourcePlace};
use crate::api::operations::values::prompt::PromptText;
use crate::api::operations::warnings;
use crate::api::operations::warnings::{UnknownWord, unknown_words};
use crate::cli::edit::args::EditArgs;
use crate::cli::edit::request;
use crate::cli::edit::scopes::Scope;
use crate::cli::{CliError, flags};
use crate::diffusion::ModelInfo;
use crate::engine::{Outcome, PrepareError, PreparedEdit, PreparedSource};
use crate::media::Text;
use crate::p2p::{EditParams, Equalize, Field, NamedWord, Presets, WordRef, named_word_of};

/// All that is to be made.
#[derive(Debug)]
pub struct Plan {
    /// The source.
    pub source: PreparedSource,
    /// Words of the source's prompts that the model does not know.
    pub(crate) warnings: Vec<UnknownWord<SourceField>>,
    /// The words whose heat maps of the source are wanted.
    pub heat: Vec<NamedWord>,
    /// The edits, one at least.
    pub edits: Vec<PlannedEdit>,
    /// The texts inside the source's image.
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
    /// The caption below its image.
    pub caption: String,
    /// Words of its prompt that the model does not know.
    pub(crate) warnings: Vec<UnknownWord<()>>,
    /// The words whose heat maps are wanted, those that its prompt has.
    pub heat: Vec<NamedWord>,
    /// The texts inside its image.
    pub texts: Vec<Text>,
}

impl Plan {
    /// Resolves the flags on a model, and prepares all edits.
    pub fn new(args: &EditArgs, scopes: &[Scope], model: &ModelInfo, presets: &Presets) -> Result<Self, CliError> {
        let source = request::source(&args.source)?.resolve(model);
        let source = source.map_err(|error| CliError::at(&flags::of_source(error.field), &error.detail))?;
        let output = request::files(&args.output).output();
        let output = output.map_err(|error| CliError::at(&flags::of_files(error.field), &error.detail))?;
        let mut edits = Vec::new();
        for (at, scope) in scopes.iter().enumerate() {
            let name = scope.to.as_deref().filter(|_| scopes.len() > 1);
            let name = name.map_or_else(String::new, |to| format!("edit {} (--to \"{to}\")", at + 1));
            edits.push(
                PlannedEdit::new(&source, scope, name.clone(), model, presets).map_err(|error| named(&name, error))?,
            );
        }
        let warnings = warnings::of_source(presets.vocabulary(), &source);
        let texts = png_metadata::of_source(model, &source);
        let mut plan = Self { source, warnings, heat: Vec::new(), edits, texts, output };
        plan.find_heat(&args.output.heatmap)?;
        Ok(plan)
    }

    /// Looks up the words of heat maps in all prompts.
    fn find_heat(&mut self, words: &[String]) -> Result<(), CliError> {
        let source = self.edits.first().map(|edit| &edit.prepared.source_prompt);
        let prompts = source.into_iter().chain(self.edits.iter().map(|edit| &edit.prepared.prompt));
        let prompts: Vec<_> = prompts.map(|prompt| prompt.as_ref().clone()).collect();
        for word in words {
            let found = named_word_of(&prompts, word);
            let mut found = found.map_err(|error| CliError::at(&flags::of_method(&error.field()), error))?.into_iter();
            self.heat.extend(found.next().flatten());
            self.edits.iter_mut().zip(found).for_each(|(edit, word)| edit.heat.extend(word));
        }
        Ok(())
    }
}

impl PlannedEdit {
    fn new(
        source: &PreparedSource,
        scope: &Scope,
        name: String,
        model: &ModelInfo,
        presets: &Presets,
    ) -> Result<Self, CliError> {
        let edit = request::edit(&source.prompt, scope)?;
        let params = edit.params().map_err(|error| CliError::at(&flags::of_edit(error.field), &error.detail))?;
        let prompt = edit.prompt.as_ref().map(PromptText::as_str);
        let prepared = PreparedEdit::new(model, presets, source, prompt.unwrap_or(&source.prompt), &params);
        let prepared = prepared.map_err(|error| refused(&error, scope))?;
        let warnings = prompt.map_or_else(Vec::new, |prompt| unknown_words(presets.vocabulary(), &[((), prompt)]));
        let caption = caption(prompt.unwrap_or(&source.prompt), &params);
        let texts = png_metadata::of_edit(model, source, &prepared, &params);
        Ok(Self { prepared, caption, name, warnings, heat: Vec::new(), texts })
    }

    /// The answer of the API to it.
    pub fn response(&self, model: &str, plan: &Plan, outcome: &Outcome) -> EditResponse {
        let of_source = plan.warnings.iter().cloned().map(|word| word.body(|field| SourcePlace::Nested.path(field)));
        let own = self.warnings.iter().cloned().map(|word| word.body(|()| EditField::Prompt.name().to_owned()));
        let extras = ResponseExtras { warnings: of_source.chain(own).collect(), attention: None };
        EditResponse::new(model, &plan.source, &self.prepared, outcome, extras, plan.output)
    }
}

/// The prompt, with what a reader cannot see in it.
fn caption(prompt: &str, params: &EditParams) -> String {
    let strengths = params.equalizer.iter().map(|Equalize { word, strength }| match word {
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

/// What the method or the model found wrong with an edit, with the flag at fault.
fn refused(error: &PrepareError, scope: &Scope) -> CliError {
    let field = match error {
        PrepareError::Edit(error) => error.field(),
        PrepareError::Prompt { field, .. } => field.clone(),
    };
    // The parts of a blend that is given as JSON have no flags of their own.
    let is_json = scope.list("local_blend").iter().any(|text| text.starts_with('{'));
    let flag = match field {
        Field::LocalBlend(_) if is_json => flags::of_edit(EditField::LocalBlend),
        field => flags::of_method(&field),
    };
    CliError::at(&flag, error)
}
