//! The two ends of a job: the client's [`JobHandle`] and the worker's [`Ticket`].
//!
//! Client and worker talk through these two alone. The client watches the job's progress, awaits its outcome and
//! cancels it through the handle; the worker holds the ticket from submission to the answer, first in its queue and
//! then in a running job. Dropping the handle cancels the job: the worker sees it before its next step. However a job
//! ends, its ticket is dropped, and the job no longer counts as unfinished.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::engine::job::{CancelReason, EngineError, InternalError, JobOptions, Outcome, Progress, Work};
use crate::engine::trace::JobTrace;

/// Why the client canceled its job, if it gave a reason; written at most once.
type Canceled = OnceLock<CancelReason>;

/// The client's end of a job.
#[derive(Debug)]
pub struct JobHandle {
    result: oneshot::Receiver<Result<Outcome, EngineError>>,
    progress: watch::Receiver<Progress>,
    canceled: Arc<Canceled>,
}

impl JobHandle {
    /// Waits for the job. The future may be dropped and made anew; once it has resolved, it must not be awaited again.
    ///
    /// # Errors
    /// Why the job failed or was refused.
    pub async fn outcome(&mut self) -> Result<Outcome, EngineError> {
        (&mut self.result).await.unwrap_or_else(|_| Err(InternalError::WorkerEnded.into()))
    }

    /// The job's progress, to be watched.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Cancels the job: no step begins for it any more. Dropping the handle cancels too, as
    /// [`CancelReason::Disconnected`].
    pub fn cancel(self, reason: CancelReason) {
        // Consuming the handle, this is the only writer.
        let _ = self.canceled.set(reason);
    }
}

/// The worker's end of a job: what is asked for, and the channels to the client.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub work: Work,
    pub options: JobOptions,
    pub trace: JobTrace,
    pub submitted: Instant,
    pub progress: watch::Sender<Progress>,
    result: oneshot::Sender<Result<Outcome, EngineError>>,
    canceled: Arc<Canceled>,
    /// Released when the job starts.
    slot: Option<QueueSlot>,
    _unfinished: Unfinished,
}

impl Ticket {
    /// Both ends of a job that is submitted now, at this position of the queue.
    pub fn new(
        work: Work,
        options: JobOptions,
        slot: QueueSlot,
        unfinished: &watch::Sender<usize>,
        (position, estimated_wait): (usize, Duration),
    ) -> (Self, JobHandle) {
        let (result, result_receiver) = oneshot::channel();
        let (progress, progress_receiver) = watch::channel(Progress::queued(position, estimated_wait));
        let canceled = Arc::default();
        let handle =
            JobHandle { result: result_receiver, progress: progress_receiver, canceled: Arc::clone(&canceled) };
        let ticket = Self {
            trace: JobTrace::new(&work),
            work,
            options,
            submitted: Instant::now(),
            progress,
            result,
            canceled,
            slot: Some(slot),
            _unfinished: Unfinished::new(unfinished),
        };
        (ticket, handle)
    }

    /// Whether the client has dropped its handle.
    pub fn is_canceled(&self) -> bool {
        self.result.is_closed()
    }

    /// Why the client canceled; [`CancelReason::Disconnected`] if it gave no reason.
    pub fn cancel_reason(&self) -> CancelReason {
        self.canceled.get().copied().unwrap_or(CancelReason::Disconnected)
    }

    /// Releases the queue slot: the job starts.
    pub fn release_slot(&mut self) {
        self.slot = None;
    }

    /// Sends the result to the client. It is no error if the client has disconnected.
    pub fn answer(self, result: Result<Outcome, EngineError>) {
        let _ = self.result.send(result);
    }
}

/// A slot of the queue: counted for as long as it is held.
#[derive(Debug)]
pub(crate) struct QueueSlot {
    _permit: OwnedSemaphorePermit,
    queued: IntGauge,
}

impl QueueSlot {
    pub fn new(permit: OwnedSemaphorePermit, queued: IntGauge) -> Self {
        queued.inc();
        Self { _permit: permit, queued }
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        self.queued.dec();
    }
}

/// Counts a job that was submitted and has not ended.
#[derive(Debug)]
struct Unfinished(watch::Sender<usize>);

impl Unfinished {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|jobs| *jobs += 1);
        Self(count.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.send_modify(|jobs| *jobs -= 1);
    }
}
