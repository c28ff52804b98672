//! Sessions are added, used and removed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::recordings::budget::Budgets;
use crate::recordings::index::Index;
use crate::recordings::limits::SessionLimits;
use crate::recordings::place::{Place, Tier};
use crate::recordings::testing::{
    BYTES, id, limits, metrics, record, record_with_attention, recordings, source, tier, trajectory,
};

#[test]
fn a_session_is_listed_once_its_run_is_complete() {
    let recordings = recordings(limits(0, 1, 1, 0));
    assert!(!recordings.begin(&id(1), &source(1)), "it was not recorded before");
    assert!(recordings.is_known(&id(1)));
    assert!(recordings.view(&id(1)).is_none() && recordings.source(&id(1)).is_none() && recordings.views().is_empty());
    let trajectory = trajectory(recordings.reserve(Tier::Trajectory, BYTES).unwrap());
    assert!(recordings.complete(&id(1), &trajectory).is_some());
    let view = recordings.view(&id(1)).unwrap();
    assert_eq!((view.tier, view.bytes[Tier::Trajectory], view.bytes[Tier::Memory]), (Tier::Trajectory, BYTES, 0));
    assert!(recordings.image(&id(1)).is_some());
    assert!(recordings.begin(&id(1), &source(1)), "now it was");
}

#[test]
fn a_run_that_is_abandoned_leaves_nothing_and_a_recorded_session_stays() {
    let recordings = recordings(limits(0, 1, 1, 0));
    recordings.begin(&id(1), &source(1));
    recordings.abandon(&id(1));
    assert!(!recordings.is_known(&id(1)));
    record(&recordings, 2);
    recordings.abandon(&id(2));
    assert_eq!(tier(&recordings, 2), Some(Tier::Trajectory));
}

#[test]
fn a_session_that_is_removed_while_it_runs_is_not_kept() {
    let recordings = recordings(limits(0, 1, 1, 0));
    recordings.begin(&id(1), &source(1));
    let trajectory = trajectory(recordings.reserve(Tier::Trajectory, BYTES).unwrap());
    assert!(recordings.remove(&id(1)));
    assert!(!recordings.remove(&id(1)), "it is removed already");
    assert!(recordings.complete(&id(1), &trajectory).is_none());
    assert_eq!(recordings.used(Tier::Trajectory), BYTES, "its run still has it");
    drop(trajectory);
    assert_eq!(recordings.used(Tier::Trajectory), 0);
}

#[test]
fn the_least_recently_used_session_is_removed_when_there_are_too_many() {
    let recordings = recordings(SessionLimits { max_sessions: 2, ..limits(0, 0, 9, 0) });
    record(&recordings, 1);
    record(&recordings, 2);
    recordings.used_by_job(&id(1), Some(Tier::Trajectory));
    record(&recordings, 3);
    assert_eq!(recordings.views().iter().map(|view| view.id.clone()).collect::<Vec<_>>(), [id(3), id(1)]);
    assert_eq!(recordings.view(&id(1)).unwrap().hits, 1);
    assert_eq!(recordings.used(Tier::Trajectory), 2 * BYTES);
}

#[test]
fn sessions_expire_by_their_last_use() {
    let hour = Duration::from_secs(3600);
    let recordings = recordings(SessionLimits { ttl: Some(hour), ..limits(0, 0, 9, 0) });
    record(&recordings, 1);
    recordings.begin(&id(2), &source(2));
    let now = SystemTime::now();
    recordings.sweep(now + hour / 2);
    assert!(recordings.view(&id(1)).is_some());
    recordings.sweep(now + hour * 2);
    assert!(recordings.view(&id(1)).is_none());
    assert!(recordings.is_known(&id(2)), "a source that is being run does not expire");
    assert_eq!(recordings.used(Tier::Trajectory), 0);
}

#[test]
fn a_write_for_a_removed_session_does_not_count_for_the_next_one() {
    let limits = limits(0, 0, 0, 1000);
    let index = Index::new(limits.clone(), Budgets::new(&limits), metrics());
    let begin = || {
        index.begin(&id(1), &source(1));
        index.lock().entries[&id(1)].generation
    };
    let bytes = || index.budgets[Tier::Disk].try_reserve(10).unwrap();
    let first = begin();
    assert!(index.is_current(&id(1), first));
    drop(index.lock().remove(&id(1)));
    assert!(!index.is_current(&id(1), first));
    let second = begin();
    assert_ne!(first, second);
    assert!(index.written((&id(1), first), None, bytes()).is_some(), "its bytes come back");
    assert!(index.lock().entries[&id(1)].stored.source.is_none());
    assert!(index.written((&id(1), second), None, bytes()).is_none());
    assert_eq!(index.lock().entries[&id(1)].stored.bytes(), 10);
}

#[test]
fn gauges_follow_budgets_and_tiers_when_they_are_shown() {
    let recordings = recordings(limits(0, 2, 3, 0));
    record(&recordings, 1);
    record_with_attention(&recordings, 2, Place::Memory);
    recordings.show_counts();
    let metrics = recordings.metrics();
    let gauges = |tier| {
        [&metrics.sessions, &metrics.recording_bytes, &metrics.recording_budget_bytes]
            .map(|gauge| gauge.with(tier).get())
    };
    assert_eq!(gauges(Tier::Trajectory), [1, 200, 300]);
    assert_eq!(gauges(Tier::Memory), [1, 100, 200]);
    assert_eq!(gauges(Tier::Source), [0, 0, 0]);
    recordings.remove(&id(2));
    recordings.show_counts();
    assert_eq!(gauges(Tier::Memory), [0, 0, 200]);
    assert_eq!(metrics.recording_peak_bytes.with(Tier::Memory).get(), 100, "the peak stays");
}

#[test]
fn a_trajectory_that_is_kept_again_keeps_its_pins() {
    let recordings = recordings(limits(0, 0, 1, 0));
    let trajectory = record(&recordings, 1);
    let pin = match recordings.look_up(&id(1)) {
        crate::recordings::Lookup::Known(recording) => recording.trajectory.unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(recordings.complete(&id(1), &trajectory).is_some());
    assert!(Arc::ptr_eq(pin.shared(), &trajectory));
    drop(trajectory);
    assert!(recordings.reserve(Tier::Trajectory, BYTES).is_none(), "it is still pinned");
    drop(pin);
    assert!(recordings.reserve(Tier::Trajectory, BYTES).is_some());
}
