//! The task that carries a job: from the engine's handles to the job's end.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::api::delivery::jobs::waiter::passed;
use crate::api::delivery::jobs::{End, Job};
use crate::api::delivery::webhooks::Webhook;
use crate::api::guard::job_limit::Place;
use crate::api::operations::operation::Prepared;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::engine::{CancelReason, JobGroup};

/// Work that was taken by the engine.
#[derive(Debug)]
pub struct Work {
    /// What was asked for.
    pub prepared: Prepared,
    /// The engine's handles.
    pub handles: JobGroup,
    /// When the work is not worth it any more.
    pub deadline: Option<Instant>,
    /// Tells to stop.
    pub stop: oneshot::Receiver<CancelReason>,
    /// Who is told of the end.
    pub webhook: Option<Webhook>,
    /// The place among the caller's jobs.
    pub place: Place,
}

/// Carries a job to its end, in a task of its own, and tells of it.
pub async fn carry(work: Work, job: Arc<Job>, state: Arc<AppState>) {
    let (id, jobs) = (job.id.clone(), state.jobs.downgrade());
    // Where the task is dropped, the handles are dropped before the state: the engine waits for work that is not
    // cancelled.
    let unfinished = Unfinished { state, job: Some(job) };
    let Work { prepared, mut handles, deadline, stop, webhook, place } = work;
    let answered = async {
        let outcomes = handles.outcomes().await.map_err(|error| prepared.problem(error))?;
        prepared.answer(&unfinished.state.engine, &outcomes).await
    };
    let done = bounded(answered, deadline, stop).await;
    let end = match done {
        Ok(answered) => {
            // Where one of several failed, the others are of no use to anybody.
            drop(handles);
            answered.map_or_else(End::Failed, |answer| End::Succeeded(Arc::new(answer)))
        }
        Err(reason) => {
            handles.cancel(reason);
            tracing::info!(job = %id, reason = reason.as_str(), "a job was cancelled");
            End::Canceled(reason)
        }
    };
    // First: who is told of the end finds the place given back.
    drop(place);
    // Nothing of the state is held while the webhook is on its way, which may take minutes.
    unfinished.finish(end);
    if let Some(webhook) = webhook {
        webhook.deliver(&id, &jobs).await;
    }
}

/// What the work comes to, or why it was stopped before.
async fn bounded<T>(
    work: impl Future<Output = T>,
    deadline: Option<Instant>,
    stop: oneshot::Receiver<CancelReason>,
) -> Result<T, CancelReason> {
    tokio::select! {
        biased;
        // The sender is dropped unused only where the job has ended otherwise.
        Ok(reason) = stop => Err(reason),
        done = work => Ok(done),
        () = passed(deadline) => Err(CancelReason::Deadline),
    }
}

/// Sees to it that a job ends, also where its task panics.
struct Unfinished {
    state: Arc<AppState>,
    job: Option<Arc<Job>>,
}

impl Unfinished {
    fn finish(mut self, end: End) {
        if let Some(job) = self.job.take() {
            self.state.jobs.finish(&job, end);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            let detail = "the job failed; the server's log says more under this request's id";
            self.state.jobs.finish(&job, End::Failed(Problem::new(Code::Internal, detail)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    /// Work that never ends, up to its deadline; not for ever.
    async fn endless(deadline: Instant) -> Result<(), CancelReason> {
        let (_stop, stopped) = oneshot::channel();
        let work = bounded(std::future::pending(), Some(deadline), stopped);
        timeout(Duration::from_secs(1000), work).await.expect("the deadline counts")
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_at_its_deadline_and_not_before() {
        let started = Instant::now();
        assert_eq!(endless(started + Duration::from_secs(90)).await, Err(CancelReason::Deadline));
        assert_eq!(started.elapsed(), Duration::from_secs(90));

        let deadline = Some(Instant::now() + Duration::from_secs(90));
        let (_stop, stopped) = oneshot::channel();
        assert_eq!(bounded(sleep(Duration::from_secs(89)), deadline, stopped).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_passed_before_the_work_began_counts_at_once() {
        let arrived = Instant::now();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(endless(arrived + Duration::from_secs(5)).await, Err(CancelReason::Deadline));
        assert_eq!(arrived.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_the_work_says_why() {
        let (stop, stopped) = oneshot::channel();
        stop.send(CancelReason::Deleted).unwrap();
        assert_eq!(bounded(async {}, None, stopped).await, Err(CancelReason::Deleted));
        let (stop, stopped) = oneshot::channel();
        drop(stop);
        assert_eq!(bounded(sleep(Duration::from_secs(1)), None, stopped).await, Ok(()));
    }
}
