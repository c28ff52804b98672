//! The task that drives a job: it awaits the outcomes of the engine's jobs, makes the answer, ends the job and delivers
//! its webhook.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::api::delivery::jobs::waiter::passed;
use crate::api::delivery::jobs::{End, JobRecord, JobStore};
use crate::api::delivery::webhooks::Webhook;
use crate::api::guard::job_limit::JobPermit;
use crate::api::operations::operation::Operation;
use crate::api::problem::{Code, Problem};
use crate::engine::{CancelReason, JobGroup};

/// Work that the engine has accepted.
#[derive(Debug)]
pub(crate) struct JobWork<O> {
    /// The request.
    pub operation: O,
    /// The engine's jobs.
    pub group: JobGroup,
    /// When the job is canceled.
    pub deadline: Option<Instant>,
    /// Receives the reason of a cancellation.
    pub stop: oneshot::Receiver<CancelReason>,
    /// Receives the job when it has ended.
    pub webhook: Option<Webhook>,
    /// The caller's permits for these jobs.
    pub permit: JobPermit,
}

/// Drives a job to its end, in a task of its own, and delivers its webhook.
pub(crate) async fn drive<O: Operation>(work: JobWork<O>, job: Arc<JobRecord>, jobs: Arc<JobStore>) {
    let (id, kept) = (job.id.clone(), Arc::downgrade(&jobs));
    let unfinished = Unfinished { jobs, job: Some(job) };
    // If the task is dropped, the group must be dropped, and so canceled, before the operation, which may hold the
    // last handle of the engine: dropping that waits for all of its jobs.
    let JobWork { operation, mut group, deadline, stop, webhook, permit } = work;
    let answered = async {
        let outcomes = group.outcomes().await.map_err(|error| operation.problem(error))?;
        operation.respond(outcomes).await
    };
    let end = match bounded(answered, deadline, stop).await {
        Ok(answered) => {
            // If one of the engine's jobs failed, this cancels the others.
            drop(group);
            answered.map_or_else(End::Failed, |answer| End::Succeeded(Arc::new(answer)))
        }
        Err(reason) => {
            group.cancel(reason);
            tracing::info!(job = %id, reason = reason.as_str(), "a job was canceled");
            End::Canceled(reason)
        }
    };
    // Before clients see the end: the caller may then send its next request.
    drop(permit);
    unfinished.finish(end);
    // Neither engine nor jobs are held while the webhook is delivered, which may take minutes.
    drop(operation);
    if let Some(webhook) = webhook {
        webhook.deliver(&id, &kept).await;
    }
}

/// The output of the work, or why it was canceled before.
async fn bounded<T>(
    work: impl Future<Output = T>,
    deadline: Option<Instant>,
    stop: oneshot::Receiver<CancelReason>,
) -> Result<T, CancelReason> {
    tokio::select! {
        biased;
        // The sender is dropped without a message only when the job has ended.
        Ok(reason) = stop => Err(reason),
        done = work => Ok(done),
        () = passed(deadline) => Err(CancelReason::Deadline),
    }
}

/// Ends its job on drop, so that a job ends also if its task panics.
struct Unfinished {
    jobs: Arc<JobStore>,
    job: Option<Arc<JobRecord>>,
}

impl Unfinished {
    fn finish(mut self, end: End) {
        if let Some(job) = self.job.take() {
            self.jobs.finish(&job, end);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            let detail = "the job failed; the service's log has the cause under this request's id";
            self.jobs.finish(&job, End::Failed(Problem::new(Code::Internal, detail)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    /// Work that never ends, until its deadline.
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
    async fn a_cancellation_carries_its_reason() {
        let (stop, stopped) = oneshot::channel();
        stop.send(CancelReason::Deleted).unwrap();
        assert_eq!(bounded(async {}, None, stopped).await, Err(CancelReason::Deleted));
        let (stop, stopped) = oneshot::channel();
        drop(stop);
        assert_eq!(bounded(sleep(Duration::from_secs(1)), None, stopped).await, Ok(()));
    }
}
