//! What the vectors say against the standard library and against each other.

use crate::kernels::simd::{Isa, Kernel, LANES, Simd, dispatch_on, math, to_bf16};

/// A function of one number, applied to many.
struct Map<'a, F>(&'a [f32], F);

trait Of {
    fn of<S: Simd>(&self, s: S, x: S::F) -> S::F;
}

impl<F: Of> Kernel for Map<'_, F> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<f32> {
        let mut out = vec![0.0; self.0.len()];
        for (to, from) in out.chunks_mut(LANES).zip(self.0.chunks(LANES)) {
            let y = self.1.of(s, s.load_some(from, 0.0));
            s.store_some(to, y);
        }
        out
    }
}

macro_rules! functions {
    ($($name:ident: $path:path;)*) => {
        $(struct $name;
        impl Of for $name {
            #[inline(always)]
            fn of<S: Simd>(&self, s: S, x: S::F) -> S::F {
                $path(s, x)
            }
        })*
    };
}

functions! {
    Exp: math::exp;
    Silu: math::silu;
    QuickGelu: math::quick_gelu;
    Gelu: math::gelu;
    Erf: math::erf;
}

fn numbers() -> Vec<f32> {
    (-20_000..20_000).map(|i| i as f32 * 0.000_9).chain([0.0, -0.0, 1e-30, -1e-30, 87.0, -87.0]).collect()
}

/// The error function in double precision: its series, and far out the continued fraction of what is left to one.
fn erf(x: f64) -> f64 {
    if x.abs() > 2.0 {
        let fraction = (1..100).rev().fold(x.abs(), |below, n| x.abs() + f64::from(n) / 2.0 / below);
        return x.signum() * (1.0 - (-x * x).exp() / std::f64::consts::PI.sqrt() / fraction);
    }
    let (mut sum, mut term) = (0.0, x);
    for n in 0..100 {
        sum += term / f64::from(2 * n + 1);
        term *= -x * x / f64::from(n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn check(of: impl Of, wanted: impl Fn(f64) -> f64, tolerance: impl Fn(f64, f64) -> f64) {
    let numbers = numbers();
    for isa in Isa::available() {
        // SAFETY: it is available.
        let found = unsafe { dispatch_on(isa, Map(&numbers, Wrapped(&of))) };
        for (x, found) in numbers.iter().zip(found) {
            let wanted = wanted(f64::from(*x));
            assert!(
                (f64::from(found) - wanted).abs() <= tolerance(f64::from(*x), wanted),
                "{isa:?}: {x} -> {found}, not {wanted}"
            );
        }
    }
}

struct Wrapped<'a, F>(&'a F);

impl<F: Of> Of for Wrapped<'_, F> {
    #[inline(always)]
    fn of<S: Simd>(&self, s: S, x: S::F) -> S::F {
        self.0.of(s, x)
    }
}

#[test]
fn functions_are_what_they_are_called() {
    check(Exp, f64::exp, |_, y| y * 2.5e-7);
    check(Silu, |x| x / (1.0 + (-x).exp()), |_, y| 1e-9 + y.abs() * 5e-7);
    check(QuickGelu, |x| x / (1.0 + (-1.702 * x).exp()), |_, y| 1e-6 + y.abs() * 5e-7);
    check(Erf, erf, |_, _| 5e-7);
    check(Gelu, |x| x / 2.0 * (1.0 + erf(x / 2f64.sqrt())), |x, y| 2e-7 + x.abs() * 2.5e-7 + y.abs() * 5e-7);
}

struct Sums<'a>(&'a [[f32; LANES]]);

impl Kernel for Sums<'_> {
    type Output = Vec<u32>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<u32> {
        self.0.iter().flat_map(|x| [s.sum(s.load(x)).to_bits(), s.largest(s.load(x)).to_bits()]).collect()
    }
}

#[test]
fn processors_with_fma_agree_to_the_bit() {
    let with_fma: Vec<_> = Isa::available().into_iter().filter(|isa| *isa != Isa::Portable).collect();
    let numbers = numbers();
    let vectors: Vec<[f32; LANES]> = numbers.chunks_exact(LANES).map(|x| x.try_into().unwrap()).collect();
    // SAFETY: all are available.
    let bits = |isa| unsafe {
        let functions = [
            dispatch_on(isa, Map(&numbers, Exp)),
            dispatch_on(isa, Map(&numbers, Silu)),
            dispatch_on(isa, Map(&numbers, Gelu)),
            dispatch_on(isa, Map(&numbers, QuickGelu)),
        ];
        let sums = dispatch_on(isa, Sums(&vectors));
        functions.into_iter().flatten().map(f32::to_bits).chain(sums).collect::<Vec<_>>()
    };
    for pair in with_fma.windows(2) {
        assert!(bits(pair[0]) == bits(pair[1]), "{pair:?}");
    }
}

#[test]
fn bf16_is_the_nearest_one_and_even_in_the_middle() {
    assert_eq!(to_bf16(1.0), 0x3f80);
    assert_eq!(to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
    assert_eq!(to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
    assert_eq!(to_bf16(f32::from_bits(0x3f80_8001)), 0x3f81);
    assert_eq!(to_bf16(f32::INFINITY), 0x7f80);
    assert!(f32::from_bits(u32::from(to_bf16(f32::NAN)) << 16).is_nan());
}

struct Rounded<'a>(&'a [f32]);

impl Kernel for Rounded<'_> {
    type Output = Vec<u16>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<u16> {
        let mut out = Vec::new();
        for x in self.0.chunks(LANES) {
            let mut lanes = [0; LANES];
            s.store_bf16(&mut lanes, s.load_some(x, 0.0));
            out.extend_from_slice(&lanes[..x.len()]);
        }
        out
    }
}

#[test]
fn every_processor_rounds_to_the_same_bf16() {
    let numbers: Vec<f32> =
        numbers().into_iter().chain([f32::INFINITY, f32::from_bits(0x3f80_8000), 1e38, -1e-37]).collect();
    let wanted: Vec<u16> = numbers.iter().map(|x| to_bf16(*x)).collect();
    for isa in Isa::available() {
        // SAFETY: it is available.
        assert!(unsafe { dispatch_on(isa, Rounded(&numbers)) } == wanted, "{isa:?}");
        let nan = unsafe { dispatch_on(isa, Rounded(&[f32::NAN, f32::from_bits(0x7f80_0001)])) };
        assert!(nan.into_iter().all(|bits| crate::kernels::simd::from_bf16(bits).is_nan()), "{isa:?}");
    }
}
