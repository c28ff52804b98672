//! Reading request headers; `Prefer` (RFC 7240).

use axum::http::HeaderMap;

use crate::api::problem::{Code, Problem};

/// The preference for a job in place of an answer, in `Prefer` and `Preference-Applied`.
pub const RESPOND_ASYNC: &str = "respond-async";

/// A header that may be given once, as text.
///
/// # Errors
/// `invalid_header`, which names the header, where it is given twice or is not ASCII.
pub fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(invalid(name, "expected visible ASCII")),
        },
        (Some(_), Some(_)) => Err(repeated(name)),
    }
}

/// Checks that a header is not given twice, whatever its value.
///
/// # Errors
/// `invalid_header`, which names the header.
pub fn at_most_once(headers: &HeaderMap, name: &'static str) -> Result<(), Problem> {
    if headers.get_all(name).iter().nth(1).is_some() { Err(repeated(name)) } else { Ok(()) }
}

fn repeated(name: &'static str) -> Problem {
    invalid(name, "the header is given twice; give it once")
}

/// The problem of a header whose value is wrong.
pub fn invalid(name: &'static str, detail: &str) -> Problem {
    Problem::new(Code::InvalidHeader, format!("{name}: {detail}")).at(name)
}

/// Whether `respond-async` is among the preferences; others are ignored, as the RFC allows.
pub fn prefers_async(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| split(value, ',')).any(is_respond_async)
}

/// Whether a preference, with its value and its parameters, is `respond-async`, which has no value.
fn is_respond_async(preference: &str) -> bool {
    let token = split(preference, ';').next().unwrap_or_default();
    let (name, value) = token.split_once('=').unwrap_or((token, ""));
    name.trim().eq_ignore_ascii_case(RESPOND_ASYNC) && matches!(value.trim(), "" | "\"\"")
}

/// The parts of a text between separators outside of quoted strings.
pub(crate) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match character {
            '"' => is_quoted = !is_quoted,
            '\\' => is_escaped = is_quoted,
            _ => return character == separator && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn respond_async_is_found_among_other_preferences() {
        for wanted in [
            &["respond-async"] as &[_],
            &["Respond-Async"],
            &["respond-async, wait=10"],
            &["wait=10,respond-async"],
            &["return=minimal; foo=\"bar, baz\", respond-async"],
            &["handling=lenient", "respond-async; n=1"],
            &["respond-async=\"\""],
        ] {
            assert!(prefers_async(&with("prefer", wanted)), "{wanted:?}");
        }
        for other in [
            &[] as &[_],
            &["wait=10"],
            &["respond-asynchronously"],
            &["respond-async=false"],
            &["foo=\"a, respond-async\""],
            &["foo=\"a \\\", respond-async, b\""],
            &["foo; respond-async"],
        ] {
            assert!(!prefers_async(&with("prefer", other)), "{other:?}");
        }
    }

    #[test]
    fn a_header_that_occurs_twice_is_refused_by_name() {
        assert_eq!(single(&with("x-one", &["1"]), "x-one").unwrap(), Some("1"));
        assert_eq!(single(&with("x-one", &[]), "x-one").unwrap(), None);
        let problem = single(&with("x-one", &["1", "1"]), "x-one").unwrap_err();
        assert_eq!((problem.code(), problem.param()), (Code::InvalidHeader, Some("x-one")));
    }
}
