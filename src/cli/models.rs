//! `reprompt models`: what the model knows, as `GET /v1/models` answers it.

use std::fmt::Write as _;
use std::time::SystemTime;

use clap::Args;
use serde_json::{Map, Value};

use crate::api::operations::models;
use crate::api::operations::models::response::{ModelList, ModelResponse};
use crate::cli::settings;
use crate::cli::settings::{ModelArgs, model_files};
use crate::cli::{CliError, console, device};
use crate::config::LogFormat;
use crate::diffusion::Model;
use crate::diffusion::nn::Compute;
use crate::engine::presets;
use crate::telemetry;

pub const EXAMPLES: &str = "\
Examples:
  reprompt models
  reprompt models --json";

/// Which model, and how it is shown.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Prints the answer of GET /v1/models and nothing else.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// Loads the model and tells of it.
pub fn run(args: ModelsArgs) -> Result<(), CliError> {
    telemetry::start(LogFormat::Pretty, "warn");
    let settings = settings::of_command(&args.model, None, 1)?;
    settings::prepare();
    let (device, dtype) = device::chosen(&settings)?;
    let model = Model::load_as(&model_files(&settings), &Compute { device, dtype })?;
    let told = models::describe(&model.info, &presets(&model.info.hints)?, SystemTime::now());
    if args.json {
        return console::print_json(&ModelList { object: "list", data: vec![told] });
    }
    let folder = settings.model.as_deref().map(|folder| format!(" --model {}", quoted(&folder.display().to_string())));
    console::print(&text(&told, &folder.unwrap_or_default()))
}

fn text(model: &ModelResponse, flags: &str) -> String {
    let (defaults, sizes) = (&model.defaults, &model.sizes);
    let mut text = format!(
        "{}\n  image     {}x{}; sides are multiples of {}, {} at least, {} pixels at most\n  \
         sampling  {} steps, guidance {}, {}\n  prompts   {} tokens at most\n",
        model.id,
        defaults.width,
        defaults.height,
        sizes.multiple_of,
        sizes.min_side,
        sizes.max_pixels,
        defaults.num_inference_steps,
        defaults.guidance_scale,
        defaults.scheduler,
        model.max_tokens,
    );
    // Writing to a String cannot fail.
    if !model.vocabulary.is_empty() {
        text.push_str("words that it knows:\n");
        for (group, words) in &model.vocabulary {
            let _ = writeln!(text, "  {group:<12} {}", words.join(", "));
        }
    }
    text.push_str("windows by kind of edit (cross-attention, self-attention):\n");
    let kinds = model.presets.iter().map(|(kind, windows)| (kind.as_str(), windows));
    let otherwise = if model.presets.is_empty() { "all" } else { "otherwise" };
    for (kind, windows) in kinds.chain([(otherwise, &defaults.windows)]) {
        let [cross, own] =
            [windows.cross_replace_steps, windows.self_replace_steps].map(|[lo, hi]| format!("{lo} to {hi}"));
        let _ = writeln!(text, "  {kind:<12} {cross:<12} {own}");
    }
    if !model.examples.is_empty() {
        text.push_str("examples:\n");
        for example in &model.examples {
            let _ = writeln!(text, "  {}{flags}", command(example));
        }
    }
    text
}

/// The command that makes an example.
fn command(example: &Map<String, Value>) -> String {
    let text = |value: &Value| quoted(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let mut words = vec!["reprompt edit".to_owned()];
    // In an order that reads well: source, target, the rest.
    let rest = example.keys().map(String::as_str).filter(|key| !["prompt", "seed", "edit"].contains(key));
    for key in ["prompt", "seed", "edit"].into_iter().chain(rest) {
        let flag = if key == "edit" { "--to".to_owned() } else { format!("--{}", key.replace('_', "-")) };
        match (key, example.get(key)) {
            (_, None) | ("local_blend", Some(Value::Bool(false))) => {}
            ("local_blend", Some(Value::Bool(true))) => words.push(flag),
            ("equalizer", Some(Value::Array(entries))) => {
                let plain = |word: &Value| word.as_str().map_or_else(|| word.to_string(), str::to_owned);
                let entry = |entry: &Value| {
                    format!("{flag} {}", quoted(&format!("{}={}", plain(&entry["word"]), entry["strength"])))
                };
                words.extend(entries.iter().map(entry));
            }
            (_, Some(value)) => words.push(format!("{flag} {}", text(value))),
        }
    }
    words.join(" ")
}

/// A word for a shell, in quotes where it needs them.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,".contains(c);
    match word {
        plain if !plain.is_empty() && plain.chars().all(is_plain) => plain.to_owned(),
        double if !double.contains(['"', '$', '`', '\\', '!']) => format!("\"{double}\""),
        other => format!("'{}'", other.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_example_is_a_command_that_can_be_pasted() {
        let Value::Object(example) = json!({
            "prompt": "a cat", "seed": 7, "edit": "a \"big\" cat's hat", "local_blend": true, "edit_type": "auto",
            "equalizer": [{"word": "hat", "strength": 2.5}, {"word": 1, "strength": -1}],
            "cross_replace_steps": {"default_": 0.8, "hat": [0.0, 0.2]}
        }) else {
            unreachable!("an object")
        };
        let command = command(&example);
        for part in [
            "reprompt edit --prompt \"a cat\" --seed 7 --to 'a \"big\" cat'\\''s hat' ",
            " --local-blend",
            " --edit-type auto",
            " --equalizer hat=2.5 --equalizer 1=-1",
            " --cross-replace-steps '{\"default_\":0.8,\"hat\":[0.0,0.2]}'",
        ] {
            assert!(command.contains(part), "{part}: {command}");
        }
    }
}
