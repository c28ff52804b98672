//! Jobs: work that outlives its request, because it was asked for so or because it has an idempotency key.
//!
//! - `job`: a job; `end`: how it ended; `waiter`: a request's interest in it; `work`: the task that carries it
//! - `store`: the jobs that are kept, by id and by key
//! - [`routes`]: `/v1/jobs`; `object`: a job as it is told of

mod body;
mod drive;
mod job;
mod limits;
mod outcome;
pub mod routes;
mod store;
#[cfg(test)]
mod store_tests;
mod waiter;

use std::ops::Deref;
use std::sync::{Arc, Weak};

use prometheus::IntGauge;
use tokio::task::AbortHandle;

pub use crate::api::delivery::jobs::body::{object, queue, summary};
pub use crate::api::delivery::jobs::drive::{Work, carry};
pub use crate::api::delivery::jobs::job::{Job, JobId, Kind, Origin};
pub use crate::api::delivery::jobs::limits::JobLimits;
pub use crate::api::delivery::jobs::outcome::{End, Ended};
pub use crate::api::delivery::jobs::store::JobStore;
pub use crate::api::delivery::jobs::waiter::Waiter;

/// The jobs of a service, and the task that forgets them in time; it ends with them.
#[derive(Debug)]
pub struct Jobs {
    store: Arc<JobStore>,
    sweeper: AbortHandle,
}

impl Jobs {
    /// No jobs yet. To be called within a tokio runtime.
    pub fn new(limits: JobLimits, gauge: IntGauge) -> Self {
        let store = Arc::new(JobStore::new(limits, gauge));
        let swept = Arc::clone(&store);
        let sweeper = tokio::spawn(async move { swept.sweep().await }).abort_handle();
        Self { store, sweeper }
    }

    /// The jobs, for those that may outlive the service.
    pub fn downgrade(&self) -> Weak<JobStore> {
        Arc::downgrade(&self.store)
    }
}

impl Deref for Jobs {
    type Target = JobStore;

    fn deref(&self) -> &JobStore {
        &self.store
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}
