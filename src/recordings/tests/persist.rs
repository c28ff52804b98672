//! What is written to the store, and when it is written again.

use crate::recordings::part::Part;
use crate::recordings::place::{Place, Tier};
use crate::recordings::store::in_memory::InMemory;
use crate::recordings::testing::{BYTES, id, limits, log, record, record_with_attention, recordings, tier};
use crate::recordings::tests::{PLENTY, assert_counted, opened, parts, persist, persisted, puts};

const ALL: [Part; 3] = [Part::Trajectory, Part::cross(0), Part::cross(1)];

#[test]
fn a_finished_source_is_written_once() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 1, PLENTY), &store);
    persisted(&recordings, 1);
    persist(&recordings, 1);
    assert_counted(&recordings, &store);
    persist(&recordings, 1);
    assert_counted(&recordings, &store);
    let wanted = ["source", "trajectory.safetensors", "cross-000.safetensors", "cross-001.safetensors"];
    assert_eq!(puts(&store), wanted.map(|part| format!("put {part}")));
    assert_eq!(parts(&recordings, 1), ALL);
}

#[test]
fn without_a_store_nothing_is_written_and_nothing_is_pinned() {
    let recordings = recordings(limits(0, 1, 1, PLENTY));
    persisted(&recordings, 1);
    assert_eq!(parts(&recordings, 1), []);
    assert!(recordings.reserve(Tier::Memory, BYTES).is_some());
}

#[test]
fn what_is_evicted_from_the_store_is_written_again_only_when_it_was_computed_again() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 2, PLENTY), &store);
    persisted(&recordings, 1);
    recordings.flush();
    let lose = || {
        let mut inner = recordings.index.lock();
        let evicted = inner.entries.get_mut(&id(1)).and_then(|entry| entry.evict(Tier::Disk));
        drop(inner);
        drop(evicted);
    };
    lose();
    assert_eq!(parts(&recordings, 1), [Part::Trajectory], "attention first");
    persist(&recordings, 1);
    recordings.flush();
    assert_eq!((parts(&recordings, 1), puts(&store).len()), (vec![Part::Trajectory], 4), "it is still in memory");

    recordings.detach_attention(&id(1));
    let log = log(recordings.reserve(Tier::Memory, BYTES).unwrap());
    assert!(recordings.attach_attention(&id(1), Place::Memory, &log).is_some());
    drop(log);
    persist(&recordings, 1);
    recordings.flush();
    assert_eq!((parts(&recordings, 1), puts(&store).len()), (ALL.to_vec(), 6));
}

#[test]
fn a_part_that_was_lost_is_written_again() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 1, PLENTY), &store);
    persisted(&recordings, 1);
    recordings.flush();
    recordings.lose_part(&id(1), Part::cross(1));
    assert_counted(&recordings, &store);
    assert_eq!(parts(&recordings, 1), ALL[..2]);
    persist(&recordings, 1);
    assert_counted(&recordings, &store);
    assert_eq!(parts(&recordings, 1), ALL);
}

#[test]
fn a_session_that_was_removed_is_written_again_when_it_is_run_again() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 1, PLENTY), &store);
    persisted(&recordings, 1);
    recordings.remove(&id(1));
    assert_eq!((store.bytes(), recordings.used(Tier::Disk)), (0, 0));
    // What was queued for the removed session is dropped when its turn comes.
    recordings.flush();
    persisted(&recordings, 1);
    assert_counted(&recordings, &store);
    assert_eq!(parts(&recordings, 1), ALL);
}

#[test]
fn what_is_being_written_is_pinned() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 1, PLENTY), &store);
    record_with_attention(&recordings, 1, Place::Memory);
    recordings.flush();
    store.hold();
    persist(&recordings, 1);
    store.wait_for("put trajectory.safetensors");
    assert!(recordings.reserve(Tier::Memory, BYTES).is_none());
    assert!(recordings.reserve(Tier::Trajectory, BYTES).is_none());
    store.release();
    recordings.flush();
    assert!(recordings.reserve(Tier::Memory, BYTES).is_some());
    assert_eq!(tier(&recordings, 1), Some(Tier::Disk));
}

#[test]
fn attention_that_is_larger_than_the_store_is_not_written() {
    let store = InMemory::default();
    // Both steps have 4096 bytes, so one of them would fit.
    let (recordings, _) = opened(limits(0, 1, 1, 4000), &store);
    persisted(&recordings, 1);
    assert_counted(&recordings, &store);
    assert_eq!(parts(&recordings, 1), [Part::Trajectory]);
}

#[test]
fn a_full_store_evicts_by_deleting_and_counts_to_the_byte() {
    let store = InMemory::default();
    let probe = opened(limits(0, 1, 1, PLENTY), &store).0;
    persisted(&probe, 1);
    probe.flush();
    let one = store.bytes();
    drop(probe);

    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 9, 9, 2 * one), &store);
    for seed in 1..=6 {
        persisted(&recordings, seed);
        assert_counted(&recordings, &store);
        assert!(recordings.peak(Tier::Disk) <= 2 * one);
    }
    assert_eq!(parts(&recordings, 6), ALL, "the last one is whole");
    assert!(store.calls().iter().any(|call| call.starts_with("delete cross")));
    record(&recordings, 7);
}
