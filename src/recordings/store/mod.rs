//! The store, in which recordings outlive the process: a trait, and what every implementation promises.
//!
//! A store holds parts of sessions by content address: the model's fingerprint, the session's id and the part. The
//! fingerprint is fixed when a store is opened, so calls name the session and the part. Ids follow from the content, so
//! the same address always holds the same values, whichever process wrote it.
//!
//! Calls block. [`crate::recordings::queue`] makes them on a thread of its own, one at a time, and reports to the
//! worker by events; so an implementation may be slow, and nothing else may change its files of this model meanwhile
//! unless the store is shared by design.
//!
//! - `error`: what can go wrong, by kind; `write_fault`: why a write failed
//! - `metered`: counts refusals and failures of any store
//! - `suite` (tests): what every implementation must pass; `in_memory` (tests): one that can delay, fail and corrupt
//!
//! Checksums are part of the format of a part ([`crate::recordings::disk`]) and not a decorator: they cover the
//! address, the names, the types and the shapes besides the bytes, and they are computed while tensors stream to the
//! file. A decorator would have to pass over every tensor a second time, or hold a copy of it.

mod error;
#[cfg(test)]
pub(crate) mod in_memory;
pub(crate) mod metered;
#[cfg(test)]
pub(crate) mod suite;
mod write_fault;

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use candle_core::Tensor;

use crate::recordings::part::Part;
use crate::recordings::session_id::SessionId;
use crate::recordings::source::Source;

pub use error::{FileFault, StoreError};
pub use write_fault::WriteFault;

/// Tensors by name.
pub type Tensors = Vec<(String, Tensor)>;

/// A store of one model's recordings.
pub trait RecordingStore: fmt::Debug + Send + Sync {
    /// What is in the store. Called once, before anything else: an implementation may clean up after an earlier process
    /// here.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the store cannot be looked through.
    fn list(&self) -> Result<Listing, StoreError>;

    /// A listing of one session: empty where the store does not have it.
    ///
    /// # Errors
    /// [`StoreError::NotAnAddress`], [`StoreError::Io`].
    fn find(&self, session: &SessionId) -> Result<Listing, StoreError>;

    /// The tensors of a part in the order of their names, in the host's memory, verified.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Damaged`], [`StoreError::Truncated`] or [`StoreError::Foreign`], and the
    /// caller should delete the part; [`StoreError::NotAnAddress`], [`StoreError::Io`].
    fn get(&self, session: &SessionId, part: Part) -> Result<Tensors, StoreError>;

    /// Exactly the bytes that [`Self::put`] will take.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] as in [`Self::put`].
    fn size(&self, session: &SessionId, content: Content<'_>) -> Result<u64, StoreError>;

    /// Writes a content in place of what was there, whole or not at all, and returns its bytes. Without its source a
    /// session is not listed.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] for the source of another session, and for tensors that are not f32, f16, bf16 or u8,
    /// that share a name or lie on another device; [`StoreError::NotAnAddress`], [`StoreError::Io`].
    fn put(&self, session: &SessionId, content: Content<'_>) -> Result<u64, StoreError>;

    /// Deletes a part; no error if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::NotAnAddress`], [`StoreError::Io`].
    fn delete_part(&self, session: &SessionId, part: Part) -> Result<(), StoreError>;

    /// Deletes everything of a session; no error if it does not exist. A process that is killed meanwhile leaves all of
    /// it, or a session that is not listed.
    ///
    /// # Errors
    /// [`StoreError::NotAnAddress`], [`StoreError::Io`].
    fn delete(&self, session: &SessionId) -> Result<(), StoreError>;

    /// Marks a session as used now, for [`StoredSession::last_used`].
    ///
    /// # Errors
    /// [`StoreError::Missing`] where the session has no source, [`StoreError::NotAnAddress`], [`StoreError::Io`].
    fn touch(&self, session: &SessionId) -> Result<(), StoreError>;
}

/// What is put into a store.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// What the session is made from.
    Source(&'a Source),
    /// A part's tensors.
    Part(Part, &'a [(String, Tensor)]),
}

/// What is in a store.
#[derive(Debug, Default)]
pub struct Listing {
    /// The longest unused session first.
    pub sessions: Vec<StoredSession>,
    /// One for each file that was refused.
    pub refused: Vec<FileFault>,
    /// Whether the store may have sessions that are not listed, because other processes write to it or it is too large
    /// to be listed.
    pub is_partial: bool,
}

/// A session in a store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSession {
    /// Its id.
    pub id: SessionId,
    /// What it is made from.
    pub source: Source,
    /// Bytes of the source.
    pub source_bytes: u64,
    /// Its parts and their bytes; empty where there is no trajectory.
    pub parts: BTreeMap<Part, u64>,
    /// When anything of it was last written or touched.
    pub last_used: SystemTime,
}
