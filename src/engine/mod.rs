//! The engine: one thread that owns the model, a bounded queue of jobs in front of it, and the sessions.
//!
//! - [`job`]: what can be asked and what comes back
//! - [`backend`]: what is asked of the model
//! - [`control`]: attention as recorded and edited
//! - [`run`]: a source, a replay or an edit, step by step; [`denoise`]: one step of several, with one pass
//! - [`batch`]: who shares a pass, of the `runs` in progress
//! - `worker`: the loop on the thread; `admission`, `feeding`, `reading`, `finishing`: its parts, on the `active` sources
//!   and jobs
//! - `prompts`: those that were encoded lately; `presets`: the windows that suit the model
//! - `estimate`, `clock`: what work costs, and where the time goes; `trace`: a job in logs and traces; `probe`: whether an
//!   idle worker still computes
//!
//! An [`Engine`] is a cheap handle. When the last one is dropped, the worker finishes what it has and ends.

pub mod backend;
pub mod batch;
mod conditioning_cache;
pub mod control;
pub mod job;
mod loading;
pub mod metrics;
mod presets;
pub mod runs;
mod state;
mod trace;
mod worker;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candle_core::{DType, Device};
use tokio::sync::{Semaphore, TryAcquireError, oneshot, watch};

pub use job::{
    CancelReason, EngineError, JobEnd, JobHandle, JobKind, JobOptions, Outcome, PrepareError, PreparedEdit, Preview,
    Progress, RecordingUse, RefuseReason, Stage, Timings, Work, tokenize,
};

use crate::diffusion::nn::Compute;
use crate::diffusion::{ModelFiles, ModelInfo};
use crate::engine::backend::Backend;
use crate::engine::job::{Place, Ticket, Unfinished};
use crate::engine::trace::JobTrace;
use crate::kernels::pool::Pool;
use crate::p2p::Presets;
use crate::recordings::disk_queue::Spooled;
use crate::recordings::{RecordingMetrics, SessionLimits, SessionStore};
use crate::telemetry::metrics::MetricsRegistry;

pub use self::metrics::EngineMetrics;
pub use self::worker::busy_time::WorkerPart;
pub use self::worker::self_test::ProbeEnd;
pub use loading::{LoadError, load};
pub use presets::presets;

/// A worker that has not shown itself for this long is not ready. It shows itself after every step of a batch, and the
/// largest step of a large model on a slow processor takes minutes.
const STALLED_AFTER: Duration = Duration::from_secs(600);
/// An image may have this many times the pixels that the model was trained on: attention takes the square of it.
const MAX_PIXELS_SCALE: usize = 4;
/// What a client is told to wait at least.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);

/// Limits of an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where tensors live.
    pub device: Device,
    /// What is computed in.
    pub dtype: DType,
    /// Threads that kernels share their work among.
    pub threads: NonZeroUsize,
    /// Rows of a forward pass at most, two for each run.
    pub max_batch_rows: usize,
    /// Jobs that may wait.
    pub queue_limit: usize,
    /// How much of sources is kept, and where.
    pub sessions: SessionLimits,
    /// A worker that has had nothing to do for so long makes a pass to see whether it still can.
    pub probe_after: Duration,
}

/// What the worker's thread and the engine's handles share.
#[derive(Debug)]
struct Shared {
    model: OnceLock<Arc<ModelInfo>>,
    /// There before the model is.
    presets: OnceLock<Presets>,
    store: Arc<SessionStore>,
    metrics: Arc<EngineMetrics>,
    places: Arc<Semaphore>,
    queue_limit: usize,
    draining: AtomicBool,
    /// Whether there is no time left for what runs.
    giving_up: AtomicBool,
    /// Jobs that were taken and have not ended.
    unfinished: watch::Sender<usize>,
    started: Instant,
    /// Milliseconds after `started` at which the worker last came around.
    heartbeat: AtomicU64,
    /// Whether the worker's thread has ended.
    ended: watch::Sender<bool>,
    /// Whether it has ended because the device failed.
    device_lost: AtomicBool,
    /// Whether the last probe of the idle worker has failed.
    probe_failed: AtomicBool,
    /// Milliseconds after `started` at which the next place in the queue is likely to be free.
    next_start: AtomicU64,
    /// The same for who comes now and goes to the end of the queue.
    last_start: AtomicU64,
}

/// What the worker is told.
enum Event {
    /// A job has come.
    Job(Box<Ticket>),
    /// A file was read or written.
    Files(Spooled),
    /// Nobody will come any more.
    End,
}

