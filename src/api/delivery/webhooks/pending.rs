//! Webhooks that are pending: wanted by a request, and neither delivered nor given up yet.
//!
//! Contract: a webhook counts from the moment that its request is read until its delivery has ended, so that there is no
//! moment between the end of a job and its delivery at which a service that shuts down could take it for done.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

/// How many webhooks are pending, and when their delivery stops.
#[derive(Debug, Default)]
pub(super) struct Pending {
    count: watch::Sender<usize>,
    limit: watch::Sender<Option<Instant>>,
}

/// Counts one webhook until it is dropped.
#[derive(Debug)]
pub(super) struct PendingGuard(Arc<Pending>);

impl Pending {
    /// Counts a webhook.
    pub fn add(self: &Arc<Self>) -> PendingGuard {
        self.count.send_modify(|count| *count += 1);
        PendingGuard(Arc::clone(self))
    }

    /// How many webhooks are pending.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until no webhook is pending.
    pub async fn idle(&self) {
        // The sender lives as long as `self`.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// No retry begins after `limit`.
    pub fn stop_at(&self, limit: Instant) {
        self.limit.send_replace(Some(limit));
    }

    /// The time after which no retry begins; `None` until the service shuts down.
    pub fn limit(&self) -> watch::Receiver<Option<Instant>> {
        self.limit.subscribe()
    }
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}
