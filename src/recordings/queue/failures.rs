//! Which failures of the store are logged. A full or failing disk fails every call, so that a line for each would hide
//! all others.
//!
//! Contract: a warning is due at the first failure and then at most once a minute, with the number of failures since the
//! last one. Once a minute has passed without a failure, the next call that succeeds is logged.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::recordings::store::{StoreError, WriteFault};
use crate::sync::lock;

/// The shortest time between two warnings.
const BETWEEN: Duration = Duration::from_secs(60);

/// Failures of one kind of call.
#[derive(Debug, Default)]
struct Failures {
    /// The last warning, and the last failure; `None` while calls succeed.
    last: Option<(Instant, Instant)>,
    /// Failures since the last warning.
    unlogged: u64,
}

impl Failures {
    /// Notes a failure. If a warning is due: the failures since the last one.
    fn failed(&mut self, now: Instant) -> Option<u64> {
        self.unlogged += 1;
        let warned = self.last.map(|(warned, _)| warned).filter(|warned| now.duration_since(*warned) < BETWEEN);
        self.last = Some((warned.unwrap_or(now), now));
        warned.is_none().then(|| std::mem::take(&mut self.unlogged))
    }

    /// Notes a success, and returns whether calls have failed before and do no longer. Small files may still fit onto a
    /// full disk, so that one success shows nothing.
    fn succeeded(&mut self, now: Instant) -> bool {
        let is_over = self.last.is_some_and(|(_, failed)| now.duration_since(failed) >= BETWEEN);
        if is_over {
            *self = Self::default();
        }
        is_over
    }
}

/// Logs the failures of a store.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    writes: Mutex<Failures>,
    reads: Mutex<Failures>,
}

impl FailureLog {
    /// Notes a write that failed.
    pub fn write_failed(&self, error: &StoreError) {
        let Some(failures) = lock(&self.writes).failed(Instant::now()) else {
            return;
        };
        let what = match WriteFault::of(error) {
            Some(WriteFault::Full) => "the disk of the recordings is full",
            Some(WriteFault::Denied) => "the folder of the recordings cannot be written to",
            Some(WriteFault::Failed) | None => "writing recordings fails",
        };
        tracing::warn!(%error, failures, "{what}; recordings stay in memory, and images are not affected");
    }

    /// Notes a write that succeeded.
    pub fn written(&self) {
        if lock(&self.writes).succeeded(Instant::now()) {
            tracing::info!("recordings are written again");
        }
    }

    /// Notes a read that failed, though what is stored may be intact.
    pub fn read_failed(&self, error: &StoreError) {
        if let Some(failures) = lock(&self.reads).failed(Instant::now()) {
            tracing::warn!(%error, failures, "reading recordings fails; they are computed again");
        }
    }

    /// Notes a read that succeeded.
    pub fn read(&self) {
        if lock(&self.reads).succeeded(Instant::now()) {
            tracing::info!("recordings are read again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_comes_at_once_and_then_once_a_minute() {
        let (start, mut failures) = (Instant::now(), Failures::default());
        let second = |seconds| start + Duration::from_secs(seconds);
        assert!(!failures.succeeded(start));
        assert_eq!(failures.failed(start), Some(1));
        for at in 1..60 {
            assert_eq!((failures.failed(second(at)), failures.succeeded(second(at))), (None, false));
        }
        assert_eq!(failures.failed(second(61)), Some(60));
        assert_eq!([120, 121, 122].map(|at| failures.succeeded(second(at))), [false, true, false]);
        assert_eq!(failures.failed(second(123)), Some(1));
    }
}
