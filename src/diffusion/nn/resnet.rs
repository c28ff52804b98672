//! diffusers' `ResnetBlock2D`: norm, activation, convolution, twice, the timestep's shift added between.

use candle_core::{Result, Tensor};

use crate::diffusion::error::ModelError;
use crate::diffusion::nn::{Activation, Conv2d, ConvInput, GroupNorm, Linear};
use crate::diffusion::weights::Scope;
use crate::kernels::buffer::as_slice;
use crate::kernels::conv2d::Geometry;

/// A kernel of 3 x 3 that keeps the size.
pub const SAME: Geometry = Geometry { kernel: 3, stride: 1, before: 1, after: 1 };
/// A kernel of one position.
pub const POINT: Geometry = Geometry { kernel: 1, stride: 1, before: 0, after: 0 };

/// What a timestep adds to the channels of a residual block: columns of a tensor that holds those of all blocks.
#[derive(Debug, Clone, Copy)]
pub struct TimeShift<'a> {
    /// `[rows, channels of all blocks]`
    pub all: &'a Tensor,
    /// The block's first column.
    pub start: usize,
    /// The block's channels.
    pub channels: usize,
}

impl TimeShift<'_> {
    /// `[rows, channels]`
    pub(crate) fn tensor(&self) -> Result<Tensor> {
        self.all.narrow(1, self.start, self.channels)
    }

    /// `[rows, channels]` on the CPU.
    pub(crate) fn numbers(&self) -> Result<Vec<f32>> {
        let width = self.all.dim(1)?;
        let all = as_slice(self.all)?;
        Ok(all.chunks_exact(width).flat_map(|row| &row[self.start..self.start + self.channels]).copied().collect())
    }
}

/// A residual block.
#[derive(Debug)]
pub struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    /// Where the timestep's columns begin.
    time: Option<usize>,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
    activation: Activation,
    output: usize,
}

/// What the residual blocks of one network have in common.
#[derive(Debug, Clone, Copy)]
pub struct ResnetOptions {
    /// Groups of the group norms.
    pub groups: usize,
    /// Epsilon of the group norms.
    pub eps: f64,
    /// The activation before each convolution.
    pub activation: Activation,
    /// Width of the timestep embedding; `None` in the VAE.
    pub time_embed: Option<usize>,
    /// Positions of the block's map in images of the model's own size, where that is known.
    pub positions: Option<usize>,
    /// Whether bf16 would show: the layers are [precise](crate::diffusion::weights::Scope::precise).
    pub is_sensitive: bool,
}

/// The timestep's projections of all residual blocks that were loaded so far.
#[derive(Debug, Default)]
pub struct TimeProjections {
    /// One a block, `[time_embed] -> [channels]`.
    pub layers: Vec<Linear>,
    /// Channels of all of them.
    pub channels: usize,
}

impl ResnetBlock {
    /// Loads a block from `input` to `output` channels; its projection of the timestep goes to the others'.
    pub fn load(
        scope: &Scope<'_>,
        input: usize,
        output: usize,
        options: ResnetOptions,
        projections: &mut TimeProjections,
    ) -> std::result::Result<Self, ModelError> {
        let ResnetOptions { groups, eps, activation, time_embed, positions, is_sensitive } = options;
        let precise = scope.precise();
        let scope = if is_sensitive { &precise } else { scope };
        let time = match time_embed {
            Some(width) => {
                projections.layers.push(Linear::load(&precise.at("time_emb_proj"), width, output)?);
                projections.channels += output;
                Some(projections.channels - output)
            }
            None => None,
        };
        Ok(Self {
            norm1: GroupNorm::load(&scope.at("norm1"), input, groups, eps)?,
            conv1: Conv2d::load(&scope.at("conv1"), input, output, SAME, positions)?,
            time,
            norm2: GroupNorm::load(&scope.at("norm2"), output, groups, eps)?,
            conv2: Conv2d::load(&scope.at("conv2"), output, output, SAME, positions)?,
            shortcut: (input != output)
                .then(|| Conv2d::load(&scope.at("conv_shortcut"), input, output, POINT, positions))
                .transpose()?,
            activation,
            output,
        })
    }

    /// `x` `[rows, h, w, in]`, `time` the shifts of all blocks -> `[rows, h, w, out]`.
    pub fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let activation = Some(self.activation);
        let normed = |x, norm| ConvInput { norm: Some(norm), activation, ..ConvInput::from(x) };
        let shift = self.time.zip(time).map(|(start, all)| TimeShift { all, start, channels: self.output });
        let h = self.conv1.forward_added(normed(x, &self.norm1), shift, None)?;
        let short = self.shortcut.as_ref().map(|shortcut| shortcut.forward(x)).transpose()?;
        self.conv2.forward_added(normed(&h, &self.norm2), None, Some(short.as_ref().unwrap_or(x)))
    }
}