impl Shared {
    fn beat(&self) {
        self.heartbeat.store(self.millis(Duration::ZERO), Ordering::Relaxed);
    }

    /// Notes when who waits first, and who comes now, are likely to start.
    fn set_starts(&self, first: Duration, last: Duration) {
        self.next_start.store(self.millis(first), Ordering::Relaxed);
        self.last_start.store(self.millis(last), Ordering::Relaxed);
    }

    /// How long it is until a moment that was noted.
    fn until(&self, moment: &AtomicU64) -> Duration {
        Duration::from_millis(moment.load(Ordering::Relaxed)).saturating_sub(self.started.elapsed())
    }

    /// Milliseconds after the start, `later` than now.
    fn millis(&self, later: Duration) -> u64 {
        u64::try_from(self.started.elapsed().saturating_add(later).as_millis()).unwrap_or(u64::MAX)
    }
}

/// A handle to the worker.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// Tells when the model is loaded, or why it is not.
pub type Loaded = oneshot::Receiver<Result<(), LoadError>>;

/// Pixels that an image of a model may have.
pub fn max_pixels(model: &ModelInfo) -> usize {
    model.native_size * model.native_size * MAX_PIXELS_SCALE
}

impl Engine {
    /// Starts the worker, which loads the model; jobs are taken once it has. Its metrics are put into a registry.
    ///
    /// # Errors
    /// Where no thread can be started, or the registry has the metrics of another engine.
    pub fn start(
        files: ModelFiles,
        config: EngineConfig,
        metrics: &MetricsRegistry,
    ) -> std::io::Result<(Self, Loaded)> {
        Self::start_with(config, metrics, move |config| {
            load(&files, &Compute { device: config.device.clone(), dtype: config.dtype })
        })
    }

    /// Starts the worker with a model that is made on its thread.
    pub fn start_with(
        config: EngineConfig,
        registry: &MetricsRegistry,
        load: impl FnOnce(&EngineConfig) -> Result<Box<dyn Backend>, LoadError> + Send + 'static,
    ) -> std::io::Result<(Self, Loaded)> {
        let metrics = Arc::new(EngineMetrics::register(registry).map_err(std::io::Error::other)?);
        let recordings = Arc::new(RecordingMetrics::register(registry).map_err(std::io::Error::other)?);
        metrics.queue_limit.set(i64::try_from(config.queue_limit).unwrap_or(i64::MAX));
        let shared = Arc::new(Shared {
            model: OnceLock::new(),
            presets: OnceLock::new(),
            store: Arc::new(SessionStore::new(config.sessions.clone(), recordings)),
            metrics,
            places: Arc::new(Semaphore::new(config.queue_limit)),
            queue_limit: config.queue_limit,
            draining: AtomicBool::new(false),
            giving_up: AtomicBool::new(false),
            unfinished: watch::Sender::new(0),
            started: Instant::now(),
            heartbeat: AtomicU64::new(0),
            ended: watch::Sender::new(false),
            device_lost: AtomicBool::new(false),
            probe_failed: AtomicBool::new(false),
            next_start: AtomicU64::new(0),
            last_start: AtomicU64::new(0),
        });
        let (events, incoming) = mpsc::channel();
        let (loaded, loaded_receiver) = oneshot::channel();
        let pool = Arc::new(Pool::new(config.threads)?);
        let (for_worker, from_files) = (Arc::clone(&shared), events.clone());
        let worker = std::thread::Builder::new().name("reprompt-worker".to_owned()).spawn(move || {
            let _ended = TellEnd(&for_worker.ended);
            let _entered = pool.enter();
            if let Some(model) = loading::begin(&config, &for_worker, load, from_files, loaded) {
                // The reason was logged, and whoever holds a handle sees that the worker has ended.
                let _ = worker::run(model, &config, &for_worker, &incoming);
            }
        })?;
        Ok((Self { shared, events, worker: Mutex::new(Some(worker)) }, loaded_receiver))
    }

    /// The model, once it is loaded.
    pub fn model(&self) -> Result<&Arc<ModelInfo>, EngineError> {
        self.shared.model.get().ok_or(EngineError::Loading)
    }

    /// Jobs that may wait at once.
    pub fn queue_limit(&self) -> usize {
        self.shared.queue_limit
    }

