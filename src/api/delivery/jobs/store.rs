//! All jobs that are kept: running ones, and ended ones until they expire or are evicted by the limits on their number
//! and on the bytes of their results, oldest first.
//!
//! A job may have an idempotency key, by which the same request finds it again. A key lives as long as its job; the key
//! of a job that was canceled, or failed because of the server, is free at once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::api::delivery::idempotency::{Fingerprint, IdempotencyKey};
use crate::api::delivery::jobs::JobLimits;
use crate::api::delivery::jobs::{End, JobId, JobRecord, Waiter};
use crate::api::problem::{Code, Problem};
use crate::sync::lock;

/// Bounds the configured time to live, so that adding it to an instant cannot overflow.
const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The jobs.
#[derive(Debug)]
pub struct JobStore {
    limits: JobLimits,
    /// The number of jobs, as a metric.
    gauge: IntGauge,
    inner: Mutex<Inner>,
    /// Wakes the sweeper, and tasks that wait until no job is running.
    counts: watch::Sender<Counts>,
}

/// The number of jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    running: usize,
    ended: usize,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: HashMap<JobId, Kept>,
    keys: HashMap<IdempotencyKey, (Fingerprint, JobId)>,
    /// Jobs that have ended, in that order.
    ended: VecDeque<EndedJob>,
    /// Bytes of their results.
    bytes: u64,
    /// Jobs inserted so far.
    count: u64,
}

#[derive(Debug)]
struct Kept {
    job: Arc<JobRecord>,
    /// Orders jobs by their insertion; clocks may stop or jump.
    number: u64,
}

#[derive(Debug)]
struct EndedJob {
    id: JobId,
    bytes: u64,
    expires: Instant,
}

impl JobStore {
    /// A store without jobs.
    pub fn new(limits: JobLimits, gauge: IntGauge) -> Self {
        let limits = JobLimits { ttl: limits.ttl.min(MAX_TTL), ..limits };
        Self { limits, gauge, inner: Mutex::default(), counts: watch::Sender::default() }
    }

    /// How long a job is kept after it has ended.
    pub fn ttl(&self) -> Duration {
        self.limits.ttl
    }

    /// Inserts a running job.
    pub fn insert(&self, job: Arc<JobRecord>) {
        self.insert_into(&mut self.lock(), job);
    }

    /// The job of a key, with a new waiter; `None` if the key is free.
    ///
    /// # Errors
    /// `idempotency_key_reused` if the key belongs to a different request.
    pub fn find(&self, key: &IdempotencyKey, fingerprint: Fingerprint) -> Result<Option<Waiter>, Problem> {
        self.lock().find(key, fingerprint)
    }

    /// The job of a key, with a new waiter, and whether it existed; if the key is free, the job is started and
    /// inserted. Of simultaneous requests only one starts it.
    ///
    /// # Errors
    /// As [`Self::find`], and those of `start`.
    pub fn find_or_start(
        &self,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
        start: impl FnOnce() -> Result<Waiter, Problem>,
    ) -> Result<(Waiter, bool), Problem> {
        let mut inner = self.lock();
        if let Some(waiter) = inner.find(key, fingerprint)? {
            return Ok((waiter, true));
        }
        let waiter = start()?;
        inner.keys.insert(key.clone(), (fingerprint, waiter.job().id.clone()));
        self.insert_into(&mut inner, Arc::clone(waiter.job()));
        Ok((waiter, false))
    }

    /// Ends a job, whether or not it is in the store.
    pub(crate) fn finish(&self, job: &JobRecord, end: End) {
        // Serializing the result takes time, so it is measured before the lock is taken. A job that is kept is inserted
        // before it can end.
        let bytes = if self.get(&job.id).is_some() { end.bytes() } else { 0 };
        // Results are dropped after the lock is released.
        let mut evicted = Vec::new();
        let mut inner = self.lock();
        if inner.jobs.contains_key(&job.id) {
            if !end.is_final() {
                inner.free_key(job);
            }
            let expires = Instant::now() + self.limits.ttl;
            inner.bytes += bytes;
            inner.ended.push_back(EndedJob { id: job.id.clone(), bytes, expires });
            while inner.ended.len() > self.limits.max_jobs || inner.bytes > self.limits.max_result_bytes {
                let Some(oldest) = inner.ended.pop_front() else {
                    break;
                };
                if oldest.bytes > self.limits.max_result_bytes {
                    tracing::warn!(job = %oldest.id, bytes = oldest.bytes, "a result exceeds the limit on all results and is evicted at once");
                }
                evicted.push(inner.release(&oldest));
            }
        }
        job.finish(end);
        self.update_counts(&inner);
        drop(inner);
        drop(evicted);
    }

