//! 3 x 3 convolutions with 4 multiplications for 9 (Winograd's F(2x2, 3x3): Lavin and Gray, arXiv 1509.09308).
//!
//! Two by two positions of the output come of four by four of the input. With the transforms of the paper's section 4.1,
//! `Y = A' [(G g G') * (B' d B)] A`, where the product in the middle is one matrix product over channels for each of
//! the sixteen places. Sums run over channels in one order, so an image's bytes depend on nothing but the image.
//!
//! In f32 the transforms cost about a bit of precision. They pay where there are many positions for each weight:
//! transformed weights take 16 numbers for 9.

#![allow(unsafe_code)]

use crate::kernels::buffer::{Shared, with_scratch};
use crate::kernels::matmul::Added;
use crate::kernels::op_counters;
use crate::kernels::panels::{PANEL, Panels};
use crate::kernels::pool::{for_each, threads};
use crate::kernels::simd::{Kernel, LANES, Simd, dispatch};
use crate::kernels::tile::{as_many_rows, multiply};

/// Places of a transformed tile.
const PLACES: usize = 16;
/// Side of a tile of the input.
const TILE: usize = 4;
/// Tiles that are multiplied at once at most.
const MAX_ROWS: usize = 12;
/// Numbers of transformed input that are made at once: 16 MiB.
const MAX_TRANSFORMED: usize = 4 << 20;

/// Whether a convolution is better done this way, for so many positions of the images that the model was made for.
pub fn pays(positions: usize, input: usize, output: usize) -> bool {
    let has_channels = input >= LANES && output > LANES;
    has_channels && (positions >= 256 || (positions >= 64 && input * output <= 1 << 16))
}

/// The weights of a convolution, transformed.
#[derive(Debug, Clone)]
pub struct Transformed {
    /// One a place, `[in, out]`.
    places: Vec<Panels<f32>>,
}

/// Images with a border of one zero around them, and one more at the end of sides that are odd.
#[derive(Debug, Clone, Copy)]
pub struct Bordered<'a> {
    /// `[images, height, width, channels]`, borders included.
    pub numbers: &'a [f32],
    /// Images.
    pub count: usize,
    /// Lines, borders included; even.
    pub height: usize,
    /// Positions of a line, borders included; even.
    pub width: usize,
}

impl Transformed {
    /// Of `weight` `[out, in, 3, 3]`.
    pub fn new(weight: &[f32], input: usize, output: usize) -> Self {
        // G g G', where G is:
        const G: [[f32; 3]; TILE] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
        let at = |place: usize, channel: usize, column: usize| {
            let kernel = &weight[(column * input + channel) * 9..][..9];
            let (left, right) = (G[place / TILE], G[place % TILE]);
            let products = (0..9).map(|i| f64::from(left[i / 3]) * f64::from(right[i % 3]) * f64::from(kernel[i]));
            #[allow(clippy::cast_possible_truncation)]
            let sum = products.sum::<f64>() as f32;
            sum
        };
        let places = (0..PLACES).map(|place| Panels::new(input, output, |c, column| at(place, c, column))).collect();
        Self { places }
    }

    /// Convolves into `out` `[images, height, width, out]` of so many lines and positions.
    ///
    /// # Panics
    /// Where sizes do not fit together.
    pub fn convolve(&self, images: Bordered<'_>, (height, width): (usize, usize), added: Added<'_>, out: &mut [f32]) {
        let (input, output) = (self.places[0].depth(), self.places[0].columns());
        assert_eq!((images.height, images.width), (height.next_multiple_of(2) + 2, width.next_multiple_of(2) + 2));
        assert_eq!(images.numbers.len(), images.count * images.height * images.width * input, "bordered images");
        assert_eq!(out.len(), images.count * height * width * output, "the output of a convolution");
        assert!(added.residual.is_none_or(|residual| residual.len() == out.len()), "what is added to a convolution");
        let tiles = Tiles { images, down: height.div_ceil(2), across: width.div_ceil(2), channels: input };
        op_counters::count_products(images.count * height * width, input * 9, output);
        let block = (MAX_TRANSFORMED / (PLACES * input)).max(MAX_ROWS).min(tiles.count());
        let shared = Shared::new(out);
        with_scratch(PLACES * block * input, |transformed| {
            for first in (0..tiles.count()).step_by(block) {
                let block = first..(first + block).min(tiles.count());
                tiles.transform(block.clone(), transformed);
                let whole = Whole { places: &self.places, tiles, sides: (height, width), added, out: &shared };
                whole.multiply(block, transformed);
            }
        });
    }
}

