//! The index: all sessions of this process and what is left of each, within the budgets of the tiers.
//!
//! A tier never holds more bytes than its budget: bytes are reserved before they are written, and entries that are not
//! pinned are evicted to free bytes ([`crate::recordings::eviction`]). What is left of a session is found in the best
//! tier that has it: device, memory, disk, trajectory, source. A session of which everything is evicted still has its
//! source.
//!
//! The index makes no calls to the store: it returns what is to be deleted or written there, and the store's thread
//! reports what was done. Nothing is dropped under its lock, because freeing gigabytes of tensors takes time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use crate::recordings::attention_log::AttentionLog;
use crate::recordings::budget::{Budgets, Reservation};
use crate::recordings::entry::Entry;
use crate::recordings::greedy_dual::Clock;
use crate::recordings::limits::SessionLimits;
use crate::recordings::metrics::RecordingMetrics;
use crate::recordings::part::Part;
use crate::recordings::pin::{Pinnable, Pinned};
use crate::recordings::place::{PerTier, Place, Substance, Tier};
use crate::recordings::session_id::SessionId;
use crate::recordings::source::Source;
use crate::recordings::store::StoredSession;
use crate::recordings::trajectory::Trajectory;
use crate::sync::lock;

/// All sessions.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) limits: SessionLimits,
    pub(crate) budgets: Budgets,
    pub(crate) metrics: Arc<RecordingMetrics>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) entries: HashMap<SessionId, Entry>,
    pub(crate) clocks: PerTier<Clock>,
    /// Whether the store may have sessions that are not in the index.
    pub(crate) is_partial: bool,
    /// Sessions that are being looked up in the store.
    pub(crate) looking_up: BTreeSet<SessionId>,
    tick: u64,
    generations: u64,
}

/// A session that was removed from the index. Its bytes in the store stay reserved until they are deleted there.
#[derive(Debug)]
#[must_use = "its parts are still in the store"]
pub(crate) struct Removed {
    pub(crate) session: SessionId,
    /// Held until the deletion is done.
    pub(crate) _reservations: Vec<Reservation>,
}

impl Index {
    /// An empty index with these limits.
    pub(crate) fn new(limits: SessionLimits, budgets: Budgets, metrics: Arc<RecordingMetrics>) -> Self {
        Self { limits, budgets, metrics, inner: Mutex::default() }
    }

    /// Makes sure that a session whose source is being run has an entry. Returns whether it was recorded before.
    pub(crate) fn begin(&self, id: &SessionId, source: &Arc<Source>) -> bool {
        self.lock().entry(id, source).is_recorded
    }

    /// Undoes [`Self::begin`] if the run has failed or was canceled: a session that was never recorded is removed.
    pub(crate) fn abandon(&self, id: &SessionId) -> Option<Removed> {
        let mut inner = self.lock();
        let removed = match inner.entries.get(id) {
            Some(entry) if !entry.is_recorded => inner.entries.remove(id),
            _ => None,
        };
        drop(inner);
        removed.map(|entry| Removed::of(id.clone(), entry))
    }

    /// Keeps a complete run; `None` if its session was removed meanwhile. Sessions that exceed the limit on their
    /// number are removed.
    pub(crate) fn complete(
        &self,
        id: &SessionId,
        trajectory: &Arc<Trajectory>,
    ) -> Option<(Pinned<Trajectory>, Vec<Removed>)> {
        let mut inner = self.lock();
        let (tick, clocks) = inner.tick();
        let entry = inner.entries.get_mut(id)?;
        entry.is_recorded = true;
        entry.touch(tick, clocks);
        let (pinned, replaced) = replace(&mut entry.trajectory, trajectory);
        let excess = inner.take_excess(self.limits.max_sessions);
        drop(inner);
        drop(replaced);
        Some((pinned, removed(excess)))
    }

    /// Adds a trajectory that was read from the store; `None` if its session was removed meanwhile.
    pub(crate) fn attach_trajectory(&self, id: &SessionId, trajectory: &Arc<Trajectory>) -> Option<Pinned<Trajectory>> {
        let mut inner = self.lock();
        let entry = inner.entries.get_mut(id)?;
        entry.is_recorded = true;
        let (pinned, replaced) = replace(&mut entry.trajectory, trajectory);
        drop(inner);
        drop(replaced);
        Some(pinned)
    }

