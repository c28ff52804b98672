//! [`Simd`] on AVX-512.
//!
//! Safety of the whole file: a token of type [`Avx512`] is made only in [`run`] and [`run_with_bf16`], whose callers
//! promise that the CPU has the features that these are compiled with. So wherever there is a token, its
//! instructions may be used; pointers are the callers' promise, said at each method of the trait.

use std::arch::x86_64::*;

use crate::kernels::simd::{Kernel, LANES, Simd};

/// Proof of AVX-512 F, BW, DQ and VL, and of BF16 where `BF16`.
#[derive(Debug, Clone, Copy)]
pub struct Avx512<const BF16: bool>(());

/// # Safety
/// The CPU must have the features.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::<false>(()))
}

/// # Safety
/// The CPU must have the features.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
pub unsafe fn run_with_bf16<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::<true>(()))
}

// SAFETY of each block: see the head of the file.
impl<const BF16: bool> Simd for Avx512<BF16> {
    type F = __m512;

    // 24 sums, two vectors of weights and one number of the row: 27 of 32 registers.
    const ROWS: usize = 12;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], x: Self::F) {
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    unsafe fn load_from(self, from: *const f32) -> Self::F {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store_to(self, to: *mut f32, x: Self::F) {
        unsafe { _mm512_storeu_ps(to, x) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
    }
    #[inline(always)]
    fn scale_by_power(self, x: Self::F, n: Self::F) -> Self::F {
        unsafe { _mm512_scalef_ps(x, n) }
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        unsafe {
            let half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
            crate::kernels::simd::avx2::sum_256(half)
        }
    }
    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        unsafe { _mm512_reduce_max_ps(x) }
    }
    #[inline(always)]
    fn store_bf16(self, to: &mut [u16; LANES], x: Self::F) {
        unsafe {
            let halves = if BF16 {
                std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x))
            } else {
                let bits = _mm512_castps_si512(x);
                let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
                let rounded = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
                // What is not a number must not be carried over into one.
                let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
                let nan = _mm512_or_si512(bits, _mm512_set1_epi32(0x40_0000));
                _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(_mm512_mask_blend_epi32(is_nan, rounded, nan)))
            };
            _mm256_storeu_si256(to.as_mut_ptr().cast(), halves);
        }
    }
    #[inline(always)]
    unsafe fn dot_bf16(self, acc: Self::F, pair: u32, weights: *const u16) -> Self::F {
        unsafe {
            let weights = _mm512_loadu_si512(weights.cast());
            if BF16 {
                let pair = _mm512_set1_epi32(pair.cast_signed());
                return _mm512_dpbf16_ps(acc, as_bf16(pair), as_bf16(weights));
            }
            let low = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(weights));
            let high = _mm512_castsi512_ps(_mm512_and_si512(weights, _mm512_set1_epi32(-65536)));
            let acc = self.mul_add(self.splat(f32::from_bits(pair << 16)), low, acc);
            self.mul_add(self.splat(f32::from_bits(pair & 0xffff_0000)), high, acc)
        }
    }
}

/// The same bits, taken as bf16.
#[inline(always)]
fn as_bf16(x: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes without any rule about their bits.
    unsafe { std::mem::transmute(x) }
}
