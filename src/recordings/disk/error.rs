//! What can go wrong with files of recordings.

use std::path::{Path, PathBuf};

use crate::telemetry::labels::label;

label! {
    /// Why a file of a recording was not taken.
    FileFault as "reason" {
        /// Its checksum or its form is wrong.
        Damaged = "damaged",
        /// It ends too early.
        Truncated = "truncated",
        /// It is of another model, another session or another version.
        Foreign = "foreign",
        /// It could not be read or written.
        Unreadable = "unreadable",
    }
}

/// Why a file was not written, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The session was removed after the token was given out; nothing was written.
    #[error("the session was removed before its file was written")]
    Forgotten,
    /// The file is not what it should be, and should be removed.
    #[error("refused as {}: {detail}", fault.as_str())]
    Refused {
        /// In one word.
        fault: FileFault,
        /// What exactly is wrong.
        detail: String,
    },
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// What was to be written has no form in a file: a mistake of the caller.
    #[error("cannot be written: {0}")]
    Unwritable(String),
    /// Only ids that a source can have become paths.
    #[error("`{0}` is not a session id")]
    NotASessionId(String),
    /// Only fingerprints become paths.
    #[error("`{0}` is not a model's fingerprint: at least 16 hexadecimal digits are wanted")]
    NotAFingerprint(String),
    /// Another process, or another part of this one, has the folder open.
    #[error("{} is in use by another process: each process needs a recordings folder of its own", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl DiskError {
    /// The fault to be counted, where it lies with a file and not with the caller.
    pub fn fault(&self) -> Option<FileFault> {
        match self {
            Self::Refused { fault, .. } => Some(*fault),
            Self::Io { .. } => Some(FileFault::Unreadable),
            Self::Forgotten
            | Self::Missing
            | Self::Unwritable(_)
            | Self::NotASessionId(_)
            | Self::NotAFingerprint(_)
            | Self::InUse(_) => None,
        }
    }

    /// What the system said of `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn damaged(detail: impl Into<String>) -> Self {
        Self::Refused { fault: FileFault::Damaged, detail: detail.into() }
    }

    pub(crate) fn truncated(detail: impl Into<String>) -> Self {
        Self::Refused { fault: FileFault::Truncated, detail: detail.into() }
    }

    pub(crate) fn foreign(detail: impl Into<String>) -> Self {
        Self::Refused { fault: FileFault::Foreign, detail: detail.into() }
    }
}
