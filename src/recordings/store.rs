//! All sessions of this process and what is left of each, within the budgets of the tiers.
//!
//! A tier never holds more bytes than its budget: bytes are reserved before they are written, and what nobody reads is
//! pushed out to make room, the least worth first ([`crate::recordings::greedy_dual`]). What is pushed out of one tier is found in
//! the next: device, memory, files, trajectory, source. A session whose every byte is gone is still known by its
//! source. Tensors are given back outside the lock.
//!
//! [`crate::recordings::eviction`] has the pushing out, [`crate::recordings::disk_queue`] the files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use crate::media::Image;
use crate::recordings::RecordingMetrics;
use crate::recordings::Tier;
use crate::recordings::attention_log::AttentionLog;
use crate::recordings::budget::{Budget, Reservation};
use crate::recordings::disk::{FoundSession, Part, Writing};
use crate::recordings::disk_queue::Spool;
use crate::recordings::greedy_dual::Clock;
use crate::recordings::limits::SessionLimits;
use crate::recordings::source::{SessionId, Source};
use crate::recordings::summary::SessionView;
use crate::recordings::trajectory::Trajectory;

/// What the worker finds of a session.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its trajectory, where it is in memory.
    pub trajectory: Option<Arc<Trajectory>>,
    /// Its attention, where it is in memory or on the device.
    pub attention: Option<(Tier, Arc<AttentionLog>)>,
    /// What of it is in files.
    pub parts: Vec<Part>,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub source: Arc<Source>,
    /// False while its first recording is not complete: it is not told of yet.
    pub is_recorded: bool,
    pub trajectory: Option<Arc<Trajectory>>,
    pub attention: Option<(Tier, Arc<AttentionLog>)>,
    pub files: Files,
    pub hits: u64,
    pub created: SystemTime,
    pub last_used: SystemTime,
    /// Orders sessions by use, where clocks may stand still or jump.
    pub last_tick: u64,
    /// The tiers' clocks at the last use.
    pub clocks: Clocks,
}

/// The files of a session.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub writing: Option<Arc<Writing>>,
    pub source: Option<Reservation>,
    /// Whether its source is being written.
    pub is_source_ordered: bool,
    pub parts: BTreeMap<Part, Reservation>,
    /// Parts that are being written.
    pub ordered: BTreeSet<Part>,
}

/// A clock for each tier that things are pushed out of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clocks {
    pub device: Clock,
    pub memory: Clock,
    pub disk: Clock,
    pub trajectory: Clock,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub sessions: HashMap<SessionId, Session>,
    pub clocks: Clocks,
    tick: u64,
}

/// A budget for each tier that has one.
#[derive(Debug)]
pub(crate) struct Budgets {
    pub device: Arc<Budget>,
    pub memory: Arc<Budget>,
    pub disk: Arc<Budget>,
    pub trajectory: Arc<Budget>,
}

/// All sessions.
#[derive(Debug)]
pub struct SessionStore {
    pub(crate) limits: SessionLimits,
    pub(crate) budgets: Budgets,
    pub(crate) metrics: Arc<RecordingMetrics>,
    pub(crate) spool: OnceLock<Spool>,
    inner: Mutex<Inner>,
}

impl SessionStore {
    /// An empty store with these limits.
    pub fn new(limits: SessionLimits, metrics: Arc<RecordingMetrics>) -> Self {
        let budget = |tier, limit: u64| {
            metrics.recording_budget_bytes.of(tier).set(i64::try_from(limit).unwrap_or(i64::MAX));
            Budget::new(limit, metrics.recording_bytes.of(tier), metrics.recording_peak_bytes.of(tier))
        };
        let budgets = Budgets {
            device: budget(Tier::Device, limits.device_bytes),
            memory: budget(Tier::Memory, limits.memory_bytes),
            disk: budget(Tier::Disk, if limits.dir.is_some() { limits.disk_bytes } else { 0 }),
            trajectory: budget(Tier::Trajectory, limits.trajectory_bytes),
        };
        Self { limits, budgets, metrics, spool: OnceLock::new(), inner: Mutex::default() }
    }

    /// Bytes that a tier holds now, those in the making included; 0 for [`Tier::Source`].
    pub fn used(&self, tier: Tier) -> u64 {
        self.budget(tier).map_or(0, |budget| budget.used())
    }

    pub(crate) fn budget(&self, tier: Tier) -> Option<&Arc<Budget>> {
        match tier {
            Tier::Device => Some(&self.budgets.device),
            Tier::Memory => Some(&self.budgets.memory),
            Tier::Disk => Some(&self.budgets.disk),
            Tier::Trajectory => Some(&self.budgets.trajectory),
            Tier::Source => None,
        }
    }

