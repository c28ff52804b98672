//! Sixteen numbers at a time, on whatever the CPU has.
//!
//! A [`Simd`] value is the proof that the CPU can do what it names: only [`dispatch`] and [`Isa`] make one, after
//! asking the CPU. A kernel is written once, against this trait, and [`dispatch`] compiles it for AVX-512,
//! for AVX2 with FMA, and for any CPU. Lanes, the order of sums and fused multiplication are the same in the first
//! two, so in f32 they give the same bytes; the portable one rounds products where the CPU has no FMA. Products
//! of bf16 are rounded as the CPU does it.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod math;
mod portable;

use std::sync::OnceLock;

/// Numbers in a [`Simd::F`].
pub const LANES: usize = 16;

/// Vectors of sixteen f32. Every method works lane by lane unless it says otherwise.
pub trait Simd: Copy + Send + Sync + std::fmt::Debug {
    /// Sixteen f32.
    type F: Copy;

    /// Rows of a matrix product that fit into registers beside [`LANES`] times two columns.
    const ROWS: usize;

    /// The same number in every lane.
    fn splat(self, x: f32) -> Self::F;
    /// Reads a vector.
    fn load(self, from: &[f32; LANES]) -> Self::F;
    /// Writes a vector.
    fn store(self, to: &mut [f32; LANES], x: Self::F);
    /// Reads a vector from anywhere.
    ///
    /// # Safety
    /// `from` must be valid for reads of sixteen f32.
    unsafe fn load_from(self, from: *const f32) -> Self::F;
    /// Writes a vector to anywhere.
    ///
    /// # Safety
    /// `to` must be valid for writes of sixteen f32.
    unsafe fn store_to(self, to: *mut f32, x: Self::F);
    /// `a + b`
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger one.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The smaller one.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the CPU can.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The nearest whole number, ties to even; for numbers below 2^22 in magnitude.
    fn round(self, x: Self::F) -> Self::F;
    /// `x * 2^n` for whole `n` from -126 to 127.
    fn scale_by_power(self, x: Self::F, n: Self::F) -> Self::F;
    /// The sum of all lanes: halves added until one is left.
    fn sum(self, x: Self::F) -> f32;
    /// The largest lane.
    fn largest(self, x: Self::F) -> f32;
    /// `acc + x.low * w.low + x.high * w.high`, where each lane of `w`, read from `weights`, and the one `pair` hold two
    /// bf16.
    ///
    /// # Safety
    /// `weights` must be valid for reads of 32 bf16.
    unsafe fn dot_bf16(self, acc: Self::F, pair: u32, weights: *const u16) -> Self::F;

    /// Writes the nearest bf16 of each lane, ties to even.
    #[inline(always)]
    fn store_bf16(self, to: &mut [u16; LANES], x: Self::F) {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes, x);
        for (to, lane) in to.iter_mut().zip(lanes) {
            *to = to_bf16(lane);
        }
    }

    /// Reads at most as many numbers as a vector has; `fill` is put into the other lanes.
    #[inline(always)]
    fn load_some(self, from: &[f32], fill: f32) -> Self::F {
        if let Ok(whole) = from.try_into() {
            return self.load(whole);
        }
        let mut lanes = [fill; LANES];
        lanes[..from.len()].copy_from_slice(from);
        self.load(&lanes)
    }

    /// Writes the first lanes of a vector.
    #[inline(always)]
    fn store_some(self, to: &mut [f32], x: Self::F) {
        if let Ok(whole) = to.try_into() {
            self.store(whole, x);
            return;
        }
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes, x);
        let count = to.len();
        to.copy_from_slice(&lanes[..count]);
    }
}

/// Something that is computed with [`Simd`]. `run` must be `#[inline(always)]`, and so must be whatever it calls with
/// vectors: it is compiled for each kind of CPU inside of [`dispatch`]. Closures and the adapters of iterators may
/// end up outside, where each instruction is a call; loops do not.
pub trait Kernel {
    /// What comes out.
    type Output;
    /// Computes it.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// What a CPU can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Anything.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 (F, BW, DQ, VL).
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with products of bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

impl Isa {
    /// All that this CPU has, the best one last.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut there = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            let found = [
                (avx2, Self::Avx2),
                (avx512, Self::Avx512),
                (avx512 && is_x86_feature_detected!("avx512bf16"), Self::Avx512Bf16),
            ];
            there.extend(found.into_iter().filter_map(|(has, isa)| has.then_some(isa)));
        }
        there
    }

    /// The best that this CPU has.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().pop().unwrap_or(Self::Portable))
    }
}

#[cfg(test)]
thread_local! {
    static FORCED: std::cell::Cell<Option<Isa>> = const { std::cell::Cell::new(None) };
}

/// Calls `work` with this thread's kernels on something that the CPU has.
///
/// # Panics
/// Where the CPU does not have it.
#[cfg(test)]
pub fn on<T>(isa: Isa, work: impl FnOnce() -> T) -> T {
    assert!(Isa::available().contains(&isa));
    FORCED.set(Some(isa));
    let result = work();
    FORCED.set(None);
    result
}

/// Runs a kernel on the best that the CPU has.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: both are of those that the CPU has.
    #[cfg(test)]
    if let Some(isa) = FORCED.get() {
        return unsafe { dispatch_on(isa, kernel) };
    }
    unsafe { dispatch_on(Isa::best(), kernel) }
}

/// Runs a kernel on something that the CPU has.
///
/// # Safety
/// `isa` must be one of [`Isa::available`].
#[inline]
pub unsafe fn dispatch_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        Isa::Portable => kernel.run(portable::Portable),
        // SAFETY (each): the CPU has the features, as the caller promises; so the tokens may be made.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::run(kernel) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::run(kernel) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 => unsafe { avx512::run_with_bf16(kernel) },
    }
}

/// The nearest bf16, ties to even, as bits; what is not a number stays so.
#[inline(always)]
pub fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return ((bits >> 16) as u16) | 0x40;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

/// The number that bits of a bf16 stand for.
#[inline(always)]
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests;
