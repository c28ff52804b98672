//! What an alignment of two prompts is, and the simplest one.
//!
//! Contract: an [`Alignment`] is "M and r" of the method's linear form, `softmax(Qs Ks') * M diag(a c r) Vt`: a matrix
//! over token positions and a flag per target token, the same that the published mappers and `alphas` say. Both have
//! the size of the padded prompt. The words beside them are for people and for local blend; the matrix does not
//! depend on them.

pub(crate) mod auto;
pub(crate) mod matrix;
pub(crate) mod needleman_wunsch;
pub(crate) mod refine;
pub(crate) mod replace;

use crate::p2p::align::matrix::TokenMatrix;
use crate::p2p::error::EditError;
use crate::p2p::prompt::Prompt;

/// How the tokens of a target prompt take their attention maps from a source prompt's.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// M \[source tokens, target tokens\]; the columns of target tokens without a source are zero.
    pub map: TokenMatrix,
    /// r \[target tokens\]: false where a target token keeps its own map. All true for replace, whose published
    /// mapper knows no such tokens, even where it leaves a column of zeros.
    pub has_source: Vec<bool>,
    /// The words in the target's order, removed ones at their place.
    pub words: Vec<AlignedWords>,
}

/// What became of words of the source in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlignedWords {
    /// The target's words joined by spaces; none where words were removed.
    pub target: Option<String>,
    /// The source's words joined by spaces; none where words were added.
    pub source: Option<String>,
    /// What became of them.
    pub relation: Relation,
    /// Token positions in the target, ascending: all of an entry's words, punctuation included.
    pub target_tokens: Vec<usize>,
    /// Token positions in the source, ascending.
    pub source_tokens: Vec<usize>,
    /// Word indices in the target, ascending.
    pub target_words: Vec<usize>,
    /// Word indices in the source, ascending.
    pub source_words: Vec<usize>,
}

/// What became of words of the source in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The same word.
    Kept,
    /// Other words in its place.
    Replaced,
    /// Only in the target.
    Added,
    /// Only in the source.
    Removed,
}

/// How two prompts are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EditType {
    /// Word by word, for every word the rule that fits it.
    #[default]
    Auto,
    /// The published `AttentionReplace`.
    Replace,
    /// The published `AttentionRefine`.
    Refine,
    /// The prompt stays; only the equalizer acts (the published `AttentionReweight` alone).
    Reweight,
}

impl Relation {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Replaced => "replaced",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }
}

impl EditType {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Replace => "replace",
            Self::Refine => "refine",
            Self::Reweight => "reweight",
        }
    }
}

impl AlignedWords {
    /// An entry with all tokens of the words at the given indices.
    pub(crate) fn new(
        relation: Relation,
        source: &Prompt,
        source_words: Vec<usize>,
        target: &Prompt,
        target_words: Vec<usize>,
    ) -> Self {
        Self {
            target: joined(target, &target_words),
            source: joined(source, &source_words),
            relation,
            target_tokens: tokens(target, &target_words),
            source_tokens: tokens(source, &source_words),
            target_words,
            source_words,
        }
    }
}

/// The text of words, joined by spaces; none for no words.
pub(crate) fn joined(prompt: &Prompt, words: &[usize]) -> Option<String> {
    let texts: Vec<&str> = words.iter().map(|&word| prompt.words()[word].text.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// The tokens of words, ascending and without duplicates.
pub(crate) fn tokens(prompt: &Prompt, words: &[usize]) -> Vec<usize> {
    let mut tokens: Vec<usize> = words.iter().flat_map(|&word| prompt.words()[word].tokens.iter().copied()).collect();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// Weights with which target tokens take the maps of the source tokens that they stand in for, as triples (source
/// position, target position, weight) (`get_replacement_mapper_` of the published `seq_aligner.py`).
///
/// As many tokens on both sides pair one to one. Otherwise every source token goes to every target token, with one
/// over the number of target tokens: a target token's column sums to the source's number over the target's.
pub(crate) fn spread(source: &[usize], target: &[usize]) -> Vec<(usize, usize, f32)> {
    if source.len() == target.len() {
        let pairs = source.iter().zip(target);
        return pairs.map(|(&s, &t)| (s, t, 1.0)).collect();
    }
    // In f64 first, as numpy does it.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let ratio = (1.0 / target.len() as f64) as f32;
    let all = target.iter().flat_map(|&t| source.iter().map(move |&s| (s, t, ratio)));
    all.collect()
}

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
        refine::refine(source, target).words
    };
    Alignment { map: TokenMatrix::identity(target.max_tokens()), has_source: vec![true; target.max_tokens()], words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::prompt;

    #[test]
    fn equal_numbers_of_tokens_pair_and_others_spread() {
        assert_eq!(spread(&[2, 3], &[4, 5]), [(2, 4, 1.0), (3, 5, 1.0)]);
        assert_eq!(spread(&[2], &[4, 5]), [(2, 4, 0.5), (2, 5, 0.5)]);
        assert_eq!(spread(&[2, 3], &[4]), [(2, 4, 1.0), (3, 4, 1.0)]);
        assert_eq!(spread(&[2], &[]), []);
    }

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
