//! Windows of steps.
//!
//! Contract: bounds are fractions of the steps, truncated as Python's `int(bound * rows)` truncates the f64 product.

use std::ops::Range;

use crate::p2p::error::{EditError, InvalidWindow};
use crate::p2p::field::Field;
use crate::p2p::prompt::WordRef;

/// A part of the steps, as fractions: from `lo`, up to but without `hi`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Where it begins, 0 to 1.
    pub lo: f64,
    /// Where it ends, `lo` to 1.
    pub hi: f64,
}

/// The steps at which cross-attention is injected: one window, and windows of words that replace it for their tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossReplaceSteps {
    /// The window of every token without one of its own. A request with windows of words only means `[0, 1]` here, as
    /// the published `default_` does.
    pub default: Window,
    /// Words of the target with their windows; of two windows on one token the later holds.
    pub words: Vec<(WordRef, Window)>,
}

impl Window {
    /// A window between two fractions.
    ///
    /// # Errors
    /// [`InvalidWindow`] unless `0 <= lo <= hi <= 1`.
    pub fn new(lo: f64, hi: f64) -> Result<Self, InvalidWindow> {
        // Written so that a NaN fails.
        if 0.0 <= lo && lo <= hi && hi <= 1.0 { Ok(Self { lo, hi }) } else { Err(InvalidWindow { lo, hi }) }
    }

    /// The first part of the steps: `[0, fraction]`.
    ///
    /// # Errors
    /// [`InvalidWindow`] unless `0 <= fraction <= 1`.
    pub fn from_fraction(fraction: f64) -> Result<Self, InvalidWindow> {
        Self::new(0.0, fraction)
    }

    /// No step at all.
    pub const OFF: Self = Self { lo: 0.0, hi: 0.0 };

    /// True for `[0, 0]`, which asks for no step and is no mistake.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::OFF
    }

    /// The part that two windows have in common; off where they have none.
    #[must_use]
    pub fn shared(self, other: Self) -> Self {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        if lo < hi { Self { lo, hi } } else { Self::OFF }
    }

    /// The window, or off where it selects none of the steps: a window that was not requested cannot be a mistake.
    pub(crate) fn or_off(self, rows: usize, steps: usize) -> Self {
        if self.used(rows, steps).is_empty() { Self::OFF } else { self }
    }

    /// The rows of a table that the window selects: `int(lo * rows)..int(hi * rows)`.
    #[must_use]
    pub fn range(&self, rows: usize) -> Range<usize> {
        bound(self.lo, rows)..bound(self.hi, rows)
    }

    /// The rows that the window selects, having checked that it is a window and, unless it is off, selects one of the
    /// steps.
    pub(crate) fn checked_range(&self, rows: usize, steps: usize, field: Field) -> Result<Range<usize>, EditError> {
        // The fields are public: what did not come through `new` is checked here.
        let window = Self::new(self.lo, self.hi).map_err(|invalid| invalid.at(field.clone()))?;
        if window.used(rows, steps).is_empty() && !window.is_off() {
            return Err(EditError::WindowSelectsNoStep { lo: self.lo, hi: self.hi, steps, field });
        }
        Ok(window.range(rows))
    }

    /// The steps among the selected rows: a table may have a row more.
    pub(crate) fn used(&self, rows: usize, steps: usize) -> Range<usize> {
        let range = self.range(rows);
        range.start..range.end.min(steps)
    }
}

/// `int(bound * rows)` of Python.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn bound(bound: f64, rows: usize) -> usize {
    (bound * rows as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(lo: f64, hi: f64) -> Window {
        Window::new(lo, hi).expect("a window")
    }

    #[test]
    fn a_window_is_ordered_and_within_zero_and_one() {
        for (lo, hi) in [(-0.1, 0.5), (0.5, 0.4), (0.0, 1.1), (f64::NAN, 1.0)] {
            assert!(Window::new(lo, hi).is_err(), "{lo} {hi}");
        }
        assert_eq!(Window::from_fraction(0.4), Ok(window(0.0, 0.4)));
        assert!(window(0.0, 0.0).is_off());
        assert!(!window(0.5, 0.5).is_off());
    }

    #[test]
    fn windows_share_what_is_in_both() {
        assert_eq!(window(0.0, 0.8).shared(window(0.0, 0.4)), window(0.0, 0.4));
        assert_eq!(window(0.2, 0.8).shared(window(0.0, 0.4)), window(0.2, 0.4));
        for apart in [window(0.4, 0.8), window(0.5, 0.8), Window::OFF] {
            assert_eq!(window(0.0, 0.4).shared(apart), Window::OFF);
        }
    }

    #[test]
    fn bounds_truncate_as_python_does() {
        assert_eq!(window(0.2, 0.7).range(8), 1..5);
        // 0.29 * 100 is 28.999999999999996.
        assert_eq!(window(0.0, 0.29).range(100), 0..28);
        assert_eq!(window(0.0, 1.0).range(51), 0..51);
    }
}
