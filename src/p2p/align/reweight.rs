//! `reweight`: the prompt stays, and every token takes its own map.
//!
//! Contract: prompts of equal tokens; the matrix is the identity and every token has a source (the published
//! `AttentionReweight` without a mapper of its own).

use crate::p2p::align::alignment::{AlignedWords, Alignment, Relation};
use crate::p2p::align::matrix::TokenMatrix;
use crate::p2p::align::refine::refine;
use crate::p2p::error::EditError;
use crate::p2p::prompt::Prompt;

/// The alignment of a prompt with itself: every token takes its own position's map.
///
/// # Errors
/// [`EditError::ReweightChangesPrompt`] where the prompts' tokens differ.
pub fn reweight(source: &Prompt, target: &Prompt) -> Result<Alignment, EditError> {
    if source.ids() == target.ids() { Ok(identity(source, target)) } else { Err(EditError::ReweightChangesPrompt) }
}

/// The identity, for prompts of equal tokens. Their words may still differ, in case or in white space before
/// punctuation.
pub(crate) fn identity(source: &Prompt, target: &Prompt) -> Alignment {
    let count = target.words().len();
    let words = if count == source.words().len() {
        let kept = |word| AlignedWords::new(Relation::Kept, source, vec![word], target, vec![word]);
        (0..count).map(kept).collect()
    } else {
        refine(source, target).words
    };
    let size = target.max_tokens();
    Alignment { map: TokenMatrix::identity(size), has_source: vec![true; size], words, shifted: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::prompt;

    #[test]
    fn reweight_keeps_the_prompt() {
        let cat = prompt("a cat on grass");
        let kept = reweight(&cat, &cat).expect("the same prompt");
        assert!(kept.map.is_identity());
        assert!(kept.has_source.iter().all(|&has| has));
        assert!(kept.words.iter().all(|w| w.relation == Relation::Kept));
        assert_eq!(kept.words[1].source_tokens, [2]);

        let changed = reweight(&cat, &prompt("a dog on grass"));
        assert_eq!(changed, Err(EditError::ReweightChangesPrompt));
    }

    #[test]
    fn equal_tokens_are_the_same_prompt_whatever_the_white_space() {
        let kept = reweight(&prompt("a cat, here"), &prompt("A cat , here"));
        let words = kept.expect("the same tokens").words;
        assert_eq!(words[1].source.as_deref(), Some("cat,"));
        assert_eq!(words[2].target.as_deref(), Some(","));
    }
}
