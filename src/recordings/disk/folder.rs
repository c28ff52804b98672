//! The folder of one model's recordings: the [`RecordingStore`] of local files.
//!
//! A part that is written again takes its bytes twice until the new file is renamed to it.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::recordings::disk::header::{Header, Owner, TensorForm};
use crate::recordings::disk::paths::{self, LOCK, REMOVED, SOURCE, WRITING};
use crate::recordings::disk::scan::Scan;
use crate::recordings::disk::{part_file, source_file};
use crate::recordings::part::Part;
use crate::recordings::session_id::SessionId;
use crate::recordings::store::{Content, Listing, RecordingStore, StoreError, Tensors};

/// Recordings of one model as files. While it lives, no other process can open the same folder.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    fingerprint: String,
    /// Numbers the folders that are being deleted, so that their names do not collide.
    removals: AtomicU64,
    /// Closing it releases the lock.
    _lock: File,
}

impl Folder {
    /// Opens the folder of a model below `dir`; creates it if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if it is open already, [`StoreError::NotAnAddress`] for an invalid fingerprint, and
    /// [`StoreError::Io`].
    pub fn open(dir: &Path, fingerprint: &str) -> Result<Self, StoreError> {
        let dir = paths::model_dir(dir, fingerprint)?;
        fs::create_dir_all(&dir).map_err(StoreError::io(&dir))?;
        let path = dir.join(LOCK);
        let lock =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(StoreError::io(&path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse(dir.display().to_string()),
            TryLockError::Error(source) => StoreError::io(&path)(source),
        })?;
        Ok(Self { dir, fingerprint: fingerprint.to_owned(), removals: AtomicU64::new(0), _lock: lock })
    }

    /// Writes a file under a temporary name and renames it once it is complete.
    fn write(
        &self,
        session: &SessionId,
        name: &str,
        fill: impl FnOnce(&mut File, &Path) -> Result<u64, StoreError>,
    ) -> Result<u64, StoreError> {
        let dir = self.session_dir(session)?;
        let to = dir.join(name);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(StoreError::io(&dir)(error)),
            _ => {}
        }
        let mut file = tempfile::Builder::new().prefix(WRITING).tempfile_in(&dir).map_err(StoreError::io(&dir))?;
        let bytes = fill(file.as_file_mut(), &to)?;
        file.persist(&to).map_err(|error| StoreError::io(&to)(error.error))?;
        Ok(bytes)
    }

    fn owner<'a>(&'a self, session: &'a SessionId, part: Part) -> Owner<'a> {
        Owner { fingerprint: &self.fingerprint, session, part }
    }

    fn session_dir(&self, id: &SessionId) -> Result<PathBuf, StoreError> {
        paths::session_dir(&self.dir, id)
    }

    fn part_path(&self, id: &SessionId, part: Part) -> Result<PathBuf, StoreError> {
        Ok(self.session_dir(id)?.join(part.to_string()))
    }
}

impl RecordingStore for Folder {
    /// Looks through the folder, and deletes what a killed process left unfinished and what is refused.
    fn list(&self) -> Result<Listing, StoreError> {
        let mut scan = Scan::new(&self.fingerprint);
        scan.model(&self.dir)?;
        Ok(scan.listing())
    }

    fn find(&self, session: &SessionId) -> Result<Listing, StoreError> {
        let dir = self.session_dir(session)?;
        let mut scan = Scan::new(&self.fingerprint);
        if dir.try_exists().map_err(StoreError::io(&dir))? {
            scan.session(&dir, session.clone());
        }
        Ok(scan.listing())
    }

    fn get(&self, session: &SessionId, part: Part) -> Result<Tensors, StoreError> {
        let path = self.part_path(session, part)?;
        let file = File::open(&path).map_err(missing_or_io(&path))?;
        let bytes = file.metadata().map_err(StoreError::io(&path))?.len();
        part_file::read(file, bytes, &path, &self.owner(session, part))
    }

    fn size(&self, session: &SessionId, content: Content<'_>) -> Result<u64, StoreError> {
        match content {
            Content::Source(source) => Ok(source_file::text(source, &self.fingerprint).len() as u64),
            Content::Part(part, tensors) => {
                let forms: Vec<_> = tensors.iter().map(|(name, tensor)| TensorForm::of(name, tensor)).collect();
                Header::new(&self.owner(session, part), &forms)?.file_bytes()
            }
        }
    }

    fn put(&self, session: &SessionId, content: Content<'_>) -> Result<u64, StoreError> {
        match content {
            Content::Source(source) => self.write(session, SOURCE, |file, path| {
                let text = source_file::text_of_session(source, &self.fingerprint, session)?;
                file.write_all(text.as_bytes()).map_err(StoreError::io(path))?;
                Ok(text.len() as u64)
            }),
            Content::Part(part, tensors) => self.write(session, &part.to_string(), |file, path| {
                part_file::write(file, path, &self.owner(session, part), tensors)
            }),
        }
    }

    fn delete_part(&self, session: &SessionId, part: Part) -> Result<(), StoreError> {
        let path = self.part_path(session, part)?;
        unless_absent(fs::remove_file(&path)).map(drop).map_err(StoreError::io(&path))
    }

    /// Renames the session's folder first: from then on no file of it can be found, however long deleting them takes.
    fn delete(&self, session: &SessionId) -> Result<(), StoreError> {
        let dir = self.session_dir(session)?;
        let removed = self.dir.join(format!("{REMOVED}{}", self.removals.fetch_add(1, Ordering::Relaxed)));
        if unless_absent(fs::rename(&dir, &removed)).map_err(StoreError::io(&dir))? {
            fs::remove_dir_all(&removed).map_err(StoreError::io(&removed))?;
        }
        Ok(())
    }

    fn touch(&self, session: &SessionId) -> Result<(), StoreError> {
        let path = self.session_dir(session)?.join(SOURCE);
        let file = File::options().write(true).open(&path).map_err(missing_or_io(&path))?;
        file.set_modified(SystemTime::now()).map_err(StoreError::io(&path))
    }
}

/// Whether the file or folder existed; its absence is no error.
fn unless_absent(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn missing_or_io(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    |error| match error.kind() {
        ErrorKind::NotFound => StoreError::Missing,
        _ => StoreError::io(path)(error),
    }
}
