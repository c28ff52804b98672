//! A job as the API sees it: work that a task of its own carries, and that any number of requests may wait for.
//!
//! The job is cancelled when the last [`Waiter`] leaves, unless somebody has asked for it to be carried out whether it
//! is waited for or not ([`Job::detach`]). All of this is decided under one lock, so that nobody joins a job that is
//! being cancelled.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::{oneshot, watch};

use crate::api::delivery::idempotency::IdempotencyKey;
use crate::api::delivery::jobs::{End, Ended, Waiter};
use crate::api::operations::output::Output;
use crate::engine::{CancelReason, Progress, Stage};

/// `job_` and 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobId(String);

impl JobId {
    fn random() -> Self {
        Self(format!("job_{}", uuid::Uuid::new_v4().simple()))
    }

    /// The id that a client names; whether there is such a job is for the store to say.
    pub fn from_client(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a job makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An edit.
    Edit,
    /// A session.
    Session,
    /// Generated images.
    Images,
}

impl Kind {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Session => "session",
            Self::Images => "images",
        }
    }
}

/// Who asked for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The id of the request.
    pub request_id: String,
    /// The name of the caller's API key; without one, the job is everybody's.
    pub owner: Option<Arc<str>>,
}

/// A job.
#[derive(Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it makes.
    pub kind: Kind,
    /// When it was asked for.
    pub created: SystemTime,
    /// Who asked for it first.
    pub origin: Origin,
    /// How its images are written.
    pub output: Output,
    /// The key that it is found by.
    pub key: Option<IdempotencyKey>,
    live: Mutex<Live>,
    ended: watch::Sender<Option<Ended>>,
}

/// What there is of a job until it has ended.
#[derive(Debug)]
struct Live {
    progress: Option<watch::Receiver<Progress>>,
    /// Taken by whoever cancels first, and at the end.
    stop: Option<oneshot::Sender<CancelReason>>,
    waiters: usize,
    is_detached: bool,
}

impl Job {
    /// A job whose work has begun, and what tells the work to stop.
    pub fn new(
        kind: Kind,
        origin: Origin,
        output: Output,
        key: Option<IdempotencyKey>,
        progress: watch::Receiver<Progress>,
    ) -> (Arc<Self>, oneshot::Receiver<CancelReason>) {
        let (stop, stopped) = oneshot::channel();
        let job = Self {
            id: JobId::random(),
            kind,
            created: SystemTime::now(),
            origin,
            output,
            key,
            live: Mutex::new(Live { progress: Some(progress), stop: Some(stop), waiters: 0, is_detached: false }),
            ended: watch::Sender::new(None),
        };
        (Arc::new(job), stopped)
    }

    /// Joins those who wait for the job; `None` where it is being cancelled.
    pub fn join(self: &Arc<Self>) -> Option<Waiter> {
        let mut live = self.lock();
        if live.stop.is_none() && self.ended.borrow().is_none() {
            return None;
        }
        live.waiters += 1;
        Some(Waiter::new(Arc::clone(self)))
    }

    /// Joins those who wait for the job, also where there is nothing left of it but its end.
    pub fn watch(self: &Arc<Self>) -> Waiter {
        self.lock().waiters += 1;
        Waiter::new(Arc::clone(self))
    }

    /// Gives up one waiter's place; the last one's takes the job with it.
    pub(crate) fn leave(&self, reason: CancelReason) {
        let mut live = self.lock();
        live.waiters = live.waiters.saturating_sub(1);
        if live.waiters == 0 && !live.is_detached {
            live.cancel(reason);
        }
    }

    /// Has the job carried out whether it is waited for or not. To be called while one is a waiter.
    pub fn detach(&self) {
        self.lock().is_detached = true;
    }

    /// Tells the work to stop, unless it was told already.
    pub fn cancel(&self, reason: CancelReason) {
        self.lock().cancel(reason);
    }

    /// Ends the job: tells everybody who waits, and gives up what only a job on its way needs.
    pub fn finish(&self, end: End) {
        let mut live = self.lock();
        live.stop = None;
        let progress = live.progress.take();
        let (step, steps) = progress.map_or((0, 0), |progress| {
            let progress = progress.borrow();
            (progress.step, progress.steps)
        });
        // Under the lock, so that what has no progress any more has an end.
        self.ended.send_replace(Some(Ended { end, at: SystemTime::now(), step, steps }));
    }

    /// How the job ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits for the job's end.
    pub async fn end(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.map(|ended| ended.clone()) {
            Ok(Some(ended)) => ended,
            // The sender lives as long as `self`.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// The job's progress, to be watched; `None` once it has ended.
    pub fn progress(&self) -> Option<watch::Receiver<Progress>> {
        self.lock().progress.clone()
    }

    /// Where a job that has not ended stands, with its steps done and its steps to do.
    pub fn stage(&self) -> Option<(Stage, usize, usize)> {
        let live = self.lock();
        let progress = live.progress.as_ref()?.borrow();
        Some((progress.stage, progress.step, progress.steps))
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn cancel(&mut self, reason: CancelReason) {
        if let Some(stop) = self.stop.take() {
            // The work may be done at this very moment; then there is nothing to stop.
            let _ = stop.send(reason);
        }
    }
}
