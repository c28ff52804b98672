//! Whether a worker that has had nothing to do for long still computes: a device may fail while nobody looks, and the next
//! job should not be what finds out.
//!
//! A probe is the smallest pass that there is. One that fails takes readiness down until one succeeds; one that shows that
//! the device has failed ends the worker, as any pass would.

use std::time::{Duration, Instant};

use crate::engine::runs::forward::Failure;
use crate::engine::worker::Worker;
use crate::engine::worker::busy_time::WorkerPart;
use crate::telemetry::labels::label;

label! {
    /// How a probe of the idle worker ended.
    ProbeEnd as "outcome" {
        /// It computes.
        Succeeded = "succeeded",
        /// It does not.
        Failed = "failed",
    }
}

/// How soon after a probe that has failed there is another one.
const AGAIN: Duration = Duration::from_secs(5);

/// When there is to be a probe.
#[derive(Debug)]
pub(crate) struct Probe {
    after: Duration,
    /// `None`: never.
    next: Option<Instant>,
}

impl Probe {
    /// After so long without work.
    pub fn new(after: Duration) -> Self {
        Self { after, next: Instant::now().checked_add(after) }
    }

    fn again_after(&mut self, pause: Duration) {
        self.next = Instant::now().checked_add(pause);
    }
}

impl Worker<'_> {
    /// Makes a probe where it is time for one. The error is the device's.
    pub(crate) fn probe_when_idle(&mut self, has_moved: bool) -> Result<(), Failure> {
        if has_moved || !self.queue.is_empty() || !self.jobs.is_empty() {
            self.probe.again_after(self.probe.after);
            return Ok(());
        }
        if self.probe.next.is_none_or(|next| Instant::now() < next) {
            return Ok(());
        }
        let model = &*self.model;
        let (probed, took) =
            self.clock.count(WorkerPart::Unet, || crate::engine::worker::start_runs::tried(model, || model.probe()));
        // What the pass took is given back as after a job.
        self.has_worked = true;
        let (end, next) = match probed? {
            Ok(()) => {
                tracing::debug!(?took, "the idle worker still computes");
                (ProbeEnd::Succeeded, self.probe.after)
            }
            Err(error) => {
                tracing::error!(%error, "the idle worker does not compute, no jobs are taken until it does");
                (ProbeEnd::Failed, AGAIN.min(self.probe.after))
            }
        };
        self.metrics().probes.of(end).inc();
        self.shared.set_self_test_failed(end == ProbeEnd::Failed);
        self.probe.again_after(next);
        Ok(())
    }
}
