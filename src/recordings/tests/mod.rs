//! Recordings without a model: the `index` and its `eviction`, what is `persist`ed, the `queue` in front of the store,
//! and `lookup`s in a store that others write to.

mod eviction;
mod index;
mod lookup;
mod persist;
mod queue;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::recordings::disk::Part;
use crate::recordings::handle::Recordings;
use crate::recordings::limits::SessionLimits;
use crate::recordings::place::{Place, Tier};
use crate::recordings::queue::StoreEvent;
use crate::recordings::store::in_memory::InMemory;
use crate::recordings::testing::{id, record_with_attention, recordings};

/// Bytes that every store of these tests may take, unless it is about that.
const PLENTY: u64 = 1 << 20;

/// Recordings over a store, and what it reports.
fn opened(limits: SessionLimits, store: &InMemory) -> (Recordings, Receiver<StoreEvent>) {
    let recordings = recordings(limits);
    let (report, events) = channel();
    // Tests that are not interested drop their end.
    recordings.open(Arc::new(store.clone()), move |event| drop(report.send(event))).expect("opened");
    (recordings, events)
}

/// The next event that is not [`StoreEvent::Nothing`].
fn next(events: &Receiver<StoreEvent>) -> StoreEvent {
    loop {
        match events.recv_timeout(Duration::from_secs(60)).expect("an event") {
            StoreEvent::Nothing => {}
            event => return event,
        }
    }
}

/// Records a session with attention in memory and persists it.
fn persisted(recordings: &Recordings, seed: u64) {
    record_with_attention(recordings, seed, Place::Memory);
    persist(recordings, seed);
}

fn persist(recordings: &Recordings, seed: u64) {
    let known = recordings.find(&id(seed)).expect("recorded");
    let log = known.attention.map(|(_, log)| log);
    recordings.persist(&id(seed), &known.trajectory.expect("in memory"), log.as_ref());
}

fn parts(recordings: &Recordings, seed: u64) -> Vec<Part> {
    recordings.find(&id(seed)).map(|known| known.parts).unwrap_or_default()
}

/// Calls that write to a store.
fn puts(store: &InMemory) -> Vec<String> {
    store.calls().into_iter().filter(|call| call.starts_with("put")).collect()
}

/// The bytes in the store are those that are counted.
fn assert_counted(recordings: &Recordings, store: &InMemory) {
    recordings.flush();
    assert_eq!(recordings.used(Tier::Disk), store.bytes());
}
