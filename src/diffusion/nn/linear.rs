//! Linear layers, plain and gated.

use candle_core::{D, Result, Tensor};

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::Scope;
use crate::kernels::buffer::as_slice;
use crate::kernels::linear::PackedLinear;

/// `y = x W^T + b` on the last axis.
#[derive(Debug, Clone)]
pub struct Linear(Form);

/// The first half of a linear layer's output times the GELU of the second one (diffusers' `GEGLU`).
#[derive(Debug, Clone)]
pub struct Geglu(Form);

#[derive(Debug, Clone)]
enum Form {
    /// On the CPU.
    Packed(PackedLinear),
    /// Elsewhere: `[in, out]`, a transposed view of the stored weight, and `[out]`.
    Tensors(Tensor, Option<Tensor>),
}

type Loaded<T> = std::result::Result<T, ModelError>;

impl Linear {
    /// Loads `weight` `[output, input]` and `bias` `[output]`.
    pub fn load(scope: &Scope<'_>, input: usize, output: usize) -> Loaded<Self> {
        Form::load(scope, &[output, input], true, PackedLinear::new).map(Self)
    }

    /// Loads `weight` alone, as attention's query, key and value projections have it.
    pub fn load_without_bias(scope: &Scope<'_>, input: usize, output: usize) -> Loaded<Self> {
        Form::load(scope, &[output, input], false, PackedLinear::new).map(Self)
    }

    /// Loads a weight that older files store as a 1x1 convolution, `[output, input, 1, 1]`.
    pub fn load_from_conv1x1(scope: &Scope<'_>, input: usize, output: usize) -> Loaded<Self> {
        Form::load(scope, &[output, input, 1, 1], true, PackedLinear::new).map(Self)
    }

    /// Several layers of one input as one, their outputs one behind the other.
    pub fn join(layers: &[Self]) -> Result<Self> {
        let mut packed = Vec::new();
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for Self(layer) in layers {
            match layer {
                Form::Packed(layer) => packed.push(layer),
                Form::Tensors(weight, Some(bias)) => {
                    weights.push(weight);
                    biases.push(bias);
                }
                Form::Tensors(_, None) => candle_core::bail!("a layer without bias cannot be joined"),
            }
        }
        if packed.is_empty() {
            return Ok(Self(Form::Tensors(Tensor::cat(&weights, 1)?, Some(Tensor::cat(&biases, 0)?))));
        }
        Ok(Self(Form::Packed(PackedLinear::join(&packed))))
    }

    /// `[.., in] -> [.., out]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x, None)
    }

    /// [`Self::forward`], and `residual` `[.., out]` added.
    pub fn forward_added(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.0.forward(x, Some(residual))
    }

    /// [`Self::forward`] of several layers, each on an input `[n, in]` of its own; on the CPU all at once.
    pub fn forward_all(inputs: &[(&Self, Tensor)]) -> Result<Vec<Tensor>> {
        let mut packed = Vec::with_capacity(inputs.len());
        for (Self(layer), x) in inputs {
            match layer {
                Form::Packed(layer) if x.dim(D::Minus1)? == layer.input() => packed.push((layer, as_slice(x)?)),
                Form::Packed(layer) => {
                    candle_core::bail!("a linear layer of {} channels cannot take {:?}", layer.input(), x.dims())
                }
                Form::Tensors(..) => return inputs.iter().map(|(layer, x)| layer.forward(x)).collect(),
            }
        }
        let borrowed: Vec<_> = packed.iter().map(|(layer, x)| (*layer, &**x)).collect();
        let outputs = inputs.iter().zip(&packed).zip(PackedLinear::forward_all(&borrowed));
        outputs.map(|(((_, x), (layer, _)), y)| Tensor::from_vec(y, (x.dim(0)?, layer.output()), x.device())).collect()
    }
}

impl Geglu {
    /// Loads `weight` `[2 * inner, input]` and `bias` `[2 * inner]`.
    pub fn load(scope: &Scope<'_>, input: usize, inner: usize) -> Loaded<Self> {
        Form::load(scope, &[2 * inner, input], true, PackedLinear::geglu).map(Self)
    }

    /// `[.., in] -> [.., inner]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.0.forward(x, None)?;
        match &self.0 {
            Form::Packed(_) => Ok(y),
            Form::Tensors(..) => {
                let halves = y.chunk(2, D::Minus1)?;
                &halves[0] * halves[1].contiguous()?.gelu_erf()?
            }
        }
    }
}

impl Form {
    fn load(
        scope: &Scope<'_>,
        shape: &[usize],
        has_bias: bool,
        pack: impl Fn(&[f32], Option<&[f32]>, usize, bool) -> PackedLinear,
    ) -> Loaded<Self> {
        let (output, input) = (shape[0], shape[1]);
        if scope.compute().device.is_cpu() {
            let weight = scope.numbers("weight", shape)?;
            let bias = has_bias.then(|| scope.numbers("bias", &[output])).transpose()?;
            return Ok(Self::Packed(pack(&weight, bias.as_deref(), input, scope.multiplies_bf16())));
        }
        let weight = scope.tensor("weight", shape)?.reshape((output, input))?.t()?;
        Ok(Self::Tensors(weight, has_bias.then(|| scope.tensor("bias", &[output])).transpose()?))
    }

    fn forward(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let mut dims = x.dims().to_vec();
        let Some(last) = dims.last_mut() else {
            candle_core::bail!("a linear layer wants an axis");
        };
        match self {
            Self::Packed(layer) => {
                if *last != layer.input() {
                    candle_core::bail!("a linear layer of {} channels cannot take {:?}", layer.input(), x.dims());
                }
                *last = layer.output();
                let residual = residual.map(as_slice).transpose()?;
                let y = layer.forward(&as_slice(x)?, residual.as_deref());
                Tensor::from_vec(y, dims, x.device())
            }
            Self::Tensors(weight, bias) => {
                let input = *last;
                *last = weight.dim(1)?;
                let y = x.reshape(((), input))?.matmul(weight)?;
                let y = bias.as_ref().map_or_else(|| Ok(y.clone()), |bias| y.broadcast_add(bias))?.reshape(dims)?;
                residual.map_or_else(|| Ok(y.clone()), |residual| &y + residual)
            }
        }
    }
}
