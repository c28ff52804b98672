//! Handing recordings over: to the store while their sessions are known, and to files.

use std::sync::Arc;

use crate::engine::state::SourceState;
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;
use crate::recordings::disk::Part;
use crate::recordings::{Tier, codec};

impl Worker<'_> {
    /// Drops the sources that no job reads, and the runs that serve nothing.
    pub(super) fn drop_unused_sources(&mut self) {
        let Self { context, sources, .. } = self;
        for mut active in sources.take_unused() {
            context.persist(active.state_mut());
            context.release(active.state());
        }
        context.runs.retain(|run| sources.is_used(run));
    }
}

impl Context<'_> {
    /// Hands what there is of a complete source over to its session; whether it still has one.
    pub(super) fn keep(&self, source: &SourceState) -> bool {
        let Some(trajectory) = source.trajectory.completed() else {
            return false;
        };
        let is_kept = self.store().complete(&source.id, trajectory);
        if let (true, Some(open)) = (is_kept, source.log.opened()) {
            self.store().attach_attention(&source.id, open.tier(), open.log());
        }
        is_kept
    }

    /// Writes what is new of a complete source to files, where there are files.
    pub(super) fn persist(&self, source: &mut SourceState) {
        let SourceState { id, source, layout, trajectory, log, written, .. } = source;
        let Some(trajectory) = trajectory.completed() else {
            return;
        };
        let store = self.store();
        store.write_source(id, source);
        if written.write_trajectory() {
            let pinned = Arc::clone(trajectory);
            store.write_part(id, Part::Trajectory, || codec::of_trajectory(trajectory), pinned);
        }
        let Some(log) = log.opened().map(|open| open.log()) else {
            return;
        };
        let present = log.present();
        // More than all files may take would evict every other session, and in the end its own parts.
        if layout.bytes(&present) > store.limit(Tier::Disk) {
            return;
        }
        let new = written.missing(&present);
        written.write_attention(&new);
        for step in 0..trajectory.total_steps() {
            let attention = log.step(step);
            for group in attention.present().iter().filter(|group| new.at(step).contains(*group)) {
                let tensors = || codec::of_attention(group, &attention);
                store.write_part(id, Part::Attention(step, group), tensors, Arc::clone(log) as _);
            }
        }
    }

    /// Returns what was reserved for a source that no job reads. One that was not completed is no session.
    fn release(&self, source: &SourceState) {
        if let Some(open) = source.log.opened() {
            open.log().settle();
        }
        if source.trajectory.completed().is_none() {
            self.store().abandon(&source.id);
        }
    }
}
