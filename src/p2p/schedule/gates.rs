//! The gate of cross-attention, per step and token.
//!
//! Contract: the table has one row more than there are steps, and bounds of windows are taken over those `steps + 1`
//! rows (`get_time_words_attention_alpha` and `update_alpha_time_word` of the published `ptp_utils.py`); the last row is
//! never used.

use std::ops::Range;

use crate::p2p::error::{EditError, PromptSide};
use crate::p2p::field::{CrossWindow, Field};
use crate::p2p::overrides::Overrides;
use crate::p2p::prompt::{Prompt, WordRef};
use crate::p2p::schedule::window::CrossReplaceSteps;

/// The gate `a`, 0 or 1 per step and target token: \[`steps + 1`, `max_tokens`\].
#[derive(Debug, Clone, PartialEq)]
pub struct GateTable {
    steps: usize,
    width: usize,
    data: Vec<f32>,
}

impl GateTable {
    /// The table of an edit of `steps` steps.
    ///
    /// # Errors
    /// [`EditError::WordNotFound`] for a word that the target lacks, [`EditError::WordTwice`] for one that overrides
    /// another, [`EditError::WindowSelectsNoStep`] for a window
    /// that is not off and opens no row that is used, [`EditError::InvalidWindow`].
    pub fn new(target: &Prompt, cross_replace: &CrossReplaceSteps, steps: usize) -> Result<Self, EditError> {
        let (rows, width) = (steps + 1, target.max_tokens());
        let mut table = Self { steps, width, data: vec![0.0; rows * width] };
        let default = if cross_replace.words.is_empty() { CrossWindow::Only } else { CrossWindow::Default };
        let default = cross_replace.default.checked_range(rows, steps, Field::CrossReplaceSteps(default))?;
        table.set(&(0..width).collect::<Vec<_>>(), &default);
        let mut overrides = Overrides::default();
        for (word, window) in &cross_replace.words {
            let field = Field::CrossReplaceSteps(CrossWindow::Word(word.clone()));
            let range = window.checked_range(rows, steps, field.clone())?;
            // Keys of a JSON object are texts, also where a word's index is meant.
            let by_index = || match word {
                WordRef::Text(text) => target.find(&WordRef::Index(text.parse().ok()?)),
                WordRef::Index(_) => None,
            };
            let tokens = target
                .find(word)
                .or_else(by_index)
                .ok_or_else(|| EditError::word_not_found(word, PromptSide::Target, &[target], field.clone()))?;
            overrides.add(word, &tokens, field)?;
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
    use crate::p2p::schedule::window::Window;
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
        let field = Field::CrossReplaceSteps(CrossWindow::Only);
        assert_eq!(error, EditError::WindowSelectsNoStep { lo: 0.0, hi: 0.1, steps: 8, field });
        // Row 9 of 10 is open, but the nine steps use rows 0 to 8.
        let error = table(window(0.0, 1.0), &[("dog", window(0.9, 1.0))], 9);
        let dog = Field::CrossReplaceSteps(CrossWindow::Word(text("dog")));
        assert_eq!(error.expect_err("last").field(), dog);
        let error = table(window(0.95, 1.0), &[("dog", window(0.0, 1.0))], 9);
        assert_eq!(error.expect_err("last").field(), Field::CrossReplaceSteps(CrossWindow::Default));
    }

    #[test]
    fn an_unknown_word_is_an_error() {
        let error = table(window(0.0, 1.0), &[("cat", window(0.0, 1.0))], 9);
        assert!(matches!(error, Err(EditError::WordNotFound { .. })));
    }

    #[test]
    fn a_window_that_another_one_overrides_is_an_error() {
        let (early, late) = (window(0.0, 0.5), window(0.5, 1.0));
        for (earlier, word) in [("dog", "Dog"), ("1", "dog"), ("dog", "a dog")] {
            let error = table(early, &[(earlier, early), ("grass", late), (word, late)], 9).expect_err(word);
            let field = Field::CrossReplaceSteps(CrossWindow::Word(text(word)));
            assert_eq!(error, EditError::WordTwice { word: text(word), earlier: text(earlier), field });
        }
        assert!(table(early, &[("a dog", early), ("dog", late)], 9).is_ok());
    }

    #[test]
    fn a_window_built_by_hand_is_checked() {
        let error = table(Window { lo: 0.9, hi: 0.1 }, &[], 9);
        assert!(matches!(error, Err(EditError::InvalidWindow { .. })));
    }
}
