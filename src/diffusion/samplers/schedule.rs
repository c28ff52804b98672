//! The noise schedule that a model was trained with, from its `scheduler_config.json`.
//!
//! Contract: the schedule says how much signal each training timestep has, what the UNet predicts and how timesteps are
//! spaced. It does not depend on samplers; each sampler is made from a schedule and a number of steps. Keys that the
//! file leaves out have the default of the class that it names (see `defaults`). Without a class they have the values of
//! the published Prompt-to-Prompt code: leading spacing, `set_alpha_to_one` false. As in diffusers'
//! `StableDiffusionPipeline`, `steps_offset` is 1 and samples are not clipped, whatever the file says.

use candle_core::{Result, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::files::ModelFiles;
use crate::diffusion::weights::{json, options};

/// Models are trained on 1000; this bounds the table that a damaged file can ask for.
const MAX_TRAIN_TIMESTEPS: usize = 100_000;
const FILE: &str = "scheduler/scheduler_config.json";

/// What the UNet's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PredictionType {
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

/// The keys of `scheduler_config.json` that are read.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct ScheduleConfig {
    num_train_timesteps: usize,
    beta_start: f64,
    beta_end: f64,
    beta_schedule: BetaSchedule,
    prediction_type: PredictionType,
    timestep_spacing: TimestepSpacing,
    set_alpha_to_one: bool,
    rescale_betas_zero_snr: bool,
}

/// The first timestep of leading spacing: `StableDiffusionPipeline` of diffusers sets it, whatever the file says.
const STEPS_OFFSET: usize = 1;

/// What would change the image and is not supported.
const UNSUPPORTED_UNLESS: &options::Required = &[("trained_betas", "null"), ("thresholding", "false")];

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.000_85,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: TimestepSpacing::Leading,
            set_alpha_to_one: false,
            rescale_betas_zero_snr: false,
        }
    }
}

/// A model's noise schedule.
#[derive(Debug, Clone)]
pub struct NoiseSchedule {
    config: ScheduleConfig,
    /// Cumulative products of the alphas, one a training timestep.
    alphas_cumprod: Vec<f32>,
}

impl NoiseSchedule {
    /// Reads the schedule of `model`.
    ///
    /// # Errors
    /// [`ModelError::Config`], naming the key.
    pub(crate) fn load(model: &ModelFiles) -> std::result::Result<Self, ModelError> {
        let config: Map<String, Value> = model.json(FILE)?;
        let offset = config.get("steps_offset").filter(|offset| offset.as_u64() != Some(STEPS_OFFSET as u64));
        if let Some(offset) = offset {
            tracing::warn!(file = FILE, %offset, "steps_offset is taken as 1, as StableDiffusionPipeline of diffusers does");
        }
        Self::from_file(config)
    }

    fn from_file(mut config: Map<String, Value>) -> std::result::Result<Self, ModelError> {
        options::check(FILE, &config, UNSUPPORTED_UNLESS)?;
        let class = config.get("_class_name").and_then(Value::as_str).unwrap_or_default();
        if class.starts_with("FlowMatch") && !config.contains_key("beta_start") {
            let detail = format!("unsupported `_class_name` {class:?}, a model trained for flow matching");
            return Err(ModelError::config(FILE, detail));
        }
        for (key, value) in defaults(class) {
            config.entry(*key).or_insert_with(|| value.parse().unwrap_or_default());
        }
        Self::new(json::typed(FILE, Value::Object(config))?)
    }

