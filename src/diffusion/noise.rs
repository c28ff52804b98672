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
    Generator::new(seed).randn(count)
}

/// PyTorch's CPU generator: consecutive draws go on where the last one ended.
#[derive(Debug, Clone)]
pub struct Generator {
    bits: Mt,
    /// The second value of a pair of which the scalar path has returned the first.
    spare: Option<f32>,
}

impl Generator {
    /// `torch.Generator("cpu").manual_seed(seed)`.
    pub fn new(seed: u64) -> Self {
        // The generator's state is seeded with 32 bits; PyTorch drops the upper half too.
        #[allow(clippy::cast_possible_truncation)]
        Self { bits: Mt::new(seed as u32), spare: None }
    }

    /// `torch.randn(count, generator=self)`.
    pub fn randn(&mut self, count: usize) -> Vec<f32> {
        if count < BLOCK {
            return self.scalar_path(count);
        }
        let mut values: Vec<f32> = (0..count).map(|_| uniform_f32(&mut self.bits)).collect();
        let whole = count - count % BLOCK;
        for block in values[..whole].chunks_exact_mut(BLOCK) {
            box_muller_block(block);
        }
        if whole != count {
            let tail = &mut values[count - BLOCK..];
            tail.fill_with(|| uniform_f32(&mut self.bits));
            box_muller_block(tail);
        }
        values
    }

    /// Goes on as [`Self::randn`] would, without computing the values.
    pub fn skip(&mut self, count: usize) {
        if count < BLOCK {
            self.scalar_path(count);
            return;
        }
        let tail = if count.is_multiple_of(BLOCK) { 0 } else { BLOCK };
        for _ in 0..count + tail {
            self.bits.next_u32();
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn scalar_path(&mut self, count: usize) -> Vec<f32> {
        let mut value = || {
            if let Some(spare) = self.spare.take() {
                return spare;
            }
            let angle = 2.0 * PI * uniform_f64(&mut self.bits);
            let radius = (-2.0 * (-uniform_f64(&mut self.bits)).ln_1p()).sqrt();
            self.spare = Some((radius * angle.sin()) as f32);
            (radius * angle.cos()) as f32
        };
        (0..count).map(|_| value()).collect()
    }
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

#[cfg(test)]
mod tests {
    use super::{Generator, randn};

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
    fn draws_that_are_skipped_are_those_that_would_be_drawn() {
        for count in [3, 16, 31, 64] {
            let (mut drawn, mut skipped) = (Generator::new(9), Generator::new(9));
            drawn.randn(count);
            skipped.skip(count);
            assert_eq!(drawn.randn(40), skipped.randn(40), "{count}");
            assert_eq!(drawn.randn(5), skipped.randn(5), "{count}");
        }
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
