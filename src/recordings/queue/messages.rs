//! What the store's thread is asked to do, and what it reports.

use std::any::Any;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

use crate::recordings::attention_log::AttentionLog;
use crate::recordings::budget::Reservation;
use crate::recordings::disk::Part;
use crate::recordings::index::Removed;
use crate::recordings::pin::Pinned;
use crate::recordings::session_id::SessionId;
use crate::recordings::source::Source;
use crate::recordings::store::Tensors;
use crate::recordings::trajectory::Trajectory;

/// What has ended.
#[derive(Debug)]
pub enum StoreEvent {
    /// A part was read, or not.
    Read {
        /// The session.
        session: SessionId,
        /// The part.
        part: Part,
        /// Its tensors; what was wrong was logged, counted and deleted.
        tensors: Option<Tensors>,
    },
    /// A session was looked up; a found one is in the index by now.
    LookedUp {
        /// The session.
        session: SessionId,
        /// Whether the store has it.
        is_found: bool,
    },
    /// Something was written or deleted, or not, or was not wanted any more: what it pinned is released.
    Nothing,
}

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Delete everything of a session, then return its bytes.
    Delete {
        removed: Removed,
        /// Signalled when it is done.
        done: Option<Sender<()>>,
    },
    /// Delete a part, then return its bytes.
    DeletePart { session: SessionId, part: Part, reservation: Option<Reservation> },
    /// Find out whether the store has a session.
    LookUp(SessionId),
    /// Read a part.
    Read(Read),
    /// Mark a session as used.
    Touch(SessionId),
    /// Write something.
    Write(Write),
    /// Signal that everything that was asked before is done.
    Flush(Sender<()>),
}

/// A part that is wanted.
#[derive(Debug)]
pub(crate) struct Read {
    pub session: SessionId,
    pub part: Part,
    /// The log that the part is for. If it does not expect the part any more when its turn comes, the part is not read.
    /// `None` for a trajectory.
    pub log: Option<Weak<AttentionLog>>,
}

/// Something to be written, for one entry of the index.
#[derive(Debug)]
pub(crate) struct Write {
    pub session: SessionId,
    pub generation: u64,
    pub payload: Payload,
}

/// What is to be written.
#[derive(Debug)]
pub(crate) enum Payload {
    Source(Arc<Source>),
    Part {
        part: Part,
        tensors: Tensors,
        /// The tensors share the memory of what they are of, so it must not be evicted until they are written.
        _keep: Keep,
    },
}

/// Keeps what is written from being evicted.
#[derive(Debug)]
pub(crate) enum Keep {
    Trajectory { _pin: Pinned<Trajectory> },
    Attention { _pin: Pinned<AttentionLog> },
    Shared { _value: SharedValue },
}

/// A value that is kept by a plain `Arc`.
pub(crate) struct SharedValue(pub Arc<dyn Any + Send + Sync>);

impl std::fmt::Debug for SharedValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SharedValue").field(&self.0.type_id()).finish()
    }
}

impl Payload {
    /// The part; `None` for a source.
    pub(crate) fn part(&self) -> Option<Part> {
        match self {
            Self::Source(_) => None,
            Self::Part { part, .. } => Some(*part),
        }
    }
}
