//! What an alignment of two prompts is.
//!
//! Contract: an [`Alignment`] is "M and r" of the method's linear form, `softmax(Qs Ks') * M diag(a c r) Vt`: a matrix
//! over token positions and a flag per target token, as the published mappers and `alphas` give them. Both have the
//! size of the padded prompt. The words beside them are for people and for local blend; the matrix does not depend on
//! them.

use crate::p2p::align::matrix::TokenMatrix;
use crate::p2p::prompt::Prompt;

/// How the tokens of a target prompt take their attention maps from a source prompt's.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// M \[source tokens, target tokens\]; the columns of target tokens without a source are zero.
    pub map: TokenMatrix,
    /// r \[target tokens\]: false where a target token keeps its own map. All true for replace, whose published
    /// mapper knows no such tokens, even where it leaves a column of zeros.
    pub has_source: Vec<bool>,
    /// The words in the target's order, removed ones at their place: which words of one prompt stand for which of the
    /// other. Local blend and presets go by them.
    pub words: Vec<AlignedWords>,
    /// The words as the matrix has them, where it departs from `words`: the published `replace` gives words after a
    /// swapped word of another number of tokens the maps of their neighbours.
    pub shifted: Option<Vec<AlignedWords>>,
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

impl Alignment {
    /// The words whose maps each word takes, as the matrix has them.
    pub fn taken(&self) -> &[AlignedWords] {
        self.shifted.as_deref().unwrap_or(&self.words)
    }

    /// The source token whose map a target token takes as it is; `None` where it keeps its own or takes several.
    pub(crate) fn source_of(&self, target: usize) -> Option<usize> {
        if !self.has_source[target] {
            return None;
        }
        let mut sources = self.map.column(target).enumerate().filter(|&(_, weight)| weight != 0.0);
        match (sources.next(), sources.next()) {
            (Some((source, 1.0)), None) => Some(source),
            _ => None,
        }
    }
}

impl Relation {
    /// All relations.
    pub const ALL: [Self; 4] = [Self::Kept, Self::Replaced, Self::Added, Self::Removed];

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
    /// All edit types, the default first.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Replace, Self::Refine, Self::Reweight];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_of_tokens_pair_and_others_spread() {
        assert_eq!(spread(&[2, 3], &[4, 5]), [(2, 4, 1.0), (3, 5, 1.0)]);
        assert_eq!(spread(&[2], &[4, 5]), [(2, 4, 0.5), (2, 5, 0.5)]);
        assert_eq!(spread(&[2, 3], &[4]), [(2, 4, 1.0), (3, 4, 1.0)]);
        assert_eq!(spread(&[2], &[]), []);
    }
}
