//! Reading a JSON body: media type, size, time and syntax, each with a problem of its own. Its fields are read by
//! [`crate::api::fields`].

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::api::fields::node::kind;
use crate::api::guard::timeouts::BodyDeadline;
use crate::api::problem::{Code, Problem};

/// Larger bodies are refused: prompts and numbers take a few kilobytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// A body that is too large is read and discarded up to here before it is refused, because many clients send all of
/// it before they read the answer.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// The JSON object of a body.
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
                let detail = format!("expected a JSON object as the body, got {}", kind(&other));
                Err(Problem::new(Code::InvalidJson, detail))
            }
        }
    }
}

/// Reads a body within its time limit.
async fn in_time<T>(deadline: Option<Instant>, read: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let Some(deadline) = deadline else {
        return read.await;
    };
    let late = |_| Err(Problem::new(Code::RequestTimeout, "the body did not arrive in time"));
    timeout_at(deadline, read).await.unwrap_or_else(late)
}

/// Reads a body to its end, and keeps no more of it than is allowed.
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
        return Err(Problem::new(Code::BodyTooLarge, format!("expected a body of at most {MAX_BODY_BYTES} bytes")));
    }
    Ok(kept)
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let detail = format!("expected no content-encoding, got {encoding:?}");
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = match content_type {
        "" => "expected content-type application/json, got none".to_owned(),
        other => format!("expected content-type application/json, got {other}"),
    };
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}
