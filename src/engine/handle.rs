//! The handle of an engine: starts its worker, submits jobs to it, and reports whether the engine is ready.
//!
//! Dropping the handle waits for the worker: it finishes the jobs that it has, and then its thread ends.

use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{TryAcquireError, oneshot, watch};

use crate::diffusion::{ModelFiles, ModelInfo};
use crate::engine::backend::Backend;
use crate::engine::job::{EngineError, JobHandle, JobOptions, QueueSlot, RefuseReason, Ticket, Work};
use crate::engine::loading::{LoadError, load, prepare};
use crate::engine::shared::{Event, LoadedModel, Shared};
use crate::engine::{EngineConfig, EngineMetrics, EngineParts, worker};
use crate::kernels::pool::Pool;
use crate::p2p::Presets;
use crate::recordings::{Folder, RecordingStore, Recordings, StoreError};
use crate::sync::lock;

/// A worker that has not taken a turn for this long is not ready. It takes one after every step of a batch, and the
/// largest step of a large model on a slow CPU takes minutes.
const STALLED_AFTER: Duration = Duration::from_secs(600);
/// An image may have this many times the pixels that the model was trained on: the cost of attention is their square.
const MAX_PIXELS_SCALE: usize = 4;
/// The shortest time that a refused client is asked to wait.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);

/// A handle to a worker and its queue.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// Resolves once the model is loaded, or cannot be.
pub type Loaded = oneshot::Receiver<Result<(), LoadError>>;

/// The most pixels that an image of a model may have.
pub fn max_pixels(model: &ModelInfo) -> usize {
    model.native_width * model.native_height * MAX_PIXELS_SCALE
}

