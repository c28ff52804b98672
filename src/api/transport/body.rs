//! Reading a JSON body: media type, size, time and syntax, each with a problem of its own. Its fields are read by
//! [`crate::api::fields`].

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::api::fields::json;
use crate::api::fields::json::Unreadable;
use crate::api::fields::node::kind;
use crate::api::guard::timeouts::BodyDeadline;
use crate::api::problem::{Code, Problem};
use crate::api::transport::headers::{single, split};

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
        match json::read(&bytes).map_err(unreadable)? {
            Value::Object(object) => Ok(Self(object)),
            other => {
                let detail = format!("expected a JSON object as the body, got {}", kind(&other));
                Err(Problem::new(Code::InvalidJson, detail))
            }
        }
    }
}

/// The problem of a body that is not JSON, or has a key twice.
fn unreadable(error: Unreadable) -> Problem {
    let detail = error.to_string();
    match error {
        Unreadable::Syntax(_) => Problem::new(Code::InvalidJson, format!("the body is not JSON: {detail}")),
        Unreadable::Twice { path } => Problem::new(Code::InvalidValue, detail).at(path),
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

/// Checks that the body is announced as JSON in UTF-8, without a coding.
///
/// # Errors
/// `unsupported_media_type`; `invalid_header` where `content-type` is given twice.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |expected: &str, got: &str| {
        Err(Problem::new(Code::UnsupportedMediaType, format!("expected {expected}, got {got}")))
    };
    let is_coded = |value: &&HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if let Some(coding) = headers.get_all(header::CONTENT_ENCODING).iter().find(is_coded) {
        return refused("no content-encoding", &format!("{coding:?}"));
    }
    let Some(content_type) = single(headers, "content-type")? else {
        return refused("content-type application/json", "none");
    };
    let mut parts = split(content_type, ';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
        return refused("content-type application/json", if content_type.is_empty() { "none" } else { content_type });
    }
    // JSON is UTF-8 (RFC 8259), of which ASCII is a part. Other parameters mean nothing for it.
    let charset = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("charset"));
    match charset.map(|(_, charset)| charset.trim_matches('"')) {
        Some(other) if !["utf-8", "utf8", "us-ascii"].iter().any(|known| other.eq_ignore_ascii_case(known)) => {
            refused("the charset utf-8 in content-type", other)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(headers: &[(&'static str, &'static str)]) -> Result<(), Code> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        check_content_type(&map).map_err(|problem| problem.code())
    }

    #[test]
    fn json_in_utf_8_is_read_and_nothing_else() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; charset=us-ascii",
            "application/merge-patch+json",
            "application/json; profile=\"a; charset=latin1\"",
        ] {
            assert_eq!(checked(&[("content-type", good)]), Ok(()), "{good}");
        }
        for other in [
            "",
            "text/json",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json, text/plain",
            "application/json; charset=iso-8859-1",
            "application/json; charset=utf-16",
        ] {
            assert_eq!(checked(&[("content-type", other)]), Err(Code::UnsupportedMediaType), "{other}");
        }
        assert_eq!(checked(&[]), Err(Code::UnsupportedMediaType));
    }

    #[test]
    fn a_content_type_is_given_once_and_there_is_no_coding() {
        const JSON: (&str, &str) = ("content-type", "application/json");
        assert_eq!(checked(&[JSON, JSON]), Err(Code::InvalidHeader));
        assert_eq!(checked(&[JSON, ("content-encoding", "Identity")]), Ok(()));
        for codings in [&["gzip"] as &[_], &["identity", "gzip"], &["identity, gzip"]] {
            let headers: Vec<_> = codings.iter().map(|coding| ("content-encoding", *coding)).chain([JSON]).collect();
            assert_eq!(checked(&headers), Err(Code::UnsupportedMediaType), "{codings:?}");
        }
    }
}
