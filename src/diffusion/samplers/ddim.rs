//! DDIM (Song et al., arXiv 2010.02502) without added noise, as diffusers' `DDIMScheduler` runs it with `eta` 0.
//!
//! Contract: a single-step, deterministic sampler on whole timesteps. It keeps nothing between steps and asks for no
//! noise; predicted samples are never clipped.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::diffusion::error::ModelError;
use crate::diffusion::samplers::schedule::{NoiseSchedule, PredictionType};
use crate::diffusion::samplers::{Sampler, StepNoise, Stepper};

/// DDIM for one number of steps.
#[derive(Debug)]
pub(super) struct Ddim {
    timesteps: Vec<f64>,
    steps: Arc<[Coefficients]>,
    prediction: PredictionType,
}

/// What one step needs of the schedule.
#[derive(Debug, Clone, Copy)]
struct Coefficients {
    /// Share of the signal before the step.
    signal: f64,
    /// Share of the noise before the step.
    noise: f64,
    /// Weight of the latents in the result.
    of_latents: f64,
    /// Weight of the model output in the result.
    of_output: f64,
}

impl Ddim {
    /// The sampler for runs of `steps`.
    ///
    /// # Errors
    /// [`ModelError::Schedule`] where the steps do not fit the schedule.
    pub(super) fn new(schedule: &NoiseSchedule, steps: usize) -> std::result::Result<Self, ModelError> {
        let timesteps = schedule.whole_timesteps(steps)?;
        Ok(Self {
            steps: timesteps.iter().map(|&timestep| Coefficients::new(schedule, timestep, steps)).collect(),
            timesteps: timesteps.into_iter().map(|timestep| timestep as f64).collect(),
            prediction: schedule.prediction(),
        })
    }
}

impl Coefficients {
    /// Equation 12 of the paper with sigma 0 (`DDIMScheduler.step`). The predicted sample and the direction to it are both
    /// linear in latents and output, so the step is too.
    fn new(schedule: &NoiseSchedule, timestep: usize, steps: usize) -> Self {
        let alpha = schedule.signal_squared(Some(timestep));
        let alpha_previous = schedule.signal_squared(timestep.checked_sub(schedule.train_timesteps() / steps));
        let (signal, noise) = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let (signal_previous, noise_previous) = (alpha_previous.sqrt(), (1.0 - alpha_previous).sqrt());
        let (of_latents, of_output) = match schedule.prediction() {
            // x0 = (x - noise e) / signal; direction = e
            PredictionType::Epsilon => (signal_previous / signal, noise_previous - signal_previous * noise / signal),
            // x0 = signal x - noise v; direction = signal v + noise x
            PredictionType::VPrediction => {
                (signal_previous * signal + noise_previous * noise, noise_previous * signal - signal_previous * noise)
            }
        };
        Self { signal, noise, of_latents, of_output }
    }
}

impl Sampler for Ddim {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn init_sigma(&self) -> f64 {
        1.0
    }

    fn scale_input(&self, _: usize, latents: &Tensor) -> Result<Tensor> {
        Ok(latents.clone())
    }

    fn start(&self) -> Box<dyn Stepper> {
        Box::new(DdimStepper(Arc::clone(&self.steps)))
    }

    fn predicted(&self, step: usize, output: &Tensor, latents: &Tensor) -> Result<Tensor> {
        let Coefficients { signal, noise, .. } = self.steps[step];
        self.prediction.clean_latents(output, latents, signal, noise)
    }
}

/// A run's steps; there is nothing to keep between them.
#[derive(Debug)]
struct DdimStepper(Arc<[Coefficients]>);

impl Stepper for DdimStepper {
    fn step(&mut self, step: usize, output: &Tensor, latents: &Tensor, _: &StepNoise) -> Result<Tensor> {
        let Coefficients { of_latents, of_output, .. } = self.0[step];
        (latents * of_latents)? + (output * of_output)?
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use serde_json::json;

    use super::*;
    use crate::diffusion::samplers::schedule::tests::schedule;

    #[test]
    fn a_perfect_prediction_leads_to_the_clean_sample() {
        for prediction in ["epsilon", "v_prediction"] {
            let schedule = schedule(json!({"prediction_type": prediction, "set_alpha_to_one": true}));
            let ddim = Ddim::new(&schedule, 8).unwrap();
            let (last, clean, noise) = (7, 0.7_f64, -1.3_f64);
            let Coefficients { signal, noise: share, .. } = ddim.steps[last];
            let x = signal * clean + share * noise;
            let output = if prediction == "epsilon" { noise } else { signal * noise - share * clean };
            let tensor = |value: f64| Tensor::new(&[value], &Device::Cpu).unwrap();
            let value = |tensor: Tensor| tensor.to_vec1::<f64>().unwrap()[0];
            let stepped = ddim.start().step(last, &tensor(output), &tensor(x), &StepNoise::new(0)).unwrap();
            assert!((value(stepped) - clean).abs() < 1e-9, "{prediction}");
            let predicted = ddim.predicted(last, &tensor(output), &tensor(x)).unwrap();
            assert!((value(predicted) - clean).abs() < 1e-9, "{prediction}");
        }
    }
}