impl Engine {
    /// Starts the worker, which loads the model; jobs are taken once it has.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(files: ModelFiles, config: EngineConfig, parts: EngineParts) -> std::io::Result<(Self, Loaded)> {
        Self::start_with(config, parts, move |config| load(&files, config))
    }

    /// Starts the worker with a model that `load` makes on the worker's thread.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub fn start_with(
        config: EngineConfig,
        parts: EngineParts,
        load: impl FnOnce(&EngineConfig) -> Result<Box<dyn Backend>, LoadError> + Send + 'static,
    ) -> std::io::Result<(Self, Loaded)> {
        let dir = config.sessions.dir.clone();
        Self::start_with_store(config, parts, load, move |model| match dir {
            Some(dir) => Ok(Some(Arc::new(Folder::open(&dir, &model.fingerprint)?))),
            None => Ok(None),
        })
    }

    /// The same with a store of recordings that `open` opens for the loaded model, on the worker's thread; `None` keeps
    /// recordings in memory alone.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub fn start_with_store(
        config: EngineConfig,
        parts: EngineParts,
        load: impl FnOnce(&EngineConfig) -> Result<Box<dyn Backend>, LoadError> + Send + 'static,
        open: impl FnOnce(&ModelInfo) -> Result<Option<Arc<dyn RecordingStore>>, StoreError> + Send + 'static,
    ) -> std::io::Result<(Self, Loaded)> {
        let EngineParts { metrics, recording_metrics, budgets } = parts;
        metrics.queue_limit.set(i64::try_from(config.queue_limit).unwrap_or(i64::MAX));
        let recordings = Arc::new(Recordings::with_budgets(config.sessions.clone(), budgets, recording_metrics));
        let shared = Arc::new(Shared::new(recordings, metrics, config.queue_limit));
        let (events, incoming) = mpsc::channel();
        let (loaded, loaded_receiver) = oneshot::channel();
        let pool = Arc::new(Pool::new(config.threads)?);
        let (for_worker, from_store) = (Arc::clone(&shared), events.clone());
        let worker = std::thread::Builder::new().name("reprompt-worker".to_owned()).spawn(move || {
            let _ended = SignalEnd(&for_worker.ended);
            let _entered = pool.enter();
            if let Some(model) = prepare(&config, &for_worker, (load, open), from_store, loaded) {
                // The worker has logged the reason, and handles see that it has ended.
                let _ = worker::run(model, &config, &for_worker, &incoming);
            }
        })?;
        Ok((Self { shared, events, worker: Mutex::new(Some(worker)) }, loaded_receiver))
    }

    /// The loaded model.
    ///
    /// # Errors
    /// [`EngineError::Loading`] before it is loaded.
    pub fn loaded(&self) -> Result<&LoadedModel, EngineError> {
        self.shared.model.get().ok_or(EngineError::Loading)
    }

    /// The loaded model's name, tokenizer, schedule and sizes.
    ///
    /// # Errors
    /// [`EngineError::Loading`] before it is loaded.
    pub fn model(&self) -> Result<&Arc<ModelInfo>, EngineError> {
        Ok(&self.loaded()?.info)
    }

    /// The model's presets and its vocabulary.
    ///
    /// # Errors
    /// [`EngineError::Loading`] before it is loaded.
    pub fn presets(&self) -> Result<&Presets, EngineError> {
        Ok(&self.loaded()?.presets)
    }

    /// The most jobs that wait at once.
    pub fn queue_limit(&self) -> usize {
        self.shared.queue_limit
    }

    /// The recordings of this engine, by session.
    pub fn sessions(&self) -> &Arc<Recordings> {
        &self.shared.recordings
    }

    /// The metrics of this engine.
    pub fn metrics(&self) -> &Arc<EngineMetrics> {
        &self.shared.metrics
    }

    /// Sets the gauges that are computed when they are read; to be called before a scrape.
    pub fn refresh_metrics(&self) {
        self.shared.recordings.show_counts();
        self.shared.metrics.ready.set(i64::from(self.readiness().is_ok()));
    }

    /// Whether jobs are accepted: the model is loaded, the worker takes its turns, its last self-test succeeded, and
    /// the engine does not drain.
    ///
    /// # Errors
    /// The reason if jobs are not accepted.
    pub fn readiness(&self) -> Result<(), EngineError> {
        self.loaded()?;
        if *self.shared.ended.borrow() {
            return Err(self.failure());
        }
        if self.shared.is_draining() {
            return Err(EngineError::Draining);
        }
        match self.shared.since_beat() > STALLED_AFTER {
            true => Err(EngineError::Stalled),
            false if self.shared.is_self_test_failed() => Err(EngineError::SelfTestFailed),
            false => Ok(()),
        }
    }

    /// Waits for the worker's thread to end. Before the engine is dropped it ends only if it has failed; see
    /// [`Self::failure`].
    pub async fn ended(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Why the worker has ended.
    pub fn failure(&self) -> EngineError {
        if self.shared.is_device_lost() { EngineError::DeviceLost } else { EngineError::Stalled }
    }

    /// Stops accepting jobs: running ones finish, queued ones are refused.
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// Waits until no job is queued or running. Unless the engine drains, new jobs may be submitted meanwhile.
    pub async fn idle(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.shared.unfinished.subscribe().wait_for(|jobs| *jobs == 0).await;
    }

    /// Jobs that are queued or running.
    pub fn unfinished(&self) -> usize {
        *self.shared.unfinished.borrow()
    }

    /// Drains and cancels running jobs: no step begins any more. Writes of recordings that have not begun are dropped.
    /// Jobs are answered with [`EngineError::Draining`].
    pub fn abort(&self) {
        self.shared.abort();
        self.shared.recordings.abandon_writes();
    }

    /// Queues a job.
    ///
    /// # Errors
    /// Those of [`Self::readiness`], and [`EngineError::QueueFull`].
    pub fn submit(&self, work: Work, options: JobOptions) -> Result<JobHandle, EngineError> {
        let metrics = &self.shared.metrics;
        self.readiness().inspect_err(|error| {
            let is_draining = *error == EngineError::Draining;
            metrics.jobs_refused.with(if is_draining { RefuseReason::Draining } else { RefuseReason::NotReady }).inc();
        })?;
        let permit = match Arc::clone(&self.shared.queue_slots).try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits) => {
                metrics.jobs_refused.with(RefuseReason::QueueFull).inc();
                let waiting = self.shared.queue_limit;
                return Err(EngineError::QueueFull { waiting, retry_after: self.retry_after() });
            }
            Err(TryAcquireError::Closed) => return Err(EngineError::Draining),
        };
        let kind = work.kind();
        let slot = QueueSlot::new(permit, metrics.queue_jobs.clone());
        // The queued jobs before this one. The worker updates it once it has received the job.
        let position = usize::try_from(metrics.queue_jobs.get()).unwrap_or(0).saturating_sub(1);
        let estimated_wait = self.shared.new_starts_in();
        let (ticket, handle) = Ticket::new(work, options, slot, &self.shared.unfinished, (position, estimated_wait));
        self.events.send(Event::Job(Box::new(ticket))).map_err(|_| self.failure())?;
        metrics.jobs_taken.with(kind).inc();
        Ok(handle)
    }

    /// The estimated time until a queue slot becomes free, which a refused client is asked to wait; a second at least.
    pub fn retry_after(&self) -> Duration {
        self.shared.next_free_in().max(SHORTEST_RETRY)
    }
}

impl Engine {
    /// The estimated time until a running job ends, which a client is asked to wait that has too many jobs; a second at
    /// least.
    pub fn job_ends_in(&self) -> Duration {
        self.shared.first_ends_in().max(SHORTEST_RETRY)
    }

    /// Gives the worker up: dropping the engine does not wait for it any more. For a process that is about to end while
    /// the worker loads a model or computes a long step.
    pub(crate) fn abandon(&self) {
        drop(lock(&self.worker).take());
    }
}

/// Signals that a thread has ended, also by a panic.
struct SignalEnd<'a>(&'a watch::Sender<bool>);

impl Drop for SignalEnd<'_> {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A worker that has ended already does not receive it.
        let _ = self.events.send(Event::End);
        let worker = lock(&self.worker).take();
        if let Some(worker) = worker
            && worker.join().is_err()
        {
            tracing::error!("the worker thread panicked");
        }
    }
}
