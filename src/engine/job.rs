//! Jobs: what can be asked of the worker, what comes back, and the handle between the two.
//!
//! Dropping a [`JobHandle`] cancels its job: the worker sees it before its next step.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::diffusion::{ModelError, ModelInfo};
use crate::engine::trace::JobTrace;
use crate::media::Image;
use crate::p2p::{EditError, EditParams, EditPlan, Field, Presets, Prompt};
use crate::recordings::{AttentionMaps, SessionId, Source};

use crate::telemetry::labels::label;

label! {
    /// What a job asks for.
    JobKind as "kind" {
        /// A source is to be run and recorded.
        Record = "record",
        /// A source is to be edited.
        Edit = "edit",
    }
}

label! {
    /// How a job ended.
    JobEnd as "outcome" {
        /// With its result.
        Succeeded = "succeeded",
        /// With an error of its own.
        Failed = "failed",
        /// Nobody wanted it any more, see [`CancelReason`].
        Cancelled = "cancelled",
    }
}

label! {
    /// Why a job was cancelled.
    CancelReason as "reason" {
        /// Its client went away.
        Disconnected = "disconnected",
        /// It was deleted.
        Deleted = "deleted",
        /// Its deadline passed.
        Deadline = "deadline",
        /// The service is about to end.
        Draining = "draining",
    }
}

label! {
    /// Why a job was not taken.
    RefuseReason as "reason" {
        /// As many jobs wait as may wait.
        QueueFull = "queue_full",
        /// The service is about to end.
        Draining = "draining",
        /// The model is being loaded, or the worker is gone.
        NotReady = "not_ready",
    }
}

label! {
    /// How a job found its source.
    RecordingUse as "recording" {
        /// It was run and recorded for this job.
        Created = "created",
        /// All that the job reads was there, or was being recorded for somebody else.
        Hit = "hit",
        /// It was known, and what was missing of its recording was computed again.
        Replayed = "replayed",
    }
}

/// Why the engine did not do what it was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The model is still being loaded.
    #[error("the model is being loaded")]
    Loading,
    /// The process is about to end and takes no more work.
    #[error("the server is shutting down")]
    Draining,
    /// The worker has not come around for long (a step hangs, or the thread is gone), or what it tried last when it was
    /// idle has failed.
    #[error("the worker does not answer")]
    Stalled,
    /// As many jobs wait as may wait.
    #[error("the queue is full, {waiting} jobs wait")]
    QueueFull {
        /// Jobs in the queue.
        waiting: usize,
        /// When a place is likely to be free.
        retry_after: Duration,
    },
    /// The source's recording alone is larger than the budget for all recordings.
    #[error("recording this source takes {bytes} bytes, recordings may take {budget} in all")]
    SourceTooLarge {
        /// Bytes of the recording.
        bytes: u64,
        /// Bytes that recordings may take.
        budget: u64,
    },
    /// The device does not compute any more: the process ends, so that it is started anew.
    #[error("the device failed")]
    DeviceLost,
    /// The latents left the range of numbers, as strengths or a guidance far too high make them.
    #[error("the latents are not numbers any more: a strength or the guidance scale is far too high")]
    Diverged,
    /// The job failed; the text is for logs, not for clients.
    #[error("the job failed: {0}")]
    Failed(String),
}

/// Why an edit cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// One of the prompts cannot be tokenized, or is too long; the field says which.
    #[error("{error}")]
    Prompt {
        /// [`Field::SourcePrompt`] or [`Field::Prompt`].
        field: Field,
        /// What is wrong with it.
        error: ModelError,
    },
    /// The edit is not one that the method can carry out.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// An edit that is ready to run: its words were found and its plan settled.
#[derive(Debug, Clone)]
pub struct PreparedEdit {
    /// The target prompt.
    pub prompt: String,
    /// What is done at each step.
    pub plan: Arc<EditPlan>,
}

/// A prompt with its tokens and words.
pub fn tokenize(model: &ModelInfo, text: &str) -> Result<Prompt, ModelError> {
    let tokens = model.tokenizer.encode_prompt(text)?;
    Ok(Prompt::new(text, tokens.ids, tokens.spans, model.tokenizer.max_tokens()))
}

impl PreparedEdit {
    /// Settles an edit of `source` towards `prompt`, with the windows of `presets` where `params` has none.
    pub fn new(
        model: &ModelInfo,
        presets: &Presets,
        source: &Source,
        prompt: &str,
        params: &EditParams,
    ) -> Result<Self, PrepareError> {
        let tokens = |field, text| tokenize(model, text).map_err(|error| PrepareError::Prompt { field, error });
        let (from, to) = (tokens(Field::SourcePrompt, &source.prompt)?, tokens(Field::Prompt, prompt)?);
        let plan = EditPlan::new(&from, &to, params, presets, source.steps)?;
        Ok(Self { prompt: prompt.to_owned(), plan: Arc::new(plan) })
    }
}

/// What is asked of the worker.
#[derive(Debug, Clone)]
pub enum Work {
    /// Run and record a source.
    Record {
        /// The source.
        source: Arc<Source>,
    },
    /// Edit a source, which is recorded first where it is not yet.
    Edit {
        /// The source.
        source: Arc<Source>,
        /// The edit.
        edit: PreparedEdit,
    },
}

