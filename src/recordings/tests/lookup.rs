//! A store that other processes write to: sessions that were not listed are looked up.

use crate::diffusion::unet::AttentionKind;
use crate::recordings::lookup::Lookup;
use crate::recordings::place::Tier;
use crate::recordings::queue::StoreEvent;
use crate::recordings::site_group::SiteGroup;
use crate::recordings::store::in_memory::InMemory;
use crate::recordings::testing::{STEPS, id, limits, source, tier};
use crate::recordings::tests::{PLENTY, next, opened, persisted};

/// A store that has a session of another replica, and does not list it.
fn shared() -> InMemory {
    let store = InMemory::default();
    let (other, _) = opened(limits(0, 1, 1, PLENTY), &store);
    persisted(&other, 1);
    drop(other);
    store.share();
    store
}

fn found(event: StoreEvent) -> bool {
    match event {
        StoreEvent::LookedUp { is_found, .. } => is_found,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_listed_store_is_not_asked() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 1, PLENTY), &store);
    assert!(matches!(recordings.look_up(&id(1)), Lookup::Unknown));
    recordings.flush();
    assert_eq!(store.calls(), ["list"]);
}

#[test]
fn a_session_of_another_replica_is_pending_and_then_known() {
    let store = shared();
    let (recordings, events) = opened(limits(0, 1, 1, PLENTY), &store);
    let before = store.calls().len();
    store.hold();
    assert!(matches!(recordings.look_up(&id(1)), Lookup::Pending));
    assert!(matches!(recordings.look_up(&id(1)), Lookup::Pending), "it never waits");
    store.release();
    assert!(found(next(&events)));
    assert_eq!(store.calls()[before..], ["find"], "it is asked for once");
    let Lookup::Known(recording) = recordings.look_up(&id(1)) else { panic!("it was found") };
    assert!(recording.trajectory.is_none() && recording.attention.is_none() && recording.is_trajectory_stored);
    let stored = recording.stored_attention;
    let of = |kind| stored.steps_of(SiteGroup::first(kind));
    assert_eq!((of(AttentionKind::CrossAttention), of(AttentionKind::SelfAttention)), (STEPS, 0));
    assert_eq!((tier(&recordings, 1), recordings.used(Tier::Disk)), (Some(Tier::Disk), store.bytes()));
    assert!(recordings.read_trajectory(&id(1)));
    assert!(matches!(next(&events), StoreEvent::Trajectory { content: Some(_), .. }));
}

#[test]
fn a_session_that_no_store_has_is_asked_for_again_another_time() {
    let store = shared();
    let (recordings, events) = opened(limits(0, 1, 1, PLENTY), &store);
    for _ in 0..2 {
        assert!(matches!(recordings.look_up(&id(2)), Lookup::Pending));
        assert!(!found(next(&events)));
    }
    assert!(!recordings.is_known(&id(2)), "nothing is left of the question");
    recordings.begin(&id(2), &source(2));
    assert!(matches!(recordings.look_up(&id(2)), Lookup::Unknown), "it is being run here");
}

#[test]
fn a_store_that_fails_has_nothing() {
    let store = shared();
    let (recordings, events) = opened(limits(0, 1, 1, PLENTY), &store);
    store.fail(true);
    assert!(matches!(recordings.look_up(&id(1)), Lookup::Pending));
    assert!(!found(next(&events)));
    store.fail(false);
    assert!(matches!(recordings.look_up(&id(1)), Lookup::Pending));
    assert!(found(next(&events)));
}

#[test]
fn what_exceeds_the_budget_here_stays_in_the_store() {
    let store = shared();
    let (recordings, events) = opened(limits(0, 1, 1, 10), &store);
    let bytes = store.bytes();
    assert!(matches!(recordings.look_up(&id(1)), Lookup::Pending));
    assert!(!found(next(&events)));
    recordings.flush();
    assert_eq!((store.bytes(), recordings.used(Tier::Disk)), (bytes, 0));
}