/// The tiles of some images.
#[derive(Clone, Copy)]
struct Tiles<'a> {
    images: Bordered<'a>,
    down: usize,
    across: usize,
    channels: usize,
}

impl Tiles<'_> {
    fn count(&self) -> usize {
        self.images.count * self.down * self.across
    }

    /// Image, line and place of a tile.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        (tile / (self.down * self.across), tile / self.across % self.down, tile % self.across)
    }

    /// Writes `B' d B` of each tile of a block, `[place, tile, channels]`.
    fn transform(&self, block: std::ops::Range<usize>, out: &mut [f32]) {
        const TILES: usize = 16;
        let shared = Shared::new(&mut out[..PLACES * block.len() * self.channels]);
        for_each(block.len().div_ceil(TILES), |chunk| {
            let first = block.start + chunk * TILES;
            let range = first..(first + TILES).min(block.end);
            dispatch(Transform { tiles: self, range, block: block.clone(), out: &shared });
        });
    }
}

struct Transform<'a> {
    tiles: &'a Tiles<'a>,
    range: std::ops::Range<usize>,
    block: std::ops::Range<usize>,
    out: &'a Shared<'a, f32>,
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (channels, width) = (self.tiles.channels, self.tiles.images.width);
        for tile in self.range.clone() {
            let (image, line, place) = self.tiles.place(tile);
            let corner = ((image * self.tiles.images.height + 2 * line) * width + 2 * place) * channels;
            let mut channel = 0;
            while channel < channels {
                let count = (channels - channel).min(LANES);
                let mut d = [[s.splat(0.0); TILE]; TILE];
                for (y, d) in d.iter_mut().enumerate() {
                    for (x, d) in d.iter_mut().enumerate() {
                        let at = corner + (y * width + x) * channels + channel;
                        *d = s.load_some(&self.tiles.images.numbers[at..at + count], 0.0);
                    }
                }
                let d = half(s, d);
                let d = half(s, transposed(s, d));
                for (x, d) in d.iter().enumerate() {
                    for (y, d) in d.iter().enumerate() {
                        let at = ((y * TILE + x) * self.block.len() + tile - self.block.start) * channels + channel;
                        // SAFETY: each tile is one chunk's.
                        s.store_some(unsafe { self.out.part(at..at + count) }, *d);
                    }
                }
                channel += count;
            }
        }
    }
}

/// `B' d`
#[inline(always)]
fn half<S: Simd>(s: S, d: [[S::F; TILE]; TILE]) -> [[S::F; TILE]; TILE] {
    let mut out = d;
    for x in 0..TILE {
        out[0][x] = s.sub(d[0][x], d[2][x]);
        out[1][x] = s.add(d[1][x], d[2][x]);
        out[2][x] = s.sub(d[2][x], d[1][x]);
        out[3][x] = s.sub(d[1][x], d[3][x]);
    }
    out
}

#[inline(always)]
fn transposed<S: Simd>(s: S, d: [[S::F; TILE]; TILE]) -> [[S::F; TILE]; TILE] {
    let mut out = [[s.splat(0.0); TILE]; TILE];
    for (y, d) in d.iter().enumerate() {
        for (x, d) in d.iter().enumerate() {
            out[x][y] = *d;
        }
    }
    out
}

/// All of a convolution but its input.
#[derive(Clone, Copy)]
struct Whole<'a> {
    places: &'a [Panels<f32>],
    tiles: Tiles<'a>,
    sides: (usize, usize),
    added: Added<'a>,
    out: &'a Shared<'a, f32>,
}

impl Whole<'_> {
    /// Multiplies a block of transformed tiles, `[place, tile, channels]`, and writes its part of the output.
    fn multiply(&self, block: std::ops::Range<usize>, transformed: &[f32]) {
        let panels = self.places[0].count();
        let wanted = if threads() == 1 { 1 } else { (threads() * 4).div_ceil(panels) };
        let chunk = block.len().div_ceil(wanted).next_multiple_of(MAX_ROWS);
        let chunks = block.len().div_ceil(chunk);
        for_each(panels * chunks, |index| {
            let (panel, first) = (index / chunks, block.start + index % chunks * chunk);
            let range = first..(first + chunk).min(block.end);
            with_scratch(PLACES * MAX_ROWS * PANEL, |products| {
                dispatch(Chunk { whole: *self, panel, range, block: block.clone(), transformed, products });
            });
        });
    }
}

