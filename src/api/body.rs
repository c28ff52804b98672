//! Reading a JSON body: media type, size, syntax and fields, each with a problem of its own that names the field.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::{Code, Problem};

/// Larger bodies are refused. A 4096 x 4096 photograph as base64 stays below.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// A JSON object that was sent as such.
#[derive(Debug)]
pub struct JsonObject(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let too_large = || {
            let megabytes = MAX_BODY_BYTES / (1024 * 1024);
            Problem::new(Code::BodyTooLarge, format!("a body may have {megabytes} MiB"))
        };
        // Refused before it is read, where the client says its size.
        let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|bytes| bytes > MAX_BODY_BYTES as u64) {
            return Err(too_large());
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection: BytesRejection| {
            match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => too_large(),
                _ => Problem::new(Code::InvalidJson, "the body could not be read to its end"),
            }
        })?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::new(Code::InvalidJson, format!("the body is not JSON: {error}")))?;
        match value {
            Value::Object(object) => Ok(Self(object)),
            other => {
                Err(Problem::new(Code::InvalidJson, format!("the body must be a JSON object, not {}", kind(&other))))
            }
        }
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
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
    let problem = Problem::new(Code::InvalidValue, message);
    if path.is_empty() { problem } else { problem.at(path) }
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
}
