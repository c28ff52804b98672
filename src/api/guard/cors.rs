//! CORS: pages of the configured origins may call the API and read the headers of responses. Cookies are never used; a
//! key is a header that the page sets itself.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::api::transport::response_headers::RESPONSE_HEADERS;

/// How long a browser may cache a preflight response.
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
    // Routes a request to the replica of its session.
    HeaderName::from_static("x-reprompt-session"),
];

/// Whether a text is an origin as browsers send it (scheme, host, optional port), or `*` for any.
pub fn is_origin(text: &str) -> bool {
    let parsed = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    text == "*" || parsed.is_some_and(|url| url.origin().ascii_serialization() == text)
}

/// The layer for these origins; `None` without origins.
pub fn layer(origins: &[String]) -> Option<CorsLayer> {
    let origin = match origins {
        [] => return None,
        all if all.iter().any(|origin| origin == "*") => AllowOrigin::any(),
        some => AllowOrigin::list(some.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let exposed = RESPONSE_HEADERS.map(|(name, ..)| HeaderName::from_static(name)).into_iter().chain([header::ETAG]);
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
