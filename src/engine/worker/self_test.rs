//! The self-test: checks whether a worker that has been idle for some time still computes. A device may fail while no
//! job runs, and the next job should not be the first to notice.
//!
//! A self-test is the smallest pass. If it fails, the service is not ready until one succeeds. If it shows that the
//! device has failed, the worker ends, as with any pass.

use std::time::{Duration, Instant};

use crate::engine::metrics::{SelfTestEnd, WorkerPart};
use crate::engine::runs::forward::Failure;
use crate::engine::worker::Worker;

/// How soon a self-test that failed is repeated.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// When the next self-test is due.
#[derive(Debug)]
pub(crate) struct SelfTest {
    idle_for: Duration,
    /// `None`: never.
    due: Option<Instant>,
}

impl SelfTest {
    /// A self-test after so long without work, counted from `now`.
    pub fn new(idle_for: Duration, now: Instant) -> Self {
        Self { idle_for, due: now.checked_add(idle_for) }
    }

    /// Whether it is due.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Notes work: the idle time starts again.
    pub fn worked(&mut self, now: Instant) {
        self.due = now.checked_add(self.idle_for);
    }

    /// Notes the end of a self-test; a failed one is repeated soon.
    pub fn ended(&mut self, end: SelfTestEnd, now: Instant) {
        self.due = now.checked_add(match end {
            SelfTestEnd::Succeeded => self.idle_for,
            SelfTestEnd::Failed => RETRY_AFTER.min(self.idle_for),
        });
    }
}

impl Worker<'_> {
    /// Makes a self-test if one is due. The error is a failure of the device.
    pub(super) fn test_when_idle(&mut self, has_moved: bool) -> Result<(), Failure> {
        if has_moved || !self.is_idle() {
            self.self_test.worked(Instant::now());
            return Ok(());
        }
        if !self.self_test.is_due(Instant::now()) {
            return Ok(());
        }
        let began = Instant::now();
        let tested = self.context.catch_device_failure(|| self.context.model.probe());
        let took = began.elapsed();
        self.context.busy_time.split(WorkerPart::Unet, took);
        // Its memory is returned to the system as after a job.
        self.has_worked = true;
        let end = match tested? {
            Ok(()) => {
                tracing::debug!(?took, "the idle worker still computes");
                SelfTestEnd::Succeeded
            }
            Err(error) => {
                tracing::error!(%error, "the idle worker cannot compute, no jobs are accepted until it can");
                SelfTestEnd::Failed
            }
        };
        let shared = self.context.shared;
        shared.metrics.self_tests.with(end).inc();
        shared.set_self_test_failed(end == SelfTestEnd::Failed);
        self.self_test.ended(end, Instant::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_test_is_due_after_a_time_without_work_and_sooner_after_a_failure() {
        let (start, minute) = (Instant::now(), Duration::from_secs(60));
        let mut test = SelfTest::new(minute, start);
        assert!(!test.is_due(start + minute / 2) && test.is_due(start + minute));
        test.worked(start + minute / 2);
        assert!(!test.is_due(start + minute));
        let now = start + minute * 2;
        test.ended(SelfTestEnd::Failed, now);
        assert!(!test.is_due(now) && test.is_due(now + RETRY_AFTER));
        test.ended(SelfTestEnd::Succeeded, now);
        assert!(!test.is_due(now + RETRY_AFTER) && test.is_due(now + minute));
        // A failure is not repeated later than a self-test would be anyway.
        let mut often = SelfTest::new(Duration::from_millis(50), start);
        often.ended(SelfTestEnd::Failed, start);
        assert!(often.is_due(start + Duration::from_millis(50)));
        assert!(!SelfTest::new(Duration::MAX, start).is_due(now), "never");
    }
}
