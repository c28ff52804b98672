//! JSON as Python writes it.
//!
//! Contract: what Python's `json.load` reads is read, so also `NaN`, `Infinity` and `-Infinity`, which standard JSON
//! does not have. They arrive as the texts "NaN", "Infinity" and "-Infinity": a key that is not read does no harm, and a
//! key that must be a number is refused by its name. A byte order mark is skipped.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::content;

/// The numbers that standard JSON does not have. Each comes before those that are its end.
const NOT_FINITE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The value of a JSON file.
///
/// # Errors
/// [`ModelError::Config`], naming the file, and what it is in place of JSON.
pub(crate) fn value(file: &str, bytes: &[u8]) -> Result<Value, ModelError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let strict = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    serde_json::from_slice(&with_texts(bytes)).map_err(|_| {
        let detail = match content::kind(bytes).filter(|kind| kind != "JSON") {
            Some(kind) => format!("not JSON: it is {kind}"),
            None => format!("not JSON: {strict}"),
        };
        ModelError::config(file, detail)
    })
}

/// A JSON file as `T`. A key that is null counts as left out.
///
/// # Errors
/// [`ModelError::Config`], naming the file and the key.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, ModelError> {
    typed(file, value(file, bytes)?)
}

/// A value of `file` as `T`. A key that is null counts as left out.
///
/// # Errors
/// [`ModelError::Config`], naming the file and the key.
pub(crate) fn typed<T: DeserializeOwned>(file: &str, mut value: Value) -> Result<T, ModelError> {
    if let Value::Object(keys) = &mut value {
        keys.retain(|_, value| !value.is_null());
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let key = error.path().to_string();
        let detail = if key == "." { error.inner().to_string() } else { format!("`{key}`: {}", error.inner()) };
        ModelError::config(file, detail)
    })
}

/// The text with quotes around the numbers that JSON does not have.
fn with_texts(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + 64);
    let (mut rest, mut is_in_text) = (json, false);
    while let [first, after @ ..] = rest {
        let number = NOT_FINITE.iter().find(|number| !is_in_text && rest.starts_with(number.as_bytes()));
        match (number, first, after) {
            (Some(number), ..) => {
                out.extend_from_slice(format!("\"{number}\"").as_bytes());
                rest = &rest[number.len()..];
                continue;
            }
            (None, b'\\', [escaped, after @ ..]) if is_in_text => {
                out.extend_from_slice(&[b'\\', *escaped]);
                rest = after;
                continue;
            }
            (None, b'"', _) => is_in_text = !is_in_text,
            _ => {}
        }
        out.push(*first);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The text is what Python's `json.dumps` writes of these numbers.
    #[test]
    fn numbers_that_are_not_finite_are_read_as_python_writes_them() {
        let text =
            br#"{"lambda_min_clipped": -Infinity, "list": [NaN, Infinity, 1], "a \" NaN": "Infinity \\", "b":NaN}"#;
        let wanted = json!({
            "lambda_min_clipped": "-Infinity", "list": ["NaN", "Infinity", 1], "a \" NaN": "Infinity \\", "b": "NaN"
        });
        assert_eq!(value("a.json", text).unwrap(), wanted);
    }

    #[test]
    fn a_key_that_must_be_a_number_names_the_one_that_is_not_finite() {
        let error = parse::<std::collections::BTreeMap<String, f64>>("a.json", br#"{"beta_end": NaN}"#).unwrap_err();
        assert_eq!(error.to_string(), r#"a.json: `beta_end`: invalid type: string "NaN", expected f64"#);
    }

    #[test]
    fn what_is_no_json_is_named() {
        let error = |bytes: &[u8]| value("a.json", bytes).unwrap_err().to_string();
        assert!(error(b"<!doctype html>").starts_with("a.json: not JSON: it is a web page"));
        assert!(error(b"version https://git-lfs.github.com/spec/v1\n").contains("Git LFS pointer"));
        assert_eq!(error(b"{\"a\": nan}"), "a.json: not JSON: expected ident at line 1 column 8");
        assert_eq!(value("a.json", b"\xef\xbb\xbf{}").unwrap(), json!({}));
    }
}
