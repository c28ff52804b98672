//! Files of recordings, written and read on a thread of their own: what is wanted now is read before anything is
//! written, sources are written before the bulk, and the worker is told of every end.
//!
//! A write holds the bytes that its file takes (reserved before) and keeps what it writes from being pushed out of
//! memory, so that both budgets stay exact.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use candle_core::Tensor;

use crate::recordings::Tier;
use crate::recordings::attention_log::AttentionLog;
use crate::recordings::budget::Reservation;
use crate::recordings::disk::FileFault;
use crate::recordings::disk::{DiskError, Folder, Part, Removed, TensorForm, Writing};
use crate::recordings::disk_thread::{Content, Order, ReadOrder, WriteOrder, serve};
use crate::recordings::source::{SessionId, Source};
use crate::recordings::store::SessionStore;

/// Tensors by name.
pub type Tensors = Vec<(String, Tensor)>;

/// What has ended.
#[derive(Debug)]
pub enum Spooled {
    /// A part was read, or not.
    Read {
        /// The session.
        session: SessionId,
        /// The part.
        part: Part,
        /// Its tensors; what was wrong was logged, counted and cleared away.
        tensors: Option<Tensors>,
    },
    /// Something was written, or not; or was not wanted any more.
    Nothing,
}

/// The files of one model's recordings, and the thread that handles them.
#[derive(Debug)]
pub struct Spool {
    folder: Arc<Folder>,
    orders: Option<Sender<Order>>,
    /// Orders that have not ended.
    pending: Arc<AtomicUsize>,
    /// Whether there is no time left to write.
    is_hurried: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SessionStore {
    /// Opens the folder of recordings, where one is configured, and takes over the sessions found there. `told` hears
    /// of everything that has ended, on the thread that did it.
    pub fn open_files(
        self: &Arc<Self>,
        fingerprint: &str,
        told: impl Fn(Spooled) + Send + 'static,
    ) -> Result<(), DiskError> {
        let Some(dir) = &self.limits.dir else {
            return Ok(());
        };
        let (folder, found) = Folder::open(Path::new(dir), fingerprint)?;
        found.refused.iter().for_each(|fault| self.metrics.files_refused.of(*fault).inc());
        let folder = Arc::new(folder);
        let (orders, incoming) = channel();
        let (store, for_thread) = (Arc::downgrade(self), Arc::clone(&folder));
        let pending = Arc::new(AtomicUsize::new(0));
        let is_hurried = Arc::new(AtomicBool::new(false));
        let hurried = Arc::clone(&is_hurried);
        let still_pending = Arc::clone(&pending);
        let thread = std::thread::Builder::new().name("reprompt-files".to_owned());
        let thread = thread.spawn(move || {
            serve(
                &for_thread,
                &incoming,
                &hurried,
                |fault| count(&store, fault),
                |done, note| {
                    if let Some(store) = store.upgrade() {
                        note(&store);
                    }
                    still_pending.fetch_sub(1, Ordering::AcqRel);
                    told(done);
                },
            );
        });
        let thread = thread.map_err(|source| DiskError::Io { path: dir.clone(), source })?;
        let spool = Spool { folder, orders: Some(orders), pending, is_hurried, thread: Some(thread) };
        let _ = self.spool.set(spool);
        let mut sessions = found.sessions;
        sessions.sort_by_key(|session| session.last_used);
        let count = sessions.len();
        for session in sessions {
            let reserve = |bytes| self.reserve(Tier::Disk, bytes);
            let Some(source) = reserve(session.source_bytes) else {
                self.remove_files(&session.id);
                continue;
            };
            let mut parts = BTreeMap::new();
            for (part, bytes) in &session.parts {
                match reserve(*bytes) {
                    Some(reservation) => drop(parts.insert(*part, reservation)),
                    None => self.remove_file(&session.id, *part),
                }
            }
            self.adopt(session, Some(source), parts);
        }
        tracing::info!(sessions = count, dir = %dir.display(), "recordings found");
        Ok(())
    }

    /// Asks for a part; a [`Spooled::Read`] will tell of it, unless it is of attention that `log` does not wait for any
    /// more when its turn comes. Whether there are files at all.
    pub fn read_part(&self, session: &SessionId, part: Part, log: Option<&Arc<AttentionLog>>) -> bool {
        self.order(Order::Read(ReadOrder { session: session.clone(), part, log: log.map(Arc::downgrade) }))
    }

    /// Gives up what waits to be written, sources excepted: the process has no time left for it.
    pub fn abandon_writes(&self) {
        if let Some(spool) = self.spool.get() {
            spool.is_hurried.store(true, Ordering::Release);
        }
    }

    /// Writes a part where there is room for it and it is not there yet. `pinned` keeps what `tensors` are of from
    /// being pushed out of memory until it is written. Whether a [`Spooled::Nothing`] will tell that it has ended.
    pub fn write_part(
        &self,
        session: &SessionId,
        part: Part,
        tensors: impl FnOnce() -> candle_core::Result<Tensors>,
        pinned: Arc<dyn Any + Send + Sync>,
    ) -> bool {
        let Some(spool) = self.spool.get() else {
            return false;
        };
        let writing = {
            let mut inner = self.lock();
            let Some(files) = inner.sessions.get_mut(session).map(|session| &mut session.files) else {
                return false;
            };
            if files.parts.contains_key(&part) || !files.ordered.insert(part) {
                return false;
            }
            Arc::clone(files.writing.get_or_insert_with(|| Arc::new(spool.folder.begin(session))))
        };
        let tensors = match tensors() {
            Ok(tensors) => tensors,
            Err(error) => {
                tracing::warn!(%error, %session, %part, "a recording could not be copied for its file");
                self.note_unwritten(session, Some(part));
                return false;
            }
        };
        let forms: Vec<_> = tensors.iter().map(|(name, tensor)| TensorForm::of(name, tensor)).collect();
        let bytes = spool.folder.bytes(session, part, &forms).inspect_err(|error| {
            tracing::warn!(%error, %session, %part, "a recording cannot be written to a file");
        });
        let Some(reservation) = bytes.ok().and_then(|bytes| self.reserve(Tier::Disk, bytes)) else {
            self.note_unwritten(session, Some(part));
            return false;
        };
        let session = session.clone();
        let content = Content::Part { part, tensors, pinned };
        self.order(Order::Write(WriteOrder { session, content, writing, reservation }))
    }

    /// Writes what a session is made from, where that is not there yet.
    pub fn write_source(&self, session: &SessionId, source: &Arc<Source>) {
        let Some(spool) = self.spool.get() else {
            return;
        };
        let mut inner = self.lock();
        let Some(files) = inner.sessions.get_mut(session).map(|session| &mut session.files) else {
            return;
        };
        let writing = Arc::clone(files.writing.get_or_insert_with(|| Arc::new(spool.folder.begin(session))));
        if files.source.is_some() || std::mem::replace(&mut files.is_source_ordered, true) {
            return;
        }
        drop(inner);
        match self.reserve(Tier::Disk, spool.folder.source_bytes(source)) {
            Some(reservation) => {
                let (session, content) = (session.clone(), Content::Source(Arc::clone(source)));
                self.order(Order::Write(WriteOrder { session, content, writing, reservation }));
            }
            None => self.note_unwritten(session, None),
        }
    }

    /// Removes a file that counts no more.
    pub(crate) fn remove_file(&self, session: &SessionId, part: Part) {
        if let Some(spool) = self.spool.get()
            && let Err(error) = spool.folder.remove_part(session, part)
        {
            tracing::warn!(%error, %session, %part, "a recording's file could not be removed");
        }
    }

    /// The quick half of removing a session's files; what is left is to be deleted.
    pub(crate) fn forget_files(&self, session: &SessionId) -> Option<Removed> {
        match self.spool.get()?.folder.forget_session(session) {
            Ok(removed) => removed,
            Err(error) => {
                tracing::warn!(%error, %session, "a session's files could not be removed");
                None
            }
        }
    }

    /// Removes all files of a session, also those that are being written.
    pub(crate) fn remove_files(&self, session: &SessionId) {
        if let Some(spool) = self.spool.get()
            && let Err(error) = spool.folder.remove_session(session)
        {
            tracing::warn!(%error, %session, "a session's files could not be removed");
        }
    }

    /// Reads and writes that have not ended; each will be told of.
    pub fn files_pending(&self) -> usize {
        self.spool.get().map_or(0, |spool| spool.pending.load(Ordering::Acquire))
    }

    fn order(&self, order: Order) -> bool {
        let Some(spool) = self.spool.get() else {
            return false;
        };
        spool.pending.fetch_add(1, Ordering::AcqRel);
        let is_taken = spool.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        if !is_taken {
            spool.pending.fetch_sub(1, Ordering::AcqRel);
        }
        is_taken
    }

    /// Forgets a part whose file is gone or wrong.
    pub fn lose_part(&self, session: &SessionId, part: Part) {
        let mut inner = self.lock();
        let lost = inner.sessions.get_mut(session).and_then(|session| session.files.parts.remove(&part));
        drop(inner);
        drop(lost);
        self.remove_file(session, part);
    }

    /// Notes what was written, where its session is still the one that it was written for.
    pub(crate) fn note_written(
        &self,
        session: &SessionId,
        part: Option<Part>,
        writing: &Arc<Writing>,
        reservation: Reservation,
    ) {
        let mut inner = self.lock();
        let Some(files) = inner.sessions.get_mut(session).map(|session| &mut session.files) else {
            return;
        };
        if files.writing.as_ref().is_some_and(|current| Arc::ptr_eq(current, writing)) {
            match part {
                Some(part) => {
                    files.ordered.remove(&part);
                    files.parts.insert(part, reservation);
                }
                None => {
                    files.is_source_ordered = false;
                    files.source = Some(reservation);
                }
            }
        }
    }

    /// Notes that a part, or the source, was not written after all.
    pub(crate) fn note_unwritten(&self, session: &SessionId, part: Option<Part>) {
        if let Some(session) = self.lock().sessions.get_mut(session) {
            match part {
                Some(part) => drop(session.files.ordered.remove(&part)),
                None => session.files.is_source_ordered = false,
            }
        }
    }
}

fn count(store: &std::sync::Weak<SessionStore>, fault: FileFault) {
    if let Some(store) = store.upgrade() {
        store.metrics.files_refused.of(fault).inc();
    }
}

impl Spool {
    /// Marks a session as used, for whoever opens the folder next.
    pub fn touch(&self, session: &SessionId) {
        if let Err(error) = self.folder.touch(session)
            && !matches!(error, DiskError::Missing)
        {
            tracing::warn!(%error, %session, "a session's file could not be marked as used");
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Closing the channel ends the thread once it has done what it was told.
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the thread that handles files panicked");
        }
    }
}
