//! The thread that handles files: what it is told, and how it goes about it.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};

use crate::recordings::attention_log::AttentionLog;
use crate::recordings::budget::Reservation;
use crate::recordings::disk::FileFault;
use crate::recordings::disk::{DiskError, Folder, Part, Writing};
use crate::recordings::disk_queue::{Spooled, Tensors};
use crate::recordings::source::{SessionId, Source};
use crate::recordings::store::SessionStore;

/// What the thread is told to do.
pub(crate) enum Order {
    Read(ReadOrder),
    Write(WriteOrder),
}

/// A part that is wanted, and the log that waits for it; nothing more is asked of a trajectory.
pub(crate) struct ReadOrder {
    pub session: SessionId,
    pub part: Part,
    pub log: Option<Weak<AttentionLog>>,
}

/// A file to be written.
pub(crate) struct WriteOrder {
    pub session: SessionId,
    pub content: Content,
    pub writing: Arc<Writing>,
    pub reservation: Reservation,
}

/// What a file is to hold.
pub(crate) enum Content {
    Source(Arc<Source>),
    Part {
        part: Part,
        tensors: Tensors,
        /// Keeps what is written from being pushed out meanwhile.
        pinned: Arc<dyn Any + Send + Sync>,
    },
}

/// What the store is to note of what has ended.
pub(crate) type Note = Box<dyn FnOnce(&SessionStore)>;

/// Does what is ordered, reads first, until nobody can order any more.
pub(crate) fn serve(
    folder: &Folder,
    orders: &Receiver<Order>,
    is_hurried: &AtomicBool,
    fault: impl Fn(FileFault),
    done: impl Fn(Spooled, Note),
) {
    let (mut reads, mut writes) = (VecDeque::new(), VecDeque::new());
    let mut is_open = true;
    while is_open || !reads.is_empty() || !writes.is_empty() {
        if reads.is_empty() && writes.is_empty() {
            match orders.recv() {
                Ok(order) => sort(order, &mut reads, &mut writes),
                Err(_) => is_open = false,
            }
        }
        while let Ok(order) = orders.try_recv() {
            sort(order, &mut reads, &mut writes);
        }
        if let Some(ReadOrder { session, part, log }) = reads.pop_front() {
            let waits = |log: &Weak<AttentionLog>| log.upgrade().is_some_and(|log| log.planned().has_part(part));
            if log.as_ref().is_none_or(waits) {
                let (tensors, is_lost) = read(folder, &session, part, &fault);
                let lost = is_lost.then(|| session.clone());
                let note = Box::new(move |store: &SessionStore| {
                    lost.iter().for_each(|session| store.lose_part(session, part));
                });
                done(Spooled::Read { session, part, tensors }, note);
            } else {
                done(Spooled::Nothing, Box::new(|_| {}));
            }
        } else if let Some(order) = writes.pop_front() {
            let is_given_up = matches!(order.content, Content::Part { .. }) && is_hurried.load(Ordering::Acquire);
            let note = if is_given_up { Box::new(|_: &SessionStore| {}) as Note } else { write(folder, order, &fault) };
            done(Spooled::Nothing, note);
        }
    }
}

/// Does something with a file; a panic counts as a file that cannot be read or written.
fn guarded<T>(work: impl FnOnce() -> Result<T, DiskError>) -> Result<T, DiskError> {
    // Nothing is shared with what comes after but the folder, whose names are whole at any moment.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(DiskError::Unwritable("it panicked".to_owned())))
}

fn sort(order: Order, reads: &mut VecDeque<ReadOrder>, writes: &mut VecDeque<WriteOrder>) {
    match order {
        Order::Read(order) => reads.push_back(order),
        // Small, and what makes a session known to the next process: before any bulk.
        Order::Write(order) if matches!(order.content, Content::Source(_)) => writes.push_front(order),
        Order::Write(order) => writes.push_back(order),
    }
}

/// A part's tensors, where they can be had, and whether its file is lost: gone, or not what it should be. One that
/// cannot be read now may be read another time.
fn read(folder: &Folder, session: &SessionId, part: Part, fault: impl Fn(FileFault)) -> (Option<Tensors>, bool) {
    match guarded(|| folder.read(session, part)) {
        Ok(tensors) => (Some(tensors), false),
        Err(DiskError::Missing) => (None, true),
        Err(error) => {
            tracing::warn!(%error, %session, %part, "a recording's file is not taken, it is computed again");
            error.fault().into_iter().for_each(fault);
            (None, matches!(error, DiskError::Refused { .. }))
        }
    }
}

fn write(folder: &Folder, order: WriteOrder, fault: impl Fn(FileFault)) -> Note {
    let WriteOrder { session, content, writing, reservation } = order;
    let (part, written) = match content {
        Content::Source(source) => (None, guarded(|| folder.write_source(&writing, &source))),
        Content::Part { part, tensors, pinned } => {
            let written = guarded(|| folder.write(&writing, part, &tensors));
            drop((tensors, pinned));
            (Some(part), written)
        }
    };
    match written {
        Ok(_) => Box::new(move |store| store.note_written(&session, part, &writing, reservation)),
        Err(error) => {
            if !matches!(error, DiskError::Forgotten) {
                tracing::warn!(%error, %session, "a recording's file could not be written");
                error.fault().into_iter().for_each(fault);
            }
            Box::new(move |store| store.note_unwritten(&session, part))
        }
    }
}
