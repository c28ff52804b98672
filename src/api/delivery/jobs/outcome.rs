//! How jobs end, and what their clients are told.

use std::sync::Arc;
use std::time::SystemTime;

use crate::api::delivery::response::Answer;
use crate::api::problem::{Code, Problem};
use crate::engine::CancelReason;

/// How a job ended.
#[derive(Debug, Clone)]
pub enum End {
    /// With its answer.
    Succeeded(Arc<Answer>),
    /// With a problem of its own.
    Failed(Problem),
    /// Before its time.
    Canceled(CancelReason),
}

impl End {
    /// The answer, or the problem that a client is told of.
    ///
    /// # Errors
    /// Everything but success.
    pub fn answer(&self) -> Result<&Arc<Answer>, Problem> {
        match self {
            Self::Succeeded(answer) => Ok(answer),
            Self::Failed(problem) => Err(problem.clone()),
            Self::Canceled(CancelReason::Deadline) => {
                Err(Problem::new(Code::DeadlineExceeded, "the time of Cancel-After was up before the job was done"))
            }
            Self::Canceled(CancelReason::Draining) => {
                Err(Problem::new(Code::Draining, "the job was cancelled, the server is shutting down"))
            }
            Self::Canceled(CancelReason::Deleted) => {
                Err(Problem::new(Code::JobCanceled, "the job was cancelled by a DELETE"))
            }
            Self::Canceled(CancelReason::Disconnected) => {
                Err(Problem::new(Code::JobCanceled, "the job was cancelled, all who waited for it had left"))
            }
        }
    }

    /// Whether the same request would end in the same way: its key stays with the job then. What was cancelled, or
    /// went wrong on this side, may be tried again under its key.
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

    /// Bytes that it takes to keep.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Succeeded(answer) => answer.json().get().len() as u64,
            Self::Failed(_) | Self::Canceled(_) => 0,
        }
    }
}

/// A job that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How.
    pub end: End,
    /// When.
    pub at: SystemTime,
    /// Steps done.
    pub step: usize,
    /// Steps that there were to do; 0 where it was not known yet.
    pub steps: usize,
}