    /// Adds a log of attention, which may still be filled; `None` if its session was removed meanwhile.
    pub(crate) fn attach_attention(
        &self,
        id: &SessionId,
        place: Place,
        log: &Arc<AttentionLog>,
    ) -> Option<Pinned<AttentionLog>> {
        let mut inner = self.lock();
        let entry = inner.entries.get_mut(id)?;
        let is_same = entry.attention.as_ref().is_some_and(|(at, kept)| *at == place && Arc::ptr_eq(kept.value(), log));
        let replaced = if is_same { None } else { entry.attention.replace((place, Pinnable::new(Arc::clone(log)))) };
        let pinned = entry.attention.as_ref().map(|(_, kept)| kept.pin());
        drop(inner);
        drop(replaced);
        pinned
    }

    /// Takes the attention out of a session, to free its bytes.
    pub(crate) fn detach_attention(&self, id: &SessionId) {
        let mut inner = self.lock();
        let detached = inner.entries.get_mut(id).and_then(Entry::take_attention);
        drop(inner);
        if let Some((place, log)) = detached {
            self.metrics.demotions.with(Tier::of(Substance::Attention, place)).inc();
            drop(log);
        }
    }

    /// Counts a use of a session. It is a hit if all that was wanted was found; `found_in` is then the lowest tier that
    /// was read.
    pub(crate) fn count_use(&self, id: &SessionId, found_in: Option<Tier>) {
        if let Some(tier) = found_in {
            self.metrics.hits.with(tier).inc();
        }
        let mut inner = self.lock();
        let (tick, clocks) = inner.tick();
        if let Some(entry) = inner.entries.get_mut(id) {
            entry.hits += u64::from(found_in.is_some());
            entry.touch(tick, clocks);
        }
    }

    /// Applies `read` to a session that is recorded.
    pub(crate) fn recorded<T>(&self, id: &SessionId, read: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.lock().entries.get(id).filter(|entry| entry.is_recorded).map(read)
    }

