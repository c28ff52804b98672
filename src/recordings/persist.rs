//! What goes to the store: the store is told that a source is finished, and what is new of it is written.

use std::any::Any;
use std::sync::Arc;

use crate::recordings::attention_log::AttentionLog;
use crate::recordings::codec;
use crate::recordings::disk::Part;
use crate::recordings::handle::Recordings;
use crate::recordings::pin::{Pinnable, Pinned};
use crate::recordings::place::Tier;
use crate::recordings::queue::{Command, Keep, Payload, SharedValue, Write};
use crate::recordings::session_id::SessionId;
use crate::recordings::source::Source;
use crate::recordings::store::Tensors;
use crate::recordings::trajectory::Trajectory;

impl Recordings {
    /// A source is finished: what is new of it is written to the store, where there is one: the source, its trajectory and
    /// the attention that is there. To be called on the thread that owns the device.
    pub fn persist(&self, id: &SessionId, trajectory: &Arc<Trajectory>, log: Option<&Arc<AttentionLog>>) {
        if self.queue.get().is_none() {
            return;
        }
        // More than the whole store may take would evict everything else, and itself at last.
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

    /// Writes a part that is neither in the store nor on its way there. `pinned` keeps what `tensors` are of from being
    /// evicted from memory until it is written. Whether it was queued.
    pub fn write_part(
        &self,
        session: &SessionId,
        part: Part,
        tensors: impl FnOnce() -> candle_core::Result<Tensors>,
        pinned: Arc<dyn Any + Send + Sync>,
    ) -> bool {
        if self.queue.get().is_none() {
            return false;
        }
        let mut inner = self.index.lock();
        let Some(entry) = inner.entries.get_mut(session) else {
            return false;
        };
        if entry.stored.parts.contains_key(&part) || !entry.stored.queued.insert(part) {
            return false;
        }
        let generation = entry.generation;
        drop(inner);
        self.queue_part((session, generation), part, tensors(), Keep::Shared { _value: SharedValue(pinned) })
    }

    /// Writes what a session is made from, where that is not in the store yet.
    pub fn write_source(&self, session: &SessionId, source: &Arc<Source>) {
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
    ) -> bool {
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
        is_queued
    }
}

/// A value, pinned where it is what the index keeps.
fn pinned<T>(kept: Option<&Pinnable<T>>, value: &Arc<T>) -> Pinned<T> {
    match kept.filter(|kept| Arc::ptr_eq(kept.value(), value)) {
        Some(kept) => kept.pin(),
        None => Pinned::outside(Arc::clone(value)),
    }
}
