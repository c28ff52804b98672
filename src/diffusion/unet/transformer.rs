//! The spatial transformer after a residual block: self-attention, cross-attention and a gated feed-forward
//! network over the positions of the feature map (diffusers' `Transformer2DModel`).

use candle_core::{Result, Tensor};

use crate::diffusion::conditioning::KeyValue;
use crate::diffusion::error::ModelError;
use crate::diffusion::nn::{Geglu, GroupNorm, LayerNorm, Linear};
use crate::diffusion::unet::attention::{Attention, AttentionControl, AttentionSite};
use crate::diffusion::unet::config::LevelConfig;
use crate::diffusion::weights::Scope;

/// diffusers fixes this epsilon, whatever `norm_eps` says.
const GROUP_NORM_EPS: f64 = 1e-6;
const LAYER_NORM_EPS: f64 = 1e-5;

/// A spatial transformer.
#[derive(Debug)]
pub struct Transformer {
    norm: GroupNorm,
    /// A 1x1 convolution in Stable Diffusion 1 is the same product as the linear layer of 2.x.
    proj_in: Linear,
    blocks: Vec<TransformerBlock>,
    proj_out: Linear,
}

#[derive(Debug)]
struct TransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    feed_forward_in: Geglu,
    feed_forward_out: Linear,
}

impl Transformer {
    /// Loads a transformer of `level`; attention layers are numbered from `*next_site` on.
    pub fn load(
        scope: &Scope<'_>,
        level: &LevelConfig,
        groups: usize,
        linear_projection: bool,
        next_site: &mut usize,
    ) -> std::result::Result<Self, ModelError> {
        let channels = level.channels;
        let projection = if linear_projection { Linear::load } else { Linear::load_from_conv1x1 };
        Ok(Self {
            norm: GroupNorm::load(&scope.at("norm"), channels, groups, GROUP_NORM_EPS)?,
            proj_in: projection(&scope.precise().at("proj_in"), channels, channels)?,
            blocks: (0..level.transformer_layers)
                .map(|i| TransformerBlock::load(&scope.at("transformer_blocks").at(i), level, next_site))
                .collect::<std::result::Result<_, _>>()?,
            proj_out: projection(&scope.precise().at("proj_out"), channels, channels)?,
        })
    }

    /// `x` `[rows, h, w, channels]`; `text[row][site]` holds the rows' keys and values.
    pub fn forward(
        &self,
        x: &Tensor,
        text: &[&[Option<KeyValue>]],
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        let (rows, height, width, channels) = x.dims4()?;
        let tokens = (rows, height * width, channels);
        let mut h = self.proj_in.forward(&self.norm.forward(x)?.reshape(tokens)?)?;
        for block in &self.blocks {
            h = block.forward(&h, (height, width), text, control)?;
        }
        self.proj_out.forward_added(&h, &x.reshape(tokens)?)?.reshape(x.dims())
    }

    /// The transformer's attention layers on a map of `height` x `width`, in the order in which they run.
    pub fn sites(&self, height: usize, width: usize) -> impl Iterator<Item = AttentionSite> + '_ {
        self.blocks.iter().flat_map(move |block| [block.attn1.site(height, width), block.attn2.site(height, width)])
    }

    /// Keys and values of one prompt's embeddings `[tokens, width]`, put at their sites' places.
    pub fn key_values(&self, text: &Tensor, out: &mut [Option<KeyValue>]) -> Result<()> {
        for block in &self.blocks {
            out[block.attn2.site(0, 0).index] = Some(block.attn2.key_value(text)?);
        }
        Ok(())
    }
}

impl TransformerBlock {
    fn load(scope: &Scope<'_>, level: &LevelConfig, next_site: &mut usize) -> std::result::Result<Self, ModelError> {
        let (channels, heads) = (level.channels, level.heads);
        let index = *next_site;
        *next_site += 2;
        let (inner, precise) = (channels * 4, scope.precise());
        let text_width = Some(level.cross_attention_dim);
        Ok(Self {
            norm1: LayerNorm::load(&scope.at("norm1"), channels, LAYER_NORM_EPS)?,
            attn1: Attention::load(&precise.at("attn1"), index, channels, heads, None)?,
            norm2: LayerNorm::load(&scope.at("norm2"), channels, LAYER_NORM_EPS)?,
            attn2: Attention::load(&precise.at("attn2"), index + 1, channels, heads, text_width)?,
            norm3: LayerNorm::load(&scope.at("norm3"), channels, LAYER_NORM_EPS)?,
            feed_forward_in: Geglu::load(&scope.at("ff.net.0.proj"), channels, inner)?,
            feed_forward_out: Linear::load(&scope.at("ff.net.2"), inner, channels)?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        map: (usize, usize),
        text: &[&[Option<KeyValue>]],
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        let x = self.attn1.forward(&self.norm1.forward(x)?, map, None, control, x)?;
        let index = self.attn2.site(0, 0).index;
        let text: Option<Vec<&KeyValue>> = text.iter().map(|row| row.get(index)?.as_ref()).collect();
        let Some(text) = text else {
            candle_core::bail!("a row's prompt has no keys and values for attention layer {index}");
        };
        let x = self.attn2.forward(&self.norm2.forward(&x)?, map, Some(&text), control, &x)?;
        let h = self.feed_forward_in.forward(&self.norm3.forward(&x)?)?;
        self.feed_forward_out.forward_added(&h, &x)
    }
}
