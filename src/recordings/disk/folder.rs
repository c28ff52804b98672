//! The folder of one model's recordings: every call on it.
//!
//! Calls may come from several threads at once. A session can be removed while its files are written: from then on
//! nothing that was begun before appears. One mutex sees to that; it is held to make, rename or remove a name, never
//! while bytes are written, read or deleted.
//!
//! A part that is written again takes its bytes twice until the new file has its name.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use candle_core::Tensor;
use tempfile::NamedTempFile;

use crate::recordings::disk::error::DiskError;
use crate::recordings::disk::header::{Header, Owner, TensorForm};
use crate::recordings::disk::part::Part;
use crate::recordings::disk::paths;
use crate::recordings::disk::paths::{LOCK, REMOVED, SOURCE, WRITING};
use crate::recordings::disk::scan::{Found, scan};
use crate::recordings::disk::{part_file, source_file};
use crate::recordings::{SessionId, Source};

/// Recordings of one model as files. While it lives, no other process can open the same folder.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    fingerprint: String,
    names: Mutex<Names>,
    /// Closing it gives the folder free.
    _lock: File,
}

#[derive(Debug, Default)]
struct Names {
    /// Never given out twice.
    next: u64,
    /// The tokens that are valid. One a session that was begun and not removed, so as many as there are sessions.
    begun: HashMap<SessionId, u64>,
}

impl Names {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// The right to write files of a session, until the session is removed.
#[derive(Debug, Clone)]
pub struct Writing {
    id: SessionId,
    token: u64,
}

impl Writing {
    /// The session whose files are written.
    pub fn id(&self) -> &SessionId {
        &self.id
    }
}

/// A file that is complete and does not have its name yet; dropped, it is deleted.
#[derive(Debug)]
pub(crate) struct Staged {
    file: NamedTempFile,
    to: PathBuf,
    bytes: u64,
}

/// The files of a session that is gone.
#[derive(Debug)]
#[must_use = "its files are still there"]
pub struct Removed(PathBuf);

impl Removed {
    /// Deletes them. Gigabytes take their time, but nobody can see them any more.
    ///
    /// # Errors
    /// What the system says.
    pub fn delete(self) -> Result<(), DiskError> {
        fs::remove_dir_all(&self.0).map_err(DiskError::io(&self.0))
    }
}

impl Folder {
    /// Opens the folder of a model below `dir`, makes it where it is not there, and looks through what it holds.
    ///
    /// # Errors
    /// [`DiskError::InUse`] where it is open already, [`DiskError::NotAFingerprint`], and what the system says.
    pub fn open(dir: &Path, fingerprint: &str) -> Result<(Self, Found), DiskError> {
        let dir = paths::model_dir(dir, fingerprint)?;
        fs::create_dir_all(&dir).map_err(DiskError::io(&dir))?;
        let path = dir.join(LOCK);
        let lock =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(DiskError::io(&path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DiskError::InUse(dir.clone()),
            TryLockError::Error(source) => DiskError::Io { path, source },
        })?;
        let found = scan(&dir, fingerprint)?;
        Ok((Self { dir, fingerprint: fingerprint.to_owned(), names: Mutex::default(), _lock: lock }, found))
    }

    /// The right to write files of a session.
    pub fn begin(&self, id: &SessionId) -> Writing {
        let mut names = self.names();
        let token = names.begun.get(id).copied().unwrap_or_else(|| {
            let token = names.number();
            names.begun.insert(id.clone(), token);
            token
        });
        Writing { id: id.clone(), token }
    }

    /// Bytes of the file that [`Self::write_source`] makes.
    pub fn source_bytes(&self, source: &Source) -> u64 {
        source_file::text(source, &self.fingerprint).len() as u64
    }

    /// Writes what a session was made from, and returns the file's bytes. A session without it is not found again.
    ///
    /// # Errors
    /// [`DiskError::Forgotten`], [`DiskError::Unwritable`] for the source of another session, and what the system says.
    pub fn write_source(&self, writing: &Writing, source: &Source) -> Result<u64, DiskError> {
        let staged = self.stage(writing, SOURCE, |file, path| {
            let text = source_file::text_of_session(source, &self.fingerprint, &writing.id)?;
            file.write_all(text.as_bytes()).map_err(DiskError::io(path))?;
            Ok(text.len() as u64)
        })?;
        self.publish(writing, staged)
    }

