//! What the store reports: a session that was looked up, a trajectory, steps of attention. What is gone, damaged, or does
//! not fit its source is computed again.

use std::sync::Arc;

use crate::engine::job::EngineError;
use crate::engine::state::{ActiveSource, Opened, SourceState};
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;
use crate::recordings::{Coverage, SiteGroup, StepAttention, StoreEvent, StoredTrajectory, Tier, Trajectory};

impl Worker<'_> {
    /// Takes what was found. Nothing waits for it where its jobs have ended meanwhile.
    pub(super) fn receive_stored(&mut self, event: StoreEvent) {
        let Self { context, sources, .. } = self;
        match event {
            StoreEvent::LookedUp { session, .. } => {
                if let Some(active) = sources.get_mut(&session) {
                    context.receive_lookup(active);
                }
            }
            StoreEvent::Trajectory { session, found } => {
                if let Some(active) = sources.get_mut(&session) {
                    context.receive_trajectory(active, found);
                }
            }
            StoreEvent::Attention { session, step, group, found } => {
                if let Some(active) = sources.get_mut(&session)
                    && let Err(error) = context.receive_attention(active, (step, group), found)
                {
                    context.fail_all(active.fail_log(), &error);
                    self.drop_unused_sources();
                }
            }
            // What was written is no longer pinned, so a job that waits for memory may start now.
            StoreEvent::Nothing => {}
        }
    }
}

impl Context<'_> {
    /// Reads the trajectory where the store has it, or runs the source.
    fn receive_lookup(&self, active: &mut ActiveSource) {
        let SourceState { id, source, trajectory, .. } = active.state_mut();
        let store = self.store();
        let is_stored = || store.find(id).is_some_and(|recording| recording.is_trajectory_stored);
        match trajectory.looked_up(|| is_stored() && store.read_trajectory(id)) {
            Opened::Reading => {
                let id = id.clone();
                // Those whose edit waits count their use when that begins.
                for _ in 0..active.found() {
                    store.used_by_job(&id, Some(Tier::Disk));
                }
            }
            Opened::Wanted => {
                if store.begin(id, source) {
                    // The session is known, and no more of it.
                    active.found();
                    active.replayed();
                }
            }
            Opened::LookingUp | Opened::Unchanged => {}
        }
    }

    fn receive_trajectory(&self, active: &mut ActiveSource, found: Option<StoredTrajectory>) {
        let source = active.state_mut();
        if !source.trajectory.is_reading() {
            return;
        }
        let read = found.map(|found| self.read_trajectory(source, found));
        match read {
            Some(Ok(())) => {
                self.store().metrics().promotions.with(Tier::Disk).inc();
                if let Some(trajectory) = source.trajectory.completed() {
                    source.pins.trajectory = self.store().attach_trajectory(&source.id, trajectory);
                }
            }
            lost => {
                if let Some(Err(error)) = lost {
                    tracing::warn!(%error, session = %source.id, "a stored trajectory does not fit its source");
                    self.store().lose_trajectory(&source.id);
                }
                if self.store().is_known(&source.id) {
                    self.store().begin(&source.id, &source.source);
                }
                source.trajectory.lose();
                active.replayed();
            }
        }
    }

    /// Completes a source with the trajectory that the store has, where that fits the source.
    fn read_trajectory(&self, source: &mut SourceState, found: StoredTrajectory) -> Result<(), EngineError> {
        let SourceState { source, layout, trajectory, .. } = source;
        let sampling = self.sampling(source)?;
        let latents = self.initial_latents(source, &sampling)?;
        let (steps, image) = self.try_for_job(|| Ok(found.decode(layout, &latents, source.steps)?))?;
        trajectory.read(|room| {
            let trajectory = Trajectory::new(Arc::clone(layout), latents, source.steps, room);
            steps.into_iter().for_each(|step| trajectory.push(step));
            trajectory.set_image(Arc::new(image));
            Arc::new(trajectory)
        });
        Ok(())
    }

    /// Puts a group of a step's attention into the shared log, or computes it again. The error is that of the replay.
    fn receive_attention(
        &mut self,
        active: &mut ActiveSource,
        (step, group): (usize, SiteGroup),
        found: Option<StepAttention>,
    ) -> Result<(), EngineError> {
        let source = active.state_mut();
        // Of jobs that have ended: what no job waits for any more has no room.
        let Some(open) = source.log.opened().filter(|open| open.log().planned().at(step).contains(group)) else {
            return Ok(());
        };
        let log = Arc::clone(open.log());
        match found.map(|attention| log.put(step, attention)) {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => tracing::warn!(%error, session = %source.id, "stored attention could not be copied"),
            None => {}
        }
        let mut missing = Coverage::none(source.source.steps);
        missing.insert(step, group.into());
        let replayed = match source.readable() {
            Some((mut readable, _)) => self.replay(&mut readable, &log, &missing),
            None => Ok(()),
        };
        active.replayed();
        replayed
    }
}
