//! The sampling of a source or an edit: its latents, its step, and what its sampler keeps between steps.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::diffusion::samplers::{GuidanceMode, Sampler, StepNoise, Stepper};
use crate::diffusion::{ModelError, ModelInfo};
use crate::recordings::Source;

/// How a source is sampled; its edits and its replays are sampled the same way.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// The sampler, for the source's number of steps.
    pub sampler: Arc<dyn Sampler>,
    /// How the prompt steers the run.
    pub guidance: GuidanceMode,
    /// What a stochastic sampler adds.
    pub noise: StepNoise,
}

impl Sampling {
    /// How a source is sampled on a model.
    ///
    /// # Errors
    /// [`ModelError::Schedule`] where the model's sampler cannot make that many steps.
    pub fn of(model: &ModelInfo, source: &Source) -> std::result::Result<Self, ModelError> {
        Ok(Self {
            sampler: model.sampler(source.sampler, source.steps)?,
            guidance: guidance_of(source),
            noise: StepNoise::new(source.seed()),
        })
    }
}

/// How the prompt of a source, and of its edits, steers the run.
pub fn guidance_of(source: &Source) -> GuidanceMode {
    GuidanceMode::ClassifierFree { scale: source.guidance_scale }
}

/// The state of a run of a sampler.
#[derive(Debug)]
pub(crate) struct SamplerState {
    /// `[1, channels, h, w]`.
    pub latents: Tensor,
    /// Steps taken.
    pub step: usize,
    sampling: Sampling,
    stepper: Box<dyn Stepper>,
    /// The latents before the last step and its guided output, from which a preview is computed.
    last: Option<(Tensor, Tensor)>,
}

impl SamplerState {
    /// A run from `latents`, before its first step.
    pub fn new(sampling: &Sampling, latents: Tensor) -> Self {
        Self { latents, step: 0, sampling: sampling.clone(), stepper: sampling.sampler.start(), last: None }
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> usize {
        self.sampling.sampler.timesteps().len()
    }

    /// How the prompt steers the run.
    pub fn guidance(&self) -> GuidanceMode {
        self.sampling.guidance
    }

    /// What the UNet reads at the next step: the scaled latents and the timestep.
    pub fn input(&self) -> Result<(Tensor, f64)> {
        self.input_at(self.step, &self.latents)
    }

    /// What the UNet would read at a step whose latents are these.
    pub fn input_at(&self, step: usize, latents: &Tensor) -> Result<(Tensor, f64)> {
        let sampler = &self.sampling.sampler;
        Ok((sampler.scale_input(step, latents)?, sampler.timesteps()[step]))
    }

    /// Takes the step that the UNet's output `[rows, channels, h, w]` is for.
    pub fn advance(&mut self, output: &Tensor) -> Result<()> {
        let guided = self.sampling.guidance.guide(output)?;
        let next = self.stepper.step(self.step, &guided, &self.latents, &self.sampling.noise)?;
        self.last = Some((std::mem::replace(&mut self.latents, next), guided));
        self.step += 1;
        Ok(())
    }

    /// The clean latents that the model predicted at the last step; `None` before the first one.
    pub fn predicted(&self) -> Result<Option<Tensor>> {
        let Some((latents, guided)) = &self.last else {
            return Ok(None);
        };
        self.sampling.sampler.predicted(self.step - 1, guided, latents).map(Some)
    }
}
