//! The commands to the store's thread, and the events that it reports.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

use candle_core::Tensor;

use crate::media::Image;
use crate::recordings::attention_log::{AttentionLog, StepAttention};
use crate::recordings::budget::Reservation;
use crate::recordings::codec;
use crate::recordings::index::Removed;
use crate::recordings::layout::RecordingLayout;
use crate::recordings::part::Part;
use crate::recordings::pin::Pinned;
use crate::recordings::session_id::SessionId;
use crate::recordings::site_group::SiteGroup;
use crate::recordings::source::Source;
use crate::recordings::store::Tensors;
use crate::recordings::trajectory::{Trajectory, TrajectoryStep};

/// A report of the store's thread; one follows every command.
#[derive(Debug)]
pub enum StoreEvent {
    /// A trajectory was read.
    Trajectory {
        /// The session.
        session: SessionId,
        /// The trajectory; `None` if it cannot be read. The reason was logged and counted, and what can never be read
        /// was deleted.
        content: Option<StoredTrajectory>,
    },
    /// A group of a step's attention was read.
    Attention {
        /// The session.
        session: SessionId,
        /// The step.
        step: usize,
        /// The group of layers.
        group: SiteGroup,
        /// The attention, in the host's memory; `None` as for a trajectory.
        content: Option<StepAttention>,
    },
    /// A session was looked up. If the store has it, it is in the index by now.
    LookedUp {
        /// The session.
        session: SessionId,
        /// Whether the store has it.
        is_found: bool,
    },
    /// Anything else was carried out or dropped; what it pinned is released.
    Nothing,
}

/// A trajectory as it was stored.
#[derive(Debug)]
pub struct StoredTrajectory(pub(super) Tensors);

impl StoredTrajectory {
    /// Its steps and its image.
    ///
    /// # Errors
    /// If they do not match the layout and the shape of the initial latents `start`, `[1, channels, h, w]`.
    pub fn decode(
        self,
        layout: &RecordingLayout,
        start: &Tensor,
        steps: usize,
    ) -> candle_core::Result<(Vec<TrajectoryStep>, Image)> {
        codec::to_trajectory(layout, start, steps, self.0)
    }
}

/// A command to the store's thread.
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
    /// Look a session up in the store.
    LookUp(SessionId),
    /// Read a part.
    Read(Read),
    /// Mark a session as used.
    Touch(SessionId),
    /// Write a source or a part.
    Write(Write),
    /// Signal that everything queued before is done.
    Flush(Sender<()>),
}

/// A part to be read.
#[derive(Debug)]
pub(crate) struct Read {
    pub session: SessionId,
    pub wanted: Wanted,
}

/// Which part of a session is read.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Its trajectory.
    Trajectory,
    /// A group of a step's attention, for a log. It is not read if the log is gone or no longer plans it when its turn
    /// comes.
    Attention { step: usize, group: SiteGroup, log: Weak<AttentionLog> },
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
        /// The tensors share memory with the recording, which must not be evicted until they are written.
        _keep: Keep,
    },
}

/// Pins what is being written.
#[derive(Debug)]
pub(crate) enum Keep {
    Trajectory { _pin: Pinned<Trajectory> },
    Attention { _pin: Pinned<AttentionLog> },
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
