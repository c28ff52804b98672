//! What the engine needs of a model, as a trait. [`Model`] is the implementation; tests have fast and faulty ones.

use std::sync::Arc;

use candle_core::{Device, Error, Result, Tensor};

use crate::diffusion::unet::{AttentionControl, AttentionKind, AttentionSite, NoControl};
use crate::diffusion::{Conditioning, ConditioningKey, Model, ModelError, ModelInfo, ModelPart, NotFinite};
use crate::recordings::ValueBytes;

/// A model on its device, as the worker's thread uses it.
pub trait Backend {
    /// Its properties, which other threads may read too.
    fn info(&self) -> &Arc<ModelInfo>;

    /// The device of its tensors.
    fn device(&self) -> &Device;

    /// The attention layers at an image size in pixels.
    fn sites(&self, height: usize, width: usize) -> Vec<AttentionSite>;

    /// Bytes of what is computed at these layers.
    fn value_bytes(&self, sites: &[AttentionSite]) -> ValueBytes;

    /// What the UNet reads of each prompt, encoded in one pass.
    fn condition(&self, keys: &[ConditioningKey]) -> std::result::Result<Vec<Conditioning>, ModelError>;

    /// The noise of a seed, `[1, channels, h, w]` for sides in pixels.
    fn noise(&self, seed: u64, height: usize, width: usize) -> Result<Tensor>;

    /// The UNet: `latents` `[rows, channels, h, w]`, a timestep and a conditioning for each row -> the same shape.
    fn forward(
        &self,
        latents: &Tensor,
        timesteps: &[f64],
        conditionings: &[&Conditioning],
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor>;

    /// `latents` `[images, channels, h, w]` -> each image's bytes, row by row, RGB; an error if a pixel is not finite.
    fn decode(&self, latents: &Tensor) -> Result<Vec<Vec<u8>>>;

    /// The smallest pass, from a prompt to an image's bytes, at one step: checks that everything computes, and computes
    /// finite numbers.
    fn probe(&self) -> std::result::Result<(), ModelError> {
        let side = self.info().min_side;
        let conditionings = self.condition(&[self.info().conditioning_key("")?])?;
        let conditionings: Vec<_> = conditionings.iter().collect();
        let output = self.forward(&self.noise(0, side, side)?, &[0.0], &conditionings, &mut NoControl)?;
        NotFinite::check(ModelPart::UNet, &output)?;
        self.decode(&output)?;
        Ok(())
    }

    /// Whether an error means that the device has failed, so that no later work can succeed.
    fn is_device_failure(&self, error: &Error) -> bool {
        is_of_device(error)
    }
}

/// Full memory is no failure of the device: a smaller job may succeed.
const OUT_OF_MEMORY: &str = "OUT_OF_MEMORY";

fn is_of_device(error: &Error) -> bool {
    match error {
        Error::Cuda(error) => !error.to_string().contains(OUT_OF_MEMORY),
        Error::Metal(_) => true,
        Error::Context { inner, .. } | Error::WithPath { inner, .. } | Error::WithBacktrace { inner, .. } => {
            is_of_device(inner)
        }
        _ => false,
    }
}

// Where a method of the trait has the name of one of the model's own, `Model::name` is the model's own: inherent methods
// come before those of traits.
impl Backend for Model {
    fn info(&self) -> &Arc<ModelInfo> {
        &self.info
    }

    fn device(&self) -> &Device {
        Model::device(self)
    }

    fn sites(&self, height: usize, width: usize) -> Vec<AttentionSite> {
        Model::sites(self, height, width)
    }

    fn value_bytes(&self, sites: &[AttentionSite]) -> ValueBytes {
        let cross = sites.iter().filter(|site| site.kind == AttentionKind::CrossAttention);
        let context = cross.map(|site| self.key_value_bytes(site)).sum();
        ValueBytes { number: self.compute().activations().size_in_bytes() as u64, context }
    }

    fn condition(&self, keys: &[ConditioningKey]) -> std::result::Result<Vec<Conditioning>, ModelError> {
        Model::condition(self, keys)
    }

    fn noise(&self, seed: u64, height: usize, width: usize) -> Result<Tensor> {
        Model::noise(self, seed, height, width)
    }

    fn forward(
        &self,
        latents: &Tensor,
        timesteps: &[f64],
        conditionings: &[&Conditioning],
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        self.unet.forward(latents, timesteps, conditionings, control)
    }

    fn decode(&self, latents: &Tensor) -> Result<Vec<Vec<u8>>> {
        Model::decode(self, latents)
    }
}