    /// The model's presets and its vocabulary, once it is loaded.
    pub fn presets(&self) -> Result<&Presets, EngineError> {
        self.shared.presets.get().ok_or(EngineError::Loading)
    }

    /// The sessions.
    pub fn sessions(&self) -> &Arc<SessionStore> {
        &self.shared.store
    }

    /// The metrics of this engine.
    pub fn metrics(&self) -> &Arc<EngineMetrics> {
        &self.shared.metrics
    }

    /// Sets the gauges that are not kept up to date as things happen; to be called before they are read.
    pub fn refresh_metrics(&self) {
        self.shared.store.show_counts();
        self.shared.metrics.ready.set(i64::from(self.readiness().is_ok()));
    }

    /// Whether jobs would be taken and answered: the model is loaded, the worker came around lately and still computes,
    /// and the process is not about to end.
    pub fn readiness(&self) -> Result<(), EngineError> {
        self.model()?;
        if *self.shared.ended.borrow() {
            return Err(self.failure());
        }
        if self.shared.draining.load(Ordering::Acquire) {
            return Err(EngineError::Draining);
        }
        let beat = Duration::from_millis(self.shared.heartbeat.load(Ordering::Relaxed));
        let is_stalled = self.shared.started.elapsed().saturating_sub(beat) > STALLED_AFTER
            || self.shared.probe_failed.load(Ordering::Acquire);
        if is_stalled { Err(EngineError::Stalled) } else { Ok(()) }
    }

    /// Waits for the worker's thread to end, which it does of itself only when it has failed; then [`Self::failure`]
    /// tells of what.
    pub async fn ended(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// What the worker has ended of.
    pub fn failure(&self) -> EngineError {
        match self.shared.device_lost.load(Ordering::Acquire) {
            true => EngineError::DeviceLost,
            false => EngineError::Stalled,
        }
    }

    /// Takes no more work: what runs is finished, what waits is refused.
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

    /// Gives up what runs, when the step in progress is done, and what waits to be written to files: the process is told
    /// to end at once. Jobs are answered as when draining.
    pub fn give_up(&self) {
        self.drain();
        self.shared.giving_up.store(true, Ordering::Release);
        self.shared.store.abandon_writes();
    }

    /// Queues a job, or says why not.
    pub fn submit(&self, work: Work, options: JobOptions) -> Result<JobHandle, EngineError> {
        let metrics = &self.shared.metrics;
        self.readiness().inspect_err(|error| {
            let is_draining = *error == EngineError::Draining;
            metrics.jobs_refused.of(if is_draining { RefuseReason::Draining } else { RefuseReason::NotReady }).inc();
        })?;
        let permit = match Arc::clone(&self.shared.places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits) => {
                metrics.jobs_refused.of(RefuseReason::QueueFull).inc();
                let waiting = self.shared.queue_limit;
                return Err(EngineError::QueueFull { waiting, retry_after: self.retry_after() });
            }
            Err(TryAcquireError::Closed) => return Err(EngineError::Draining),
        };
        let kind = work.kind();
        let (result, result_receiver) = oneshot::channel();
        let place = Place::new(permit, metrics.queue_jobs.clone());
        // Those before it; the worker knows better as soon as it has seen the job.
        let position = usize::try_from(metrics.queue_jobs.get()).unwrap_or(0).saturating_sub(1);
        let stage = Stage::Queued { position, estimated_wait: self.shared.until(&self.shared.last_start) };
        let (progress, progress_receiver) = watch::channel(Progress { stage, ..Progress::default() });
        let cancelled = Arc::default();
        let ticket = Ticket {
            trace: JobTrace::new(&work),
            work,
            submitted: Instant::now(),
            result,
            progress,
            options,
            cancelled: Arc::clone(&cancelled),
            place: Some(place),
            _unfinished: Unfinished::new(&self.shared.unfinished),
        };
        self.events.send(Event::Job(Box::new(ticket))).map_err(|_| self.failure())?;
        metrics.jobs_taken.of(kind).inc();
        Ok(JobHandle { result: result_receiver, progress: progress_receiver, cancelled })
    }

    /// When a place in the queue is likely to be free: when the first of the jobs that run is likely to end.
    pub fn retry_after(&self) -> Duration {
        self.shared.until(&self.shared.next_start).max(SHORTEST_RETRY)
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
        // A worker that has ended already hears nothing of it.
        let _ = self.events.send(Event::End);
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker
            && worker.join().is_err()
        {
            tracing::error!("the worker thread panicked");
        }
    }
}
