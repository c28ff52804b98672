//! Noise as `torch.randn` draws it from a CPU generator, so that a seed means what it means in diffusers.
//!
//! PyTorch's CPU generator is mt19937 seeded with the low 32 bits of the seed. Tensors of 16 values and more are
//! filled with 24-bit uniforms and turned to normals by Box-Muller in blocks of 16 (`normal_fill` in
//! `aten/src/ATen/native/cpu/DistributionTemplates.h`); when the size is not a multiple of 16 the last 16 values
//! are drawn again. Smaller tensors take the scalar path: double precision Box-Muller, a pair of samples at a time
//! (`normal_distribution<double>` in `aten/src/ATen/core/DistributionsHelper.h`).

use std::f64::consts::PI;

use rand_mt::Mt;

const BLOCK: usize = 16;

/// `count` standard normal values, as `torch.randn(count, generator=torch.Generator("cpu").manual_seed(seed))`.
pub fn randn(seed: u64, count: usize) -> Vec<f32> {
    // The generator's state is seeded with 32 bits; PyTorch drops the upper half too.
    #[allow(clippy::cast_possible_truncation)]
    let mut generator = Mt::new(seed as u32);
    if count < BLOCK {
        return scalar_path(&mut generator, count);
    }
    let mut values: Vec<f32> = (0..count).map(|_| uniform_f32(&mut generator)).collect();
    let whole = count - count % BLOCK;
    for block in values[..whole].chunks_exact_mut(BLOCK) {
        box_muller_block(block);
    }
    if whole != count {
        let tail = &mut values[count - BLOCK..];
        tail.fill_with(|| uniform_f32(&mut generator));
        box_muller_block(tail);
    }
    values
}

/// 24 random bits in `[0, 1)`.
#[allow(clippy::cast_precision_loss)]
fn uniform_f32(generator: &mut Mt) -> f32 {
    (generator.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0
}

/// 53 random bits in `[0, 1)`; the first draw is the upper half.
#[allow(clippy::cast_precision_loss)]
fn uniform_f64(generator: &mut Mt) -> f64 {
    let high = u64::from(generator.next_u32());
    let low = u64::from(generator.next_u32());
    (((high << 32) | low) & ((1 << 53) - 1)) as f64 / 9_007_199_254_740_992.0
}

/// Box-Muller over a block: values 0..8 are the radii's uniforms, 8..16 the angles'.
fn box_muller_block(block: &mut [f32]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
        #[allow(clippy::cast_possible_truncation)]
        let theta = (2.0 * PI) as f32 * *b;
        *a = radius * theta.cos();
        *b = radius * theta.sin();
    }
}

#[allow(clippy::cast_possible_truncation)]
fn scalar_path(generator: &mut Mt, count: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let angle = 2.0 * PI * uniform_f64(generator);
        let radius = (-2.0 * (-uniform_f64(generator)).ln_1p()).sqrt();
        values.push((radius * angle.cos()) as f32);
        values.push((radius * angle.sin()) as f32);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::randn;

    /// `torch.manual_seed(0); torch.randn(n)`, printed by PyTorch.
    #[test]
    fn seeds_mean_what_they_mean_in_pytorch() {
        let close = |drawn: &[f32], wanted: &[f32]| {
            for (a, b) in drawn.iter().zip(wanted) {
                assert!((a - b).abs() < 1e-5, "{drawn:?} is not {wanted:?}");
            }
        };
        close(&randn(0, 4), &[1.540_996_1, -0.293_428_9, -2.178_789_4, 0.568_431_26]);
        close(&randn(42, 4096), &[1.926_915_2, 1.487_284_1, 0.900_717_2, -2.105_521_2]);
    }

    #[test]
    fn only_the_low_half_of_a_seed_counts_as_in_pytorch() {
        assert_eq!(randn(5, 64), randn((1 << 32) + 5, 64));
    }

    #[test]
    fn the_last_sixteen_values_are_drawn_again_when_the_size_is_no_multiple_of_sixteen() {
        assert_eq!(randn(3, 32)[..15], randn(3, 31)[..15]);
        assert_ne!(randn(3, 32)[16..31], randn(3, 31)[16..31]);
    }
}
