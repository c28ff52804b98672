//! What the store reports: the answer to a look-up, a trajectory, or attention of a step. What is missing, damaged or
//! does not fit its source is computed again.

use std::sync::Arc;

use crate::engine::job::EngineError;
use crate::engine::state::{ActiveSource, Opened, SourceState};
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;
use crate::recordings::{Coverage, SiteGroup, StepAttention, StoreEvent, StoredTrajectory, Tier, Trajectory};

impl Worker<'_> {
    /// Takes a report of the store. It is ignored if the jobs that awaited it have ended meanwhile.
    pub(super) fn receive_stored(&mut self, event: StoreEvent) {
        let Self { context, sources, .. } = self;
        match event {
            StoreEvent::LookedUp { session, .. } => {
                if let Some(active) = sources.get_mut(&session) {
                    context.receive_lookup(active);
                }
            }
            StoreEvent::Trajectory { session, content } => {
                if let Some(active) = sources.get_mut(&session) {
                    context.receive_trajectory(active, content);
                }
            }
            StoreEvent::Attention { session, step, group, content } => {
                if let Some(active) = sources.get_mut(&session)
                    && let Err(error) = context.receive_attention(active, (step, group), content)
                {
                    context.fail_all(active.fail_log(), &error);
                    self.drop_unused_sources();
                }
            }
            // The event has woken the worker: what was written is no longer pinned, so a job that waits for memory may
            // start.
            StoreEvent::Nothing => {}
        }
    }
}

impl Context<'_> {
    /// Reads the trajectory if the store has it; otherwise the source is run.
    fn receive_lookup(&self, active: &mut ActiveSource) {
        let SourceState { id, source, trajectory, .. } = active.state_mut();
        let recordings = self.recordings();
        let is_stored = || recordings.find(id).is_some_and(|recording| recording.is_trajectory_stored);
        match trajectory.looked_up(|| is_stored() && recordings.read_trajectory(id)) {
            Opened::Reading => {
                let id = id.clone();
                // Jobs that read attention count their use when their edit begins.
                for _ in 0..active.found_in_store() {
                    recordings.used_by_job(&id, Some(Tier::Disk));
                }
            }
            Opened::Wanted => {
                if recordings.begin(id, source) {
                    // The session exists, and nothing but its source is left of it.
                    active.found_in_store();
                    active.replayed();
                }
            }
            Opened::LookingUp | Opened::Unchanged => {}
        }
    }

    /// Completes the source with a trajectory that was read; the source is run if there is none or it does not fit.
    fn receive_trajectory(&self, active: &mut ActiveSource, content: Option<StoredTrajectory>) {
        let source = active.state_mut();
        if !source.trajectory.is_reading() {
            return;
        }
        let read = content.map(|stored| self.read_trajectory(source, stored));
        match read {
            Some(Ok(())) => {
                self.recordings().metrics().promotions.with(Tier::Disk).inc();
                if let Some(trajectory) = source.trajectory.completed() {
                    source.pins.trajectory = self.recordings().attach_trajectory(&source.id, trajectory);
                }
            }
            lost => {
                if let Some(Err(error)) = lost {
                    tracing::warn!(%error, session = %source.id, "a stored trajectory does not fit its source");
                    self.recordings().lose_trajectory(&source.id);
                }
                if self.recordings().is_known(&source.id) {
                    self.recordings().begin(&source.id, &source.source);
                }
                source.trajectory.lose();
                active.replayed();
            }
        }
    }

    /// Completes a source with a stored trajectory. The error says that the trajectory does not fit the source.
    fn read_trajectory(&self, source: &mut SourceState, stored: StoredTrajectory) -> Result<(), EngineError> {
        let SourceState { source, layout, trajectory, .. } = source;
        let sampling = self.sampling(source)?;
        let latents = self.initial_latents(source, &sampling)?;
        let (steps, image) = self.try_for_job(|| Ok(stored.decode(layout, &latents, source.steps)?))?;
        trajectory.read(|reservation| {
            let trajectory = Trajectory::new(Arc::clone(layout), latents, source.steps, reservation);
            steps.into_iter().for_each(|step| trajectory.push(step));
            trajectory.set_image(Arc::new(image));
            Arc::new(trajectory)
        });
        Ok(())
    }

    /// Puts a group of a step's attention into the shared log, or replays it. The error is that of the replay.
    fn receive_attention(
        &mut self,
        active: &mut ActiveSource,
        (step, group): (usize, SiteGroup),
        content: Option<StepAttention>,
    ) -> Result<(), EngineError> {
        let source = active.state_mut();
        // No bytes are reserved for attention that was read for a job that has ended.
        let Some(open) = source.log.opened().filter(|open| open.log().planned().at(step).contains(group)) else {
            return Ok(());
        };
        let log = Arc::clone(open.log());
        match content.map(|attention| log.put(step, attention)) {
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
