//! The conditional UNet of Stable Diffusion 1.x and 2.x, with attention that a caller can control.
//!
//! Structure and names follow diffusers' `UNet2DConditionModel`. A batch's rows are independent: each has its own
//! latent, timestep and prompt, and on the CPU its output does not depend on the other rows.

mod attention;
mod blocks;
mod config;
mod sample_size;
mod timestep;
mod transformer;

use std::ops::Range;
use std::sync::Mutex;

use candle_core::{Result, Tensor};

pub use attention::{AttentionControl, AttentionKind, AttentionSite, NoControl};
pub(crate) use attention::{AttentionRow, Captured, PlannedTerm, RowPlan};
pub(crate) use config::UNetConfig;

use crate::diffusion::conditioning::{Conditioning, KeyValue, TextContext};
use crate::diffusion::error::ModelError;
use crate::diffusion::nn::{Compute, Conv2d, ConvInput, GroupNorm, Linear, ResnetOptions, SAME};
use crate::diffusion::unet::attention::{AskedInTurn, PartOfBatch};
use crate::diffusion::unet::blocks::{Counters, DownBlock, MidBlock, UpBlock};
use crate::diffusion::unet::timestep::TimestepEmbedding;
use crate::diffusion::unet::transformer::Transformer;
use crate::diffusion::weights::Weights;
use crate::diffusion::weights::files::ModelFiles;
use crate::kernels::pool::{for_each, threads};
use crate::sync::{into_inner, lock};

const WEIGHTS: &[&str] = &["unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"];

/// Rows that go through the network together on the CPU, where threads share each operation. Larger batches are slower:
/// the activations of more than two rows do not fit the cache.
const CPU_ROWS: usize = 2;

/// A latent, a timestep and a conditioning for each row.
struct Batch<'a> {
    latents: &'a Tensor,
    timesteps: &'a [f64],
    conditionings: &'a [&'a Conditioning],
}

/// The loaded UNet.
#[derive(Debug)]
pub struct UNet {
    config: UNetConfig,
    timestep_embedding: TimestepEmbedding,
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    attention_layers: usize,
}

impl UNet {
    /// Loads the UNet of `model`.
    pub fn load(model: &ModelFiles, compute: &Compute) -> std::result::Result<Self, ModelError> {
        let config = UNetConfig::load(model)?;
        let weights = Weights::open(model, model.first_of(WEIGHTS)?, compute)?;
        let whole = weights.root();
        // Of the blocks, the coarsest level's and the feed-forward layers are not sensitive.
        let root = whole.precise();
        let (first, last) = (config.levels[0].channels, config.levels.len() - 1);
        let (height, width) = config.sample_size;
        let resnet = |level: usize| ResnetOptions {
            groups: config.norm_num_groups,
            eps: config.norm_eps,
            activation: config.activation,
            time_embed: Some(first * 4),
            positions: Some((height >> level) * (width >> level)),
            is_sensitive: level < last || last == 0,
        };
        let mut counters = Counters::default();
        let mut down_blocks = Vec::new();
        for (index, level) in config.levels.iter().enumerate() {
            let input = config.levels[index.saturating_sub(1)].channels;
            let scope = whole.at("down_blocks").at(index);
            let downsample = index != last;
            down_blocks.push(DownBlock::load(&scope, &config, level, input, downsample, resnet(index), &mut counters)?);
        }
        let mid_block = MidBlock::load(&whole.at("mid_block"), &config, resnet(last), &mut counters)?;
        let mut up_blocks = Vec::new();
        for (index, level) in config.levels.iter().rev().enumerate() {
            let channels_at = |level: usize| config.levels[level].channels;
            let level_index = last - index;
            let input = channels_at((level_index + 1).min(last));
            let skip = channels_at(level_index.saturating_sub(1));
            let scope = whole.at("up_blocks").at(index);
            let upsample = index != last;
            up_blocks.push(UpBlock::load(
                &scope,
                &config,
                level,
                (input, skip),
                upsample,
                resnet(level_index),
                &mut counters,
            )?);
        }
        Ok(Self {
            timestep_embedding: TimestepEmbedding::load(
                &root.at("time_embedding"),
                &config,
                Linear::join(&counters.time.layers)?,
            )?,
            conv_in: Conv2d::load(&root.at("conv_in"), config.in_channels, first, SAME, None)?,
            down_blocks,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNorm::load(&root.at("conv_norm_out"), first, config.norm_num_groups, config.norm_eps)?,
            conv_out: Conv2d::load(&root.at("conv_out"), first, config.out_channels, SAME, None)?,
            attention_layers: counters.next_site,
            config,
        })
    }

