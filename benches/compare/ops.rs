//! Our side of the single operations: what the model computes with today, built from a specification.
//!
//! Contract: [`build`] reads what `ops.py` writes and draws the same inputs from the same seeds. It answers `None` for
//! an operation that is not there in that precision; the driver leaves its row out then. A new kernel is pointed at
//! here and nowhere else.

use candle_core::{D, DType, Device, Module, Result, Tensor};
use candle_nn::{GroupNorm, LayerNorm};
use reprompt::diffusion::noise::randn;
use reprompt::diffusion::unet::attend;
use reprompt::kernels::Conv2d;
use serde_json::Value;

/// Carries out the operation once.
pub type Operation = Box<dyn Fn() -> Result<Tensor>>;

/// The operation of a specification, its inputs drawn.
pub fn build(spec: &Value, dtype: DType) -> Result<Option<Operation>> {
    if dtype != DType::F32 {
        return Ok(None);
    }
    let number = |key: &str| spec[key].as_u64().map_or(0, |value| value as usize);
    let rows = number("rows");
    let (channels, side, positions) = (number("channels"), number("side"), number("positions"));
    Ok(Some(match spec["op"].as_str() {
        Some("conv") => {
            let kernel = number("kernel");
            let x = drawn(1, (rows, channels, side, side))?;
            let root = ((channels * kernel * kernel) as f64).sqrt();
            let weight = (drawn(2, (channels, channels, kernel, kernel))? / root)?;
            let conv = Conv2d::new(weight, &drawn(3, channels)?, 1, kernel / 2)?;
            Box::new(move || conv.forward(&x))
        }
        Some("linear") => {
            let (inputs, outputs) = (number("inputs"), number("outputs"));
            let x = drawn(1, (rows, positions, inputs))?;
            let weight = (drawn(2, (outputs, inputs))? / (inputs as f64).sqrt())?.t()?;
            let bias = drawn(3, outputs)?;
            Box::new(move || linear(&x, &weight, &bias))
        }
        Some("group_norm_silu") => {
            let x = drawn(1, (rows, channels, side, side))?;
            let norm = GroupNorm::new(drawn(2, channels)?, drawn(3, channels)?, channels, number("groups"), 1e-5)?;
            Box::new(move || norm.forward(&x)?.silu())
        }
        Some("layer_norm") => {
            let x = drawn(1, (rows, positions, channels))?;
            let norm = LayerNorm::new(drawn(2, channels)?, drawn(3, channels)?, 1e-5);
            Box::new(move || norm.forward(&x))
        }
        Some("softmax") => {
            let x = drawn(1, (rows * number("heads"), positions, number("tokens")))?;
            Box::new(move || candle_nn::ops::softmax_last_dim(&x))
        }
        Some("gelu") => {
            let x = drawn(1, (rows, positions, channels))?;
            Box::new(move || x.gelu_erf())
        }
        Some("geglu") => {
            let x = drawn(1, (rows, positions, 2 * channels))?;
            Box::new(move || {
                let halves = x.chunk(2, D::Minus1)?;
                &halves[0] * halves[1].contiguous()?.gelu_erf()?
            })
        }
        Some("attention") => {
            // One row at a time, as the UNet asks for them. With probabilities and fused are the same here.
            let (heads, tokens, head_dim) = (number("heads"), number("tokens"), number("head_dim"));
            let queries = drawn(1, (rows * heads, positions, head_dim))?;
            let (keys, values) =
                (drawn(2, (rows * heads, tokens, head_dim))?, drawn(3, (rows * heads, tokens, head_dim))?);
            Box::new(move || {
                let of_row = |x: &Tensor, row: usize| x.narrow(0, row * heads, heads);
                let attended: Result<Vec<_>> = (0..rows)
                    .map(|row| attend(&of_row(&queries, row)?, &of_row(&keys, row)?, &of_row(&values, row)?))
                    .collect();
                Tensor::cat(&attended?, 0)
            })
        }
        _ => return Ok(None),
    }))
}

fn drawn(seed: u64, shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    let shape = shape.into();
    Tensor::from_vec(randn(seed, shape.elem_count()), shape, &Device::Cpu)
}

/// `x` `[rows, n, in]`, row by row, as the model's linear layers take it.
fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let products: Result<Vec<_>> = (0..x.dim(0)?).map(|row| x.get(row)?.matmul(weight)).collect();
    Tensor::stack(&products?, 0)?.broadcast_add(bias)
}
