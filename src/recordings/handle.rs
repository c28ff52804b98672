//! [`Recordings`]: the recordings of one engine, as the engine uses them. No call waits for the store, except
//! [`Recordings::open`], [`Recordings::remove`] and [`Recordings::flush`].
//!
//! Its methods that find a session are in `lookup`, those that write one to the store in `persist`.

use std::sync::{Arc, OnceLock, mpsc};
use std::time::SystemTime;

use crate::media::Image;
use crate::recordings::attention_log::AttentionLog;
use crate::recordings::budget::{Budgets, Reservation};
use crate::recordings::index::{Index, Removed};
use crate::recordings::limits::SessionLimits;
use crate::recordings::metrics::RecordingMetrics;
use crate::recordings::part::Part;
use crate::recordings::pin::Pinned;
use crate::recordings::place::{Place, Tier};
use crate::recordings::queue::{Command, StoreDriver, StoreEvent, StoreQueue};
use crate::recordings::session_id::SessionId;
use crate::recordings::source::Source;
use crate::recordings::store::metered::Metered;
use crate::recordings::store::{RecordingStore, StoreError};
use crate::recordings::summary::SessionView;
use crate::recordings::trajectory::Trajectory;
use crate::telemetry::labels::Label;

/// The recordings of one engine.
#[derive(Debug)]
pub struct Recordings {
    pub(super) index: Arc<Index>,
    pub(super) queue: OnceLock<StoreQueue>,
}

impl Recordings {
    /// No recordings yet, within these limits and budgets that are made of them.
    pub fn new(limits: SessionLimits, metrics: Arc<RecordingMetrics>) -> Self {
        let budgets = Budgets::new(&limits);
        Self::with_budgets(limits, budgets, metrics)
    }

    /// The same with given budgets.
    pub fn with_budgets(limits: SessionLimits, budgets: Budgets, metrics: Arc<RecordingMetrics>) -> Self {
        for (tier, budget) in budgets.iter() {
            metrics.recording_budget_bytes.with(tier).set(as_gauge(budget.limit()));
        }
        Self { index: Arc::new(Index::new(limits, budgets, metrics)), queue: OnceLock::new() }
    }

    /// Adopts the sessions of a store and starts the store's thread, which calls `report` with every event. To be
    /// called once.
    ///
    /// # Errors
    /// If the store cannot be listed, or no thread can be started.
    pub fn open(
        &self,
        store: Arc<dyn RecordingStore>,
        report: impl Fn(StoreEvent) + Send + 'static,
    ) -> Result<(), StoreError> {
        let store = Arc::new(Metered::new(store, Arc::clone(&self.index.metrics)));
        let driver = StoreDriver::new(Arc::clone(&self.index), store);
        let sessions = driver.take_over()?;
        let queue = StoreQueue::start(driver, report)
            .map_err(|source| StoreError::Io { at: "the store's thread".to_owned(), source })?;
        let _ = self.queue.set(queue);
        tracing::info!(sessions, "recordings found");
        Ok(())
    }

    /// Notes that a session's source is being run, so that it can be removed from now on. Returns whether it was
    /// recorded before.
    pub fn begin(&self, id: &SessionId, source: &Arc<Source>) -> bool {
        let was_recorded = self.index.begin(id, source);
        self.write_source(id, source);
        was_recorded
    }

    /// Whether the session exists, including one whose source is being run.
    pub fn is_known(&self, id: &SessionId) -> bool {
        self.index.is_known(id)
    }

    /// Undoes [`Self::begin`] if the run has failed or was canceled: a session that was never recorded is removed.
    pub fn abandon(&self, id: &SessionId) {
        self.delete(self.index.abandon(id));
    }

    /// Keeps a complete run, pinned; `None` if its session was removed meanwhile.
    pub fn complete(&self, id: &SessionId, trajectory: &Arc<Trajectory>) -> Option<Pinned<Trajectory>> {
        let (pinned, excess) = self.index.complete(id, trajectory)?;
        self.delete(excess);
        Some(pinned)
    }

    /// Adds a trajectory that was read from the store, pinned; `None` if its session was removed meanwhile.
    pub fn attach_trajectory(&self, id: &SessionId, trajectory: &Arc<Trajectory>) -> Option<Pinned<Trajectory>> {
        self.index.attach_trajectory(id, trajectory)
    }

    /// Adds a log of attention, which may still be filled, pinned; `None` if its session was removed meanwhile.
    pub fn attach_attention(
        &self,
        id: &SessionId,
        place: Place,
        log: &Arc<AttentionLog>,
    ) -> Option<Pinned<AttentionLog>> {
        self.index.attach_attention(id, place, log)
    }

    /// Takes the attention out of a session, to free its bytes.
    pub fn detach_attention(&self, id: &SessionId) {
        self.index.detach_attention(id);
    }

