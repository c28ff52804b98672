//! Windows of steps: a fraction or a pair of fractions; for cross-attention also by words.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::fields::types::MAX_ENTRIES;
use crate::api::fields::{Components, FieldType, Node, shape, to_schema};
use crate::api::problem::{Code, Problem};
use crate::p2p::{CrossReplaceSteps, Window, WordRef};

/// The name of the window of all words without a window of their own, as in the published code.
pub(crate) const DEFAULT: &str = "default_";

/// Windows of cross-attention by words, with that of [`DEFAULT`]. Without it, all other words are injected at every
/// step, as in the published code.
pub(crate) fn by_word(mut windows: BTreeMap<String, Window>) -> CrossReplaceSteps {
    let default = windows.remove(DEFAULT).unwrap_or(Window { lo: 0.0, hi: 1.0 });
    let words = windows.into_iter().map(|(word, window)| (WordRef::Text(word), window)).collect();
    CrossReplaceSteps { default, words }
}

impl FieldType for Window {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        let bounds = match node.value {
            Value::Array(bounds) => match bounds.as_slice() {
                [lo, hi] => lo.as_f64().zip(hi.as_f64()),
                _ => None,
            },
            fraction => fraction.as_f64().map(|hi| (0.0, hi)),
        };
        let Some((lo, hi)) = bounds else {
            let got = crate::api::fields::node::shown(node.value);
            let detail = format!("expected a fraction such as 0.8 or a window such as [0.0, 0.8], got {got}");
            return Err(node.problem(Code::InvalidWindow, detail));
        };
        Self::new(lo, hi).map_err(|error| node.problem(Code::InvalidWindow, error.to_string()))
    }

    fn schema() -> Value {
        shape::reference("Window")
    }

    fn components(into: &mut Components) {
        into.add("Window", || {
            let fraction = json!({"type": "number", "minimum": 0, "maximum": 1});
            let mut first = fraction.clone();
            first["description"] = "From the first step to this fraction of the steps.".into();
            let pair = json!({
                "type": "array", "items": fraction, "minItems": 2, "maxItems": 2,
                "description": "From one fraction of the steps to another."
            });
            json!({
                "oneOf": [first, pair],
                "description": "A window of steps: a fraction counted from the start, or from one fraction to another."
            })
        });
    }
}

impl FieldType for CrossReplaceSteps {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        let Value::Object(fields) = node.value else {
            return Window::read(node).map(|default| Self { default, words: Vec::new() });
        };
        if fields.len() > MAX_ENTRIES {
            let detail = format!("expected at most {MAX_ENTRIES} windows, got {}", fields.len());
            return Err(node.problem(Code::InvalidValue, detail));
        }
        let object = node.object()?;
        let windows = object.entries().map(|(word, node)| Ok((word.to_owned(), Window::read(node)?)));
        windows.collect::<Result<_, Problem>>().map(by_word)
    }

    fn schema() -> Value {
        shape::reference("CrossWindows")
    }

    fn components(into: &mut Components) {
        into.add("CrossWindows", || {
            let by_word = json!({
                "type": "object", "additionalProperties": Window::schema(), "maxProperties": MAX_ENTRIES,
                "description": "Windows by word; `default_` is the window of all other words."
            });
            json!({
                "oneOf": [Window::schema(), by_word],
                "description": "One window for all words, or windows by word of the target prompt."
            })
        });
        Window::components(into);
    }
}

to_schema!(Window as "Window");
to_schema!(CrossReplaceSteps as "CrossWindows");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::read_value;

    fn window(lo: f64, hi: f64) -> Window {
        Window { lo, hi }
    }

    #[test]
    fn windows_come_as_fractions_pairs_and_per_word() {
        let read = |value| read_value::<CrossReplaceSteps>(&value);
        assert_eq!(read(json!(0.6)).unwrap().default, window(0.0, 0.6));
        assert_eq!(read(json!([0.2, 1])).unwrap().default, window(0.2, 1.0));
        let per_word = read(json!({"default_": 0.8, "dog": [0.1, 0.4]})).unwrap();
        assert_eq!(per_word.default, window(0.0, 0.8));
        assert_eq!(per_word.words, [(WordRef::Text("dog".to_owned()), window(0.1, 0.4))]);
        assert_eq!(read(json!({"dog": 0.4})).unwrap().default, window(0.0, 1.0));
        for wrong in [json!([0.9, 0.1]), json!(1.5), json!(-0.1), json!("0.8"), json!([0.1]), json!([0, 1, 2])] {
            assert_eq!(read(wrong).unwrap_err().code(), Code::InvalidWindow);
        }
        let wrong_word = read(json!({"dog": [0.5]})).unwrap_err();
        assert_eq!((wrong_word.code(), wrong_word.param()), (Code::InvalidWindow, Some("dog")));
    }
}