    /// A job by its id.
    pub fn get(&self, id: &JobId) -> Option<Arc<JobRecord>> {
        self.lock().jobs.get(id).map(|kept| Arc::clone(&kept.job))
    }

    /// All jobs, the newest first.
    pub fn all(&self) -> Vec<Arc<JobRecord>> {
        let inner = self.lock();
        let mut kept: Vec<_> = inner.jobs.values().collect();
        kept.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.number));
        kept.into_iter().map(|kept| Arc::clone(&kept.job)).collect()
    }

    /// Removes a job that has ended.
    pub fn remove(&self, id: &JobId) {
        let mut inner = self.lock();
        let at = inner.ended.iter().position(|ended| ended.id == *id);
        let ended = at.and_then(|at| inner.ended.remove(at));
        let removed = ended.map(|ended| inner.release(&ended));
        self.update_counts(&inner);
        drop(inner);
        drop(removed);
    }

    /// Waits until no job is running.
    pub async fn idle(&self) {
        // The sender lives as long as `self`.
        let _ = self.counts.subscribe().wait_for(|counts| counts.running == 0).await;
    }

    /// Removes jobs as they expire; never ends.
    pub async fn sweep(&self) {
        let mut counts = self.counts.subscribe();
        loop {
            match self.remove_expired() {
                // Jobs that end later expire later.
                Some(next) => sleep_until(next).await,
                None => {
                    let _ = counts.wait_for(|counts| counts.ended > 0).await;
                }
            }
        }
    }

    /// Removes expired jobs; returns when the next one expires.
    fn remove_expired(&self) -> Option<Instant> {
        let (now, mut expired) = (Instant::now(), Vec::new());
        let mut inner = self.lock();
        while inner.ended.front().is_some_and(|oldest| oldest.expires <= now) {
            expired.extend(inner.ended.pop_front().map(|ended| inner.release(&ended)));
        }
        self.update_counts(&inner);
        let next = inner.ended.front().map(|oldest| oldest.expires);
        drop(inner);
        drop(expired);
        next
    }

    fn insert_into(&self, inner: &mut Inner, job: Arc<JobRecord>) {
        inner.count += 1;
        inner.jobs.insert(job.id.clone(), Kept { job, number: inner.count });
        self.update_counts(inner);
    }

    fn update_counts(&self, inner: &Inner) {
        let ended = inner.ended.len();
        self.counts.send_replace(Counts { running: inner.jobs.len() - ended, ended });
        self.gauge.set(i64::try_from(inner.jobs.len()).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn find(&self, key: &IdempotencyKey, fingerprint: Fingerprint) -> Result<Option<Waiter>, Problem> {
        let Some((first, id)) = self.keys.get(key) else {
            return Ok(None);
        };
        if *first != fingerprint {
            let detail = "this key was used for a request with another body or path";
            return Err(Problem::new(Code::IdempotencyKeyReused, detail).at("Idempotency-Key"));
        }
        // A job that is being canceled cannot be joined.
        Ok(self.jobs.get(id).and_then(|kept| kept.job.join()))
    }

    /// Frees the key of a job, unless it belongs to another job by now.
    fn free_key(&mut self, job: &JobRecord) {
        if let Some(key) = &job.key
            && self.keys.get(key).is_some_and(|(_, id)| *id == job.id)
        {
            self.keys.remove(key);
        }
    }

    /// Removes a job that was taken out of `ended`.
    fn release(&mut self, ended: &EndedJob) -> Option<Arc<JobRecord>> {
        self.bytes -= ended.bytes;
        let kept = self.jobs.remove(&ended.id)?;
        self.free_key(&kept.job);
        Some(kept.job)
    }
}
