//! The timestep embedding: sinusoids of the timestep, then two linear layers (diffusers' `Timesteps` and
//! `TimestepEmbedding`).

use candle_core::{Device, Result, Tensor};

use super::config::UNetConfig;
use crate::diffusion::error::ModelError;
use crate::diffusion::nn::{Activation, Linear};
use crate::diffusion::weights::Scope;

const MAX_PERIOD: f32 = 10_000.0;

/// Sinusoids and the network on top of them.
#[derive(Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
    frequencies: Vec<f32>,
    cosine_first: bool,
}

impl TimestepEmbedding {
    /// Loads the embedding; its width is four times the channels of the finest level.
    pub fn load(scope: &Scope<'_>, config: &UNetConfig) -> std::result::Result<Self, ModelError> {
        let channels = config.levels[0].channels;
        let half = channels / 2;
        // f32 throughout, as PyTorch computes it.
        #[allow(clippy::cast_possible_truncation)]
        let span = (half as f64 - config.freq_shift) as f32;
        let frequencies = (0..half).map(|i| (-MAX_PERIOD.ln() * i as f32 / span).exp()).collect();
        Ok(Self {
            linear_1: Linear::load(&scope.at("linear_1"), channels, channels * 4)?,
            linear_2: Linear::load(&scope.at("linear_2"), channels * 4, channels * 4)?,
            frequencies,
            cosine_first: config.flip_sin_to_cos,
        })
    }

    /// One timestep a row -> `[rows, 1, width]`.
    pub fn forward(&self, timesteps: &[usize], device: &Device) -> Result<Tensor> {
        let mut sinusoids = Vec::with_capacity(timesteps.len() * self.frequencies.len() * 2);
        for &timestep in timesteps {
            let angles = || self.frequencies.iter().map(|frequency| timestep as f32 * frequency);
            if self.cosine_first {
                sinusoids.extend(angles().map(f32::cos).chain(angles().map(f32::sin)));
            } else {
                sinusoids.extend(angles().map(f32::sin).chain(angles().map(f32::cos)));
            }
        }
        let shape = (timesteps.len(), 1, self.frequencies.len() * 2);
        let sinusoids = Tensor::from_vec(sinusoids, shape, device)?;
        let h = Activation::Silu.forward(&self.linear_1.forward(&sinusoids)?)?;
        self.linear_2.forward(&h)
    }
}
