//! The engine's handles of all the work of one job, as one.

use futures_util::future::try_join_all;
use tokio::sync::watch;

use crate::engine::{CancelReason, EngineError, JobHandle, Outcome, Progress};

/// One handle at least. The engine takes work in its order and none takes more steps than another, so that the last
/// one's progress stands for all, unless that one was recorded before.
#[derive(Debug)]
pub struct Handles {
    first: Vec<JobHandle>,
    last: JobHandle,
}

impl Handles {
    /// The handles of work that was submitted in this order.
    pub fn new(first: Vec<JobHandle>, last: JobHandle) -> Self {
        Self { first, last }
    }

    /// What all of it came to, in order. To be waited for once.
    ///
    /// # Errors
    /// What the first of them to fail failed with, at once; the others are cancelled with the handles.
    pub async fn outcomes(&mut self) -> Result<Vec<Outcome>, EngineError> {
        try_join_all(self.first.iter_mut().chain([&mut self.last]).map(JobHandle::outcome)).await
    }

    /// Progress, to be watched.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.last.progress()
    }

    /// Cancels all of it.
    pub fn cancel(self, reason: CancelReason) {
        self.first.into_iter().chain([self.last]).for_each(|handle| handle.cancel(reason));
    }
}
