//! The `x-reprompt-` headers of bare images: the rest of the JSON body.
//!
//! Values are ASCII. [`crate::api::transport::header_budget`] leaves out what is too long in all.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::api::operations::bodies::{TimingsBody, WarningBody, size};
use crate::engine::Outcome;
use crate::recordings::Source;

/// The headers that every bare image has; its operation adds more.
pub(crate) fn run_headers(
    model: &str,
    source: &Source,
    outcome: &Outcome,
    warnings: &[WarningBody],
    timings: &TimingsBody,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    put(&mut headers, "x-reprompt-model", &ascii(model));
    put(&mut headers, "x-reprompt-session", &outcome.session.to_string());
    put(&mut headers, "x-reprompt-recording", outcome.recording.as_str());
    put(&mut headers, "x-reprompt-seed", &source.seed().to_string());
    put(&mut headers, "x-reprompt-size", &size(source));
    put_json(&mut headers, "x-reprompt-warnings", &warnings);
    put_json(&mut headers, "x-reprompt-timings-ms", timings);
    headers
}

/// Adds a header; a value that is not valid in a header is left out.
pub(crate) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Adds a value as JSON in ASCII.
pub(crate) fn put_json(headers: &mut HeaderMap, name: &'static str, value: &impl Serialize) {
    if let Ok(json) = serde_json::to_string(value) {
        put(headers, name, &ascii(&json));
    }
}

/// Text in ASCII: all other characters are escaped as JSON does.
pub(crate) fn ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    let mut units = [0; 2];
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_ascii() {
        let mut headers = HeaderMap::new();
        put_json(&mut headers, "x-reprompt-warnings", &["käse 🐈"]);
        assert_eq!(headers["x-reprompt-warnings"], r#"["k\u00e4se \ud83d\udc08"]"#);
    }
}
