//! The store's thread and the queue of commands in front of it. Every call to the store is made on this thread, one at
//! a time, so the worker never waits for a file or a network.
//!
//! - `messages`: commands and events
//! - `thread`: how commands are carried out, and in which order; `failures`: which failures are logged

mod failures;
mod messages;
mod thread;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

pub(crate) use messages::{Command, Keep, Payload, Read, Wanted, Write};
pub use messages::{StoreEvent, StoredTrajectory};
pub(crate) use thread::StoreDriver;

/// A handle to the thread. Dropping it waits until the thread has done all queued commands and ended.
#[derive(Debug)]
pub(crate) struct StoreQueue {
    commands: Option<Sender<Command>>,
    /// Whether queued writes of parts are dropped.
    is_hurried: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StoreQueue {
    /// Starts the thread, which calls `report` after every command.
    pub(crate) fn start(driver: StoreDriver, report: impl Fn(StoreEvent) + Send + 'static) -> io::Result<Self> {
        let (commands, incoming) = channel();
        let is_hurried = Arc::new(AtomicBool::new(false));
        let hurried = Arc::clone(&is_hurried);
        let thread = std::thread::Builder::new().name("reprompt-files".to_owned());
        let thread = thread.spawn(move || driver.run(&incoming, &hurried, report))?;
        Ok(Self { commands: Some(commands), is_hurried, thread: Some(thread) })
    }

    /// Queues a command; returns whether there is a thread to carry it out.
    pub(crate) fn send(&self, command: Command) -> bool {
        self.commands.as_ref().is_some_and(|commands| commands.send(command).is_ok())
    }

    /// Drops the queued writes of parts, because the process is to end at once. Sources are still written.
    pub(crate) fn abandon_writes(&self) {
        self.is_hurried.store(true, Ordering::Release);
    }

    /// Blocks until all commands that were queued before are done.
    pub(crate) fn flush(&self) {
        let (done, is_done) = channel();
        if self.send(Command::Flush(done)) {
            // An error means that the thread has ended, and with it everything that was queued.
            let _ = is_done.recv();
        }
    }
}

impl Drop for StoreQueue {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}
