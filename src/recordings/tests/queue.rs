//! The order of commands, and stores that are slow, fail, or hold something else than was written.

use std::thread;

use candle_core::Tensor;

use crate::recordings::attention_log::StepAttention;
use crate::recordings::part::Part;
use crate::recordings::place::{Place, Tier};
use crate::recordings::queue::StoreEvent;
use crate::recordings::store::in_memory::InMemory;
use crate::recordings::store::suite::bits;
use crate::recordings::store::{FileFault, WriteFault};
use crate::recordings::testing::{STEPS, id, limits, record_with_attention, recordings, source, tier};
use crate::recordings::tests::{PLENTY, assert_counted, next, opened, parts, persist, persisted, puts, read_cross};

#[test]
fn deletions_go_before_reads_and_reads_before_writes() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 9, 9, PLENTY), &store);
    persisted(&recordings, 1);
    record_with_attention(&recordings, 2, Place::Memory);
    recordings.flush();
    let before = store.calls().len();
    store.hold();
    recordings.read_trajectory(&id(1));
    store.wait_for("get trajectory.safetensors");
    persist(&recordings, 2);
    recordings.begin(&id(3), &source(3));
    read_cross(&recordings, 1, 0);
    recordings.lose_part(&id(1), Part::cross(1));
    store.release();
    recordings.flush();
    let wanted = [
        "get trajectory.safetensors",
        "delete cross-001.safetensors",
        "get cross-000.safetensors",
        "put source",
        "put trajectory.safetensors",
        "put cross-000.safetensors",
        "put cross-001.safetensors",
    ];
    assert_eq!(store.calls()[before..], wanted);
}

#[test]
fn a_part_is_read_back_to_the_last_bit() {
    let store = InMemory::default();
    let (recordings, events) = opened(limits(0, 1, 1, PLENTY), &store);
    persisted(&recordings, 1);
    let recording = recordings.find(&id(1)).unwrap();
    let (trajectory, log) = (recording.trajectory.unwrap(), recording.attention.unwrap().1);
    recordings.flush();
    assert!(recordings.read_trajectory(&id(1)));
    let StoreEvent::Trajectory { session, content: Some(content) } = next(&events) else { panic!("it is stored") };
    let (steps, image) = content.decode(trajectory.layout(), &trajectory.before(0).unwrap(), STEPS).unwrap();
    assert_eq!((session, &image), (id(1), &**trajectory.image().unwrap()));
    let named = |tensor: &Tensor| [("latents".to_owned(), tensor.clone())];
    for (step, read) in steps.iter().enumerate() {
        assert_eq!(bits(&named(&read.latents)), bits(&named(&trajectory.step(step).unwrap().latents)));
    }
    read_cross(&recordings, 1, 1);
    let StoreEvent::Attention { step: 1, group, content: Some(content), .. } = next(&events) else {
        panic!("it is stored")
    };
    let queries = |attention: &StepAttention| named(&attention.group(group).unwrap()[&0].queries);
    assert_eq!(bits(&queries(&content)), bits(&queries(&log.step(1))));
}

#[test]
fn a_part_that_its_log_does_not_expect_any_more_is_not_read() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 1, PLENTY), &store);
    persisted(&recordings, 1);
    recordings.flush();
    store.hold();
    recordings.read_trajectory(&id(1));
    store.wait_for("get trajectory.safetensors");
    read_cross(&recordings, 1, 0);
    recordings.detach_attention(&id(1));
    store.release();
    recordings.flush();
    assert!(!store.calls().contains(&"get cross-000.safetensors".to_owned()));
}

#[test]
fn a_session_that_is_removed_while_it_is_written_leaves_nothing() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 1, PLENTY), &store);
    store.hold();
    persisted(&recordings, 1);
    store.wait_for("put source");
    thread::scope(|scope| {
        let removing = scope.spawn(|| recordings.remove(&id(1)));
        while recordings.is_known(&id(1)) {
            thread::yield_now();
        }
        store.release();
        assert!(removing.join().unwrap());
    });
    assert_eq!((store.bytes(), recordings.used(Tier::Disk)), (0, 0), "when it returns, all is deleted");
    recordings.flush();
    assert_eq!((store.bytes(), recordings.used(Tier::Disk)), (0, 0), "and nothing comes back");
    assert_eq!(recordings.used(Tier::Memory), 0);
}