    /// Bytes of the file that [`Self::write`] makes of such tensors.
    ///
    /// # Errors
    /// [`DiskError::Unwritable`] as in [`Self::write`].
    pub fn bytes(&self, id: &SessionId, part: Part, tensors: &[TensorForm<'_>]) -> Result<u64, DiskError> {
        Header::new(&self.owner(id, part), tensors)?.file_bytes()
    }

    /// Writes a part of tensors in the host's memory, in place of what was there, and returns the file's bytes.
    ///
    /// # Errors
    /// [`DiskError::Forgotten`]; [`DiskError::Unwritable`] for tensors that are not f32, f16, bf16 or u8, that share a
    /// name or lie on another device; and what the system says.
    pub fn write(&self, writing: &Writing, part: Part, tensors: &[(String, Tensor)]) -> Result<u64, DiskError> {
        self.publish(writing, self.stage_part(writing, part, tensors)?)
    }

    /// The tensors of a part in the order of their names, in the host's memory, verified.
    ///
    /// # Errors
    /// [`DiskError::Missing`], [`DiskError::Refused`], and what the system says.
    pub fn read(&self, id: &SessionId, part: Part) -> Result<Vec<(String, Tensor)>, DiskError> {
        let path = self.part_path(id, part)?;
        let file = File::open(&path).map_err(missing_or_io(&path))?;
        let bytes = file.metadata().map_err(DiskError::io(&path))?.len();
        part_file::read(file, bytes, &path, &self.owner(id, part))
    }

    /// Deletes a part; that it is not there is fine.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_part(&self, id: &SessionId, part: Part) -> Result<(), DiskError> {
        let path = self.part_path(id, part)?;
        unless_absent(fs::remove_file(&path)).map(drop).map_err(DiskError::io(&path))
    }

    /// Deletes everything of a session, and says whether there was anything. Whatever was begun before ends in
    /// [`DiskError::Forgotten`], however far it has come.
    ///
    /// # Errors
    /// What the system says; the session is gone by then, unless its folder could not even be renamed.
    pub fn remove_session(&self, id: &SessionId) -> Result<bool, DiskError> {
        self.forget_session(id)?.map_or(Ok(false), |removed| removed.delete().map(|()| true))
    }

    /// The quick half of [`Self::remove_session`]: from here on the session is gone, and nothing that was begun before
    /// can bring it back. What is left is to be deleted; `None` where there was nothing.
    ///
    /// # Errors
    /// What the system says where the folder could not be renamed.
    pub fn forget_session(&self, id: &SessionId) -> Result<Option<Removed>, DiskError> {
        let dir = self.session_dir(id)?;
        let mut names = self.names();
        names.begun.remove(id);
        let removed = self.dir.join(format!("{REMOVED}{}", names.number()));
        let was_there = unless_absent(fs::rename(&dir, &removed)).map_err(DiskError::io(&dir))?;
        Ok(was_there.then_some(Removed(removed)))
    }

    /// Marks a session as used now, for [`FoundSession::last_used`](crate::recordings::disk::FoundSession::last_used).
    ///
    /// # Errors
    /// [`DiskError::Missing`] where its source was not written, and what the system says.
    pub fn touch(&self, id: &SessionId) -> Result<(), DiskError> {
        let path = self.session_dir(id)?.join(SOURCE);
        let file = File::options().write(true).open(&path).map_err(missing_or_io(&path))?;
        file.set_modified(SystemTime::now()).map_err(DiskError::io(&path))
    }

    /// Writes a part under a passing name.
    pub(crate) fn stage_part(
        &self,
        writing: &Writing,
        part: Part,
        tensors: &[(String, Tensor)],
    ) -> Result<Staged, DiskError> {
        let owner = self.owner(&writing.id, part);
        self.stage(writing, &part.to_string(), |file, path| part_file::write(file, path, &owner, tensors))
    }

    fn stage(
        &self,
        writing: &Writing,
        name: &str,
        fill: impl FnOnce(&mut File, &Path) -> Result<u64, DiskError>,
    ) -> Result<Staged, DiskError> {
        let dir = self.session_dir(&writing.id)?;
        let to = dir.join(name);
        let mut file = {
            // A name that came up after the folder's removal had begun would be left behind.
            let _names = self.names_of(writing)?;
            match fs::create_dir(&dir) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(DiskError::io(&dir)(error)),
                _ => {}
            }
            tempfile::Builder::new().prefix(WRITING).tempfile_in(&dir).map_err(DiskError::io(&dir))?
        };
        let bytes = fill(file.as_file_mut(), &to)?;
        Ok(Staged { file, to, bytes })
    }

    /// Gives a file its name.
    pub(crate) fn publish(&self, writing: &Writing, staged: Staged) -> Result<u64, DiskError> {
        let Staged { file, to, bytes } = staged;
        let _names = self.names_of(writing)?;
        file.persist(&to).map_err(|error| DiskError::io(&to)(error.error))?;
        Ok(bytes)
    }

    fn owner<'a>(&'a self, session: &'a SessionId, part: Part) -> Owner<'a> {
        Owner { fingerprint: &self.fingerprint, session, part }
    }

    fn session_dir(&self, id: &SessionId) -> Result<PathBuf, DiskError> {
        paths::session_dir(&self.dir, id)
    }

    fn part_path(&self, id: &SessionId, part: Part) -> Result<PathBuf, DiskError> {
        Ok(self.session_dir(id)?.join(part.to_string()))
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names, if the session was not removed; it cannot be removed while they are held.
    fn names_of(&self, writing: &Writing) -> Result<MutexGuard<'_, Names>, DiskError> {
        let names = self.names();
        if names.begun.get(&writing.id) == Some(&writing.token) { Ok(names) } else { Err(DiskError::Forgotten) }
    }
}

/// Whether there was something.
fn unless_absent(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn missing_or_io(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    |error| match error.kind() {
        ErrorKind::NotFound => DiskError::Missing,
        _ => DiskError::io(path)(error),
    }
}
