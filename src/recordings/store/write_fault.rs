//! Why a write to the store failed, as it is counted and logged.

use std::io::{Error, ErrorKind};

use crate::recordings::store::StoreError;
use crate::telemetry::labels::label;

label! {
    /// Why a write to the store failed.
    WriteFault as "reason" {
        /// The disk is full, or the quota is used up.
        Full = "full",
        /// The folder cannot be written to: permissions, or a read-only file system.
        Denied = "denied",
        /// Anything else, such as a failing disk.
        Failed = "failed",
    }
}

impl WriteFault {
    /// Why a write failed; `None` if the caller is at fault.
    pub(crate) fn of(error: &StoreError) -> Option<Self> {
        match error {
            StoreError::Io { source, .. } => Some(Self::of_io(source)),
            StoreError::Panicked => Some(Self::Failed),
            _ => None,
        }
    }

    fn of_io(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Denied,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are those of Linux, `errno.h`.
    #[test]
    fn the_systems_errors_have_their_reasons() {
        for (errno, fault) in [
            (28, WriteFault::Full),
            (122, WriteFault::Full),
            (13, WriteFault::Denied),
            (1, WriteFault::Denied),
            (30, WriteFault::Denied),
            (5, WriteFault::Failed),
            (116, WriteFault::Failed),
        ] {
            let error = StoreError::Io { at: "a file".to_owned(), source: Error::from_raw_os_error(errno) };
            assert_eq!(WriteFault::of(&error), Some(fault), "{errno}");
        }
        assert_eq!(WriteFault::of(&StoreError::Panicked), Some(WriteFault::Failed));
        assert_eq!(WriteFault::of(&StoreError::Missing), None);
    }
}
