//! The layers that the text encoder, the UNet and the VAE share, loaded with checked shapes.
//!
//! Feature maps are channels last everywhere, `[rows, h, w, channels]` and `[rows, h * w, channels]`: convolutions,
//! projections, norms and attention all read them so, and nothing is laid out anew between them. On the CPU a
//! layer is a kernel over weights that were packed when the model was loaded; elsewhere it is candle's operation.
//!
//! Every layer computes each row of a batch on its own: on the CPU a row's bytes do not depend on what shares its
//! batch, nor on the number of threads.

mod attention;
mod conv;
mod linear;
mod norm;
mod resnet;

use candle_core::{DType, Device, Result, Tensor};

pub use attention::tensor_bytes;
pub(crate) use attention::{Keys, RowTerms, Term, Values, attend, key_value_bytes};
pub(crate) use conv::{Conv2d, ConvInput};
pub(crate) use linear::{Geglu, Linear};
pub(crate) use norm::{GroupNorm, LayerNorm};
pub(crate) use resnet::{POINT, ResnetBlock, ResnetOptions, SAME, TimeProjections, TimeShift};

pub(crate) use crate::kernels::activation::Activation;

/// Where a model computes, and in what.
#[derive(Debug, Clone)]
pub struct Compute {
    /// Where tensors live.
    pub device: Device,
    /// On a GPU, the type of all tensors. On the CPU f32 or bf16: feature maps are f32, and with bf16 some layers multiply
    /// in bf16, except those under [`Scope::precise`](crate::diffusion::weights::Scope::precise): attention amplifies errors of
    /// its projections, and errors of the fine levels' residual blocks spread to all others.
    pub dtype: DType,
}

impl Compute {
    /// The type of feature maps.
    pub fn activations(&self) -> DType {
        if self.device.is_cpu() { DType::F32 } else { self.dtype }
    }
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
        if x.device().is_cpu() {
            let y = self.apply(&crate::kernels::buffer::as_slice(x)?);
            return Tensor::from_vec(y, x.dims(), x.device());
        }
        match self {
            Self::Silu => x.silu(),
            Self::Gelu => x.gelu_erf(),
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
        }
    }
}

/// `[rows, h, w, a]` and `[rows, h, w, b]` -> `[rows, h, w, a + b]`.
pub fn concat_channels(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !a.device().is_cpu() {
        return Tensor::cat(&[a, b], 3);
    }
    let ((rows, height, width, a_channels), (b_rows, b_height, b_width, b_channels)) = (a.dims4()?, b.dims4()?);
    if (rows, height, width) != (b_rows, b_height, b_width) {
        candle_core::bail!("maps of {:?} and {:?} are not of one size", a.dims(), b.dims());
    }
    let (a_numbers, b_numbers) = (crate::kernels::buffer::as_slice(a)?, crate::kernels::buffer::as_slice(b)?);
    let joined = crate::kernels::buffer::concat((&a_numbers, a_channels), (&b_numbers, b_channels));
    Tensor::from_vec(joined, (rows, height, width, a_channels + b_channels), a.device())
}
