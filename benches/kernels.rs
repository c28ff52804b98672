//! Compares each kernel with candle's own operation, in alternation, on the shapes of the embedded model and of Stable
//! Diffusion 1.5 at 256 px.
//!
//! ```sh
//! cargo bench --bench kernels                 # one thread
//! cargo bench --bench kernels -- --threads 2
//! ```
//!
//! candle computes channels first, with the number of threads in `RAYON_NUM_THREADS`, which is set to the same number.
//! Ratios are medians of the rounds' own ratios; below 1 the kernel is faster.

// A bench that cannot continue panics with the reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{D, Device, Module, Tensor};
use candle_nn::{Conv2dConfig, GroupNorm, LayerNorm};
use reprompt::diffusion::noise::randn;
use reprompt::kernels::activation::Activation;
use reprompt::kernels::attention::{Heads, Keys, Row, Term, Values, attend};
use reprompt::kernels::conv2d::{After, Before, Geometry, Images, PackedConv2d};
use reprompt::kernels::linear::PackedLinear;
use reprompt::kernels::norm::{group_norm, layer_norm};
use reprompt::kernels::pool::Pool;
use reprompt::kernels::{memory, thread_budget};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 15;
/// Minimum seconds of one measurement, so that the resolution of the clock does not matter.
const SPAN: f64 = 0.02;
/// Rows per pass.
const ROWS: usize = 2;

type Work = Box<dyn Fn()>;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let threads: NonZeroUsize = match args.iter().position(|arg| arg == "--threads") {
        Some(at) => args.get(at + 1).and_then(|number| number.parse().ok()).expect("--threads: a number, at least 1"),
        None => NonZeroUsize::MIN,
    };
    assert!(thread_budget::limit(threads.get()), "candle's threads cannot be set");
    memory::keep_freed();
    let _entered = Arc::new(Pool::new(threads).expect("threads")).enter();
    println!(
        "{threads} threads, {ROWS} rows\n\n| | kernel, µs | candle, µs | ratio | in bf16 |\n| --- | --- | --- | --- | --- |"
    );
    for (channels, side) in [(64, 16), (128, 8), (192, 4), (320, 32), (640, 16), (1280, 8)] {
        convolution(channels, side);
    }
    for (positions, input, output) in [(256, 64, 64), (1024, 320, 320), (256, 640, 640), (64, 1280, 1280)] {
        linear(positions, input, output);
    }
    for (positions, channels) in [(256, 64), (1024, 320)] {
        gated(positions, channels);
        norms(positions, channels);
    }
    for (heads, positions, head_dim) in [(4, 256, 16), (8, 1024, 40), (8, 256, 80)] {
        attention(heads, positions, positions, head_dim);
        attention(heads, positions, 77, head_dim);
    }
}

/// Times both in alternation and prints a line.
fn compare(name: &str, kernel: &Work, candle: &Work, bf16: Option<&Work>) {
    let all: Vec<&Work> = [Some(kernel), Some(candle), bf16].into_iter().flatten().collect();
    let counts: Vec<usize> = all.iter().map(|work| ((SPAN / time(work, 1)) as usize).max(1)).collect();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(all.iter().zip(&counts).map(|(work, count)| time(work, *count)).collect::<Vec<_>>());
    }
    let median = |of: &dyn Fn(&Vec<f64>) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (ours, theirs) = (median(&|round| round[0]) * 1e6, median(&|round| round[1]) * 1e6);
    let ratio = median(&|round| round[0] / round[1]);
    let in_bf16 = bf16.map(|_| format!("{:.2}", median(&|round| round[2] / round[1]))).unwrap_or_default();
    println!("| {name} | {ours:.1} | {theirs:.1} | **{ratio:.2}** | {in_bf16} |");
}

/// Seconds per run.
fn time(work: &Work, count: usize) -> f64 {
    let began = Instant::now();
    for _ in 0..count {
        work();
    }
    began.elapsed().as_secs_f64() / count as f64
}

fn tensor(seed: u64, shape: impl Into<candle_core::Shape>) -> Tensor {
    let shape = shape.into();
    Tensor::from_vec(randn(seed, shape.elem_count()), shape, &Device::Cpu).unwrap()
}

fn convolution(channels: usize, side: usize) {
    let x = randn(1, ROWS * side * side * channels);
    let (weight, bias) = (randn(2, channels * channels * 9), randn(3, channels));
    let geometry = Geometry { kernel: 3, stride: 1, before: 1, after: 1 };
    let kernel = |is_bf16| -> Work {
        let conv = PackedConv2d::new(&weight, &bias, geometry, is_bf16, Some(side * side));
        let x = x.clone();
        Box::new(move || {
            let images = Images { numbers: &x, count: ROWS, height: side, width: side };
            black_box(conv.forward(images, Before::default(), After::default()));
        })
    };
    let first = tensor(1, (ROWS, channels, side, side));
    let config = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
    let candle = candle_nn::Conv2d::new(tensor(2, (channels, channels, 3, 3)), Some(tensor(3, channels)), config);
    let candle: Work = Box::new(move || drop(black_box(candle.forward(&first).unwrap())));
    compare(&format!("conv 3x3, {channels} channels at {side}²"), &kernel(false), &candle, Some(&kernel(true)));
}

