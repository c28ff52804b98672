//! Pages of other origins: those that are configured may call, and read the headers that answers carry. Credentials of
//! the browser (cookies) are never asked for; a key is a header that the page sets itself.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::api::guard::rate::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// How long a browser may remember what it may do.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// Headers that a page may send.
const ALLOWED: [HeaderName; 10] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    header::CONTENT_TYPE,
    HeaderName::from_static("prefer"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("cancel-after"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    // What a load balancer finds the session's replica by.
    HeaderName::from_static("x-reprompt-session"),
];

/// Headers of answers that a page may read.
pub(in crate::api) const EXPOSED: [&str; 25] = [
    "x-request-id",
    "traceparent",
    "location",
    "retry-after",
    "preference-applied",
    "idempotent-replayed",
    "etag",
    "www-authenticate",
    "x-reprompt-id",
    "x-reprompt-created",
    "x-reprompt-model",
    "x-reprompt-session",
    "x-reprompt-recording",
    "x-reprompt-seed",
    "x-reprompt-size",
    "x-reprompt-edit-type",
    "x-reprompt-alignment",
    "x-reprompt-windows",
    "x-reprompt-warnings",
    "x-reprompt-timings-ms",
    "x-reprompt-word",
    "x-reprompt-tokens",
    "x-reprompt-step",
    "x-reprompt-steps",
    "x-reprompt-max",
];

/// Whether an origin is one: a scheme, a host and perhaps a port, as browsers send it; or `*` for any.
pub fn is_origin(text: &str) -> bool {
    let parsed = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    text == "*" || parsed.is_some_and(|url| url.origin().ascii_serialization() == text)
}

/// The answers to browsers that ask for these origins; `None` where there is none.
pub fn layer(origins: &[String]) -> Option<CorsLayer> {
    let origin = match origins {
        [] => return None,
        all if all.iter().any(|origin| origin == "*") => AllowOrigin::any(),
        some => AllowOrigin::list(some.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let exposed = EXPOSED.map(HeaderName::from_static).into_iter().chain([RATE_LIMIT, RATE_LIMIT_POLICY]);
    let layer = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers(ALLOWED)
        .expose_headers(exposed.collect::<Vec<_>>())
        .max_age(MAX_AGE);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn origins_are_as_browsers_send_them() {
        for right in ["https://app.example.com", "http://localhost:3000", "http://[::1]:8080", "*"] {
            assert!(is_origin(right), "{right}");
        }
        for wrong in
            ["app.example.com", "https://app.example.com/", "https://app.example.com:443", "https://*.example.com/x"]
        {
            assert!(!is_origin(wrong), "{wrong}");
        }
        for wrong in ["null", "", "ftp://a.example", "https://user@a.example", "https://APP.example.com"] {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }
}
