//! The names of files and folders. Session ids come from clients, so a text becomes a path only if it has the exact
//! form of an id; anything else is refused before the file system is accessed.

use std::path::{Path, PathBuf};

use crate::recordings::SessionId;
use crate::recordings::part::Part;
use crate::recordings::store::StoreError;

/// The file that says what the session is.
pub(crate) const SOURCE: &str = "source.json";
/// Held while the folder is open.
pub(crate) const LOCK: &str = ".lock";
/// Begins the names of files that are being written.
pub(crate) const WRITING: &str = ".writing-";
/// Begins the names of folders that are being deleted.
pub(crate) const REMOVED: &str = ".removed-";

const FINGERPRINT_DIGITS: usize = 16;
const ID_PREFIX: &str = "ses_";
const ID_DIGITS: usize = 32;

/// The meaning of a name in a session's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Source,
    Part(Part),
    /// A file whose writer was killed.
    Unfinished,
    /// Not a file of a recording.
    Unknown,
}

impl Name {
    pub(crate) fn of(name: &str) -> Self {
        match name {
            SOURCE => Self::Source,
            _ if name.starts_with(WRITING) => Self::Unfinished,
            _ => Part::from_file_name(name).map_or(Self::Unknown, Self::Part),
        }
    }
}

/// The folder of one model's recordings.
pub(crate) fn model_dir(dir: &Path, fingerprint: &str) -> Result<PathBuf, StoreError> {
    match fingerprint.get(..FINGERPRINT_DIGITS) {
        Some(digits) if are_digits(digits) => Ok(dir.join(digits)),
        _ => Err(StoreError::NotAnAddress(format!(
            "expected a fingerprint of at least {FINGERPRINT_DIGITS} hexadecimal digits, got `{fingerprint}`"
        ))),
    }
}

/// The folder of a session within its model's.
pub(crate) fn session_dir(model_dir: &Path, id: &SessionId) -> Result<PathBuf, StoreError> {
    if is_session_id(id.as_str()) {
        Ok(model_dir.join(id.as_str()))
    } else {
        Err(StoreError::NotAnAddress(format!("expected a session id, got `{id}`")))
    }
}

/// Whether a text has the form of a session id: `ses_` and 32 lower-case hexadecimal digits.
pub(crate) fn is_session_id(text: &str) -> bool {
    text.strip_prefix(ID_PREFIX).is_some_and(|digits| digits.len() == ID_DIGITS && are_digits(digits))
}

fn are_digits(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_session_id, model_dir};

    #[test]
    fn only_the_exact_form_is_a_session_id() {
        assert!(is_session_id("ses_0123456789abcdef0123456789abcdef"));
        for text in [
            "",
            "ses_",
            "ses_0123456789abcdef0123456789abcde",
            "ses_0123456789abcdef0123456789abcdef0",
            "ses_0123456789ABCDEF0123456789ABCDEF",
            "ses_0123456789abcdef0123456789abcde/",
            "ses_../../../../../../../../etc/passwd",
            "ses_0123456789abcdef0123456789abcde\0",
            "SES_0123456789abcdef0123456789abcdef",
            " ses_0123456789abcdef0123456789abcdef",
        ] {
            assert!(!is_session_id(text), "{text}");
        }
    }

    #[test]
    fn only_hexadecimal_digits_of_a_fingerprint_become_a_path() {
        let dir = model_dir(Path::new("/a"), "0123456789abcdef0123").expect("a fingerprint");
        assert_eq!(dir, Path::new("/a/0123456789abcdef"));
        for fingerprint in ["", "model", "0123456789abcde", "../../../../../../..", "0123456789abcde\u{e9}"] {
            assert!(model_dir(Path::new("/a"), fingerprint).is_err(), "{fingerprint}");
        }
    }
}
