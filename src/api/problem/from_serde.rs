//! What is wrong with a field, in the words of JSON: serde knows it, and says it in those of Rust.
//!
//! Contract: a message names what is wanted and what is there, and no type of this program. serde tells kinds of errors
//! apart by their words alone, so these are read here, and nowhere else.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::api::problem::{Code, Problem};
use crate::api::transport::body::kind;
use crate::suggest::nearest;

/// What serde says that it expected, and what a user of JSON is told.
const WANTED: [(&str, &str); 10] = [
    ("u64", "a whole number from 0"),
    ("usize", "a whole number from 0"),
    ("u32", "a whole number from 0"),
    ("f64", "a number"),
    ("f32", "a number"),
    ("a string", "a string"),
    ("a boolean", "true or false"),
    ("a sequence", "an array"),
    ("a map", "an object"),
    ("struct", "an object"),
];

/// The value at a path, as far as it leads.
pub fn at<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Seq { index } => value.get(index),
        Segment::Map { key } => value.get(key),
        Segment::Enum { .. } | Segment::Unknown => None,
    })
}

/// The problem that one of serde's errors is: its message, the path of its field (empty at the top) and what stands
/// there.
pub fn problem(message: &str, path: String, found: Option<&Value>) -> Problem {
    let quoted = |start: &str| message.strip_prefix(start).and_then(|rest| rest.split('`').nth(1)).map(str::to_owned);
    let join = |field: String| match path.as_str() {
        "" => field,
        // The path of an unknown field may name it already.
        path if path == field || path.ends_with(&format!(".{field}")) => path.to_owned(),
        path => format!("{path}.{field}"),
    };
    if let Some(field) = quoted("missing field ") {
        return Problem::new(Code::MissingField, message).at(join(field));
    }
    if let Some(field) = quoted("unknown field ") {
        let (_, known) = message.split_once(", expected ").unwrap_or_default();
        // serde names them in quotes of its own.
        let meant = nearest(&field, known.split('`').skip(1).step_by(2));
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        return Problem::new(Code::UnknownField, format!("{message}{meant}")).at(join(field));
    }
    if let Some(field) = quoted("duplicate field ") {
        return Problem::new(Code::InvalidValue, format!("`{field}` is given twice, under two of its names"))
            .at(join(field));
    }
    let problem = Problem::new(Code::InvalidValue, detail(message, found));
    if path.is_empty() { problem } else { problem.at(path) }
}

/// The message of an error about a value.
fn detail(message: &str, found: Option<&Value>) -> String {
    let Some((_, expected)) = message.strip_prefix("invalid ").and_then(|rest| rest.rsplit_once(", expected ")) else {
        // One of this program's own.
        return message.to_owned();
    };
    let known = WANTED
        .iter()
        .find(|(serde, _)| expected.strip_prefix(serde).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')));
    let wanted = known.map_or("another kind of value", |(_, wanted)| wanted);
    match found {
        None => format!("{wanted} is wanted"),
        Some(Value::Number(number)) => format!("{wanted} is wanted, not {number}"),
        Some(other) => format!("{wanted} is wanted, not {}", kind(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::transport::body::read;
    use serde::Deserialize;
    use serde_json::{Map, json};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        #[serde(default)]
        count: Option<usize>,
        #[serde(default)]
        strength: Option<f64>,
        #[serde(default)]
        word: Option<String>,
        #[serde(default)]
        stream: Option<bool>,
        #[serde(default)]
        words: Option<Vec<u64>>,
        #[serde(default)]
        entry: Option<Map<String, Value>>,
    }

    fn detail(value: Value) -> String {
        let Value::Object(object) = value else { panic!("an object") };
        read::<Sample>(object, "").unwrap_err().detail().to_owned()
    }

    #[test]
    fn what_is_wanted_and_what_is_there_is_told_in_the_words_of_json() {
        for (body, told) in [
            (json!({"count": -2}), "a whole number from 0 is wanted, not -2"),
            (json!({"count": 1.5}), "a whole number from 0 is wanted, not 1.5"),
            (json!({"count": "3"}), "a whole number from 0 is wanted, not a string"),
            (json!({"strength": true}), "a number is wanted, not a boolean"),
            (json!({"word": {}}), "a string is wanted, not an object"),
            (json!({"stream": "yes"}), "true or false is wanted, not a string"),
            (json!({"words": 3}), "an array is wanted, not 3"),
            (json!({"words": [1, null]}), "a whole number from 0 is wanted, not null"),
            (json!({"entry": ["dog", 2]}), "an object is wanted, not an array"),
        ] {
            assert_eq!(detail(body), told);
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_told_with_what_was_meant() {
        let told = detail(json!({"strenght": 1}));
        assert!(told.starts_with("unknown field `strenght`, expected one of"), "{told}");
        assert!(told.ends_with("; did you mean `strength`?"), "{told}");
        assert!(!detail(json!({"zebra": 1})).contains("did you mean"));
    }

    #[test]
    fn what_serde_may_say_otherwise_names_no_type() {
        let of = |message| super::detail(message, Some(&json!([1])));
        assert_eq!(of("invalid type: sequence, expected struct Entry"), "an object is wanted, not an array");
        assert_eq!(of("invalid length 1, expected struct Entry with 2 elements"), "an object is wanted, not an array");
        assert_eq!(of("invalid value: x, expected NonZeroU8"), "another kind of value is wanted, not an array");
        assert_eq!(of("words of our own"), "words of our own");
    }
}
