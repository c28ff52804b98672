//! `reprompt align`: how two prompts align, as `POST /v1/align` answers it. Of the model, its tokenizer and its profile
//! are read and nothing else, so it takes no time.

use std::fmt::Write as _;

use clap::Args;

use crate::api::operations::align::request::{AlignField, AlignRequest};
use crate::api::operations::align::response::{AlignResponse, TokenBody};
use crate::api::operations::align::{AlignError, answer_to};
use crate::api::operations::values::prompt::PromptText;
use crate::cli::settings;
use crate::cli::settings::{ModelArgs, model_files};
use crate::cli::{CliError, console, flags};
use crate::config::LogFormat;
use crate::diffusion::profile;
use crate::diffusion::text::encoder;
use crate::diffusion::text::tokenizer::Tokenizer;
use crate::engine::presets;
use crate::p2p::{EditType, Field};
use crate::telemetry;

pub const EXAMPLES: &str = "\
Examples:
  reprompt align \"a cat on the beach\" \"a dog on the beach at night\"
  reprompt align \"a red car\" \"a blue car\" --edit-type replace --json";

/// Two prompts, and how they are compared.
#[derive(Debug, Args)]
pub struct AlignArgs {
    /// The source's prompt.
    source: String,
    /// The target prompt.
    target: String,
    /// How words are aligned, as in an edit [default: auto].
    #[arg(long, value_name = "TYPE", value_parser = flags::named::<EditType>())]
    edit_type: Option<EditType>,
    /// Prints only the response of POST /v1/align, as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// Aligns and prints.
pub fn run(args: AlignArgs) -> Result<(), CliError> {
    telemetry::start(LogFormat::Pretty, "warn");
    let files = model_files(&settings::of_command(&args.model, None, 1)?);
    let tokenizer = Tokenizer::load(&files, encoder::max_tokens(&files)?)?;
    let (defaults, hints) = profile::load(&files)?;
    let prompt = |text: &str, flag| PromptText::new(text).map_err(|error| CliError::at(flag, error));
    let request = AlignRequest {
        source_prompt: prompt(&args.source, argument(AlignField::SourcePrompt))?,
        prompt: prompt(&args.target, argument(AlignField::Prompt))?,
        edit_type: args.edit_type.unwrap_or_default(),
    };
    let answer = answer_to(&request, &tokenizer, &presets(&hints)?, defaults.num_inference_steps);
    let (answer, warnings) = answer.map_err(|error| CliError::at(argument(field(&error)), error))?;
    if args.json {
        return console::print_json(&answer);
    }
    warnings.iter().for_each(|word| console::warn(argument(word.field), &word.detail()));
    console::print(&text(&answer, &args.source, &args.target))
}

fn text(answer: &AlignResponse, source: &str, target: &str) -> String {
    let mut text = String::new();
    for (name, prompt, tokens) in [("source", source, &answer.source_tokens), ("target", target, &answer.target_tokens)]
    {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {prompt} ({} of {} tokens)", tokens.len(), answer.max_tokens);
        if let Some(pieces) = pieces(prompt, tokens) {
            let _ = writeln!(text, "  in pieces {pieces}");
        }
    }
    let _ = writeln!(text, "edit type: {}", answer.edit_type);
    text + &console::alignment(&answer.alignment, true) + &console::windows(&answer.windows)
}

/// The prompt as the model reads it, where words are more than one token.
fn pieces(prompt: &str, tokens: &[TokenBody]) -> Option<String> {
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).filter(|text| !text.is_empty()).collect();
    (texts.len() != prompt.split_whitespace().count()).then(|| texts.join("|"))
}

/// The argument of a field.
fn argument(field: AlignField) -> &'static str {
    match field {
        AlignField::SourcePrompt => "SOURCE",
        AlignField::Prompt => "TARGET",
        AlignField::EditType => "--edit-type",
    }
}

/// The field at fault.
fn field(error: &AlignError) -> AlignField {
    match error {
        AlignError::Prompt { field, .. } => *field,
        AlignError::Edit(error) if error.field() == Field::SourcePrompt => AlignField::SourcePrompt,
        // Nothing but the prompts is asked for, and what they do not allow is said of the target.
        AlignError::Edit(_) => AlignField::Prompt,
    }
}
