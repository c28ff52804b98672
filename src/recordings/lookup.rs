//! Finding a session, without waiting for the store: what is in the index is returned, and what the store has is
//! requested; the answer comes as a [`StoreEvent`](crate::recordings::StoreEvent).

use std::sync::Arc;

use crate::recordings::attention_log::AttentionLog;
use crate::recordings::coverage::Coverage;
use crate::recordings::handle::Recordings;
use crate::recordings::part::Part;
use crate::recordings::pin::Pinned;
use crate::recordings::place::Place;
use crate::recordings::queue::{Command, Read, Wanted};
use crate::recordings::session_id::SessionId;
use crate::recordings::trajectory::Trajectory;

/// The result of a look-up.
#[derive(Debug)]
pub enum Lookup {
    /// It is recorded.
    Known(Recording),
    /// It is not.
    Unknown,
    /// The store is being asked; [`StoreEvent::LookedUp`](crate::recordings::StoreEvent) will follow.
    Pending,
}

/// What is kept of a recorded session. What is in memory is pinned as long as this lives.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its trajectory, if it is in memory.
    pub trajectory: Option<Pinned<Trajectory>>,
    /// Its attention, if it is in memory or on the device.
    pub attention: Option<(Place, Pinned<AttentionLog>)>,
    /// Whether the store has its trajectory.
    pub is_trajectory_stored: bool,
    /// The attention that the store has.
    pub stored_attention: Coverage,
}

impl Recordings {
    /// What is kept of a session that is in the index and recorded.
    pub fn find(&self, id: &SessionId) -> Option<Recording> {
        self.index.recorded(id, |entry| {
            let mut stored_attention = Coverage::none(entry.source.steps);
            entry.stored.parts.keys().for_each(|part| stored_attention.insert_part(*part));
            Recording {
                trajectory: entry.trajectory.as_ref().map(|kept| kept.pin()),
                attention: entry.attention.as_ref().map(|(place, kept)| (*place, kept.pin())),
                is_trajectory_stored: entry.stored.parts.contains_key(&Part::Trajectory),
                stored_attention,
            }
        })
    }

    /// The same; if the store may have sessions that it did not list, an unknown session is looked up there.
    pub fn look_up(&self, id: &SessionId) -> Lookup {
        if let Some(recording) = self.find(id) {
            return Lookup::Known(recording);
        }
        let Some(queue) = self.queue.get() else {
            return Lookup::Unknown;
        };
        let mut inner = self.index.lock();
        if !inner.is_partial || inner.entries.contains_key(id) {
            return Lookup::Unknown;
        }
        // Under the lock: the answer must not come before the look-up is noted.
        if inner.looking_up.insert(id.clone()) && !queue.send(Command::LookUp(id.clone())) {
            inner.looking_up.remove(id);
            return Lookup::Unknown;
        }
        Lookup::Pending
    }

    /// Requests a trajectory; a [`StoreEvent::Trajectory`](crate::recordings::StoreEvent) will follow. Returns whether
    /// there is a store.
    pub fn read_trajectory(&self, session: &SessionId) -> bool {
        self.send(Command::Read(Read { session: session.clone(), wanted: Wanted::Trajectory }))
    }

    /// Requests what the store has of `missing`, the first step first. A
    /// [`StoreEvent::Attention`](crate::recordings::StoreEvent) will follow for each group of a step, unless `log` is
    /// gone or no longer plans it when its turn comes. Returns what was requested.
    pub fn read_attention(&self, session: &SessionId, log: &Arc<AttentionLog>, missing: &Coverage) -> Coverage {
        let stored = self.index.recorded(session, |entry| {
            let parts = entry.stored.parts.keys().filter_map(|part| part.attention());
            (entry.source.steps, parts.collect::<Vec<_>>())
        });
        let (steps, mut parts) = stored.unwrap_or_default();
        parts.sort_by_key(|(step, _)| *step);
        let mut requested = Coverage::none(steps);
        for (step, group) in parts {
            if missing.at(step).contains(group) {
                let wanted = Wanted::Attention { step, group, log: Arc::downgrade(log) };
                if self.send(Command::Read(Read { session: session.clone(), wanted })) {
                    requested.insert(step, group.into());
                }
            }
        }
        requested
    }
}
