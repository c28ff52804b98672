//! How jobs end, and the answer or problem that a client gets for each end.

use std::sync::Arc;
use std::time::SystemTime;

use crate::api::delivery::answer::Answer;
use crate::api::problem::{Code, Problem};
use crate::engine::CancelReason;

/// How a job ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// With its answer.
    Succeeded(Arc<Answer>),
    /// With a problem.
    Failed(Problem),
    /// It was canceled.
    Canceled(CancelReason),
}

impl End {
    /// The answer, or the problem for the client.
    ///
    /// # Errors
    /// Where the job did not succeed.
    pub fn answer(&self) -> Result<&Arc<Answer>, Problem> {
        match self {
            Self::Succeeded(answer) => Ok(answer),
            Self::Failed(problem) => Err(problem.clone()),
            Self::Canceled(CancelReason::Deadline) => {
                Err(Problem::new(Code::DeadlineExceeded, "the job took longer than Cancel-After allows"))
            }
            Self::Canceled(CancelReason::Draining) => {
                Err(Problem::new(Code::Draining, "the job was canceled because the service is shutting down"))
            }
            Self::Canceled(CancelReason::Deleted) => {
                Err(Problem::new(Code::JobCanceled, "the job was canceled by a DELETE request"))
            }
            Self::Canceled(CancelReason::Disconnected) => {
                Err(Problem::new(Code::JobCanceled, "the job was canceled because all its clients disconnected"))
            }
        }
    }

    /// Whether the same request would end in the same way; then the job keeps its idempotency key. A job that was
    /// canceled, or failed because of the server, frees its key.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Succeeded(_) => true,
            Self::Failed(problem) => {
                let status = problem.code().status();
                status.is_client_error() && problem.code() != Code::QueueFull
            }
            Self::Canceled(_) => false,
        }
    }

    /// Bytes of the result as JSON.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Succeeded(answer) => answer.json_bytes(),
            Self::Failed(_) | Self::Canceled(_) => 0,
        }
    }
}

/// A job that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    /// How.
    pub end: End,
    /// When.
    pub at: SystemTime,
    /// Steps done.
    pub step: usize,
    /// Steps in all; 0 if it had not started.
    pub steps: usize,
}
