//! Linear layers `y = x W^T + b` on the CPU, `[rows, in] -> [rows, out]`, with what comes right after.

#![allow(unsafe_code)]

use crate::kernels::buffer::{filled, for_each_chunk, with_scratch_bf16};
use crate::kernels::matmul::{Added, Output, Product, Rows, geglu_column, multiply_all};
use crate::kernels::panels::{Element, PANEL, Panels};
use crate::kernels::simd::{Kernel, LANES, Simd, dispatch, from_bf16};

/// A weight in panels, of the type that it is multiplied in.
#[derive(Debug, Clone)]
pub(crate) enum Weight {
    F32(Panels<f32>),
    Bf16(Panels<u16>),
}

impl Weight {
    /// Numbers of a tap as they lie in the input: bf16 are multiplied in pairs.
    pub fn padded(depth: usize, is_bf16: bool) -> usize {
        if is_bf16 { depth.next_multiple_of(2) } else { depth }
    }

    /// Lays out a weight; `number` of a depth and a column.
    pub fn new(depth: usize, columns: usize, is_bf16: bool, number: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        if is_bf16 {
            Self::Bf16(Panels::new(depth, columns, number))
        } else {
            Self::F32(Panels::new(depth, columns, number))
        }
    }

    fn at(&self, depth: usize, column: usize) -> f32 {
        match self {
            Self::F32(panels) => panels.at(depth, column),
            Self::Bf16(panels) => from_bf16(panels.at(depth, column)),
        }
    }
}

/// A linear layer.
#[derive(Debug, Clone)]
pub struct PackedLinear {
    weight: Weight,
    /// `[columns, rounded up to whole panels]`
    bias: Option<Vec<f32>>,
    input: usize,
    output: usize,
    kind: Output,
}

impl PackedLinear {
    /// Of `weight` `[out, in]` and `bias` `[out]`; products are of bf16 where `is_bf16`.
    ///
    /// # Panics
    /// Where sizes do not fit together.
    pub fn new(weight: &[f32], bias: Option<&[f32]>, input: usize, is_bf16: bool) -> Self {
        let output = weight.len() / input;
        Self::with_columns(weight, bias, (input, output, output), Output::Sums, is_bf16, |column| {
            (column < output).then_some(column)
        })
    }

    /// The first half of a gated layer's output times the GELU of the second one (`GEGLU`): `weight` `[2 * inner, in]`
    /// and `bias` `[2 * inner]` -> `[rows, inner]`.
    ///
    /// # Panics
    /// Where sizes do not fit together.
    pub fn geglu(weight: &[f32], bias: Option<&[f32]>, input: usize, is_bf16: bool) -> Self {
        let inner = weight.len() / input / 2;
        let columns = inner.div_ceil(LANES) * PANEL;
        Self::with_columns(weight, bias, (input, inner, columns), Output::Geglu, is_bf16, |column| {
            geglu_column(column, inner)
        })
    }

    fn with_columns(
        weight: &[f32],
        bias: Option<&[f32]>,
        (input, output, columns): (usize, usize, usize),
        kind: Output,
        is_bf16: bool,
        stored: impl Fn(usize) -> Option<usize> + Sync,
    ) -> Self {
        let number = |depth: usize, column: usize| {
            stored(column).filter(|_| depth < input).map_or(0.0, |column| weight[column * input + depth])
        };
        let padded = columns.next_multiple_of(PANEL);
        let bias = bias.map(|bias| (0..padded).map(|column| stored(column).map_or(0.0, |c| bias[c])).collect());
        let weight = Weight::new(Weight::padded(input, is_bf16), columns, is_bf16, number);
        Self { weight, bias, input, output, kind }
    }

    /// Several layers of one input as one, their outputs one behind the other; those without bias have one of zeros.
    ///
    /// # Panics
    /// Where they are not of one input.
    pub fn join(layers: &[&Self]) -> Self {
        let input = layers.first().map_or(0, |layer| layer.input);
        let is_bf16 = layers.iter().any(|layer| matches!(layer.weight, Weight::Bf16(_)));
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for layer in layers {
            assert_eq!(layer.input, input, "layers of one input");
            for column in 0..layer.output {
                weight.extend((0..input).map(|depth| layer.weight.at(depth, column)));
                bias.push(layer.bias.as_ref().map_or(0.0, |bias| bias[column]));
            }
        }
        Self::new(&weight, Some(&bias), input, is_bf16)
    }

    /// Input channels.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Output channels.
    pub fn output(&self) -> usize {
        self.output
    }

