//! Group norm and layer norm on the CPU, channels last.

#![allow(unsafe_code)]

use crate::kernels::activation::Activation;
use crate::kernels::buffer::{Shared, filled, for_each_chunk};
use crate::kernels::pool::for_each;
use crate::kernels::simd::{Kernel, LANES, Simd, dispatch};

/// Positions whose sums are made in f32; these are then added in f64. Fixed, so that sums do not depend on the number of threads.
const POSITIONS: usize = 128;

/// Group norm as an affine map: `x * scale + shift` for each image and channel.
#[derive(Debug, Clone)]
pub struct Affine {
    /// `[images, channels]`
    pub scale: Vec<f32>,
    /// `[images, channels]`
    pub shift: Vec<f32>,
}

impl Affine {
    /// `x` `[images, positions, channels]`, normalized, and an activation after that.
    ///
    /// # Panics
    /// Where sizes do not fit together.
    pub fn apply(&self, x: &[f32], images: usize, channels: usize, activation: Option<Activation>) -> Vec<f32> {
        let positions = x.len() / (images * channels);
        assert_eq!(x.len(), images * positions * channels, "what is to be normalized");
        let blocks = positions.div_ceil(POSITIONS);
        let fill = |out: &mut [f32]| {
            let shared = Shared::new(out);
            for_each(images * blocks, |chunk| {
                let (image, block) = (chunk / blocks, chunk % blocks);
                let first = image * positions + block * POSITIONS;
                let last = image * positions + ((block + 1) * POSITIONS).min(positions);
                // SAFETY: each position is one chunk's.
                let out = unsafe { shared.part(first * channels..last * channels) };
                let of_image = image * channels..(image + 1) * channels;
                let (scale, shift) = (&self.scale[of_image.clone()], &self.shift[of_image]);
                dispatch(Apply { x: &x[first * channels..last * channels], scale, shift, activation, out });
            });
        };
        // SAFETY: every position is written.
        unsafe { filled(x.len(), fill) }
    }
}

struct Apply<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    activation: Option<Activation>,
    out: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let channels = self.scale.len();
        for (out, x) in self.out.chunks_exact_mut(channels).zip(self.x.chunks_exact(channels)) {
            let parameters = self.scale.chunks(LANES).zip(self.shift.chunks(LANES));
            for ((out, x), (scale, shift)) in out.chunks_mut(LANES).zip(x.chunks(LANES)).zip(parameters) {
                let mut y = s.mul_add(s.load_some(x, 0.0), s.load_some(scale, 0.0), s.load_some(shift, 0.0));
                if let Some(activation) = self.activation {
                    y = activation.of(s, y);
                }
                s.store_some(out, y);
            }
        }
    }
}

/// Statistics of `x` `[images, positions, channels]` over the positions and the channels of each of `groups`, made into
/// what normalizes it (diffusers and PyTorch: `GroupNorm`); `weight` and `bias` are `[channels]`.
///
/// # Panics
/// Where sizes do not fit together.
pub fn group_norm(x: &[f32], images: usize, groups: usize, weight: &[f32], bias: &[f32], eps: f64) -> Affine {
    let channels = weight.len();
    let positions = x.len() / (images * channels);
    assert_eq!(x.len(), images * positions * channels, "the input of group norm");
    let blocks = positions.div_ceil(POSITIONS);
    let mut sums = vec![0.0_f32; images * blocks * channels * 2];
    for_each_chunk(&mut sums, channels * 2, |chunk, sums| {
        let (image, block) = (chunk / blocks, chunk % blocks);
        let range = block * POSITIONS..((block + 1) * POSITIONS).min(positions);
        let x = &x[(image * positions + range.start) * channels..(image * positions + range.end) * channels];
        dispatch(Sums { x, channels, sums });
    });
    let mut affine = Affine { scale: vec![0.0; images * channels], shift: vec![0.0; images * channels] };
    let (size, count) = (channels / groups, (positions * (channels / groups)) as f64);
    for image in 0..images {
        let blocks_of_image = || {
            sums[image * blocks * channels * 2..(image + 1) * blocks * channels * 2]
                .chunks_exact(channels * 2)
                .enumerate()
        };
        for group in 0..groups {
            let members = group * size..(group + 1) * size;
            // (values, mean, squared distances from that mean) of each block's channels
            let parts = || {
                let members = members.clone();
                blocks_of_image().flat_map(move |(at, block)| {
                    let first = &x[(image * positions + at * POSITIONS) * channels..][..channels];
                    let values = POSITIONS.min(positions - at * POSITIONS) as f64;
                    members.clone().map(move |channel| {
                        let (sum, squares) = (f64::from(block[channel]), f64::from(block[channels + channel]));
                        (values, f64::from(first[channel]) + sum / values, squares - sum * sum / values)
                    })
                })
            };
            let mean = parts().map(|(values, mean, _)| values * mean).sum::<f64>() / count;
            let spread = parts().map(|(values, part, squares)| squares + values * (part - mean).powi(2)).sum::<f64>();
            let variance = (spread / count).max(0.0);
            let inverse = 1.0 / (variance + eps).sqrt();
            #[allow(clippy::cast_possible_truncation)]
            for channel in members {
                let scale = f64::from(weight[channel]) * inverse;
                affine.scale[image * channels + channel] = scale as f32;
                affine.shift[image * channels + channel] = (f64::from(bias[channel]) - mean * scale) as f32;
            }
        }
    }
    affine
}

