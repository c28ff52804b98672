//! Why the engine refuses or fails a job.
//!
//! Clients see a stable code for each variant; the text of [`EngineError::Internal`] is for logs alone.

use std::sync::Arc;
use std::time::Duration;

use crate::diffusion::{ModelError, NotFinite};
use crate::engine::runs::forward::Failure;

/// Why the engine refused or failed a job.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The model is still being loaded.
    #[error("the model is loading")]
    Loading,
    /// The process is about to end and accepts no more work.
    #[error("the service is shutting down")]
    Draining,
    /// The worker has not completed a turn for too long (a step hangs), or its thread has ended.
    #[error("the worker does not respond")]
    Stalled,
    /// The last self-test failed.
    #[error("the last self-test of the model failed; the service's log has the cause")]
    SelfTestFailed,
    /// The queue has no free slot.
    #[error("the queue is full: {waiting} jobs are queued")]
    QueueFull {
        /// Jobs in the queue.
        waiting: usize,
        /// When a slot is likely to become free.
        retry_after: Duration,
    },
    /// The source's recording alone is larger than the budget for all recordings.
    #[error("recording this source needs {bytes} bytes, but the service has a budget of {budget} bytes")]
    SourceTooLarge {
        /// Bytes of the recording.
        bytes: u64,
        /// Bytes that recordings may take.
        budget: u64,
    },
    /// The device has failed. The process exits, so that it is started again.
    #[error("the device failed")]
    DeviceLost,
    /// The latents overflowed, and the request's own numbers can be the cause: a strength or the guidance scale is far too
    /// high.
    #[error("the latents contain NaN or infinity: a strength or the guidance scale is far too high")]
    Diverged,
    /// A part of the model computed NaN or infinity from ordinary numbers: the model is at fault, not the request.
    #[error("{0}; the request is not the cause")]
    ModelNotFinite(NotFinite),
    /// The job failed through no fault of its request.
    #[error("the job failed: {0}")]
    Internal(#[from] InternalError),
}

/// An internal error. It is cheap to clone, because one failure can fail several jobs.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InternalError {
    /// The model refused its input, or could not compute with it.
    #[error(transparent)]
    Model(Arc<ModelError>),
    /// Tensor work failed.
    #[error(transparent)]
    Compute(Failure),
    /// The worker's thread ended before it answered.
    #[error("the worker has ended")]
    WorkerEnded,
}

impl PartialEq for InternalError {
    /// Errors of the libraries below cannot be compared; two failures are the same if they read the same.
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl From<ModelError> for EngineError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::NotFinite(part) => Self::ModelNotFinite(part),
            error => Self::Internal(InternalError::Model(Arc::new(error))),
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        let not_finite = if let Failure::Work(error) = &failure { NotFinite::of(error) } else { None };
        not_finite.map_or(Self::Internal(InternalError::Compute(failure)), Self::ModelNotFinite)
    }
}
