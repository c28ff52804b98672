//! Jobs as the API sees them: the work of one request, which may outlive it.
//!
//! - `job`: the record of a job; `outcome`: how it ended; `waiter`: a request that waits for it; `drive`: the task that
//!   runs it
//! - `store`, `limits`: the jobs that are kept, by id and by idempotency key
//! - `response`, `body`: jobs as JSON

mod body;
mod drive;
mod job;
mod limits;
mod outcome;
pub(crate) mod response;
mod store;
#[cfg(test)]
mod store_tests;
mod waiter;

use std::ops::Deref;
use std::sync::Arc;

use prometheus::IntGauge;
use tokio::task::AbortHandle;

pub(crate) use crate::api::delivery::jobs::body::{job_response, object, queue, summary};
pub(crate) use crate::api::delivery::jobs::drive::{JobWork, drive};
pub use crate::api::delivery::jobs::job::{JobId, JobRecord, Kind, Origin};
pub use crate::api::delivery::jobs::limits::JobLimits;
pub(crate) use crate::api::delivery::jobs::outcome::{End, Ended};
pub use crate::api::delivery::jobs::store::JobStore;
pub use crate::api::delivery::jobs::waiter::Waiter;

/// The jobs of a service, and the task that removes expired ones; it ends with them.
#[derive(Debug)]
pub struct Jobs {
    store: Arc<JobStore>,
    sweeper: AbortHandle,
}

impl Jobs {
    /// No jobs yet. Call it within a tokio runtime.
    pub fn new(limits: JobLimits, gauge: IntGauge) -> Self {
        let store = Arc::new(JobStore::new(limits, gauge));
        let swept = Arc::clone(&store);
        let sweeper = tokio::spawn(async move { swept.sweep().await }).abort_handle();
        Self { store, sweeper }
    }

    /// The store.
    pub fn store(&self) -> &Arc<JobStore> {
        &self.store
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