/// Sums and sums of squares of each channel, one behind the other, of what is left of its values when the first of them
/// is taken away: where values lie far from 0, their squares would leave nothing of the variance in `f32`.
struct Sums<'a> {
    x: &'a [f32],
    channels: usize,
    sums: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (sums, squares) = self.sums.split_at_mut(self.channels);
        let mut first = 0;
        while first + 4 * LANES <= self.channels {
            let (mut totals, mut total_squares) = ([s.splat(0.0); 4], [s.splat(0.0); 4]);
            let mut taken = [s.splat(0.0); 4];
            for (z, taken) in taken.iter_mut().enumerate() {
                *taken = s.load_some(&self.x[first + z * LANES..first + (z + 1) * LANES], 0.0);
            }
            for x in self.x.chunks_exact(self.channels) {
                for z in 0..4 {
                    let x = s.sub(s.load_some(&x[first + z * LANES..first + (z + 1) * LANES], 0.0), taken[z]);
                    totals[z] = s.add(totals[z], x);
                    total_squares[z] = s.mul_add(x, x, total_squares[z]);
                }
            }
            for z in 0..4 {
                s.store_some(&mut sums[first + z * LANES..first + (z + 1) * LANES], totals[z]);
                s.store_some(&mut squares[first + z * LANES..first + (z + 1) * LANES], total_squares[z]);
            }
            first += 4 * LANES;
        }
        while first < self.channels {
            let last = (first + LANES).min(self.channels);
            let (mut sum, mut square) = (s.splat(0.0), s.splat(0.0));
            let taken = s.load_some(&self.x[first..last], 0.0);
            for x in self.x.chunks_exact(self.channels) {
                let x = s.sub(s.load_some(&x[first..last], 0.0), taken);
                (sum, square) = (s.add(sum, x), s.mul_add(x, x, square));
            }
            s.store_some(&mut sums[first..last], sum);
            s.store_some(&mut squares[first..last], square);
            first = last;
        }
    }
}

/// Layer norm of each of the rows of `x` `[rows, channels]`; `weight` and `bias` are `[channels]`.
///
/// # Panics
/// Where sizes do not fit together.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32) -> Vec<f32> {
    const ROWS: usize = 32;
    let channels = weight.len();
    let rows = x.len() / channels;
    assert!(rows * channels == x.len() && bias.len() == channels, "the input of layer norm");
    let fill = |out: &mut [f32]| {
        for_each_chunk(out, ROWS * channels, |chunk, out| {
            let x = &x[chunk * ROWS * channels..][..out.len()];
            dispatch(LayerNorm { x, weight, bias, eps, out });
        });
    };
    // SAFETY: every row is written.
    unsafe { filled(x.len(), fill) }
}

