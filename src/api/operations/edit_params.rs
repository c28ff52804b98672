//! From the wire to the domain: sources, edit parameters and output options that are valid by construction.
//!
//! Every problem names its field by the name that the contract gives it, also where a client used an older one.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::problem::{Code, Problem};
use crate::api::transport::body::{kind, read};
use crate::api::wire::{EditBody, EqualizerEntry, LocalBlendBody, OutputBody};
use crate::media::OutputFormat;
use crate::p2p::{BlendWords, CrossReplaceSteps, EditParams, EditType, Equalize, LocalBlendParams, Window, WordRef};

/// Lists have no more entries than this: a prompt has fewer tokens.
const MAX_ENTRIES: usize = 256;

/// How images are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Output {
    /// The file format.
    pub format: OutputFormat,
    /// Quality, 1 to 100, where it was asked for.
    pub quality: Option<u8>,
}

/// An edit as it was asked for, before its words are looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct EditSpec {
    /// The target prompt; `None` keeps the source's.
    pub prompt: Option<String>,
    /// How attention is controlled.
    pub params: EditParams,
    /// Whether the source's image is answered too.
    pub include_source: bool,
    /// Whether the edit's attention is answered too.
    pub attention: bool,
    /// How images are answered.
    pub output: Output,
}

impl EditSpec {
    /// Reads the fields of an edit, the source taken out.
    pub fn parse(object: Map<String, Value>) -> Result<Self, Problem> {
        let body: EditBody = read(object, "")?;
        let edit_type = edit_type(body.edit_type.as_deref())?;
        if body.prompt.is_none() && edit_type != EditType::Reweight {
            return Err(Problem::new(Code::MissingField, "missing field `prompt`").at("prompt"));
        }
        let params = EditParams {
            edit_type,
            cross_replace: body.cross_replace_steps.as_ref().map(cross_replace).transpose()?,
            self_replace: body
                .self_replace_steps
                .as_ref()
                .map(|value| window(value, "self_replace_steps"))
                .transpose()?,
            equalizer: equalizer(&body)?,
            local_blend: local_blend(&body)?,
        };
        let output = OutputBody {
            response_format: body.response_format,
            output_format: body.output_format,
            output_compression: body.output_compression,
            ..OutputBody::default()
        };
        Ok(Self {
            prompt: body.prompt,
            params,
            include_source: body.include_source.unwrap_or(false),
            attention: body.attention.unwrap_or(false),
            output: Output::new(&output)?,
        })
    }
}

impl Output {
    /// The same in the format that the `Accept` header names, if it names one.
    #[must_use]
    pub fn in_format(self, format: Option<OutputFormat>) -> Self {
        Self { format: format.unwrap_or(self.format), ..self }
    }

    /// Checks how images are wanted.
    pub fn new(body: &OutputBody) -> Result<Self, Problem> {
        if let Some(other) = body.response_format.as_deref().filter(|format| *format != "b64_json") {
            let detail = format!("{other:?} is not served, b64_json is");
            return Err(Problem::new(Code::InvalidValue, detail).at("response_format"));
        }
        let format = match body.output_format.as_deref() {
            None => OutputFormat::Png,
            Some(name) => OutputFormat::ALL.into_iter().find(|format| format.as_str() == name).ok_or_else(|| {
                let detail = format!("{name:?} is not served, png, jpeg and webp are");
                Problem::new(Code::InvalidValue, detail).at("output_format")
            })?,
        };
        let quality = match body.output_compression {
            None => None,
            Some(quality) => {
                let known = u8::try_from(quality).ok().filter(|quality| (1..=100).contains(quality));
                Some(known.ok_or_else(|| {
                    let detail = format!("the quality is {quality}, 1 to 100 is possible");
                    Problem::new(Code::InvalidValue, detail).at("output_compression")
                })?)
            }
        };
        Ok(Self { format, quality })
    }
}

