//! Several jobs of one request, handled as one.

use futures_util::future::try_join_all;
use tokio::sync::watch;

use crate::engine::job::{CancelReason, EngineError, JobHandle, Outcome, Progress};

/// The handles of one or more jobs that were submitted together.
///
/// Jobs start in the order of their submission and none takes more steps than another, so the last one's progress
/// stands for all, unless its source was recorded before.
#[derive(Debug)]
pub struct JobGroup {
    first: Vec<JobHandle>,
    last: JobHandle,
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
    pub async fn outcomes(&mut self) -> Result<Vec<Outcome>, EngineError> {
        try_join_all(self.first.iter_mut().chain([&mut self.last]).map(JobHandle::outcome)).await
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
