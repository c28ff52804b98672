//! Matrix products, and convolutions as matrix products of shifted rows.
//!
//! Row `i` of the output is the sum, over some taps, of a stretch of the input times a part of the weights. A linear
//! layer has one tap; a convolution over an image whose border is there has one for each place of its kernel. Sums run
//! over the depth in one order, whatever the number of rows, so a row's bytes depend on nothing but the row.

#![allow(unsafe_code)]

use super::buffer::Shared;
use super::panels::{Element, PANEL, Panels};
use super::pool::{for_each, threads};
use super::simd::{Kernel, LANES, Simd, dispatch, math};
use super::work;

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

    fn start(&self, row: usize) -> usize {
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

/// Which column of a gated layer's weight `[2 * inner]` stands at a column of its panels, so that a value and its gate come
/// out of one pass; `None` where nothing does.
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
struct Part<'a, T> {
    input: &'a [T],
    rows: Rows,
    segments: Vec<Vec<(usize, usize)>>,
    weights: &'a Panels<T>,
    added: Added<'a>,
    output: Output,
    out: Shared<'a, f32>,
    columns: usize,
    panels: usize,
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
        work::count_products(count, weights.depth(), worked);
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
    let mut room = limit;
    for &tap in taps {
        let mut done = 0;
        while done < depth {
            if room == 0 {
                parts.push(Vec::new());
                room = limit;
            }
            let length = (depth - done).min(room);
            if let Some(part) = parts.last_mut() {
                part.push((tap + done, length));
            }
            (done, room) = (done + length, room - length);
        }
    }
    parts
}

/// Some rows times one panel.
struct Chunk<'a, T> {
    part: &'a Part<'a, T>,
    weights: &'a [T],
    panel: usize,
    range: std::ops::Range<usize>,
}

impl<T: Element> Kernel for Chunk<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let narrow = self.part.output == Output::Sums && self.part.columns - self.panel * PANEL <= LANES;
        let mut weights = self.weights;
        for (part, segments) in self.part.segments.iter().enumerate() {
            let place = Place { is_first: part == 0, is_last: part + 1 == self.part.segments.len() };
            let depth: usize = segments.iter().map(|(_, length)| length).sum();
            let mut row = self.range.start;
            while row < self.range.end {
                let left = self.range.end - row;
                row += match left {
                    12.. if S::ROWS >= 12 => self.tile::<S, 12>(s, row, segments, weights, place, narrow),
                    8.. if S::ROWS >= 8 => self.tile::<S, 8>(s, row, segments, weights, place, narrow),
                    4.. if S::ROWS >= 4 => self.tile::<S, 4>(s, row, segments, weights, place, narrow),
                    3.. if S::ROWS == 3 => self.tile::<S, 3>(s, row, segments, weights, place, narrow),
                    2.. => self.tile::<S, 2>(s, row, segments, weights, place, narrow),
                    _ => self.tile::<S, 1>(s, row, segments, weights, place, narrow),
                };
            }
            weights = &weights[depth * PANEL..];
        }
    }
}

/// A part of the depth among all of them.
#[derive(Clone, Copy)]
struct Place {
    is_first: bool,
    is_last: bool,
}

