//! Group norm and layer norm, channels last.

use candle_core::{D, Module, Result, Tensor};

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::Scope;
use crate::kernels::buffer::as_slice;
use crate::kernels::norm::{Affine, group_norm, layer_norm};

type Loaded<T> = std::result::Result<T, ModelError>;

/// Group norm over `[rows, .., channels]`.
#[derive(Debug, Clone)]
pub struct GroupNorm {
    form: Form,
    groups: usize,
    eps: f64,
}

/// Layer norm over the last axis.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    form: Form,
    eps: f64,
}

/// Weight and bias, `[channels]` each.
#[derive(Debug, Clone)]
enum Form {
    /// On the CPU.
    Numbers(Vec<f32>, Vec<f32>),
    /// Elsewhere.
    Tensors(Tensor, Tensor),
}

impl Form {
    fn load(scope: &Scope<'_>, channels: usize) -> Loaded<Self> {
        Ok(if scope.compute().device.is_cpu() {
            Self::Numbers(scope.numbers("weight", &[channels])?, scope.numbers("bias", &[channels])?)
        } else {
            Self::Tensors(scope.tensor("weight", &[channels])?, scope.tensor("bias", &[channels])?)
        })
    }
}

impl GroupNorm {
    /// Loads the norm of `channels` in `groups`.
    pub fn load(scope: &Scope<'_>, channels: usize, groups: usize, eps: f64) -> Loaded<Self> {
        Ok(Self { form: Form::load(scope, channels)?, groups, eps })
    }

    /// `[rows, .., channels]` -> the same, normalized.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.form {
            Form::Numbers(weight, _) => {
                let affine = self.affine(x)?;
                let y = affine.apply(&as_slice(x)?, x.dim(0)?, weight.len(), None);
                Tensor::from_vec(y, x.dims(), x.device())
            }
            Form::Tensors(..) => {
                let (rows, channels) = (x.dim(0)?, x.dim(D::Minus1)?);
                let y =
                    self.forward_channels_first(&x.reshape((rows, (), channels))?.transpose(1, 2)?.contiguous()?)?;
                y.transpose(1, 2)?.contiguous()?.reshape(x.dims())
            }
        }
    }

    /// What normalizes `x`, on the CPU.
    pub(crate) fn affine(&self, x: &Tensor) -> Result<Affine> {
        let Form::Numbers(weight, bias) = &self.form else {
            candle_core::bail!("expected a norm on the CPU");
        };
        let (rows, channels) = (x.dim(0)?, x.dim(D::Minus1)?);
        if channels != weight.len() {
            candle_core::bail!("a norm of {} channels cannot take {:?}", weight.len(), x.dims());
        }
        Ok(group_norm(&as_slice(x)?, rows, self.groups, weight, bias, self.eps))
    }

    /// `[rows, channels, ..]`, elsewhere than on the CPU.
    pub(crate) fn forward_channels_first(&self, x: &Tensor) -> Result<Tensor> {
        let Form::Tensors(weight, bias) = &self.form else {
            candle_core::bail!("expected a norm on the device, got one on the CPU");
        };
        candle_nn::GroupNorm::new(weight.clone(), bias.clone(), weight.dim(0)?, self.groups, self.eps)?.forward(x)
    }
}

impl LayerNorm {
    /// Loads the norm of `channels`.
    pub fn load(scope: &Scope<'_>, channels: usize, eps: f64) -> Loaded<Self> {
        Ok(Self { form: Form::load(scope, channels)?, eps })
    }

    /// `[.., channels]` -> the same, normalized.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.form {
            Form::Numbers(weight, bias) => {
                if x.dim(D::Minus1)? != weight.len() {
                    candle_core::bail!("a norm of {} channels cannot take {:?}", weight.len(), x.dims());
                }
                #[allow(clippy::cast_possible_truncation)]
                let y = layer_norm(&as_slice(x)?, weight, bias, self.eps as f32);
                Tensor::from_vec(y, x.dims(), x.device())
            }
            Form::Tensors(weight, bias) => candle_nn::LayerNorm::new(weight.clone(), bias.clone(), self.eps).forward(x),
        }
    }
}
