//! `reprompt models`: the model's words, presets, defaults and examples, as `GET /v1/models` answers them.

use std::fmt::Write as _;
use std::time::SystemTime;

use clap::Args;

use crate::api::operations::edits::request::{EditField, EqualizerEntry};
use crate::api::operations::models;
use crate::api::operations::models::example::Example;
use crate::api::operations::models::response::{ModelList, ModelResponse};
use crate::api::operations::source::SourceField;
use crate::api::operations::values::blend::LocalBlend;
use crate::api::operations::values::words::Words;
use crate::cli::settings;
use crate::cli::settings::{ModelArgs, model_files};
use crate::cli::{CliError, console, device, flags};
use crate::config::LogFormat;
use crate::diffusion::Model;
use crate::diffusion::nn::Compute;
use crate::engine::presets;
use crate::p2p::{BlendPart, CrossReplaceSteps, EditType, Field, Window, WordRef};
use crate::telemetry;

pub const EXAMPLES: &str = "\
Examples:
  reprompt models
  reprompt models --json";

/// Which model, and how it is shown.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Prints only the response of GET /v1/models, as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// Loads the model and prints what it knows.
pub fn run(args: ModelsArgs) -> Result<(), CliError> {
    telemetry::start(LogFormat::Pretty, "warn");
    let settings = settings::of_command(&args.model, None, 1)?;
    settings::prepare();
    let (device, dtype) = device::chosen(&settings)?;
    let model = Model::load_as(&model_files(&settings), &Compute { device, dtype })?;
    let described = models::describe(&model.info, &presets(&model.info.hints)?, SystemTime::now());
    if args.json {
        return console::print_json(&ModelList { object: "list", data: vec![described] });
    }
    let folder = settings.model.as_deref().map(|folder| format!(" --model {}", quoted(&folder.display().to_string())));
    console::print(&text(&described, &folder.unwrap_or_default()))
}

fn text(model: &ModelResponse, flags: &str) -> String {
    let (defaults, sizes) = (&model.defaults, &model.sizes);
    let mut text = format!(
        "{}\n  image     {}x{}; sides are multiples of {}, at least {}; at most {} pixels\n  \
         sampling  {} steps, guidance {}, {}\n  prompts   at most {} tokens\n",
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
        text.push_str("vocabulary:\n");
        for (group, words) in &model.vocabulary {
            let _ = writeln!(text, "  {group:<12} {}", words.join(", "));
        }
    }
    text.push_str("windows by kind of edit (cross-attention, self-attention):\n");
    let kinds = model.presets.iter().map(|(kind, windows)| (kind.as_str(), windows));
    let otherwise = if model.presets.is_empty() { "all" } else { "any other" };
    for (kind, windows) in kinds.chain([(otherwise, &defaults.windows)]) {
        let [cross, own] =
            [windows.cross_replace_steps, windows.self_replace_steps].map(|[lo, hi]| format!("{lo} to {hi}"));
        let _ = writeln!(text, "  {kind:<12} {cross:<12} {own}");
    }
    if !model.examples.is_empty() {
        text.push_str("examples:\n");
        // Those that cannot be read end the start of a service; here they are skipped.
        for example in model.examples.iter().filter_map(|example| Example::read(example).ok()) {
            let _ = writeln!(text, "  {}{flags}", command(&example));
        }
    }
    text
}

/// The command that makes an example.
fn command(Example { source, edit }: &Example) -> String {
    let mut words = vec!["reprompt edit".to_owned()];
    let mut flag = |flag: String, value: &str| words.push(format!("{flag} {}", quoted(value)));
    flag(flags::of_source(SourceField::Prompt), source.prompt.as_str());
    if let Some(seed) = source.seed {
        flag(flags::of_source(SourceField::Seed), &seed.0.to_string());
    }
    if let Some(target) = &edit.prompt {
        flag(flags::of_edit(EditField::Prompt), target.as_str());
    }
    if edit.edit_type != EditType::default() {
        flag(flags::of_edit(EditField::EditType), edit.edit_type.as_str());
    }
    if let Some(CrossReplaceSteps { default, words }) = &edit.cross_replace_steps {
        let name = || flags::of_edit(EditField::CrossReplaceSteps);
        flag(name(), &window(*default));
        words.iter().for_each(|(word, own)| flag(name(), &format!("{}={}", plain(word), window(*own))));
    }
    if let Some(own) = edit.self_replace_steps {
        flag(flags::of_edit(EditField::SelfReplaceSteps), &window(own));
    }
    for EqualizerEntry { word, strength } in edit.equalizer.iter().flatten() {
        flag(flags::of_edit(EditField::Equalizer), &format!("{}={strength}", plain(word)));
    }
    match &edit.local_blend {
        None | Some(LocalBlend::Off) => {}
        Some(LocalBlend::DifferingWords) => words.push(flags::of_edit(EditField::LocalBlend)),
        Some(LocalBlend::With(fields)) => {
            let lists = [
                (BlendPart::SourceWord(0), &fields.source_words),
                (BlendPart::TargetWord(0), &fields.target_words),
                (BlendPart::ExcludedWord(0), &fields.exclude_words),
            ];
            for (part, list) in lists {
                let list = list.iter().flat_map(|Words(words)| words);
                list.for_each(|word| flag(flags::of_method(&Field::LocalBlend(part)), &plain(word)));
            }
            for (part, number) in [(BlendPart::Threshold, fields.threshold), (BlendPart::Start, fields.start)] {
                number.into_iter().for_each(|n| flag(flags::of_method(&Field::LocalBlend(part)), &n.to_string()));
            }
        }
    }
    words.join(" ")
}

/// A window as a flag takes it.
fn window(Window { lo, hi }: Window) -> String {
    if lo == 0.0 { hi.to_string() } else { format!("{lo}..{hi}") }
}

/// A word as a flag takes it.
fn plain(word: &WordRef) -> String {
    match word {
        WordRef::Text(text) => text.clone(),
        WordRef::Index(index) => index.to_string(),
    }
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
        let example = json!({
            "prompt": "a cat", "seed": 7, "edit": "a \"big\" cat's hat", "local_blend": true, "edit_type": "refine",
            "equalizer": [{"word": "hat", "strength": 2.5}, {"word": 1, "strength": -1}],
            "cross_replace_steps": {"default_": 0.8, "red hat": [0.1, 0.2]}, "self_replace_steps": [0, 0.4]
        });
        assert_eq!(
            command(&Example::read(example.as_object().unwrap()).unwrap()),
            "reprompt edit --prompt \"a cat\" --seed 7 --to 'a \"big\" cat'\\''s hat' --edit-type refine \
             --cross-replace-steps 0.8 --cross-replace-steps \"red hat=0.1..0.2\" --self-replace-steps 0.4 \
             --equalizer hat=2.5 --equalizer 1=-1 --local-blend"
        );
        let blend = json!({
            "prompt": "a cat", "edit": "a dog",
            "local_blend": {"source_words": ["cat", 0], "exclude_words": "sky", "threshold": 0.5}
        });
        assert_eq!(
            command(&Example::read(blend.as_object().unwrap()).unwrap()),
            "reprompt edit --prompt \"a cat\" --to \"a dog\" --blend-source cat --blend-source 0 --blend-exclude sky \
             --blend-threshold 0.5"
        );
    }
}
