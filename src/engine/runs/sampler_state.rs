//! Latents on their way through a schedule.

use candle_core::{Result, Tensor};

use crate::diffusion::ModelError;
use crate::diffusion::samplers::ddim::Ddim;

/// Latents on their way through a schedule.
#[derive(Debug)]
pub(crate) struct Denoising {
    /// `[1, channels, h, w]`.
    pub latents: Tensor,
    pub timesteps: Vec<usize>,
    guidance_scale: f64,
    pub step: usize,
    /// What the last step began with and what the model said to it, guided: enough for a preview.
    last: Option<(Tensor, Tensor)>,
}

impl Denoising {
    pub fn new(
        scheduler: &Ddim,
        noise: &Tensor,
        steps: usize,
        guidance_scale: f64,
    ) -> std::result::Result<Self, ModelError> {
        let timesteps = scheduler.timesteps(steps)?;
        Ok(Self { latents: noise.clone(), timesteps, guidance_scale, step: 0, last: None })
    }

    /// Guidance and a scheduler step over the UNet's output `[2, channels, h, w]`, unconditional first.
    pub fn advance(&mut self, scheduler: &Ddim, output: &Tensor) -> Result<()> {
        let (unconditional, conditional) = (output.narrow(0, 0, 1)?, output.narrow(0, 1, 1)?);
        // Classifier-free guidance (Ho and Salimans, arXiv 2207.12598).
        let guided = (&unconditional + ((conditional - &unconditional)? * self.guidance_scale)?)?;
        let (timestep, steps) = (self.timesteps[self.step], self.timesteps.len());
        let next = scheduler.step(&guided, timestep, steps, &self.latents)?;
        self.last = Some((std::mem::replace(&mut self.latents, next), guided));
        self.step += 1;
        Ok(())
    }

    /// The sample that the model predicted at the last step.
    pub fn predicted(&self, scheduler: &Ddim) -> Result<Option<Tensor>> {
        let Some((latents, guided)) = &self.last else {
            return Ok(None);
        };
        scheduler.predicted(guided, self.timesteps[self.step - 1], latents).map(Some)
    }
}
