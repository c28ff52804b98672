//! A local blend: a boolean, or an object with words.

use serde_json::{Value, json};

use crate::api::fields::{Components, FieldType, Node, fields, shape, to_schema};
use crate::api::operations::values::words::Words;
use crate::api::problem::{Code, Problem};
use crate::p2p::{BlendWords, LocalBlendParams};

fields! {
    /// Where an edit may change the image.
    struct BlendFields as "LocalBlendBody", enum BlendField, Default {
        /// Words of the source prompt (or 0-based indices); if absent, the words that differ.
        SourceWords = source_words: Option<Words> => {"example": ["cat"]};
        /// Words of the target prompt (or 0-based indices); if absent, the words that differ.
        TargetWords = target_words: Option<Words> => {"example": ["dog"]};
        /// Words of either prompt whose regions stay as they are.
        ExcludeWords = exclude_words: Option<Words>;
        /// The fraction of the highest attention that a position of a region exceeds. Default: `0.3`.
        Threshold = threshold: Option<f64> => {"minimum": 0, "exclusiveMaximum": 1};
        /// The fraction of the steps after which blending starts. Default: `0.2`.
        Start = start: Option<f64> => {"minimum": 0, "exclusiveMaximum": 1};
    }
}

/// A local blend as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalBlend {
    /// None.
    Off,
    /// Where the words that differ are.
    DifferingWords,
    /// With words or numbers of its own.
    With(BlendFields),
}

/// `[source words, target words]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlendPair(pub Words, pub Words);

impl LocalBlend {
    /// The blend of an edit; `None` where it is off.
    pub(crate) fn params(self) -> Option<LocalBlendParams> {
        let defaults = LocalBlendParams::default();
        match self {
            Self::Off => None,
            Self::DifferingWords => Some(defaults),
            Self::With(fields) => Some(LocalBlendParams {
                words: BlendWords::Listed {
                    source: fields.source_words.map(|words| words.0),
                    target: fields.target_words.map(|words| words.0),
                },
                exclude: fields.exclude_words.map(|words| words.0).unwrap_or_default(),
                #[allow(clippy::cast_possible_truncation)]
                threshold: fields.threshold.map_or(defaults.threshold, |threshold| threshold as f32),
                start: fields.start.unwrap_or(defaults.start),
            }),
        }
    }
}

impl FieldType for LocalBlend {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        match node.value {
            Value::Bool(false) => Ok(Self::Off),
            Value::Bool(true) => Ok(Self::DifferingWords),
            Value::Object(_) => BlendFields::read(node).map(Self::With),
            _ => Err(node.unexpected("true, false, or an object with words")),
        }
    }

    fn schema() -> Value {
        shape::reference("LocalBlend")
    }

    fn components(into: &mut Components) {
        into.add("LocalBlend", || {
            let differing = "`true`: in the regions of the words that differ; `false`: everywhere.";
            json!({
                "oneOf": [{"type": "boolean", "description": differing}, BlendFields::schema()],
                "description": "Where an edit may change the image."
            })
        });
        BlendFields::components(into);
    }
}

impl FieldType for BlendPair {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        let lists = Vec::<Words>::read(node)?;
        match <[Words; 2]>::try_from(lists) {
            Ok([source, target]) => Ok(Self(source, target)),
            Err(lists) => {
                let detail = format!("expected [source words, target words], got {} entries", lists.len());
                Err(node.problem(Code::InvalidValue, detail))
            }
        }
    }

    fn schema() -> Value {
        json!({"type": "array", "items": Words::schema(), "minItems": 2, "maxItems": 2})
    }

    fn components(into: &mut Components) {
        Words::components(into);
    }
}

to_schema!(LocalBlend as "LocalBlend");
