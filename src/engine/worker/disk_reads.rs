//! Parts of recordings that were read from files: a source's trajectory, and steps of its attention. What is gone,
//! damaged, or does not fit its source is computed again.

use std::sync::Arc;

use crate::engine::job::EngineError;
use crate::engine::state::{ActiveSource, SourceState};
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;
use crate::recordings::disk::Part;
use crate::recordings::disk_queue::{Spooled, Tensors};
use crate::recordings::{Coverage, SiteGroup, Tier, Trajectory, codec};

impl Worker<'_> {
    /// Takes what was read. Nothing waits for it where its jobs have ended meanwhile.
    pub(super) fn receive_read(&mut self, spooled: Spooled) {
        let Spooled::Read { session, part, tensors } = spooled else {
            return;
        };
        let Self { context, sources, .. } = self;
        let Some(active) = sources.get_mut(&session) else {
            return;
        };
        let received = match part {
            Part::Trajectory => {
                context.receive_trajectory(active, tensors);
                return;
            }
            Part::Attention(step, group) => context.receive_attention(active, (step, group), tensors),
        };
        if let Err(error) = received {
            context.fail_all(active.fail_log(), &error);
            self.drop_unused_sources();
        }
    }
}

impl Context<'_> {
    fn receive_trajectory(&self, active: &mut ActiveSource, tensors: Option<Tensors>) {
        let source = active.state_mut();
        if !source.trajectory.is_reading() {
            return;
        }
        let read = tensors.map(|tensors| self.read_trajectory(source, tensors));
        match read {
            Some(Ok(())) => {
                self.store().metrics().promotions.of(Tier::Disk).inc();
                if let Some(trajectory) = source.trajectory.completed() {
                    self.store().attach_trajectory(&source.id, trajectory);
                }
            }
            lost => {
                if let Some(Err(error)) = lost {
                    tracing::warn!(%error, session = %source.id, "a trajectory's file does not fit its source");
                    self.store().lose_part(&source.id, Part::Trajectory);
                }
                if self.store().is_known(&source.id) {
                    self.store().begin(&source.id, &source.source);
                }
                source.written.lose(Part::Trajectory);
                source.trajectory.lose();
                active.replayed();
            }
        }
    }

    /// Completes a source with the trajectory that its file has, where that fits the source.
    fn read_trajectory(&self, source: &mut SourceState, tensors: Tensors) -> Result<(), EngineError> {
        let SourceState { source, layout, trajectory, .. } = source;
        let sampling = self.sampling(source)?;
        let latents = self.initial_latents(source, &sampling)?;
        let read = || Ok(codec::to_trajectory(layout, &latents, source.steps, tensors)?);
        let (steps, image) = self.try_for_job(read)?;
        trajectory.read(|room| {
            let trajectory = Trajectory::new(Arc::clone(layout), latents, source.steps, room);
            steps.into_iter().for_each(|step| trajectory.push(step));
            trajectory.set_image(Arc::new(image));
            Arc::new(trajectory)
        });
        Ok(())
    }

    /// Puts a part of a step's attention into the shared log, or computes it again. The error is that of the replay.
    fn receive_attention(
        &mut self,
        active: &mut ActiveSource,
        (step, group): (usize, SiteGroup),
        tensors: Option<Tensors>,
    ) -> Result<(), EngineError> {
        let part = Part::Attention(step, group);
        let source = active.state_mut();
        // Of jobs that have ended: what no job waits for any more has no room.
        let waits = |log: &crate::recordings::AttentionLog| log.planned().has_part(part);
        let Some(log) = source.log.opened().map(|open| Arc::clone(open.log())).filter(|log| waits(log)) else {
            return Ok(());
        };
        let put = |tensors| log.put(step, codec::to_attention(group, &source.layout, tensors)?);
        let lost = match tensors.map(put) {
            Some(Ok(())) => return Ok(()),
            lost => lost,
        };
        if let Some(Err(error)) = lost {
            tracing::warn!(%error, session = %source.id, %part, "a recording's file does not fit its source");
            self.store().lose_part(&source.id, part);
        }
        let mut missing = Coverage::none(source.source.steps);
        missing.insert_part(part);
        source.written.lose(part);
        let replayed = match source.readable() {
            Some((mut readable, _)) => self.replay(&mut readable, &log, &missing),
            None => Ok(()),
        };
        active.replayed();
        replayed
    }
}
