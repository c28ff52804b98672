//! The engine's side of recordings: what is known of a session, what is kept of it, and what goes to the store. Nothing
//! here waits for the store, except where it says so.

use std::any::Any;
use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::SystemTime;

use crate::media::Image;
use crate::recordings::attention_log::AttentionLog;
use crate::recordings::budget::{Budgets, Reservation};
use crate::recordings::codec;
use crate::recordings::coverage::Coverage;
use crate::recordings::disk::{Folder, Part};
use crate::recordings::index::{Index, Removed};
use crate::recordings::limits::SessionLimits;
use crate::recordings::metrics::RecordingMetrics;
use crate::recordings::pin::Pinned;
use crate::recordings::place::{Place, Tier};
use crate::recordings::queue::{Command, Keep, Payload, Read, SharedValue, StoreDriver, StoreEvent, StoreQueue, Write};
use crate::recordings::session_id::SessionId;
use crate::recordings::source::Source;
use crate::recordings::store::metered::Metered;
use crate::recordings::store::{RecordingStore, StoreError, Tensors};
use crate::recordings::summary::SessionView;
use crate::recordings::trajectory::Trajectory;
use crate::telemetry::labels::Label;

/// The recordings of one engine.
#[derive(Debug)]
pub struct Recordings {
    index: Arc<Index>,
    queue: OnceLock<StoreQueue>,
}

/// What is known of a session.
#[derive(Debug)]
pub enum Lookup {
    /// It is recorded.
    Known(Recording),
    /// It is not.
    Unknown,
    /// The store is being asked; [`StoreEvent::LookedUp`] will follow.
    Pending,
}

/// What there is of a recorded session. What is in memory is pinned as long as this lives.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its trajectory, where it is in memory.
    pub trajectory: Option<Pinned<Trajectory>>,
    /// Its attention, where it is in memory or on the device.
    pub attention: Option<(Place, Pinned<AttentionLog>)>,
    /// Whether the store has its trajectory.
    pub is_trajectory_stored: bool,
    /// The attention that the store has.
    pub stored_attention: Coverage,
}

/// What the worker finds of a session.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its trajectory, where it is in memory.
    pub trajectory: Option<Arc<Trajectory>>,
    /// Its attention, where it is in memory or on the device.
    pub attention: Option<(Tier, Arc<AttentionLog>)>,
    /// The parts of it that are in the store.
    pub parts: Vec<Part>,
}

impl Recordings {
    /// No recordings yet, within these limits.
    pub fn new(limits: SessionLimits, metrics: Arc<RecordingMetrics>) -> Self {
        let budgets = Budgets::new(&limits);
        Self::with_budgets(limits, budgets, metrics)
    }

    /// The same with budgets that are made elsewhere.
    pub fn with_budgets(limits: SessionLimits, budgets: Budgets, metrics: Arc<RecordingMetrics>) -> Self {
        for (tier, budget) in budgets.iter() {
            metrics.recording_budget_bytes.of(tier).set(as_gauge(budget.limit()));
        }
        Self { index: Arc::new(Index::new(limits, budgets, metrics)), queue: OnceLock::new() }
    }

    /// Opens the folder of recordings, where one is configured, as the store.
    ///
    /// # Errors
    /// As [`Folder::open`] and [`Self::open`].
    pub fn open_files(
        &self,
        fingerprint: &str,
        report: impl Fn(StoreEvent) + Send + 'static,
    ) -> Result<(), StoreError> {
        match self.index.limits.dir.as_deref().map(Path::new) {
            Some(dir) => self.open(Arc::new(Folder::open(dir, fingerprint)?), report),
            None => Ok(()),
        }
    }

    /// Takes over the sessions of a store and starts its thread; `report` is called there with everything that has ended.
    /// To be called once.
    ///
    /// # Errors
    /// Where the store cannot be listed, or there is no thread.
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

    /// What is known of a session. Where the store may have sessions that it did not list, an unknown one is looked up.
    pub fn look_up(&self, id: &SessionId) -> Lookup {
        let known = self.index.recorded(id, |entry| {
            let mut stored_attention = Coverage::none(entry.source.steps);
            entry.stored.parts.keys().for_each(|part| codec::insert(&mut stored_attention, *part));
            Recording {
                trajectory: entry.trajectory.as_ref().map(|kept| kept.pin()),
                attention: entry.attention.as_ref().map(|(place, kept)| (*place, kept.pin())),
                is_trajectory_stored: entry.stored.parts.contains_key(&Part::Trajectory),
                stored_attention,
            }
        });
        if let Some(known) = known {
            return Lookup::Known(known);
        }
        let Some(queue) = self.queue.get() else {
            return Lookup::Unknown;
        };
        let mut inner = self.index.lock();
        if !inner.is_partial || inner.entries.contains_key(id) {
            return Lookup::Unknown;
        }
        // Under the lock: the answer must not come before the question is noted.
        if inner.looking_up.insert(id.clone()) && !queue.send(Command::LookUp(id.clone())) {
            inner.looking_up.remove(id);
            return Lookup::Unknown;
        }
        Lookup::Pending
    }

