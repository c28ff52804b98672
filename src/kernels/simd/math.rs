//! Functions of vectors that every kernel shares.

use crate::kernels::simd::Simd;

/// `e^x`; below -87 it is `e^-87`, above 88 `e^88`. Off by two units in the last place at most.
///
/// Range reduction and polynomial are those of Cephes' `expf`.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let x = s.min(s.max(x, s.splat(-87.0)), s.splat(88.0));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let minus_n = s.sub(s.splat(0.0), n);
    // ln 2 in two parts, the first with zeros at its end, so that n times it is exact.
    let r = s.mul_add(minus_n, s.splat(0.693_359_4), x);
    let r = s.mul_add(minus_n, s.splat(-2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = s.mul_add(p, r, s.splat(coefficient));
    }
    let p = s.add(s.mul_add(p, s.mul(r, r), r), s.splat(1.0));
    s.scale_by_power(p, n)
}

/// `1 / (1 + e^-x)`
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// `x sigmoid(x)`
#[inline(always)]
pub fn silu<S: Simd>(s: S, x: S::F) -> S::F {
    s.div(x, s.add(s.splat(1.0), exp(s, s.sub(s.splat(0.0), x))))
}

/// CLIP's `x sigmoid(1.702 x)`
#[inline(always)]
pub fn quick_gelu<S: Simd>(s: S, x: S::F) -> S::F {
    s.mul(x, sigmoid(s, s.mul(x, s.splat(1.702))))
}

/// The exact GELU, `x / 2 (1 + erf(x / sqrt 2))`.
#[inline(always)]
pub fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    let erf = erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
    s.mul(s.mul(x, s.splat(0.5)), s.add(s.splat(1.0), erf))
}

/// The error function, off by 5e-7 at most.
///
/// The rational approximation that Eigen has (`generic_fast_erf_float`), on -4 to 4, beyond which f32 knows only one.
#[inline(always)]
pub fn erf<S: Simd>(s: S, x: S::F) -> S::F {
    let x = s.min(s.max(x, s.splat(-4.0)), s.splat(4.0));
    let x2 = s.mul(x, x);
    let mut p = s.splat(-2.726_142_3e-10);
    for coefficient in [2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906e-4, -2.954_6e-3, -1.609_603_3e-2] {
        p = s.mul_add(p, x2, s.splat(coefficient));
    }
    let mut q = s.splat(-1.456_607_2e-5);
    for coefficient in [-2.133_740_5e-4, -1.682_827e-3, -7.373_329e-3, -1.426_474e-2] {
        q = s.mul_add(q, x2, s.splat(coefficient));
    }
    s.div(s.mul(x, p), q)
}
