//! Handing recordings over: to their sessions while these are known, and to the store.

use crate::engine::state::SourceState;
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;

impl Worker<'_> {
    /// Drops the sources that no job reads, and the runs that serve nothing.
    pub(super) fn drop_unused_sources(&mut self) {
        let Self { context, sources, .. } = self;
        for active in sources.take_unused() {
            context.persist(active.state());
            context.release(active.state());
        }
        context.runs.retain(|run| sources.is_used(run));
    }
}

impl Context<'_> {
    /// Hands what there is of a complete source over to its session, pinned; whether it still has one.
    pub(super) fn keep(&self, source: &mut SourceState) -> bool {
        let Some(trajectory) = source.trajectory.completed() else {
            return false;
        };
        source.pins.trajectory = self.store().complete(&source.id, trajectory);
        if let (Some(_), Some(open)) = (&source.pins.trajectory, source.log.opened()) {
            source.pins.log = self.store().attach_attention(&source.id, open.place(), open.log());
        }
        source.pins.trajectory.is_some()
    }

    /// Has what is new of a complete source written to the store, where there is one.
    pub(super) fn persist(&self, source: &SourceState) {
        if let Some(trajectory) = source.trajectory.completed() {
            let log = source.log.opened().map(|open| open.log());
            self.store().persist(&source.id, trajectory, log);
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
