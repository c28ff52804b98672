//! Keys and values of attention, laid out by head in panels of 32, as products read them.

#![allow(unsafe_code)]

use std::ops::Deref;

use crate::kernels::buffer::{filled, for_each_chunk};
use crate::kernels::op_counters;
use crate::kernels::panels::PANEL;
use crate::kernels::simd::{Kernel, LANES, Simd, dispatch};
use crate::kernels::tile::multiply;

/// What keys and values have in common: panels of numbers, head by head.
#[derive(Debug, Clone)]
pub struct ByHead {
    numbers: Vec<f32>,
    tokens: usize,
    heads: usize,
}

/// Keys of all heads in panels: `[head][panel of tokens][head_dim][32]`.
#[derive(Debug, Clone)]
pub struct Keys(ByHead);

/// Values of all heads in panels: `[head][panel of channels][tokens][32]`.
#[derive(Debug, Clone)]
pub struct Values(ByHead);

impl Deref for Keys {
    type Target = ByHead;

    fn deref(&self) -> &ByHead {
        &self.0
    }
}

impl Deref for Values {
    type Target = ByHead;

    fn deref(&self) -> &ByHead {
        &self.0
    }
}

impl ByHead {
    /// Tokens that can be attended to.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Heads.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Numbers of all panels.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        size_of_val(self.numbers.as_slice()) as u64
    }

    /// The panels of one head.
    pub(crate) fn head(&self, head: usize) -> &[f32] {
        let size = self.numbers.len() / self.heads;
        &self.numbers[head * size..(head + 1) * size]
    }

    #[cfg(test)]
    pub(crate) fn numbers(&self) -> &[f32] {
        &self.numbers
    }
}

impl Keys {
    /// Lays out `[tokens, channels]`.
    pub fn new(keys: &[f32], tokens: usize, heads: usize) -> Self {
        let (channels, head_dim) = (keys.len() / tokens, keys.len() / tokens / heads);
        let panels = tokens.div_ceil(PANEL);
        let fill = |numbers: &mut [f32]| {
            for_each_chunk(numbers, head_dim * PANEL, |chunk, out| {
                let (head, panel) = (chunk / panels, chunk % panels);
                let count = (tokens - panel * PANEL).min(PANEL);
                for lane in 0..PANEL {
                    let at = (panel * PANEL + lane) * channels + head * head_dim;
                    let from = if lane < count { &keys[at..at + head_dim] } else { &[] };
                    let lanes = out[lane..].iter_mut().step_by(PANEL);
                    lanes.zip(from.iter().chain(std::iter::repeat(&0.0))).for_each(|(to, from)| *to = *from);
                }
            });
        };
        // SAFETY: every lane of every panel is written.
        let numbers = unsafe { filled(heads * panels * head_dim * PANEL, fill) };
        Self(ByHead { numbers, tokens, heads })
    }

    /// Bytes that so many would take.
    pub fn bytes_of(tokens: usize, heads: usize, head_dim: usize) -> u64 {
        (heads * tokens.div_ceil(PANEL) * PANEL * head_dim * size_of::<f32>()) as u64
    }
}

impl Values {
    /// Lays out `[tokens, channels]`.
    pub fn new(values: &[f32], tokens: usize, heads: usize) -> Self {
        let (channels, head_dim) = (values.len() / tokens, values.len() / tokens / heads);
        let panels = head_dim.div_ceil(PANEL);
        let fill = |numbers: &mut [f32]| {
            for_each_chunk(numbers, tokens * PANEL, |chunk, out| {
                let (head, panel) = (chunk / panels, chunk % panels);
                let count = (head_dim - panel * PANEL).min(PANEL);
                for (token, out) in out.chunks_exact_mut(PANEL).enumerate() {
                    let at = token * channels + head * head_dim + panel * PANEL;
                    out[..count].copy_from_slice(&values[at..at + count]);
                    out[count..].fill(0.0);
                }
            });
        };
        // SAFETY: every row of every panel is written.
        let numbers = unsafe { filled(heads * panels * tokens * PANEL, fill) };
        Self(ByHead { numbers, tokens, heads })
    }

    /// Multiplied from the left by a matrix `[tokens, tokens]`.
    ///
    /// # Panics
    /// Where the matrix is of another size.
    pub fn mixed(&self, matrix: &[f32]) -> Self {
        assert_eq!(matrix.len(), self.tokens * self.tokens, "a matrix over tokens");
        op_counters::count_products(self.tokens, self.tokens, self.numbers.len() / self.tokens);
        let mut numbers = vec![0.0; self.numbers.len()];
        let size = self.tokens * PANEL;
        for_each_chunk(&mut numbers, size, |panel, out| {
            let panel = &self.numbers[panel * size..][..size];
            dispatch(Mix { matrix, panel, tokens: self.tokens, out });
        });
        Self(ByHead { numbers, ..self.0 })
    }

    /// Each token's multiplied by a factor.
    ///
    /// # Panics
    /// Where there is not one for each token.
    pub fn scaled(&self, factors: &[f32]) -> Self {
        assert_eq!(factors.len(), self.tokens, "a factor for each token");
        let rows = self.numbers.chunks_exact(PANEL).zip(factors.iter().cycle());
        let numbers = rows.flat_map(|(row, factor)| row.iter().map(move |value| value * factor)).collect();
        Self(ByHead { numbers, ..self.0 })
    }

    /// Bytes that so many would take.
    pub fn bytes_of(tokens: usize, heads: usize, head_dim: usize) -> u64 {
        (heads * tokens * head_dim.div_ceil(PANEL) * PANEL * size_of::<f32>()) as u64
    }
}

/// A matrix times one panel.
struct Mix<'a> {
    matrix: &'a [f32],
    panel: &'a [f32],
    tokens: usize,
    out: &'a mut [f32],
}

impl Kernel for Mix<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.matrix.chunks_exact(self.tokens);
        for (row, out) in rows.zip(self.out.chunks_exact_mut(PANEL)) {
            let mut sums = [[s.splat(0.0); 2]; 1];
            // SAFETY: a row of `tokens` numbers, and a panel of as many rows.
            unsafe { multiply(s, &[row.as_ptr()], &[(0, self.tokens)], self.panel.as_ptr(), &mut sums) };
            let (low, high) = out.split_at_mut(LANES);
            s.store_some(low, sums[0][0]);
            s.store_some(high, sums[0][1]);
        }
    }
}
