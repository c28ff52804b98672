//! Samplers: how latents go from noise to an image.
//!
//! | file | what |
//! | --- | --- |
//! | [`schedule`] | the noise schedule that the model was trained with |
//! | [`ddim`] | the samplers themselves, each made from a schedule and a number of steps |
//! | [`guidance`] | the rows of a run and how their outputs are combined |
//! | [`step_noise`] | what stochastic samplers add |
//! | [`name`] | names in requests, answers and files |
//!
//! Contract: [`sampler`] is the only place where a name becomes a sampler. A [`Sampler`] is immutable and shared by all
//! runs of one schedule; what a run keeps between its steps is in the [`Stepper`] that it owns. A replay needs no
//! stepper: it reads recorded latents and asks for timesteps and scaled inputs alone. A new sampler is a file here, a
//! variant of [`SamplerName`] and an arm of [`sampler`].

mod ddim;
mod guidance;
mod name;
mod schedule;
mod step_noise;

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::diffusion::error::ModelError;
pub use crate::diffusion::samplers::guidance::GuidanceMode;
pub(crate) use crate::diffusion::samplers::guidance::RowPrompt;
pub use crate::diffusion::samplers::name::SamplerName;
pub(crate) use crate::diffusion::samplers::schedule::NoiseSchedule;
pub use crate::diffusion::samplers::step_noise::StepNoise;

/// One way through a noise schedule, in a fixed number of steps. Tensors are `[1, channels, h, w]`; steps count from 0,
/// the noisiest.
pub trait Sampler: Debug + Send + Sync {
    /// The timestep of each step, noisiest first. They need not be whole numbers.
    fn timesteps(&self) -> &[f64];

    /// Standard deviation of the latents that a run starts with.
    fn init_sigma(&self) -> f64;

    /// Latents -> what the UNet reads at a step.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn scale_input(&self, step: usize, latents: &Tensor) -> Result<Tensor>;

    /// A new run.
    fn start(&self) -> Box<dyn Stepper>;

    /// The clean latents that the model predicts at a step, from the guided output and the latents before the step.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn predicted(&self, step: usize, output: &Tensor, latents: &Tensor) -> Result<Tensor>;

    /// Unit noise -> the latents that a run starts with.
    ///
    /// # Errors
    /// A failed tensor operation.
    #[allow(clippy::float_cmp)]
    fn initial_latents(&self, noise: Tensor) -> Result<Tensor> {
        // A product with 1 would make 0 of -0.
        if self.init_sigma() == 1.0 { Ok(noise) } else { noise * self.init_sigma() }
    }
}

/// One run of a sampler: it takes the steps in order, and keeps what later steps read of earlier ones.
pub trait Stepper: Debug + Send {
    /// Takes a step: the guided output at the latents, and the latents, to the latents after the step. `noise` is what
    /// stochastic samplers add.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn step(&mut self, step: usize, output: &Tensor, latents: &Tensor, noise: &StepNoise) -> Result<Tensor>;
}

/// The sampler of a name for runs of `steps` on a schedule.
///
/// # Errors
/// [`ModelError::Schedule`] where the sampler cannot make that many steps on the schedule.
pub fn sampler(
    schedule: &NoiseSchedule,
    name: SamplerName,
    steps: usize,
) -> std::result::Result<Arc<dyn Sampler>, ModelError> {
    match name {
        SamplerName::Ddim => Ok(Arc::new(ddim::Ddim::new(schedule, steps)?)),
    }
}
