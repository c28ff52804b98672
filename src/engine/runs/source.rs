//! A source's run, and a source's conditional row run again: what writes what edits read.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::diffusion::ModelError;
use crate::diffusion::samplers::ddim::Ddim;
use crate::engine::backend::Backend;
use crate::engine::control::StepRecorder;
use crate::engine::runs::sampler_state::Denoising;
use crate::recordings::{AttentionLog, Coverage, SourceContexts, StepNeeds, Trajectory, TrajectoryStep};

/// A source being run for the first time.
#[derive(Debug)]
pub struct SourceRun {
    pub(crate) denoising: Denoising,
    pub(crate) trajectory: Arc<Trajectory>,
    pub(crate) contexts: Arc<SourceContexts>,
    /// Where attention goes, and of which steps it is wanted.
    log: Option<(Arc<AttentionLog>, Coverage)>,
    pub(crate) recorder: StepRecorder,
}

/// A source's conditional row being run again, for the attention of the steps that are missing.
#[derive(Debug)]
pub struct ReplayRun {
    pub(crate) trajectory: Arc<Trajectory>,
    pub(crate) timesteps: Vec<usize>,
    pub(crate) log: Arc<AttentionLog>,
    pub(crate) missing: Coverage,
    pub(crate) recorder: StepRecorder,
}

impl SourceRun {
    /// A run that writes `trajectory`, and of the steps of a coverage the attention into a log.
    pub fn new(
        model: &dyn Backend,
        guidance_scale: f64,
        trajectory: Arc<Trajectory>,
        contexts: Arc<SourceContexts>,
        log: Option<(Arc<AttentionLog>, Coverage)>,
    ) -> std::result::Result<Self, ModelError> {
        let steps = trajectory.total_steps();
        let denoising = Denoising::new(&model.info().scheduler, trajectory.noise(), steps, guidance_scale)?;
        let recorder = StepRecorder::new(trajectory.layout());
        Ok(Self { denoising, trajectory, contexts, log, recorder })
    }

    /// What this run writes.
    pub fn trajectory(&self) -> &Arc<Trajectory> {
        &self.trajectory
    }

    pub(crate) fn needs(&self) -> StepNeeds {
        self.log.as_ref().map_or_else(StepNeeds::default, |(_, wanted)| wanted.at(self.denoising.step))
    }

    pub(crate) fn advance(&mut self, scheduler: &Ddim, output: &Tensor) -> Result<()> {
        let step = self.denoising.step;
        let (attention, maps) = self.recorder.finish()?;
        self.denoising.advance(scheduler, output)?;
        if let Some((log, _)) = &self.log {
            log.put(step, attention)?;
        }
        self.trajectory.push(TrajectoryStep { latents: self.denoising.latents.clone(), maps });
        Ok(())
    }
}

impl ReplayRun {
    /// A run that computes the attention of the steps of `missing` again.
    pub fn new(
        model: &dyn Backend,
        trajectory: Arc<Trajectory>,
        log: Arc<AttentionLog>,
        missing: Coverage,
    ) -> std::result::Result<Self, ModelError> {
        let timesteps = model.info().scheduler.timesteps(trajectory.total_steps())?;
        let recorder = StepRecorder::new(trajectory.layout());
        Ok(Self { trajectory, timesteps, log, missing, recorder })
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
