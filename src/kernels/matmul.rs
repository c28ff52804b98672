//! Matrix products, and convolutions as matrix products of shifted rows.
//!
//! Row `i` of the output is the sum, over some taps, of a stretch of the input times a part of the weights. A linear
//! layer has one tap; a convolution over an image whose border is there has one for each place of its kernel. Sums run
//! over the depth in one order, whatever the number of rows, so a row's bytes depend on nothing but the row.

#![allow(unsafe_code)]

use crate::kernels::buffer::Shared;
use crate::kernels::op_counters;
use crate::kernels::panels::{Element, PANEL, Panels};
use crate::kernels::pool::{for_each, threads};
use crate::kernels::simd::{LANES, dispatch};
use crate::kernels::tile::Chunk;

/// Bytes of a panel that stay in the cache of a core while rows pass by; deeper ones are taken in parts.
const PANEL_BYTES: usize = 384 << 10;
/// Rows of a chunk are a multiple of this: of the rows that fit into registers.
const ROW_STEP: usize = 12;
/// Multiplications below which a chunk is not worth the hand over.
const MIN_CHUNK: usize = 200_000;

/// Where the rows of a product begin in its input: places on lines, lines of images.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Rows of a line.
    pub width: usize,
    /// Lines of an image.
    pub height: usize,
    /// Images.
    pub images: usize,
    /// From a row to the next one of its line, in numbers.
    pub step: usize,
    /// From a line to the next one.
    pub line: usize,
    /// From an image to the next one.
    pub image: usize,
}

impl Rows {
    /// Rows of `depth` numbers, one behind the other.
    pub fn dense(count: usize, depth: usize) -> Self {
        Self { width: count, height: 1, images: 1, step: depth, line: 0, image: 0 }
    }

    fn count(&self) -> usize {
        self.width * self.height * self.images
    }

    pub(crate) fn start(&self, row: usize) -> usize {
        let (line, place) = (row / self.width, row % self.width);
        line / self.height * self.image + line % self.height * self.line + place * self.step
    }

    fn last_start(&self) -> usize {
        (self.images - 1) * self.image + (self.height - 1) * self.line + (self.width - 1) * self.step
    }
}

/// What is added to a product.
#[derive(Debug, Clone, Copy, Default)]
pub struct Added<'a> {
    /// To every row: `[columns, rounded up to whole panels]`, or one of these for each stretch of rows.
    pub bias: Option<&'a [f32]>,
    /// Rows that share one of several biases; 0 where there is one for all.
    pub rows_per_bias: usize,
    /// `[rows, columns]`
    pub residual: Option<&'a [f32]>,
}

/// What is made of the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// They are the output.
    Sums,
    /// Half of them times the GELU of the other half. Columns of the weights are [`geglu_column`]s.
    Geglu,
}

/// Which column of a gated layer's weight `[2 * inner]` is at a column of its panels, so that a value and its gate come
/// out of one pass; `None` for a column of padding.
pub fn geglu_column(column: usize, inner: usize) -> Option<usize> {
    let value = column / PANEL * LANES + column % LANES;
    let is_gate = column % PANEL >= LANES;
    (value < inner).then_some(value + if is_gate { inner } else { 0 })
}

/// One product: some rows, over some taps, times weights.
#[derive(Debug)]
pub struct Product<'a, T> {
    /// The numbers that rows are made of.
    pub input: &'a [T],
    /// Where rows begin.
    pub rows: Rows,
    /// Where taps begin, from a row's beginning.
    pub taps: &'a [usize],
    /// Numbers of a tap.
    pub depth: usize,
    /// `[taps * depth, columns]`
    pub weights: &'a Panels<T>,
    /// What is added.
    pub added: Added<'a>,
    /// What comes out.
    pub output: Output,
    /// `[rows, columns]`, of half as many columns for [`Output::Geglu`].
    pub out: &'a mut [f32],
}

/// Computes products that do not depend on each other. All of every output is written.
///
/// # Panics
/// Where sizes do not fit together.
pub fn multiply_all<T: Element>(products: Vec<Product<'_, T>>) {
    let mut chunks = 0;
    let mut parts = Vec::with_capacity(products.len());
    for product in products {
        let part = Part::new(product, chunks);
        chunks += part.panels * part.row_chunks;
        parts.push(part);
    }
    for_each(chunks, |chunk| {
        if let Some(part) = parts.iter().rev().find(|part| part.first_chunk <= chunk) {
            part.do_chunk(chunk - part.first_chunk);
        }
    });
}

