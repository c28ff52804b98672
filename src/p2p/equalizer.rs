//! The equalizer: a factor per target token.
//!
//! Contract: `c` of the method's linear form, \[`max_tokens`\], 1 where nothing is asked; later entries override
//! earlier ones on the same token (`get_equalizer` of the published code), but not all of an entry. Factors act on
//! injected attention only, so an entry on a word whose maps are never injected is an error.

use crate::p2p::align::alignment::Alignment;
use crate::p2p::error::{EditError, PromptSide};
use crate::p2p::field::{EqualizerPart, Field};
use crate::p2p::overrides::Overrides;
use crate::p2p::params::Equalize;
use crate::p2p::prompt::Prompt;
use crate::p2p::schedule::gates::GateTable;

/// The factors of an edit.
///
/// # Errors
/// [`EditError::WordNotFound`], [`EditError::WordTwice`], [`EditError::InvalidStrength`],
/// [`EditError::EqualizerNoEffect`].
pub(crate) fn factors(
    target: &Prompt,
    entries: &[Equalize],
    gates: &GateTable,
    alignment: &Alignment,
) -> Result<Vec<f32>, EditError> {
    let (mut factors, mut overrides) = (vec![1.0; target.max_tokens()], Overrides::default());
    for (at, Equalize { word, strength }) in entries.iter().enumerate() {
        if !strength.is_finite() {
            return Err(EditError::InvalidStrength { strength: *strength, at });
        }
        let field = Field::Equalizer { at, part: EqualizerPart::Word };
        let Some(tokens) = target.find(word) else {
            return Err(EditError::word_not_found(word, PromptSide::Target, &[target], field));
        };
        overrides.add(word, &tokens, field)?;
        let acts = |&token: &usize| gates.opens(token) && takes_any(alignment, token);
        // A factor of 1 asks for nothing, so it may do nothing.
        if *strength != 1.0 && !tokens.iter().any(acts) {
            return Err(EditError::EqualizerNoEffect { word: word.clone(), steps: gates.steps(), at });
        }
        for token in tokens {
            factors[token] = *strength;
        }
    }
    Ok(factors)
}

/// Whether there is anything to scale: the published replace mapper can leave a token neither a source nor its own
/// map.
fn takes_any(alignment: &Alignment, token: usize) -> bool {
    !alignment.has_source[token] || alignment.map.column(token).any(|weight| weight != 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::align::reweight::reweight;
    use crate::p2p::schedule::window::{CrossReplaceSteps, Window};
    use crate::p2p::testing::{prompt, text};

    fn factors_of(entries: &[(&str, f32)], dog: Window) -> Result<Vec<f32>, EditError> {
        let target = prompt("a dog, a chinchilla");
        let cross = CrossReplaceSteps { default: Window { lo: 0.0, hi: 1.0 }, words: vec![(text("dog"), dog)] };
        let gates = GateTable::new(&target, &cross, 4)?;
        let entries = entries.iter().map(|&(word, strength)| Equalize { word: text(word), strength });
        let entries: Vec<_> = entries.collect();
        factors(&target, &entries, &gates, &reweight(&target, &target)?)
    }

    const ON: Window = Window { lo: 0.0, hi: 0.5 };
    const OFF: Window = Window { lo: 0.0, hi: 0.0 };

    #[test]
    fn a_strength_is_on_all_tokens_of_its_word_and_the_later_one_counts() {
        let entries = [("a", 3.0), ("a chinchilla", 4.0), ("chinchilla", -2.0), ("dog", 5.0), ("a", 3.0)];
        assert!(matches!(factors_of(&entries, ON), Err(EditError::WordTwice { .. })));
        let entries = [("a chinchilla", 3.0), ("chinchilla", -2.0), ("dog", 5.0), ("a", 3.0)];
        let factors = factors_of(&entries, ON).expect("valid");
        assert_eq!(factors[..9], [1.0, 3.0, 5.0, 1.0, 3.0, -2.0, -2.0, -2.0, 1.0]);
        assert_eq!(factors.len(), 77);
    }

    #[test]
    fn a_word_that_is_never_injected_cannot_be_equalized() {
        let error = factors_of(&[("a", 2.0), ("dog", 2.0)], OFF).expect_err("shut");
        assert_eq!(error, EditError::EqualizerNoEffect { word: text("dog"), steps: 4, at: 1 });
        assert_eq!(error.field(), Field::Equalizer { at: 1, part: EqualizerPart::Word });
        assert!(error.to_string().contains("\"dog\""));
        assert!(factors_of(&[("dog", 1.0)], OFF).is_ok());
    }

    #[test]
    fn a_word_that_another_one_overrides_is_an_error() {
        for (earlier, word) in [("dog", "dog"), ("dog", "DOG"), ("dog", "dog,"), ("chinchilla", "a chinchilla")] {
            let error = factors_of(&[(earlier, 4.0), ("a", 2.0), (word, 5.0)], ON).expect_err(word);
            let field = Field::Equalizer { at: 2, part: EqualizerPart::Word };
            assert_eq!(error, EditError::WordTwice { word: text(word), earlier: text(earlier), field });
        }
        assert!(factors_of(&[("a chinchilla", 4.0), ("chinchilla", 5.0)], ON).is_ok());
    }

    #[test]
    fn words_must_be_there_and_strengths_finite() {
        let error = factors_of(&[("cat", 2.0)], ON).expect_err("no cat");
        assert_eq!(error.field(), Field::Equalizer { at: 0, part: EqualizerPart::Word });
        let error = factors_of(&[("dog", f32::NAN)], ON).expect_err("no number");
        assert_eq!(error.field(), Field::Equalizer { at: 0, part: EqualizerPart::Strength });
    }
}