/// The edit type by its name.
pub fn edit_type(name: Option<&str>) -> Result<EditType, Problem> {
    let Some(name) = name else {
        return Ok(EditType::Auto);
    };
    let all = [EditType::Auto, EditType::Replace, EditType::Refine, EditType::Reweight];
    all.into_iter().find(|edit_type| edit_type.as_str() == name).ok_or_else(|| {
        let detail = format!("{name:?} is no edit type, auto, replace, refine and reweight are");
        Problem::new(Code::InvalidValue, detail).at("edit_type")
    })
}

fn cross_replace(value: &Value) -> Result<CrossReplaceSteps, Problem> {
    const FIELD: &str = "cross_replace_steps";
    let Value::Object(windows) = value else {
        return Ok(CrossReplaceSteps { default: window(value, FIELD)?, words: Vec::new() });
    };
    check_entries(windows.len(), FIELD)?;
    let mut steps = CrossReplaceSteps {
        // As the published code: words without a `default_` leave everything else injected throughout.
        default: Window { lo: 0.0, hi: 1.0 },
        words: Vec::new(),
    };
    for (word, value) in windows {
        let window = window(value, &format!("{FIELD}.{word}"))?;
        match word.as_str() {
            "default_" => steps.default = window,
            _ => steps.words.push((WordRef::Text(word.clone()), window)),
        }
    }
    Ok(steps)
}

/// A fraction, or a pair of fractions.
fn window(value: &Value, field: &str) -> Result<Window, Problem> {
    let is_window = match value {
        Value::Number(_) => true,
        Value::Array(bounds) => bounds.len() == 2 && bounds.iter().all(Value::is_number),
        _ => false,
    };
    let invalid = |detail: String| Problem::new(Code::InvalidWindow, detail).at(field);
    if !is_window {
        let detail = format!("a fraction such as 0.8 or a window such as [0.0, 0.8] is wanted, not {}", kind(value));
        return Err(invalid(detail));
    }
    Window::deserialize(value).map_err(|error| invalid(error.to_string()))
}

fn equalizer(body: &EditBody) -> Result<Vec<Equalize>, Problem> {
    let conflict = |field: &str, detail: &str| Err(Problem::new(Code::InvalidValue, detail).at(field));
    let (entries, field): (Vec<EqualizerEntry>, _) =
        match (&body.equalizer, &body.equalizer_words, &body.equalizer_strengths) {
            (None, None, None) => return Ok(Vec::new()),
            (Some(entries), None, None) => {
                check_entries(entries.len(), "equalizer")?;
                let entries = entries.iter().enumerate();
                let read = entries.map(|(at, entry)| read(entry.clone(), &format!("equalizer[{at}]")));
                (read.collect::<Result<_, _>>()?, "equalizer")
            }
            (Some(_), _, _) => {
                return conflict("equalizer_words", "give `equalizer`, or `equalizer_words` and `equalizer_strengths`");
            }
            (None, Some(words), Some(strengths)) if words.len() == strengths.len() => {
                let pairs = words.iter().cloned().zip(strengths.iter().copied());
                (pairs.map(|(word, strength)| EqualizerEntry { word, strength }).collect(), "equalizer_words")
            }
            (None, _, _) => {
                return conflict("equalizer_strengths", "as many strengths as `equalizer_words` are wanted");
            }
        };
    check_entries(entries.len(), field)?;
    let read_entry = |(at, entry): (usize, EqualizerEntry)| {
        // The strength is checked where the plan is made: beyond f32 it is infinite there.
        #[allow(clippy::cast_possible_truncation)]
        let strength = entry.strength as f32;
        let path = if field == "equalizer" { format!("equalizer[{at}].word") } else { format!("{field}[{at}]") };
        Ok(Equalize { word: word(&entry.word, &path)?, strength })
    };
    let entries: Vec<Equalize> = entries.into_iter().enumerate().map(read_entry).collect::<Result<_, Problem>>()?;
    for (at, entry) in entries.iter().enumerate() {
        if entries[..at].iter().any(|earlier| earlier.word == entry.word) {
            let detail = format!("the word {} is given two strengths", entry.word);
            return Err(Problem::new(Code::InvalidValue, detail).at(format!("equalizer[{at}].word")));
        }
    }
    Ok(entries)
}

