//! Inputs of kernel tests: normal numbers that depend on a seed alone.

use std::f64::consts::TAU;

/// `count` normal numbers by Box-Muller from SplitMix64 (Steele et al., 2014).
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
pub(crate) fn randn(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    // In (0, 1]: its logarithm is finite.
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    };
    let mut normal = || (-2.0 * uniform().ln()).sqrt() * (TAU * uniform()).cos();
    (0..count).map(|_| normal() as f32).collect()
}

#[test]
fn test_values_are_normal() {
    let values = randn(5, 10_000);
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e4;
    let variance = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 1e4;
    assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    assert_ne!(values[..10], randn(6, 10)[..]);
}
