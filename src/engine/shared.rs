//! What the worker's thread and the engine's handle share: messages to the worker, counters, flags, the recordings and
//! the loaded model.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use crate::diffusion::ModelInfo;
use crate::engine::EngineMetrics;
use crate::engine::job::Ticket;
use crate::p2p::Presets;
use crate::recordings::{Recordings, StoreEvent};

/// A message to the worker.
pub(crate) enum Event {
    /// A job was submitted.
    Job(Box<Ticket>),
    /// A report of the store's thread.
    Stored(StoreEvent),
    /// The engine was dropped: no more jobs will come.
    End,
}

/// A model that is loaded, as the rest of the process sees it.
#[derive(Debug)]
pub struct LoadedModel {
    /// Its name, tokenizer, schedule and sizes.
    pub info: Arc<ModelInfo>,
    /// The windows that suit it, by kind of edit, and its vocabulary.
    pub presets: Presets,
}

/// The state that the handle and the worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub model: OnceLock<LoadedModel>,
    pub recordings: Arc<Recordings>,
    pub metrics: Arc<EngineMetrics>,
    /// One permit for each job that may wait.
    pub queue_slots: Arc<Semaphore>,
    pub queue_limit: usize,
    /// Jobs that were submitted and have not ended.
    pub unfinished: watch::Sender<usize>,
    /// Whether the worker's thread has ended.
    pub ended: watch::Sender<bool>,
    started: Instant,
    draining: AtomicBool,
    aborting: AtomicBool,
    device_lost: AtomicBool,
    self_test_failed: AtomicBool,
    /// Milliseconds after `started` of the worker's last turn.
    heartbeat: AtomicU64,
    /// Milliseconds after `started` at which the first queue slot is likely to become free.
    next_free_at: AtomicU64,
    /// Milliseconds after `started` at which the first running job is likely to end.
    first_ends_at: AtomicU64,
    /// Milliseconds after `started` at which a job that is submitted now is likely to start.
    new_starts_at: AtomicU64,
}

impl Shared {
    pub fn new(recordings: Arc<Recordings>, metrics: Arc<EngineMetrics>, queue_limit: usize) -> Self {
        Self {
            model: OnceLock::new(),
            recordings,
            metrics,
            queue_slots: Arc::new(Semaphore::new(queue_limit)),
            queue_limit,
            unfinished: watch::Sender::new(0),
            ended: watch::Sender::new(false),
            started: Instant::now(),
            draining: AtomicBool::new(false),
            aborting: AtomicBool::new(false),
            device_lost: AtomicBool::new(false),
            self_test_failed: AtomicBool::new(false),
            heartbeat: AtomicU64::new(0),
            next_free_at: AtomicU64::new(0),
            first_ends_at: AtomicU64::new(0),
            new_starts_at: AtomicU64::new(0),
        }
    }

    /// Notes that the worker takes a turn.
    pub fn beat(&self) {
        self.heartbeat.store(self.millis(Duration::ZERO), Ordering::Relaxed);
    }

    /// Time since the worker's last turn.
    pub fn since_beat(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.heartbeat.load(Ordering::Relaxed)))
    }

    /// Sets the estimates of when the first queued job starts, when a job that is submitted now does, and when the first
    /// running job ends.
    pub fn set_estimates(&self, first: Duration, new: Duration, first_end: Duration) {
        self.next_free_at.store(self.millis(first), Ordering::Relaxed);
        self.first_ends_at.store(self.millis(first_end), Ordering::Relaxed);
        self.new_starts_at.store(self.millis(new), Ordering::Relaxed);
    }

    /// The estimated time until a queue slot becomes free.
    pub fn next_free_in(&self) -> Duration {
        self.until(&self.next_free_at)
    }

    /// The estimated time until the first running job ends.
    pub fn first_ends_in(&self) -> Duration {
        self.until(&self.first_ends_at)
    }

    /// The estimated wait of a job that is submitted now.
    pub fn new_starts_in(&self) -> Duration {
        self.until(&self.new_starts_at)
    }

    /// From now on queued and new jobs are refused, and running ones finish.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// As [`Self::drain`], but running jobs are canceled too.
    pub fn abort(&self) {
        self.drain();
        self.aborting.store(true, Ordering::Release);
    }

    pub fn is_aborting(&self) -> bool {
        self.aborting.load(Ordering::Acquire)
    }

    /// Notes that the device has failed.
    pub fn lose_device(&self) {
        self.device_lost.store(true, Ordering::Release);
    }

    pub fn is_device_lost(&self) -> bool {
        self.device_lost.load(Ordering::Acquire)
    }

    /// Notes whether the last self-test of the idle worker failed.
    pub fn set_self_test_failed(&self, failed: bool) {
        self.self_test_failed.store(failed, Ordering::Release);
    }

    pub fn is_self_test_failed(&self) -> bool {
        self.self_test_failed.load(Ordering::Acquire)
    }

    fn until(&self, moment: &AtomicU64) -> Duration {
        Duration::from_millis(moment.load(Ordering::Relaxed)).saturating_sub(self.started.elapsed())
    }

    /// Milliseconds from the start to `later` after now.
    fn millis(&self, later: Duration) -> u64 {
        u64::try_from(self.started.elapsed().saturating_add(later).as_millis()).unwrap_or(u64::MAX)
    }
}
