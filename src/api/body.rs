//! Reading a JSON body: media type, size, syntax and fields, each with a problem of its own that names the field.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::{Code, Problem};

/// Larger bodies are refused: prompts and numbers take a few kilobytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// A body that is too large is read and thrown away up to here before it is refused, because many clients send all of
/// it before they look at the answer.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// A JSON object that was sent as such.
#[derive(Debug)]
pub struct JsonObject(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let content_type = check_content_type(request.headers());
        let bytes = collect(request.into_body()).await?;
        content_type?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::new(Code::InvalidJson, format!("the body is not JSON: {error}")))?;
        match value {
            Value::Object(object) => Ok(Self(object)),
            other => {
                let detail = format!("the body must be a JSON object, not {}", kind(&other));
                Err(Problem::new(Code::InvalidJson, detail))
            }
        }
    }
}

/// Reads a body to its end, keeping no more of it than is allowed.
async fn collect(mut body: Body) -> Result<Vec<u8>, Problem> {
    let (mut kept, mut total) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(Code::InvalidJson, "the body could not be read to its end"))?;
        let data = frame.into_data().unwrap_or_default();
        total += data.len();
        if total <= MAX_BODY_BYTES {
            kept.extend_from_slice(&data);
        } else if total > MAX_DISCARDED_BYTES {
            break;
        } else {
            kept = Vec::new();
        }
    }
    if total > MAX_BODY_BYTES {
        return Err(Problem::new(Code::BodyTooLarge, format!("a body may have at most {MAX_BODY_BYTES} bytes")));
    }
    Ok(kept)
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let detail = format!("the content-encoding is {encoding:?}, bodies are taken as they are");
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = match content_type {
        "" => "the request has no content-type, application/json is wanted".to_owned(),
        other => format!("the content-type is {other}, application/json is wanted"),
    };
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

/// An object as `T`, whose fields stand under `prefix` in the request (empty at its top).
pub fn read<T: DeserializeOwned>(object: Map<String, Value>, prefix: &str) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        };
        field_problem(&error.into_inner().to_string(), path).within_or(prefix)
    })
}

/// serde tells kinds of errors apart by their words alone.
fn field_problem(message: &str, path: String) -> Problem {
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
        return Problem::new(Code::UnknownField, message).at(join(field));
    }
    if let Some(field) = quoted("duplicate field ") {
        return Problem::new(Code::InvalidValue, format!("`{field}` is given twice, under two of its names"))
            .at(join(field));
    }
    let problem = Problem::new(Code::InvalidValue, in_json(message));
    if path.is_empty() { problem } else { problem.at(path) }
}

/// The message with what was expected named as JSON has it, not by a type of this program.
fn in_json(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "u8" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{found}, expected {expected}")
}

impl Problem {
    /// As [`Problem::within`], or the prefix itself where no field is named.
    fn within_or(self, prefix: &str) -> Self {
        match (self.param(), prefix) {
            (_, "") => self,
            (None, prefix) => self.at(prefix),
            (Some(_), prefix) => self.within(prefix),
        }
    }
}

/// What kind of JSON a value is, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        seed: u64,
        #[serde(default, alias = "steps")]
        num_inference_steps: Option<usize>,
    }

    fn problem(value: Value) -> (Code, String) {
        let Value::Object(object) = value else { panic!("an object") };
        let problem = read::<Sample>(object, "source").unwrap_err();
        (problem.code(), problem.param().unwrap_or_default().to_owned())
    }

    #[test]
    fn problems_name_the_field_by_its_whole_path() {
        assert_eq!(problem(json!({})), (Code::MissingField, "source.seed".to_owned()));
        assert_eq!(problem(json!({"seed": 1, "sede": 2})), (Code::UnknownField, "source.sede".to_owned()));
        assert_eq!(problem(json!({"seed": -2})), (Code::InvalidValue, "source.seed".to_owned()));
        assert_eq!(
            problem(json!({"seed": 1, "steps": 2, "num_inference_steps": 3})),
            (Code::InvalidValue, "source.num_inference_steps".to_owned())
        );
    }

    #[test]
    fn what_is_expected_is_told_without_types_of_this_program() {
        assert_eq!(
            in_json("invalid type: string \"seven\", expected u64"),
            "invalid type: string \"seven\", expected a whole number that is not negative"
        );
        assert_eq!(in_json("invalid type: null, expected struct Sample"), "invalid type: null, expected an object");
        assert_eq!(
            in_json("invalid type: integer `1`, expected a string"),
            "invalid type: integer `1`, expected a string"
        );
        assert_eq!(in_json("something else"), "something else");
    }
}
