//! Expiry, eviction, idempotency keys, and cancellation by dropping waiters.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use prometheus::IntGauge;
use serde_json::Map;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::api::delivery::answer::testing::answer_of;
use crate::api::delivery::idempotency::{Fingerprint, IdempotencyKey};
use crate::api::delivery::jobs::JobLimits;
use crate::api::delivery::jobs::{End, JobRecord, JobStore, Jobs, Kind, Origin, Waiter};
use crate::api::operations::output::Output;
use crate::api::problem::{Code, Problem};
use crate::engine::{CancelReason, Progress};

const TTL: Duration = Duration::from_secs(60);

fn jobs(max_jobs: usize, max_result_bytes: u64) -> (Jobs, IntGauge) {
    let gauge = IntGauge::new("jobs", "jobs").unwrap();
    (Jobs::new(JobLimits { ttl: TTL, max_jobs, max_result_bytes }, gauge.clone()), gauge)
}

fn new_job(key: Option<&str>) -> (Arc<JobRecord>, oneshot::Receiver<CancelReason>) {
    let (_, progress) = watch::channel(Progress::default());
    let origin = Origin { request_id: "request".to_owned(), owner: None };
    JobRecord::new(Kind::Edit, origin, Output::default(), key.map(key_of), progress)
}

fn key_of(key: &str) -> IdempotencyKey {
    let mut headers = HeaderMap::new();
    headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
    IdempotencyKey::of(&headers, None).unwrap().unwrap()
}

fn fingerprint(path: &str) -> Fingerprint {
    Fingerprint::of(path, &Map::new())
}

/// An answer whose JSON has this many bytes.
fn success(bytes: u64) -> End {
    End::Succeeded(Arc::new(answer_of(bytes)))
}