    fn new(config: ScheduleConfig) -> std::result::Result<Self, ModelError> {
        if !(2..=MAX_TRAIN_TIMESTEPS).contains(&config.num_train_timesteps) {
            let detail = format!(
                "expected `num_train_timesteps` from 2 to {MAX_TRAIN_TIMESTEPS}, got {}",
                config.num_train_timesteps
            );
            return Err(ModelError::config(FILE, detail));
        }
        // Pure noise has no signal to divide by. Leading spacing stops before it.
        if config.rescale_betas_zero_snr
            && config.prediction_type == PredictionType::Epsilon
            && config.timestep_spacing != TimestepSpacing::Leading
        {
            let detail = "unsupported `rescale_betas_zero_snr` with `prediction_type` \"epsilon\"; expected \
                          \"v_prediction\", or `timestep_spacing` \"leading\"";
            return Err(ModelError::config(FILE, detail));
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

    /// Cumulative products of the alphas (the squared share of the signal), one a training timestep.
    pub fn alphas_cumprod(&self) -> &[f32] {
        &self.alphas_cumprod
    }

    /// The number of training timesteps.
    pub(super) fn train_timesteps(&self) -> usize {
        self.config.num_train_timesteps
    }

    /// What the UNet's output is.
    pub(super) fn prediction(&self) -> PredictionType {
        self.config.prediction_type
    }

    /// The squared share of the signal at a training timestep; `None` is the step after the last one, the clean image.
    pub(super) fn signal_squared(&self, timestep: Option<usize>) -> f64 {
        match timestep {
            Some(timestep) => f64::from(self.alphas_cumprod[timestep]),
            None if self.config.set_alpha_to_one => 1.0,
            None => f64::from(self.alphas_cumprod[0]),
        }
    }

    /// The training timesteps of a run of `steps`, noisiest first, as diffusers' samplers on whole timesteps space them
    /// (`set_timesteps`).
    ///
    /// # Errors
    /// [`ModelError::Schedule`] where the steps do not fit.
    pub(super) fn whole_timesteps(&self, steps: usize) -> std::result::Result<Vec<usize>, ModelError> {
        let train = self.config.num_train_timesteps;
        if steps == 0 || steps >= train {
            return Err(ModelError::Schedule(format!(
                "{steps} steps do not fit {train} training timesteps; expected 1 to {}",
                train - 1
            )));
        }
        let timesteps: Vec<usize> = match self.config.timestep_spacing {
            TimestepSpacing::Leading => {
                let ratio = train / steps;
                (0..steps).rev().map(|i| i * ratio + STEPS_OFFSET).collect()
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
                "{steps} steps reach timestep {t}; the model was trained on 0 to {}",
                train - 1
            ))),
            None => Ok(timesteps),
        }
    }
}

impl PredictionType {
    /// The clean latents that the model predicts (`pred_original_sample` in diffusers) from the latents and the guided
    /// output at a timestep where signal and noise have these shares.
    pub(super) fn clean_latents(self, output: &Tensor, latents: &Tensor, signal: f64, noise: f64) -> Result<Tensor> {
        match self {
            Self::Epsilon => (latents - (output * noise)?)? / signal,
            Self::VPrediction => (latents * signal)? - (output * noise)?,
        }
    }
}

/// What keys mean that a file of this class leaves out, as JSON: the parameters of `__init__` in diffusers. A noise
/// schedule is the model's, and that of any class; what follows the last step is the sampler's, and that of DDIM.
fn defaults(class: &str) -> &'static [(&'static str, &'static str)] {
    match class {
        "" | "LCMScheduler" | "TCDScheduler" => &[],
        "DDIMScheduler" => &[
            ("beta_start", "0.0001"),
            ("beta_end", "0.02"),
            ("beta_schedule", "\"linear\""),
            ("set_alpha_to_one", "true"),
        ],
        _ => &[("beta_start", "0.0001"), ("beta_end", "0.02"), ("beta_schedule", "\"linear\"")],
    }
}

