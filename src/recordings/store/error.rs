//! The errors of a store of recordings, by kind.

use std::path::Path;

use crate::telemetry::labels::label;

label! {
    /// Why a stored file was refused.
    FileFault as "reason" {
        /// Its checksum or its form is wrong.
        Damaged = "damaged",
        /// It ends too early.
        Truncated = "truncated",
        /// It is of another model, another session or another version.
        Foreign = "foreign",
        /// It could not be read.
        Unreadable = "unreadable",
    }
}

/// Why a call to a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is nothing at this address.
    #[error("nothing is stored there")]
    Missing,
    /// What is stored is not what was written, and should be deleted.
    #[error("refused as damaged: {0}")]
    Damaged(String),
    /// What is stored ends too early, and should be deleted.
    #[error("refused as truncated: {0}")]
    Truncated(String),
    /// What is stored belongs to another model, session, part or version, and should be deleted.
    #[error("refused as foreign: {0}")]
    Foreign(String),
    /// What was to be written has no stored form: a mistake of the caller.
    #[error("cannot be written: {0}")]
    Unwritable(String),
    /// The session or the model has a name that is not a valid address: only ids and fingerprints become paths.
    #[error("not an address: {0}")]
    NotAnAddress(String),
    /// The store is open already, in this process or another, and is not shared.
    #[error("{0} is in use by another process: each process needs a recordings folder of its own")]
    InUse(String),
    /// The system or the network refused.
    #[error("{at}: {source}")]
    Io {
        /// The file, folder or address.
        at: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The implementation panicked; what it has done is unknown.
    #[error("the store panicked")]
    Panicked,
}

impl StoreError {
    /// The fault of a file that is read, to be counted; `None` if the caller is at fault or nothing is stored.
    pub fn fault(&self) -> Option<FileFault> {
        match self {
            Self::Damaged(_) => Some(FileFault::Damaged),
            Self::Truncated(_) => Some(FileFault::Truncated),
            Self::Foreign(_) => Some(FileFault::Foreign),
            Self::Io { .. } | Self::Panicked => Some(FileFault::Unreadable),
            Self::Missing | Self::Unwritable(_) | Self::NotAnAddress(_) | Self::InUse(_) => None,
        }
    }

    /// Whether what is stored is refused, so that another try cannot succeed.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Truncated(_) | Self::Foreign(_))
    }

    /// The system's error at a path.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        |source| Self::Io { at: path.display().to_string(), source }
    }
}
