//! A store whose refusals and failures are counted.

use std::sync::Arc;

use crate::recordings::metrics::RecordingMetrics;
use crate::recordings::part::Part;
use crate::recordings::session_id::SessionId;
use crate::recordings::store::{Content, Listing, RecordingStore, StoreError, Tensors, WriteFault};

/// Counts what another store refuses, files in listings and reads that fail, and writes that fail.
#[derive(Debug)]
pub(crate) struct Metered {
    store: Arc<dyn RecordingStore>,
    metrics: Arc<RecordingMetrics>,
}

impl Metered {
    /// Counts the refusals of `store`.
    pub(crate) fn new(store: Arc<dyn RecordingStore>, metrics: Arc<RecordingMetrics>) -> Self {
        Self { store, metrics }
    }

    fn counted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.inspect_err(|error| {
            error.fault().into_iter().for_each(|fault| self.metrics.files_refused.with(fault).inc());
        })
    }

    fn counted_write<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.inspect_err(|error| {
            WriteFault::of(error).into_iter().for_each(|fault| self.metrics.write_failures.with(fault).inc());
        })
    }

    fn counted_listing(&self, listing: Result<Listing, StoreError>) -> Result<Listing, StoreError> {
        self.counted(listing).inspect(|listing| {
            listing.refused.iter().for_each(|fault| self.metrics.files_refused.with(*fault).inc());
        })
    }
}

impl RecordingStore for Metered {
    fn list(&self) -> Result<Listing, StoreError> {
        self.counted_listing(self.store.list())
    }

    fn find(&self, session: &SessionId) -> Result<Listing, StoreError> {
        self.counted_listing(self.store.find(session))
    }

    fn get(&self, session: &SessionId, part: Part) -> Result<Tensors, StoreError> {
        self.counted(self.store.get(session, part))
    }

    fn size(&self, session: &SessionId, content: Content<'_>) -> Result<u64, StoreError> {
        self.store.size(session, content)
    }

    fn put(&self, session: &SessionId, content: Content<'_>) -> Result<u64, StoreError> {
        self.counted_write(self.store.put(session, content))
    }

    fn delete_part(&self, session: &SessionId, part: Part) -> Result<(), StoreError> {
        self.counted_write(self.store.delete_part(session, part))
    }

    fn delete(&self, session: &SessionId) -> Result<(), StoreError> {
        self.counted_write(self.store.delete(session))
    }

    fn touch(&self, session: &SessionId) -> Result<(), StoreError> {
        self.counted_write(self.store.touch(session))
    }
}
