//! The progress of a job, as its handle shows it: queued or running, steps done, and previews.

use std::sync::Arc;
use std::time::Duration;

use crate::media::Image;

/// Whether a job waits or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits in the queue.
    Queued {
        /// Queued jobs before it.
        position: usize,
        /// How long it is likely to wait.
        estimated_wait: Duration,
    },
    /// It has started.
    Running,
}

/// An intermediate image: the decoded sample that the model predicts at a step.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Steps done.
    pub step: usize,
    /// The image.
    pub image: Arc<Image>,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Whether it waits or runs.
    pub stage: Stage,
    /// Steps done of its own run.
    pub step: usize,
    /// Steps of its own run; 0 before it has started.
    pub steps: usize,
    /// All previews so far.
    pub previews: Vec<Preview>,
}

impl Progress {
    /// The progress of a job that waits in the queue.
    pub(crate) fn queued(position: usize, estimated_wait: Duration) -> Self {
        Self { stage: Stage::Queued { position, estimated_wait }, step: 0, steps: 0, previews: Vec::new() }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::queued(0, Duration::ZERO)
    }
}