/// Starts a job under a key, or joins the one that is there.
fn start(store: &JobStore, key: &str) -> (Waiter, Option<oneshot::Receiver<CancelReason>>) {
    let mut stop = None;
    let started = || {
        let (job, stopped) = new_job(Some(key));
        stop = Some(stopped);
        Ok(job.watch())
    };
    let (waiter, is_replay) = store.find_or_start(&key_of(key), fingerprint("/a"), started).unwrap();
    assert_eq!(is_replay, stop.is_none());
    (waiter, stop)
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_ended_expires_without_being_asked_for() {
    let (jobs, gauge) = jobs(10, 100_000);
    let ids = std::array::from_fn::<_, 3, _>(|_| {
        let (job, _) = new_job(None);
        jobs.insert(Arc::clone(&job));
        job
    });
    sleep(TTL * 10).await;
    assert_eq!(gauge.get(), 3, "a running job does not expire");
    jobs.finish(&ids[0], success(1000));
    sleep(TTL / 2).await;
    jobs.finish(&ids[1], success(1000));
    sleep(TTL / 2 - Duration::from_millis(2)).await;
    assert_eq!(gauge.get(), 3);
    sleep(Duration::from_millis(4)).await;
    assert_eq!(gauge.get(), 2);
    assert!(jobs.get(&ids[0].id).is_none() && jobs.get(&ids[1].id).is_some());
    sleep(TTL / 2).await;
    assert_eq!(gauge.get(), 1);
    jobs.finish(&ids[2], End::Canceled(CancelReason::Deleted));
    sleep(TTL + Duration::from_millis(2)).await;
    assert_eq!(gauge.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_ends_with_the_jobs() {
    let (jobs, _) = jobs(10, 100_000);
    let store = Arc::downgrade(jobs.store());
    drop(jobs);
    sleep(Duration::from_millis(1)).await;
    assert!(store.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_are_evicted_first() {
    let (jobs, gauge) = jobs(3, 100_000);
    let mut all: Vec<_> = (0..5).map(|_| new_job(None).0).collect();
    for job in &all {
        jobs.insert(Arc::clone(job));
    }
    assert_eq!(gauge.get(), 5, "running jobs do not count");
    let newest_first: Vec<_> = all.iter().rev().map(|job| job.id.clone()).collect();
    assert_eq!(jobs.all().iter().map(|job| job.id.clone()).collect::<Vec<_>>(), newest_first);
    all.reverse();
    let is_kept = |at: usize| jobs.get(&all[at].id).is_some();
    for job in &all[..4] {
        jobs.finish(job, success(10_000));
    }
    assert_eq!([is_kept(0), is_kept(1), is_kept(2), is_kept(3), is_kept(4)], [false, true, true, true, true]);
    jobs.finish(&all[4], success(85_000));
    assert_eq!([is_kept(1), is_kept(2), is_kept(3), is_kept(4)], [false, false, true, true], "95 kB are kept");
    jobs.remove(&all[3].id);
    jobs.remove(&all[3].id);
    assert_eq!((is_kept(3), gauge.get()), (false, 1));
    let (small, _) = new_job(None);
    jobs.insert(Arc::clone(&small));
    jobs.finish(&small, success(15_000));
    assert_eq!((is_kept(4), gauge.get()), (true, 2), "a removed job takes no bytes");
    let (large, _) = new_job(None);
    jobs.insert(Arc::clone(&large));
    jobs.finish(&large, success(100_001));
    assert_eq!(gauge.get(), 0, "a result that is too large is not kept");
    assert!(large.ended().is_some(), "its waiters get it all the same");
}

#[tokio::test(start_paused = true)]
async fn one_key_is_one_job_until_it_expires() {
    let (jobs, _) = jobs(10, 100_000);
    let (mut first, stop) = start(&jobs, "key");
    let (mut second, _) = start(&jobs, "key");
    assert_eq!(first.job().id, second.job().id);
    let reused = jobs.find(&key_of("key"), fingerprint("/b")).unwrap_err();
    assert_eq!((reused.code(), reused.param()), (Code::IdempotencyKeyReused, Some("Idempotency-Key")));
    assert!(jobs.find(&key_of("other"), fingerprint("/b")).unwrap().is_none());

    jobs.finish(first.job(), success(1000));
    assert!(matches!((first.end().await, second.end().await), (End::Succeeded(_), End::Succeeded(_))));
    let id = first.job().id.clone();
    drop((first, second, stop));
    let (later, _) = start(&jobs, "key");
    assert_eq!(later.job().id, id);
    drop(later);
    sleep(TTL + Duration::from_millis(2)).await;
    assert!(jobs.find(&key_of("key"), fingerprint("/b")).unwrap().is_none(), "the key is free for any request");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_free_again_where_a_retry_may_help() {
    let (jobs, gauge) = jobs(10, 100_000);
    let failed = |code| End::Failed(Problem::new(code, ""));
    for (end, is_free) in [
        (failed(Code::Diverged), false),
        (failed(Code::SourceTooLarge), false),
        (failed(Code::Internal), true),
        (failed(Code::QueueFull), true),
        (failed(Code::Draining), true),
        (End::Canceled(CancelReason::Deadline), true),
        (End::Canceled(CancelReason::Deleted), true),
    ] {
        let (waiter, _stop) = start(&jobs, "key");
        jobs.finish(waiter.job(), end);
        assert_eq!(jobs.find(&key_of("key"), fingerprint("/a")).unwrap().is_none(), is_free, "{waiter:?}");
        assert!(jobs.get(&waiter.job().id).is_some(), "the job itself is kept");
        jobs.remove(&waiter.job().id);
        assert!(jobs.find(&key_of("key"), fingerprint("/a")).unwrap().is_none());
    }
    assert_eq!(gauge.get(), 0);
    let refused = jobs.find_or_start(&key_of("key"), fingerprint("/a"), || Err(Problem::new(Code::QueueFull, "")));
    assert_eq!((refused.unwrap_err().code(), gauge.get()), (Code::QueueFull, 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_waiter_cancels() {
    let (jobs, _) = jobs(10, 100_000);
    let (first, stop) = start(&jobs, "key");
    let (second, _) = start(&jobs, "key");
    let mut stop = stop.unwrap();
    drop(first);
    assert!(stop.try_recv().is_err(), "the second still waits");
    let id = second.job().id.clone();
    drop(second);
    assert_eq!(stop.await, Ok(CancelReason::Disconnected));
    // The job has not ended yet but cannot be joined; its end leaves the key to the next one.
    let (next, stop) = start(&jobs, "key");
    assert!(stop.is_some() && next.job().id != id);
    jobs.finish(&jobs.get(&id).unwrap(), End::Canceled(CancelReason::Disconnected));
    assert_eq!(start(&jobs, "key").0.job().id, next.job().id);
}

#[tokio::test(start_paused = true)]
async fn a_detached_job_outlives_its_waiters() {
    let (jobs, _) = jobs(10, 100_000);
    let (first, stop) = start(&jobs, "key");
    let (second, _) = start(&jobs, "key");
    second.job().detach();
    let job = Arc::clone(first.job());
    drop((first, second));
    let mut stop = stop.unwrap();
    assert!(stop.try_recv().is_err());
    job.cancel(CancelReason::Deleted);
    assert_eq!(stop.try_recv(), Ok(CancelReason::Deleted));
}

#[tokio::test(start_paused = true)]
async fn a_waiters_deadline_ends_its_waiting_and_not_the_job() {
    let (jobs, _) = jobs(10, 100_000);
    let (first, stop) = start(&jobs, "key");
    let (mut stop, started) = (stop.unwrap(), Instant::now());
    let mut second = start(&jobs, "key").0.until(Some(started + Duration::from_secs(5)));
    assert!(matches!(second.end().await, End::Canceled(CancelReason::Deadline)));
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    drop(second);
    assert!(stop.try_recv().is_err());
    let mut last = start(&jobs, "key").0.until(Some(started + Duration::from_secs(9)));
    drop(first);
    last.end().await;
    drop(last);
    assert_eq!(stop.await, Ok(CancelReason::Deadline), "no waiter is left");
}

#[tokio::test(start_paused = true)]
async fn idle_is_when_nothing_runs() {
    let (jobs, _) = jobs(10, 100_000);
    jobs.idle().await;
    let (job, _) = new_job(None);
    jobs.insert(Arc::clone(&job));
    assert!(tokio::time::timeout(Duration::from_secs(9), jobs.idle()).await.is_err());
    jobs.finish(&job, success(1000));
    jobs.idle().await;
}
