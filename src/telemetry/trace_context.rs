//! Distributed traces: `traceparent` and `tracestate` as in the W3C's Trace Context.
//!
//! A request with a valid `traceparent` joins that trace; any other request starts a new one. The `traceparent` of
//! responses and webhooks names the request's own span as the parent.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that names a trace and a span of it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with the state of other vendors, which is passed on unchanged.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length in bytes of version 00, the only version so far.
const LENGTH: usize = 55;
/// Maximum length in bytes of a state that is passed on.
const MAX_STATE: usize = 512;

/// A span of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never 0.
    pub trace: u128,
    /// The span; never 0.
    pub span: u64,
    /// The flags; the lowest bit says that the trace is recorded.
    pub flags: u8,
    /// The state of other vendors.
    pub state: Option<HeaderValue>,
}

impl TraceContext {
    /// The caller's span, from the request headers; `None` if it is missing or malformed.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let context = parse(value.to_str().ok()?)?;
        let states: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes).collect();
        let state = states.join(b", ".as_slice());
        let is_passed_on = !state.is_empty() && state.len() <= MAX_STATE;
        Some(Self { state: is_passed_on.then(|| HeaderValue::from_bytes(&state).ok()).flatten(), ..context })
    }

    /// A new trace, which is not recorded.
    pub fn root() -> Self {
        Self { trace: rand::random_range(1..=u128::MAX), span: random_span(), flags: 0, state: None }
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span: random_span(), ..self.clone() }
    }

    /// The trace id in hexadecimal.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// Adds the span to outgoing headers.
    pub fn put(&self, headers: &mut HeaderMap) {
        let Self { trace, span, flags, .. } = self;
        if let Ok(value) = HeaderValue::try_from(format!("00-{trace:032x}-{span:016x}-{flags:02x}")) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
    }
}

fn random_span() -> u64 {
    rand::random_range(1..=u64::MAX)
}

/// Parses `00-<32 digits of the trace>-<16 of the span>-<2 of the flags>`; later versions may append more fields.
fn parse(text: &str) -> Option<TraceContext> {
    let (known, rest) = text.split_at_checked(LENGTH)?;
    let [version, trace, span, flags] = known.split('-').collect::<Vec<_>>()[..] else {
        return None;
    };
    let lengths = [version.len(), trace.len(), span.len(), flags.len()];
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_well_formed = lengths == [2, 32, 16, 2] && [version, trace, span, flags].into_iter().all(is_hex);
    let is_known = if version == "00" { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
    if !is_well_formed || !is_known || version == "ff" {
        return None;
    }
    let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
    // Of a later version only the first fields are known.
    let flags = u8::from_str_radix(flags, 16).ok()? & 0b11;
    (trace != 0 && span != 0).then_some(TraceContext { trace, span, flags, state: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[(&'static str, &'static str)]) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, HeaderValue::from_static(value));
        }
        TraceContext::of(&headers)
    }

    #[test]
    fn a_trace_goes_on_with_a_span_of_its_own() {
        let come = of(&[("traceparent", GOOD), ("tracestate", "a=1"), ("tracestate", "b=2")]).unwrap();
        assert_eq!((come.trace_id().as_str(), come.span), ("4bf92f3577b34da6a3ce929d0e0e4736", 0x00f0_67aa_0ba9_02b7));
        let (mut same, mut next) = (HeaderMap::new(), HeaderMap::new());
        come.put(&mut same);
        come.child().put(&mut next);
        assert_eq!((same["traceparent"].to_str().unwrap(), next["tracestate"].to_str().unwrap()), (GOOD, "a=1, b=2"));
        assert_ne!(next["traceparent"], same["traceparent"]);
        assert_eq!(next["traceparent"].as_bytes()[..36], GOOD.as_bytes()[..36]);
        assert_ne!(TraceContext::root().trace, TraceContext::root().trace);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-what-comes";
        assert_eq!(of(&[("traceparent", later)]).map(|context| context.flags), Some(1));
    }

    #[test]
    fn what_is_malformed_is_as_good_as_nothing() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(of(&[("traceparent", bad), ("tracestate", "a=1")]), None, "{bad}");
        }
        assert_eq!(of(&[("traceparent", GOOD), ("traceparent", GOOD)]), None);
        assert_eq!(of(&[("tracestate", "a=1")]), None);
    }
}
