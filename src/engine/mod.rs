//! The engine: one thread that owns the model, a bounded queue of jobs in front of it, and the sessions.
//!
//! - [`job`]: what can be asked and what comes back
//! - [`control`]: attention as recorded and edited
//! - [`run`]: a source or an edit, step by step
//! - [`batch`]: who shares a forward pass, of the `runs` in progress
//! - `worker`: the loop on the thread
//!
//! An [`Engine`] is a cheap handle. When the last one is dropped, the worker finishes what it has and ends.

pub mod batch;
pub mod control;
pub mod job;
pub mod run;
mod runs;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candle_core::Device;
use tokio::sync::{Semaphore, TryAcquireError, oneshot, watch};

pub use job::{
    CancelReason, EngineError, JobHandle, JobOptions, Outcome, PrepareError, PreparedEdit, Preview, Progress,
    RecordingUse, Stage, Timings, Work, tokenize,
};

use self::job::{Ticket, Unfinished};
use crate::diffusion::{ModelError, ModelFiles, ModelInfo};
use crate::session::{SessionLimits, SessionStore};
use crate::telemetry::metrics::Metrics;

/// A worker that has not shown itself for this long is not ready. It shows itself after every step of a batch, and the
/// largest step of a large model on a slow processor takes minutes.
const STALLED_AFTER: Duration = Duration::from_secs(600);
/// An image may have this many times the pixels that the model was trained on: attention takes the square of it.
const MAX_PIXELS_SCALE: usize = 4;
/// What a client is told to wait before any job has been timed.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Limits of an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where tensors live.
    pub device: Device,
    /// Rows of a forward pass at most, two for each run.
    pub max_batch_rows: usize,
    /// Jobs that may wait.
    pub queue_limit: usize,
    /// How much of sources is kept, and where.
    pub sessions: SessionLimits,
}

/// What the worker's thread and the engine's handles share.
#[derive(Debug)]
struct Shared {
    model: OnceLock<Arc<ModelInfo>>,
    store: SessionStore,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    queue_limit: usize,
    draining: AtomicBool,
    /// Jobs that were taken and have not ended.
    unfinished: watch::Sender<usize>,
    started: Instant,
    /// Milliseconds after `started` at which the worker last came around.
    heartbeat: AtomicU64,
    /// Whether the worker's thread has ended.
    ended: watch::Sender<bool>,
    /// Milliseconds that a job takes, averaged over the last ones.
    job_millis: AtomicU64,
}

impl Shared {
    fn beat(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heartbeat.store(now, Ordering::Relaxed);
    }

    fn record_job(&self, took: Duration) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let average = match self.job_millis.load(Ordering::Relaxed) {
            0 => took,
            average => (average.saturating_mul(3).saturating_add(took)) / 4,
        };
        self.job_millis.store(average.max(1), Ordering::Relaxed);
    }
}

/// A handle to the worker.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Ticket>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// Tells when the model is loaded, or why it is not.
pub type Loaded = oneshot::Receiver<Result<(), ModelError>>;

/// Pixels that an image of a model may have.
pub fn max_pixels(model: &ModelInfo) -> usize {
    model.native_size * model.native_size * MAX_PIXELS_SCALE
}

impl Engine {
    /// Starts the worker, which loads the model; jobs are taken once it has.
    pub fn start(files: ModelFiles, config: EngineConfig) -> std::io::Result<(Self, Loaded)> {
        let metrics = Arc::new(Metrics::new().map_err(std::io::Error::other)?);
        let shared = Arc::new(Shared {
            model: OnceLock::new(),
            store: SessionStore::new(config.sessions.memory_bytes, config.sessions.max_sessions),
            metrics: Arc::clone(&metrics),
            places: Arc::new(Semaphore::new(config.queue_limit)),
            queue_limit: config.queue_limit,
            draining: AtomicBool::new(false),
            unfinished: watch::Sender::new(0),
            started: Instant::now(),
            heartbeat: AtomicU64::new(0),
            ended: watch::Sender::new(false),
            job_millis: AtomicU64::new(0),
        });
        let (jobs, incoming) = mpsc::channel();
        let (loaded, loaded_receiver) = oneshot::channel();
        let for_worker = Arc::clone(&shared);
        let worker = std::thread::Builder::new().name("reprompt-worker".to_owned()).spawn(move || {
            let _ended = TellEnd(&for_worker.ended);
            worker::run(&files, &config, &for_worker, &incoming, loaded);
        })?;
        let engine = Self { shared, jobs, worker: Mutex::new(Some(worker)) };
        Ok((engine, loaded_receiver))
    }

