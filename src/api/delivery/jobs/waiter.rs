//! A request's interest in a job.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::api::delivery::jobs::{End, Job};
use crate::engine::CancelReason;

/// A place among those who wait for a job, given up on drop.
#[derive(Debug)]
pub struct Waiter {
    job: Arc<Job>,
    /// When the waiting is over, whatever becomes of the job.
    deadline: Option<Instant>,
    /// Why the place is given up.
    reason: CancelReason,
}

impl Waiter {
    /// The place that [`Job::join`] has counted.
    pub(crate) fn new(job: Arc<Job>) -> Self {
        Self { job, deadline: None, reason: CancelReason::Disconnected }
    }

    /// The same, for no longer than this.
    #[must_use]
    pub fn until(self, deadline: Option<Instant>) -> Self {
        // A waiter cannot be taken apart: it has a drop.
        let mut waiter = self;
        waiter.deadline = deadline;
        waiter
    }

    /// The job.
    pub fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// How the job ended, or the waiting, if it has.
    pub fn ended(&self) -> Option<End> {
        let is_over = self.reason == CancelReason::Deadline;
        let end = self.job.ended().map(|ended| ended.end);
        end.or_else(|| is_over.then_some(End::Canceled(CancelReason::Deadline)))
    }

    /// Waits for the job's end, or for the end of the waiting.
    pub async fn end(&mut self) -> End {
        tokio::select! {
            biased;
            ended = self.job.end() => ended.end,
            () = passed(self.deadline) => {
                self.reason = CancelReason::Deadline;
                End::Canceled(CancelReason::Deadline)
            }
        }
    }
}

/// Waits for a deadline; for ever where there is none.
pub(crate) async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.job.leave(self.reason);
    }
}
