//! Entries are evicted to the next tier, the least credit first, and never while they are pinned.

use crate::recordings::handle::Recordings;
use crate::recordings::lookup::{Lookup, Recording};
use crate::recordings::place::{Place, Tier};
use crate::recordings::testing::{BYTES, id, limits, record, record_with_attention, recordings, tier};

fn pin(recordings: &Recordings, seed: u64) -> Recording {
    match recordings.look_up(&id(seed)) {
        Lookup::Known(recording) => recording,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pinned_recording_is_not_evicted() {
    let recordings = recordings(limits(0, 1, 1, 0));
    record_with_attention(&recordings, 1, Place::Memory);
    let pinned = pin(&recordings, 1);
    assert!(recordings.reserve(Tier::Memory, BYTES).is_none());
    assert!(recordings.reserve(Tier::Trajectory, BYTES).is_none());
    assert_eq!(tier(&recordings, 1), Some(Tier::Memory));
    drop(pinned);
    assert!(recordings.reserve(Tier::Memory, BYTES).is_some());
    assert_eq!(tier(&recordings, 1), Some(Tier::Trajectory));
    assert!(recordings.reserve(Tier::Trajectory, BYTES).is_some());
    assert_eq!(tier(&recordings, 1), Some(Tier::Source));
}

#[test]
fn a_value_that_is_shared_without_a_pin_is_evicted_and_its_bytes_come_back_with_the_last_holder() {
    let recordings = recordings(limits(0, 0, 1, 0));
    let shared = record(&recordings, 1);
    assert!(recordings.reserve(Tier::Trajectory, BYTES).is_none(), "its bytes are still held");
    assert_eq!(tier(&recordings, 1), Some(Tier::Source));
    drop(shared);
    assert!(recordings.reserve(Tier::Trajectory, BYTES).is_some());
}

#[test]
fn a_trajectory_is_not_evicted_under_attention_that_is_read() {
    let recordings = recordings(limits(0, 1, 1, 0));
    record_with_attention(&recordings, 1, Place::Memory);
    let Recording { trajectory, attention, .. } = pin(&recordings, 1);
    drop(trajectory);
    assert!(recordings.reserve(Tier::Trajectory, BYTES).is_none());
    drop(attention);
    let reservation = recordings.reserve(Tier::Trajectory, BYTES);
    assert!(reservation.is_some());
    assert_eq!(
        (tier(&recordings, 1), recordings.used(Tier::Memory)),
        (Some(Tier::Source), 0),
        "attention goes with it"
    );
}

#[test]
fn what_is_evicted_from_the_device_goes_to_memory_and_from_there_away() {
    let recordings = recordings(limits(1, 1, 9, 0));
    record_with_attention(&recordings, 1, Place::Device);
    record_with_attention(&recordings, 2, Place::Device);
    assert_eq!([1, 2].map(|seed| tier(&recordings, seed)), [Some(Tier::Memory), Some(Tier::Device)]);
    record_with_attention(&recordings, 3, Place::Device);
    let tiers = [Tier::Trajectory, Tier::Memory, Tier::Device].map(Some);
    assert_eq!([1, 2, 3].map(|seed| tier(&recordings, seed)), tiers);
    let demotions = |tier| recordings.metrics().demotions.with(tier).get();
    assert_eq!((demotions(Tier::Device), demotions(Tier::Memory)), (2, 1));
}

#[test]
fn nothing_is_evicted_where_it_would_not_be_enough() {
    let recordings = recordings(limits(0, 3, 9, 0));
    record_with_attention(&recordings, 1, Place::Memory);
    record_with_attention(&recordings, 2, Place::Memory);
    let _pinned = pin(&recordings, 1);
    assert!(recordings.reserve(Tier::Memory, 3 * BYTES).is_none());
    assert!(recordings.reserve(Tier::Memory, 4 * BYTES).is_none(), "more than the budget");
    assert_eq!(tier(&recordings, 2), Some(Tier::Memory));
    assert!(recordings.reserve(Tier::Memory, 2 * BYTES).is_some());
    assert_eq!(tier(&recordings, 2), Some(Tier::Trajectory));
}

#[test]
fn the_recording_that_was_not_used_for_longest_goes_first() {
    let recordings = recordings(limits(0, 3, 9, 0));
    for seed in 1..=3 {
        record_with_attention(&recordings, seed, Place::Memory);
    }
    recordings.used_by_job(&id(1), Some(Tier::Memory));
    let _reservation = recordings.reserve(Tier::Memory, BYTES).unwrap();
    let tiers = [Tier::Memory, Tier::Trajectory, Tier::Memory].map(Some);
    assert_eq!([1, 2, 3].map(|seed| tier(&recordings, seed)), tiers);
}

#[test]
fn attention_that_is_detached_is_gone_and_counted() {
    let recordings = recordings(limits(0, 1, 1, 0));
    record_with_attention(&recordings, 1, Place::Memory);
    recordings.detach_attention(&id(1));
    assert_eq!((tier(&recordings, 1), recordings.used(Tier::Memory)), (Some(Tier::Trajectory), 0));
    assert_eq!(recordings.metrics().demotions.with(Tier::Memory).get(), 1);
    record(&recordings, 1);
}
