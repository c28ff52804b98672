//! What the engine asks of a model: the seam at which tests put a quick or a faulty one.

use std::sync::Arc;

use candle_core::{Device, Error, Result, Tensor};

use crate::diffusion::unet::{AttentionControl, AttentionKind, AttentionSite, NoControl, TextContext};
use crate::diffusion::{Model, ModelError, ModelInfo};
use crate::recordings::ValueBytes;

/// A model on its device, as the worker's thread uses it.
pub trait Backend {
    /// What may be known elsewhere.
    fn info(&self) -> &Arc<ModelInfo>;

    /// Where tensors live.
    fn device(&self) -> &Device;

    /// The attention layers at an image size in pixels.
    fn sites(&self, height: usize, width: usize) -> Vec<AttentionSite>;

    /// Bytes of what is computed at these layers.
    fn value_bytes(&self, sites: &[AttentionSite]) -> ValueBytes;

    /// Prompts as the UNet reads them, encoded in one pass.
    fn encode_prompts(&self, prompts: &[&str]) -> std::result::Result<Vec<TextContext>, ModelError>;

    /// The noise that a seed stands for, `[1, channels, h, w]` for sides in pixels.
    fn noise(&self, seed: u64, height: usize, width: usize) -> Result<Tensor>;

    /// The UNet: `latents` `[rows, channels, h, w]`, a timestep and a prompt for each row -> the same shape.
    fn forward(
        &self,
        latents: &Tensor,
        timesteps: &[f64],
        contexts: &[&TextContext],
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor>;

    /// `latents` `[images, channels, h, w]` -> each image's bytes, row by row, RGB.
    fn decode(&self, latents: &Tensor) -> Result<Vec<Vec<u8>>>;

    /// The smallest pass that there is, from a prompt to an image's bytes: whether everything computes.
    fn probe(&self) -> std::result::Result<(), ModelError> {
        let side = self.info().min_side;
        let contexts = self.encode_prompts(&[""])?;
        let contexts: Vec<_> = contexts.iter().collect();
        let output = self.forward(&self.noise(0, side, side)?, &[0.0], &contexts, &mut NoControl)?;
        self.decode(&output)?;
        Ok(())
    }

    /// Whether an error says that the device itself has failed, so that nothing that comes after can succeed.
    fn is_device_failure(&self, error: &Error) -> bool {
        is_of_device(error)
    }
}

/// A device's memory that is full is no failure: the job is too large, the next one may not be.
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

impl Backend for Model {
    fn info(&self) -> &Arc<ModelInfo> {
        &self.info
    }

    fn device(&self) -> &Device {
        self.device()
    }

    fn sites(&self, height: usize, width: usize) -> Vec<AttentionSite> {
        self.sites(height, width)
    }

    fn value_bytes(&self, sites: &[AttentionSite]) -> ValueBytes {
        let cross = sites.iter().filter(|site| site.kind == AttentionKind::CrossAttention);
        let context = cross.map(|site| self.key_value_bytes(site)).sum();
        ValueBytes { number: self.compute().activations().size_in_bytes() as u64, context }
    }

    fn encode_prompts(&self, prompts: &[&str]) -> std::result::Result<Vec<TextContext>, ModelError> {
        self.encode_prompts(prompts)
    }

    fn noise(&self, seed: u64, height: usize, width: usize) -> Result<Tensor> {
        self.noise(seed, height, width)
    }

    fn forward(
        &self,
        latents: &Tensor,
        timesteps: &[f64],
        contexts: &[&TextContext],
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        self.unet.forward(latents, timesteps, contexts, control)
    }

    fn decode(&self, latents: &Tensor) -> Result<Vec<Vec<u8>>> {
        self.decode(latents)
    }
}
