//! The model: Stable Diffusion in the diffusers layout, on candle, with attention that a caller can control.
//!
//! [`Model`] holds everything that lives on the device. It is not shared: one thread owns it. [`ModelInfo`] is what
//! the rest of the program needs to know of a model and may be read from anywhere.
//!
//! - [`files`], [`weights`]: where bytes come from, and named tensors with checked shapes
//! - [`profile`]: what a model's makers say of it
//! - [`tokenizer`], [`text_encoder`]: prompts to embeddings
//! - [`unet`]: latents to noise, with [`unet::AttentionControl`] as the door for editing
//! - [`scheduler`], [`noise`]: DDIM and PyTorch's random numbers
//! - [`vae`]: latents to images and back
//! - [`nn`]: the layers that these share

pub mod error;
pub mod nn;
pub mod noise;
pub mod profile;
pub mod samplers;
pub mod text;
pub mod unet;
pub mod vae;
pub mod weights;

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

pub use error::ModelError;
use nn::Compute;
pub use profile::{Hints, SamplingDefaults};
use samplers::{NoiseSchedule, Sampler, SamplerName};
use text::encoder::TextEncoder;
use text::tokenizer::Tokenizer;
use unet::{AttentionSite, TextContext, UNet};
use vae::Vae;
pub use weights::files::ModelFiles;

/// Sides of the latents of Stable Diffusion 1, where the UNet's file does not say.
const DEFAULT_SAMPLE_SIZE: usize = 64;

/// What the program knows of a loaded model without touching the device.
#[derive(Debug)]
pub struct ModelInfo {
    /// Its name in answers.
    pub name: String,
    /// BLAKE3 over its files, and over what it computes in where that is not f32, in hexadecimal: models with the same one
    /// make the same images.
    pub fingerprint: String,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The noise schedule that it was trained with.
    pub schedule: NoiseSchedule,
    /// The samplers that it is served with.
    pub samplers: &'static [SamplerName],
    /// The one of a request that names none.
    pub default_sampler: SamplerName,
    /// Suggested sampling settings.
    pub defaults: SamplingDefaults,
    /// What else its makers say of it.
    pub hints: Hints,
    /// Image side in pixels that the model was trained on.
    pub native_size: usize,
    /// Pixels on a side for one latent; image sides are multiples of it.
    pub vae_factor: usize,
    /// The shortest image side, at which the coarsest level still has a position of its own.
    pub min_side: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
}

impl ModelInfo {
    /// The sampler of a name for runs of `steps`.
    ///
    /// # Errors
    /// [`ModelError::Schedule`] where the sampler cannot make that many steps with this model.
    pub fn sampler(&self, name: SamplerName, steps: usize) -> std::result::Result<Arc<dyn Sampler>, ModelError> {
        samplers::sampler(&self.schedule, name, steps)
    }
}

/// A model on its device.
#[derive(Debug)]
pub struct Model {
    /// What may be known elsewhere.
    pub info: Arc<ModelInfo>,
    /// The UNet.
    pub unet: UNet,
    compute: Compute,
    text_encoder: TextEncoder,
    vae: Vae,
}

impl Model {
    /// Loads a model in f32; every configuration and tensor is checked.
    pub fn load(files: &ModelFiles, device: &Device) -> std::result::Result<Self, ModelError> {
        Self::load_as(files, &Compute { device: device.clone(), dtype: DType::F32 })
    }

    /// Loads a model; every configuration and tensor is checked.
    pub fn load_as(files: &ModelFiles, compute: &Compute) -> std::result::Result<Self, ModelError> {
        let (text_encoder, text_config) = TextEncoder::load(files, compute)?;
        let tokenizer = Tokenizer::load(files, text_config.max_position_embeddings)?;
        if tokenizer.vocab_size() > text_encoder.vocab_size() {
            return Err(ModelError::Tokenizer(format!(
                "it has {} tokens, the text encoder embeds {}",
                tokenizer.vocab_size(),
                text_encoder.vocab_size()
            )));
        }
        let unet = UNet::load(files, compute)?;
        let vae = Vae::load(files, compute)?;
        check_widths(&unet, &vae, text_config.hidden_size)?;
        let vae_factor = vae.config().factor();
        let (schedule, default_sampler) = (NoiseSchedule::load(files)?, SamplerName::default());
        let (defaults, hints) = profile::load(files)?;
        if let Err(error) = samplers::sampler(&schedule, default_sampler, defaults.num_inference_steps) {
            return Err(ModelError::config(profile::PROFILE_FILE, format!("`num_inference_steps`: {error}")));
        }
        let info = ModelInfo {
            name: files.name(),
            fingerprint: match compute.dtype {
                DType::F32 => files.fingerprint()?,
                other => blake3::hash(format!("{} {}", files.fingerprint()?, other.as_str()).as_bytes()).to_string(),
            },
            tokenizer,
            schedule,
            samplers: SamplerName::ALL,
            default_sampler,
            defaults,
            hints,
            native_size: unet.config().sample_size.unwrap_or(DEFAULT_SAMPLE_SIZE) * vae_factor,
            vae_factor,
            min_side: vae_factor << (unet.config().levels.len() - 1),
            latent_channels: unet.config().in_channels,
        };
        Ok(Self { info: Arc::new(info), unet, compute: compute.clone(), text_encoder, vae })
    }

