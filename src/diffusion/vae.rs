//! The autoencoder between images and latents (diffusers' `AutoencoderKL`), for any number of levels and latent
//! channels. Latents on this side are scaled as the UNet sees them.

use candle_core::{Result, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::diffusion::error::ModelError;
use crate::diffusion::nn::{
    Activation, Compute, Conv2d, ConvInput, GroupNorm, Keys, Linear, POINT, ResnetBlock, ResnetOptions, RowTerms, SAME,
    Term, TimeProjections, Values, attend,
};
use crate::diffusion::weights::files::ModelFiles;
use crate::diffusion::weights::{Scope, Weights, options};
use crate::kernels::conv2d::Geometry;

const CONFIG: &str = "vae/config.json";
const WEIGHTS: &[&str] = &["vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors"];
const NORM_EPS: f64 = 1e-6;
/// Its maps are as large as the latents at least.
const POSITIONS: Option<usize> = Some(256);
/// diffusers pads on the right and at the bottom only.
const HALVE: Geometry = Geometry { kernel: 3, stride: 2, before: 0, after: 1 };
type Loaded<T> = std::result::Result<T, ModelError>;

/// The keys of `vae/config.json` that shape the network.
#[derive(Debug, Clone, Deserialize)]
pub struct VaeConfig {
    in_channels: usize,
    out_channels: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    block_out_channels: Vec<usize>,
    down_block_types: Vec<String>,
    up_block_types: Vec<String>,
    layers_per_block: usize,
    #[serde(default = "default_groups")]
    norm_num_groups: usize,
    #[serde(default = "default_activation")]
    act_fn: String,
    #[serde(default = "default_scaling_factor")]
    scaling_factor: f64,
    #[serde(default)]
    shift_factor: Option<f64>,
    #[serde(default = "yes")]
    use_quant_conv: bool,
    #[serde(default = "yes")]
    use_post_quant_conv: bool,
    #[serde(default = "yes")]
    mid_block_add_attention: bool,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What would change the image and is not supported.
const UNSUPPORTED_UNLESS: &options::Required = &[
    ("_class_name", "\"AutoencoderKL\""),
    ("latents_mean", "null"),
    ("latents_std", "null"),
    ("quantization_config", "null"),
];

fn default_groups() -> usize {
    32
}
fn default_activation() -> String {
    "silu".to_owned()
}
fn default_scaling_factor() -> f64 {
    0.18215
}
fn yes() -> bool {
    true
}

impl VaeConfig {
    /// Pixels on a side for one latent: every level but the last halves the image.
    pub fn factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    fn check(&self) -> Loaded<Activation> {
        options::check(CONFIG, &self.rest, UNSUPPORTED_UNLESS)?;
        let refuse = |detail: String| Err(ModelError::config(CONFIG, detail));
        if self.block_out_channels.is_empty() || self.layers_per_block == 0 {
            return refuse("`block_out_channels` and `layers_per_block` must not be empty or zero".to_owned());
        }
        if (self.in_channels, self.out_channels) != (3, 3) {
            return refuse("`in_channels` and `out_channels` must be 3".to_owned());
        }
        for (types, wanted) in
            [(&self.down_block_types, "DownEncoderBlock2D"), (&self.up_block_types, "UpDecoderBlock2D")]
        {
            if let Some(other) = types.iter().find(|name| *name != wanted) {
                return refuse(format!("unsupported block type {other:?}; expected {wanted:?}"));
            }
        }
        let groups = self.norm_num_groups;
        if let Some(channels) = self.block_out_channels.iter().find(|c| groups == 0 || !c.is_multiple_of(groups)) {
            return refuse(format!("`block_out_channels` {channels} cannot be split into {groups} groups"));
        }
        match Activation::parse(&self.act_fn) {
            Some(activation) => Ok(activation),
            None => refuse(format!("`act_fn` {:?} is not supported", self.act_fn)),
        }
    }
}

/// The loaded autoencoder.
#[derive(Debug)]
pub struct Vae {
    config: VaeConfig,
    encoder: Encoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    decoder: Decoder,
}

/// What the encoder says of an image: a normal distribution over scaled latents.
#[derive(Debug, Clone)]
pub struct LatentDistribution {
    /// `[rows, channels, h, w]`.
    pub mean: Tensor,
    /// Logarithm of the variance before scaling, clamped to -30..20 as diffusers does; `[rows, channels, h, w]`.
    pub log_variance: Tensor,
}

#[derive(Debug)]
struct Encoder {
    conv_in: Conv2d,
    levels: Vec<(Vec<ResnetBlock>, Option<Conv2d>)>,
    mid: MidBlock,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    activation: Activation,
}

#[derive(Debug)]
struct Decoder {
    conv_in: Conv2d,
    mid: MidBlock,
    levels: Vec<(Vec<ResnetBlock>, Option<Conv2d>)>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    activation: Activation,
}

#[derive(Debug)]
struct MidBlock {
    first: ResnetBlock,
    attention: Option<SpatialAttention>,
    second: ResnetBlock,
}

/// One head of attention over all positions, as in the middle of the VAE.
#[derive(Debug)]
struct SpatialAttention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl Vae {
    /// Loads the autoencoder of `model`.
    pub fn load(model: &ModelFiles, compute: &Compute) -> Loaded<Self> {
        let config: VaeConfig = model.json(CONFIG)?;
        let activation = config.check()?;
        let weights = Weights::open(model, model.first_of(WEIGHTS)?, compute)?;
        let root = weights.root();
        let latent = config.latent_channels;
        let quant = |name: &str, channels: usize| Conv2d::load(&root.at(name), channels, channels, POINT, None);
        Ok(Self {
            encoder: Encoder::load(&root.at("encoder"), &config, activation)?,
            quant_conv: config.use_quant_conv.then(|| quant("quant_conv", latent * 2)).transpose()?,
            post_quant_conv: config.use_post_quant_conv.then(|| quant("post_quant_conv", latent)).transpose()?,
            decoder: Decoder::load(&root.at("decoder"), &config, activation)?,
            config,
        })
    }

    /// The autoencoder's shape.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Images `[rows, 3, H, W]` in -1..1 -> the distribution of their latents, `H` and `W` divided by the factor.
    pub fn encode(&self, images: &Tensor) -> Result<LatentDistribution> {
        let mut moments = self.encoder.forward(&images.permute((0, 2, 3, 1))?.contiguous()?)?;
        if let Some(quant_conv) = &self.quant_conv {
            moments = quant_conv.forward(&moments)?;
        }
        let halves = moments.permute((0, 3, 1, 2))?.contiguous()?.chunk(2, 1)?;
        let shift = self.config.shift_factor.unwrap_or(0.0);
        Ok(LatentDistribution {
            mean: ((&halves[0] - shift)? * self.config.scaling_factor)?,
            log_variance: halves[1].clamp(-30.0, 20.0)?,
        })
    }

    /// Scaled latents `[rows, channels, h, w]` -> images `[rows, H, W, 3]`, nominally in -1..1, not clamped.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let latents = latents.permute((0, 2, 3, 1))?.contiguous()?;
        let mut h = ((latents / self.config.scaling_factor)? + self.config.shift_factor.unwrap_or(0.0))?;
        if let Some(post_quant_conv) = &self.post_quant_conv {
            h = post_quant_conv.forward(&h)?;
        }
        self.decoder.forward(&h)
    }
}

fn resnet_options(config: &VaeConfig, activation: Activation) -> ResnetOptions {
    ResnetOptions {
        groups: config.norm_num_groups,
        eps: NORM_EPS,
        activation,
        time_embed: None,
        positions: POSITIONS,
        is_sensitive: false,
    }
}

fn load_resnets(
    scope: &Scope<'_>,
    count: usize,
    input: usize,
    output: usize,
    options: ResnetOptions,
) -> Loaded<Vec<ResnetBlock>> {
    (0..count)
        .map(|i| {
            let input = if i == 0 { input } else { output };
            ResnetBlock::load(&scope.at("resnets").at(i), input, output, options, &mut TimeProjections::default())
        })
        .collect()
}

impl Encoder {
    fn load(scope: &Scope<'_>, config: &VaeConfig, activation: Activation) -> Loaded<Self> {
        let channels = &config.block_out_channels;
        let options = resnet_options(config, activation);
        let last = channels.len() - 1;
        let levels = channels.iter().enumerate().map(|(i, &output)| {
            let scope = scope.at("down_blocks").at(i);
            let input = channels[i.saturating_sub(1)];
            let resnets = load_resnets(&scope, config.layers_per_block, input, output, options)?;
            let downsample = (i != last)
                .then(|| Conv2d::load(&scope.at("downsamplers.0.conv"), output, output, HALVE, None))
                .transpose()?;
            Ok((resnets, downsample))
        });
        let coarsest = channels[last];
        Ok(Self {
            conv_in: Conv2d::load(&scope.at("conv_in"), config.in_channels, channels[0], SAME, None)?,
            levels: levels.collect::<Loaded<_>>()?,
            mid: MidBlock::load(&scope.at("mid_block"), coarsest, config, options)?,
            norm_out: GroupNorm::load(&scope.at("conv_norm_out"), coarsest, config.norm_num_groups, NORM_EPS)?,
            conv_out: Conv2d::load(&scope.at("conv_out"), coarsest, config.latent_channels * 2, SAME, None)?,
            activation,
        })
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let mut h = self.conv_in.forward(images)?;
        for (resnets, downsample) in &self.levels {
            for resnet in resnets {
                h = resnet.forward(&h, None)?;
            }
            if let Some(downsample) = downsample {
                h = downsample.forward(&h)?;
            }
        }
        let h = self.mid.forward(&h)?;
        let (norm, activation) = (Some(&self.norm_out), Some(self.activation));
        self.conv_out.forward(ConvInput { norm, activation, ..ConvInput::from(&h) })
    }
}

impl Decoder {
    fn load(scope: &Scope<'_>, config: &VaeConfig, activation: Activation) -> Loaded<Self> {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let options = resnet_options(config, activation);
        let last = channels.len() - 1;
        let levels = channels.iter().enumerate().map(|(i, &output)| {
            let scope = scope.at("up_blocks").at(i);
            let input = channels[i.saturating_sub(1)];
            let resnets = load_resnets(&scope, config.layers_per_block + 1, input, output, options)?;
            let upsample = (i != last)
                .then(|| Conv2d::load(&scope.at("upsamplers.0.conv"), output, output, SAME, POSITIONS))
                .transpose()?;
            Ok((resnets, upsample))
        });
        let finest = channels[last];
        Ok(Self {
            conv_in: Conv2d::load(&scope.at("conv_in"), config.latent_channels, channels[0], SAME, None)?,
            mid: MidBlock::load(&scope.at("mid_block"), channels[0], config, options)?,
            levels: levels.collect::<Loaded<_>>()?,
            norm_out: GroupNorm::load(&scope.at("conv_norm_out"), finest, config.norm_num_groups, NORM_EPS)?,
            conv_out: Conv2d::load(&scope.at("conv_out"), finest, config.out_channels, SAME, None)?,
            activation,
        })
    }

    fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let mut h = self.mid.forward(&self.conv_in.forward(latents)?)?;
        for (resnets, upsample) in &self.levels {
            for resnet in resnets {
                h = resnet.forward(&h, None)?;
            }
            if let Some(upsample) = upsample {
                let (_, height, width, _) = h.dims4()?;
                let twice = Some((height * 2, width * 2));
                h = upsample.forward(ConvInput { upsampled: twice, ..ConvInput::from(&h) })?;
            }
        }
        let (norm, activation) = (Some(&self.norm_out), Some(self.activation));
        self.conv_out.forward(ConvInput { norm, activation, ..ConvInput::from(&h) })
    }
}

