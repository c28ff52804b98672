//! `Idempotency-Key`: requests with the same key and the same content get the same job, however often they are sent.

use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use crate::api::problem::Problem;
use crate::api::transport::headers::{invalid, single};

/// The header's name.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Marks the answer of an earlier request with the same key.
pub const IDEMPOTENT_REPLAYED: &str = "idempotent-replayed";
/// The longest key.
const MAX_LENGTH: usize = 255;

/// The key of a request: 1 to 255 visible ASCII characters. Each caller has its own keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    text: String,
    owner: Option<Arc<str>>,
}

impl IdempotencyKey {
    /// The key of a request of this caller, if it has one.
    ///
    /// # Errors
    /// `invalid_header` where it is empty, too long or not visible ASCII.
    pub fn of(headers: &HeaderMap, owner: Option<&Arc<str>>) -> Result<Option<Self>, Problem> {
        let Some(key) = single(headers, IDEMPOTENCY_KEY)? else {
            return Ok(None);
        };
        if key.is_empty() || key.len() > MAX_LENGTH || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid(IDEMPOTENCY_KEY, "expected 1 to 255 visible ASCII characters"));
        }
        Ok(Some(Self { text: key.to_owned(), owner: owner.cloned() }))
    }
}

/// The identity of a request: its path and its body. White space and the order of fields do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(blake3::Hash);

impl Fingerprint {
    /// The fingerprint of a request.
    pub fn of(path: &str, body: &Map<String, Value>) -> Self {
        // The map is sorted; a path has no line feed.
        let canonical = format!("{path}\n{}", Value::Object(body.clone()));
        Self(blake3::hash(canonical.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Code;
    use axum::http::HeaderValue;
    use serde_json::json;

    #[test]
    fn keys_are_visible_ascii_of_bounded_length() {
        let key = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", HeaderValue::from_bytes(bytes).unwrap());
            IdempotencyKey::of(&headers, None).map_err(|problem| (problem.code(), problem.param().map(str::to_owned)))
        };
        for good in [b"a" as &[u8], b"8e03978e-40d5-43dd-bc93-6894a57f9324", &[b'x'; 255]] {
            assert!(key(good).unwrap().is_some());
        }
        for bad in [b"" as &[u8], &[b'x'; 256], b"two words", b"k\xc3\xa4se", b"tab\there"] {
            assert_eq!(key(bad).unwrap_err(), (Code::InvalidHeader, Some(IDEMPOTENCY_KEY.to_owned())));
        }
        assert_eq!(IdempotencyKey::of(&HeaderMap::new(), None), Ok(None));
    }

    #[test]
    fn a_fingerprint_depends_on_the_meaning_of_a_body_alone() {
        let of = |path: &str, body: &str| {
            Fingerprint::of(path, serde_json::from_str::<Value>(body).unwrap().as_object().unwrap())
        };
        let one = of("/v1/edits", r#"{"prompt": "a dog", "source": {"prompt": "a cat", "seed": 1}}"#);
        assert_eq!(one, of("/v1/edits", r#"{"source":{"seed":1,"prompt":"a cat"},"prompt":"a dog"}"#));
        assert_ne!(one, of("/v1/edits", r#"{"source":{"seed":2,"prompt":"a cat"},"prompt":"a dog"}"#));
        assert_ne!(one, of("/v1/sessions", r#"{"source":{"seed":1,"prompt":"a cat"},"prompt":"a dog"}"#));
        assert_eq!(of("/a", &json!({}).to_string()), of("/a", "{ }"));
    }
}
