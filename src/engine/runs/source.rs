//! The runs that write what edits read: the run of a source, and the replay of a source's conditional row.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::diffusion::samplers::Sampler;
use crate::engine::control::StepRecorder;
use crate::engine::runs::sampler_state::{SamplerState, Sampling};
use crate::recordings::{AttentionLog, Coverage, GroupSet, SourceContexts, Trajectory, TrajectoryStep};

/// The run of a source.
#[derive(Debug)]
pub struct SourceRun {
    pub(crate) state: SamplerState,
    pub(crate) trajectory: Arc<Trajectory>,
    pub(crate) contexts: Arc<SourceContexts>,
    /// The log that attention is written to, and the groups and steps that are wanted.
    log: Option<(Arc<AttentionLog>, Coverage)>,
    pub(crate) recorder: StepRecorder,
}

/// The replay of a source: its conditional row, for the attention that is missing.
#[derive(Debug)]
pub struct ReplayRun {
    pub(crate) trajectory: Arc<Trajectory>,
    sampler: Arc<dyn Sampler>,
    pub(crate) log: Arc<AttentionLog>,
    pub(crate) missing: Coverage,
    pub(crate) recorder: StepRecorder,
}

impl SourceRun {
    /// A run that writes `trajectory` and, if there is a log, the attention of a coverage into it.
    pub fn new(
        sampling: &Sampling,
        trajectory: Arc<Trajectory>,
        contexts: Arc<SourceContexts>,
        log: Option<(Arc<AttentionLog>, Coverage)>,
    ) -> Self {
        let state = SamplerState::new(sampling, trajectory.start().clone());
        let recorder = StepRecorder::new(trajectory.layout());
        Self { state, trajectory, contexts, log, recorder }
    }

    pub(crate) fn needs(&self) -> GroupSet {
        self.log.as_ref().map_or(GroupSet::EMPTY, |(_, wanted)| wanted.at(self.state.step))
    }

    pub(crate) fn advance(&mut self, output: &Tensor) -> Result<()> {
        let step = self.state.step;
        let (attention, maps) = self.recorder.finish()?;
        self.state.advance(output)?;
        if let Some((log, _)) = &self.log {
            log.put(step, attention)?;
        }
        self.trajectory.push(TrajectoryStep { latents: self.state.latents.clone(), maps });
        Ok(())
    }
}

impl ReplayRun {
    /// A run that computes the attention of `missing` again and writes it into `log`.
    pub fn new(sampling: &Sampling, trajectory: Arc<Trajectory>, log: Arc<AttentionLog>, missing: Coverage) -> Self {
        let recorder = StepRecorder::new(trajectory.layout());
        Self { trajectory, sampler: Arc::clone(&sampling.sampler), log, missing, recorder }
    }

    /// What the UNet reads at a step: the source's latents before it, scaled, and the timestep.
    pub(crate) fn input(&self, step: usize) -> Result<(Tensor, f64)> {
        let Some(latents) = self.trajectory.before(step) else {
            candle_core::bail!("step {step} of the source cannot be replayed before it is recorded");
        };
        Ok((self.sampler.scale_input(step, &latents)?, self.sampler.timesteps()[step]))
    }

    /// Adds steps to those that are missing.
    pub fn want(&mut self, more: &Coverage) {
        self.missing = self.missing.union(more);
    }

    pub(crate) fn next_step(&self) -> Option<usize> {
        self.missing.first_step()
    }

    pub(crate) fn advance(&mut self) -> Result<()> {
        let Some(step) = self.next_step() else {
            return Ok(());
        };
        let needs = self.missing.at(step);
        self.log.put(step, self.recorder.finish()?.0)?;
        self.missing.remove(step, needs);
        Ok(())
    }
}
