//! The store's thread: carries out commands, the urgent ones first.
//!
//! | order | commands | why |
//! | --- | --- | --- |
//! | 1 | deletions | they free bytes, and a session that begins again must not lose its new files to an old deletion |
//! | 2 | look-ups and reads | jobs wait for them |
//! | 3 | sources | small, and a later process finds a session only by its source |
//! | 4 | parts, uses, flushes | in the order in which they were queued |
//!
//! Bytes in the store are reserved just before they are written, and what is evicted for them is deleted before that. A
//! write belongs to one entry of the index: if the session was deleted meanwhile, nothing of it stays in the store.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use crate::recordings::budget::Reservation;
use crate::recordings::codec;
use crate::recordings::entry::Evicted;
use crate::recordings::index::{Index, Removed};
use crate::recordings::part::Part;
use crate::recordings::place::Tier;
use crate::recordings::queue::failures::FailureLog;
use crate::recordings::queue::messages::{Command, Payload, Read, StoreEvent, StoredTrajectory, Wanted, Write};
use crate::recordings::session_id::SessionId;
use crate::recordings::store::{Content, RecordingStore, StoreError, StoredSession, Tensors};

/// Makes the calls to a store, and updates the index with their results.
#[derive(Debug)]
pub(crate) struct StoreDriver {
    index: Arc<Index>,
    store: Arc<dyn RecordingStore>,
    failures: FailureLog,
}

/// Commands by their order.
#[derive(Debug, Default)]
struct Queues {
    deletions: VecDeque<Command>,
    reads: VecDeque<Command>,
    writes: VecDeque<Command>,
}

impl Queues {
    fn push(&mut self, command: Command) {
        match command {
            Command::Delete { .. } | Command::DeletePart { .. } => self.deletions.push_back(command),
            Command::LookUp(_) | Command::Read(_) => self.reads.push_back(command),
            Command::Write(Write { payload: Payload::Source(_), .. }) => self.writes.push_front(command),
            Command::Write(_) | Command::Touch(_) | Command::Flush(_) => self.writes.push_back(command),
        }
    }

    fn pop(&mut self) -> Option<Command> {
        self.deletions.pop_front().or_else(|| self.reads.pop_front()).or_else(|| self.writes.pop_front())
    }
}

impl StoreDriver {
    /// Drives `store` for `index`.
    pub(crate) fn new(index: Arc<Index>, store: Arc<dyn RecordingStore>) -> Self {
        Self { index, store, failures: FailureLog::default() }
    }

    /// Adopts the sessions that the store lists; what exceeds the budget is deleted there. Returns the number of
    /// sessions.
    pub(crate) fn take_over(&self) -> Result<usize, StoreError> {
        let mut listing = self.store.list()?;
        self.index.lock().is_partial = listing.is_partial;
        listing.sessions.sort_by_key(|session| session.last_used);
        let count = listing.sessions.len();
        for session in listing.sessions {
            let id = session.id.clone();
            match self.adopt(session) {
                Some(excess) => excess.into_iter().for_each(|part| self.delete_part(&id, part)),
                None => self.delete(&id),
            }
        }
        Ok(count)
    }

    /// Carries out commands until none can come any more.
    pub(crate) fn run(&self, commands: &Receiver<Command>, is_hurried: &AtomicBool, report: impl Fn(StoreEvent)) {
        let mut queues = Queues::default();
        loop {
            while let Ok(command) = commands.try_recv() {
                queues.push(command);
            }
            let next = queues.pop().or_else(|| commands.recv().ok());
            let Some(command) = next else { return };
            report(self.carry_out(command, is_hurried));
        }
    }

