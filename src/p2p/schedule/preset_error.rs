//! What can be wrong with the presets and the vocabulary of a model.
//!
//! Contract: every error names the key at fault, as it is written in the model's profile.

/// What is wrong with the presets or the vocabulary of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// A preset is named after nothing that there is.
    #[error("unknown kind of edit; expected one of {}", kinds.join(", "))]
    UnknownKind {
        /// The name.
        kind: String,
        /// The names that a preset may have.
        kinds: Vec<String>,
    },
    /// A group of words is named as a relation is.
    #[error("reserved name: it is the name of a kind of edit")]
    ReservedGroup {
        /// The name.
        group: String,
    },
    /// An entry of a group is empty, or punctuation only.
    #[error("{entry:?} contains no word")]
    NoWord {
        /// The group.
        group: String,
        /// The entry's index in it.
        at: usize,
        /// The entry.
        entry: String,
    },
}

impl PresetError {
    /// The path of the key at fault, such as `vocabulary.objects[3]`.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::UnknownKind { kind, .. } => format!("presets.{kind}"),
            Self::ReservedGroup { group } => format!("vocabulary.{group}"),
            Self::NoWord { group, at, .. } => format!("vocabulary.{group}[{at}]"),
        }
    }
}