/// The betas of all training timesteps; `scaled_linear` is linear in their square roots.
#[allow(clippy::cast_possible_truncation)]
fn betas(config: &ScheduleConfig) -> Vec<f32> {
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
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The schedule of a `scheduler_config.json`.
    pub(crate) fn schedule(config: Value) -> NoiseSchedule {
        read(&config).unwrap()
    }

    fn read(config: &Value) -> std::result::Result<NoiseSchedule, String> {
        NoiseSchedule::from_file(config.as_object().unwrap().clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn leading_spacing_starts_at_the_offset() {
        let leading = schedule(json!({}));
        assert_eq!(leading.whole_timesteps(8).unwrap(), [876, 751, 626, 501, 376, 251, 126, 1]);
        assert_eq!(leading.whole_timesteps(50).unwrap()[..2], [981, 961]);
    }

    #[test]
    fn trailing_and_linspace_spacings_reach_the_last_timestep() {
        let trailing = schedule(json!({"timestep_spacing": "trailing"}));
        assert_eq!(trailing.whole_timesteps(4).unwrap(), [999, 749, 499, 249]);
        let linspace = schedule(json!({"timestep_spacing": "linspace"}));
        assert_eq!(linspace.whole_timesteps(4).unwrap(), [999, 666, 333, 0]);
    }

    #[test]
    fn steps_that_do_not_fit_are_refused() {
        let schedule = schedule(json!({}));
        assert!(schedule.whole_timesteps(0).is_err());
        assert!(schedule.whole_timesteps(999).is_ok());
        let error = schedule.whole_timesteps(1000).unwrap_err().to_string();
        assert_eq!(error, "1000 steps do not fit 1000 training timesteps; expected 1 to 999");
    }

    #[test]
    fn zero_terminal_snr_ends_in_pure_noise() {
        let schedule = schedule(json!({"rescale_betas_zero_snr": true}));
        assert!(schedule.alphas_cumprod()[999].abs() < 1e-6);
    }

    /// `scheduler.set_timesteps(7)` of diffusers 0.42.1 once a `StableDiffusionPipeline` was made with a
    /// `DDIMScheduler` of such a configuration.
    #[test]
    fn the_offset_of_the_file_counts_as_little_as_in_the_pipeline_of_diffusers() {
        let leading = [853, 711, 569, 427, 285, 143, 1];
        for (given, wanted) in [
            (json!({}), leading),
            (json!({"steps_offset": 0}), leading),
            (json!({"steps_offset": 3}), leading),
            (json!({"steps_offset": -1}), leading),
            (json!({"clip_sample": true, "steps_offset": 1}), leading),
            (json!({"_class_name": "DDIMScheduler"}), leading),
            (json!({"steps_offset": 0, "timestep_spacing": "trailing"}), [999, 856, 713, 570, 428, 285, 142]),
            (json!({"steps_offset": 5, "timestep_spacing": "linspace"}), [999, 832, 666, 500, 333, 166, 0]),
        ] {
            assert_eq!(schedule(given.clone()).whole_timesteps(7).unwrap(), wanted, "{given}");
        }
    }

    /// The numbers are those of `DDIMScheduler()` in diffusers 0.42.1.
    #[test]
    fn what_a_file_leaves_out_is_the_default_of_its_class() {
        let ddim = schedule(json!({"_class_name": "DDIMScheduler"}));
        for (timestep, wanted) in [(0, 0.999_9), (499, 0.078_587_23), (999, 4.035_830_4e-5)] {
            let found = ddim.alphas_cumprod()[timestep];
            assert!((found - wanted).abs() < 1e-6 * wanted.max(0.01), "{timestep}: {found}");
        }
        assert!((ddim.signal_squared(None) - 1.0).abs() < f64::EPSILON);
        let given = json!({"_class_name": "DDIMScheduler", "set_alpha_to_one": false, "beta_end": 0.012});
        let given = schedule(given);
        assert!(given.signal_squared(None) < 1.0 && given.alphas_cumprod()[999] > 1e-4);
    }

    #[test]
    fn options_that_would_change_the_image_are_refused_by_name() {
        for (given, key) in [
            (json!({"thresholding": true}), "`thresholding`"),
            (json!({"trained_betas": [0.1]}), "`trained_betas`"),
            (json!({"prediction_type": "sample"}), "`prediction_type`"),
            (json!({"beta_schedule": "squaredcos_cap_v2"}), "`beta_schedule`"),
            (json!({"timestep_spacing": "karras"}), "`timestep_spacing`"),
            (json!({"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"}), "`rescale_betas_zero_snr`"),
            (json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 1.0}), "`_class_name`"),
        ] {
            assert!(read(&given).unwrap_err().contains(key), "{given}");
        }
        schedule(json!({"thresholding": false, "dynamic_thresholding_ratio": 0.9, "lambda_min_clipped": "-Infinity"}));
    }
}
