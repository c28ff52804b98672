//! The record of a job as the API sees it: the work of one request, which is one job of the engine or several. A task
//! of its own drives it, and any number of requests may wait for it.
//!
//! The job is canceled when its last [`Waiter`] is dropped, unless a client asked for it to run in any case
//! ([`JobRecord::detach`]). All of this is decided under one lock, so that no request joins a job that is being
//! canceled.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use tokio::sync::{oneshot, watch};

use crate::api::delivery::idempotency::IdempotencyKey;
use crate::api::delivery::jobs::{End, Ended, Waiter};
use crate::api::operations::output::Output;
use crate::engine::{CancelReason, Progress, Stage};
use crate::sync::lock;

/// `job_` and 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobId(String);

impl JobId {
    fn random() -> Self {
        Self(format!("job_{}", uuid::Uuid::new_v4().simple()))
    }

    /// The id as a client sent it; whether there is such a job is not checked here.
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

/// The request that created a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The id of the request.
    pub request_id: String,
    /// The name of the caller's API key; a job without one is visible to all.
    pub owner: Option<Arc<str>>,
}

/// The record of a job.
#[derive(Debug)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// What it makes.
    pub kind: Kind,
    /// When it was created.
    pub created: SystemTime,
    /// The request that created it.
    pub origin: Origin,
    /// How its images are encoded.
    pub output: Output,
    /// Its idempotency key.
    pub key: Option<IdempotencyKey>,
    live: Mutex<Live>,
    ended: watch::Sender<Option<Ended>>,
}

/// The state of a job until it has ended.
#[derive(Debug)]
struct Live {
    progress: Option<watch::Receiver<Progress>>,
    /// Taken by the first cancellation, and at the end.
    stop: Option<oneshot::Sender<CancelReason>>,
    waiters: usize,
    is_detached: bool,
}

impl JobRecord {
    /// A job whose work was queued, and the receiver that stops its work.
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

    /// Adds a waiter; `None` where the job is being canceled.
    pub fn join(self: &Arc<Self>) -> Option<Waiter> {
        let mut live = self.lock();
        if live.stop.is_none() && self.ended.borrow().is_none() {
            return None;
        }
        live.waiters += 1;
        Some(Waiter::new(Arc::clone(self)))
    }

    /// Adds a waiter, also to a job that is being canceled.
    pub fn watch(self: &Arc<Self>) -> Waiter {
        self.lock().waiters += 1;
        Waiter::new(Arc::clone(self))
    }

    /// Removes a waiter; removing the last one cancels the job.
    pub(crate) fn leave(&self, reason: CancelReason) {
        let mut live = self.lock();
        live.waiters = live.waiters.saturating_sub(1);
        if live.waiters == 0 && !live.is_detached {
            live.cancel(reason);
        }
    }

    /// Lets the job run without waiters. Call it while holding a waiter.
    pub fn detach(&self) {
        self.lock().is_detached = true;
    }

    /// Cancels the job, unless it was canceled already.
    pub fn cancel(&self, reason: CancelReason) {
        self.lock().cancel(reason);
    }

    /// Ends the job and wakes its waiters.
    pub(crate) fn finish(&self, end: End) {
        let mut live = self.lock();
        live.stop = None;
        let progress = live.progress.take();
        let (step, steps) = progress.map_or((0, 0), |progress| {
            let progress = progress.borrow();
            (progress.step, progress.steps)
        });
        // Under the lock, so that a job without progress has an end.
        self.ended.send_replace(Some(Ended { end, at: SystemTime::now(), step, steps }));
    }

    /// How the job ended, if it has.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits for the job's end.
    pub(crate) async fn end(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.map(|ended| ended.clone()) {
            Ok(Some(ended)) => ended,
            // The sender lives as long as `self`.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// The progress of the job; `None` once it has ended.
    pub fn progress(&self) -> Option<watch::Receiver<Progress>> {
        self.lock().progress.clone()
    }

    /// The stage, the steps done and the steps in all; `None` once it has ended.
    pub fn stage(&self) -> Option<(Stage, usize, usize)> {
        let live = self.lock();
        let progress = live.progress.as_ref()?.borrow();
        Some((progress.stage, progress.step, progress.steps))
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        lock(&self.live)
    }
}

impl Live {
    fn cancel(&mut self, reason: CancelReason) {
        if let Some(stop) = self.stop.take() {
            // Fails where the work has just finished.
            let _ = stop.send(reason);
        }
    }
}
