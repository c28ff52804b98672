//! A job in logs and traces: one span for the whole job, and within it one for each of its parts.
//!
//! | span | from | to |
//! | --- | --- | --- |
//! | `job` | its submission, within the request's span | its answer |
//! | `queue` | its submission | its start |
//! | `encode` | its start | its first step: prompts are encoded, and its recording is read or awaited |
//! | `denoise` | its first step | its last one; each step is an event at debug level |
//! | `decode` | its last step | its image |

use std::time::Duration;

use tracing::Span;

use crate::engine::Outcome;
use crate::engine::job::Work;
use crate::telemetry::millis;

/// The target of the event of a failed job. Commands that report failures themselves filter it out.
pub const JOB_FAILED: &str = "reprompt::engine::job_failed";

/// The part of a job that is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobPart {
    Queue,
    Encode,
    Denoise,
    Decode,
}

/// The spans of a job. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct JobTrace {
    job: Span,
    part: JobPart,
    span: Span,
}

impl JobTrace {
    /// The spans of a job that is submitted now, within the current span.
    pub fn new(work: &Work) -> Self {
        let source = work.source();
        let job = tracing::info_span!(
            "job",
            kind = work.kind().as_str(),
            steps = source.steps,
            width = source.width,
            height = source.height,
            session = tracing::field::Empty
        );
        let span = tracing::info_span!(parent: &job, "queue");
        Self { job, part: JobPart::Queue, span }
    }

    /// The span of the whole job.
    pub fn job(&self) -> &Span {
        &self.job
    }

    /// Begins a part and ends the one before; no change if the part is in progress.
    pub fn is_at(&mut self, part: JobPart) {
        if self.part == part {
            return;
        }
        // The one before ends first.
        self.span = Span::none();
        self.part = part;
        let parent = &self.job;
        self.span = match part {
            JobPart::Queue => tracing::info_span!(parent: parent, "queue"),
            JobPart::Encode => tracing::info_span!(parent: parent, "encode"),
            JobPart::Denoise => tracing::info_span!(parent: parent, "denoise"),
            JobPart::Decode => tracing::info_span!(parent: parent, "decode"),
        };
    }

    /// Adds an event for a step, which was taken in a pass of `batch_rows`.
    pub fn stepped(&self, step: usize, batch_rows: usize, took: Duration) {
        tracing::debug!(parent: &self.span, step, batch_rows, took_ms = millis(took), "step");
    }

    /// Adds the event that the job succeeded.
    pub fn succeeded(&self, outcome: &Outcome) {
        let timings = &outcome.timings;
        tracing::info!(
            parent: &self.job,
            outcome = "succeeded",
            recording = outcome.recording.as_str(),
            queue_ms = millis(timings.queue),
            encode_ms = millis(timings.encode),
            denoise_ms = millis(timings.denoise),
            decode_ms = millis(timings.decode),
            total_ms = millis(timings.total),
            "job done"
        );
    }
}