    /// The model, once it is loaded.
    pub fn model(&self) -> Result<&Arc<ModelInfo>, EngineError> {
        self.shared.model.get().ok_or(EngineError::Loading)
    }

    /// The sessions.
    pub fn sessions(&self) -> &SessionStore {
        &self.shared.store
    }

    /// The metrics of this engine and of what is built on it.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Whether jobs would be taken and answered: the model is loaded, the worker came around lately, and the process
    /// is not about to end.
    pub fn readiness(&self) -> Result<(), EngineError> {
        self.model()?;
        if self.shared.draining.load(Ordering::Acquire) {
            return Err(EngineError::Draining);
        }
        let beat = Duration::from_millis(self.shared.heartbeat.load(Ordering::Relaxed));
        let is_stalled = self.shared.started.elapsed().saturating_sub(beat) > STALLED_AFTER;
        if is_stalled || *self.shared.ended.borrow() { Err(EngineError::Stalled) } else { Ok(()) }
    }

    /// Waits for the worker's thread to end, which it does of itself only when it has failed.
    pub async fn ended(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Takes no more work; what was taken is finished.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// Waits until no job is queued or running; new ones may come all the same, unless the engine drains.
    pub async fn idle(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.shared.unfinished.subscribe().wait_for(|jobs| *jobs == 0).await;
    }

    /// Jobs that are queued or running.
    pub fn unfinished(&self) -> usize {
        *self.shared.unfinished.borrow()
    }

    /// Queues a job, or says why not.
    pub fn submit(&self, work: Work, options: JobOptions) -> Result<JobHandle, EngineError> {
        self.model()?;
        if self.shared.draining.load(Ordering::Acquire) {
            return Err(EngineError::Draining);
        }
        let place = match Arc::clone(&self.shared.places).try_acquire_owned() {
            Ok(place) => place,
            Err(TryAcquireError::NoPermits) => {
                let waiting = self.shared.queue_limit;
                return Err(EngineError::QueueFull { waiting, retry_after: self.retry_after() });
            }
            Err(TryAcquireError::Closed) => return Err(EngineError::Draining),
        };
        let (result, result_receiver) = oneshot::channel();
        let (progress, progress_receiver) = watch::channel(Progress::default());
        let cancelled = Arc::default();
        let ticket = Ticket {
            work,
            submitted: Instant::now(),
            result,
            progress,
            options,
            cancelled: Arc::clone(&cancelled),
            place: Some(place),
            _unfinished: Unfinished::new(&self.shared.unfinished),
        };
        self.jobs.send(ticket).map_err(|_| EngineError::Stalled)?;
        Ok(JobHandle { result: result_receiver, progress: progress_receiver, cancelled })
    }

    /// When a place in the queue is likely to be free: the time of an average job.
    fn retry_after(&self) -> Duration {
        match self.shared.job_millis.load(Ordering::Relaxed) {
            0 => FIRST_RETRY,
            millis => Duration::from_millis(millis).max(FIRST_RETRY),
        }
    }
}

/// Tells that a thread has ended, however it has.
struct TellEnd<'a>(&'a watch::Sender<bool>);

impl Drop for TellEnd<'_> {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Closing the channel ends the worker once it has nothing left to do.
        let (closed, _) = mpsc::channel();
        drop(std::mem::replace(&mut self.jobs, closed));
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker
            && worker.join().is_err()
        {
            tracing::error!("the worker thread panicked");
        }
    }
}
