//! A request's interest in a job.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::api::delivery::jobs::{End, JobRecord};
use crate::engine::CancelReason;

/// Keeps a job alive until it is dropped.
#[derive(Debug)]
pub struct Waiter {
    job: Arc<JobRecord>,
    /// When the waiting ends, whatever becomes of the job.
    deadline: Option<Instant>,
    /// Why the job is cancelled if this is the last waiter.
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

    /// How the job ended, or the waiting, if it has.
    pub(crate) fn ended(&self) -> Option<End> {
        let is_over = self.reason == CancelReason::Deadline;
        let end = self.job.ended().map(|ended| ended.end);
        end.or_else(|| is_over.then_some(End::Canceled(CancelReason::Deadline)))
    }

    /// Waits for the job's end, or for the end of the waiting.
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

/// Waits for a deadline; forever where there is none.
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