fn local_blend(body: &EditBody) -> Result<Option<LocalBlendParams>, Problem> {
    const FIELD: &str = "local_blend";
    let blend = match (&body.local_blend, &body.local_blend_words) {
        (Some(_), Some(_)) => {
            let detail = "give `local_blend` or `local_blend_words`, not both";
            return Err(Problem::new(Code::InvalidValue, detail).at("local_blend_words"));
        }
        (None, Some(words)) => {
            let [source, target] = words.as_slice() else {
                let detail = format!("[source words, target words] is wanted, not {} entries", words.len());
                return Err(Problem::new(Code::InvalidValue, detail).at("local_blend_words"));
            };
            let words = BlendWords::Listed {
                source: Some(word_list(source, "local_blend_words[0]")?),
                target: Some(word_list(target, "local_blend_words[1]")?),
            };
            return Ok(Some(LocalBlendParams { words, ..LocalBlendParams::default() }));
        }
        (None | Some(Value::Null | Value::Bool(false)), None) => return Ok(None),
        (Some(Value::Bool(true)), None) => return Ok(Some(LocalBlendParams::default())),
        (Some(Value::Object(object)), None) => read::<LocalBlendBody>(object.clone(), FIELD)?,
        (Some(other), None) => {
            let detail =
                format!("an object with words, or true for the words that differ, is wanted, not {}", kind(other));
            return Err(Problem::new(Code::InvalidValue, detail).at(FIELD));
        }
    };
    let list = |words: &Option<Value>, name: &str| {
        words.as_ref().map(|words| word_list(words, &format!("{FIELD}.{name}"))).transpose()
    };
    let defaults = LocalBlendParams::default();
    Ok(Some(LocalBlendParams {
        words: BlendWords::Listed {
            source: list(&blend.source_words, "source_words")?,
            target: list(&blend.target_words, "target_words")?,
        },
        exclude: list(&blend.exclude_words, "exclude_words")?.unwrap_or_default(),
        #[allow(clippy::cast_possible_truncation)]
        threshold: blend.threshold.map_or(defaults.threshold, |threshold| threshold as f32),
        start: blend.start.unwrap_or(defaults.start),
    }))
}

/// A list of words, or one word.
fn word_list(value: &Value, path: &str) -> Result<Vec<WordRef>, Problem> {
    match value {
        Value::Array(words) => {
            check_entries(words.len(), path)?;
            words.iter().enumerate().map(|(at, value)| word(value, &format!("{path}[{at}]"))).collect()
        }
        one => Ok(vec![word(one, path)?]),
    }
}

fn check_entries(count: usize, path: &str) -> Result<(), Problem> {
    if count <= MAX_ENTRIES {
        return Ok(());
    }
    Err(Problem::new(Code::InvalidValue, format!("{count} entries are too many, {MAX_ENTRIES} are possible")).at(path))
}