#[test]
fn a_session_that_begins_again_right_after_its_removal_keeps_its_new_files() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 2, 2, PLENTY), &store);
    persisted(&recordings, 1);
    store.hold();
    recordings.read_trajectory(&id(1));
    thread::scope(|scope| {
        scope.spawn(|| recordings.remove(&id(1)));
        while recordings.is_known(&id(1)) {
            thread::yield_now();
        }
        persisted(&recordings, 1);
        store.release();
    });
    assert_counted(&recordings, &store);
    assert_eq!(parts(&recordings, 1).len(), 3);
}

#[test]
fn a_damaged_part_is_counted_and_deleted() {
    let store = InMemory::default();
    let (recordings, events) = opened(limits(0, 1, 1, PLENTY), &store);
    persisted(&recordings, 1);
    recordings.flush();
    store.corrupt(&id(1), Part::Trajectory);
    recordings.read_trajectory(&id(1));
    assert!(matches!(next(&events), StoreEvent::Trajectory { content: None, .. }));
    assert_eq!(recordings.metrics().files_refused.with(FileFault::Damaged).get(), 1);
    assert!(!parts(&recordings, 1).contains(&Part::Trajectory));
    assert_counted(&recordings, &store);
}

#[test]
fn a_store_that_fails_is_worked_around_and_used_again() {
    let store = InMemory::default();
    let (recordings, events) = opened(limits(0, 2, 2, PLENTY), &store);
    persisted(&recordings, 1);
    recordings.flush();
    store.fail(true);
    recordings.read_trajectory(&id(1));
    assert!(matches!(next(&events), StoreEvent::Trajectory { content: None, .. }));
    persisted(&recordings, 2);
    recordings.flush();
    assert_eq!((parts(&recordings, 1).len(), parts(&recordings, 2).len()), (3, 0), "what is stored is not forgotten");
    assert_eq!(tier(&recordings, 2), Some(Tier::Memory));
    assert_eq!(recordings.metrics().files_refused.with(FileFault::Unreadable).get(), 1, "the read");
    assert!(recordings.metrics().write_failures.with(WriteFault::Failed).get() > 1);
    store.fail(false);
    recordings.read_trajectory(&id(1));
    assert!(matches!(next(&events), StoreEvent::Trajectory { content: Some(_), .. }));
    assert_counted(&recordings, &store);
}

#[test]
fn when_the_process_ends_at_once_only_sources_are_written() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 1, PLENTY), &store);
    store.hold();
    persisted(&recordings, 1);
    store.wait_for("put source");
    recordings.begin(&id(2), &source(2));
    recordings.abandon_writes();
    store.release();
    drop(recordings);
    assert_eq!(puts(&store), ["put source", "put source"]);
}

#[test]
fn what_was_queued_is_written_before_the_thread_ends() {
    let store = InMemory::default();
    let (recordings, _) = opened(limits(0, 1, 1, PLENTY), &store);
    persisted(&recordings, 1);
    drop(recordings);
    assert_eq!(puts(&store).len(), 4);
}

#[test]
fn another_process_finds_what_was_written_and_deletes_what_exceeds_its_budget() {
    let store = InMemory::default();
    let (first, _) = opened(limits(0, 9, 9, PLENTY), &store);
    persisted(&first, 1);
    persisted(&first, 2);
    first.used_by_job(&id(2), None);
    first.flush();
    drop(first);
    let (second, _) = opened(limits(0, 1, 1, PLENTY), &store);
    assert_counted(&second, &store);
    assert_eq!([1, 2].map(|seed| tier(&second, seed)), [Some(Tier::Disk); 2]);
    assert_eq!(second.source(&id(1)).unwrap(), source(1));
    let one = second.view(&id(1)).unwrap().bytes[Tier::Disk];
    drop(second);
    let (small, _) = opened(limits(0, 1, 1, one), &store);
    assert_counted(&small, &store);
    assert!(store.bytes() <= one);
    assert_eq!(tier(&small, 2), Some(Tier::Disk), "the last used stays whole");
    drop(small);
    let unopened = recordings(limits(0, 1, 1, one));
    assert_eq!(tier(&unopened, 2), None, "without a store nothing is found");
}