    /// Notes that a session's source is being run, so that [`Self::remove`] holds for it already. Whether it was recorded
    /// before.
    pub fn begin(&self, id: &SessionId, source: &Arc<Source>) -> bool {
        let was_recorded = self.index.begin(id, source);
        self.write_source(id, source);
        was_recorded
    }

    /// Whether there is such a session, also one whose source is being run.
    pub fn is_known(&self, id: &SessionId) -> bool {
        self.index.is_known(id)
    }

    /// Takes back [`Self::begin`] where the run has failed or was cancelled: a session that was never recorded is removed.
    pub fn abandon(&self, id: &SessionId) {
        self.delete(self.index.abandon(id));
    }

    /// Keeps a complete run, unless its session was forgotten meanwhile: whether it was kept.
    pub fn complete(&self, id: &SessionId, trajectory: &Arc<Trajectory>) -> bool {
        let kept = self.index.complete(id, trajectory);
        let is_kept = kept.is_some();
        self.delete(kept.into_iter().flat_map(|(_, excess)| excess));
        is_kept
    }

    /// A source is finished: what is new of it is written to the store, where there is one: the source, its trajectory and
    /// the attention that is there. To be called on the thread that owns the device.
    pub fn persist(&self, id: &SessionId, trajectory: &Arc<Trajectory>, log: Option<&Arc<AttentionLog>>) {
        if self.queue.get().is_none() {
            return;
        }
        // More than the whole store may take would evict everything else, and itself at last.
        let log = log.filter(|log| log.layout().bytes(&log.present()) <= self.limit(Tier::Disk));
        let mut steps = Vec::new();
        for step in log.iter().flat_map(|_| 0..trajectory.total_steps()) {
            let attention = log.map(|log| log.step(step)).unwrap_or_default();
            steps.extend(codec::parts_of(step, &attention).map(|part| (part, attention.clone())));
        }
        let mut inner = self.index.lock();
        let Some(entry) = inner.entries.get_mut(id) else {
            return;
        };
        let (generation, source) = (entry.generation, Arc::clone(&entry.source));
        let trajectory_pin = entry.stored.offer(Part::Trajectory).then(|| {
            let kept = entry.trajectory.as_ref().filter(|kept| Arc::ptr_eq(kept.value(), trajectory));
            kept.map_or_else(|| Pinned::outside(Arc::clone(trajectory)), |kept| kept.pin())
        });
        steps.retain(|(part, _)| entry.stored.offer(*part));
        let log_pin = log.map(|log| {
            let kept = entry.attention.as_ref().map(|(_, kept)| kept).filter(|kept| Arc::ptr_eq(kept.value(), log));
            kept.map_or_else(|| Pinned::outside(Arc::clone(log)), |kept| kept.pin())
        });
        drop(inner);
        self.write_source(id, &source);
        if let Some(pin) = trajectory_pin {
            let tensors = codec::of_trajectory(trajectory);
            self.queue_part((id, generation), Part::Trajectory, tensors, Keep::Trajectory { _pin: pin });
        }
        for ((part, attention), pin) in steps.into_iter().zip(std::iter::repeat(log_pin).flatten()) {
            let tensors = codec::of_attention(part, &attention);
            self.queue_part((id, generation), part, tensors, Keep::Attention { _pin: pin });
        }
    }

    /// Adds a trajectory that was read from the store.
    pub fn attach_trajectory(&self, id: &SessionId, trajectory: &Arc<Trajectory>) {
        let _ = self.index.attach_trajectory(id, trajectory);
    }

    /// Adds a log of attention, which may still be filled; on the device or in memory.
    pub fn attach_attention(&self, id: &SessionId, tier: Tier, log: &Arc<AttentionLog>) {
        let place = if tier == Tier::Device { Place::Device } else { Place::Memory };
        let _ = self.index.attach_attention(id, place, log);
    }

    /// Takes the attention out of a session, to have room for other things.
    pub fn detach_attention(&self, id: &SessionId) {
        self.index.detach_attention(id);
    }

    /// What there is of a session that is recorded.
    pub fn find(&self, id: &SessionId) -> Option<Known> {
        self.index.recorded(id, |entry| Known {
            trajectory: entry.trajectory.as_ref().map(|kept| Arc::clone(kept.value())),
            attention: entry.attention.as_ref().map(|(place, kept)| {
                let tier = Tier::of(crate::recordings::place::Substance::Attention, *place);
                (tier, Arc::clone(kept.value()))
            }),
            parts: entry.stored.parts.keys().copied().collect(),
        })
    }

    /// Counts a use of a session; as a hit where all that was wanted of it was found, in `tier` at the lowest.
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