    /// Counts a use of a session. It is a hit if all that was wanted was found; `found_in` is then the lowest tier that
    /// was read.
    pub fn used_by_job(&self, id: &SessionId, found_in: Option<Tier>) {
        self.index.count_use(id, found_in);
        self.send(Command::Touch(id.clone()));
    }

    /// The source of a session, whatever its tier.
    pub fn source(&self, id: &SessionId) -> Option<Arc<Source>> {
        self.index.recorded(id, |entry| Arc::clone(&entry.source))
    }

    /// The image of a session whose trajectory is in memory.
    pub fn image(&self, id: &SessionId) -> Option<Arc<Image>> {
        self.index.recorded(id, |entry| entry.trajectory.as_ref()?.value().image().cloned())?
    }

    /// What is shown of a session.
    pub fn view(&self, id: &SessionId) -> Option<SessionView> {
        self.index.recorded(id, |entry| SessionView::of(id, entry))
    }

    /// All sessions, the most recently used first.
    pub fn views(&self) -> Vec<SessionView> {
        self.index.all_recorded(SessionView::of)
    }

    /// The metrics of these recordings.
    pub fn metrics(&self) -> &RecordingMetrics {
        &self.index.metrics
    }

    /// Sets the gauges of sessions and bytes by tier; to be called before a scrape.
    pub fn show_counts(&self) {
        let metrics = &self.index.metrics;
        let tiers = self.index.all_recorded(|_, entry| entry.tier());
        for tier in Tier::ALL.iter().copied() {
            let count = tiers.iter().filter(|found| **found == tier).count();
            metrics.sessions.with(tier).set(i64::try_from(count).unwrap_or(i64::MAX));
            metrics.recording_bytes.with(tier).set(as_gauge(self.used(tier)));
            metrics.recording_peak_bytes.with(tier).set(as_gauge(self.peak(tier)));
        }
    }

    /// Bytes that a tier holds now, reserved ones included; 0 for [`Tier::Source`].
    pub fn used(&self, tier: Tier) -> u64 {
        self.index.budgets[tier].used()
    }

    /// The most bytes that a tier has held.
    pub fn peak(&self, tier: Tier) -> u64 {
        self.index.budgets[tier].peak()
    }

    /// The most bytes that a tier may hold.
    pub fn limit(&self, tier: Tier) -> u64 {
        self.index.budgets[tier].limit()
    }

    /// Reserves bytes on the device or in memory, evicting what is not pinned if necessary. `None` if even that would
    /// not be enough; then nothing is evicted. To be called on the thread that owns the device.
    pub fn reserve(&self, tier: Tier, bytes: u64) -> Option<Reservation> {
        self.index.reserve(tier, bytes)
    }

    /// Removes a session from every tier, including one whose source is being run; returns whether it existed. Jobs
    /// that read it keep what they read until they end. Blocks until the store has deleted it.
    pub fn remove(&self, id: &SessionId) -> bool {
        let (done, is_done) = mpsc::channel();
        let mut inner = self.index.lock();
        let Some(mut entry) = inner.remove(id) else {
            return false;
        };
        let removed =
            Removed { session: id.clone(), _reservations: std::mem::take(&mut entry.stored).into_reservations() };
        // Under the lock: the deletion must be queued before the writes of a session that begins right after it.
        let is_queued = self.send(Command::Delete { removed, done: Some(done) });
        drop(inner);
        drop(entry);
        if is_queued {
            // An error means that the thread has ended.
            let _ = is_done.recv();
        }
        true
    }

    /// Removes the sessions that have expired: those not used within the time to live before `now`.
    pub fn sweep(&self, now: SystemTime) {
        self.delete(self.index.sweep(now));
    }

    /// Drops the writes that are queued, except those of sources, because the process is to end at once.
    pub fn abandon_writes(&self) {
        self.queue.get().into_iter().for_each(StoreQueue::abandon_writes);
    }

    /// Blocks until all commands that were queued before are done.
    pub fn flush(&self) {
        self.queue.get().into_iter().for_each(StoreQueue::flush);
    }

    /// Removes a stored trajectory that does not fit its source, from the index and from the store.
    pub fn lose_trajectory(&self, session: &SessionId) {
        self.lose_part(session, Part::Trajectory);
    }

    pub(super) fn lose_part(&self, session: &SessionId, part: Part) {
        let reservation = self.index.lose_part(session, part);
        self.send(Command::DeletePart { session: session.clone(), part, reservation });
    }

    fn delete(&self, removed: impl IntoIterator<Item = Removed>) {
        for removed in removed {
            self.send(Command::Delete { removed, done: None });
        }
    }

    /// Queues a command; returns whether there is a store.
    pub(super) fn send(&self, command: Command) -> bool {
        self.queue.get().is_some_and(|queue| queue.send(command))
    }
}

fn as_gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