impl<T: Element> Chunk<'_, T> {
    #[inline(always)]
    fn tile<S: Simd, const P: usize>(
        &self,
        s: S,
        row: usize,
        segments: &[(usize, usize)],
        weights: &[T],
        place: Place,
        narrow: bool,
    ) -> usize {
        if narrow {
            self.tile_of::<S, P, 1>(s, row, segments, weights, place);
        } else {
            self.tile_of::<S, P, 2>(s, row, segments, weights, place);
        }
        P
    }

    #[inline(always)]
    fn tile_of<S: Simd, const P: usize, const NZ: usize>(
        &self,
        s: S,
        row: usize,
        segments: &[(usize, usize)],
        weights: &[T],
        place: Place,
    ) {
        let mut starts = [self.part.input.as_ptr(); P];
        for (p, start) in starts.iter_mut().enumerate() {
            // In bounds: `Part::new` has looked at the furthest one.
            *start = start.wrapping_add(self.part.rows.start(row + p));
        }
        let mut sums = [[s.splat(0.0); NZ]; P];
        if !place.is_first {
            for (p, sums) in sums.iter_mut().enumerate() {
                for (z, sum) in sums.iter_mut().enumerate() {
                    *sum = s.load_some(self.out(row + p, z), 0.0);
                }
            }
        }
        // SAFETY: segments lie within taps, whose furthest end `Part::new` has compared with the input's length; the
        // weights of the segments are those of the part that `weights` begins with.
        unsafe { multiply(s, &starts, segments, weights.as_ptr(), &mut sums) };
        if place.is_last {
            self.add_bias(s, row, &mut sums);
        }
        if self.part.output == Output::Geglu {
            for (p, sums) in sums.iter().enumerate() {
                let first = self.panel * LANES;
                let count = (self.part.columns - first).min(LANES);
                let at = (row + p) * self.part.columns + first;
                // SAFETY: the rows and columns of this chunk are nobody else's.
                let out = unsafe { self.part.out.part(at..at + count) };
                s.store_some(out, s.mul(sums[0], math::gelu(s, sums[NZ - 1])));
            }
            return;
        }
        let residual = self.part.added.residual.filter(|_| place.is_last);
        for (p, sums) in sums.iter().enumerate() {
            for (z, sum) in sums.iter().enumerate() {
                let out = self.out(row + p, z);
                let mut sum = *sum;
                if let Some(residual) = residual {
                    let at = (row + p) * self.part.columns + self.panel * PANEL + z * LANES;
                    sum = s.add(sum, s.load_some(&residual[at..at + out.len()], 0.0));
                }
                s.store_some(out, sum);
            }
        }
    }

    #[inline(always)]
    fn add_bias<S: Simd, const P: usize, const NZ: usize>(&self, s: S, row: usize, sums: &mut [[S::F; NZ]; P]) {
        let Some(bias) = self.part.added.bias else {
            return;
        };
        for (p, sums) in sums.iter_mut().enumerate() {
            let which = match self.part.added.rows_per_bias {
                0 => 0,
                rows => (row + p) / rows,
            };
            let bias = &bias[(which * self.part.panels + self.panel) * PANEL..][..PANEL];
            for (z, sum) in sums.iter_mut().enumerate() {
                *sum = s.add(*sum, s.load_some(&bias[z * LANES..(z + 1) * LANES], 0.0));
            }
        }
    }

    /// A vector of the output; shorter where its columns end.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    fn out(&self, row: usize, z: usize) -> &mut [f32] {
        let first = self.panel * PANEL + z * LANES;
        let count = self.part.columns.saturating_sub(first).min(LANES);
        let at = row * self.part.columns + first.min(self.part.columns);
        // SAFETY: the rows and columns of this chunk are nobody else's, and of these one vector is in use at a time.
        unsafe { self.part.out.part(at..at + count) }
    }
}

/// Adds to `sums` the segments of some rows times a panel.
///
/// # Safety
/// From each start, every segment (beginning and length, whole groups) must be valid for reads; so must the weights of
/// all of them, [`PANEL`] a depth.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd, T: Element, const P: usize, const NZ: usize>(
    s: S,
    starts: &[*const T; P],
    segments: &[(usize, usize)],
    mut weights: *const T,
    sums: &mut [[S::F; NZ]; P],
) {
    let mut kept = *sums;
    for &(start, length) in segments {
        // SAFETY: within the segment, as the caller promises.
        let mut rows = *starts;
        for row in &mut rows {
            *row = unsafe { row.add(start) };
        }
        for group in 0..length / T::GROUP {
            // SAFETY: as the caller promises.
            unsafe {
                T::step(s, &rows, group * T::GROUP, weights, &mut kept);
                weights = weights.add(PANEL * T::GROUP);
            }
        }
    }
    *sums = kept;
}

#[cfg(test)]
#[path = "product_tests.rs"]
mod tests;
