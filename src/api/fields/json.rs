//! JSON text as a value in which every key occurs once.
//!
//! Contract: [`read`] accepts what `serde_json` accepts, and gives the same value, except that an object with a key
//! twice is refused, with the path of the key. `serde_json` alone keeps the last of them and drops the others silently.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::api::fields::node::Path;

/// Why a text is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It is not JSON.
    #[error(transparent)]
    Syntax(serde_json::Error),
    /// An object has a key twice.
    #[error("`{path}` is given twice; give it once")]
    Twice {
        /// The path of the key.
        path: String,
    },
}

/// Reads a text.
///
/// # Errors
/// [`Unreadable`].
pub(crate) fn read(text: &[u8]) -> Result<Value, Unreadable> {
    let twice = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = At { path: Path::Root, twice: &twice }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| match twice.take() {
        Some(path) => Unreadable::Twice { path },
        None => Unreadable::Syntax(error),
    })
}

/// Reads the value at a path. An error of `serde` is a text, so the path of a repeated key goes beside it.
#[derive(Clone, Copy)]
struct At<'a> {
    path: Path<'a>,
    twice: &'a Cell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) =
            entries.next_element_seed(At { path: Path::Entry(&self.path, list.len()), twice: self.twice })?
        {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let path = Path::Field(&self.path, &name);
            if fields.contains_key(&name) {
                self.twice.set(Some(path.to_string()));
                return Err(A::Error::custom("a key is given twice"));
            }
            let value = entries.next_value_seed(At { path, twice: self.twice })?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn twice(text: &str) -> Option<String> {
        match read(text.as_bytes()) {
            Err(Unreadable::Twice { path }) => Some(path),
            _ => None,
        }
    }

    /// Any value with the numbers, texts and nesting that JSON has.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Value::from),
                btree_map(".{1,3}", inner, 0..6).prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    /// The paths of all objects of a value, each with its keys.
    fn objects(value: &Value, path: &str, found: &mut Vec<(String, Vec<String>)>) {
        match value {
            Value::Object(fields) => {
                found.push((path.to_owned(), fields.keys().cloned().collect()));
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    objects(value, &path, found);
                }
            }
            Value::Array(entries) => {
                let at = |(at, value): (usize, &Value)| objects(value, &format!("{path}[{at}]"), found);
                entries.iter().enumerate().for_each(at);
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn a_text_without_repeated_keys_is_read_as_serde_json_reads_it(value in value(), is_pretty: bool) {
            let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            prop_assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        }

        #[test]
        fn any_text_is_json_as_far_as_serde_json_says(text in r#"[\[\]{}",:0-9eE+.\-\\ a-ftnruls]{0,12}"#) {
            let expected = serde_json::from_str::<Value>(&text);
            match read(text.as_bytes()) {
                Ok(value) => prop_assert_eq!(value, expected.unwrap()),
                Err(Unreadable::Syntax(error)) => prop_assert_eq!(error.to_string(), expected.unwrap_err().to_string()),
                // The one difference.
                Err(Unreadable::Twice { .. }) => prop_assert!(text.contains(',')),
            }
        }

        #[test]
        fn a_key_that_is_repeated_is_found_at_any_depth(value in value(), pick: prop::sample::Index) {
            let mut found = Vec::new();
            objects(&value, "", &mut found);
            found.retain(|(_, keys)| !keys.is_empty());
            prop_assume!(!found.is_empty());
            let (path, keys) = &found[pick.index(found.len())];
            let repeated = repeat(&value, "", path, &keys[0]);
            let full = if path.is_empty() { keys[0].clone() } else { format!("{path}.{}", keys[0]) };
            prop_assert_eq!(twice(&repeated), Some(full));
        }
    }

    /// The value as text, with a key of the object at `target` written again at its end.
    fn repeat(value: &Value, path: &str, target: &str, key: &str) -> String {
        match value {
            Value::Object(fields) => {
                let inner = |(name, value): (&String, &Value)| {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    format!("{}:{}", json!(name), repeat(value, &path, target, key))
                };
                let mut written: Vec<_> = fields.iter().map(inner).collect();
                if path == target && fields.contains_key(key) {
                    written.push(format!("{}:null", json!(key)));
                }
                format!("{{{}}}", written.join(","))
            }
            Value::Array(entries) => {
                let inner = |(at, value): (usize, &Value)| repeat(value, &format!("{path}[{at}]"), target, key);
                format!("[{}]", entries.iter().enumerate().map(inner).collect::<Vec<_>>().join(","))
            }
            other => other.to_string(),
        }
    }

    #[test]
    fn a_repeated_key_is_named_by_its_path() {
        for (text, path) in [
            (r#"{"prompt": "a dog", "prompt": "a pig"}"#, "prompt"),
            (r#"{"prompt": "a dog", "prompt": "a dog"}"#, "prompt"),
            (r#"{"source": {"seed": 1, "se\u0065d": 2}}"#, "source.seed"),
            (r#"{"equalizer": [{"word": "a"}, {"word": "b", "word": "c"}]}"#, "equalizer[1].word"),
            (r#"[[{"": 1, "": 2}]]"#, "[0][0]."),
        ] {
            assert_eq!(twice(text).as_deref(), Some(path), "{text}");
        }
        assert_eq!(twice(r#"{"a": {"b": 1}, "b": {"a": 1}, "c": [{"b": 1}, {"b": 1}]}"#), None);
        let error = read(br#"{"a": 1, "a": 1}"#).unwrap_err().to_string();
        assert_eq!(error, "`a` is given twice; give it once");
    }

    #[test]
    fn numbers_that_are_none_and_deep_nesting_are_syntax_errors() {
        for text in ["NaN", "Infinity", "-Infinity", "1e999", "01", "+1", "1.", "{\"a\":1}{}", &"[".repeat(1_000_000)] {
            assert!(matches!(read(text.as_bytes()), Err(Unreadable::Syntax(_))), "{:.20}", text);
        }
    }
}
