//! Which words of a list would override others.
//!
//! Contract: entries of a list apply one after the other, and a later one overrides an earlier one on the tokens that
//! both name. An entry that would be overridden as a whole is a mistake, and an error.

use crate::p2p::error::EditError;
use crate::p2p::field::Field;
use crate::p2p::prompt::WordRef;

/// Words with their tokens, in the order of a list.
#[derive(Debug, Default)]
pub(crate) struct Overrides<'a>(Vec<(&'a WordRef, Vec<usize>)>);

impl<'a> Overrides<'a> {
    /// Adds a word; `tokens` are ascending.
    ///
    /// # Errors
    /// [`EditError::WordTwice`] at `field` if an earlier word has none but these tokens.
    pub(crate) fn add(&mut self, word: &'a WordRef, tokens: &[usize], field: Field) -> Result<(), EditError> {
        let is_overridden = |earlier: &[usize]| earlier.iter().all(|token| tokens.contains(token));
        if let Some((earlier, _)) = self.0.iter().find(|(_, earlier)| is_overridden(earlier)) {
            return Err(EditError::WordTwice { word: word.clone(), earlier: (*earlier).clone(), field });
        }
        self.0.push((word, tokens.to_vec()));
        Ok(())
    }
}
