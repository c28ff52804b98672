//! Taking in what has come from files: a source's trajectory, and steps of its attention. What does not fit its source is
//! computed again.

use std::sync::Arc;

use crate::engine::job::EngineError;
use crate::engine::state::{ActiveSource, SharedLog, TrajectoryState};
use crate::engine::worker::Worker;
use crate::engine::worker::start_runs::replayed;
use crate::recordings::Tier;
use crate::recordings::disk::Part;
use crate::recordings::disk_queue::{Spooled, Tensors};
use crate::recordings::{Coverage, SessionId, Trajectory, codec};

impl Worker<'_> {
    /// Takes what has come from files.
    pub(crate) fn take_spooled(&mut self, spooled: Spooled) {
        let Spooled::Read { session, part, tensors } = spooled else {
            return;
        };
        if part == Part::Trajectory {
            self.take_trajectory(&session, tensors);
            return;
        }
        let Some(active) = self.sources.get(&session) else {
            return;
        };
        let SharedLog::Open { log, .. } = &active.log else {
            return;
        };
        // Of jobs that have left: what nobody waits for any more has no room.
        if !codec::contains(&log.promised(), part) {
            return;
        }
        let put = |tensors| {
            let (step, attention) = codec::to_attention(part, &active.layout, tensors)?;
            log.put(step, attention)
        };
        match tensors.map(put) {
            Some(Ok(())) => {}
            other => {
                if let Some(Err(error)) = other {
                    tracing::warn!(%error, %session, %part, "a recording's file does not fit its source");
                    self.store().lose_part(&session, part);
                }
                let mut missing = Coverage::none(active.source.steps);
                codec::insert(&mut missing, part);
                if let Some(active) = self.sources.get_mut(&session) {
                    codec::remove(&mut active.written.attention, part);
                }
                self.mark_replayed(&session);
                if let Err(error) = self.replay(&session, &missing) {
                    self.fail_edits(&session, &error);
                }
            }
        }
    }

    fn take_trajectory(&mut self, session: &SessionId, tensors: Option<Tensors>) {
        let Some(mut active) = self.sources.remove(session) else {
            return;
        };
        if matches!(active.trajectory, TrajectoryState::Reading) {
            match tensors.map(|tensors| self.read_trajectory(&mut active, tensors)) {
                Some(Ok(trajectory)) => {
                    self.store().metrics().promotions.of(Tier::Disk).inc();
                    self.store().attach_trajectory(session, &trajectory);
                    active.trajectory = TrajectoryState::Ready(trajectory);
                }
                other => {
                    if let Some(Err(error)) = other {
                        tracing::warn!(%error, %session, "a trajectory's file does not fit its source");
                        self.store().lose_part(session, Part::Trajectory);
                    }
                    if self.store().is_known(session) {
                        self.store().begin(session, &active.source);
                    }
                    active.written.trajectory = false;
                    active.trajectory = TrajectoryState::Wanted;
                }
            }
        }
        let is_lost = matches!(active.trajectory, TrajectoryState::Wanted);
        self.sources.insert(session.clone(), active);
        if is_lost {
            self.mark_replayed(session);
        }
    }

    /// A trajectory as its file has it, where that fits the source.
    fn read_trajectory(&self, active: &mut ActiveSource, tensors: Tensors) -> Result<Arc<Trajectory>, EngineError> {
        let source = &active.source;
        let noise = self.tried_here(|| Ok(self.model.noise(source.seed(), source.height, source.width)?))?;
        let read = || Ok(codec::to_trajectory(&active.layout, &noise, source.steps, tensors)?);
        let (steps, image) = self.tried_here(read)?;
        let Some(reservation) = active.reserved.take() else {
            return Err(EngineError::Failed("no room was reserved for the source".to_owned()));
        };
        let trajectory = Trajectory::new(Arc::clone(&active.layout), noise, source.steps, reservation);
        steps.into_iter().for_each(|step| trajectory.push(step));
        trajectory.set_image(Arc::new(image));
        Ok(Arc::new(trajectory))
    }

    fn mark_replayed(&mut self, session: &SessionId) {
        for job in self.jobs.iter_mut().filter(|job| job.session == *session) {
            job.recording_use = replayed(job.recording_use);
        }
    }
}