/// A product, cut into chunks.
pub(crate) struct Part<'a, T> {
    pub input: &'a [T],
    pub rows: Rows,
    pub segments: Vec<Vec<(usize, usize)>>,
    weights: &'a Panels<T>,
    pub added: Added<'a>,
    pub output: Output,
    pub out: Shared<'a, f32>,
    pub columns: usize,
    pub panels: usize,
    count: usize,
    row_chunk: usize,
    row_chunks: usize,
    first_chunk: usize,
}

impl<'a, T: Element> Part<'a, T> {
    fn new(product: Product<'a, T>, first_chunk: usize) -> Self {
        let Product { input, rows, taps, depth, weights, added, output, out } = product;
        let (count, panels) = (rows.count(), weights.count());
        let columns = match output {
            Output::Sums => weights.columns(),
            Output::Geglu => out.len() / count.max(1),
        };
        assert_eq!(out.len(), count * columns, "the output of a product");
        assert_eq!(taps.len() * depth, weights.depth(), "taps and the depth of weights");
        assert!(depth.is_multiple_of(T::GROUP), "taps are of whole groups");
        let furthest = taps.iter().max().map_or(0, |tap| rows.last_start() + tap + depth);
        assert!(count == 0 || furthest <= input.len(), "the input of a product");
        if let Some(bias) = added.bias {
            let biases = if added.rows_per_bias == 0 { 1 } else { count.div_ceil(added.rows_per_bias) };
            assert_eq!(bias.len(), biases * panels * PANEL, "biases");
        }
        assert!(added.residual.is_none_or(|residual| residual.len() == out.len()), "what is added to a product");
        if output == Output::Geglu {
            assert!(added.residual.is_none(), "nothing is added to a gated layer");
            assert_eq!(weights.columns(), columns.div_ceil(LANES) * PANEL, "the columns of a gated layer");
        }
        let worked = if output == Output::Geglu { 2 * columns } else { columns };
        op_counters::count_products(count, weights.depth(), worked);
        let limit = if output == Output::Geglu {
            // The sums of a gated layer cannot wait in its output.
            usize::MAX
        } else {
            PANEL_BYTES / (PANEL * size_of::<T>())
        };
        let segments = segments(taps, depth, limit);
        let (row_chunk, row_chunks) = row_chunks(count, panels, weights.depth());
        let out = Shared::new(out);
        Self {
            input,
            rows,
            segments,
            weights,
            added,
            output,
            out,
            columns,
            panels,
            count,
            row_chunk,
            row_chunks,
            first_chunk,
        }
    }

    fn do_chunk(&self, chunk: usize) {
        let (panel, first) = (chunk / self.row_chunks, chunk % self.row_chunks * self.row_chunk);
        let range = first..(first + self.row_chunk).min(self.count);
        dispatch(Chunk { part: self, weights: self.weights.panel(panel), panel, range });
    }
}

/// Rows of a chunk, and how many such chunks there are: enough for all threads to be busy to the end.
fn row_chunks(rows: usize, panels: usize, depth: usize) -> (usize, usize) {
    if threads() == 1 || rows == 0 {
        return (rows, usize::from(rows > 0));
    }
    let wanted = (threads() * 4).div_ceil(panels);
    let possible = (rows * depth * PANEL / MIN_CHUNK).max(1);
    let chunk = rows.div_ceil(wanted.min(possible)).next_multiple_of(ROW_STEP);
    (chunk, rows.div_ceil(chunk))
}

/// Stretches of the input, in parts of at most `limit` depth in all: where each begins, and how long it is.
fn segments(taps: &[usize], depth: usize, limit: usize) -> Vec<Vec<(usize, usize)>> {
    let mut parts = vec![Vec::new()];
    let mut left = limit;
    for &tap in taps {
        let mut done = 0;
        while done < depth {
            if left == 0 {
                parts.push(Vec::new());
                left = limit;
            }
            let length = (depth - done).min(left);
            if let Some(part) = parts.last_mut() {
                part.push((tap + done, length));
            }
            (done, left) = (done + length, left - length);
        }
    }
    parts
}

#[cfg(test)]
#[path = "matmul_tests.rs"]
mod tests;