    /// Applies `read` to all sessions that are recorded, the most recently used first.
    pub(crate) fn all_recorded<T>(&self, read: impl Fn(&SessionId, &Entry) -> T) -> Vec<T> {
        let inner = self.lock();
        let mut entries: Vec<_> = inner.entries.iter().filter(|(_, entry)| entry.is_recorded).collect();
        entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.last_tick));
        entries.into_iter().map(|(id, entry)| read(id, entry)).collect()
    }

    /// Whether the session exists, including one whose source is being run.
    pub(crate) fn is_known(&self, id: &SessionId) -> bool {
        self.lock().entries.contains_key(id)
    }

    /// Removes the sessions that have expired: those not used within the time to live before `now`.
    pub(crate) fn sweep(&self, now: SystemTime) -> Vec<Removed> {
        let Some(ttl) = self.limits.ttl else {
            return Vec::new();
        };
        let is_expired =
            |entry: &Entry| now.duration_since(entry.last_used).unwrap_or(Duration::ZERO) >= ttl && entry.is_recorded;
        let mut inner = self.lock();
        let expired: Vec<_> = inner.entries.extract_if(|_, entry| is_expired(entry)).collect();
        drop(inner);
        expired.iter().for_each(|(session, _)| tracing::debug!(%session, "expired"));
        removed(expired)
    }

    /// Adopts a session of the store, with the reserved bytes of its source and of the parts that fit. Sessions that
    /// exceed the limit on their number are removed.
    pub(crate) fn adopt(
        &self,
        found: StoredSession,
        source: Reservation,
        parts: impl IntoIterator<Item = (Part, Reservation)>,
    ) -> Vec<Removed> {
        let mut inner = self.lock();
        inner.looking_up.remove(&found.id);
        let entry = inner.entry(&found.id, &Arc::new(found.source));
        entry.is_recorded = true;
        (entry.created, entry.last_used) = (found.last_used, found.last_used);
        entry.stored.source = Some(source);
        entry.stored.parts.extend(parts);
        let excess = inner.take_excess(self.limits.max_sessions);
        drop(inner);
        removed(excess)
    }

    /// Whether a session still has the entry of this generation, for which something was queued.
    pub(crate) fn is_current(&self, id: &SessionId, generation: u64) -> bool {
        self.lock().entries.get(id).is_some_and(|entry| entry.generation == generation)
    }

    /// Notes that the source (`None`) or a part is in the store. Returns the bytes if the session has another entry by
    /// now: then what was written is to be deleted.
    pub(crate) fn written(
        &self,
        (id, generation): (&SessionId, u64),
        part: Option<Part>,
        reservation: Reservation,
    ) -> Option<Reservation> {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(id).filter(|entry| entry.generation == generation) else {
            return Some(reservation);
        };
        let stored = &mut entry.stored;
        let replaced = match part {
            Some(part) => {
                stored.queued.remove(&part);
                stored.parts.insert(part, reservation)
            }
            None => {
                stored.is_source_queued = false;
                stored.source.replace(reservation)
            }
        };
        drop(inner);
        drop(replaced);
        None
    }

    /// Notes that the source (`None`) or a part was not written.
    pub(crate) fn unwritten(&self, (id, generation): (&SessionId, u64), part: Option<Part>) {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(id).filter(|entry| entry.generation == generation) else {
            return;
        };
        match part {
            Some(part) => drop(entry.stored.queued.remove(&part)),
            None => entry.stored.is_source_queued = false,
        }
    }

    /// Removes a part that is missing from the store or was refused. Returns its bytes, which stay reserved until it is
    /// deleted there.
    pub(crate) fn lose_part(&self, id: &SessionId, part: Part) -> Option<Reservation> {
        let mut inner = self.lock();
        let stored = &mut inner.entries.get_mut(id)?.stored;
        stored.offered.remove(&part);
        stored.parts.remove(&part)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    /// A session's entry, made if it does not exist, and marked as used.
    fn entry(&mut self, id: &SessionId, source: &Arc<Source>) -> &mut Entry {
        let (tick, clocks) = self.tick();
        self.generations += 1;
        let generation = self.generations;
        let entry = self.entries.entry(id.clone()).or_insert_with(|| Entry::new(Arc::clone(source), generation));
        entry.touch(tick, clocks);
        entry
    }

    fn tick(&mut self) -> (u64, PerTier<Clock>) {
        self.tick += 1;
        (self.tick, self.clocks)
    }

    /// Takes out the least recently used sessions that exceed the limit on their number.
    fn take_excess(&mut self, max_sessions: usize) -> Vec<(SessionId, Entry)> {
        let mut excess = Vec::new();
        // Counted only if there can be too many: this is called once for each session that the store lists.
        if self.entries.len() <= max_sessions {
            return excess;
        }
        let is_recorded = |entry: &&Entry| entry.is_recorded;
        while self.entries.values().filter(is_recorded).count() > max_sessions.max(1) {
            let recorded = self.entries.iter().filter(|(_, entry)| entry.is_recorded);
            let Some(oldest) = recorded.min_by_key(|(_, entry)| entry.last_tick).map(|(id, _)| id.clone()) else {
                break;
            };
            excess.extend(self.entries.remove_entry(&oldest));
        }
        excess
    }

    /// Takes a session out of the index, including one whose source is being run.
    pub(crate) fn remove(&mut self, id: &SessionId) -> Option<Entry> {
        self.entries.remove(id)
    }
}

impl Removed {
    /// The deletion that is left to be done for an entry that was taken out; drops what it had in memory.
    pub(crate) fn of(session: SessionId, entry: Entry) -> Self {
        Self { session, _reservations: entry.stored.into_reservations() }
    }
}

fn removed(entries: Vec<(SessionId, Entry)>) -> Vec<Removed> {
    entries.into_iter().map(|(session, entry)| Removed::of(session, entry)).collect()
}

/// Puts a value into a slot, unless it is there already, and pins it. Returns what was replaced, to be dropped outside
/// the lock.
fn replace<T>(slot: &mut Option<Pinnable<T>>, value: &Arc<T>) -> (Pinned<T>, Option<Pinnable<T>>) {
    if let Some(kept) = slot.as_ref().filter(|kept| Arc::ptr_eq(kept.value(), value)) {
        return (kept.pin(), None);
    }
    let kept = Pinnable::new(Arc::clone(value));
    (kept.pin(), slot.replace(kept))
}
