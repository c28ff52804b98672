//! `unet/config.json`, as diffusers' `UNet2DConditionModel` writes it, checked for what this UNet supports.
//!
//! Contract: every parameter of that class is read, or must have the value that changes nothing. Those that only
//! training uses, such as `dropout`, are ignored. What is left out has the class's default.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::diffusion::error::ModelError;
use crate::diffusion::nn::Activation;
use crate::diffusion::unet::sample_size::SampleSize;
use crate::diffusion::weights::files::ModelFiles;
use crate::diffusion::weights::options;

pub(crate) const FILE: &str = "unet/config.json";

/// One number for all levels, or one a level.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a whole number, or a list with one for each block")]
enum PerLevel {
    All(usize),
    Each(Vec<usize>),
}

impl PerLevel {
    fn levels(&self, key: &str, count: usize) -> Result<Vec<usize>, ModelError> {
        match self {
            Self::All(value) => Ok(vec![*value; count]),
            Self::Each(values) if values.len() == count => Ok(values.clone()),
            Self::Each(values) => {
                Err(ModelError::config(FILE, format!("`{key}` has {} values for {count} blocks", values.len())))
            }
        }
    }
}

/// The keys of the file.
#[derive(Debug, Deserialize)]
struct RawConfig {
    #[serde(default = "default_channels")]
    in_channels: usize,
    #[serde(default = "default_channels")]
    out_channels: usize,
    #[serde(default)]
    sample_size: Option<SampleSize>,
    #[serde(default, rename = "_diffusers_version")]
    version: Option<String>,
    block_out_channels: Vec<usize>,
    down_block_types: Vec<String>,
    up_block_types: Vec<String>,
    #[serde(default = "default_mid_block")]
    mid_block_type: Option<String>,
    #[serde(default = "default_layers")]
    layers_per_block: PerLevel,
    /// The number of heads: diffusers keeps the misleading name for old files.
    #[serde(default = "eight_heads")]
    attention_head_dim: PerLevel,
    #[serde(default)]
    num_attention_heads: Option<PerLevel>,
    #[serde(default = "one_for_all")]
    transformer_layers_per_block: PerLevel,
    #[serde(default = "default_cross_attention_dim")]
    cross_attention_dim: PerLevel,
    #[serde(default)]
    use_linear_projection: bool,
    #[serde(default = "default_groups")]
    norm_num_groups: usize,
    #[serde(default = "default_eps")]
    norm_eps: f64,
    #[serde(default = "default_activation")]
    act_fn: String,
    #[serde(default = "yes")]
    flip_sin_to_cos: bool,
    #[serde(default)]
    freq_shift: f64,
    #[serde(default = "one")]
    downsample_padding: usize,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn default_channels() -> usize {
    4
}
fn default_layers() -> PerLevel {
    PerLevel::All(2)
}
fn default_cross_attention_dim() -> PerLevel {
    PerLevel::All(1280)
}
fn default_mid_block() -> Option<String> {
    Some("UNetMidBlock2DCrossAttn".to_owned())
}
fn one_for_all() -> PerLevel {
    PerLevel::All(1)
}
fn eight_heads() -> PerLevel {
    PerLevel::All(8)
}
fn default_groups() -> usize {
    32
}
fn default_eps() -> f64 {
    1e-5
}
fn default_activation() -> String {
    "silu".to_owned()
}
fn yes() -> bool {
    true
}
fn one() -> usize {
    1
}

/// Switches of other architectures (SDXL, upscalers, video); each must be at the value beside it or absent.
const UNSUPPORTED_UNLESS: &options::Required = &[
    ("_class_name", "\"UNet2DConditionModel\""),
    ("addition_embed_type", "null"),
    ("attention_type", "\"default\""),
    ("center_input_sample", "false"),
    ("class_embed_type", "null"),
    ("class_embeddings_concat", "false"),
    ("conv_in_kernel", "3"),
    ("conv_out_kernel", "3"),
    ("cross_attention_norm", "null"),
    ("dual_cross_attention", "false"),
    ("encoder_hid_dim", "null"),
    ("encoder_hid_dim_type", "null"),
    ("mid_block_only_cross_attention", "null"),
    ("mid_block_scale_factor", "1"),
    ("num_class_embeds", "null"),
    ("quantization_config", "null"),
    ("only_cross_attention", "false"),
    ("resnet_out_scale_factor", "1.0"),
    ("resnet_skip_time_act", "false"),
    ("resnet_time_scale_shift", "\"default\""),
    ("reverse_transformer_layers_per_block", "null"),
    ("time_cond_proj_dim", "null"),
    ("time_embedding_act_fn", "null"),
    ("time_embedding_dim", "null"),
    ("time_embedding_type", "\"positional\""),
    ("timestep_post_act", "null"),
];

/// One level of the UNet, from the finest (0) to the coarsest.
#[derive(Debug, Clone)]
pub struct LevelConfig {
    /// Channels of the level's blocks.
    pub channels: usize,
    /// Residual blocks on the way down; one more on the way up.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks after each residual block.
    pub transformer_layers: usize,
    /// Width of the text embeddings.
    pub cross_attention_dim: usize,
    /// Whether the level has attention on the way down.
    pub down_attention: bool,
    /// Whether the level has attention on the way up.
    pub up_attention: bool,
}

/// A UNet's shape.
#[derive(Debug, Clone)]
pub struct UNetConfig {
    /// Channels of the latents.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Height and width of the latents that the model was trained on.
    pub sample_size: (usize, usize),
    /// The levels, finest first.
    pub levels: Vec<LevelConfig>,
    /// Whether the middle block has attention.
    pub mid_attention: bool,
    /// Whether the transformers project with a linear layer (Stable Diffusion 2) or a 1x1 convolution.
    pub use_linear_projection: bool,
    /// Groups of the group norms.
    pub norm_num_groups: usize,
    /// Epsilon of the residual blocks' group norms.
    pub norm_eps: f64,
    /// The activation of the residual blocks.
    pub activation: Activation,
    /// Whether cosines come before sines in the timestep embedding.
    pub flip_sin_to_cos: bool,
    /// Subtracted from the number of frequencies in the timestep embedding.
    pub freq_shift: f64,
    /// Padding of the downsampling convolutions.
    pub downsample_padding: usize,
}

impl UNetConfig {
    /// Reads and checks the configuration of `model`.
    pub fn load(model: &ModelFiles) -> Result<Self, ModelError> {
        Self::from_raw(model.json(FILE)?)
    }

