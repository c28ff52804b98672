//! `Cancel-After`: the deadline of a job, counted from the arrival of its request.
//!
//! The contract's grammar is narrower than that of the usual parsers of durations: units in order, each at most once, no
//! days, no spaces. So it is read here.

use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::Instant;

use crate::api::problem::Problem;
use crate::api::transport::headers::{invalid, single};

/// The header's name.
pub const CANCEL_AFTER: &str = "Cancel-After";
/// The longest duration.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Units in the order in which they may follow each other, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The deadline of the job of a request that arrived at `arrived`.
///
/// # Errors
/// `invalid_header` where the header is not a duration, is zero, or is more than a day.
pub fn deadline(headers: &HeaderMap, arrived: Instant) -> Result<Option<Instant>, Problem> {
    let Some(text) = single(headers, CANCEL_AFTER)? else {
        return Ok(None);
    };
    let wrong = |expected: &str| Err(invalid(CANCEL_AFTER, &format!("expected {expected}, got {text:?}")));
    match parse(text.trim()) {
        None => wrong("a duration such as 90, 90s, 1m30s or 500ms"),
        Some(Duration::ZERO) => wrong("more than 0"),
        Some(after) if after > MAX => wrong("at most a day"),
        Some(after) => Ok(arrived.checked_add(after)),
    }
}

/// Seconds, or whole numbers of hours, minutes, seconds and milliseconds, each at most once and in this order.
fn parse(text: &str) -> Option<Duration> {
    if let Some(seconds) = number(text) {
        return Some(Duration::from_secs(seconds));
    }
    let (mut rest, mut units, mut millis) = (text, UNITS.as_slice(), 0_u64);
    while !rest.is_empty() {
        let (count, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let at = units.iter().position(|(name, _)| *name == unit)?;
        millis = millis.checked_add(number(count)?.checked_mul(units[at].1)?)?;
        (rest, units) = (after, &units[at + 1..]);
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

/// A whole number in plain digits.
fn number(text: &str) -> Option<u64> {
    // `parse` accepts a sign too.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Code;
    use axum::http::HeaderValue;

    fn after(text: &'static str) -> Result<Duration, Code> {
        let now = Instant::now();
        let mut headers = HeaderMap::new();
        headers.insert("cancel-after", HeaderValue::from_static(text));
        let deadline = deadline(&headers, now).map_err(|problem| {
            assert_eq!(problem.param(), Some(CANCEL_AFTER));
            problem.code()
        })?;
        Ok(deadline.unwrap() - now)
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        for (text, millis) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1h1ms", 3_600_001),
            ("24h", 86_400_000),
            (" 5 ", 5000),
        ] {
            assert_eq!(after(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(deadline(&HeaderMap::new(), Instant::now()), Ok(None));
    }

    #[test]
    fn invalid_durations_are_refused() {
        for text in [
            "",
            "s",
            "-5",
            "+5",
            "1.5s",
            "5 s",
            "30s1m",
            "1s1s",
            "5d",
            "5x",
            "0",
            "0ms",
            "25h",
            "99999999999999999999",
            "18446744073709551615h",
            "1m30",
        ] {
            assert_eq!(after(text), Err(Code::InvalidHeader), "{text}");
        }
    }
}
