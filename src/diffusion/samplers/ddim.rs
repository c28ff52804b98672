//! DDIM (Song et al., arXiv 2010.02502) without added noise, as diffusers' `DDIMScheduler` runs it with `eta` 0.
//!
//! The beta schedule, the kind of prediction and the spacing come from the model's `scheduler_config.json`. Keys
//! that the file leaves out take the values of the published Prompt-to-Prompt code: leading spacing,
//! `steps_offset` 1, `set_alpha_to_one` false; predicted samples are never clipped.

use candle_core::{Result, Tensor};
use serde::Deserialize;

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::files::ModelFiles;

/// Models are trained on 1000; a table of this many is no burden.
const MAX_TRAIN_TIMESTEPS: usize = 100_000;
const FILE: &str = "scheduler/scheduler_config.json";

/// What the UNet's output stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PredictionType {
    /// The noise.
    Epsilon,
    /// The velocity of Salimans and Ho (arXiv 2202.00512).
    VPrediction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BetaSchedule {
    Linear,
    ScaledLinear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TimestepSpacing {
    Leading,
    Trailing,
    Linspace,
}

/// The keys of `scheduler_config.json` that DDIM reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct SchedulerConfig {
    num_train_timesteps: usize,
    beta_start: f64,
    beta_end: f64,
    beta_schedule: BetaSchedule,
    prediction_type: PredictionType,
    timestep_spacing: TimestepSpacing,
    steps_offset: usize,
    set_alpha_to_one: bool,
    rescale_betas_zero_snr: bool,
    trained_betas: Option<serde_json::Value>,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.000_85,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: TimestepSpacing::Leading,
            steps_offset: 1,
            set_alpha_to_one: false,
            rescale_betas_zero_snr: false,
            trained_betas: None,
        }
    }
}

/// A model's noise schedule, from which any number of steps can be laid out.
#[derive(Debug, Clone)]
pub struct Ddim {
    config: SchedulerConfig,
    /// Cumulated alphas of every training timestep.
    alphas_cumprod: Vec<f32>,
}

impl Ddim {
    /// Reads the schedule of `model`.
    pub fn load(model: &ModelFiles) -> std::result::Result<Self, ModelError> {
        Self::new(model.json(FILE)?)
    }

    fn new(config: SchedulerConfig) -> std::result::Result<Self, ModelError> {
        if !(2..=MAX_TRAIN_TIMESTEPS).contains(&config.num_train_timesteps) {
            let detail = format!("`num_train_timesteps` must be 2 to {MAX_TRAIN_TIMESTEPS}");
            return Err(ModelError::config(FILE, detail));
        }
        if config.trained_betas.is_some() {
            return Err(ModelError::config(FILE, "`trained_betas` is not supported, null is wanted"));
        }
        let mut betas = betas(&config);
        if config.rescale_betas_zero_snr {
            betas = rescale_zero_terminal_snr(&betas);
        }
        let mut product = 1.0_f64;
        // PyTorch accumulates in double precision and keeps every partial product as f32.
        #[allow(clippy::cast_possible_truncation)]
        let alphas_cumprod = betas
            .iter()
            .map(|beta| {
                product *= f64::from(1.0 - beta);
                product as f32
            })
            .collect();
        Ok(Self { config, alphas_cumprod })
    }

    /// The largest number of steps that [`Self::timesteps`] can lay out.
    pub fn max_steps(&self) -> usize {
        self.config.num_train_timesteps - 1
    }

    /// Cumulated alphas (the squared share of the signal) of the training timesteps.
    pub fn alphas_cumprod(&self) -> &[f32] {
        &self.alphas_cumprod
    }

    /// The timesteps of a run of `steps`, from the noisiest on (`DDIMScheduler.set_timesteps`).
    pub fn timesteps(&self, steps: usize) -> std::result::Result<Vec<usize>, ModelError> {
        let train = self.config.num_train_timesteps;
        if steps == 0 || steps > self.max_steps() {
            return Err(ModelError::Schedule(format!(
                "{steps} steps cannot be laid out over {train} training timesteps, 1 to {} can",
                self.max_steps()
            )));
        }
        let timesteps: Vec<usize> = match self.config.timestep_spacing {
            TimestepSpacing::Leading => {
                let ratio = train / steps;
                (0..steps).rev().map(|i| i * ratio + self.config.steps_offset).collect()
            }
            TimestepSpacing::Trailing => {
                let ratio = train as f64 / steps as f64;
                (0..steps).map(|i| round(train as f64 - i as f64 * ratio).saturating_sub(1)).collect()
            }
            TimestepSpacing::Linspace => {
                let last = (train - 1) as f64;
                let gap = last / (steps.max(2) - 1) as f64;
                (0..steps).rev().map(|i| round(i as f64 * gap)).collect()
            }
        };
        match timesteps.iter().find(|&&t| t >= train) {
            Some(t) => Err(ModelError::Schedule(format!(
                "{steps} steps reach timestep {t}, the model was trained on 0 to {}",
                train - 1
            ))),
            None => Ok(timesteps),
        }
    }

    /// One step back from `timestep`, in a run of `steps` (`DDIMScheduler.step`, equation 12 of the paper with
    /// sigma 0): latents and the guided model output to the latents of the step before, all of one shape.
    ///
    /// The predicted sample and the direction to it are both linear in the two tensors, so the step is too.
    pub fn step(&self, output: &Tensor, timestep: usize, steps: usize, latents: &Tensor) -> Result<Tensor> {
        let (of_latents, of_output) = self.coefficients(timestep, steps);
        (latents * of_latents)? + (output * of_output)?
    }

