//! The requests of edits: of a source, and of a session.
//!
//! Contract: one table has the fields of an edit; [`EditFields::params`] turns them into the parameters of the method.
//! The command line fills the same struct.

use serde_json::{Map, Value};

use crate::api::fields::shape::Property;
use crate::api::fields::{Components, FieldName, FieldType, Group, Invalid, Object, Shape, fields, to_schema};
use crate::api::operations::output::{FileFields, ResponseFields};
use crate::api::operations::source::{SourceField, SourceFields, SourcePlace, named_in};
use crate::api::operations::values::blend::{BlendPair, LocalBlend};
use crate::api::operations::values::prompt::PromptText;
use crate::api::operations::waiting::WaitFields;
use crate::api::problem::{Code, Problem};
use crate::diffusion::ModelInfo;
use crate::engine::PreparedSource;
use crate::p2p::{BlendWords, CrossReplaceSteps, EditParams, EditType, Equalize, LocalBlendParams, Window, WordRef};

fields! {
    /// The strength of a word: a factor on the attention to it.
    struct EqualizerEntry as "EqualizerEntry", enum EqualizerField {
        /// A word of the target prompt, a phrase, or a 0-based word index.
        Word = word: WordRef;
        /// Above 1 strengthens the word, below 1 weakens it, a negative value suppresses it.
        Strength = strength: f64 => {"example": 2.0};
    }
}

fields! {
    /// A target prompt, and the controls of attention.
    struct EditFields as "EditOptions", enum EditField, Default {
        /// The target prompt. Optional for `reweight`, which keeps the source's. Alias: `target_prompt`.
        Prompt = prompt | "target_prompt": Option<PromptText>;
        /// How words are aligned: `auto`, `replace`, `refine` or `reweight`.
        EditType = edit_type: EditType = EditType::Auto;
        /// When cross-attention is the source's: a fraction of the steps, a window `[0.0, 0.8]`, or windows by word
        /// `{"default_": 0.8, "tiger": [0.0, 0.2]}`. 0 turns it off. If absent: with `auto`, the model's presets for
        /// this kind of edit, if it has any (see `/v1/models`); else 0.8.
        CrossReplaceSteps = cross_replace_steps: Option<CrossReplaceSteps>;
        /// When self-attention is the source's: a fraction of the steps or a window. 0 turns it off. If absent: with
        /// `auto`, the model's presets, as for `cross_replace_steps`; else 0.4.
        SelfReplaceSteps = self_replace_steps: Option<Window>;
        /// Strengths of words of the target prompt. Each acts only inside the word's cross-attention window.
        Equalizer = equalizer: Option<Vec<EqualizerEntry>>;
        /// Words, as an alternative to `equalizer`.
        EqualizerWords = equalizer_words: Option<Vec<WordRef>>;
        /// One strength for each of `equalizer_words`.
        EqualizerStrengths = equalizer_strengths: Option<Vec<f64>>;
        /// Keeps the source outside the regions of words: an object, or `true` for the words that differ.
        LocalBlend = local_blend: Option<LocalBlend>;
        /// `[source words, target words]`, each a word or a list of words, as an alternative to `local_blend`.
        LocalBlendWords = local_blend_words: Option<BlendPair>;
        /// Whether the response also has the source's image.
        IncludeSource = include_source: bool = false;
        /// Whether the response has the edit's attention to each word of its prompt, as numbers.
        Attention = attention: bool = false;
    }
}

/// The fields of an edit call besides those of its source.
const OF_EDIT: &[&[&str]] = &[EditFields::NAMES, ResponseFields::NAMES, FileFields::NAMES, WaitFields::NAMES];

/// `POST /v1/sessions/{id}/edits`: an edit of a session's source.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionEditRequest {
    /// The edit.
    pub edit: EditFields,
    /// The files of its images.
    pub files: FileFields,
}

/// `POST /v1/edits`: a source, and an edit of it.
#[derive(Debug, Clone, PartialEq)]
pub struct EditRequest {
    /// The source.
    pub source: SourceFields,
    /// The edit.
    pub edit: EditFields,
    /// The files of its images.
    pub files: FileFields,
}

impl EditFields {
    /// The parameters of the edit.
    ///
    /// # Errors
    /// If fields exclude each other, or the prompt is missing.
    pub(crate) fn params(&self) -> Result<EditParams, Invalid<EditField>> {
        if self.prompt.is_none() && self.edit_type != EditType::Reweight {
            let field = EditField::Prompt;
            return Err(Invalid::new(Code::MissingField, field, format!("missing field `{}`", field.name())));
        }
        Ok(EditParams {
            edit_type: self.edit_type,
            cross_replace: self.cross_replace_steps.clone(),
            self_replace: self.self_replace_steps,
            equalizer: self.equalizer()?,
            local_blend: self.local_blend()?,
        })
    }

