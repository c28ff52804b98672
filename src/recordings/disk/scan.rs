//! Scanning the folder of a model for what an earlier process has left. Sessions are listed, unfinished files are
//! deleted, and invalid ones are refused, without reading a tensor:
//!
//! - Files and folders that a killed process left unfinished are deleted.
//! - A file whose header or length is wrong is reported and deleted; if it is the source, so is the whole session.
//! - A file that cannot be read is reported and left alone, because the fault may be this process's; if it is the
//!   source, so is the whole session.
//! - A session without its source cannot be used: it is deleted. Without its trajectory the other parts are useless:
//!   they are deleted, and the session is listed with its source alone.
//! - Files with other names are not part of a recording: they are left alone and not counted.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::recordings::disk::header::Owner;
use crate::recordings::disk::paths::{self, LOCK, Name, REMOVED};
use crate::recordings::disk::{part_file, source_file};
use crate::recordings::part::Part;
use crate::recordings::session_id::SessionId;
use crate::recordings::source::Source;
use crate::recordings::store::{FileFault, Listing, StoreError, StoredSession};

/// A pass through a model's folder, or through one session of it.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    fingerprint: &'a str,
    listing: Listing,
}

impl<'a> Scan<'a> {
    /// A pass that has found nothing yet.
    pub(crate) fn new(fingerprint: &'a str) -> Self {
        Self { fingerprint, listing: Listing::default() }
    }

    /// What was found, the longest unused session first.
    pub(crate) fn listing(mut self) -> Listing {
        self.listing.sessions.sort_by(|a, b| (a.last_used, &a.id).cmp(&(b.last_used, &b.id)));
        self.listing
    }

    /// Looks through the folder of a model.
    pub(crate) fn model(&mut self, model_dir: &Path) -> Result<(), StoreError> {
        for entry in fs::read_dir(model_dir).map_err(StoreError::io(model_dir))? {
            let entry = entry.map_err(StoreError::io(model_dir))?;
            let path = entry.path();
            let is_dir = entry.file_type().map_err(StoreError::io(&path))?.is_dir();
            match entry.file_name().to_str() {
                Some(LOCK) => {}
                // Its bytes would never be counted, so it must go.
                Some(name) if is_dir && name.starts_with(REMOVED) => {
                    fs::remove_dir_all(&path).map_err(StoreError::io(&path))?;
                }
                Some(name) if is_dir && paths::is_session_id(name) => {
                    self.session(&path, SessionId::from_client(name));
                }
                _ => tracing::warn!(path = %path.display(), "not part of a recording, left alone"),
            }
        }
        Ok(())
    }

    /// Looks through the folder of a session.
    pub(crate) fn session(&mut self, dir: &Path, id: SessionId) {
        let Some(files) = self.accepted(dir, files(dir)) else { return };
        let Some((source_path, _)) = files.iter().find(|(_, name)| *name == Name::Source) else {
            tracing::info!(path = %dir.display(), "a recording without its source, deleted");
            return discard(dir, &files);
        };
        let source = read_source(source_path, self.fingerprint, &id);
        if source.as_ref().is_err_and(StoreError::is_refusal) {
            self.accepted(source_path, source);
            return discard(dir, &files);
        }
        let Some((source, source_bytes, mut last_used)) = self.accepted(source_path, source) else { return };

        let mut parts = BTreeMap::new();
        for (path, name) in &files {
            let Name::Part(part) = *name else { continue };
            let checked = check_part(path, &Owner { fingerprint: self.fingerprint, session: &id, part });
            if checked.as_ref().is_err_and(StoreError::is_refusal) {
                remove(path);
            }
            if let Some((bytes, modified)) = self.accepted(path, checked) {
                parts.insert(part, bytes);
                last_used = last_used.max(modified);
            }
        }
        if !parts.is_empty() && !parts.contains_key(&Part::Trajectory) {
            tracing::info!(path = %dir.display(), "a recording without its trajectory, its attention deleted");
            for part in std::mem::take(&mut parts).into_keys() {
                remove(&dir.join(part.to_string()));
            }
        }
        self.listing.sessions.push(StoredSession { id, source, source_bytes, parts, last_used });
    }

    /// The value; an error is reported.
    fn accepted<T>(&mut self, path: &Path, value: Result<T, StoreError>) -> Option<T> {
        value
            .map_err(|error| {
                tracing::warn!(path = %path.display(), %error, "a file of a recording was refused");
                self.listing.refused.push(error.fault().unwrap_or(FileFault::Unreadable));
            })
            .ok()
    }
}

/// The source, its bytes, and when it was last written or touched.
fn read_source(path: &Path, fingerprint: &str, id: &SessionId) -> Result<(Source, u64, SystemTime), StoreError> {
    let (file, bytes, modified) = open(path).map_err(StoreError::io(path))?;
    Ok((source_file::read(file, path, fingerprint, id)?, bytes, modified))
}

fn check_part(path: &Path, owner: &Owner<'_>) -> Result<(u64, SystemTime), StoreError> {
    let (file, bytes, modified) = open(path).map_err(StoreError::io(path))?;
    part_file::check(file, bytes, path, owner)?;
    Ok((bytes, modified))
}

fn open(path: &Path) -> io::Result<(File, u64, SystemTime)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata.len(), metadata.modified()?))
}

/// The complete files of a recording in a session's folder; unfinished ones are deleted.
fn files(dir: &Path) -> Result<Vec<(PathBuf, Name)>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let entry = entry.map_err(StoreError::io(dir))?;
        let path = entry.path();
        let is_file = entry.file_type().map_err(StoreError::io(&path))?.is_file();
        match entry.file_name().to_str().map_or(Name::Unknown, Name::of) {
            Name::Unfinished if is_file => remove(&path),
            name @ (Name::Source | Name::Part(_)) if is_file => files.push((path, name)),
            _ => tracing::warn!(path = %path.display(), "not part of a recording, left alone"),
        }
    }
    Ok(files)
}

/// Deletes a session's files, and its folder unless it has other files.
fn discard(dir: &Path, files: &[(PathBuf, Name)]) {
    for (path, _) in files {
        remove(path);
    }
    report(dir, fs::remove_dir(dir));
}

fn remove(path: &Path) {
    report(path, fs::remove_file(path));
}

fn report(path: &Path, removed: io::Result<()>) {
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "could not be deleted");
    }
}
