//! The rate limit: requests per minute and caller, all of which may come at once, counted by the generic cell rate
//! algorithm.
//!
//! Every response has the `RateLimit` and `RateLimit-Policy` fields (draft-ietf-httpapi-ratelimit-headers). Memory is
//! bounded: once too many addresses are counted, all further ones are counted as one caller.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::api::guard::Caller;
use crate::sync::lock;

/// The header with the requests that are left.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The header with the limit.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The most callers that are counted separately; they take some megabytes.
const MAX_CALLERS: usize = 1 << 16;
/// The shortest interval between two sweeps of idle callers.
const SWEEP: Duration = Duration::from_secs(1);

type Limiter<C> = RateLimiter<Caller, HashMapStateStore<Caller>, C, StateInformationMiddleware>;

/// Counts the requests of callers.
#[derive(Debug)]
pub struct Rate<C: Clock = DefaultClock> {
    limit: Option<(NonZeroU32, Limiter<C>)>,
    clock: C,
    max_callers: usize,
    swept: Mutex<Option<Instant>>,
}

/// The count of a caller after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests a minute.
    pub limit: NonZeroU32,
    /// Requests that are left.
    pub remaining: u32,
    /// When all requests are available again; for a refused request, when the next one is.
    pub reset: Duration,
    /// Whether the request was within the limit.
    pub is_within: bool,
}

impl Rate {
    /// A limit of requests per minute; `None`: no limit.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self::with_clock(per_minute, DefaultClock::default(), MAX_CALLERS)
    }
}

impl<C: Clock + Clone> Rate<C> {
    fn with_clock(per_minute: Option<NonZeroU32>, clock: C, max_callers: usize) -> Self {
        let limiter = |per_minute| {
            let limiter = RateLimiter::hashmap_with_clock(Quota::per_minute(per_minute), clock.clone());
            (per_minute, limiter.with_middleware::<StateInformationMiddleware>())
        };
        Self { limit: per_minute.map(limiter), clock, max_callers, swept: Mutex::new(None) }
    }

    /// Counts a request; `None` if there is no limit.
    pub fn count(&self, caller: &Caller) -> Option<Standing> {
        let (limit, limiter) = self.limit.as_ref()?;
        let is_crowded = matches!(caller, Caller::Address(_)) && self.is_crowded(limiter);
        let caller = if is_crowded { &Caller::Unknown } else { caller };
        let standing = Standing { limit: *limit, remaining: 0, reset: Duration::ZERO, is_within: true };
        Some(match limiter.check_key(caller) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let reset = state.quota().replenish_interval() * limit.get().saturating_sub(remaining);
                Standing { remaining, reset, ..standing }
            }
            Err(not_until) => {
                let reset = not_until.wait_time_from(self.clock.now());
                Standing { reset, is_within: false, ..standing }
            }
        })
    }

    /// Whether no more addresses can be counted separately.
    fn is_crowded(&self, limiter: &Limiter<C>) -> bool {
        if limiter.len() < self.max_callers {
            return false;
        }
        let mut swept = lock(&self.swept);
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
            limiter.retain_recent();
            *swept = Some(Instant::now());
        }
        limiter.len() >= self.max_callers
    }
}

impl Standing {
    /// Writes the header fields.
    pub fn put(&self, headers: &mut HeaderMap) {
        let seconds = self.reset.as_secs_f64().ceil() as u64;
        let fields = [
            (RATE_LIMIT_POLICY, format!("\"requests\";q={};w=60", self.limit)),
            (RATE_LIMIT, format!("\"requests\";r={};t={seconds}", self.remaining)),
        ];
        for (name, value) in fields {
            headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn rate(per_minute: u32, max_callers: usize) -> (Rate<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Rate::with_clock(NonZeroU32::new(per_minute), clock.clone(), max_callers), clock)
    }

    fn key(name: &str) -> Caller {
        Caller::Key(name.into())
    }

    fn address(number: u8) -> Caller {
        Caller::at(Some([192, 0, 2, number].into()))
    }

    #[test]
    fn a_minutes_requests_may_come_at_once_and_are_restored_one_by_one() {
        let (rate, clock) = rate(6, 10);
        for left in (0..6).rev() {
            let standing = rate.count(&key("alice")).unwrap();
            assert_eq!((standing.is_within, standing.remaining), (true, left));
            assert_eq!(standing.reset, Duration::from_secs(10 * u64::from(6 - left)));
        }
        clock.advance(Duration::from_secs(4));
        let refused = rate.count(&key("alice")).unwrap();
        assert_eq!((refused.is_within, refused.remaining, refused.reset), (false, 0, Duration::from_secs(6)));
        assert!(rate.count(&key("bob")).unwrap().is_within, "another's requests are another's");
        clock.advance(Duration::from_secs(6));
        assert!(rate.count(&key("alice")).unwrap().is_within);
        assert!(!rate.count(&key("alice")).unwrap().is_within);
        assert_eq!(Rate::new(None).count(&key("alice")), None);
    }

    #[test]
    fn the_fields_are_structured_as_the_draft_has_them() {
        let limit = NonZeroU32::new(60).unwrap();
        let standing = Standing { limit, remaining: 12, reset: Duration::from_millis(47_100), is_within: true };
        let mut headers = HeaderMap::new();
        standing.put(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"requests\";q=60;w=60");
        assert_eq!(headers["ratelimit"], "\"requests\";r=12;t=48");
    }

    #[test]
    fn addresses_beyond_the_bound_are_counted_as_one() {
        let (rate, _clock) = rate(2, 100);
        for number in 0..=255 {
            rate.count(&address(number));
        }
        let (_, limiter) = rate.limit.as_ref().unwrap();
        assert_eq!(limiter.len(), 101, "with the one for all further addresses");
        assert!(!rate.count(&address(254)).unwrap().is_within);
        assert!(rate.count(&key("alice")).unwrap().is_within, "keys are not bounded");
    }

    #[tokio::test(start_paused = true)]
    async fn idle_callers_are_swept() {
        let (rate, clock) = rate(2, 100);
        for number in 0..=100 {
            rate.count(&address(number));
        }
        clock.advance(Duration::from_secs(120));
        tokio::time::advance(2 * SWEEP).await;
        assert_eq!(rate.count(&address(200)).unwrap().remaining, 1);
        let (_, limiter) = rate.limit.as_ref().unwrap();
        assert!(limiter.len() <= 2, "{}", limiter.len());
    }
}
