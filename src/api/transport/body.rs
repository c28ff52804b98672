//! Reading a JSON body: media type, size, syntax and fields, each with a problem of its own that names the field.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::api::guard::timeouts::BodyDeadline;
use crate::api::problem::from_serde;
use crate::api::problem::{Code, Problem};

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
        let deadline = request.extensions().get::<BodyDeadline>().map(|deadline| deadline.0);
        let bytes = in_time(deadline, collect(request.into_body())).await?;
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

/// Reads a body for as long as it may take.
async fn in_time<T>(deadline: Option<Instant>, read: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let Some(deadline) = deadline else {
        return read.await;
    };
    let late = |_| Err(Problem::new(Code::RequestTimeout, "the body did not arrive in time"));
    timeout_at(deadline, read).await.unwrap_or_else(late)
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
    let value = Value::Object(object);
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        };
        let found = from_serde::at(&value, error.path());
        let problem = from_serde::problem(&error.inner().to_string(), path, found);
        match (problem.param(), prefix) {
            (_, "") => problem,
            (None, prefix) => problem.at(prefix),
            (Some(_), prefix) => problem.within(prefix),
        }
    })
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
