//! When attention is injected: windows of steps, and the gate per step and token.
//!
//! Contract: bounds are fractions of the steps, truncated as Python's `int(bound * rows)` truncates the f64 product.
//! The gate table of cross-attention has one row more than there are steps, and its bounds are taken over those
//! `steps + 1` rows (`get_time_words_attention_alpha` and `update_alpha_time_word` of the published `ptp_utils.py`);
//! the last row is never used.

pub(crate) mod edit_kind;
pub(crate) mod presets;
pub(crate) mod vocabulary;
mod window_serde;
pub(crate) mod windows;

use std::ops::Range;

use crate::p2p::error::{EditError, InvalidWindow, PromptSide};
use crate::p2p::prompt::{Prompt, WordRef};

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

/// The gate `a`, 0 or 1 per step and target token: \[`steps + 1`, `max_tokens`\].
#[derive(Debug, Clone, PartialEq)]
pub struct GateTable {
    steps: usize,
    width: usize,
    data: Vec<f32>,
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

    /// The window, or off where it selects none of the steps: what nobody asked for is no mistake.
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
    pub(crate) fn checked_range(&self, rows: usize, steps: usize, param: &str) -> Result<Range<usize>, EditError> {
        // The fields are public: what did not come through `new` is checked here.
        let window = Self::new(self.lo, self.hi).map_err(|invalid| invalid.at(param))?;
        if window.used(rows, steps).is_empty() && !window.is_off() {
            return Err(EditError::WindowSelectsNoStep { lo: self.lo, hi: self.hi, steps, param: param.to_owned() });
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

impl GateTable {
    /// The table of an edit of `steps` steps.
    ///
    /// # Errors
    /// [`EditError::WordNotFound`] for a word that the target lacks, [`EditError::WindowSelectsNoStep`] for a window
    /// that is not off and opens no row that is used, [`EditError::InvalidWindow`].
    pub fn new(target: &Prompt, cross_replace: &CrossReplaceSteps, steps: usize) -> Result<Self, EditError> {
        let (rows, width) = (steps + 1, target.max_tokens());
        let mut table = Self { steps, width, data: vec![0.0; rows * width] };
        let default_param =
            if cross_replace.words.is_empty() { "cross_replace_steps" } else { "cross_replace_steps.default_" };
        let default = cross_replace.default.checked_range(rows, steps, default_param)?;
        table.set(&(0..width).collect::<Vec<_>>(), &default);
        for (word, window) in &cross_replace.words {
            let param = match word {
                WordRef::Text(text) => format!("cross_replace_steps.{text}"),
                WordRef::Index(index) => format!("cross_replace_steps.{index}"),
            };
            let range = window.checked_range(rows, steps, &param)?;
            // Keys of a JSON object are texts, also where a word's index is meant.
            let by_index = || match word {
                WordRef::Text(text) => target.find(&WordRef::Index(text.parse().ok()?)),
                WordRef::Index(_) => None,
            };
            let tokens = target
                .find(word)
                .or_else(by_index)
                .ok_or_else(|| EditError::word_not_found(word, PromptSide::Target, &[target], param))?;
            table.set(&tokens, &range);
        }
        Ok(table)
    }

    /// The gate of every target token at a step: \[`max_tokens`\] of 0 or 1.
    ///
    /// # Panics
    /// Where `step` is above the number of steps.
    #[must_use]
    pub fn row(&self, step: usize) -> &[f32] {
        &self.data[step * self.width..(step + 1) * self.width]
    }

    /// Number of steps; the table has one row more.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// True where the token's gate is open at one of the steps. The row after the last step does not count.
    #[must_use]
    pub fn opens(&self, token: usize) -> bool {
        (0..self.steps).any(|step| self.row(step)[token] != 0.0)
    }

    /// Opens the gate of tokens inside the rows of a window and shuts it outside.
    fn set(&mut self, tokens: &[usize], open: &Range<usize>) {
        for row in 0..=self.steps {
            for &token in tokens {
                self.data[row * self.width + token] = if open.contains(&row) { 1.0 } else { 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::{prompt, text};

    fn window(lo: f64, hi: f64) -> Window {
        Window::new(lo, hi).expect("a window")
    }

    fn steps_open(table: &GateTable, token: usize) -> Vec<usize> {
        let open = |row: &usize| table.row(*row)[token] == 1.0;
        (0..=table.steps()).filter(open).collect()
    }

    fn table(default: Window, words: &[(&str, Window)], steps: usize) -> Result<GateTable, EditError> {
        let words = words.iter().map(|&(word, window)| (text(word), window));
        let words = words.collect();
        GateTable::new(&prompt("a dog on grass"), &CrossReplaceSteps { default, words }, steps)
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

    #[test]
    fn gates_are_counted_over_one_row_more_than_steps() {
        let table = table(window(0.0, 0.8), &[], 8).expect("valid");
        // int(0.8 * 9) = 7, where the steps alone would give 6.
        assert_eq!(steps_open(&table, 0), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(table.row(0).len(), 77);
    }

    #[test]
    fn the_window_of_a_word_replaces_the_default_one() {
        let table = table(window(0.0, 0.5), &[("dog", window(0.6, 1.0))], 9).expect("valid");
        assert_eq!(steps_open(&table, 1), [0, 1, 2, 3, 4]);
        assert_eq!(steps_open(&table, 2), [6, 7, 8, 9]);
    }

    #[test]
    fn off_is_no_mistake_but_a_window_too_small_is() {
        assert!(table(window(0.0, 0.0), &[], 8).is_ok());
        let error = table(window(0.0, 0.1), &[], 8).expect_err("int(0.9) = 0");
        assert_eq!(error.code(), "window_selects_no_step");
        assert_eq!(error.param(), "cross_replace_steps");
        // Row 9 of 10 is open, but the nine steps use rows 0 to 8.
        let error = table(window(0.0, 1.0), &[("dog", window(0.9, 1.0))], 9);
        assert_eq!(error.expect_err("last").param(), "cross_replace_steps.dog");
        let error = table(window(0.95, 1.0), &[("dog", window(0.0, 1.0))], 9);
        let param = error.expect_err("last").param();
        assert_eq!(param, "cross_replace_steps.default_");
    }

    #[test]
    fn an_unknown_word_is_an_error() {
        let error = table(window(0.0, 1.0), &[("cat", window(0.0, 1.0))], 9);
        assert_eq!(error.expect_err("no cat").code(), "word_not_found");
    }

    #[test]
    fn a_window_built_by_hand_is_checked() {
        let error = table(Window { lo: 0.9, hi: 0.1 }, &[], 9);
        assert_eq!(error.expect_err("reversed").code(), "invalid_window");
    }
}
