//! Convolutions, fused with the normalization and upsampling of their input and the additions to their output.

use candle_core::{Module, Result, Tensor};
use candle_nn::Conv2dConfig;

use crate::diffusion::error::ModelError;
use crate::diffusion::nn::norm::GroupNorm;
use crate::diffusion::nn::{Activation, TimeShift};
use crate::diffusion::weights::Scope;
use crate::kernels::buffer::as_slice;
use crate::kernels::conv2d::{After, Before, Geometry, Images, PackedConv2d};

/// A square convolution, `[rows, h, w, in] -> [rows, h', w', out]`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    form: Form,
    geometry: Geometry,
}

#[derive(Debug, Clone)]
enum Form {
    /// On the CPU.
    Packed(PackedConv2d),
    /// Elsewhere: `[out, in, kernel, kernel]` and `[out]`.
    Tensors(Tensor, Tensor),
}

/// What goes into a convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvInput<'a> {
    /// `[rows, h, w, in]`
    pub x: &'a Tensor,
    /// Normalizes it first.
    pub norm: Option<&'a GroupNorm>,
    /// Comes after the norm.
    pub activation: Option<Activation>,
    /// Height and width to which the nearest position is taken.
    pub upsampled: Option<(usize, usize)>,
}

impl<'a> From<&'a Tensor> for ConvInput<'a> {
    fn from(x: &'a Tensor) -> Self {
        Self { x, norm: None, activation: None, upsampled: None }
    }
}

impl Conv2d {
    /// Loads `weight` `[output, input, kernel, kernel]` and `bias` `[output]`. `positions` are those of its output in
    /// images of the model's own size, where that is known.
    pub fn load(
        scope: &Scope<'_>,
        input: usize,
        output: usize,
        geometry: Geometry,
        positions: Option<usize>,
    ) -> std::result::Result<Self, ModelError> {
        let shape = [output, input, geometry.kernel, geometry.kernel];
        let form = if scope.compute().device.is_cpu() {
            let (weight, bias) = (scope.numbers("weight", &shape)?, scope.numbers("bias", &[output])?);
            Form::Packed(PackedConv2d::new(&weight, &bias, geometry, scope.multiplies_bf16(), positions))
        } else {
            Form::Tensors(scope.tensor("weight", &shape)?, scope.tensor("bias", &[output])?)
        };
        Ok(Self { form, geometry })
    }

    /// Convolves.
    pub fn forward<'a>(&self, input: impl Into<ConvInput<'a>>) -> Result<Tensor> {
        self.forward_added(input, None, None)
    }

    /// Convolves, and adds a shift to every position of a row, and a residual `[rows, h', w', out]`.
    pub fn forward_added<'a>(
        &self,
        input: impl Into<ConvInput<'a>>,
        shift: Option<TimeShift<'_>>,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let input = input.into();
        let (rows, height, width, _) = input.x.dims4()?;
        let sides = input.upsampled.unwrap_or((height, width));
        let (Some(out_height), Some(out_width)) =
            (self.geometry.output_side(sides.0), self.geometry.output_side(sides.1))
        else {
            candle_core::bail!("{height} x {width} is too small for a kernel of {}", self.geometry.kernel);
        };
        match &self.form {
            Form::Packed(conv) => {
                let norm = input.norm.map(|norm| norm.affine(input.x)).transpose()?;
                let numbers = as_slice(input.x)?;
                let images = Images { numbers: &numbers, count: rows, height, width };
                let before = Before { norm: norm.as_ref(), activation: input.activation, upsampled: input.upsampled };
                let shift = shift.map(|shift| shift.numbers()).transpose()?;
                let residual = residual.map(as_slice).transpose()?;
                let after = After { shift: shift.as_deref(), residual: residual.as_deref() };
                let y = conv.forward(images, before, after);
                Tensor::from_vec(y, (rows, out_height, out_width, conv.output()), input.x.device())
            }
            Form::Tensors(weight, bias) => {
                // candle convolves channels first.
                let mut x = input.x.permute((0, 3, 1, 2))?.contiguous()?;
                if let Some(norm) = input.norm {
                    x = norm.forward_channels_first(&x)?;
                }
                if let Some(activation) = input.activation {
                    x = activation.forward(&x)?;
                }
                if let Some((height, width)) = input.upsampled {
                    x = x.upsample_nearest2d(height, width)?;
                }
                let Geometry { before, after, stride, .. } = self.geometry;
                let mut config = Conv2dConfig { stride, ..Conv2dConfig::default() };
                if before == after {
                    config.padding = before;
                } else {
                    x = x.pad_with_zeros(2, before, after)?.pad_with_zeros(3, before, after)?;
                }
                let y = candle_nn::Conv2d::new(weight.clone(), Some(bias.clone()), config).forward(&x)?;
                let mut y = y.permute((0, 2, 3, 1))?.contiguous()?;
                if let Some(shift) = shift {
                    y = y.broadcast_add(&shift.tensor()?.unsqueeze(1)?.unsqueeze(1)?)?;
                }
                residual.map_or_else(|| Ok(y.clone()), |residual| &y + residual)
            }
        }
    }
}
