//! From flags to the body of the HTTP call that asks for the same; and back, from a field's path to its flag.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::cli::CliError;
use crate::cli::edit::args::{OutputArgs, SourceArgs};
use crate::cli::edit::scopes::Scope;

/// The body of an edit of this source.
pub fn body(source: &SourceArgs, edit: &Scope, output: &OutputArgs) -> Result<Map<String, Value>, CliError> {
    let target = edit.to.as_deref().unwrap_or(&source.prompt);
    let fields = [
        ("source", Some(Value::Object(source_body(source)))),
        ("prompt", edit.to.clone().map(Value::from)),
        ("edit_type", edit.single("edit_type")?.map(Value::from)),
        ("cross_replace_steps", cross_windows(edit)?),
        ("self_replace_steps", edit.single("self_replace_steps")?.map(|text| window("self", text)).transpose()?),
        ("equalizer", equalizer(edit, target)?),
        ("local_blend", local_blend(edit, &source.prompt, target)?),
        ("output_format", output.output_format.clone().map(Value::from)),
        ("output_compression", output.output_compression.map(Value::from)),
    ];
    Ok(given(fields))
}

fn source_body(source: &SourceArgs) -> Map<String, Value> {
    given([
        ("prompt", Some(json!(source.prompt))),
        ("negative_prompt", source.negative_prompt.clone().map(Value::from)),
        ("seed", source.seed.map(Value::from)),
        ("num_inference_steps", source.steps.map(Value::from)),
        ("guidance_scale", source.guidance_scale.map(Value::from)),
        ("size", source.size.clone().map(Value::from)),
        ("width", source.width.map(Value::from)),
        ("height", source.height.map(Value::from)),
        ("scheduler", source.scheduler.clone().map(Value::from)),
    ])
}

fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn refused<T>(detail: String) -> Result<T, CliError> {
    Err(CliError::Request(detail))
}

/// A window: `0.8`, `0.2..0.6`, or as JSON.
fn window(kind: &str, text: &str) -> Result<Value, CliError> {
    let bounds = text.split_once("..").map(|(lo, hi)| (f64::from_str(lo), f64::from_str(hi)));
    match (f64::from_str(text), bounds, serde_json::from_str(text)) {
        (Ok(end), ..) if end.is_finite() => Ok(json!(end)),
        (_, Some((Ok(lo), Ok(hi))), _) if lo.is_finite() && hi.is_finite() => Ok(json!([lo, hi])),
        (_, _, Ok(pair @ Value::Array(_))) => Ok(pair),
        _ => refused(format!("--{kind}-replace-steps: {text} is no window, such as 0.8 or 0.2..0.6")),
    }
}

/// Windows of cross-attention: one for all words, some for single words, or both; an edit's own in place of common ones.
fn cross_windows(edit: &Scope) -> Result<Option<Value>, CliError> {
    let mut windows = Map::new();
    for values in edit.by_place("cross_replace_steps") {
        let mut of_place = Map::new();
        for text in values {
            let entries = match (serde_json::from_str(text), text.rsplit_once('=')) {
                (Ok(Value::Object(entries)), _) => entries,
                (_, Some((word, text))) => Map::from_iter([(word.to_owned(), window("cross", text)?)]),
                (_, None) => Map::from_iter([("default_".to_owned(), window("cross", text)?)]),
            };
            for (word, window) in entries {
                if of_place.insert(word.clone(), window).is_some() {
                    let whose =
                        if word == "default_" { "a plain window".to_owned() } else { format!("a window of {word}") };
                    return refused(format!("--cross-replace-steps: {whose} is given twice for one edit"));
                }
            }
        }
        windows.extend(of_place);
    }
    let plain = windows.get("default_").filter(|_| windows.len() == 1).cloned();
    Ok(plain.or_else(|| (!windows.is_empty()).then_some(Value::Object(windows))))
}

