//! The model: Stable Diffusion in the diffusers layout, on candle, with attention that a caller can control.
//!
//! [`Model`] holds everything that lives on the device; one thread owns it. [`ModelInfo`] has the properties
//! of a model that the rest of the program uses; any thread may read it.
//!
//! - [`weights`]: model folders, and named tensors with checked shapes
//! - [`profile`]: what a model's makers recommend; [`architecture`]: which of its attention is edited
//! - [`text`]: prompts to embeddings; [`conditioning`]: what the UNet reads of them
//! - [`samplers`], [`noise`]: how latents go from noise to an image, and PyTorch's random numbers
//! - [`unet`]: latents to noise; editing hooks into [`unet::AttentionControl`]
//! - [`vae`]: latents to images and back
//! - [`nn`]: the layers that these share; `not_finite`: checks for NaN and infinity

mod architecture;
mod conditioning;
pub(crate) mod error;
pub mod nn;
pub mod noise;
pub(crate) mod not_finite;
pub(crate) mod profile;
pub mod samplers;
pub mod text;
pub mod unet;
pub mod vae;
pub mod weights;

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

pub(crate) use architecture::ArchitectureProfile;
pub use architecture::SiteGrouping;
pub(crate) use conditioning::KeyValue;
pub use conditioning::{Conditioning, ConditioningKey};
pub use error::ModelError;
use nn::Compute;
pub use not_finite::{ModelPart, NotFinite};
pub(crate) use profile::{Hints, SamplingDefaults};
use samplers::{NoiseSchedule, Sampler, SamplerName};
use text::encoders::TextEncoders;
use text::tokenizer::Tokenizer;
use unet::{AttentionSite, UNet};
use vae::Vae;
pub use weights::files::ModelFiles;
use weights::pipeline;

/// A loaded model's properties, which can be read without using the device.
#[derive(Debug)]
pub struct ModelInfo {
    /// Its name in answers.
    pub name: String,
    /// BLAKE3 over its files, and over what it computes in where that is not f32, in hexadecimal: models with the same
    /// one make the same images.
    pub fingerprint: String,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The noise schedule that it was trained with.
    pub schedule: NoiseSchedule,
    /// The one of a request that names none.
    pub default_sampler: SamplerName,
    /// Which of its attention is edited.
    pub architecture: ArchitectureProfile,
    /// Suggested sampling settings.
    pub defaults: SamplingDefaults,
    /// What else its makers recommend.
    pub hints: Hints,
    /// Width in pixels of the images that the model was trained on.
    pub native_width: usize,
    /// Their height.
    pub native_height: usize,
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

    /// The key of a prompt's conditioning.
    ///
    /// # Errors
    /// Those of [`Tokenizer::encode_prompt`].
    pub fn conditioning_key(&self, prompt: &str) -> std::result::Result<ConditioningKey, ModelError> {
        Ok(ConditioningKey::new(&self.tokenizer.encode_prompt(prompt)?.ids))
    }
}

/// A model on its device.
#[derive(Debug)]
pub struct Model {
    /// What other threads may read.
    pub info: Arc<ModelInfo>,
    /// The UNet.
    pub unet: UNet,
    compute: Compute,
    text_encoders: TextEncoders,
    vae: Vae,
}

impl Model {
    /// Loads a model in f32; every configuration and tensor is checked.
    pub fn load(files: &ModelFiles, device: &Device) -> std::result::Result<Self, ModelError> {
        Self::load_as(files, &Compute { device: device.clone(), dtype: DType::F32 })
    }

    /// Loads a model; every configuration and tensor is checked.
    pub fn load_as(files: &ModelFiles, compute: &Compute) -> std::result::Result<Self, ModelError> {
        pipeline::check(files)?;
        let (text_encoders, tokenizer) = TextEncoders::load(files, compute)?;
        let unet = UNet::load(files, compute)?;
        let vae = Vae::load(files, compute)?;
        check_widths(&unet, &vae, text_encoders.width())?;
        let vae_factor = vae.config().factor();
        let (schedule, default_sampler) = (NoiseSchedule::load(files)?, SamplerName::Ddim);
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
            architecture: ArchitectureProfile::of(unet.config()),
            schedule,
            default_sampler,
            defaults,
            hints,
            native_width: unet.config().sample_size.1 * vae_factor,
            native_height: unet.config().sample_size.0 * vae_factor,
            vae_factor,
            min_side: vae_factor << (unet.config().levels.len() - 1),
            latent_channels: unet.config().in_channels,
        };
        Ok(Self { info: Arc::new(info), unet, compute: compute.clone(), text_encoders, vae })
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

    /// What the UNet reads of each prompt, encoded in one pass; a conditioning does not depend on the others.
    ///
    /// # Errors
    /// [`ModelError::PromptTooLong`], [`ModelError::NotFinite`], or a failed tensor operation, such as on ids that are
    /// not the model's.
    pub fn condition(&self, keys: &[ConditioningKey]) -> std::result::Result<Vec<Conditioning>, ModelError> {
        let limit = self.info.tokenizer.max_tokens();
        // Padding to the limit would cut a longer prompt.
        if let Some(key) = keys.iter().find(|key| key.ids().len() > limit) {
            return Err(ModelError::PromptTooLong { tokens: key.ids().len(), limit });
        }
        let ids: Vec<_> = keys.iter().map(|key| key.ids().to_vec()).collect();
        let embeddings = self.text_embeddings(&ids)?;
        NotFinite::check(ModelPart::TextEncoder, &embeddings)?;
        let conditionings = (0..keys.len()).map(|row| self.unet.condition(&embeddings.get(row)?));
        Ok(conditionings.collect::<Result<_>>()?)
    }

    /// Token ids of one or more prompts -> the text encoders' embeddings, `[prompts, max tokens, width]`.
    pub fn text_embeddings(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        let padded: Vec<Vec<u32>> = ids.iter().map(|ids| self.info.tokenizer.pad(ids)).collect();
        self.text_encoders.embed(&padded)
    }

    /// The noise of a seed, `[1, channels, height / factor, width / factor]` for sides in pixels.
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

    /// Latents `[images, channels, h, w]` -> each image's bytes, row by row, RGB. An image does not depend on the
    /// others.
    ///
    /// # Errors
    /// [`NotFinite`] if a pixel is NaN or infinite, or a failed tensor operation.
    pub fn decode(&self, latents: &Tensor) -> Result<Vec<Vec<u8>>> {
        let count = latents.dim(0)?;
        if self.compute.device.is_cpu() && count > 1 {
            // Larger batches are not faster on the CPU, and their activations do not fit its cache.
            let alone = (0..count).map(|image| self.decode(&latents.narrow(0, image, 1)?));
            return Ok(alone.collect::<Result<Vec<_>>>()?.concat());
        }
        // As diffusers turns arrays into images: to 0..1, clamped, times 255, rounded.
        let latents = latents.to_dtype(self.compute.activations())?;
        let images = self.vae.decode(&latents)?.to_dtype(DType::F32)?;
        let images = ((images / 2.0)? + 0.5)?.flatten_from(1)?.to_vec2::<f32>()?;
        // A conversion to bytes would turn NaN into black.
        if images.iter().flatten().any(|value| !value.is_finite()) {
            return Err(NotFinite::error(ModelPart::VaeDecoder));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
        let bytes = |image: Vec<f32>| image.into_iter().map(byte).collect();
        Ok(images.into_iter().map(bytes).collect())
    }

    fn latent_size(&self, height: usize, width: usize) -> (usize, usize) {
        (height / self.info.vae_factor, width / self.info.vae_factor)
    }
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