    fn from_raw(raw: RawConfig) -> Result<Self, ModelError> {
        options::check(FILE, &raw.rest, UNSUPPORTED_UNLESS)?;
        let count = raw.block_out_channels.len();
        if count == 0 || raw.down_block_types.len() != count || raw.up_block_types.len() != count {
            let detail =
                "`block_out_channels`, `down_block_types` and `up_block_types` must have the same length, at least 1";
            return Err(ModelError::config(FILE, detail));
        }
        let layers = raw.layers_per_block.levels("layers_per_block", count)?;
        let heads = match &raw.num_attention_heads {
            Some(heads) => heads.levels("num_attention_heads", count)?,
            None => raw.attention_head_dim.levels("attention_head_dim", count)?,
        };
        let transformer_layers = raw.transformer_layers_per_block.levels("transformer_layers_per_block", count)?;
        let cross_dims = raw.cross_attention_dim.levels("cross_attention_dim", count)?;
        let activation = Activation::parse(&raw.act_fn)
            .ok_or_else(|| ModelError::config(FILE, format!("unsupported `act_fn` {:?}", raw.act_fn)))?;
        let mid_attention = match raw.mid_block_type.as_deref() {
            Some("UNetMidBlock2DCrossAttn") => true,
            Some("UNetMidBlock2D") => false,
            other => {
                let detail = format!(
                    "unsupported `mid_block_type` {other:?}; expected \"UNetMidBlock2DCrossAttn\" or \"UNetMidBlock2D\""
                );
                return Err(ModelError::config(FILE, detail));
            }
        };
        let mut levels = Vec::with_capacity(count);
        for level in 0..count {
            let config = LevelConfig {
                channels: raw.block_out_channels[level],
                layers: layers[level],
                heads: heads[level],
                transformer_layers: transformer_layers[level],
                cross_attention_dim: cross_dims[level],
                down_attention: has_attention("down_block_types", &raw.down_block_types[level], "Down")?,
                up_attention: has_attention("up_block_types", &raw.up_block_types[count - 1 - level], "Up")?,
            };
            let attends = config.down_attention || config.up_attention || (mid_attention && level == count - 1);
            config.check(raw.norm_num_groups, attends)?;
            levels.push(config);
        }
        Ok(Self {
            in_channels: raw.in_channels,
            out_channels: raw.out_channels,
            sample_size: SampleSize::sides(raw.sample_size, raw.version.as_deref())?,
            levels,
            mid_attention,
            use_linear_projection: raw.use_linear_projection,
            norm_num_groups: raw.norm_num_groups,
            norm_eps: raw.norm_eps,
            activation,
            flip_sin_to_cos: raw.flip_sin_to_cos,
            freq_shift: raw.freq_shift,
            downsample_padding: raw.downsample_padding,
        })
    }
}

impl LevelConfig {
    fn check(&self, groups: usize, attends: bool) -> Result<(), ModelError> {
        let Self { channels, heads, layers, .. } = *self;
        let wrong = if layers == 0 {
            Some("`layers_per_block` must be at least 1".to_owned())
        } else if groups == 0 || !channels.is_multiple_of(groups) {
            Some(format!("`block_out_channels` {channels} cannot be split into {groups} groups (`norm_num_groups`)"))
        } else if attends && (heads == 0 || !channels.is_multiple_of(heads)) {
            Some(format!("`block_out_channels` {channels} cannot be split into {heads} heads (`attention_head_dim`)"))
        } else {
            None
        };
        wrong.map_or(Ok(()), |detail| Err(ModelError::config(FILE, detail)))
    }
}

fn has_attention(key: &str, block: &str, direction: &str) -> Result<bool, ModelError> {
    if block == format!("CrossAttn{direction}Block2D") {
        Ok(true)
    } else if block == format!("{direction}Block2D") {
        Ok(false)
    } else {
        let detail = format!(
            "unsupported `{key}` {block:?}; expected \"{direction}Block2D\" or \"CrossAttn{direction}Block2D\""
        );
        Err(ModelError::config(FILE, detail))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diffusion::weights::json;

    fn config(change: &Value) -> Result<UNetConfig, ModelError> {
        let mut config = json!({
            "block_out_channels": [32, 64], "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "norm_num_groups": 8
        });
        config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        UNetConfig::from_raw(json::typed(FILE, config)?)
    }

    /// Parameters of `UNet2DConditionModel.__init__` at values that change its output.
    #[test]
    fn options_that_would_change_the_image_are_refused_by_name() {
        for change in [
            json!({"encoder_hid_dim": 32}),
            json!({"encoder_hid_dim_type": "text_proj"}),
            json!({"class_embed_type": "timestep"}),
            json!({"class_embeddings_concat": true}),
            json!({"num_class_embeds": 4}),
            json!({"addition_embed_type": "text_time"}),
            json!({"time_cond_proj_dim": 256}),
            json!({"time_embedding_type": "fourier"}),
            json!({"time_embedding_dim": 64}),
            json!({"time_embedding_act_fn": "silu"}),
            json!({"timestep_post_act": "silu"}),
            json!({"center_input_sample": true}),
            json!({"conv_in_kernel": 1}),
            json!({"conv_out_kernel": 1}),
            json!({"dual_cross_attention": true}),
            json!({"only_cross_attention": [true, false]}),
            json!({"mid_block_only_cross_attention": true}),
            json!({"cross_attention_norm": "layer_norm"}),
            json!({"attention_type": "gated"}),
            json!({"resnet_time_scale_shift": "scale_shift"}),
            json!({"resnet_skip_time_act": true}),
            json!({"resnet_out_scale_factor": 1.5}),
            json!({"mid_block_scale_factor": 2}),
            json!({"reverse_transformer_layers_per_block": [1, 2]}),
            json!({"transformer_layers_per_block": [[1, 2], 1]}),
            json!({"mid_block_type": "UNetMidBlock2DSimpleCrossAttn"}),
            json!({"act_fn": "mish"}),
            json!({"quantization_config": {"quant_method": "bitsandbytes"}}),
            json!({"_class_name": "UNetSpatioTemporalConditionModel"}),
        ] {
            let error = config(&change).unwrap_err().to_string();
            let key = change.as_object().unwrap().keys().next().unwrap();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
        let harmless = json!({
            "dropout": 0.1, "upcast_attention": true, "addition_embed_type_num_heads": 64, "encoder_hid_dim": null,
            "only_cross_attention": [false, false], "mid_block_only_cross_attention": false, "own_key": 1
        });
        config(&harmless).unwrap();
    }
}
