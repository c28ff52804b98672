//! A request that waits for a job. While a job has waiters it is not canceled; dropping the last one cancels it,
//! unless it is detached.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::api::delivery::jobs::{End, JobRecord};
use crate::engine::CancelReason;

/// One waiter of a job.
#[derive(Debug)]
pub struct Waiter {
    job: Arc<JobRecord>,
    /// When this waiter stops waiting, whether or not the job has ended.
    deadline: Option<Instant>,
    /// Why the job is canceled if this is the last waiter.
    reason: CancelReason,
}

impl Waiter {
    /// The waiter that [`JobRecord::join`] has counted.
    pub(crate) fn new(job: Arc<JobRecord>) -> Self {
        Self { job, deadline: None, reason: CancelReason::Disconnected }
    }

    /// The same with a deadline.
    #[must_use]
    pub fn until(self, deadline: Option<Instant>) -> Self {
        // Struct update syntax cannot move out of a type with a drop.
        let mut waiter = self;
        waiter.deadline = deadline;
        waiter
    }

    /// The job.
    pub fn job(&self) -> &Arc<JobRecord> {
        &self.job
    }

    /// How the job or the waiting ended, if it has.
    pub(crate) fn ended(&self) -> Option<End> {
        let is_over = self.reason == CancelReason::Deadline;
        let end = self.job.ended().map(|ended| ended.end);
        end.or_else(|| is_over.then_some(End::Canceled(CancelReason::Deadline)))
    }

    /// Waits until the job ends or the deadline passes.
    pub(crate) async fn end(&mut self) -> End {
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

/// Waits for a deadline; forever without one.
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
