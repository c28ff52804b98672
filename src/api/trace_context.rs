//! `traceparent` (W3C Trace Context): which trace a request belongs to, so that log lines can be found by it.

use axum::http::HeaderMap;

/// The header's name.
const TRACEPARENT: &str = "traceparent";

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent<'a> {
    /// The trace: 32 hexadecimal digits.
    pub trace_id: &'a str,
    /// The caller's span in it: 16 hexadecimal digits.
    pub parent_id: &'a str,
}

impl<'a> TraceParent<'a> {
    /// Where a request stands; `None` without the header, and where it is none: the specification has such a request
    /// begin a trace of its own.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let mut parts = value.to_str().ok()?.split('-');
        let (version, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_set = |text: &str| text.bytes().any(|digit| digit != b'0');
        // Later versions may have more parts, the first one has none.
        let is_version = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        let is_id = |text: &str, digits: usize| is_hex(text, digits) && is_set(text);
        let is_valid = is_version && is_id(trace_id, 32) && is_id(parent_id, 16) && is_hex(flags, 2);
        is_valid.then_some(Self { trace_id, parent_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn of(values: &[String]) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        TraceParent::of(&headers).map(|trace| (trace.trace_id.to_owned(), trace.parent_id.to_owned()))
    }

    #[test]
    fn a_place_in_a_trace_is_read_and_what_is_none_is_left_alone() {
        let found = Some((TRACE.to_owned(), SPAN.to_owned()));
        assert_eq!(of(&[format!("00-{TRACE}-{SPAN}-01")]), found);
        assert_eq!(of(&[format!("cc-{TRACE}-{SPAN}-01-more")]), found);
        for wrong in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
        ] {
            assert_eq!(of(std::slice::from_ref(&wrong)), None, "{wrong}");
        }
        assert_eq!(of(&[format!("00-{TRACE}-{SPAN}-01"), format!("00-{TRACE}-{SPAN}-01")]), None);
    }
}
