//! The size of response headers: proxies refuse a response whose headers exceed one buffer, which is 4 kB in nginx and
//! others unless they are configured otherwise.
//!
//! Contract: no response has more than [`MAX_BYTES`] of headers, escaping included. The headers of [`KEPT_FIRST`] can
//! have any length. They are kept in this order, each if it fits into what is left. `x-reprompt-omitted` names the
//! others. All other headers are short.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// The most bytes of a response before its body.
const MAX_BYTES: usize = 3500;
/// What the connection adds: the status line, `date`, `content-length` or `transfer-encoding`, `connection`, and the
/// empty line.
const CONNECTION: usize = 200;
/// The header that names those that were left out.
const OMITTED: &str = "x-reprompt-omitted";

/// The headers whose values can be long, the most important first.
const KEPT_FIRST: [&str; 7] = [
    "x-reprompt-model",
    "x-reprompt-warnings",
    "x-reprompt-windows",
    "x-reprompt-alignment",
    "x-reprompt-word",
    "x-reprompt-tokens",
    "x-reprompt-timings-ms",
];

/// Leaves out the headers of a response that do not fit.
pub async fn limit(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    omit(response.headers_mut());
    response
}

fn omit(headers: &mut HeaderMap) {
    if total(headers) + CONNECTION <= MAX_BYTES {
        return;
    }
    let long: Vec<_> = KEPT_FIRST.into_iter().filter_map(|name| Some((name, headers.remove(name)?))).collect();
    // Room to name all of them, so that naming one cannot make another one too large.
    let names: usize = long.iter().map(|(name, _)| name.len() + ", ".len()).sum();
    let mut left = MAX_BYTES.saturating_sub(CONNECTION + total(headers) + bytes(OMITTED, names));
    let mut omitted = Vec::new();
    for (name, value) in long {
        match left.checked_sub(bytes(name, value.len())) {
            Some(rest) => {
                left = rest;
                headers.insert(HeaderName::from_static(name), value);
            }
            None => omitted.push(name),
        }
    }
    if let (false, Ok(names)) = (omitted.is_empty(), HeaderValue::from_str(&omitted.join(", "))) {
        headers.insert(HeaderName::from_static(OMITTED), names);
    }
}

/// Bytes of all headers on the wire.
fn total(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| bytes(name.as_str(), value.len())).sum()
}

/// Bytes of a header on the wire.
fn bytes(name: &str, value: usize) -> usize {
    name.len() + ": ".len() + value + "\r\n".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[(&'static str, usize)]) -> HeaderMap {
        let value = |bytes: usize| HeaderValue::from_str(&"x".repeat(bytes)).unwrap();
        let named = |(name, bytes): &(&'static str, usize)| (HeaderName::from_static(name), value(*bytes));
        let mut headers = HeaderMap::from_iter(values.iter().map(named));
        omit(&mut headers);
        assert!(total(&headers) + CONNECTION <= MAX_BYTES, "{}", total(&headers));
        headers
    }

    fn omitted(headers: &HeaderMap) -> Option<&str> {
        headers.get(OMITTED).map(|names| names.to_str().unwrap())
    }

    #[test]
    fn headers_that_fit_stay() {
        let headers = headers(&[("x-reprompt-alignment", 2000), ("x-reprompt-windows", 900), ("x-request-id", 128)]);
        assert_eq!((headers.len(), omitted(&headers)), (3, None));
    }

    #[test]
    fn the_more_important_stay_and_the_others_are_named() {
        let kept = headers(&[
            ("x-reprompt-alignment", 1500),
            ("x-reprompt-windows", 1500),
            ("x-reprompt-warnings", 1000),
            ("x-reprompt-timings-ms", 100),
            ("x-reprompt-id", 40),
        ]);
        assert_eq!(omitted(&kept), Some("x-reprompt-alignment"));
        // One that is too large by itself takes no room from the others.
        let kept = headers(&[
            ("x-reprompt-alignment", 1000),
            ("x-reprompt-windows", 1000),
            ("x-reprompt-warnings", 5000),
            ("x-reprompt-model", 30),
        ]);
        assert_eq!((kept.len(), omitted(&kept)), (4, Some("x-reprompt-warnings")));
        let kept = headers(&KEPT_FIRST.map(|name| (name, 4000)));
        assert_eq!(omitted(&kept).unwrap().split(", ").count(), KEPT_FIRST.len());
    }
}
