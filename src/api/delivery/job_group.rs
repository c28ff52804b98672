//! The engine's handles of the work of one job, as one.

use futures_util::future::{try_join, try_join_all};
use tokio::sync::watch;

use crate::engine::{CancelReason, EngineError, JobHandle, Outcome, Progress};

/// One handle at least. The engine takes work in order and all of it has the same number of steps, so the progress of
/// the last stands for all, unless that one was recorded before.
#[derive(Debug)]
pub struct Handles {
    first: Vec<JobHandle>,
    last: JobHandle,
}

/// The outcomes of the work of one job, in order.
#[derive(Debug)]
pub struct Outcomes {
    /// All but the last.
    pub before: Vec<Outcome>,
    /// The last.
    pub last: Outcome,
}

impl Handles {
    /// The handles of work that was submitted in this order.
    pub fn new(first: Vec<JobHandle>, last: JobHandle) -> Self {
        Self { first, last }
    }

    /// The outcomes of all the work. To be awaited once.
    ///
    /// # Errors
    /// The first error, at once; the rest of the work is cancelled when the handles are dropped.
    pub async fn outcomes(&mut self) -> Result<Outcomes, EngineError> {
        let before = try_join_all(self.first.iter_mut().map(JobHandle::outcome));
        let (before, last) = try_join(before, self.last.outcome()).await?;
        Ok(Outcomes { before, last })
    }

    /// The progress of the last.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.last.progress()
    }

    /// Cancels all of it.
    pub fn cancel(self, reason: CancelReason) {
        self.first.into_iter().chain([self.last]).for_each(|handle| handle.cancel(reason));
    }
}
