//! The kinds of edits that need no vocabulary: they follow from the relations of the words.

/// The kind of an edit in which a word takes another's place, or goes.
pub(crate) const REPLACED: &str = "replaced";
/// The kind of an edit in which a word comes.
pub(crate) const ADDED: &str = "added";
/// The kind of an edit that keeps all words.
pub(crate) const REWEIGHTED: &str = "reweighted";
/// All kinds that do not go by a vocabulary.
pub(crate) const RELATIONS: [&str; 3] = [REPLACED, ADDED, REWEIGHTED];
