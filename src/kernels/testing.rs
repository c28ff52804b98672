//! Values that kernels are tested with.

use std::f32::consts::TAU;

use rand_mt::Mt;

/// `count` standard normal values by Box-Muller; a seed gives the same ones everywhere.
pub fn randn(seed: u64, count: usize) -> Vec<f32> {
    // 24 bits in `(0, 1]`, so that the logarithm is finite.
    let uniform = |generator: &mut Mt| ((generator.next_u32() >> 8) + 1) as f32 / 16_777_216.0;
    let mut generator = Mt::new(u32::try_from(seed).expect("a small seed"));
    let pair = || (uniform(&mut generator), uniform(&mut generator));
    std::iter::repeat_with(pair).map(|(a, b)| (-2.0 * a.ln()).sqrt() * (TAU * b).cos()).take(count).collect()
}