impl MidBlock {
    fn load(scope: &Scope<'_>, channels: usize, config: &VaeConfig, options: ResnetOptions) -> Loaded<Self> {
        let resnet = |name: &str| {
            ResnetBlock::load(&scope.at(name), channels, channels, options, &mut TimeProjections::default())
        };
        Ok(Self {
            first: resnet("resnets.0")?,
            attention: config
                .mid_block_add_attention
                .then(|| SpatialAttention::load(&scope.at("attentions.0"), channels, config.norm_num_groups))
                .transpose()?,
            second: resnet("resnets.1")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = self.first.forward(x, None)?;
        if let Some(attention) = &self.attention {
            h = attention.forward(&h)?;
        }
        self.second.forward(&h, None)
    }
}

impl SpatialAttention {
    fn load(scope: &Scope<'_>, channels: usize, groups: usize) -> Loaded<Self> {
        // Files written before diffusers 0.18 have other names for the same four layers.
        let layer = |name: &str, old_name: &str| {
            let old = scope.at(old_name);
            let scope = if old.has("weight") { old } else { scope.at(name) };
            Linear::load(&scope, channels, channels)
        };
        Ok(Self {
            norm: GroupNorm::load(&scope.at("group_norm"), channels, groups, NORM_EPS)?,
            query: layer("to_q", "query")?,
            key: layer("to_k", "key")?,
            value: layer("to_v", "value")?,
            out: layer("to_out.0", "proj_attn")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, height, width, channels) = x.dims4()?;
        let h = self.norm.forward(x)?.reshape((rows, height * width, channels))?;
        let (q, k, v) = (self.query.forward(&h)?, self.key.forward(&h)?, self.value.forward(&h)?);
        let terms: Result<Vec<_>> = (0..rows)
            .map(|row| {
                let (keys, values) = (Keys::new(&k.get(row)?, 1)?, Values::new(&v.get(row)?, 1)?);
                Ok(RowTerms { terms: vec![Term { queries: q.get(row)?, keys, values }], wants_map: false })
            })
            .collect();
        let attended = attend(&terms?, 1, &h)?.values.reshape(x.dims())?;
        self.out.forward_added(&attended, x)
    }
}
