//! Weights as matrix products read them: panels of 32 columns, each row of a panel in one stretch.

#![allow(unsafe_code)]

use crate::kernels::buffer::{Plain, filled, for_each_chunk};
use crate::kernels::simd::{LANES, Simd, to_bf16};

/// Columns of a panel: two vectors.
pub const PANEL: usize = 2 * LANES;

/// A number of a matrix product: f32, or bf16 as its bits.
pub trait Element: Plain {
    /// Numbers of a column that lie beside each other in a panel.
    const GROUP: usize;

    /// The nearest one.
    fn of(x: f32) -> Self;

    /// Writes the nearest ones of the first lanes of a vector.
    fn store<S: Simd>(s: S, to: &mut [Self], x: S::F);

    /// Adds, for each row and vector of columns, [`Self::GROUP`] products.
    ///
    /// # Safety
    /// `rows` must be valid for reads of [`Self::GROUP`] numbers at `at`, `weights` of that many times [`PANEL`] (of
    /// half as many where `NZ` is 1).
    unsafe fn step<S: Simd, const P: usize, const NZ: usize>(
        s: S,
        rows: &[*const Self; P],
        at: usize,
        weights: *const Self,
        sums: &mut [[S::F; NZ]; P],
    );
}

impl Element for f32 {
    const GROUP: usize = 1;

    fn of(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn store<S: Simd>(s: S, to: &mut [Self], x: S::F) {
        s.store_some(to, x);
    }

    #[inline(always)]
    unsafe fn step<S: Simd, const P: usize, const NZ: usize>(
        s: S,
        rows: &[*const Self; P],
        at: usize,
        weights: *const Self,
        sums: &mut [[S::F; NZ]; P],
    ) {
        // SAFETY: one number of each row and NZ vectors of weights, as the caller promises.
        unsafe {
            let mut columns = [s.splat(0.0); NZ];
            for (z, columns) in columns.iter_mut().enumerate() {
                *columns = s.load_from(weights.add(z * LANES));
            }
            for (row, sums) in rows.iter().zip(sums) {
                let x = s.splat(*row.add(at));
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    *sum = s.mul_add(x, columns, *sum);
                }
            }
        }
    }
}

impl Element for u16 {
    const GROUP: usize = 2;

    fn of(x: f32) -> Self {
        to_bf16(x)
    }

    #[inline(always)]
    fn store<S: Simd>(s: S, to: &mut [Self], x: S::F) {
        if let Ok(whole) = to.try_into() {
            s.store_bf16(whole, x);
            return;
        }
        let mut lanes = [0; LANES];
        s.store_bf16(&mut lanes, x);
        let count = to.len();
        to.copy_from_slice(&lanes[..count]);
    }

    #[inline(always)]
    unsafe fn step<S: Simd, const P: usize, const NZ: usize>(
        s: S,
        rows: &[*const Self; P],
        at: usize,
        weights: *const Self,
        sums: &mut [[S::F; NZ]; P],
    ) {
        for (row, sums) in rows.iter().zip(sums) {
            // SAFETY: two numbers of each row and NZ vectors of pairs of weights, as the caller promises.
            unsafe {
                let pair = row.add(at).cast::<u32>().read_unaligned();
                for (z, sum) in sums.iter_mut().enumerate() {
                    *sum = s.dot_bf16(*sum, pair, weights.add(z * PANEL));
                }
            }
        }
    }
}

/// A matrix `[depth, columns]`, laid out as `[panel][depth / GROUP][32][GROUP]`; what is beyond its columns is zero.
#[derive(Debug, Clone)]
pub struct Panels<T> {
    numbers: Vec<T>,
    depth: usize,
    columns: usize,
}

impl<T: Element> Panels<T> {
    /// Lays a matrix out. `depth` must be a multiple of [`Element::GROUP`]; `number` gives the number at a depth and a
    /// column.
    ///
    /// # Panics
    /// Where `depth` is no such multiple.
    pub fn new(depth: usize, columns: usize, number: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        assert!(depth.is_multiple_of(T::GROUP), "panels are of whole groups");
        let panel = depth * PANEL;
        let count = columns.div_ceil(PANEL);
        let fill = |numbers: &mut [T]| {
            for_each_chunk(numbers, panel, |index, numbers| {
                for (group, numbers) in numbers.chunks_exact_mut(T::GROUP * PANEL).enumerate() {
                    for (lane, numbers) in numbers.chunks_exact_mut(T::GROUP).enumerate() {
                        let column = index * PANEL + lane;
                        for (i, to) in numbers.iter_mut().enumerate() {
                            *to =
                                if column < columns { T::of(number(group * T::GROUP + i, column)) } else { T::of(0.0) };
                        }
                    }
                }
            });
        };
        // SAFETY: every number of every panel is written, and none is read.
        let numbers = unsafe { filled(count * panel, fill) };
        Self { numbers, depth, columns }
    }

    /// Rows of the matrix.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Panels.
    pub fn count(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }

    /// The number at a depth and a column.
    ///
    /// # Panics
    /// If there is no such number.
    pub fn at(&self, depth: usize, column: usize) -> T {
        self.panel(column / PANEL)[(depth / T::GROUP * PANEL + column % PANEL) * T::GROUP + depth % T::GROUP]
    }

    /// One panel, `depth * 32` numbers.
    pub fn panel(&self, index: usize) -> &[T] {
        &self.numbers[index * self.depth * PANEL..(index + 1) * self.depth * PANEL]
    }
}