fn linear(positions: usize, input: usize, output: usize) {
    let x = randn(1, ROWS * positions * input);
    let (weight, bias) = (randn(2, output * input), randn(3, output));
    let kernel = |is_bf16| -> Work {
        let layer = PackedLinear::new(&weight, Some(&bias), input, is_bf16);
        let x = x.clone();
        Box::new(move || drop(black_box(layer.forward(&x, None))))
    };
    let (first, bias) = (tensor(1, (ROWS * positions, input)), tensor(3, output));
    let weight = tensor(2, (output, input)).t().unwrap();
    let candle: Work = Box::new(move || drop(black_box(first.matmul(&weight).unwrap().broadcast_add(&bias).unwrap())));
    let name = format!("linear {input} to {output}, {positions} positions");
    compare(&name, &kernel(false), &candle, Some(&kernel(true)));
}

fn gated(positions: usize, channels: usize) {
    let inner = 4 * channels;
    let x = randn(1, ROWS * positions * channels);
    let (weight, bias) = (randn(2, 2 * inner * channels), randn(3, 2 * inner));
    let kernel = |is_bf16| -> Work {
        let layer = PackedLinear::geglu(&weight, Some(&bias), channels, is_bf16);
        let x = x.clone();
        Box::new(move || drop(black_box(layer.forward(&x, None))))
    };
    let (first, bias) = (tensor(1, (ROWS * positions, channels)), tensor(3, 2 * inner));
    let weight = tensor(2, (2 * inner, channels)).t().unwrap();
    let candle: Work = Box::new(move || {
        let both = first.matmul(&weight).unwrap().broadcast_add(&bias).unwrap().chunk(2, D::Minus1).unwrap();
        black_box((&both[0] * both[1].contiguous().unwrap().gelu_erf().unwrap()).unwrap());
    });
    compare(&format!("linear and GEGLU, {positions} x {inner}"), &kernel(false), &candle, Some(&kernel(true)));
}

fn norms(positions: usize, channels: usize) {
    let x = randn(1, ROWS * positions * channels);
    let (weight, bias) = (randn(2, channels), randn(3, channels));
    let group: Work = {
        let (x, weight, bias) = (x.clone(), weight.clone(), bias.clone());
        Box::new(move || {
            let affine = group_norm(&x, ROWS, 16, &weight, &bias, 1e-5);
            black_box(affine.apply(&x, ROWS, channels, Some(Activation::Silu)));
        })
    };
    let first = tensor(1, (ROWS, channels, positions));
    let candle = GroupNorm::new(tensor(2, channels), tensor(3, channels), channels, 16, 1e-5).unwrap();
    let candle: Work = Box::new(move || drop(black_box(candle.forward(&first).unwrap().silu().unwrap())));
    compare(&format!("group norm and SiLU, {positions} x {channels}"), &group, &candle, None);
    let layer: Work = Box::new(move || drop(black_box(layer_norm(&x, &weight, &bias, 1e-5))));
    let first = tensor(1, (ROWS, positions, channels));
    let candle = LayerNorm::new(tensor(2, channels), tensor(3, channels), 1e-5);
    let candle: Work = Box::new(move || drop(black_box(candle.forward(&first).unwrap())));
    compare(&format!("layer norm, {positions} x {channels}"), &layer, &candle, None);
}

fn attention(heads: usize, positions: usize, tokens: usize, head_dim: usize) {
    let channels = heads * head_dim;
    let (queries, keys, values) =
        (randn(1, ROWS * positions * channels), randn(2, tokens * channels), randn(3, tokens * channels));
    let kernel: Work = Box::new(move || {
        let (keys, values) = (Keys::new(&keys, tokens, heads), Values::new(&values, tokens, heads));
        let row = |queries| Row { terms: vec![Term { queries, keys: &keys, values: &values }], map: None };
        let rows = queries.chunks_exact(positions * channels).map(row).collect();
        black_box(attend(rows, Heads { count: heads, channels, positions, is_causal: false }));
    });
    let (queries, keys, values) = (
        tensor(1, (ROWS * heads, positions, head_dim)),
        tensor(2, (ROWS * heads, tokens, head_dim)),
        tensor(3, (ROWS * heads, tokens, head_dim)),
    );
    let scale = 1.0 / (head_dim as f64).sqrt();
    let candle: Work = Box::new(move || {
        let scores = (&queries * scale).unwrap().matmul(&keys.transpose(1, 2).unwrap()).unwrap();
        let attended = candle_nn::ops::softmax_last_dim(&scores).unwrap().matmul(&values).unwrap();
        black_box(attended);
    });
    compare(&format!("attention, {heads} heads of {head_dim}, {positions} on {tokens}"), &kernel, &candle, None);
}
