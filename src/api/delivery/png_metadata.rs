//! How an image was made, as texts inside its PNG file:
//!
//! - `parameters`: in the format of AUTOMATIC1111, which frontends of Stable Diffusion read
//! - `reprompt`: JSON with the model, the call and the body that make the image again
//!
//! Contract: both describe what was done, not how it was requested. They hold nothing random and no time, so equivalent
//! requests make equal files. An edit that equals its source has the texts of the source.

use serde::Serialize;
use serde_json::Value;

use crate::api::operations::sessions::response::SourceBody;
use crate::api::operations::windows;
use crate::diffusion::ModelInfo;
use crate::engine::PreparedEdit;
use crate::media::Text;
use crate::p2p::{BlendWords, EditParams, LocalBlendParams, WordRef};
use crate::recordings::Source;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Digits of a hash that frontends show.
const SHORT_HASH: usize = 10;

#[derive(Serialize)]
struct Recipe<'a, B> {
    version: &'static str,
    model: Model<'a>,
    call: &'static str,
    body: B,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    fingerprint: &'a str,
}

#[derive(Serialize)]
struct Session {
    source: SourceBody,
}

#[derive(Serialize)]
struct Edit<'a> {
    source: SourceBody,
    prompt: &'a str,
    edit_type: &'static str,
    cross_replace_steps: Value,
    self_replace_steps: [f64; 2],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    equalizer: Vec<Factor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_blend: Option<Blend<'a>>,
}

#[derive(Serialize)]
struct Factor<'a> {
    word: Word<'a>,
    strength: f32,
}

#[derive(Serialize)]
struct Blend<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source_words: Option<Vec<Word<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_words: Option<Vec<Word<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exclude_words: Vec<Word<'a>>,
    threshold: f32,
    start: f64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Word<'a> {
    Text(&'a str),
    Index(usize),
}

impl<'a> From<&'a WordRef> for Word<'a> {
    fn from(word: &'a WordRef) -> Self {
        match word {
            WordRef::Text(text) => Self::Text(text),
            WordRef::Index(index) => Self::Index(*index),
        }
    }
}

impl<'a> From<&'a LocalBlendParams> for Blend<'a> {
    fn from(blend: &'a LocalBlendParams) -> Self {
        let (source, target) = match &blend.words {
            BlendWords::DifferingWords => (None, None),
            BlendWords::Listed { source, target } => (source.as_deref(), target.as_deref()),
        };
        Self {
            source_words: source.map(words),
            target_words: target.map(words),
            exclude_words: words(&blend.exclude),
            threshold: blend.threshold,
            start: blend.start,
        }
    }
}

fn words(words: &[WordRef]) -> Vec<Word<'_>> {
    words.iter().map(Word::from).collect()
}

/// The texts of a source's image.
pub fn of_source(model: &ModelInfo, source: &Source) -> Vec<Text> {
    let body = Session { source: SourceBody::from(source) };
    texts(model, "POST /v1/sessions", body, parameters(model, source, &source.prompt, &[]))
}

/// The texts of an edit's image.
pub fn of_edit(model: &ModelInfo, source: &Source, edit: &PreparedEdit, params: &EditParams) -> Vec<Text> {
    if edit.plan.is_identity() {
        return of_source(model, source);
    }
    let (edit_type, windows) = (edit.plan.edit_type().as_str(), windows::body(edit.plan.windows()));
    let more = [
        ("Source prompt", source.prompt.clone()),
        ("Edit type", edit_type.to_owned()),
        ("Cross replace steps", windows.cross_replace_steps.to_string()),
        ("Self replace steps", format!("[{:?},{:?}]", windows.self_replace_steps[0], windows.self_replace_steps[1])),
    ];
    let parameters = parameters(model, source, edit.prompt.text(), &more);
    let body = Edit {
        source: SourceBody::from(source),
        prompt: edit.prompt.text(),
        edit_type,
        cross_replace_steps: windows.cross_replace_steps,
        self_replace_steps: windows.self_replace_steps,
        equalizer: params.equalizer.iter().map(|e| Factor { word: (&e.word).into(), strength: e.strength }).collect(),
        local_blend: params.local_blend.as_ref().map(Blend::from),
    };
    texts(model, "POST /v1/edits", body, parameters)
}

fn texts(model: &ModelInfo, call: &'static str, body: impl Serialize, parameters: String) -> Vec<Text> {
    let model = Model { id: &model.name, fingerprint: &model.fingerprint };
    let recipe = Recipe { version: VERSION, model, call, body };
    // Strings and finite numbers can always be serialized.
    let recipe = serde_json::to_string(&recipe).unwrap_or_default();
    vec![Text { keyword: "parameters", text: parameters }, Text { keyword: "reprompt", text: recipe }]
}

/// The prompt, the negative prompt, and a line of settings.
fn parameters(model: &ModelInfo, source: &Source, prompt: &str, more: &[(&str, String)]) -> String {
    let mut settings = vec![
        ("Steps", source.steps.to_string()),
        ("Sampler", source.sampler.as_str().to_uppercase()),
        ("CFG scale", source.guidance_scale.to_string()),
        ("Seed", source.seed().to_string()),
        ("Size", format!("{}x{}", source.width, source.height)),
        ("Model hash", model.fingerprint.chars().take(SHORT_HASH).collect()),
        ("Model", model.name.clone()),
    ];
    settings.extend(more.iter().cloned());
    settings.push(("Version", format!("reprompt {VERSION}")));
    let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name}: {}", quoted(value))).collect();
    let negative = match source.negative_prompt.as_str() {
        "" => String::new(),
        negative => format!("Negative prompt: {negative}\n"),
    };
    format!("{prompt}\n{negative}{}", settings.join(", "))
}

/// A value with a separator in it is quoted as JSON does.
fn quoted(value: &str) -> String {
    if value.contains([',', ':', '\n']) { Value::from(value).to_string() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_hold_a_separator_are_quoted() {
        assert_eq!(quoted("a cat"), "a cat");
        assert_eq!(quoted("a cat, \"sleeping\""), r#""a cat, \"sleeping\"""#);
        assert_eq!(quoted("[0.0,0.8]"), "\"[0.0,0.8]\"");
    }

    #[test]
    fn words_are_written_as_a_request_names_them() {
        let blend = LocalBlendParams {
            words: BlendWords::Listed { source: None, target: Some(vec![WordRef::Index(1)]) },
            exclude: vec![WordRef::Text("sky".to_owned())],
            ..LocalBlendParams::default()
        };
        let json = serde_json::to_string(&Blend::from(&blend)).unwrap();
        assert_eq!(json, r#"{"target_words":[1],"exclude_words":["sky"],"threshold":0.3,"start":0.2}"#);
    }
}