    /// `[rows, in]` -> `[rows, out]`, `residual` `[rows, out]` added.
    ///
    /// # Panics
    /// Where sizes do not fit together.
    pub fn forward(&self, x: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
        // SAFETY: all of every output is written, and only what is written is read.
        unsafe {
            filled(self.rows(x) * self.output, |out| forward_into(vec![LayerCall { layer: self, x, residual, out }]))
        }
    }

    /// Several layers on inputs of their own, at once; what comes out of each is `[rows, out]`.
    ///
    /// # Panics
    /// Where sizes do not fit together.
    pub fn forward_all(inputs: &[(&Self, &[f32])]) -> Vec<Vec<f32>> {
        let lengths = inputs.iter().map(|(layer, x)| layer.rows(x) * layer.output);
        // SAFETY: all of every output is written below, and only what is written is read.
        let mut outputs: Vec<_> = lengths.map(|length| unsafe { filled(length, |_| {}) }).collect();
        let calls =
            inputs.iter().zip(&mut outputs).map(|((layer, x), out)| LayerCall { layer, x, residual: None, out });
        forward_into(calls.collect());
        outputs
    }

    fn rows(&self, x: &[f32]) -> usize {
        assert!(x.len().is_multiple_of(self.input), "the input of a linear layer");
        x.len() / self.input
    }
}

/// A layer with its input and its output.
struct LayerCall<'a> {
    layer: &'a PackedLinear,
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl<'a> LayerCall<'a> {
    fn product<T: Element>(self, input: &'a [T], weights: &'a Panels<T>) -> Product<'a, T> {
        let rows = Rows::dense(self.x.len() / self.layer.input, weights.depth());
        let added = Added { bias: self.layer.bias.as_deref(), rows_per_bias: 0, residual: self.residual };
        let (depth, output) = (weights.depth(), self.layer.kind);
        Product { input, rows, taps: &[0], depth, weights, added, output, out: self.out }
    }
}

fn forward_into(calls: Vec<LayerCall<'_>>) {
    let (mut single, mut halves) = (Vec::new(), Vec::new());
    for call in calls {
        match &call.layer.weight {
            Weight::F32(weight) => {
                let x = call.x;
                single.push(call.product(x, weight));
            }
            Weight::Bf16(weight) => halves.push((call, weight)),
        }
    }
    if !single.is_empty() {
        multiply_all(single);
    }
    if halves.is_empty() {
        return;
    }
    // Layers that come one behind the other often have one input.
    let is_same = |a: &LayerCall<'_>, b: &LayerCall<'_>| std::ptr::eq(a.x, b.x) && a.layer.input == b.layer.input;
    let sizes = halves.iter().enumerate().map(|(index, (call, weight))| {
        let is_new = index == 0 || !is_same(&halves[index - 1].0, call);
        if is_new { call.layer.rows(call.x) * weight.depth() } else { 0 }
    });
    let sizes: Vec<_> = sizes.collect();
    with_scratch_bf16(sizes.iter().sum(), |scratch| {
        let mut rest = scratch;
        let mut inputs: Vec<&[u16]> = Vec::new();
        for ((call, weight), size) in halves.iter().zip(sizes) {
            if size > 0 || inputs.is_empty() {
                let (input, behind) = rest.split_at_mut(size);
                to_bf16_rows(call.x, call.layer.input, weight.depth(), input);
                inputs.push(input);
                rest = behind;
            } else if let Some(&last) = inputs.last() {
                inputs.push(last);
            }
        }
        let products = halves.into_iter().zip(inputs).map(|((call, weight), input)| call.product(input, weight));
        multiply_all(products.collect());
    });
}

/// `[rows, depth]` -> `[rows, padded]`, zeros behind.
fn to_bf16_rows(x: &[f32], depth: usize, padded: usize, out: &mut [u16]) {
    const ROWS: usize = 64;
    for_each_chunk(out, ROWS * padded, |chunk, out| {
        let x = &x[chunk * ROWS * depth..][..out.len() / padded * depth];
        dispatch(Round { x, depth, padded, out });
    });
}

struct Round<'a> {
    x: &'a [f32],
    depth: usize,
    padded: usize,
    out: &'a mut [u16],
}

impl Kernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (to, from) in self.out.chunks_exact_mut(self.padded).zip(self.x.chunks_exact(self.depth)) {
            for (to, from) in to.chunks_mut(LANES).zip(from.chunks(LANES)) {
                let count = from.len();
                u16::store(s, &mut to[..count], s.load_some(from, 0.0));
            }
            to[self.depth..].fill(0);
        }
    }
}