    /// The sample that the model predicts at `timestep` (`pred_original_sample` of the same function): latents and the
    /// guided model output to latents without noise.
    pub fn predicted(&self, output: &Tensor, timestep: usize, latents: &Tensor) -> Result<Tensor> {
        let alpha = f64::from(self.alphas_cumprod[timestep]);
        let (signal, noise) = (alpha.sqrt(), (1.0 - alpha).sqrt());
        match self.config.prediction_type {
            PredictionType::Epsilon => (latents - (output * noise)?)? / signal,
            PredictionType::VPrediction => (latents * signal)? - (output * noise)?,
        }
    }

    fn coefficients(&self, timestep: usize, steps: usize) -> (f64, f64) {
        let alpha = f64::from(self.alphas_cumprod[timestep]);
        let previous = timestep.checked_sub(self.config.num_train_timesteps / steps);
        let alpha_previous = match previous {
            Some(t) => f64::from(self.alphas_cumprod[t]),
            None if self.config.set_alpha_to_one => 1.0,
            None => f64::from(self.alphas_cumprod[0]),
        };
        let (signal, noise) = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let (signal_previous, noise_previous) = (alpha_previous.sqrt(), (1.0 - alpha_previous).sqrt());
        match self.config.prediction_type {
            // x0 = (x - noise e) / signal; direction = e
            PredictionType::Epsilon => (signal_previous / signal, noise_previous - signal_previous * noise / signal),
            // x0 = signal x - noise v; direction = signal v + noise x
            PredictionType::VPrediction => {
                (signal_previous * signal + noise_previous * noise, noise_previous * signal - signal_previous * noise)
            }
        }
    }
}

/// The betas of all training timesteps; `scaled_linear` is linear in their square roots.
#[allow(clippy::cast_possible_truncation)]
fn betas(config: &SchedulerConfig) -> Vec<f32> {
    let count = config.num_train_timesteps;
    match config.beta_schedule {
        BetaSchedule::Linear => linspace(config.beta_start as f32, config.beta_end as f32, count),
        BetaSchedule::ScaledLinear => {
            let roots = linspace(config.beta_start.sqrt() as f32, config.beta_end.sqrt() as f32, count);
            roots.into_iter().map(|root| root * root).collect()
        }
    }
}

/// `torch.linspace`: the upper half is counted from the end.
fn linspace(start: f32, end: f32, count: usize) -> Vec<f32> {
    let step = (end - start) / (count - 1) as f32;
    let value = |i: usize| {
        if i < count / 2 { start + step * i as f32 } else { end - step * (count - 1 - i) as f32 }
    };
    (0..count).map(value).collect()
}

/// Algorithm 1 of "Common Diffusion Noise Schedules and Sample Steps are Flawed" (arXiv 2305.08891).
fn rescale_zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let mut product = 1.0_f32;
    let roots: Vec<f32> = betas
        .iter()
        .map(|beta| {
            product *= 1.0 - beta;
            product.sqrt()
        })
        .collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let squares: Vec<f32> = roots.iter().map(|root| ((root - last) * first / (first - last)).powi(2)).collect();
    std::iter::once(1.0 - squares[0]).chain(squares.windows(2).map(|pair| 1.0 - pair[1] / pair[0])).collect()
}

/// NumPy's rounding: halves go to the even neighbour.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn round(value: f64) -> usize {
    value.round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ddim(edit: impl FnOnce(&mut SchedulerConfig)) -> Ddim {
        let mut config = SchedulerConfig::default();
        edit(&mut config);
        Ddim::new(config).unwrap()
    }

    #[test]
    fn leading_spacing_starts_at_the_offset() {
        assert_eq!(ddim(|_| ()).timesteps(8).unwrap(), [876, 751, 626, 501, 376, 251, 126, 1]);
        assert_eq!(ddim(|_| ()).timesteps(50).unwrap()[..2], [981, 961]);
    }

    #[test]
    fn trailing_and_linspace_spacings_reach_the_last_timestep() {
        let trailing = ddim(|c| c.timestep_spacing = TimestepSpacing::Trailing);
        assert_eq!(trailing.timesteps(4).unwrap(), [999, 749, 499, 249]);
        let linspace = ddim(|c| c.timestep_spacing = TimestepSpacing::Linspace);
        assert_eq!(linspace.timesteps(4).unwrap(), [999, 666, 333, 0]);
    }

    #[test]
    fn steps_that_the_schedule_cannot_hold_are_refused() {
        assert!(ddim(|_| ()).timesteps(0).is_err());
        assert!(ddim(|_| ()).timesteps(999).is_ok());
        assert!(ddim(|_| ()).timesteps(1000).is_err());
    }

    #[test]
    fn a_perfect_prediction_leads_to_the_clean_sample() {
        for prediction in [PredictionType::Epsilon, PredictionType::VPrediction] {
            let ddim = ddim(|c| {
                c.prediction_type = prediction;
                c.set_alpha_to_one = true;
            });
            let (clean, noise) = (0.7_f64, -1.3_f64);
            let alpha = f64::from(ddim.alphas_cumprod()[1]);
            let (s, n) = (alpha.sqrt(), (1.0 - alpha).sqrt());
            let x = s * clean + n * noise;
            let output = match prediction {
                PredictionType::Epsilon => noise,
                PredictionType::VPrediction => s * noise - n * clean,
            };
            let (of_latents, of_output) = ddim.coefficients(1, 8);
            assert!((of_latents * x + of_output * output - clean).abs() < 1e-9);
        }
    }

    #[test]
    fn zero_terminal_snr_ends_in_pure_noise() {
        let ddim = ddim(|c| c.rescale_betas_zero_snr = true);
        assert!(ddim.alphas_cumprod()[999].abs() < 1e-6);
    }
}
