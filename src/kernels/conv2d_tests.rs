//! Convolutions against their definition, in double precision.

use proptest::prelude::*;

use super::*;
use crate::kernels::norm::group_norm;
use crate::kernels::test_values::randn;

/// All indices below three bounds, the last one fastest.
fn indices(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |i| (i / (b * c), i / c % b, i % c))
}

/// `x` is `[count, height, width, input]`.
fn naive(
    x: &[f64],
    (count, height, width, input): (usize, usize, usize, usize),
    (weight, bias): (&[f32], &[f32]),
    geometry: Geometry,
) -> Vec<f64> {
    let Geometry { kernel, stride, before, .. } = geometry;
    let (out_height, out_width) = (geometry.output_side(height).unwrap(), geometry.output_side(width).unwrap());
    let mut out = Vec::new();
    for (image, y, x_out) in indices(count, out_height, out_width) {
        for (o, bias) in bias.iter().enumerate() {
            let mut sum = f64::from(*bias);
            for (c, ky, kx) in indices(input, kernel, kernel) {
                let (iy, ix) = ((y * stride + ky).wrapping_sub(before), (x_out * stride + kx).wrapping_sub(before));
                if iy < height && ix < width {
                    let value = x[((image * height + iy) * width + ix) * input + c];
                    sum += value * f64::from(weight[((o * input + c) * kernel + ky) * kernel + kx]);
                }
            }
            out.push(sum);
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn convolution_is_what_its_definition_says(
        (count, height, width) in (1_usize..3, 3_usize..12, 3_usize..12),
        (input, output) in (1_usize..20, 1_usize..40),
        kernel in prop_oneof![Just(1_usize), Just(3)],
        (stride, before, after) in (1_usize..3, 0_usize..2, 0_usize..2),
        (normed, activated, grown, is_bf16) in any::<(bool, bool, bool, bool)>(),
        seed in 0_u64..1000,
    ) {
        let x = randn(seed, count * height * width * input);
        let (weight, bias) = (randn(seed + 1, output * input * kernel * kernel), randn(seed + 2, output));
        let geometry = Geometry { kernel, stride, before, after };
        let conv = PackedConv2d::new(&weight, &bias, geometry, is_bf16, None);
        let affine = group_norm(&x, count, 1, &randn(seed + 3, input), &randn(seed + 4, input), 1e-5);
        let sides = if grown { (2 * height - 1, 2 * width) } else { (height, width) };
        let shift = randn(seed + 5, count * output);
        let positions = geometry.output_side(sides.0).unwrap() * geometry.output_side(sides.1).unwrap();
        let residual = randn(seed + 6, count * positions * output);
        let images = Images { numbers: &x, count, height, width };
        let before_it = Before {
            norm: normed.then_some(&affine),
            activation: activated.then_some(Activation::Silu),
            upsampled: grown.then_some(sides),
        };
        let after_it = After { shift: Some(&shift), residual: Some(&residual) };
        let found = conv.forward(images, before_it, after_it);

        let mut input_numbers = Vec::new();
        for (image, y, column) in indices(count, sides.0, sides.1) {
            let (y, column) = (y * height / sides.0, column * width / sides.1);
            for c in 0..input {
                let mut value = x[((image * height + y) * width + column) * input + c];
                if normed {
                    value = value * affine.scale[image * input + c] + affine.shift[image * input + c];
                }
                if activated {
                    value /= 1.0 + (-value).exp();
                }
                input_numbers.push(f64::from(value));
            }
        }
        let mut wanted = naive(&input_numbers, (count, sides.0, sides.1, input), (&weight, &bias), geometry);
        for (at, wanted) in wanted.iter_mut().enumerate() {
            *wanted += f64::from(shift[at / (positions * output) * output + at % output]) + f64::from(residual[at]);
        }
        prop_assert_eq!(found.len(), wanted.len());
        // Seven bits of each factor are left of bf16.
        let tolerance = if is_bf16 { 0.02 * ((input * kernel * kernel) as f64).sqrt() * 4.0 } else { 1e-4 };
        for (found, wanted) in found.iter().zip(wanted) {
            prop_assert!((f64::from(*found) - wanted).abs() < tolerance, "{} is not {}", found, wanted);
        }
    }
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    let (input, side) = (24, 30);
    let geometry = Geometry { kernel: 3, stride: 1, before: 1, after: 1 };
    let x = randn(2, 3 * side * side * input);
    for positions in [None, Some(1000)] {
        let conv = PackedConv2d::new(&randn(1, 40 * input * 9), &[0.0; 40], geometry, false, positions);
        let run = |numbers: &[f32], count| {
            let images = Images { numbers, count, height: side, width: side };
            conv.forward(images, Before::default(), After::default())
        };
        let (all, one) = (run(&x, 3), run(&x[side * side * input..2 * side * side * input], 1));
        assert!(all[one.len()..2 * one.len()].iter().zip(&one).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn fewer_multiplications_come_to_the_same(
        (count, height, width) in (1_usize..3, 1_usize..12, 1_usize..12),
        (input, output) in (1_usize..40, 1_usize..70),
        (normed, shifted, added) in any::<(bool, bool, bool)>(),
        threads in 1_usize..4,
        seed in 0_u64..1000,
    ) {
        let pool = crate::kernels::pool::Pool::new(std::num::NonZeroUsize::new(threads).unwrap()).unwrap();
        let _entered = std::sync::Arc::new(pool).enter();
        let x = randn(seed, count * height * width * input);
        let (weight, bias) = (randn(seed + 1, output * input * 9), randn(seed + 2, output));
        let geometry = Geometry { kernel: 3, stride: 1, before: 1, after: 1 };
        let affine = group_norm(&x, count, 1, &randn(seed + 3, input), &randn(seed + 4, input), 1e-5);
        let (shift, residual) = (randn(seed + 5, count * output), randn(seed + 6, count * height * width * output));
        let images = Images { numbers: &x, count, height, width };
        let before = Before { norm: normed.then_some(&affine), ..Before::default() };
        let after = After { shift: shifted.then_some(&shift), residual: added.then_some(&residual) };
        let run = |positions| PackedConv2d::new(&weight, &bias, geometry, false, positions).forward(images, before, after);
        for (found, wanted) in run(Some(1000)).iter().zip(run(None)) {
            prop_assert!((found - wanted).abs() < 2e-4, "{} is not {}", found, wanted);
        }
    }
}
