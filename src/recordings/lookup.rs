//! What the engine finds of a session, without waiting for the store.

use std::sync::Arc;

use crate::recordings::attention_log::AttentionLog;
use crate::recordings::coverage::Coverage;
use crate::recordings::disk::Part;
use crate::recordings::handle::Recordings;
use crate::recordings::pin::Pinned;
use crate::recordings::place::{Place, Substance, Tier};
use crate::recordings::queue::{Command, Read};
use crate::recordings::session_id::SessionId;
use crate::recordings::trajectory::Trajectory;

/// What is known of a session.
#[derive(Debug)]
pub enum Lookup {
    /// It is recorded.
    Known(Recording),
    /// It is not.
    Unknown,
    /// The store is being asked; [`StoreEvent::LookedUp`](crate::recordings::StoreEvent::LookedUp) will follow.
    Pending,
}

/// What there is of a recorded session. What is in memory is pinned as long as this lives.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its trajectory, where it is in memory.
    pub trajectory: Option<Pinned<Trajectory>>,
    /// Its attention, where it is in memory or on the device.
    pub attention: Option<(Place, Pinned<AttentionLog>)>,
    /// Whether the store has its trajectory.
    pub is_trajectory_stored: bool,
    /// The attention that the store has.
    pub stored_attention: Coverage,
}

/// What the worker finds of a session.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its trajectory, where it is in memory.
    pub trajectory: Option<Arc<Trajectory>>,
    /// Its attention, where it is in memory or on the device.
    pub attention: Option<(Tier, Arc<AttentionLog>)>,
    /// The parts of it that are in the store.
    pub parts: Vec<Part>,
}

impl Recordings {
    /// What is known of a session. Where the store may have sessions that it did not list, an unknown one is looked up.
    pub fn look_up(&self, id: &SessionId) -> Lookup {
        let known = self.index.recorded(id, |entry| {
            let mut stored_attention = Coverage::none(entry.source.steps);
            entry.stored.parts.keys().for_each(|part| stored_attention.insert_part(*part));
            Recording {
                trajectory: entry.trajectory.as_ref().map(|kept| kept.pin()),
                attention: entry.attention.as_ref().map(|(place, kept)| (*place, kept.pin())),
                is_trajectory_stored: entry.stored.parts.contains_key(&Part::Trajectory),
                stored_attention,
            }
        });
        if let Some(known) = known {
            return Lookup::Known(known);
        }
        let Some(queue) = self.queue.get() else {
            return Lookup::Unknown;
        };
        let mut inner = self.index.lock();
        if !inner.is_partial || inner.entries.contains_key(id) {
            return Lookup::Unknown;
        }
        // Under the lock: the answer must not come before the question is noted.
        if inner.looking_up.insert(id.clone()) && !queue.send(Command::LookUp(id.clone())) {
            inner.looking_up.remove(id);
            return Lookup::Unknown;
        }
        Lookup::Pending
    }

    /// What there is of a session that is recorded.
    pub fn find(&self, id: &SessionId) -> Option<Known> {
        self.index.recorded(id, |entry| Known {
            trajectory: entry.trajectory.as_ref().map(|kept| Arc::clone(kept.value())),
            attention: entry.attention.as_ref().map(|(place, kept)| {
                let tier = Tier::of(Substance::Attention, *place);
                (tier, Arc::clone(kept.value()))
            }),
            parts: entry.stored.parts.keys().copied().collect(),
        })
    }

    /// Asks for a part; a [`StoreEvent::Read`](crate::recordings::StoreEvent::Read) will follow, unless it is of attention that `log` does not expect any more
    /// when its turn comes. Whether there is a store at all.
    pub fn read_part(&self, session: &SessionId, part: Part, log: Option<&Arc<AttentionLog>>) -> bool {
        self.send(Command::Read(Read { session: session.clone(), part, log: log.map(Arc::downgrade) }))
    }
}