    /// Where the model's tensors live.
    pub fn device(&self) -> &Device {
        &self.compute.device
    }

    /// Where and in what the model computes.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// Bytes of a prompt's keys and values at a cross-attention layer.
    pub fn key_value_bytes(&self, site: &AttentionSite) -> u64 {
        nn::key_value_bytes(self.info.tokenizer.max_tokens(), site.heads, site.head_dim, &self.compute)
    }

    /// Prompts as the UNet reads them, encoded in one pass; what one comes to does not depend on the others.
    pub fn encode_prompts(&self, prompts: &[&str]) -> std::result::Result<Vec<TextContext>, ModelError> {
        let tokens = prompts.iter().map(|prompt| self.info.tokenizer.encode_prompt(prompt));
        let ids = tokens.map(|tokens| Ok(tokens?.ids)).collect::<std::result::Result<Vec<_>, ModelError>>()?;
        let embeddings = self.text_embeddings(&ids)?;
        let contexts = (0..prompts.len()).map(|row| self.unet.text_context(&embeddings.get(row)?));
        Ok(contexts.collect::<Result<_>>()?)
    }

    /// Token ids of one or more prompts -> the text encoder's embeddings, `[prompts, max tokens, width]`.
    pub fn text_embeddings(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        let padded: Vec<Vec<u32>> = ids.iter().map(|ids| self.info.tokenizer.pad(ids)).collect();
        self.text_encoder.forward(&padded)
    }

    /// The noise that a seed stands for, `[1, channels, height / factor, width / factor]` for sides in pixels.
    pub fn noise(&self, seed: u64, height: usize, width: usize) -> Result<Tensor> {
        let (h, w) = self.latent_size(height, width);
        let channels = self.info.latent_channels;
        Tensor::from_vec(noise::randn(seed, channels * h * w), (1, channels, h, w), &self.compute.device)
    }

    /// The attention layers at an image size in pixels.
    pub fn sites(&self, height: usize, width: usize) -> Vec<AttentionSite> {
        let (h, w) = self.latent_size(height, width);
        self.unet.sites(h, w)
    }

    /// Latents `[images, channels, h, w]` -> each image's bytes, row by row, RGB; what one comes to does not depend on
    /// the others.
    pub fn decode(&self, latents: &Tensor) -> Result<Vec<Vec<u8>>> {
        let count = latents.dim(0)?;
        if self.compute.device.is_cpu() && count > 1 {
            // Company gains nothing on the processor, and pushes activations out of its cache.
            let alone = (0..count).map(|image| self.decode(&latents.narrow(0, image, 1)?));
            return Ok(alone.collect::<Result<Vec<_>>>()?.concat());
        }
        // As diffusers turns arrays into images: to 0..1, clamped, times 255, rounded.
        let latents = latents.to_dtype(self.compute.activations())?;
        let images = self.vae.decode(&latents)?.to_dtype(DType::F32)?;
        let images = ((images / 2.0)? + 0.5)?.clamp(0.0, 1.0)?.flatten_from(1)?.to_vec2::<f32>()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bytes = |image: Vec<f32>| image.into_iter().map(|value| (value * 255.0).round_ties_even() as u8).collect();
        Ok(images.into_iter().map(bytes).collect())
    }

    /// The autoencoder.
    pub fn vae(&self) -> &Vae {
        &self.vae
    }

    fn latent_size(&self, height: usize, width: usize) -> (usize, usize) {
        (height / self.info.vae_factor, width / self.info.vae_factor)
    }
}

/// Bytes that a tensor's values take.
pub fn tensor_bytes(tensor: &Tensor) -> u64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64
}

fn check_widths(unet: &UNet, vae: &Vae, text_width: usize) -> std::result::Result<(), ModelError> {
    let config = unet.config();
    let latent = vae.config().latent_channels;
    let detail = if config.in_channels != latent {
        format!("`in_channels` is {}, the VAE's latents have {latent}", config.in_channels)
    } else if config.out_channels != latent {
        format!("`out_channels` is {}, the VAE's latents have {latent}", config.out_channels)
    } else if let Some(level) = config.levels.iter().find(|l| l.cross_attention_dim != text_width) {
        format!(
            "`cross_attention_dim` is {}, the text encoder's embeddings have {text_width}",
            level.cross_attention_dim
        )
    } else {
        return Ok(());
    };
    Err(ModelError::config("unet/config.json", detail))
}