struct LayerNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let channels = self.weight.len();
        for (out, x) in self.out.chunks_exact_mut(channels).zip(self.x.chunks_exact(channels)) {
            let mut sum = s.splat(0.0);
            for x in x.chunks(LANES) {
                sum = s.add(sum, s.load_some(x, 0.0));
            }
            let mean = s.sum(sum) / channels as f32;
            let mut squares = s.splat(0.0);
            for x in x.chunks(LANES) {
                // Lanes that are not there differ from the mean by nothing.
                let difference = s.sub(s.load_some(x, mean), s.splat(mean));
                squares = s.mul_add(difference, difference, squares);
            }
            let inverse = 1.0 / (s.sum(squares) / channels as f32 + self.eps).sqrt();
            let parameters = self.weight.chunks(LANES).zip(self.bias.chunks(LANES));
            for ((out, x), (weight, bias)) in out.chunks_mut(LANES).zip(x.chunks(LANES)).zip(parameters) {
                let normal = s.mul(s.sub(s.load_some(x, 0.0), s.splat(mean)), s.splat(inverse));
                s.store_some(out, s.mul_add(normal, s.load_some(weight, 0.0), s.load_some(bias, 0.0)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::test_values::randn;

    /// Mean and inverse deviation.
    fn moments(x: &[f64], eps: f64) -> (f64, f64) {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        (mean, 1.0 / (variance + eps).sqrt())
    }

    /// What rounding to `f32` may make of `(x - mean) * scale`: where `x` is close to the mean, the difference keeps few
    /// of their digits.
    fn tolerance(wanted: f64, x: f32, mean: f64, scale: f64) -> f64 {
        1e-5 * (1.0 + wanted.abs()) + f64::from(f32::EPSILON) * (f64::from(x.abs()) + mean.abs()) * scale.abs()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn group_norm_is_what_its_definition_says(
            images in 1_usize..3, positions in 1_usize..300, groups in 1_usize..5, size in 1_usize..30, seed in 0_u64..1000,
        ) {
            let channels = groups * size;
            let offset = 50.0 * (seed % 3) as f32;
            let x: Vec<f32> = randn(seed, images * positions * channels).into_iter().map(|x| x + offset).collect();
            let (weight, bias) = (randn(seed + 1, channels), randn(seed + 2, channels));
            let found = group_norm(&x, images, groups, &weight, &bias, 1e-5).apply(&x, images, channels, None);
            for image in 0..images {
                let x = &x[image * positions * channels..(image + 1) * positions * channels];
                for group in 0..groups {
                    let is_member = |at: usize| at % channels / size == group;
                    let members = x.iter().enumerate().filter(|(at, _)| is_member(*at));
                    let (mean, inverse) = moments(&members.map(|(_, x)| f64::from(*x)).collect::<Vec<_>>(), 1e-5);
                    for (at, x) in x.iter().enumerate().filter(|(at, _)| is_member(*at)) {
                        let c = at % channels;
                        let wanted = (f64::from(*x) - mean) * inverse * f64::from(weight[c]) + f64::from(bias[c]);
                        let found = f64::from(found[image * positions * channels + at]);
                        let tolerance = tolerance(wanted, *x, mean, inverse * f64::from(weight[c]));
                        prop_assert!((found - wanted).abs() < tolerance, "{} is not {}", found, wanted);
                    }
                }
            }
        }

        #[test]
        fn layer_norm_is_what_its_definition_says(rows in 1_usize..80, channels in 2_usize..100, seed in 0_u64..1000) {
            let (x, weight, bias) = (randn(seed, rows * channels), randn(seed + 1, channels), randn(seed + 2, channels));
            let found = layer_norm(&x, &weight, &bias, 1e-5);
            for (x, found) in x.chunks_exact(channels).zip(found.chunks_exact(channels)) {
                let (mean, inverse) = moments(&x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), 1e-5);
                for c in 0..channels {
                    let wanted = (f64::from(x[c]) - mean) * inverse * f64::from(weight[c]) + f64::from(bias[c]);
                    let tolerance = tolerance(wanted, x[c], mean, inverse * f64::from(weight[c]));
                    prop_assert!((f64::from(found[c]) - wanted).abs() < tolerance, "{} is not {}", found[c], wanted);
                }
            }
        }
    }
}
