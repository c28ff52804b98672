//! How much kernels have done on this thread, so that tests can say what is not done.
//!
//! Counted where an operation is asked for, whichever thread computes it; counting costs nothing that could be measured.

use std::cell::Cell;
use std::ops::Sub;

thread_local! {
    static DONE: Cell<Work> = const { Cell::new(Work { multiply_adds: 0, exponentials: 0 }) };
}

/// Work done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Multiplications of matrix products and convolutions, as their definitions have them.
    pub multiply_adds: u64,
    /// Exponentials of softmax: one a query, key and head.
    pub exponentials: u64,
}

impl Sub for Work {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            multiply_adds: self.multiply_adds - before.multiply_adds,
            exponentials: self.exponentials - before.exponentials,
        }
    }
}

/// All that this thread has asked for so far.
pub fn so_far() -> Work {
    DONE.get()
}

pub(crate) fn count_products(rows: usize, depth: usize, columns: usize) {
    let done = DONE.get();
    DONE.set(Work { multiply_adds: done.multiply_adds + (rows * depth * columns) as u64, ..done });
}

pub(crate) fn count_exponentials(count: usize) {
    let done = DONE.get();
    DONE.set(Work { exponentials: done.exponentials + count as u64, ..done });
}
