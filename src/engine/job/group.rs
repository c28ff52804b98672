//! Several jobs of one request, awaited, shown and canceled as one.

use futures_util::future::{try_join, try_join_all};
use tokio::sync::watch;

use crate::engine::job::{CancelReason, EngineError, JobHandle, Outcome, Progress};

/// The handles of one or more jobs that were submitted together.
///
/// Jobs start in the order of their submission and have equally many steps, so the last job's progress is shown as the
/// group's. It runs ahead of the others only if the last job's source was recorded before.
#[derive(Debug)]
pub struct JobGroup {
    first: Vec<JobHandle>,
    last: JobHandle,
}

/// The outcomes of a group, in the order of its jobs.
#[derive(Debug)]
pub struct Outcomes {
    /// All but the last.
    pub before: Vec<Outcome>,
    /// The last.
    pub last: Outcome,
}

impl JobGroup {
    /// A group of jobs, in the order of their submission.
    pub fn new(first: Vec<JobHandle>, last: JobHandle) -> Self {
        Self { first, last }
    }

    /// The outcomes of all jobs, in order. To be awaited once.
    ///
    /// # Errors
    /// The error of the first job that fails, at once; dropping the group then cancels the others.
    pub async fn outcomes(&mut self) -> Result<Outcomes, EngineError> {
        let before = try_join_all(self.first.iter_mut().map(JobHandle::outcome));
        let (before, last) = try_join(before, self.last.outcome()).await?;
        Ok(Outcomes { before, last })
    }

    /// The group's progress, to be watched.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.last.progress()
    }

    /// Cancels all jobs.
    pub fn cancel(self, reason: CancelReason) {
        self.first.into_iter().chain([self.last]).for_each(|handle| handle.cancel(reason));
    }
}
