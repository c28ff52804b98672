//! `reprompt align`: how two prompts align, as `POST /v1/align` answers it. Of the model, its tokenizer and its profile
//! are read and nothing else, so it takes no time.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Map, Value};

use crate::api::operations::align::answer_to;
use crate::api::operations::align::response::{AlignResponse, TokenBody};
use crate::cli::settings;
use crate::cli::settings::{ModelArgs, model_files};
use crate::cli::{CliError, console};
use crate::config::LogFormat;
use crate::diffusion::profile;
use crate::diffusion::text::encoder;
use crate::diffusion::text::tokenizer::Tokenizer;
use crate::engine::presets;
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
    /// How words are matched, as in an edit [default: auto].
    #[arg(long, value_name = "TYPE", value_parser = ["auto", "replace", "refine", "reweight"])]
    edit_type: Option<String>,
    /// Prints the answer of POST /v1/align, tokens included, and nothing else.
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
    let fields = [
        ("source_prompt", Some(args.source.clone())),
        ("prompt", Some(args.target.clone())),
        ("edit_type", args.edit_type),
    ];
    let given = |(name, value): (&str, Option<String>)| Some((name.to_owned(), Value::String(value?)));
    let body: Map<String, Value> = fields.into_iter().filter_map(given).collect();
    let answer = answer_to(body, &tokenizer, &presets(&hints)?, defaults.num_inference_steps).map_err(|problem| {
        let flag = problem.param().map(|param| format!("{}: ", flag(param)));
        CliError::Request(format!("{}{}", flag.unwrap_or_default(), problem.detail()))
    })?;
    if args.json {
        return console::print_json(&answer);
    }
    console::warn(&answer.warnings, flag);
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

/// What a field of the API is on the command line.
fn flag(param: &str) -> String {
    match param {
        "source_prompt" => "SOURCE".to_owned(),
        "prompt" => "TARGET".to_owned(),
        other => format!("--{}", other.replace('_', "-")),
    }
}
