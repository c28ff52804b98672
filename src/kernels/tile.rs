//! The innermost part of every product: as many rows as fit into registers times 32 columns.

#![allow(unsafe_code)]

use crate::kernels::matmul::{Output, Part};
use crate::kernels::panels::{Element, PANEL};
use crate::kernels::simd::{Kernel, LANES, Simd, math};

/// Calls a method for as many rows as are left, or as fit into registers, whichever is less, and says how many. Numbers that
/// a CPU's registers never hold fall away where this is compiled for it.
macro_rules! as_many_rows {
    ($s:ident of $simd:ident, $left:expr, $this:ident.$method:ident($($argument:expr),*)) => {
        match $left {
            12.. if $simd::ROWS >= 12 => $this.$method::<$simd, 12>($s, $($argument),*),
            8.. if $simd::ROWS >= 8 => $this.$method::<$simd, 8>($s, $($argument),*),
            4.. if $simd::ROWS >= 4 => $this.$method::<$simd, 4>($s, $($argument),*),
            3.. if $simd::ROWS == 3 => $this.$method::<$simd, 3>($s, $($argument),*),
            2.. => $this.$method::<$simd, 2>($s, $($argument),*),
            _ => $this.$method::<$simd, 1>($s, $($argument),*),
        }
    };
}
pub(crate) use as_many_rows;

/// Some rows times one panel.
pub(crate) struct Chunk<'a, T> {
    /// The product.
    pub part: &'a Part<'a, T>,
    /// The panel's weights.
    pub weights: &'a [T],
    /// Which panel it is.
    pub panel: usize,
    /// The rows.
    pub range: std::ops::Range<usize>,
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
                row += as_many_rows!(s of S, left, self.tile(row, segments, weights, place, narrow));
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
                // SAFETY: no other thread writes the rows and columns of this chunk.
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
        // SAFETY: no other thread writes the rows and columns of this chunk, and one vector of them is in use at a time.
        unsafe { self.part.out.part(at..at + count) }
    }
}

/// Adds to `sums` the segments of some rows times a panel.
///
/// # Safety
/// From each start, every segment (beginning and length, whole groups) must be valid for reads; so must the weights of
/// all of them, [`PANEL`] a depth.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, T: Element, const P: usize, const NZ: usize>(
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
