//! The side of `reprompt` of the single operations: the model's kernels, built from a specification.
//!
//! Contract: [`build`] reads the specifications of `ops.py` and draws the same inputs from the same seeds, in the
//! model's layout, channels last. It returns `None` for an operation that does not exist in that precision; the driver
//! then skips the row. A new kernel is added only here.

use candle_core::{DType, Device, Result, Tensor};
use reprompt::diffusion::noise::randn;
use reprompt::kernels::activation::Activation;
use reprompt::kernels::attention::{Heads, Keys, Row, Term, Values, attend};
use reprompt::kernels::conv2d::{After, Before, Geometry, Images, PackedConv2d};
use reprompt::kernels::linear::PackedLinear;
use reprompt::kernels::norm::{group_norm, layer_norm};
use serde_json::Value;

/// An operation with its inputs.
pub struct Operation {
    /// Runs it once.
    pub run: Box<dyn Fn() -> Result<Tensor>>,
    /// Brings its result into PyTorch's layout.
    pub shown: Box<Shown>,
}

type Shown = dyn Fn(&Tensor) -> Result<Tensor>;

/// The operation of a specification, with its inputs drawn.
pub fn build(spec: &Value, dtype: DType) -> Result<Option<Operation>> {
    let is_bf16 = dtype == DType::BF16;
    let number = |key: &str| spec[key].as_u64().map_or(0, |value| value as usize);
    let rows = number("rows");
    let (channels, side, positions) = (number("channels"), number("side"), number("positions"));
    let tensor = move |numbers: Vec<f32>, width: usize| {
        let shape = (rows, numbers.len() / rows / width, width);
        Tensor::from_vec(numbers, shape, &Device::Cpu)
    };
    Ok(Some(match spec["op"].as_str() {
        Some("conv") => {
            let kernel = number("kernel");
            let x = channels_last(1, (rows, channels, side, side))?;
            let weight = divided(2, channels * channels * kernel * kernel, channels * kernel * kernel);
            let geometry = Geometry { kernel, stride: 1, before: kernel / 2, after: kernel / 2 };
            let conv = PackedConv2d::new(&weight, &randn(3, channels), geometry, is_bf16, Some(side * side));
            Operation {
                run: Box::new(move || {
                    let images = Images { numbers: &x, count: rows, height: side, width: side };
                    tensor_of(conv.forward(images, Before::default(), After::default()), (rows, side, side, channels))
                }),
                shown: Box::new(channels_first),
            }
        }
        Some("linear") => {
            let (inputs, outputs) = (number("inputs"), number("outputs"));
            let x = randn(1, rows * positions * inputs);
            let weight = divided(2, outputs * inputs, inputs);
            let layer = PackedLinear::new(&weight, Some(&randn(3, outputs)), inputs, is_bf16);
            same(move || tensor(layer.forward(&x, None), outputs))
        }
        Some("geglu") => {
            let inputs = channels / 4;
            let x = randn(1, rows * positions * inputs);
            let weight = divided(2, 2 * channels * inputs, inputs);
            let layer = PackedLinear::geglu(&weight, Some(&randn(3, 2 * channels)), inputs, is_bf16);
            same(move || tensor(layer.forward(&x, None), channels))
        }
        // Everything after the multiplication is computed in f32, in any precision.
        _ if is_bf16 => return Ok(None),
        Some("group_norm_silu") => {
            let x = channels_last(1, (rows, channels, side, side))?;
            let (weight, bias, groups) = (randn(2, channels), randn(3, channels), number("groups"));
            Operation {
                run: Box::new(move || {
                    let affine = group_norm(&x, rows, groups, &weight, &bias, 1e-5);
                    let y = affine.apply(&x, rows, channels, Some(Activation::Silu));
                    tensor_of(y, (rows, side, side, channels))
                }),
                shown: Box::new(channels_first),
            }
        }
        Some("layer_norm") => {
            let x = randn(1, rows * positions * channels);
            let (weight, bias) = (randn(2, channels), randn(3, channels));
            same(move || tensor(layer_norm(&x, &weight, &bias, 1e-5), channels))
        }
        Some("gelu") => {
            let x = randn(1, rows * positions * channels);
            same(move || tensor(Activation::Gelu.apply(&x), channels))
        }
        Some("attention") => attention(spec, rows, positions)?,
        _ => return Ok(None),
    }))
}

/// Self-attention packs its keys and values each time, as a pass does; those of a prompt are packed once.
fn attention(spec: &Value, rows: usize, positions: usize) -> Result<Operation> {
    let number = |key: &str| spec[key].as_u64().map_or(0, |value| value as usize);
    let (count, tokens, head_dim) = (number("heads"), number("tokens"), number("head_dim"));
    let wants_map = spec["probabilities"].as_bool().unwrap_or(false);
    let channels = count * head_dim;
    // `[rows * heads, n, head_dim]` in PyTorch, `[rows, n, heads * head_dim]` here.
    let drawn = |seed: u64, n: usize| {
        let x = Tensor::from_vec(randn(seed, rows * n * channels), (rows, count, n, head_dim), &Device::Cpu)?;
        x.transpose(1, 2)?.flatten_all()?.to_vec1::<f32>()
    };
    let (queries, keys, values) = (drawn(1, positions)?, drawn(2, tokens)?, drawn(3, tokens)?);
    let lay_out = move || {
        let keys = keys.chunks_exact(tokens * channels).map(|keys| Keys::new(keys, tokens, count));
        let values = values.chunks_exact(tokens * channels).map(|values| Values::new(values, tokens, count));
        keys.zip(values).collect::<Vec<_>>()
    };
    let of_prompt = (tokens != positions).then(&lay_out);
    let run = move || {
        let here = if of_prompt.is_none() { lay_out() } else { Vec::new() };
        let laid_out = of_prompt.as_ref().unwrap_or(&here);
        let mut maps = vec![vec![0.0; if wants_map { positions * tokens } else { 0 }]; rows];
        let terms = queries.chunks_exact(positions * channels).zip(laid_out);
        let attending = terms.zip(&mut maps).map(|((queries, (keys, values)), map)| Row {
            terms: vec![Term { queries, keys, values }],
            map: wants_map.then_some(map.as_mut_slice()),
        });
        let heads = Heads { count, channels, positions, is_causal: false };
        tensor_of(attend(attending.collect(), heads), (rows, positions, count, head_dim))
    };
    let shown = move |y: &Tensor| y.transpose(1, 2)?.contiguous()?.reshape((rows * count, positions, head_dim));
    Ok(Operation { run: Box::new(run), shown: Box::new(shown) })
}

fn same(run: impl Fn() -> Result<Tensor> + 'static) -> Operation {
    Operation { run: Box::new(run), shown: Box::new(|y| Ok(y.clone())) }
}

fn tensor_of(numbers: Vec<f32>, shape: (usize, usize, usize, usize)) -> Result<Tensor> {
    Tensor::from_vec(numbers, shape, &Device::Cpu)
}

fn channels_last(seed: u64, shape: (usize, usize, usize, usize)) -> Result<Vec<f32>> {
    let x = tensor_of(randn(seed, shape.0 * shape.1 * shape.2 * shape.3), shape)?;
    x.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1()
}

fn channels_first(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 3, 1, 2))?.contiguous()
}

fn divided(seed: u64, count: usize, inputs: usize) -> Vec<f32> {
    let root = (inputs as f32).sqrt();
    randn(seed, count).into_iter().map(|number| number / root).collect()
}