    /// Sets the gauges of sessions and bytes by tier; to be called before they are read.
    pub fn show_counts(&self) {
        let metrics = &self.index.metrics;
        let tiers = self.index.all_recorded(|_, entry| entry.tier());
        for tier in Tier::ALL.iter().copied() {
            let count = tiers.iter().filter(|found| **found == tier).count();
            metrics.sessions.of(tier).set(i64::try_from(count).unwrap_or(i64::MAX));
            metrics.recording_bytes.of(tier).set(as_gauge(self.used(tier)));
            metrics.recording_peak_bytes.of(tier).set(as_gauge(self.peak(tier)));
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

    /// Reserves bytes on the device or in memory, evicting what is not pinned where it must. `None` where even that would
    /// not be enough; then nothing is evicted. To be called on the thread that owns the device.
    pub fn reserve(&self, tier: Tier, bytes: u64) -> Option<Reservation> {
        self.index.reserve(tier, bytes)
    }

    /// Forgets a session in every tier, also one whose source is being run; whether there was one. Jobs that read it keep
    /// what they read until they end. Blocks until the store has deleted it.
    pub fn remove(&self, id: &SessionId) -> bool {
        let (done, is_done) = mpsc::channel();
        let mut inner = self.index.lock();
        let Some(mut entry) = inner.remove(id) else {
            return false;
        };
        let removed =
            Removed { session: id.clone(), reservations: std::mem::take(&mut entry.stored).into_reservations() };
        // Under the lock: what a session that begins right after writes must come behind it.
        let is_queued = self.send(Command::Delete { removed, done: Some(done) });
        drop(inner);
        drop(entry);
        if is_queued {
            // An error means that the thread has ended.
            let _ = is_done.recv();
        }
        true
    }

    /// Forgets the sessions that have not been used within the time to live before `now`.
    pub fn sweep(&self, now: SystemTime) {
        self.delete(self.index.sweep(now));
    }

    /// Asks for a part; a [`StoreEvent::Read`] will follow, unless it is of attention that `log` does not expect any more
    /// when its turn comes. Whether there is a store at all.
    pub fn read_part(&self, session: &SessionId, part: Part, log: Option<&Arc<AttentionLog>>) -> bool {
        self.send(Command::Read(Read { session: session.clone(), part, log: log.map(Arc::downgrade) }))
    }

    /// Drops what waits to be written, sources excepted: the process is to end at once.
    pub fn abandon_writes(&self) {
        self.queue.get().into_iter().for_each(StoreQueue::abandon_writes);
    }

    /// Blocks until everything that was asked of the store before is done.
    pub fn flush(&self) {
        self.queue.get().into_iter().for_each(StoreQueue::flush);
    }

    /// Writes a part that is neither in the store nor on its way there. `pinned` keeps what `tensors` are of from being
    /// evicted from memory until it is written. Whether it was queued.
    pub fn write_part(
        &self,
        session: &SessionId,
        part: Part,
        tensors: impl FnOnce() -> candle_core::Result<Tensors>,
        pinned: Arc<dyn Any + Send + Sync>,
    ) -> bool {
        if self.queue.get().is_none() {
            return false;
        }
        let mut inner = self.index.lock();
        let Some(entry) = inner.entries.get_mut(session) else {
            return false;
        };
        if entry.stored.parts.contains_key(&part) || !entry.stored.queued.insert(part) {
            return false;
        }
        let generation = entry.generation;
        drop(inner);
        self.queue_part((session, generation), part, tensors(), Keep::Shared { _value: SharedValue(pinned) })
    }

    /// Writes what a session is made from, where that is not in the store yet.
    pub fn write_source(&self, session: &SessionId, source: &Arc<Source>) {
        if self.queue.get().is_none() {
            return;
        }
        let mut inner = self.index.lock();
        let Some(entry) = inner.entries.get_mut(session) else {
            return;
        };
        let (generation, stored) = (entry.generation, &mut entry.stored);
        if stored.source.is_some() || std::mem::replace(&mut stored.is_source_queued, true) {
            return;
        }
        drop(inner);
        let payload = Payload::Source(Arc::clone(source));
        self.send(Command::Write(Write { session: session.clone(), generation, payload }));
    }

    /// Forgets a part that does not fit its source, and deletes it from the store.
    pub fn lose_part(&self, session: &SessionId, part: Part) {
        let reservation = self.index.lose_part(session, part);
        self.send(Command::DeletePart { session: session.clone(), part, reservation });
    }

    #[cfg(test)]
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    fn queue_part(
        &self,
        (session, generation): (&SessionId, u64),
        part: Part,
        tensors: candle_core::Result<Tensors>,
        keep: Keep,
    ) -> bool {
        let is_queued = match tensors {
            Ok(tensors) => {
                let payload = Payload::Part { part, tensors, _keep: keep };
                self.send(Command::Write(Write { session: session.clone(), generation, payload }))
            }
            Err(error) => {
                tracing::warn!(%error, %session, %part, "a recording could not be copied for the store");
                false
            }
        };
        if !is_queued {
            self.index.unwritten((session, generation), Some(part));
        }
        is_queued
    }

    fn delete(&self, removed: impl IntoIterator<Item = Removed>) {
        for removed in removed {
            self.send(Command::Delete { removed, done: None });
        }
    }

    fn send(&self, command: Command) -> bool {
        self.queue.get().is_some_and(|queue| queue.send(command))
    }
}

fn as_gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
