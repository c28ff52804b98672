//! Turns flags into the typed requests that the HTTP API makes of a body.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;

use crate::api::fields::choice::Choice;
use crate::api::fields::json::Unreadable;
use crate::api::fields::{json, read_value};
use crate::api::operations::edits::request::{EditField, EditFields, EqualizerEntry};
use crate::api::operations::output::FileFields;
use crate::api::operations::source::{SourceField, SourceFields};
use crate::api::operations::values::blend::{BlendFields, LocalBlend};
use crate::api::operations::values::prompt::PromptText;
use crate::api::operations::values::windows::{DEFAULT, by_word};
use crate::api::operations::values::words::Words;
use crate::cli::edit::args::{OutputArgs, SourceArgs};
use crate::cli::edit::scopes::Scope;
use crate::cli::{CliError, flags};
use crate::p2p::{CrossReplaceSteps, EditType, InvalidWindow, Window, WordRef};

/// The source that flags ask for.
pub(crate) fn source(args: &SourceArgs) -> Result<SourceFields, CliError> {
    let prompt = PromptText::new(args.prompt.as_str());
    let prompt = prompt.map_err(|error| CliError::at(&flags::of_source(SourceField::Prompt), error))?;
    Ok(SourceFields {
        negative_prompt: args.negative_prompt.clone().unwrap_or_default(),
        seed: args.seed,
        num_inference_steps: args.steps,
        guidance_scale: args.guidance_scale,
        width: args.width,
        height: args.height,
        size: args.size.clone(),
        scheduler: args.scheduler,
        ..SourceFields::new(prompt)
    })
}

/// The files that flags ask for.
pub(crate) fn files(args: &OutputArgs) -> FileFields {
    let defaults = FileFields::default();
    FileFields {
        output_format: args.output_format.unwrap_or(defaults.output_format),
        output_compression: args.output_compression,
    }
}

/// An edit that flags ask for, of a source with this prompt.
pub(crate) fn edit(source: &str, edit: &Scope) -> Result<EditFields, CliError> {
    let target = edit.to.as_deref().unwrap_or(source);
    let prompt = edit.to.as_deref().map(PromptText::new).transpose();
    let prompt = prompt.map_err(|error| CliError::at(&flags::of_edit(EditField::Prompt), error))?;
    let self_flag = flags::of_edit(EditField::SelfReplaceSteps);
    let edit_type = edit.single("edit_type")?.and_then(EditType::named);
    Ok(EditFields {
        prompt,
        edit_type: edit_type.unwrap_or_default(),
        cross_replace_steps: cross_windows(edit)?,
        self_replace_steps: edit.single("self_replace_steps")?.map(|text| window(&self_flag, text)).transpose()?,
        equalizer: equalizer(edit, target)?,
        local_blend: local_blend(edit, source, target)?,
        ..EditFields::default()
    })
}

/// A window: `0.8`, `0.2..0.6`, or as JSON.
fn window(flag: &str, text: &str) -> Result<Window, CliError> {
    let bounds = text.split_once("..").map(|(lo, hi)| (f64::from_str(lo), f64::from_str(hi)));
    let invalid = |error: InvalidWindow| CliError::at(flag, error);
    match (f64::from_str(text), bounds, serde_json::from_str(text)) {
        (Ok(end), ..) if end.is_finite() => Window::from_fraction(end).map_err(invalid),
        (_, Some((Ok(lo), Ok(hi))), _) if lo.is_finite() && hi.is_finite() => Window::new(lo, hi).map_err(invalid),
        (_, _, Ok(pair @ Value::Array(_))) => read_value(&pair).map_err(|problem| CliError::at(flag, problem.detail())),
        _ => Err(CliError::at(flag, format!("expected a window such as 0.8 or 0.2..0.6, got {text}"))),
    }
}

/// Windows of cross-attention: one for all words, some for single words, or both. An edit's own replace common ones.
fn cross_windows(edit: &Scope) -> Result<Option<CrossReplaceSteps>, CliError> {
    let flag = &flags::of_edit(EditField::CrossReplaceSteps);
    let mut windows = BTreeMap::new();
    for values in edit.by_place("cross_replace_steps") {
        let mut of_place = BTreeMap::new();
        for text in values {
            let entries = match (as_json(flag, text)?, text.rsplit_once('=')) {
                (Some(Value::Object(entries)), _) => by_json(flag, &entries)?,
                (_, Some((word, text))) => vec![(word.to_owned(), window(flag, text)?)],
                (_, None) => vec![(DEFAULT.to_owned(), window(flag, text)?)],
            };
            for (word, window) in entries {
                if of_place.insert(word.clone(), window).is_some() {
                    let whose =
                        if word == DEFAULT { "a plain window".to_owned() } else { format!("a window of {word}") };
                    return Err(CliError::at(flag, format!("{whose} is given twice for one edit")));
                }
            }
        }
        windows.extend(of_place);
    }
    Ok(match windows.get(DEFAULT) {
        _ if windows.is_empty() => None,
        Some(&default) if windows.len() == 1 => Some(CrossReplaceSteps { default, words: Vec::new() }),
        _ => Some(by_word(windows)),
    })
}

