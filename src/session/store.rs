//! All sessions of this process, within a budget of bytes for recordings and a limit on their number.
//!
//! The store never holds more bytes of recordings than its budget: a recording reserves its bytes before its first step is run,
//! and recordings that nobody reads are given up, least recently used first, to make room. A session that has
//! lost its recording is still known by its source and is recorded again when it is next asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::recording::Recording;
use super::source::{SessionId, Source};
use crate::media::Image;

/// What is left of a session, from the most to the least useful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Recorded: an edit reads the source instead of running it.
    Memory,
    /// Only known by its source: it is run again when it is needed.
    Source,
}

impl Tier {
    /// The tier's name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Source => "source",
        }
    }
}

/// What may be told of a session.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// What it was made from.
    pub source: Arc<Source>,
    /// What is left of it.
    pub tier: Tier,
    /// Bytes of its recording.
    pub recording_bytes: u64,
    /// Edits and sessions that found it recorded.
    pub hits: u64,
    /// When it was first recorded.
    pub created: SystemTime,
    /// When it was last recorded or found.
    pub last_used: SystemTime,
}

/// A complete recording and the source's image.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The run.
    pub recording: Arc<Recording>,
    /// The source's image.
    pub image: Arc<Image>,
}

#[derive(Debug)]
struct Session {
    source: Arc<Source>,
    recorded: Option<Recorded>,
    hits: u64,
    created: SystemTime,
    last_used: SystemTime,
    /// Orders sessions by use, where clocks may stand still or jump.
    last_tick: u64,
}

/// Bytes in use of a limit, shared by everything that reserves.
#[derive(Debug)]
struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// Bytes of the budget, given back on drop.
#[derive(Debug)]
pub struct Reservation {
    bytes: u64,
    budget: Arc<Budget>,
}

impl Reservation {
    /// Bytes reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// All sessions.
#[derive(Debug)]
pub struct SessionStore {
    budget: Arc<Budget>,
    max_sessions: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionId, Session>,
    /// Sessions whose source is being run, and whether they were forgotten since.
    running: HashMap<SessionId, bool>,
    tick: u64,
}

impl SessionStore {
    /// A store for at most `budget` bytes of recordings and `max_sessions` sessions of any tier.
    pub fn new(budget: u64, max_sessions: usize) -> Self {
        Self {
            budget: Arc::new(Budget { limit: budget, used: AtomicU64::new(0) }),
            max_sessions: max_sessions.max(1),
            inner: Mutex::default(),
        }
    }

    /// The most bytes that recordings may take.
    pub fn budget(&self) -> u64 {
        self.budget.limit
    }

    /// Bytes that recordings take now, those in the making included.
    pub fn used(&self) -> u64 {
        self.budget.used.load(Ordering::Acquire)
    }

    /// Reserves bytes, giving up recordings that nobody reads where it must. `None` where even that would not be
    /// enough; then nothing is given up.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation> {
        // Tensors are given back after the lock.
        let mut given_up = Vec::new();
        let mut inner = self.lock();
        if let Some(reservation) = self.try_reserve(bytes) {
            return Some(reservation);
        }
        let mut idle: Vec<_> = inner.sessions.iter_mut().filter(|(_, session)| session.is_idle()).collect();
        let idle_bytes: u64 = idle.iter().filter_map(|(_, session)| session.recording_bytes()).sum();
        let missing = self.used().saturating_add(bytes).saturating_sub(self.budget.limit);
        if idle_bytes < missing {
            return None;
        }
        idle.sort_by_key(|(_, session)| session.last_tick);
        let mut freed = 0;
        for (id, session) in idle {
            if freed >= missing {
                break;
            }
            tracing::debug!(session = %id, "recording given up to make room");
            freed += session.recording_bytes().unwrap_or(0);
            given_up.push(session.recorded.take());
        }
        drop(inner);
        drop(given_up);
        self.try_reserve(bytes)
    }

    fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let budget = &self.budget;
        let grow = |used: u64| used.checked_add(bytes).filter(|total| *total <= budget.limit);
        budget.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).ok()?;
        Some(Reservation { bytes, budget: Arc::clone(budget) })
    }

    /// Notes that a session's source is being run, so that [`Self::remove`] holds for it already.
    pub fn begin(&self, id: &SessionId) {
        self.lock().running.insert(id.clone(), false);
    }

    /// Takes back [`Self::begin`] where the run came to nothing.
    pub fn abandon(&self, id: &SessionId) {
        self.lock().running.remove(id);
    }

    /// Keeps a complete recording, unless the session was forgotten while it was run.
    pub fn insert(&self, id: &SessionId, source: &Arc<Source>, recorded: Recorded) {
        let mut inner = self.lock();
        if inner.running.remove(id) == Some(true) {
            return;
        }
        inner.tick += 1;
        let now = SystemTime::now();
        let tick = inner.tick;
        let session = inner.sessions.entry(id.clone()).or_insert_with(|| Session {
            source: Arc::clone(source),
            recorded: None,
            hits: 0,
            created: now,
            last_used: now,
            last_tick: tick,
        });
        // Tensors of what is replaced or pushed out are given back after the lock.
        let mut given_up = vec![session.recorded.replace(recorded)];
        session.last_used = now;
        session.last_tick = tick;
        while inner.sessions.len() > self.max_sessions {
            let oldest = inner.sessions.iter().min_by_key(|(_, session)| session.last_tick);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else {
                break;
            };
            given_up.push(inner.sessions.remove(&oldest).and_then(|session| session.recorded));
        }
        drop(inner);
    }

    /// The recording of a session, if it has one; counts as a use.
    pub fn find_recorded(&self, id: &SessionId) -> Option<Recorded> {
        let mut inner = self.lock();
        inner.tick += 1;
        let tick = inner.tick;
        let session = inner.sessions.get_mut(id)?;
        let recorded = session.recorded.clone()?;
        session.hits += 1;
        session.last_used = SystemTime::now();
        session.last_tick = tick;
        Some(recorded)
    }

    /// The source of a known session, whatever its tier.
    pub fn source(&self, id: &SessionId) -> Option<Arc<Source>> {
        self.lock().sessions.get(id).map(|session| Arc::clone(&session.source))
    }

    /// The image of a recorded session.
    pub fn image(&self, id: &SessionId) -> Option<Arc<Image>> {
        let inner = self.lock();
        Some(Arc::clone(&inner.sessions.get(id)?.recorded.as_ref()?.image))
    }

    /// What may be told of a session.
    pub fn view(&self, id: &SessionId) -> Option<SessionView> {
        self.lock().sessions.get(id).map(|session| session.view(id))
    }

    /// All sessions, the most recently used first.
    pub fn views(&self) -> Vec<SessionView> {
        let inner = self.lock();
        let mut sessions: Vec<_> = inner.sessions.iter().collect();
        sessions.sort_by_key(|(_, session)| std::cmp::Reverse(session.last_tick));
        sessions.into_iter().map(|(id, session)| session.view(id)).collect()
    }

    /// Forgets a session, also one whose source is being run; whether there was one. Jobs that read its recording keep
    /// it until they end.
    pub fn remove(&self, id: &SessionId) -> bool {
        let mut inner = self.lock();
        let is_running = inner.running.get_mut(id).map(|forgotten| *forgotten = true).is_some();
        let removed = inner.sessions.remove(id);
        // Tensors are given back after the lock.
        drop(inner);
        removed.is_some() || is_running
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionView {
    /// A session of which nothing but its source is left.
    pub fn of_source(id: &SessionId, source: &Arc<Source>) -> Self {
        let now = SystemTime::now();
        Self {
            id: id.clone(),
            source: Arc::clone(source),
            tier: Tier::Source,
            recording_bytes: 0,
            hits: 0,
            created: now,
            last_used: now,
        }
    }
}

impl Session {
    /// Whether it is recorded and no job reads it.
    fn is_idle(&self) -> bool {
        self.recorded.as_ref().is_some_and(|recorded| Arc::strong_count(&recorded.recording) == 1)
    }

    fn recording_bytes(&self) -> Option<u64> {
        self.recorded.as_ref().map(|recorded| recorded.recording.bytes())
    }

    fn view(&self, id: &SessionId) -> SessionView {
        let recording = self.recording_bytes();
        SessionView {
            id: id.clone(),
            source: Arc::clone(&self.source),
            tier: if recording.is_some() { Tier::Memory } else { Tier::Source },
            recording_bytes: recording.unwrap_or(0),
            hits: self.hits,
            created: self.created,
            last_used: self.last_used,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SessionStore;

    #[test]
    fn a_budget_is_never_exceeded_and_given_back_to_the_byte() {
        let store = SessionStore::new(100, 10);
        let first = store.reserve(60).unwrap();
        assert!(store.reserve(41).is_none());
        let second = store.reserve(40).unwrap();
        assert_eq!(store.used(), 100);
        drop(first);
        assert_eq!(store.used(), 40);
        drop(second);
        assert_eq!(store.used(), 0);
        assert!(store.reserve(101).is_none());
    }
}