    fn carry_out(&self, command: Command, is_hurried: &AtomicBool) -> StoreEvent {
        match command {
            Command::Delete { removed, done } => {
                self.delete_removed(removed);
                // `None` for a session that was evicted or has expired: its deletion is not awaited.
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
            Command::DeletePart { session, part, reservation } => {
                self.delete_part(&session, part);
                drop(reservation);
            }
            Command::LookUp(session) => {
                let is_found = self.look_up(&session);
                return StoreEvent::LookedUp { session, is_found };
            }
            Command::Read(read) => return self.read(read),
            Command::Touch(session) => self.touch(&session),
            Command::Write(write) => {
                let is_dropped = write.payload.part().is_some() && is_hurried.load(Ordering::Acquire);
                self.write(write, is_dropped);
            }
            Command::Flush(done) => {
                let _ = done.send(());
            }
        }
        StoreEvent::Nothing
    }

    /// Adopts a stored session. Returns the parts that exceed the budget; `None` if even its source does.
    fn adopt(&self, session: StoredSession) -> Option<Vec<Part>> {
        let source = self.reserve(session.source_bytes)?;
        let (mut parts, mut excess) = (Vec::new(), Vec::new());
        for (part, bytes) in &session.parts {
            match self.reserve(*bytes) {
                Some(reservation) => parts.push((*part, reservation)),
                None => excess.push(*part),
            }
        }
        let removed = self.index.adopt(session, source, parts);
        removed.into_iter().for_each(|removed| self.delete_removed(removed));
        Some(excess)
    }

    /// Looks a session up in the store, and adopts it. Returns whether it is in the index now.
    fn look_up(&self, session: &SessionId) -> bool {
        let listing = guarded(|| self.store.find(session)).unwrap_or_else(|error| {
            self.failures.read_failed(&error);
            Default::default()
        });
        let found = listing.sessions.into_iter().find(|found| found.id == *session);
        if let Some(found) = found.filter(|_| !self.index.is_known(session)) {
            // What exceeds the budget stays in the store: other processes may read it.
            let _ = self.adopt(found);
        }
        let mut inner = self.index.lock();
        inner.looking_up.remove(session);
        inner.entries.get(session).is_some_and(|entry| entry.is_recorded)
    }

    fn read(&self, Read { session, wanted }: Read) -> StoreEvent {
        let (step, group, log) = match wanted {
            Wanted::Trajectory => {
                let content = self.get(&session, Part::Trajectory).map(StoredTrajectory);
                return StoreEvent::Trajectory { session, content };
            }
            Wanted::Attention { step, group, log } => (step, group, log),
        };
        let part = Part::Attention(step, group);
        let Some(log) = log.upgrade().filter(|log| log.planned().has_part(part)) else {
            return StoreEvent::Nothing;
        };
        let decode = |tensors| match codec::to_attention(group, log.layout(), tensors) {
            Ok(attention) => Some(attention),
            Err(error) => {
                tracing::warn!(%error, %session, %part, "a stored part does not fit its source, it is computed again");
                self.lose(&session, part);
                None
            }
        };
        let content = self.get(&session, part).and_then(decode);
        StoreEvent::Attention { session, step, group, content }
    }

    /// Reads a part's tensors; `None` if that fails. A part that is missing or refused is removed.
    fn get(&self, session: &SessionId, part: Part) -> Option<Tensors> {
        match guarded(|| self.store.get(session, part)) {
            Ok(tensors) => {
                self.failures.read();
                return Some(tensors);
            }
            Err(StoreError::Missing) => self.lose(session, part),
            Err(error) if error.is_refusal() => {
                tracing::warn!(%error, %session, %part, "a stored part is refused, it is computed again");
                self.lose(session, part);
            }
            // It may be read later.
            Err(error) => self.failures.read_failed(&error),
        }
        None
    }

    /// Removes a part from the index and from the store.
    fn lose(&self, session: &SessionId, part: Part) {
        let lost = self.index.lose_part(session, part);
        self.delete_part(session, part);
        drop(lost);
    }

    fn write(&self, write: Write, is_dropped: bool) {
        let Write { session, generation, payload } = write;
        let (entry, part) = ((&session, generation), payload.part());
        if !self.index.is_current(&session, generation) {
            return;
        }
        let content = match &payload {
            Payload::Source(source) => Content::Source(source),
            Payload::Part { part, tensors, .. } => Content::Part(*part, tensors),
        };
        let written = if is_dropped { Ok(None) } else { self.put(&session, content) };
        let reservation = written.unwrap_or_else(|error| {
            self.failures.write_failed(&error);
            None
        });
        let Some(reservation) = reservation else {
            return self.index.unwritten(entry, part);
        };
        // The session was deleted while it was written. Nothing of one that may have begun since is in the store yet.
        if let Some(reservation) = self.index.written(entry, part, reservation) {
            self.delete(&session);
            drop(reservation);
        }
    }

    /// Writes a content, and returns the reservation of its bytes; `None` if it exceeds the budget.
    fn put(&self, session: &SessionId, content: Content<'_>) -> Result<Option<Reservation>, StoreError> {
        let bytes = guarded(|| self.store.size(session, content))?;
        let Some(reservation) = self.reserve(bytes) else {
            return Ok(None);
        };
        guarded(|| self.store.put(session, content)).map(|_| {
            self.failures.written();
            Some(reservation)
        })
    }

    /// Reserves bytes in the store; what is evicted for them is deleted.
    fn reserve(&self, bytes: u64) -> Option<Reservation> {
        self.index.reserve_evicting(Tier::Disk, bytes, |session, evicted| {
            if let Evicted::Parts(parts) = evicted {
                for (part, reservation) in parts {
                    self.delete_part(session, part);
                    drop(reservation);
                }
            }
        })
    }

    fn delete_removed(&self, removed: Removed) {
        self.delete(&removed.session);
        drop(removed);
    }

    fn delete(&self, session: &SessionId) {
        if let Err(error) = guarded(|| self.store.delete(session)) {
            self.failures.write_failed(&error);
        }
    }

    fn delete_part(&self, session: &SessionId, part: Part) {
        if let Err(error) = guarded(|| self.store.delete_part(session, part)) {
            self.failures.write_failed(&error);
        }
    }

    fn touch(&self, session: &SessionId) {
        match guarded(|| self.store.touch(session)) {
            Ok(()) | Err(StoreError::Missing) => {}
            Err(error) => self.failures.write_failed(&error),
        }
    }
}

/// A call to the store whose panic is an error: one broken file must not end the thread.
fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(StoreError::Panicked))
}