/// The value of a flag as JSON, if it is JSON. A key that is given twice is an error, as in a request's body.
fn as_json(flag: &str, text: &str) -> Result<Option<Value>, CliError> {
    match json::read(text.as_bytes()) {
        Ok(value) => Ok(Some(value)),
        Err(Unreadable::Syntax(_)) => Ok(None),
        Err(twice @ Unreadable::Twice { .. }) => Err(CliError::at(flag, twice)),
    }
}

fn by_json(flag: &str, windows: &serde_json::Map<String, Value>) -> Result<Vec<(String, Window)>, CliError> {
    let read = |(word, value): (&String, &Value)| match read_value(value) {
        Ok(window) => Ok((word.clone(), window)),
        Err(problem) => Err(CliError::at(flag, format!("{word}: {}", problem.detail()))),
    };
    windows.iter().map(read).collect()
}

fn equalizer(edit: &Scope, target: &str) -> Result<Option<Vec<EqualizerEntry>>, CliError> {
    let entry = |text: &str| {
        let pair = text.rsplit_once('=').filter(|(word, _)| !word.trim().is_empty());
        match pair.map(|(word, strength)| (word, f64::from_str(strength))) {
            Some((name, Ok(strength))) if strength.is_finite() => {
                Ok(EqualizerEntry { word: word(name, &[target]), strength })
            }
            _ => {
                let detail = format!("expected a word and a strength, such as snow=2, got {text}");
                Err(CliError::at(&flags::of_edit(EditField::Equalizer), detail))
            }
        }
    };
    let entries = edit.list("equalizer").into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    Ok((!entries.is_empty()).then_some(entries))
}

/// A word: a number is an index, unless it is a word of the prompts.
fn word(text: &str, prompts: &[&str]) -> WordRef {
    let plain = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let is_word = prompts.iter().flat_map(|prompt| prompt.split_whitespace()).any(|word| plain(word) == text);
    match text.parse() {
        Ok(index) if !is_word => WordRef::Index(index),
        _ => WordRef::Text(text.to_owned()),
    }
}

const BLEND_OPTIONS: [&str; 5] = ["blend_source", "blend_target", "blend_exclude", "blend_threshold", "blend_start"];

fn local_blend(edit: &Scope, source: &str, target: &str) -> Result<Option<LocalBlend>, CliError> {
    let flag = &flags::of_edit(EditField::LocalBlend);
    let is_given = |own_only: bool| {
        BLEND_OPTIONS
            .iter()
            .any(|option| edit.by_place(option).iter().skip(usize::from(own_only)).any(|v| !v.is_empty()))
    };
    let whole = match edit.single("local_blend")? {
        None => None,
        Some(text) => match as_json(flag, text)? {
            Some(Value::Bool(true)) => Some(LocalBlend::DifferingWords),
            // What is off for one edit has no use for what is common to all.
            Some(Value::Bool(false)) if !is_given(true) => return Ok(None),
            Some(object @ Value::Object(_)) if !is_given(false) => {
                let read = read_value(&object);
                return read.map(Some).map_err(|problem| CliError::at(flag, problem.detail()));
            }
            Some(Value::Bool(false) | Value::Object(_)) => {
                return Err(CliError::at(flag, format!("give {text} or the --blend-... options, not both")));
            }
            _ => return Err(CliError::at(flag, format!("expected true, false or a JSON object, got {text}"))),
        },
    };
    let words = |option: &str, prompts: &[&str]| {
        let words: Vec<_> = edit.list(option).into_iter().map(|text| word(text, prompts)).collect();
        (!words.is_empty()).then_some(Words(words))
    };
    // The flag has parsed it already.
    let number = |option| Ok::<_, CliError>(edit.single(option)?.and_then(|text| f64::from_str(text).ok()));
    let fields = BlendFields {
        source_words: words("blend_source", &[source]),
        target_words: words("blend_target", &[target]),
        exclude_words: words("blend_exclude", &[source, target]),
        threshold: number("blend_threshold")?,
        start: number("blend_start")?,
    };
    Ok(if fields == BlendFields::default() { whole } else { Some(LocalBlend::With(fields)) })
}

#[cfg(test)]
mod tests;