    /// Notes that a session's source is being run, so that [`Self::remove`] holds for it already. Whether it was
    /// recorded before.
    pub fn begin(&self, id: &SessionId, source: &Arc<Source>) -> bool {
        let mut inner = self.lock();
        let session = inner.use_session(id, source);
        let was_recorded = session.is_recorded;
        drop(inner);
        self.write_source(id, source);
        was_recorded
    }

    /// Whether there is such a session, also one whose source is being run.
    pub fn is_known(&self, id: &SessionId) -> bool {
        self.lock().sessions.contains_key(id)
    }

    /// Takes back [`Self::begin`] where the run came to nothing: a session that never was recorded is none.
    pub fn abandon(&self, id: &SessionId) {
        let mut inner = self.lock();
        let gone = match inner.sessions.get(id) {
            Some(session) if !session.is_recorded => inner.sessions.remove(id),
            _ => None,
        };
        drop(inner);
        if gone.is_some() {
            self.remove_files(id);
        }
    }

    /// Keeps a complete run, unless its session was forgotten meanwhile: whether it was kept.
    pub fn complete(&self, id: &SessionId, trajectory: &Arc<Trajectory>) -> bool {
        let mut inner = self.lock();
        inner.tick += 1;
        let (tick, clocks) = (inner.tick, inner.clocks);
        let Some(session) = inner.sessions.get_mut(id) else {
            return false;
        };
        session.is_recorded = true;
        session.used(tick, clocks);
        let replaced = session.trajectory.replace(Arc::clone(trajectory));
        let given_up = self.enforce_count(&mut inner);
        drop(inner);
        drop(replaced);
        for (id, _) in &given_up {
            self.remove_files(id);
        }
        true
    }

    /// Adds a trajectory that was read from files.
    pub fn attach_trajectory(&self, id: &SessionId, trajectory: &Arc<Trajectory>) {
        let mut inner = self.lock();
        let session = inner.sessions.get_mut(id);
        let replaced = session.and_then(|session| {
            session.is_recorded = true;
            session.trajectory.replace(Arc::clone(trajectory))
        });
        drop(inner);
        drop(replaced);
    }

    /// Adds a log of attention, which may still be filled.
    pub fn attach_attention(&self, id: &SessionId, tier: Tier, log: &Arc<AttentionLog>) {
        let mut inner = self.lock();
        let replaced = inner.sessions.get_mut(id).and_then(|s| s.attention.replace((tier, Arc::clone(log))));
        drop(inner);
        drop(replaced);
    }

    /// Takes the attention out of a session: there is no room for it beside what else is wanted.
    pub fn detach_attention(&self, id: &SessionId) {
        let mut inner = self.lock();
        let detached = inner.sessions.get_mut(id).and_then(|session| session.attention.take());
        drop(inner);
        if let Some((tier, log)) = detached {
            self.metrics.demotions.of(tier).inc();
            drop(log);
        }
    }

    /// What there is of a session that was recorded.
    pub fn find(&self, id: &SessionId) -> Option<Known> {
        let inner = self.lock();
        let session = inner.sessions.get(id).filter(|session| session.is_recorded)?;
        Some(Known {
            trajectory: session.trajectory.clone(),
            attention: session.attention.clone(),
            parts: session.files.parts.keys().copied().collect(),
        })
    }

    /// Counts a use of a session; as a hit where all of it that was wanted was found, in `tier` at the lowest.
    pub fn used_by_job(&self, id: &SessionId, found_in: Option<Tier>) {
        if let Some(tier) = found_in {
            self.metrics.hits.of(tier).inc();
        }
        let mut inner = self.lock();
        inner.tick += 1;
        let (tick, clocks) = (inner.tick, inner.clocks);
        if let Some(session) = inner.sessions.get_mut(id) {
            session.hits += u64::from(found_in.is_some());
            session.used(tick, clocks);
        }
        drop(inner);
        if let Some(spool) = self.spool.get() {
            spool.touch(id);
        }
    }

    /// The source of a session, whatever its tier.
    pub fn source(&self, id: &SessionId) -> Option<Arc<Source>> {
        let inner = self.lock();
        inner.sessions.get(id).filter(|session| session.is_recorded).map(|session| Arc::clone(&session.source))
    }

    /// The image of a session whose trajectory is in memory.
    pub fn image(&self, id: &SessionId) -> Option<Arc<Image>> {
        let inner = self.lock();
        inner.sessions.get(id)?.trajectory.as_ref()?.image().cloned()
    }