fn equalizer(edit: &Scope, target: &str) -> Result<Option<Value>, CliError> {
    let entry = |text: &str| {
        let pair = text.rsplit_once('=').filter(|(word, _)| !word.trim().is_empty());
        match pair.map(|(word, strength)| (word, f64::from_str(strength))) {
            Some((name, Ok(strength))) if strength.is_finite() => {
                Ok(json!({"word": word(name, &[target]), "strength": strength}))
            }
            _ => refused(format!("--equalizer: {text} is not a word and a strength, such as snow=2")),
        }
    };
    let entries = edit.list("equalizer").into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    Ok((!entries.is_empty()).then_some(Value::Array(entries)))
}

/// A word as the API takes it: a number is an index, unless it is a word of the prompts.
fn word(text: &str, prompts: &[&str]) -> Value {
    let plain = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let is_word = prompts.iter().flat_map(|prompt| prompt.split_whitespace()).any(|word| plain(word) == text);
    match text.parse::<u64>() {
        Ok(index) if !is_word => json!(index),
        _ => json!(text),
    }
}

const BLEND_OPTIONS: [&str; 5] = ["blend_source", "blend_target", "blend_exclude", "blend_threshold", "blend_start"];

fn local_blend(edit: &Scope, source: &str, target: &str) -> Result<Option<Value>, CliError> {
    let is_given = |own_only: bool| {
        BLEND_OPTIONS
            .iter()
            .any(|option| edit.by_place(option).iter().skip(usize::from(own_only)).any(|v| !v.is_empty()))
    };
    let whole = match edit.single("local_blend")? {
        None => None,
        Some(text) => match serde_json::from_str(text) {
            Ok(Value::Bool(true)) => Some(json!(true)),
            // What is off for one edit has no use for what is common to all.
            Ok(Value::Bool(false)) if !is_given(true) => return Ok(None),
            Ok(object @ Value::Object(_)) if !is_given(false) => return Ok(Some(object)),
            Ok(Value::Bool(false) | Value::Object(_)) => {
                return refused(format!("--local-blend: {text} and the --blend-... options exclude each other"));
            }
            _ => return refused(format!("--local-blend: {text} is not true, false or a JSON object")),
        },
    };
    let words = |option: &str, prompts: &[&str]| {
        let words: Vec<Value> = edit.list(option).into_iter().map(|text| word(text, prompts)).collect();
        (!words.is_empty()).then_some(Value::Array(words))
    };
    // The flag has parsed it already.
    let number =
        |option| Ok::<_, CliError>(edit.single(option)?.and_then(|text| f64::from_str(text).ok()).map(Value::from));
    let fields = given([
        ("source_words", words("blend_source", &[source])),
        ("target_words", words("blend_target", &[target])),
        ("exclude_words", words("blend_exclude", &[source, target])),
        ("threshold", number("blend_threshold")?),
        ("start", number("blend_start")?),
    ]);
    Ok(if fields.is_empty() { whole } else { Some(Value::Object(fields)) })
}

/// The flag that a field of the body comes from.
pub fn flag(param: &str) -> String {
    let field = param.strip_prefix("source.").unwrap_or(param);
    // Entries of lists and words of windows are named in what is said of them.
    let field = field.split(['[', ' ']).next().unwrap_or(field);
    match (param, field) {
        ("source.prompt", _) => "--prompt".to_owned(),
        ("prompt", _) => "--to".to_owned(),
        (_, "num_inference_steps") => "--steps".to_owned(),
        (_, "local_blend.source_words") => "--blend-source".to_owned(),
        (_, "local_blend.target_words") => "--blend-target".to_owned(),
        (_, "local_blend.exclude_words") => "--blend-exclude".to_owned(),
        (_, "local_blend.threshold") => "--blend-threshold".to_owned(),
        (_, "local_blend.start") => "--blend-start".to_owned(),
        (_, field) => format!("--{}", field.split('.').next().unwrap_or(field).replace('_', "-")),
    }
}

#[cfg(test)]
mod tests;
