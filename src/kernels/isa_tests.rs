//! Every kernel on everything that the CPU has: with FMA the same bytes, without it the same numbers.

use crate::kernels::activation::Activation;
use crate::kernels::attention::{Heads, Keys, Row, Term, Values, attend};
use crate::kernels::conv2d::{After, Before, Geometry, Images, PackedConv2d};
use crate::kernels::linear::PackedLinear;
use crate::kernels::norm::{group_norm, layer_norm};
use crate::kernels::simd::{Isa, on};
use crate::kernels::test_values::randn;

/// Runs `kernel` on all of them. In bf16 each rounds products in its own way.
fn check(name: &str, tolerance: f32, is_bf16: bool, kernel: impl Fn() -> Vec<f32>) {
    let all: Vec<_> = Isa::available().into_iter().map(|isa| (isa, on(isa, &kernel))).collect();
    for (isa, found) in &all {
        let off = found.iter().zip(&all[0].1).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(found.len() == all[0].1.len() && off < tolerance, "{name} on {isa:?} is off by {off}");
    }
    let fused: Vec<_> = all.iter().filter(|(isa, _)| *isa != Isa::Portable && !is_bf16).collect();
    for pair in fused.windows(2) {
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert!(bits(&pair[0].1) == bits(&pair[1].1), "{name}: {:?} and {:?} differ", pair[0].0, pair[1].0);
    }
}

#[test]
fn linear_layers() {
    let (x, weight) = (randn(1, 29 * 70), randn(2, 2 * 41 * 70));
    let (bias, residual) = (randn(3, 2 * 41), randn(4, 29 * 2 * 41));
    for is_bf16 in [false, true] {
        let layer = PackedLinear::new(&weight, Some(&bias), 70, is_bf16);
        check("linear", 1e-3, is_bf16, || layer.forward(&x, Some(&residual)));
        let layer = PackedLinear::geglu(&weight, Some(&bias), 70, is_bf16);
        check("gated", 1e-3, is_bf16, || layer.forward(&x, None));
    }
}

#[test]
fn convolutions() {
    let (x, weight, bias) = (randn(1, 2 * 9 * 7 * 20), randn(2, 37 * 20 * 9), randn(3, 37));
    let affine = group_norm(&x, 2, 4, &randn(4, 20), &randn(5, 20), 1e-5);
    let before = Before { norm: Some(&affine), activation: Some(Activation::Silu), upsampled: None };
    let images = Images { numbers: &x, count: 2, height: 9, width: 7 };
    for (geometry, is_bf16, positions) in [
        (Geometry { kernel: 3, stride: 1, before: 1, after: 1 }, false, None),
        (Geometry { kernel: 3, stride: 1, before: 1, after: 1 }, false, Some(1000)),
        (Geometry { kernel: 3, stride: 2, before: 0, after: 1 }, true, None),
    ] {
        let conv = PackedConv2d::new(&weight, &bias, geometry, is_bf16, positions);
        // An activation that rounds differently may round to another bf16.
        let tolerance = if is_bf16 { 0.2 } else { 1e-3 };
        check("convolution", tolerance, is_bf16, || conv.forward(images, before, After::default()));
    }
}

#[test]
fn attention() {
    let heads = Heads { count: 3, channels: 3 * 20, positions: 31, is_causal: false };
    let (queries, keys, values) = (randn(1, 31 * 60), randn(2, 45 * 60), randn(3, 45 * 60));
    check("attention", 1e-4, false, || {
        let (keys, values) = (Keys::new(&keys, 45, 3), Values::new(&values, 45, 3).mixed(&randn(4, 45 * 45)));
        let mut map = vec![0.0; 31 * 45];
        let terms = vec![Term { queries: &queries, keys: &keys, values: &values }; 2];
        let attended = attend(vec![Row { terms, map: Some(&mut map) }], heads);
        [attended, map].concat()
    });
}

#[test]
fn norms_and_activations() {
    let (x, weight, bias) = (randn(1, 150 * 90), randn(2, 90), randn(3, 90));
    check("layer norm", 1e-4, false, || layer_norm(&x, &weight, &bias, 1e-5));
    check("group norm", 1e-4, false, || {
        group_norm(&x, 1, 3, &weight, &bias, 1e-5).apply(&x, 1, 90, Some(Activation::Silu))
    });
    for activation in [Activation::Silu, Activation::Gelu, Activation::QuickGelu] {
        check("activation", 1e-5, false, || activation.apply(&x));
    }
}
