//! [`Simd`] on AVX2 with FMA: sixteen lanes are two registers of eight.
//!
//! Safety of the whole file: a token of type [`Avx2`] is made only in [`run`], whose caller promises that the CPU
//! has the features. So wherever there is a token, its instructions may be used; pointers are the callers' promise,
//! said at each method of the trait.

use std::arch::x86_64::*;

use crate::kernels::simd::{Kernel, LANES, Simd};

/// Proof of AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

/// # Safety
/// The CPU must have the features.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

/// The sum of eight lanes: halves added until one is left.
///
/// # Safety
/// The CPU must have AVX.
#[inline(always)]
pub unsafe fn sum_256(x: __m256) -> f32 {
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

/// A number in front of each half.
type Halves = (__m256, __m256);

// SAFETY of each block: see the head of the file.
impl Simd for Avx2 {
    type F = Halves;

    // Twelve sums, and what is multiplied: sixteen registers.
    const ROWS: usize = 3;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        let x = unsafe { _mm256_set1_ps(x) };
        (x, x)
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        unsafe { self.load_from(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], x: Self::F) {
        unsafe { self.store_to(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    unsafe fn load_from(self, from: *const f32) -> Self::F {
        unsafe { (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn store_to(self, to: *mut f32, x: Self::F) {
        unsafe {
            _mm256_storeu_ps(to, x.0);
            _mm256_storeu_ps(to.add(8), x.1);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { (_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1)) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
    }
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        unsafe { (_mm256_round_ps::<NEAREST>(x.0), _mm256_round_ps::<NEAREST>(x.1)) }
    }
    #[inline(always)]
    fn scale_by_power(self, x: Self::F, n: Self::F) -> Self::F {
        unsafe {
            let bias = _mm256_set1_epi32(127);
            let low = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n.0), bias));
            let high = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n.1), bias));
            (_mm256_mul_ps(x.0, _mm256_castsi256_ps(low)), _mm256_mul_ps(x.1, _mm256_castsi256_ps(high)))
        }
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        unsafe { sum_256(_mm256_add_ps(x.0, x.1)) }
    }
    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        let mut lanes = [0.0; 8];
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_max_ps(x.0, x.1)) };
        lanes.into_iter().fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn dot_bf16(self, acc: Self::F, pair: u32, weights: *const u16) -> Self::F {
        unsafe {
            let a = _mm256_loadu_si256(weights.cast());
            let b = _mm256_loadu_si256(weights.add(LANES).cast());
            let (low_a, low_b) = (_mm256_slli_epi32::<16>(a), _mm256_slli_epi32::<16>(b));
            let low = (_mm256_castsi256_ps(low_a), _mm256_castsi256_ps(low_b));
            let acc = self.mul_add(self.splat(f32::from_bits(pair << 16)), low, acc);
            let mask = _mm256_set1_epi32(-65536);
            let high = (_mm256_castsi256_ps(_mm256_and_si256(a, mask)), _mm256_castsi256_ps(_mm256_and_si256(b, mask)));
            self.mul_add(self.splat(f32::from_bits(pair & 0xffff_0000)), high, acc)
        }
    }
}