    /// The UNet's shape.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// All attention layers for latents of `height` x `width`, in the order in which they run.
    pub fn sites(&self, height: usize, width: usize) -> Vec<AttentionSite> {
        // A downsampling convolution with stride 2 and padding 1 rounds up.
        let mut sizes = vec![(height, width)];
        for _ in 1..self.config.levels.len() {
            let (h, w) = sizes[sizes.len() - 1];
            sizes.push((h.div_ceil(2), w.div_ceil(2)));
        }
        let sites = |transformer: &Transformer, (h, w): (usize, usize)| transformer.sites(h, w).collect::<Vec<_>>();
        let down = self.down_blocks.iter().map(DownBlock::transformers).zip(sizes.iter().copied());
        let up = self.up_blocks.iter().map(UpBlock::transformers).zip(sizes.iter().rev().copied());
        let down = down.flat_map(|(of_level, size)| of_level.flat_map(move |transformer| sites(transformer, size)));
        let up = up.flat_map(|(of_level, size)| of_level.flat_map(move |transformer| sites(transformer, size)));
        let coarsest = sizes[sizes.len() - 1];
        let mid = self.mid_block.transformers().flat_map(|transformer| sites(transformer, coarsest));
        down.chain(mid).chain(up).collect()
    }

    /// The conditioning of a prompt's embeddings `[tokens, width]`.
    pub(crate) fn condition(&self, embeddings: &Tensor) -> Result<Conditioning> {
        let mut key_values = vec![None; self.attention_layers];
        for transformer in self.transformers() {
            transformer.key_values(embeddings, &mut key_values)?;
        }
        Ok(Conditioning { context: TextContext::new(key_values) })
    }

    /// `latents` `[rows, channels, h, w]`, a timestep and a conditioning for each row -> the model's output of the same
    /// shape: noise or velocity, as the noise schedule says.
    pub fn forward(
        &self,
        latents: &Tensor,
        timesteps: &[f64],
        conditionings: &[&Conditioning],
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        if latents.dim(0)? != timesteps.len() || timesteps.len() != conditionings.len() {
            candle_core::bail!(
                "expected a latent, a timestep and a conditioning for each row, got {}, {} and {}",
                latents.dim(0)?,
                timesteps.len(),
                conditionings.len()
            );
        }
        if !latents.device().is_cpu() {
            return self.forward_together(latents, timesteps, conditionings, control);
        }
        let batch = Batch { latents, timesteps, conditionings };
        let (rows, threads) = (timesteps.len(), threads());
        // As many rows as threads go through the network beside each other: a thread with a row of its own hardly
        // waits.
        let beside = if threads > 1 { rows / threads * threads } else { 0 };
        let done: Vec<Mutex<Option<Result<Tensor>>>> = (0..beside).map(|_| Mutex::default()).collect();
        let in_turn = Mutex::new(control);
        for_each(beside, |row| {
            let output = self.forward_part(&batch, row..row + 1, &mut AskedInTurn(&in_turn));
            *lock(&done[row]) = Some(output);
        });
        let mut outputs = Vec::with_capacity(rows);
        for output in done {
            outputs.push(into_inner(output).unwrap_or_else(|| candle_core::bail!("a row was not computed"))?);
        }
        // The others share each operation among all threads.
        let control = into_inner(in_turn);
        for first in (beside..rows).step_by(CPU_ROWS) {
            outputs.push(self.forward_part(&batch, first..rows.min(first + CPU_ROWS), control)?);
        }
        Tensor::cat(&outputs, 0)
    }

    /// Some rows of a batch.
    fn forward_part(
        &self,
        batch: &Batch<'_>,
        part: Range<usize>,
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        let latents = batch.latents.narrow(0, part.start, part.len())?.contiguous()?;
        let control = &mut PartOfBatch { control, first: part.start };
        self.forward_together(&latents, &batch.timesteps[part.clone()], &batch.conditionings[part], control)
    }

    fn forward_together(
        &self,
        latents: &Tensor,
        timesteps: &[f64],
        conditionings: &[&Conditioning],
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        let text: Vec<&[Option<KeyValue>]> = conditionings.iter().map(|of_row| of_row.context.all()).collect();
        let time = self.timestep_embedding.forward(timesteps)?;
        let mut h = self.conv_in.forward(&latents.permute((0, 2, 3, 1))?.contiguous()?)?;
        let mut skips = vec![h.clone()];
        for block in &self.down_blocks {
            h = block.forward(&h, &time, &text, control, &mut skips)?;
        }
        h = self.mid_block.forward(&h, &time, &text, control)?;
        for block in &self.up_blocks {
            h = block.forward(&h, &time, &text, control, &mut skips)?;
        }
        let (norm, activation) = (Some(&self.conv_norm_out), Some(self.config.activation));
        let output = self.conv_out.forward(ConvInput { norm, activation, ..ConvInput::from(&h) })?;
        output.permute((0, 3, 1, 2))?.contiguous()
    }

    fn transformers(&self) -> impl Iterator<Item = &Transformer> {
        let down = self.down_blocks.iter().flat_map(DownBlock::transformers);
        let up = self.up_blocks.iter().flat_map(UpBlock::transformers);
        down.chain(self.mid_block.transformers()).chain(up)
    }
}
