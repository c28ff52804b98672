//! The self-test: checks whether a worker that has been idle for some time still computes. A device may fail while no
//! job runs, and the next job should not be the first to notice.
//!
//! A self-test is the smallest pass. If it fails, the service is not ready until one succeeds. If it shows that the
//! device has failed, the worker ends, as with any pass.
//!
//! A job that fails because the model computed NaN or infinity is followed by a self-test at once. If such jobs follow
//! each other, the service is not ready even if the self-test succeeds: the smallest pass may not show what larger ones
//! do. The next self-test makes it ready again.

use std::time::{Duration, Instant};

use crate::engine::metrics::{SelfTestEnd, WorkerPart};
use crate::engine::runs::forward::Failure;
use crate::engine::worker::Worker;
use crate::telemetry::millis;

/// How soon a self-test that failed is repeated.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// So many jobs in a row whose result the model made NaN or infinite: it is taken for broken.
const BROKEN_AFTER: u32 = 3;

/// When the next self-test is due.
#[derive(Debug)]
pub(crate) struct SelfTest {
    idle_for: Duration,
    /// How the last one ended.
    last: SelfTestEnd,
    /// Jobs in a row whose result was not finite, at the last self-test that followed one.
    not_finite: u32,
    /// `None`: never.
    due: Option<Instant>,
}

impl SelfTest {
    /// A self-test after so long without work, counted from `now`.
    pub fn new(idle_for: Duration, now: Instant) -> Self {
        Self { idle_for, last: SelfTestEnd::Succeeded, not_finite: 0, due: now.checked_add(idle_for) }
    }

    /// Whether it is due.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Notes work: the idle time starts again.
    pub fn worked(&mut self, now: Instant) {
        self.due = now.checked_add(self.after());
    }

    /// Notes the end of a self-test; a failed one is repeated soon.
    pub fn ended(&mut self, end: SelfTestEnd, now: Instant) {
        self.last = end;
        self.due = now.checked_add(self.after());
    }

    /// The idle time before the next one.
    fn after(&self) -> Duration {
        match self.last {
            SelfTestEnd::Succeeded => self.idle_for,
            SelfTestEnd::Failed => RETRY_AFTER.min(self.idle_for),
        }
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
        let end = self.self_test()?;
        if end == SelfTestEnd::Succeeded {
            self.context.not_finite.set(0);
        }
        self.context.shared.set_self_test_failed(end == SelfTestEnd::Failed);
        self.self_test.ended(end, Instant::now());
        Ok(())
    }

    /// Makes a self-test if the model has computed NaN or infinity since the last one. The error is a failure of the
    /// device.
    pub(super) fn test_when_suspected(&mut self) -> Result<(), Failure> {
        let in_a_row = self.context.not_finite.get();
        let is_new = in_a_row > self.self_test.not_finite;
        self.self_test.not_finite = in_a_row;
        if !is_new {
            return Ok(());
        }
        let end = self.self_test()?;
        if end == SelfTestEnd::Failed || in_a_row >= BROKEN_AFTER {
            tracing::error!(
                jobs = in_a_row,
                "the model computes NaN or infinity, no jobs are accepted until a self-test succeeds"
            );
            self.context.shared.set_self_test_failed(true);
            self.self_test.ended(SelfTestEnd::Failed, Instant::now());
        }
        Ok(())
    }

    fn self_test(&mut self) -> Result<SelfTestEnd, Failure> {
        let began = Instant::now();
        let tested = self.context.catch_device_failure(|| self.context.model.probe());
        let took = began.elapsed();
        self.context.busy_time.split(WorkerPart::Unet, took);
        // Its memory is returned to the system as after a job.
        self.has_worked = true;
        let end = match tested? {
            Ok(()) => {
                tracing::debug!(took_ms = millis(took), "the self-test succeeded");
                SelfTestEnd::Succeeded
            }
            Err(error) => {
                tracing::error!(%error, "the self-test failed, no jobs are accepted until one succeeds");
                SelfTestEnd::Failed
            }
        };
        self.context.shared.metrics.self_tests.with(end).inc();
        Ok(end)
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
        test.worked(now);
        assert!(test.is_due(now + RETRY_AFTER), "work does not put off the repetition");
        test.ended(SelfTestEnd::Succeeded, now);
        assert!(!test.is_due(now + RETRY_AFTER) && test.is_due(now + minute));
        // A failure is not repeated later than a self-test would be anyway.
        let mut often = SelfTest::new(Duration::from_millis(50), start);
        often.ended(SelfTestEnd::Failed, start);
        assert!(often.is_due(start + Duration::from_millis(50)));
        assert!(!SelfTest::new(Duration::MAX, start).is_due(now), "never");
    }
}
