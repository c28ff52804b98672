//! Attention on the CPU: `softmax(Q K^T / sqrt(head_dim)) V`, without its maps in memory, or with their sum over heads.
//!
//! Queries, keys and values are `[positions or tokens, channels]`, the heads' channels one behind the other, as
//! projections give them. Some queries at a time meet all keys, so a head's scores stay in the cache. A row of a batch may attend
//! as a sum of several terms, which is what an edit does.

#![allow(unsafe_code)]

use crate::kernels::buffer::{Shared, filled, with_scratch};
pub use crate::kernels::heads::{Keys, Values};
use crate::kernels::op_counters;
use crate::kernels::panels::PANEL;
use crate::kernels::pool::{for_each, threads};
use crate::kernels::simd::{Kernel, LANES, Simd, dispatch, math};
use crate::kernels::tile::{as_many_rows, multiply};

/// `softmax(Q K^T / sqrt(head_dim)) V`
#[derive(Debug, Clone, Copy)]
pub struct Term<'a> {
    /// `[positions, channels]`
    pub queries: &'a [f32],
    /// Of the tokens that are attended to.
    pub keys: &'a Keys,
    /// Of the same tokens.
    pub values: &'a Values,
}

/// How a row of a batch attends: the sum of its terms.
#[derive(Debug)]
pub struct Row<'a> {
    /// The terms.
    pub terms: Vec<Term<'a>>,
    /// `[positions, tokens]`, to which the probabilities of the last term are added, head by head.
    pub map: Option<&'a mut [f32]>,
}

/// What every row has in common.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Heads.
    pub count: usize,
    /// Channels of all heads together.
    pub channels: usize,
    /// Queries.
    pub positions: usize,
    /// Whether a position sees none after itself.
    pub is_causal: bool,
}

/// The attended values of all rows, `[rows, positions, channels]`.
///
/// # Panics
/// Where sizes do not fit together.
pub fn attend(rows: Vec<Row<'_>>, heads: Heads) -> Vec<f32> {
    let Heads { channels, positions, count, .. } = heads;
    let head_dim = channels / count;
    for row in &rows {
        for term in &row.terms {
            let (keys, values) = (term.keys, term.values);
            assert_eq!(term.queries.len(), positions * channels, "queries");
            assert!(
                (keys.heads(), values.heads()) == (count, count) && keys.tokens() == values.tokens(),
                "keys and values"
            );
            assert_eq!(keys.len(), count * keys.tokens().div_ceil(PANEL) * PANEL * head_dim, "keys");
            assert_eq!(values.len(), count * values.tokens() * head_dim.div_ceil(PANEL) * PANEL, "values");
            op_counters::count_products(positions * count, head_dim, keys.tokens() * 2);
            op_counters::count_exponentials(positions * count * keys.tokens());
        }
        let tokens = row.terms.last().map_or(0, |term| term.keys.tokens());
        assert!(row.map.as_ref().is_none_or(|map| map.len() == positions * tokens), "a map");
    }
    let chunk = if threads() == 1 { positions } else { positions.div_ceil(threads() * 2).next_multiple_of(12).max(24) };
    let chunks = positions.div_ceil(chunk.max(1));
    let mut parts = Vec::with_capacity(rows.len());
    for Row { terms, map } in rows {
        parts.push((terms, map.map(Shared::new)));
    }
    let fill = |out: &mut [f32]| {
        let shared = Shared::new(out);
        for_each(parts.len() * chunks, |index| {
            let (row, first) = (index / chunks, index % chunks * chunk);
            let range = first..(first + chunk).min(positions);
            let (terms, map) = &parts[row];
            let of_row = row * positions * channels;
            // SAFETY: each row's positions are one chunk's, in the output and in the maps.
            let out = unsafe { shared.part(of_row + range.start * channels..of_row + range.end * channels) };
            out.fill(0.0);
            for (index, term) in terms.iter().enumerate() {
                let tokens = term.keys.tokens();
                let map = map.as_ref().filter(|_| index + 1 == terms.len()).map(|map| {
                    // SAFETY: as above.
                    unsafe { map.part(range.start * tokens..range.end * tokens) }
                });
                with_scratch(MAX_ROWS * tokens.next_multiple_of(PANEL), |scores| {
                    dispatch(Chunk { term: *term, heads, range: range.clone(), out, map, scores });
                });
            }
        });
    };
    // SAFETY: each chunk fills its part with zeros before it adds to it.
    unsafe { filled(parts.len() * positions * channels, fill) }
}

/// Queries that are taken at once at most.
const MAX_ROWS: usize = 12;

/// Some positions of one term.
struct Chunk<'a> {
    term: Term<'a>,
    heads: Heads,
    range: std::ops::Range<usize>,
    out: &'a mut [f32],
    map: Option<&'a mut [f32]>,
    /// Of some queries, `[ROWS, tokens, rounded up to whole panels]`.
    scores: &'a mut [f32],
}