    /// What may be told of a session.
    pub fn view(&self, id: &SessionId) -> Option<SessionView> {
        let inner = self.lock();
        inner.sessions.get(id).filter(|session| session.is_recorded).map(|session| session.view(id))
    }

    /// All sessions, the most recently used first.
    pub fn views(&self) -> Vec<SessionView> {
        let inner = self.lock();
        let mut sessions: Vec<_> = inner.sessions.iter().filter(|(_, session)| session.is_recorded).collect();
        sessions.sort_by_key(|(_, session)| std::cmp::Reverse(session.last_tick));
        sessions.into_iter().map(|(id, session)| session.view(id)).collect()
    }

    /// What is counted of this store.
    pub fn metrics(&self) -> &RecordingMetrics {
        &self.metrics
    }

    /// Sets the gauges of sessions by tier.
    pub fn show_counts(&self) {
        let views = self.views();
        for tier in <Tier as crate::telemetry::labels::Label>::ALL {
            let count = views.iter().filter(|view| view.tier == *tier).count();
            self.metrics.sessions.of(*tier).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Forgets a session in every tier, also one whose source is being run; whether there was one. Jobs that read it
    /// keep what they read until they end.
    pub fn remove(&self, id: &SessionId) -> bool {
        let mut inner = self.lock();
        let removed = inner.sessions.remove(id);
        // Under the lock: a session of the same source that begins right after must not lose its files to this.
        let files = removed.as_ref().and_then(|_| self.forget_files(id));
        drop(inner);
        // Bytes are given back when they are gone.
        if let Some(files) = files
            && let Err(error) = files.delete()
        {
            tracing::warn!(%error, session = %id, "a session's files could not be removed");
        }
        removed.is_some()
    }

    /// Forgets the sessions that were not used within the time to live before `now`.
    pub fn sweep(&self, now: SystemTime) {
        let Some(ttl) = self.limits.ttl else {
            return;
        };
        let mut inner = self.lock();
        let is_old = |session: &Session| {
            now.duration_since(session.last_used).unwrap_or(Duration::ZERO) >= ttl && session.is_recorded
        };
        let old: Vec<_> = inner.sessions.extract_if(|_, session| is_old(session)).collect();
        drop(inner);
        for (id, _) in &old {
            tracing::debug!(session = %id, "forgotten, it was not used for long");
            self.remove_files(id);
        }
    }

    /// Takes over the sessions that were found in files.
    pub(crate) fn adopt(&self, found: FoundSession, source: Option<Reservation>, parts: BTreeMap<Part, Reservation>) {
        let mut inner = self.lock();
        let session = inner.use_session(&found.id, &Arc::new(found.source));
        session.is_recorded = true;
        (session.created, session.last_used) = (found.last_used, found.last_used);
        session.files.source = source;
        session.files.parts = parts;
        let given_up = self.enforce_count(&mut inner);
        drop(inner);
        for (id, _) in &given_up {
            self.remove_files(id);
        }
    }

    /// Takes out the least recently used sessions above the limit on their number.
    fn enforce_count(&self, inner: &mut Inner) -> Vec<(SessionId, Session)> {
        let mut given_up = Vec::new();
        // Counted only where there can be too many: this is called once for each session that files are found of.
        if inner.sessions.len() <= self.limits.max_sessions {
            return given_up;
        }
        let is_recorded = |session: &&Session| session.is_recorded;
        while inner.sessions.values().filter(is_recorded).count() > self.limits.max_sessions.max(1) {
            let recorded = inner.sessions.iter().filter(|(_, session)| session.is_recorded);
            let Some(oldest) = recorded.min_by_key(|(_, session)| session.last_tick).map(|(id, _)| id.clone()) else {
                break;
            };
            given_up.extend(inner.sessions.remove_entry(&oldest));
        }
        given_up
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn use_session(&mut self, id: &SessionId, source: &Arc<Source>) -> &mut Session {
        self.tick += 1;
        let (tick, clocks, now) = (self.tick, self.clocks, SystemTime::now());
        let session = self.sessions.entry(id.clone()).or_insert_with(|| Session {
            source: Arc::clone(source),
            is_recorded: false,
            trajectory: None,
            attention: None,
            files: Files::default(),
            hits: 0,
            created: now,
            last_used: now,
            last_tick: tick,
            clocks,
        });
        session.used(tick, clocks);
        session
    }
}

impl Session {
    fn used(&mut self, tick: u64, clocks: Clocks) {
        self.last_used = SystemTime::now();
        self.last_tick = tick;
        self.clocks = clocks;
    }
}
