//! Handing recordings over to `recordings`: to their sessions, as long as these exist, and to the store; and releasing
//! what no job reads any more.

use crate::engine::state::SourceState;
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;

impl Worker<'_> {
    /// Drops the sources that no job reads, and the runs that no job needs.
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
    /// Hands a complete source's trajectory and log over to its session, pinned. Returns whether the session still
    /// exists.
    pub(super) fn keep(&self, source: &mut SourceState) -> bool {
        let Some(trajectory) = source.trajectory.completed() else {
            return false;
        };
        source.pins.trajectory = self.recordings().complete(&source.id, trajectory);
        if let (Some(_), Some(open)) = (&source.pins.trajectory, source.log.opened()) {
            source.pins.log = self.recordings().attach_attention(&source.id, open.place(), open.log());
        }
        source.pins.trajectory.is_some()
    }

    /// Has what is new of a complete source written to the store, if there is one.
    pub(super) fn persist(&self, source: &SourceState) {
        if let Some(trajectory) = source.trajectory.completed() {
            let log = source.log.opened().map(|open| open.log());
            self.recordings().persist(&source.id, trajectory, log);
        }
    }

    /// Returns the bytes that were reserved for a source that no job reads and were not used. If it was not completed,
    /// a session that was never recorded is removed.
    fn release(&self, source: &SourceState) {
        if let Some(open) = source.log.opened() {
            open.log().settle();
        }
        if source.trajectory.completed().is_none() {
            self.recordings().abandon(&source.id);
        }
    }
}
