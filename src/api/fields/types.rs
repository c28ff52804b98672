//! The types that fields can have: how each is read, and its schema.
//!
//! Contract: a type is read from a JSON value or gives the problem of that value. Its schema is JSON of an OpenAPI
//! document; a named schema is a reference, and is handed out by [`FieldType::components`].

use serde_json::{Value, json};

use crate::api::fields::node::{Node, Path};
use crate::api::fields::shape::Components;
use crate::api::problem::{Code, Problem};

/// Lists have no more entries than this: a prompt has fewer tokens.
pub(crate) const MAX_ENTRIES: usize = 256;

/// A type that fields of requests can have.
pub(crate) trait FieldType: Sized {
    /// Whether null is accepted, with the meaning of an absent field.
    const NULLABLE: bool = false;

    /// Reads a value.
    ///
    /// # Errors
    /// The problem of the value, with its path.
    fn read(node: Node<'_>) -> Result<Self, Problem>;

    /// The value of a field that is left out; `None` if it is required.
    fn absent() -> Option<Self> {
        None
    }

    /// The schema, without null.
    fn schema() -> Value;

    /// Adds the named schemas that the schema refers to, its own included.
    fn components(_: &mut Components) {}
}

/// A value as JSON, for defaults in schemas.
pub(crate) trait ToJson {
    /// The JSON.
    fn to_json(&self) -> Value;
}

/// Reads a single value, such as one on the command line.
///
/// # Errors
/// The problem of the value; its path begins at the value.
pub(crate) fn read_value<T: FieldType>(value: &Value) -> Result<T, Problem> {
    T::read(Node { value, path: Path::Root })
}

/// Numbers with a fraction or an exponent are exact up to here: 15 digits. Larger ones may be rounded when they are read.
const MAX_EXACT: f64 = 999_999_999_999_999.0;

/// A number as an integer from 0: `7`, and as JSON Schema defines an integer also `7.0` and `7e0`. `None` for a number
/// that is none, and for one that may have been rounded.
pub(crate) fn integer(value: &Value) -> Option<u64> {
    let is_exact = |number: &f64| number.fract() == 0.0 && (0.0..=MAX_EXACT).contains(number);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let exact = || value.as_f64().filter(is_exact).map(|number| number as u64);
    value.as_u64().or_else(exact)
}

/// The same of a text, such as one on the command line or in a query: digits, or a number as in JSON.
pub(crate) fn integer_of_text(text: &str) -> Option<u64> {
    let is_number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'-' | b'e' | b'E');
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let value = text.bytes().all(is_number).then(|| serde_json::from_str(text).ok()).flatten();
    value.as_ref().and_then(integer)
}

/// What is expected in place of a value that [`integer`] does not take.
pub(crate) fn expected_integer(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if number > MAX_EXACT && number < u64::MAX as f64 => {
            format!("an integer above {MAX_EXACT} in plain digits")
        }
        Some(number) if number > MAX_EXACT => format!("an integer of at most {}", u64::MAX),
        _ => "a non-negative integer".to_owned(),
    }
}

/// Types that JSON has: how they are read, what is expected, and their schema.
macro_rules! plain {
    ($($type:ty: $read:expr, $expected:expr, $schema:tt;)*) => {
        $(
            impl FieldType for $type {
                fn read(node: Node<'_>) -> Result<Self, Problem> {
                    let read: fn(&Value) -> Option<Self> = $read;
                    let expected = $expected;
                    read(node.value).ok_or_else(|| node.unexpected(expected(node.value).as_ref()))
                }

                fn schema() -> Value {
                    json!($schema)
                }
            }

            impl ToJson for $type {
                fn to_json(&self) -> Value {
                    json!(self)
                }
            }
        )*
    };
}

plain! {
    bool: Value::as_bool, |_| "true or false", {"type": "boolean"};
    u64: integer, expected_integer, {"type": "integer", "minimum": 0};
    usize: |value| integer(value).and_then(|number| usize::try_from(number).ok()), expected_integer,
        {"type": "integer", "minimum": 0};
    f64: Value::as_f64, |_| "a number", {"type": "number", "format": "double"};
    String: |value| value.as_str().map(str::to_owned), |_| "a string", {"type": "string"};
}

impl<T: FieldType> FieldType for Option<T> {
    const NULLABLE: bool = true;

    fn read(node: Node<'_>) -> Result<Self, Problem> {
        if node.value.is_null() { Ok(None) } else { T::read(node).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn schema() -> Value {
        T::schema()
    }

    fn components(into: &mut Components) {
        T::components(into);
    }
}

impl<T: FieldType> FieldType for Vec<T> {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        let Value::Array(entries) = node.value else {
            return Err(node.unexpected("an array"));
        };
        if entries.len() > MAX_ENTRIES {
            let detail = format!("expected at most {MAX_ENTRIES} entries, got {}", entries.len());
            return Err(node.problem(Code::InvalidValue, detail));
        }
        let read = |(at, value)| T::read(Node { value, path: Path::Entry(&node.path, at) });
        entries.iter().enumerate().map(read).collect()
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema(), "maxItems": MAX_ENTRIES})
    }

    fn components(into: &mut Components) {
        T::components(into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_json_schema() {
        // Draft 2020-12, 4.2.3 and 6.1.1: a number without a fractional part is an integer, however it is written.
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("7.0", 7),
            ("7.00", 7),
            ("1e3", 1000),
            ("1E+3", 1000),
            ("12.5e1", 125),
            ("-0", 0),
            ("-0.0", 0),
            ("999999999999999.0", 999_999_999_999_999),
            ("999999999999999.000", 999_999_999_999_999),
            ("18446744073709551615", u64::MAX),
        ] {
            let json: Value = serde_json::from_str(text).unwrap();
            assert_eq!((read_value(&json), integer_of_text(text)), (Ok(value), Some(value)), "{text}");
            assert_eq!(read_value(&json), Ok(value as usize));
        }
    }

    #[test]
    fn other_numbers_are_refused_with_what_fits() {
        for (text, expected) in [
            ("7.5", "a non-negative integer"),
            ("-1", "a non-negative integer"),
            ("-1.0", "a non-negative integer"),
            ("1e-3", "a non-negative integer"),
            // 2^53 + 1 is the first integer that a double does not have.
            ("9007199254740993.0", "an integer above 999999999999999 in plain digits"),
            ("1e17", "an integer above 999999999999999 in plain digits"),
            ("18446744073709551616", "an integer of at most 18446744073709551615"),
            ("1e300", "an integer of at most 18446744073709551615"),
        ] {
            let json: Value = serde_json::from_str(text).unwrap();
            let detail = read_value::<u64>(&json).unwrap_err().detail().to_owned();
            assert_eq!(detail, format!("expected {expected}, got {json}"));
            assert_eq!(integer_of_text(text), None, "{text}");
        }
        for text in ["", " 7", "+7", "7.", ".7", "0x7", "seven", "true", "[7]", "\"7\""] {
            assert_eq!(integer_of_text(text), None, "{text:?}");
        }
        assert_eq!(
            read_value::<u64>(&Value::from("7")).unwrap_err().detail(),
            "expected a non-negative integer, got a string"
        );
    }
}
