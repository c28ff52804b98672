//! Products against their definition, in double precision.

use std::num::NonZeroUsize;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::kernels::linear::PackedLinear;
use crate::kernels::pool::Pool;
use crate::kernels::simd::{Isa, Kernel, LANES, Simd, dispatch_on, from_bf16, to_bf16};
use crate::kernels::test_values::randn;
use crate::kernels::tile::multiply;

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// `[rows, in]` times the transpose of `[out, in]`.
fn naive(x: &[f32], weight: &[f32], input: usize) -> Vec<f64> {
    let rows = x.chunks_exact(input);
    let of_row = |row: &[f32], weight: &[f32]| row.iter().zip(weight).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    rows.flat_map(|row| weight.chunks_exact(input).map(move |weight| of_row(row, weight))).collect()
}

fn rounded(numbers: &[f32]) -> Vec<f32> {
    numbers.iter().map(|number| from_bf16(to_bf16(*number))).collect()
}

fn assert_close(found: &[f32], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((f64::from(*found) - wanted).abs() < tolerance, "{found} is not {wanted}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_linear_layer_is_what_its_definition_says(
        rows in 1_usize..40, input in 1_usize..70, output in 1_usize..80, is_bf16: bool, seed in 0_u64..1000,
    ) {
        let (x, weight) = (randn(seed, rows * input), randn(seed + 1, output * input));
        let (bias, residual) = (randn(seed + 2, output), randn(seed + 3, rows * output));
        let layer = PackedLinear::new(&weight, Some(&bias), input, is_bf16);
        let found = layer.forward(&x, Some(&residual));
        let (x, weight) = if is_bf16 { (rounded(&x), rounded(&weight)) } else { (x, weight) };
        let mut wanted = naive(&x, &weight, input);
        for (at, wanted) in wanted.iter_mut().enumerate() {
            *wanted += f64::from(bias[at % output]) + f64::from(residual[at]);
        }
        assert_close(&found, &wanted, 1e-4);
    }

    #[test]
    fn a_gated_layer_is_one_half_times_the_gelu_of_the_other(
        rows in 1_usize..20, input in 1_usize..30, inner in 1_usize..50, is_bf16: bool, seed in 0_u64..1000,
    ) {
        let (x, weight, bias) = (randn(seed, rows * input), randn(seed + 1, 2 * inner * input), randn(seed + 2, 2 * inner));
        let found = PackedLinear::geglu(&weight, Some(&bias), input, is_bf16).forward(&x, None);
        let both = PackedLinear::new(&weight, Some(&bias), input, is_bf16).forward(&x, None);
        let gates: Vec<f32> = both.chunks_exact(2 * inner).flat_map(|row| &row[inner..]).copied().collect();
        let gates = crate::kernels::activation::Activation::Gelu.apply(&gates);
        let values = both.chunks_exact(2 * inner).flat_map(|row| &row[..inner]);
        let wanted: Vec<f64> = values.zip(&gates).map(|(a, b)| f64::from(*a) * f64::from(*b)).collect();
        assert_close(&found, &wanted, 1e-4);
    }
}

#[test]
fn depths_beyond_the_cache_are_taken_in_parts_without_a_difference() {
    let (rows, input, output) = (5, 3 * PANEL_BYTES / (PANEL * 4) + 7, 40);
    let (x, weight) = (randn(1, rows * input), randn(2, output * input));
    for is_bf16 in [false, true] {
        let found = PackedLinear::new(&weight, None, input, is_bf16).forward(&x, None);
        let (x, weight) = if is_bf16 { (rounded(&x), rounded(&weight)) } else { (x.clone(), weight.clone()) };
        assert_close(&found, &naive(&x, &weight, input), 5e-3);
    }
    let segments = segments(&[0, 1000], 10, 7);
    assert_eq!(segments, [vec![(0, 7)], vec![(7, 3), (1000, 4)], vec![(1004, 6)]]);
}

#[test]
fn a_rows_bytes_depend_neither_on_its_batch_nor_on_threads() {
    let (input, output) = (100, 70);
    let (x, weight) = (randn(1, 300 * input), randn(2, output * input));
    for is_bf16 in [false, true] {
        let layer = PackedLinear::new(&weight, None, input, is_bf16);
        let wanted = bits(&layer.forward(&x, None));
        for rows in [1, 7, 13, 250] {
            assert!(bits(&layer.forward(&x[..rows * input], None)) == wanted[..rows * output], "{rows} rows");
        }
        for threads in 2..5 {
            let _entered = Arc::new(Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap()).enter();
            assert!(bits(&layer.forward(&x, None)) == wanted, "{threads} threads");
        }
    }
}

#[test]
fn several_layers_at_once_give_what_each_gives_alone() {
    let x = randn(1, 50 * 24);
    for is_bf16 in [false, true] {
        let layers: Vec<_> =
            [24, 8, 33].map(|output| PackedLinear::new(&randn(output as u64, output * 24), None, 24, is_bf16)).into();
        let inputs = [(&layers[0], &x[..]), (&layers[1], &x[..]), (&layers[2], &x[24..]), (&layers[0], &x[..48])];
        for (found, (layer, x)) in PackedLinear::forward_all(&inputs).iter().zip(inputs) {
            assert!(bits(found) == bits(&layer.forward(x, None)));
        }
        let joined = PackedLinear::join(&layers.iter().collect::<Vec<_>>()).forward(&x, None);
        let first = layers[0].forward(&x, None);
        assert!(joined.chunks_exact(65).zip(first.chunks_exact(24)).all(|(joined, first)| joined[..24] == *first));
    }
}

/// One chunk over everything, on whatever is asked for.
struct Whole<'a>(&'a [f32], &'a Panels<f32>, usize);

impl Kernel for Whole<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<f32> {
        let Self(x, weights, rows) = self;
        let mut out = vec![0.0; rows * PANEL];
        for (x, out) in x.chunks_exact(weights.depth()).zip(out.chunks_exact_mut(PANEL)) {
            let mut sums = [[s.splat(0.0); 2]; 1];
            // SAFETY: one row and one panel of its depth.
            unsafe { multiply(s, &[x.as_ptr()], &[(0, x.len())], weights.panel(0).as_ptr(), &mut sums) };
            s.store_some(&mut out[..LANES], sums[0][0]);
            s.store_some(&mut out[LANES..], sums[0][1]);
        }
        out
    }
}

#[test]
fn processors_with_fma_agree_to_the_bit() {
    let (rows, depth) = (9, 50);
    let (x, weight) = (randn(3, rows * depth), randn(4, depth * PANEL));
    let panels = Panels::new(depth, PANEL, |depth, column| weight[depth * PANEL + column]);
    let all = Isa::available();
    // SAFETY: all are available.
    let found: Vec<_> = all.iter().map(|isa| unsafe { dispatch_on(*isa, Whole(&x, &panels, rows)) }).collect();
    for (isa, numbers) in all.iter().zip(&found) {
        let difference = numbers.iter().zip(&found[0]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-4, "{isa:?}");
    }
    assert!(found[1..].windows(2).all(|pair| bits(&pair[0]) == bits(&pair[1])));
}
