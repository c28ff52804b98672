//! Writing recordings to the store: of a complete source, what the store does not have yet.

use std::sync::Arc;

use crate::recordings::attention_log::AttentionLog;
use crate::recordings::codec;
use crate::recordings::handle::Recordings;
use crate::recordings::part::Part;
use crate::recordings::pin::{Pinnable, Pinned};
use crate::recordings::place::Tier;
use crate::recordings::queue::{Command, Keep, Payload, Write};
use crate::recordings::session_id::SessionId;
use crate::recordings::source::Source;
use crate::recordings::store::Tensors;
use crate::recordings::trajectory::Trajectory;

impl Recordings {
    /// Queues what the store does not have of a complete source, if there is a store: the source, its trajectory and
    /// the attention that is present. To be called on the thread that owns the device.
    pub fn persist(&self, id: &SessionId, trajectory: &Arc<Trajectory>, log: Option<&Arc<AttentionLog>>) {
        if self.queue.get().is_none() {
            return;
        }
        // A log larger than the store's budget would evict everything else, and finally itself.
        let log = log.filter(|log| log.layout().bytes(&log.present()) <= self.limit(Tier::Disk));
        let mut steps = Vec::new();
        for step in log.iter().flat_map(|_| 0..trajectory.total_steps()) {
            let attention = log.map(|log| log.step(step)).unwrap_or_default();
            steps.extend(attention.present().iter().map(|group| (step, group, attention.clone())));
        }
        let mut inner = self.index.lock();
        let Some(entry) = inner.entries.get_mut(id) else {
            return;
        };
        let (generation, source) = (entry.generation, Arc::clone(&entry.source));
        let is_trajectory_new = entry.stored.offer(Part::Trajectory);
        let trajectory_pin = is_trajectory_new.then(|| pinned(entry.trajectory.as_ref(), trajectory));
        steps.retain(|(step, group, _)| entry.stored.offer(Part::Attention(*step, *group)));
        let log_pin = log.map(|log| pinned(entry.attention.as_ref().map(|(_, kept)| kept), log));
        drop(inner);
        self.write_source(id, &source);
        if let Some(pin) = trajectory_pin {
            let tensors = codec::of_trajectory(trajectory);
            self.queue_part((id, generation), Part::Trajectory, tensors, Keep::Trajectory { _pin: pin });
        }
        let Some(pin) = log_pin else {
            return;
        };
        for (step, group, attention) in steps {
            let tensors = codec::of_attention(group, &attention);
            self.queue_part(
                (id, generation),
                Part::Attention(step, group),
                tensors,
                Keep::Attention { _pin: pin.clone() },
            );
        }
    }

    /// Queues the source of a session, unless the store has it or it is queued already.
    pub(super) fn write_source(&self, session: &SessionId, source: &Arc<Source>) {
        if self.queue.get().is_none() {
            return;
        }
        let mut inner = self.index.lock();
        let Some(entry) = inner.entries.get_mut(session) else {
            return;
        };
        let (generation, stored) = (entry.generation, &mut entry.stored);
        if stored.source.is_some() || std::mem::replace(&mut stored.is_source_queued, true) {
            return;
        }
        drop(inner);
        let payload = Payload::Source(Arc::clone(source));
        self.send(Command::Write(Write { session: session.clone(), generation, payload }));
    }

    fn queue_part(
        &self,
        (session, generation): (&SessionId, u64),
        part: Part,
        tensors: candle_core::Result<Tensors>,
        keep: Keep,
    ) {
        let is_queued = match tensors {
            Ok(tensors) => {
                let payload = Payload::Part { part, tensors, _keep: keep };
                self.send(Command::Write(Write { session: session.clone(), generation, payload }))
            }
            Err(error) => {
                tracing::warn!(%error, %session, %part, "a recording could not be copied for the store");
                false
            }
        };
        if !is_queued {
            self.index.unwritten((session, generation), Some(part));
        }
    }
}

/// A value; pinned if it is the one that the index keeps.
fn pinned<T>(kept: Option<&Pinnable<T>>, value: &Arc<T>) -> Pinned<T> {
    match kept.filter(|kept| Arc::ptr_eq(kept.value(), value)) {
        Some(kept) => kept.pin(),
        None => Pinned::outside(Arc::clone(value)),
    }
}
