//! Words of a prompt: one by its text or its index, and lists of them.

use serde_json::{Value, json};

use crate::api::fields::types::{MAX_ENTRIES, integer};
use crate::api::fields::{Components, FieldType, Node, shape, to_schema};
use crate::api::problem::Problem;
use crate::p2p::WordRef;

/// One word, or a list of words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words(pub Vec<WordRef>);

impl FieldType for WordRef {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        let index = integer(node.value).and_then(|index| usize::try_from(index).ok());
        match (node.value, index) {
            (Value::String(text), _) => Ok(Self::Text(text.clone())),
            (_, Some(index)) => Ok(Self::Index(index)),
            _ => Err(node.unexpected("a word or a 0-based word index")),
        }
    }

    fn schema() -> Value {
        shape::reference("Word")
    }

    fn components(into: &mut Components) {
        into.add("Word", || {
            let index = json!({"type": "integer", "minimum": 0, "description": "A 0-based word index."});
            json!({
                "oneOf": [{"type": "string"}, index],
                "description": "A word of a prompt, or a phrase; case and punctuation do not count. Or a 0-based word index."
            })
        });
    }
}

impl FieldType for Words {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        if node.value.is_array() { Vec::read(node).map(Self) } else { WordRef::read(node).map(|word| Self(vec![word])) }
    }

    fn schema() -> Value {
        shape::reference("Words")
    }

    fn components(into: &mut Components) {
        into.add("Words", || {
            let list = json!({"type": "array", "items": WordRef::schema(), "maxItems": MAX_ENTRIES});
            json!({"oneOf": [WordRef::schema(), list], "description": "One word of a prompt, or several."})
        });
        WordRef::components(into);
    }
}

to_schema!(WordRef as "Word");
to_schema!(Words as "Words");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::read_value;

    #[test]
    fn words_are_texts_and_indices_alone_or_in_a_list() {
        let cat = || WordRef::Text("cat".to_owned());
        assert_eq!(read_value(&json!("cat")), Ok(Words(vec![cat()])));
        assert_eq!(read_value(&json!(["cat", 2])), Ok(Words(vec![cat(), WordRef::Index(2)])));
        assert_eq!(read_value(&json!(2.0)), Ok(Words(vec![WordRef::Index(2)])));
        for (wrong, got) in
            [(json!(-1), "-1"), (json!(1.5), "1.5"), (json!({}), "an object"), (json!(true), "a boolean")]
        {
            let detail = read_value::<Words>(&wrong).unwrap_err().detail().to_owned();
            assert_eq!(detail, format!("expected a word or a 0-based word index, got {got}"));
        }
        assert_eq!(read_value::<Words>(&json!(["cat", null])).unwrap_err().param(), Some("[1]"));
    }
}
