//! The local blend of an edit: which tokens select, which exclude, and from which step.
//!
//! Contract: token positions are those of the padded prompts; at least one of `source_tokens` and `target_tokens` is
//! not empty, and there is a step at which the blend is applied.

use crate::p2p::align::alignment::{AlignedWords, Relation};
use crate::p2p::error::{EditError, PromptSide};
use crate::p2p::field::{BlendPart, Field};
use crate::p2p::params::{BlendWords, LocalBlendParams};
use crate::p2p::prompt::{Prompt, WordRef};
use crate::p2p::schedule::window::bound;

/// A local blend, settled for two prompts and a number of steps (`LocalBlend` of the published code).
#[derive(Debug, Clone, PartialEq)]
pub struct BlendPlan {
    /// Source tokens whose maps select what may change.
    pub source_tokens: Vec<usize>,
    /// Target tokens whose maps select what may change.
    pub target_tokens: Vec<usize>,
    /// Source tokens whose maps select what must not change.
    pub exclude_source: Vec<usize>,
    /// Target tokens whose maps select what must not change.
    pub exclude_target: Vec<usize>,
    /// What part of the highest attention a position must pass, in `[0, 1)`. The published code has a second one for
    /// excluded words; here one serves both.
    pub threshold: f32,
    /// `int(start * steps)`: the blend is applied after a step when more than this many steps are done.
    pub start_step: usize,
}

impl BlendPlan {
    /// The blend of an edit whose words align as `words`.
    ///
    /// # Errors
    /// [`EditError::WordNotFound`], [`EditError::LocalBlendNoWords`], [`EditError::InvalidThreshold`],
    /// [`EditError::InvalidStart`].
    pub(crate) fn new(
        source: &Prompt,
        target: &Prompt,
        words: &[AlignedWords],
        params: &LocalBlendParams,
        steps: usize,
    ) -> Result<Self, EditError> {
        let &LocalBlendParams { threshold, start, .. } = params;
        if !(0.0..1.0).contains(&threshold) {
            return Err(EditError::InvalidThreshold { threshold });
        }
        if !(0.0..1.0).contains(&start) {
            return Err(EditError::InvalidStart { start });
        }
        // Before the last step, for `start` is below 1: it is applied after that at least.
        let start_step = bound(start, steps);
        let (listed_source, listed_target) = match &params.words {
            BlendWords::DifferingWords => (None, None),
            BlendWords::Listed { source, target } => (source.as_deref(), target.as_deref()),
        };
        let source_tokens = match listed_source {
            Some(list) => find_all(source, list, PromptSide::Source, BlendPart::SourceWord)?,
            None => differing(words, Relation::Removed, |entry| &entry.source_tokens),
        };
        let target_tokens = match listed_target {
            Some(list) => find_all(target, list, PromptSide::Target, BlendPart::TargetWord)?,
            None => differing(words, Relation::Added, |entry| &entry.target_tokens),
        };
        if source_tokens.is_empty() && target_tokens.is_empty() {
            return Err(EditError::LocalBlendNoWords);
        }
        let (exclude_source, exclude_target) = excluded(source, target, &params.exclude)?;
        Ok(Self { source_tokens, target_tokens, exclude_source, exclude_target, threshold, start_step })
    }
}

/// Tokens of the words that were replaced or stand on one side only.
fn differing(words: &[AlignedWords], one_sided: Relation, tokens: impl Fn(&AlignedWords) -> &[usize]) -> Vec<usize> {
    let differ = words.iter().filter(|entry| entry.relation == Relation::Replaced || entry.relation == one_sided);
    sorted(differ.flat_map(|entry| tokens(entry).to_vec()).collect())
}

fn find_all(
    prompt: &Prompt,
    list: &[WordRef],
    side: PromptSide,
    part: fn(usize) -> BlendPart,
) -> Result<Vec<usize>, EditError> {
    let mut tokens = Vec::new();
    for (at, word) in list.iter().enumerate() {
        let found = prompt.find(word);
        let field = || Field::LocalBlend(part(at));
        tokens.extend(found.ok_or_else(|| EditError::word_not_found(word, side, &[prompt], field()))?);
    }
    Ok(sorted(tokens))
}

/// Source and target tokens of words that either prompt has.
fn excluded(source: &Prompt, target: &Prompt, list: &[WordRef]) -> Result<(Vec<usize>, Vec<usize>), EditError> {
    let (mut in_source, mut in_target) = (Vec::new(), Vec::new());
    for (at, word) in list.iter().enumerate() {
        let found = (source.find(word), target.find(word));
        if found == (None, None) {
            let (field, prompts) = (Field::LocalBlend(BlendPart::ExcludedWord(at)), [source, target]);
            return Err(EditError::word_not_found(word, PromptSide::Either, &prompts, field));
        }
        in_source.extend(found.0.unwrap_or_default());
        in_target.extend(found.1.unwrap_or_default());
    }
    Ok((sorted(in_source), sorted(in_target)))
}

