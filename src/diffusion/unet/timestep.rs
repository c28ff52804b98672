//! The timestep embedding: sinusoids of the timestep, then two linear layers (diffusers' `Timesteps` and
//! `TimestepEmbedding`), and what all residual blocks make of them. Each timestep is computed once.

use std::collections::HashMap;
use std::sync::Mutex;

use candle_core::{Result, Tensor};

use crate::diffusion::error::ModelError;
use crate::diffusion::nn::{Activation, Compute, Linear};
use crate::diffusion::unet::config::UNetConfig;
use crate::diffusion::weights::Scope;
use crate::sync::lock;

const MAX_PERIOD: f32 = 10_000.0;

/// Timesteps that are remembered; more than any schedule of one image has are rarely met.
const REMEMBERED: usize = 256;

/// Sinusoids and the network on top of them.
#[derive(Debug)]
pub struct TimestepEmbedding {
    compute: Compute,
    /// The residual blocks' projections, one behind the other.
    projections: Linear,
    /// By the bits of the timestep, `[1, channels of all blocks]`.
    known: Mutex<HashMap<u64, Tensor>>,
    /// Before the residual blocks' projections.
    activation: Activation,
    linear_1: Linear,
    linear_2: Linear,
    frequencies: Vec<f32>,
    cosine_first: bool,
}

impl TimestepEmbedding {
    /// Loads the embedding; its width is four times the channels of the finest level.
    pub fn load(scope: &Scope<'_>, config: &UNetConfig, projections: Linear) -> std::result::Result<Self, ModelError> {
        let channels = config.levels[0].channels;
        let half = channels / 2;
        // f32 throughout, as PyTorch computes it.
        #[allow(clippy::cast_possible_truncation)]
        let span = (half as f64 - config.freq_shift) as f32;
        let frequencies = (0..half).map(|i| (-MAX_PERIOD.ln() * i as f32 / span).exp()).collect();
        Ok(Self {
            compute: scope.compute().clone(),
            projections,
            activation: config.activation,
            known: Mutex::default(),
            linear_1: Linear::load(&scope.at("linear_1"), channels, channels * 4)?,
            linear_2: Linear::load(&scope.at("linear_2"), channels * 4, channels * 4)?,
            frequencies,
            cosine_first: config.flip_sin_to_cos,
        })
    }

    /// One timestep a row -> `[rows, channels of all residual blocks]`.
    pub fn forward(&self, timesteps: &[f64]) -> Result<Tensor> {
        let mut known = lock(&self.known);
        let mut rows = Vec::with_capacity(timesteps.len());
        for &timestep in timesteps {
            let row = match known.get(&timestep.to_bits()) {
                Some(row) => row.clone(),
                None => {
                    if known.len() >= REMEMBERED {
                        known.clear();
                    }
                    let row = self.compute(timestep)?;
                    known.insert(timestep.to_bits(), row.clone());
                    row
                }
            };
            rows.push(row);
        }
        Tensor::cat(&rows, 0)
    }

    fn compute(&self, timestep: f64) -> Result<Tensor> {
        // PyTorch multiplies in f32; every whole timestep is exact in it.
        #[allow(clippy::cast_possible_truncation)]
        let timestep = timestep as f32;
        let angles = || self.frequencies.iter().map(|frequency| timestep * frequency);
        let (sines, cosines) = (angles().map(f32::sin), angles().map(f32::cos));
        let sinusoids: Vec<f32> =
            if self.cosine_first { cosines.chain(sines).collect() } else { sines.chain(cosines).collect() };
        // In f32 up to here: bf16 would make 980 of 981.
        let sinusoids = Tensor::from_vec(sinusoids, (1, self.frequencies.len() * 2), &self.compute.device)?;
        let h = self.linear_1.forward(&sinusoids.to_dtype(self.compute.activations())?)?;
        let h = self.linear_2.forward(&Activation::Silu.forward(&h)?)?;
        self.projections.forward(&self.activation.forward(&h)?)
    }
}
