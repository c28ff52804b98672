//! What the store's thread is asked to do, and what it reports.

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

/// What has ended.
#[derive(Debug)]
pub enum StoreEvent {
    /// A trajectory was read.
    Trajectory {
        /// The session.
        session: SessionId,
        /// `None` where it cannot be had. What was wrong was logged, counted and, where it cannot be read ever, deleted.
        found: Option<StoredTrajectory>,
    },
    /// A group of a step's attention was read.
    Attention {
        /// The session.
        session: SessionId,
        /// The step.
        step: usize,
        /// The group of layers.
        group: SiteGroup,
        /// In the host's memory; `None` as for a trajectory.
        found: Option<StepAttention>,
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

/// A trajectory as it was stored.
#[derive(Debug)]
pub struct StoredTrajectory(pub(super) Tensors);

impl StoredTrajectory {
    /// Its steps and its image.
    ///
    /// # Errors
    /// Where they are not what the layout and the shape of the latents at the start `[1, channels, h, w]` say.
    pub fn decode(
        self,
        layout: &RecordingLayout,
        start: &Tensor,
        steps: usize,
    ) -> candle_core::Result<(Vec<TrajectoryStep>, Image)> {
        codec::to_trajectory(layout, start, steps, self.0)
    }
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

/// Something that is wanted.
#[derive(Debug)]
pub(crate) struct Read {
    pub session: SessionId,
    pub wanted: Wanted,
}

/// What is wanted of a session.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Its trajectory.
    Trajectory,
    /// A group of a step's attention, for a log. If the log does not expect it any more when its turn comes, it is not
    /// read.
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
        /// The tensors share the memory of what they are of, so it must not be evicted until they are written.
        _keep: Keep,
    },
}

/// Keeps what is written from being evicted.
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