fn sorted(mut tokens: Vec<usize>) -> Vec<usize> {
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::align::auto::auto;
    use crate::p2p::testing::{prompt, text};

    fn plan(target: &str, params: &LocalBlendParams) -> Result<BlendPlan, EditError> {
        let (source, target) = (prompt("a big cat on grass"), prompt(target));
        let words = auto(&source, &target).1.words;
        BlendPlan::new(&source, &target, &words, params, 10)
    }

    fn listed(source: &[&str], target: &[&str], exclude: &[&str]) -> LocalBlendParams {
        let refs = |words: &[&str]| words.iter().map(|word| text(word)).collect::<Vec<_>>();
        LocalBlendParams {
            words: BlendWords::Listed {
                source: (!source.is_empty()).then(|| refs(source)),
                target: (!target.is_empty()).then(|| refs(target)),
            },
            exclude: refs(exclude),
            ..LocalBlendParams::default()
        }
    }

    #[test]
    fn without_a_list_the_words_that_differ_select() {
        let blend = plan("a dog on grass", &LocalBlendParams::default()).expect("valid");
        assert_eq!(blend.source_tokens, [2, 3]);
        assert_eq!(blend.target_tokens, [2]);
        assert_eq!(blend.start_step, 2);
        let removed = plan("a cat on grass", &LocalBlendParams::default()).expect("valid");
        assert_eq!((removed.source_tokens, removed.target_tokens), (vec![2], vec![]));
    }

    #[test]
    fn a_side_without_a_list_takes_the_words_that_differ() {
        let blend = plan("a dog on grass", &listed(&["cat"], &[], &[])).expect("valid");
        assert_eq!((blend.source_tokens, blend.target_tokens), (vec![3], vec![2]));
    }

    #[test]
    fn excluded_words_may_be_in_either_prompt() {
        let blend = plan("a dog on grass", &listed(&[], &["dog"], &["cat", "on"])).expect("valid");
        assert_eq!((blend.exclude_source, blend.exclude_target), (vec![3, 4], vec![3]));
    }

    #[test]
    fn unknown_words_are_named_with_their_field() {
        let field = |params| plan("a dog on grass", &params).expect_err("unknown").field();
        assert_eq!(field(listed(&["cat", "dog"], &[], &[])), Field::LocalBlend(BlendPart::SourceWord(1)));
        assert_eq!(field(listed(&[], &["cat"], &[])), Field::LocalBlend(BlendPart::TargetWord(0)));
        assert_eq!(field(listed(&[], &[], &["x"])), Field::LocalBlend(BlendPart::ExcludedWord(0)));
    }

    #[test]
    fn a_blend_that_selects_nothing_is_an_error() {
        let same = plan("a big cat on grass", &LocalBlendParams::default());
        assert_eq!(same, Err(EditError::LocalBlendNoWords));
        let empty = LocalBlendParams {
            words: BlendWords::Listed { source: Some(vec![]), target: Some(vec![]) },
            ..LocalBlendParams::default()
        };
        assert_eq!(plan("a dog", &empty), Err(EditError::LocalBlendNoWords));
    }

    #[test]
    fn ranges_are_checked() {
        let ranged = |threshold, start| {
            plan("a dog on grass", &LocalBlendParams { threshold, start, ..LocalBlendParams::default() })
        };
        assert_eq!(ranged(1.0, 0.2), Err(EditError::InvalidThreshold { threshold: 1.0 }));
        assert!(matches!(ranged(f32::NAN, 0.2), Err(EditError::InvalidThreshold { .. })));
        assert_eq!(ranged(0.3, 1.0), Err(EditError::InvalidStart { start: 1.0 }));
        assert_eq!(ranged(0.0, 0.99).map(|plan| plan.start_step), Ok(9));
        let last = 1.0 - f64::EPSILON / 2.0;
        let (source, target) = (prompt("a cat"), prompt("a dog"));
        let words = auto(&source, &target).1.words;
        for steps in 1..=1000 {
            let params = LocalBlendParams { start: last, ..LocalBlendParams::default() };
            let plan = BlendPlan::new(&source, &target, &words, &params, steps).unwrap();
            assert!(plan.start_step < steps, "{steps} steps without a blend");
        }
    }
}
