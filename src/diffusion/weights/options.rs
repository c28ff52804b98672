//! Options of a configuration that are not supported: each must be at the value that changes nothing.
//!
//! Contract: an option that would change the image is refused and named, never ignored.

use serde_json::{Map, Value};

use crate::diffusion::error::ModelError;

/// Keys, and the value in JSON that each must have if it is there.
pub(crate) type Required = [(&'static str, &'static str)];

/// Refuses a configuration with another value for a key of the table.
///
/// # Errors
/// [`ModelError::Config`], naming the key, its value and the one that is expected.
pub(crate) fn check(file: &str, config: &Map<String, Value>, table: &Required) -> Result<(), ModelError> {
    for (key, wanted) in table {
        if let Some(value) = config.get(*key).filter(|value| !value.is_null() && !says(value, wanted)) {
            return Err(ModelError::config(file, format!("unsupported `{key}` {value}; expected {wanted}")));
        }
    }
    Ok(())
}

/// Whether a value is the one written as `wanted`; 1 and 1.0 are the same number, null and false are both off, and a
/// list says what all of its values say.
fn says(value: &Value, wanted: &str) -> bool {
    if let Value::Array(values) = value {
        return values.iter().all(|value| says(value, wanted));
    }
    let wanted: Value = serde_json::from_str(wanted).unwrap_or_default();
    let is_off = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    *value == wanted
        || is_off(value) && is_off(&wanted)
        || value.as_f64().is_some_and(|number| Some(number) == wanted.as_f64())
}
