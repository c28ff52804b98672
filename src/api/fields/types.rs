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

/// Types that JSON has: how they are read, what is expected, and their schema.
macro_rules! plain {
    ($($type:ty: $read:expr, $expected:literal, $schema:tt;)*) => {
        $(
            impl FieldType for $type {
                fn read(node: Node<'_>) -> Result<Self, Problem> {
                    let read: fn(&Value) -> Option<Self> = $read;
                    read(node.value).ok_or_else(|| node.unexpected($expected))
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
    bool: Value::as_bool, "true or false", {"type": "boolean"};
    u64: Value::as_u64, "a non-negative integer", {"type": "integer", "minimum": 0};
    usize: |value| value.as_u64().and_then(|number| usize::try_from(number).ok()), "a non-negative integer",
        {"type": "integer", "minimum": 0};
    f64: Value::as_f64, "a number", {"type": "number", "format": "double"};
    String: |value| value.as_str().map(str::to_owned), "a string", {"type": "string"};
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