impl Work {
    /// What is asked for, for metrics.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Record { .. } => JobKind::Record,
            Self::Edit { .. } => JobKind::Edit,
        }
    }

    /// The source that the work is about.
    pub fn source(&self) -> &Arc<Source> {
        match self {
            Self::Record { source } | Self::Edit { source, .. } => source,
        }
    }
}

/// How long the parts of a job took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timings {
    /// Waiting for its turn.
    pub queue: Duration,
    /// Tokenizing and encoding prompts.
    pub encode: Duration,
    /// Denoising, the steps of others in between included.
    pub denoise: Duration,
    /// From latents to pixels.
    pub decode: Duration,
    /// From submission to the answer.
    pub total: Duration,
}

/// What a job came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The source's session.
    pub session: SessionId,
    /// Where the source came from.
    pub recording: RecordingUse,
    /// The source's image.
    pub source_image: Arc<Image>,
    /// The edit's image; `None` for a recording.
    pub edited_image: Option<Arc<Image>>,
    /// The source's attention, step by step.
    pub source_maps: AttentionMaps,
    /// The edit's attention to its target prompt, all steps summed; where [`JobOptions::attention`] asks for it and the
    /// edit is not its source.
    pub edited_maps: Option<AttentionMaps>,
    /// How long it took.
    pub timings: Timings,
}

/// What is wanted of a job besides its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobOptions {
    /// Previews on the way, at even distances; see [`Progress::previews`].
    pub previews: usize,
    /// Whether the edit's attention is wanted.
    pub attention: bool,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for its turn.
    Queued {
        /// Jobs before it, those that run not counted.
        position: usize,
        /// When it is likely to start.
        estimated_wait: Duration,
    },
    /// It has started.
    Running,
}

/// An image on its way: the VAE's reading of the sample that the model predicts at a step.
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
    /// Where it stands.
    pub stage: Stage,
    /// Steps done of its own run.
    pub step: usize,
    /// Steps of its own run; 0 before it is known.
    pub steps: usize,
    /// All previews so far.
    pub previews: Vec<Preview>,
}

impl Default for Progress {
    fn default() -> Self {
        let stage = Stage::Queued { position: 0, estimated_wait: Duration::ZERO };
        Self { stage, step: 0, steps: 0, previews: Vec::new() }
    }
}

/// Why a job was cancelled, where somebody said so; written at most once.
type Cancelled = OnceLock<CancelReason>;

/// The client's end of a job.
#[derive(Debug)]
pub struct JobHandle {
    pub(crate) result: oneshot::Receiver<Result<Outcome, EngineError>>,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) cancelled: Arc<Cancelled>,
}

impl JobHandle {
    /// Waits for the job; may be waited for again where the waiting was given up. To be called until it has answered
    /// once, not after.
    pub async fn outcome(&mut self) -> Result<Outcome, EngineError> {
        (&mut self.result).await.unwrap_or_else(|_| Err(EngineError::Failed("the worker is gone".to_owned())))
    }

    /// The job's progress, to be watched.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Cancels the job: it takes part in no step that has not begun. Dropping the handle cancels too, as
    /// [`CancelReason::Disconnected`].
    pub fn cancel(self, reason: CancelReason) {
        // Nobody else can have said so: the handle is consumed.
        let _ = self.cancelled.set(reason);
    }
}

/// The worker's end of a job.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub work: Work,
    pub trace: JobTrace,
    pub submitted: Instant,
    pub result: oneshot::Sender<Result<Outcome, EngineError>>,
    pub progress: watch::Sender<Progress>,
    pub options: JobOptions,
    pub cancelled: Arc<Cancelled>,
    /// The place in the queue, given up when the job starts.
    pub place: Option<Place>,
    /// Counts the job until it has ended, however it ends.
    pub _unfinished: Unfinished,
}

/// A place in the queue: it is counted as long as it is held.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    waiting: IntGauge,
}

impl Place {
    pub fn new(permit: OwnedSemaphorePermit, waiting: IntGauge) -> Self {
        waiting.inc();
        Self { _permit: permit, waiting }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.dec();
    }
}

/// One of the jobs that were taken and have not ended.
#[derive(Debug)]
pub(crate) struct Unfinished(watch::Sender<usize>);

impl Unfinished {
    /// Counts one more.
    pub fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|jobs| *jobs += 1);
        Self(count.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.send_modify(|jobs| *jobs -= 1);
    }
}

impl Ticket {
    /// Whether nobody waits for the result any more.
    pub fn is_cancelled(&self) -> bool {
        self.result.is_closed()
    }

    /// Why nobody waits any more.
    pub fn cancel_reason(&self) -> CancelReason {
        self.cancelled.get().copied().unwrap_or(CancelReason::Disconnected)
    }

    /// Answers; a client that has left in the meantime is no error.
    pub fn answer(self, result: Result<Outcome, EngineError>) {
        let _ = self.result.send(result);
    }
}