    /// The factors, one for each word.
    fn equalizer(&self) -> Result<Vec<Equalize>, Invalid<EditField>> {
        let factors = self.factors()?;
        for (at, Equalize { word, .. }) in factors.iter().enumerate() {
            if factors[..at].iter().any(|earlier| earlier.word == *word) {
                let detail = format!("the word {word} has two strengths; give it one");
                return Err(Invalid::value(EditField::Equalizer, detail).inside(format!("[{at}].word")));
            }
        }
        Ok(factors)
    }

    /// The factors as they are given, in either form.
    fn factors(&self) -> Result<Vec<Equalize>, Invalid<EditField>> {
        // Strengths are checked when the plan is made. A value beyond the range of f32 becomes infinite and is refused
        // there.
        #[allow(clippy::cast_possible_truncation)]
        let factor = |word: &WordRef, strength: f64| Equalize { word: word.clone(), strength: strength as f32 };
        match (&self.equalizer, &self.equalizer_words, &self.equalizer_strengths) {
            (None, None, None) => Ok(Vec::new()),
            (Some(entries), None, None) => {
                Ok(entries.iter().map(|entry| factor(&entry.word, entry.strength)).collect())
            }
            (Some(_), _, _) => {
                let detail = "give `equalizer`, or `equalizer_words` and `equalizer_strengths`, not both";
                Err(Invalid::value(EditField::EqualizerWords, detail))
            }
            (None, Some(words), Some(strengths)) if words.len() == strengths.len() => {
                Ok(words.iter().zip(strengths).map(|(word, strength)| factor(word, *strength)).collect())
            }
            (None, words, strengths) => {
                let count = |len: Option<usize>| len.unwrap_or(0);
                let (words, strengths) = (count(words.as_ref().map(Vec::len)), count(strengths.as_ref().map(Vec::len)));
                let detail = format!("expected one strength for each of the {words} words, got {strengths}");
                Err(Invalid::value(EditField::EqualizerStrengths, detail))
            }
        }
    }

    fn local_blend(&self) -> Result<Option<LocalBlendParams>, Invalid<EditField>> {
        match (&self.local_blend, &self.local_blend_words) {
            (Some(_), Some(_)) => {
                let detail = "give `local_blend` or `local_blend_words`, not both";
                Err(Invalid::value(EditField::LocalBlendWords, detail))
            }
            (Some(blend), None) => Ok(blend.clone().params()),
            (None, Some(BlendPair(source, target))) => {
                let words = BlendWords::Listed { source: Some(source.0.clone()), target: Some(target.0.clone()) };
                Ok(Some(LocalBlendParams { words, ..LocalBlendParams::default() }))
            }
            (None, None) => Ok(None),
        }
    }
}

impl SessionEditRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// The problem of the first field that cannot be read.
    pub(crate) fn read(body: &Map<String, Value>) -> Result<Self, Problem> {
        let body = Object::body(body);
        body.expect_only(&OF_EDIT.concat())?;
        Self::take(&body)
    }

    fn take(body: &Object<'_>) -> Result<Self, Problem> {
        ResponseFields::take(body)?;
        Ok(Self { edit: EditFields::take(body)?, files: FileFields::take(body)? })
    }

    fn shape() -> Shape {
        Shape::of::<EditFields>().and::<ResponseFields>().and::<FileFields>().and::<WaitFields>()
    }

    fn components(into: &mut Components) {
        into.add("EditBody", || {
            Self::shape().json("A target prompt, the controls of attention, and the form of the response.")
        });
        EditFields::group_components(into);
        ResponseFields::group_components(into);
        FileFields::group_components(into);
    }
}

impl EditRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// The problem of the first field that cannot be read.
    pub fn read(body: &Map<String, Value>) -> Result<Self, Problem> {
        let body = Object::body(body);
        let source = named_in(&body, OF_EDIT)?;
        let SessionEditRequest { edit, files } = SessionEditRequest::take(&body)?;
        Ok(Self { source, edit, files })
    }

    /// The source on a model, the target prompt and the parameters of the edit.
    ///
    /// # Errors
    /// The problem of the first field that the model or the method cannot have.
    pub fn resolve(self, model: &ModelInfo) -> Result<(PreparedSource, String, EditParams), Problem> {
        let params = self.edit.params()?;
        let source = self.source.resolve(model).map_err(|error| SourcePlace::Nested.problem(error))?;
        let prompt = self.edit.prompt.map_or_else(|| source.prompt.clone(), |prompt| prompt.as_str().to_owned());
        Ok((source, prompt, params))
    }

    fn components(into: &mut Components) {
        let edit = SessionEditRequest::shape;
        let ways = [
            ("EditOfSource", "A source, and an edit of it.", nested_source().join(edit())),
            (
                "EditOfPrompts",
                "The same, with the source's fields beside those of the edit.",
                flat_source().join(edit()),
            ),
        ];
        into.add_ways("EditRequest", "A source and an edit of it, in one of two forms.", &ways);
        SourceFields::components(into);
        SessionEditRequest::components(into);
    }
}

to_schema!(SessionEditRequest as "EditBody", SessionEditRequest::components);
to_schema!(EditRequest as "EditRequest", EditRequest::components);

/// The object `source` in a body.
pub(crate) fn nested_source() -> Shape {
    Shape::property(Property { name: "source", is_required: true, schema: SourceFields::schema() })
}

