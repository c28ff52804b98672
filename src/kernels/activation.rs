//! Activations, element by element, on the CPU.

#![allow(unsafe_code)]

use crate::kernels::buffer::{filled, for_each_chunk};
use crate::kernels::simd::{Kernel, LANES, Simd, dispatch, math};

/// Numbers of a chunk.
const CHUNK: usize = 16 << 10;

/// The activations that models of this family have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// The exact GELU, by the error function.
    Gelu,
    /// CLIP's `x sigmoid(1.702 x)`.
    QuickGelu,
}

impl Activation {
    /// The activation of a vector.
    #[inline(always)]
    pub(crate) fn of<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            Self::Silu => math::silu(s, x),
            Self::Gelu => math::gelu(s, x),
            Self::QuickGelu => math::quick_gelu(s, x),
        }
    }

    /// The activation of many numbers.
    pub fn apply(self, x: &[f32]) -> Vec<f32> {
        let fill = |out: &mut [f32]| {
            for_each_chunk(out, CHUNK, |chunk, out| {
                dispatch(Apply { activation: self, x: &x[chunk * CHUNK..][..out.len()], out });
            });
        };
        // SAFETY: every number is written.
        unsafe { filled(x.len(), fill) }
    }
}

struct Apply<'a> {
    activation: Activation,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (out, x) in self.out.chunks_mut(LANES).zip(self.x.chunks(LANES)) {
            s.store_some(out, self.activation.of(s, s.load_some(x, 0.0)));
        }
    }
}