impl Kernel for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for head in 0..self.heads.count {
            let mut first = self.range.start;
            while first < self.range.end {
                first += as_many_rows!(s of S, self.range.end - first, self.tile(head, first));
            }
        }
    }
}

impl Chunk<'_> {
    /// One head of the positions from `first` on.
    #[inline(always)]
    fn tile<S: Simd, const P: usize>(&mut self, s: S, head: usize, first: usize) -> usize {
        let (channels, head_dim) = (self.heads.channels, self.heads.channels / self.heads.count);
        let tokens = self.term.keys.tokens();
        let width = tokens.next_multiple_of(PANEL);
        let scores = &mut self.scores[..P * width];
        let mut queries = [self.term.queries.as_ptr(); P];
        for (p, queries) in queries.iter_mut().enumerate() {
            *queries = self.term.queries[(first + p) * channels + head * head_dim..][..head_dim].as_ptr();
        }
        for (panel, keys) in self.term.keys.head(head).chunks_exact(head_dim * PANEL).enumerate() {
            let at = panel * PANEL;
            // SAFETY (both): `head_dim` numbers from each query's start, as sliced above, and a panel of as many rows.
            if tokens - at > LANES {
                let mut sums = [[s.splat(0.0); 2]; P];
                unsafe { multiply(s, &queries, &[(0, head_dim)], keys.as_ptr(), &mut sums) };
                for (p, [low, high]) in sums.into_iter().enumerate() {
                    s.store_some(&mut scores[p * width + at..][..LANES], low);
                    s.store_some(&mut scores[p * width + at + LANES..][..LANES], high);
                }
            } else {
                let mut sums = [[s.splat(0.0); 1]; P];
                unsafe { multiply(s, &queries, &[(0, head_dim)], keys.as_ptr(), &mut sums) };
                for (p, [sum]) in sums.into_iter().enumerate() {
                    s.store_some(&mut scores[p * width + at..][..LANES], sum);
                }
            }
        }
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut factors = [0.0; P];
        for (p, factor) in factors.iter_mut().enumerate() {
            let scores = &mut scores[p * width..][..tokens];
            let visible = if self.heads.is_causal { (first + p + 1).min(tokens) } else { tokens };
            *factor = 1.0 / exponentials(s, &mut scores[..visible], scale);
            scores[visible..].fill(0.0);
            if let Some(map) = &mut self.map {
                let at = (first + p - self.range.start) * tokens;
                for (map, scores) in map[at..at + tokens].chunks_mut(LANES).zip(scores.chunks(LANES)) {
                    let sum = s.mul_add(s.load_some(scores, 0.0), s.splat(*factor), s.load_some(map, 0.0));
                    s.store_some(map, sum);
                }
            }
        }
        let mut rows = [scores.as_ptr(); P];
        for (p, rows) in rows.iter_mut().enumerate() {
            *rows = scores[p * width..][..tokens].as_ptr();
        }
        for (panel, values) in self.term.values.head(head).chunks_exact(tokens * PANEL).enumerate() {
            let at = panel * PANEL;
            let count = (head_dim - at).min(PANEL);
            let mut sums = [[s.splat(0.0); 2]; P];
            // SAFETY (both): `tokens` numbers from each row's start, as sliced above, and a panel of as many rows.
            if count > LANES {
                unsafe { multiply(s, &rows, &[(0, tokens)], values.as_ptr(), &mut sums) };
            } else {
                let mut narrow = [[s.splat(0.0); 1]; P];
                unsafe { multiply(s, &rows, &[(0, tokens)], values.as_ptr(), &mut narrow) };
                for (sums, [narrow]) in sums.iter_mut().zip(narrow) {
                    sums[0] = narrow;
                }
            }
            for (p, sums) in sums.into_iter().enumerate() {
                let to = (first + p - self.range.start) * channels + head * head_dim + at;
                for (sum, out) in sums.into_iter().zip(self.out[to..to + count].chunks_mut(LANES)) {
                    let sum = s.mul_add(sum, s.splat(factors[p]), s.load_some(out, 0.0));
                    s.store_some(out, sum);
                }
            }
        }
        P
    }
}

/// Puts `e^((x - max) scale)` in place of each number, and returns their sum.
#[inline(always)]
fn exponentials<S: Simd>(s: S, scores: &mut [f32], scale: f32) -> f32 {
    let mut largest = s.splat(f32::NEG_INFINITY);
    for x in scores.chunks(LANES) {
        largest = s.max(largest, s.load_some(x, f32::NEG_INFINITY));
    }
    let (largest, scale) = (s.splat(s.largest(largest)), s.splat(scale));
    let mut sum = s.splat(0.0);
    for x in scores.chunks_mut(LANES) {
        let y = math::exp(s, s.mul(s.sub(s.load_some(x, 0.0), largest), scale));
        if x.len() == LANES {
            s.store_some(x, y);
            sum = s.add(sum, y);
        } else {
            s.store_some(x, y);
            // Only the lanes that are there.
            sum = s.add(sum, s.load_some(x, 0.0));
        }
    }
    s.sum(sum)
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