/// The fields of a source beside others, the prompt as `source_prompt`.
pub(crate) fn flat_source() -> Shape {
    Shape::of::<SourceFields>().renamed(SourceField::Prompt.name(), "source_prompt")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<EditParams, (Code, String)> {
        let Value::Object(body) = body else { panic!("an object") };
        let params = SessionEditRequest::read(&body).and_then(|request| Ok(request.edit.params()?));
        params.map_err(|problem| (problem.code(), problem.param().unwrap_or_default().to_owned()))
    }

    #[test]
    fn a_prompt_alone_asks_for_nothing_else() {
        let body = json!({"prompt": "a dog"});
        let request = SessionEditRequest::read(body.as_object().unwrap()).unwrap();
        assert_eq!(request.files, FileFields::default());
        assert_eq!((request.edit.include_source, request.edit.attention), (false, false));
        assert_eq!(request.edit.params().unwrap(), EditParams::default());
    }

    #[test]
    fn older_names_mean_the_same() {
        let new = json!({"prompt": "a dog", "equalizer": [{"word": "dog", "strength": 2.0}],
                         "local_blend": {"source_words": ["cat"], "target_words": ["dog"]}});
        let old = json!({"target_prompt": "a dog", "equalizer_words": ["dog"], "equalizer_strengths": [2.0],
                         "local_blend_words": ["cat", ["dog"]]});
        let params = read(new).unwrap();
        assert_eq!(params.equalizer, [Equalize { word: WordRef::Text("dog".to_owned()), strength: 2.0 }]);
        assert_eq!(read(old).unwrap(), params);
    }

    #[test]
    fn null_is_as_good_as_absent_and_a_blend_may_be_off() {
        let nulls = json!({"prompt": "a dog", "edit_type": null, "equalizer": null, "local_blend": null,
                           "cross_replace_steps": null, "include_source": null});
        assert_eq!(read(nulls).unwrap(), EditParams::default());
        assert_eq!(read(json!({"prompt": "a dog", "local_blend": false})).unwrap(), EditParams::default());
        let on = read(json!({"prompt": "a dog", "local_blend": true})).unwrap();
        assert_eq!(on.local_blend, Some(LocalBlendParams::default()));
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let with = |field: &str, value: Value| {
            let mut body = json!({"prompt": "a dog"});
            body[field] = value;
            read(body).expect_err("refused")
        };
        let invalid = |field: &str| (Code::InvalidValue, field.to_owned());
        assert_eq!(with("edit_type", json!("swap")), invalid("edit_type"));
        assert_eq!(with("response_format", json!("url")), invalid("response_format"));
        assert_eq!(with("output_format", json!("gif")), invalid("output_format"));
        assert_eq!(with("local_blend", json!(3)), invalid("local_blend"));
        assert_eq!(with("equalizer", json!([{"word": -1, "strength": 1}])), invalid("equalizer[0].word"));
        assert_eq!(with("equalizer", json!([{"word": "dog", "strength": "NaN"}])), invalid("equalizer[0].strength"));
        assert_eq!(with("equalizer", json!([["dog", 2]])), invalid("equalizer[0]"));
        assert_eq!(with("equalizer", json!(vec![json!({"word": "dog", "strength": 1}); 257])), invalid("equalizer"));
        assert_eq!(with("equalizer_words", json!(["dog"])), invalid("equalizer_strengths"));
        assert_eq!(with("local_blend_words", json!(["dog"])), invalid("local_blend_words"));
        assert_eq!(with("blend", json!(true)), (Code::UnknownField, "blend".to_owned()));
        let nested = with("local_blend", json!({"tresh": 1}));
        assert_eq!(nested, (Code::UnknownField, "local_blend.tresh".to_owned()));
        assert_eq!(read(json!({})).unwrap_err(), (Code::MissingField, "prompt".to_owned()));
        assert!(read(json!({"edit_type": "reweight"})).is_ok());
        let both = json!({"prompt": "a dog", "target_prompt": "a dog"});
        assert_eq!(read(both).unwrap_err(), invalid("prompt"));
    }

    #[test]
    fn schemas_are_closed_and_distinguished_by_their_required_fields() {
        let mut components = Vec::new();
        crate::api::fields::shape::collect(EditRequest::components, &mut components);
        let schema = |name: &str| {
            let (_, schema) = components.iter().find(|(known, _)| known == name).expect(name);
            serde_json::to_value(schema).unwrap()
        };
        for (name, required, fields) in [
            ("EditOfSource", "source", ["source", "prompt", "target_prompt", "local_blend_words", "webhook"]),
            ("EditOfPrompts", "source_prompt", ["steps", "cfg_scale", "sampler_name", "seed", "target_prompt"]),
        ] {
            let schema = schema(name);
            assert_eq!((&schema["additionalProperties"], &schema["required"]), (&json!(false), &json!([required])));
            for field in fields {
                assert!(schema["properties"].get(field).is_some(), "{field} is not in {name}");
            }
        }
    }
}
