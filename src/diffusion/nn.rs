//! The few layers that the text encoder, the UNet and the VAE share, loaded with checked shapes.
//!
//! Every layer computes each row of a batch on its own: a row's bytes do not depend on what shares its batch.
//! Convolutions and norms do so already; candle's matrix product folds the batch into one larger product,
//! whose blocking (and so whose rounding) depends on the number of rows, so [`Linear`] takes the rows one by one.

use candle_core::{D, Module, Result, Tensor};
use candle_nn::{GroupNorm, LayerNorm};

use super::error::ModelError;
use super::weights::Scope;
use crate::kernels::Conv2d;

/// `y = x W^T + b` on the last axis.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[in, out]`: a transposed view of the stored `[out, in]`.
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Loads `weight` `[output, input]` and `bias` `[output]`.
    pub fn load(scope: &Scope<'_>, input: usize, output: usize) -> std::result::Result<Self, ModelError> {
        Ok(Self {
            weight: scope.tensor("weight", &[output, input])?.t()?,
            bias: Some(scope.tensor("bias", &[output])?),
        })
    }

    /// Loads `weight` alone, as attention's query, key and value projections have it.
    pub fn load_without_bias(scope: &Scope<'_>, input: usize, output: usize) -> std::result::Result<Self, ModelError> {
        Ok(Self { weight: scope.tensor("weight", &[output, input])?.t()?, bias: None })
    }

    /// Loads a weight that older files store as a 1x1 convolution, `[output, input, 1, 1]`.
    pub fn load_from_conv1x1(scope: &Scope<'_>, input: usize, output: usize) -> std::result::Result<Self, ModelError> {
        let weight = scope.tensor("weight", &[output, input, 1, 1])?;
        Ok(Self { weight: weight.reshape((output, input))?.t()?, bias: Some(scope.tensor("bias", &[output])?) })
    }

    /// `[n, in] -> [n, out]` or `[rows, n, in] -> [rows, n, out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match *x.dims() {
            [rows, _, _] if rows > 1 => {
                let products: Result<Vec<_>> = (0..rows).map(|row| x.get(row)?.matmul(&self.weight)).collect();
                Tensor::stack(&products?, 0)?
            }
            [1, n, _] => x.squeeze(0)?.matmul(&self.weight)?.reshape((1, n, ()))?,
            _ => x.matmul(&self.weight)?,
        };
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// A square convolution: `[rows, in, h, w] -> [rows, out, h', w']`.
pub fn conv2d(
    scope: &Scope<'_>,
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> std::result::Result<Conv2d, ModelError> {
    let weight = scope.tensor("weight", &[output, input, kernel, kernel])?;
    let bias = scope.tensor("bias", &[output])?;
    Ok(Conv2d::new(weight, &bias, stride, padding)?)
}

/// Group norm over `[rows, channels, h, w]`.
pub fn group_norm(
    scope: &Scope<'_>,
    channels: usize,
    groups: usize,
    eps: f64,
) -> std::result::Result<GroupNorm, ModelError> {
    let weight = scope.tensor("weight", &[channels])?;
    let bias = scope.tensor("bias", &[channels])?;
    Ok(GroupNorm::new(weight, bias, channels, groups, eps)?)
}

/// Layer norm over the last axis.
pub fn layer_norm(scope: &Scope<'_>, channels: usize, eps: f64) -> std::result::Result<LayerNorm, ModelError> {
    let weight = scope.tensor("weight", &[channels])?;
    let bias = scope.tensor("bias", &[channels])?;
    Ok(LayerNorm::new(weight, bias, eps))
}

/// The activations that configurations of this family name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// The exact GELU, by the error function.
    Gelu,
    /// CLIP's `x sigmoid(1.702 x)`.
    QuickGelu,
}

impl Activation {
    /// Reads the name as diffusers and transformers write it.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "silu" | "swish" => Some(Self::Silu),
            "gelu" => Some(Self::Gelu),
            "quick_gelu" => Some(Self::QuickGelu),
            _ => None,
        }
    }

    /// Applies the activation element by element.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Silu => x.silu(),
            Self::Gelu => x.gelu_erf(),
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
        }
    }
}

/// diffusers' `ResnetBlock2D`: norm, activation, convolution, twice, the timestep embedding added between.
#[derive(Debug)]
pub struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
    activation: Activation,
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
}

impl ResnetBlock {
    /// Loads a block from `input` to `output` channels.
    pub fn load(
        scope: &Scope<'_>,
        input: usize,
        output: usize,
        options: ResnetOptions,
    ) -> std::result::Result<Self, ModelError> {
        let ResnetOptions { groups, eps, activation, time_embed } = options;
        Ok(Self {
            norm1: group_norm(&scope.at("norm1"), input, groups, eps)?,
            conv1: conv2d(&scope.at("conv1"), input, output, 3, 1, 1)?,
            time_emb_proj: time_embed
                .map(|width| Linear::load(&scope.at("time_emb_proj"), width, output))
                .transpose()?,
            norm2: group_norm(&scope.at("norm2"), output, groups, eps)?,
            conv2: conv2d(&scope.at("conv2"), output, output, 3, 1, 1)?,
            shortcut: (input != output)
                .then(|| conv2d(&scope.at("conv_shortcut"), input, output, 1, 1, 0))
                .transpose()?,
            activation,
        })
    }

    /// `x` `[rows, in, h, w]`, `time_embedding` `[rows, 1, width]` (one a row) -> `[rows, out, h, w]`.
    pub fn forward(&self, x: &Tensor, time_embedding: Option<&Tensor>) -> Result<Tensor> {
        let mut h = self.conv1.forward(&self.activation.forward(&self.norm1.forward(x)?)?)?;
        if let (Some(projection), Some(embedding)) = (&self.time_emb_proj, time_embedding) {
            let shift = projection.forward(&self.activation.forward(embedding)?)?;
            h = h.broadcast_add(&shift.squeeze(1)?.unsqueeze(D::Minus1)?.unsqueeze(D::Minus1)?)?;
        }
        let h = self.conv2.forward(&self.activation.forward(&self.norm2.forward(&h)?)?)?;
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x)? + h,
            None => x + h,
        }
    }
}
