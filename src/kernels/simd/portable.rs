//! [`Simd`] for any CPU: arrays, which the compiler turns into whatever vectors it may assume.

use crate::kernels::simd::{LANES, Simd};

/// Needs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

/// Rounded once only where that is one instruction: elsewhere it would be a call for every number.
const FUSES: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

impl Portable {
    #[inline(always)]
    fn zip(a: [f32; LANES], b: [f32; LANES], of: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
        std::array::from_fn(|lane| of(a[lane], b[lane]))
    }
}

impl Simd for Portable {
    type F = [f32; LANES];

    const ROWS: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        *from
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], x: Self::F) {
        *to = x;
    }
    #[inline(always)]
    unsafe fn load_from(self, from: *const f32) -> Self::F {
        // SAFETY: valid for sixteen f32, as the caller promises.
        unsafe { from.cast::<Self::F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_to(self, to: *mut f32, x: Self::F) {
        // SAFETY: valid for sixteen f32, as the caller promises.
        unsafe { to.cast::<Self::F>().write_unaligned(x) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        Self::zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        Self::zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        Self::zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        Self::zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // As the CPUs' instruction: the second one where they cannot be compared.
        Self::zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        Self::zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|lane| if FUSES { a[lane].mul_add(b[lane], c[lane]) } else { a[lane] * b[lane] + c[lane] })
    }
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        // Adding and taking away 1.5 * 2^23 leaves no room for a fraction.
        x.map(|x| (x + 12_582_912.0) - 12_582_912.0)
    }
    #[inline(always)]
    fn scale_by_power(self, x: Self::F, n: Self::F) -> Self::F {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Self::zip(x, n, |x, n| x * f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        let mut x = x;
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                x[lane] += x[lane + half];
            }
        }
        x[0]
    }
    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        x.into_iter().fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn dot_bf16(self, acc: Self::F, pair: u32, weights: *const u16) -> Self::F {
        // SAFETY: valid for 32 bf16, as the caller promises.
        let weights = unsafe { weights.cast::<[[u16; 2]; LANES]>().read_unaligned() };
        let wide = |bits: u16| f32::from_bits(u32::from(bits) << 16);
        let (low, high) = (f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000));
        let acc = self.mul_add([low; LANES], weights.map(|w| wide(w[0])), acc);
        self.mul_add([high; LANES], weights.map(|w| wide(w[1])), acc)
    }
}