/// A word of a prompt: its text, or its 0-based index.
fn word(value: &Value, path: &str) -> Result<WordRef, Problem> {
    let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
    match (value, index) {
        (Value::String(text), _) => Ok(WordRef::Text(text.clone())),
        (_, Some(index)) => Ok(WordRef::Index(index)),
        _ => {
            let detail = format!(
                "a word or a 0-based word index is wanted, not {}",
                match value {
                    Value::Number(number) => number.to_string(),
                    other => kind(other).to_owned(),
                }
            );
            Err(Problem::new(Code::InvalidValue, detail).at(path))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<EditSpec, (Code, String)> {
        let Value::Object(object) = value else { panic!("an object") };
        EditSpec::parse(object).map_err(|problem| (problem.code(), problem.param().unwrap_or_default().to_owned()))
    }

    fn refused(value: Value) -> (Code, String) {
        parse(value).expect_err("refused")
    }

    #[test]
    fn a_prompt_alone_asks_for_nothing_else() {
        let spec = parse(json!({"prompt": "a dog"})).unwrap();
        assert_eq!(spec.params, EditParams::default());
        assert_eq!(spec.output, Output { format: OutputFormat::Png, quality: None });
        assert!(!spec.include_source);
    }

    #[test]
    fn windows_come_as_fractions_pairs_and_per_word() {
        let steps = |value| {
            parse(json!({"prompt": "", "cross_replace_steps": value})).map(|spec| spec.params.cross_replace.unwrap())
        };
        let window = |lo, hi| Window { lo, hi };
        assert_eq!(steps(json!(0.6)).unwrap().default, window(0.0, 0.6));
        assert_eq!(steps(json!([0.2, 0.6])).unwrap().default, window(0.2, 0.6));
        let per_word = steps(json!({"default_": 0.8, "dog": [0.1, 0.4]})).unwrap();
        assert_eq!(per_word.default, window(0.0, 0.8));
        assert_eq!(per_word.words, [(WordRef::Text("dog".to_owned()), window(0.1, 0.4))]);
        assert_eq!(steps(json!({"dog": 0.4})).unwrap().default, window(0.0, 1.0));
        for wrong in [json!([0.9, 0.1]), json!(1.5), json!(-0.1), json!("0.8"), json!([0.1]), json!([0, 1, 2])] {
            assert_eq!(steps(wrong).unwrap_err(), (Code::InvalidWindow, "cross_replace_steps".to_owned()));
        }
        let wrong_word = steps(json!({"dog": [0.5]})).unwrap_err();
        assert_eq!(wrong_word, (Code::InvalidWindow, "cross_replace_steps.dog".to_owned()));
    }

    #[test]
    fn older_names_mean_the_same() {
        let new = json!({"prompt": "a dog", "equalizer": [{"word": "dog", "strength": 2.0}],
                         "local_blend": {"source_words": ["cat"], "target_words": ["dog"]}});
        let old = json!({"target_prompt": "a dog", "equalizer_words": ["dog"], "equalizer_strengths": [2.0],
                         "local_blend_words": ["cat", ["dog"]]});
        assert_eq!(parse(new).unwrap(), parse(old).unwrap());
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let with = |field: &str, value: Value| {
            let mut body = json!({"prompt": "a dog"});
            body[field] = value;
            refused(body)
        };
        let invalid = |field: &str| (Code::InvalidValue, field.to_owned());
        assert_eq!(with("edit_type", json!("swap")), invalid("edit_type"));
        assert_eq!(with("response_format", json!("url")), invalid("response_format"));
        assert_eq!(with("output_format", json!("gif")), invalid("output_format"));
        assert_eq!(with("output_compression", json!(0)), invalid("output_compression"));
        assert_eq!(with("local_blend", json!(3)), invalid("local_blend"));
        assert_eq!(with("equalizer", json!([{"word": -1, "strength": 1}])), invalid("equalizer[0].word"));
        assert_eq!(with("equalizer", json!([{"word": "dog", "strength": "NaN"}])), invalid("equalizer[0].strength"));
        assert_eq!(with("equalizer_words", json!(["dog"])), invalid("equalizer_strengths"));
        assert_eq!(with("blend", json!(true)), (Code::UnknownField, "blend".to_owned()));
        let nested = with("local_blend", json!({"tresh": 1}));
        assert_eq!(nested, (Code::UnknownField, "local_blend.tresh".to_owned()));
        assert_eq!(refused(json!({})), (Code::MissingField, "prompt".to_owned()));
        assert!(parse(json!({"edit_type": "reweight"})).is_ok());
    }
}