/// Some tiles times one panel of every place.
struct Chunk<'a> {
    whole: Whole<'a>,
    panel: usize,
    range: std::ops::Range<usize>,
    block: std::ops::Range<usize>,
    transformed: &'a [f32],
    /// `[place, MAX_ROWS, 32]`
    products: &'a mut [f32],
}

impl Kernel for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let mut tile = self.range.start;
        while tile < self.range.end {
            tile += as_many_rows!(s of S, self.range.end - tile, self.tiles(tile));
        }
    }
}

impl Chunk<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const P: usize>(&mut self, s: S, first: usize) -> usize {
        let depth = self.whole.tiles.channels;
        for (place, weights) in self.whole.places.iter().enumerate() {
            let mut starts = [self.transformed.as_ptr(); P];
            for (p, start) in starts.iter_mut().enumerate() {
                let at = (place * self.block.len() + first + p - self.block.start) * depth;
                *start = self.transformed[at..at + depth].as_ptr();
            }
            let mut sums = [[s.splat(0.0); 2]; P];
            // SAFETY: `depth` numbers from each start, as sliced above, and a panel of as many rows.
            unsafe { multiply(s, &starts, &[(0, depth)], weights.panel(self.panel).as_ptr(), &mut sums) };
            for (p, [low, high]) in sums.into_iter().enumerate() {
                let at = (place * MAX_ROWS + p) * PANEL;
                s.store_some(&mut self.products[at..at + LANES], low);
                s.store_some(&mut self.products[at + LANES..at + PANEL], high);
            }
        }
        for p in 0..P {
            for z in 0..2 {
                self.write(s, first + p, p, z);
            }
        }
        P
    }

    /// `A' m A` of one tile and vector of columns, with what is added.
    #[inline(always)]
    fn write<S: Simd>(&self, s: S, tile: usize, p: usize, z: usize) {
        let columns = self.whole.places[0].columns();
        let first = self.panel * PANEL + z * LANES;
        if first >= columns {
            return;
        }
        let count = (columns - first).min(LANES);
        let (mut upper, mut lower) = ([s.splat(0.0); TILE], [s.splat(0.0); TILE]);
        for (x, (upper, lower)) in upper.iter_mut().zip(&mut lower).enumerate() {
            let mut m = [s.splat(0.0); TILE];
            for (y, m) in m.iter_mut().enumerate() {
                let at = ((y * TILE + x) * MAX_ROWS + p) * PANEL + z * LANES;
                *m = s.load_some(&self.products[at..at + LANES], 0.0);
            }
            *upper = s.add(s.add(m[0], m[1]), m[2]);
            *lower = s.sub(s.sub(m[1], m[2]), m[3]);
        }
        let (image, line, place) = self.whole.tiles.place(tile);
        let (height, width) = self.whole.sides;
        let padded = columns.next_multiple_of(PANEL);
        let bias = match self.whole.added.bias {
            Some(bias) => {
                let which = if self.whole.added.rows_per_bias == 0 { 0 } else { image };
                s.load_some(&bias[which * padded + first..][..LANES], 0.0)
            }
            None => s.splat(0.0),
        };
        for (y, m) in [upper, lower].iter().enumerate() {
            let pair = [s.add(s.add(m[0], m[1]), m[2]), s.sub(s.sub(m[1], m[2]), m[3])];
            for (x, sum) in pair.into_iter().enumerate() {
                let (y, x) = (2 * line + y, 2 * place + x);
                if y >= height || x >= width {
                    continue;
                }
                let at = ((image * height + y) * width + x) * columns + first;
                let mut sum = s.add(sum, bias);
                if let Some(residual) = self.whole.added.residual {
                    sum = s.add(sum, s.load_some(&residual[at..at + count], 0.0));
                }
                // SAFETY: each tile's positions and each panel's columns are one chunk's.
                s.store_some(unsafe { self.whole.out.part(at..at + count) }, sum);
            }
        }
    }
}
