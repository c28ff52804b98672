//! The engine in time: who waits for whom, what is left behind, and what happens when something breaks.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reprompt::engine::JobEnd;
use reprompt::engine::ProbeEnd;
use reprompt::engine::RefuseReason;
use reprompt::engine::{CancelReason, Engine, EngineConfig, EngineError, JobHandle, JobOptions, Progress, Stage};
use reprompt::recordings::SessionLimits;
use reprompt::recordings::Tier;

use crate::fake::{self, BREAKS, FAILS, PANICS, edit, record};
use crate::support::config;
use crate::waiting::until;

const QUICK: Duration = Duration::from_micros(200);

async fn quick(config: EngineConfig) -> Engine {
    fake::engine(QUICK, config).await
}

/// Waits until the worker has nothing to do, and sees to it that nothing is left behind.
async fn idle(engine: &Engine) {
    let metrics = engine.metrics();
    let began = Instant::now();
    while (metrics.queue_jobs.get(), metrics.running_jobs.get(), metrics.running_rows.get()) != (0, 0, 0) {
        assert!(began.elapsed() < Duration::from_secs(20), "the worker does not come to rest");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn started(handle: &JobHandle) {
    handle.progress().wait_for(|progress| progress.stage == Stage::Running).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_panics_or_fails_fails_alone() {
    let engine = quick(config()).await;
    for special in [PANICS, FAILS] {
        let mut good: Vec<_> =
            (0..3).map(|seed| engine.submit(edit(&engine, seed, 30), JobOptions::default()).unwrap()).collect();
        let mut bad = engine.submit(edit(&engine, special, 30), JobOptions::default()).unwrap();
        assert!(matches!(bad.outcome().await, Err(EngineError::Failed(_))));
        for handle in &mut good {
            assert!(handle.outcome().await.is_ok());
        }
        engine.readiness().unwrap();
    }
    idle(&engine).await;
    assert_eq!(engine.metrics().jobs.of(JobEnd::Failed).get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_fails_ends_the_worker_and_everybody_is_told() {
    let engine = quick(config()).await;
    let mut good = engine.submit(record(1, 900), JobOptions::default()).unwrap();
    started(&good).await;
    let mut bad = engine.submit(record(BREAKS, 10), JobOptions::default()).unwrap();
    assert_eq!(bad.outcome().await.unwrap_err(), EngineError::DeviceLost);
    assert_eq!(good.outcome().await.unwrap_err(), EngineError::DeviceLost);
    engine.ended().await;
    assert_eq!(engine.failure(), EngineError::DeviceLost);
    assert_eq!(engine.readiness().unwrap_err(), EngineError::DeviceLost);
    assert_eq!(engine.submit(record(2, 3), JobOptions::default()).unwrap_err(), EngineError::DeviceLost);
    engine.refresh_metrics();
    assert_eq!(engine.metrics().ready.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_that_leave_at_random_steps_leave_nothing_behind() {
    let engine = quick(EngineConfig { queue_limit: 256, ..config() }).await;
    let mut random = StdRng::seed_from_u64(7);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..200_u64 {
        // Half of them share sources with others.
        let seed = if client % 2 == 0 { client % 8 } else { client };
        let handle = engine.submit(edit(&engine, seed, 40), JobOptions::default()).unwrap();
        let leaves_at = random.random_range(0..40_usize);
        let reason = [CancelReason::Disconnected, CancelReason::Deleted, CancelReason::Deadline][client as usize % 3];
        clients.spawn(async move {
            let at = |progress: &Progress| progress.stage == Stage::Running && progress.step >= leaves_at;
            let _ = handle.progress().wait_for(at).await;
            handle.cancel(reason);
        });
    }
    clients.join_all().await;
    let steps = engine.metrics().step_seconds.get_sample_count();
    idle(&engine).await;
    let late = engine.metrics().step_seconds.get_sample_count() - steps;
    assert!(late <= 2, "the worker took {late} steps for nobody");
    let metrics = engine.metrics();
    let ended = [JobEnd::Succeeded, JobEnd::Cancelled, JobEnd::Failed].map(|end| metrics.jobs.of(end).get());
    assert_eq!((ended[0] + ended[1], ended[2]), (200, 0), "{ended:?}");
    // Sources that came to their end are kept; of the others not a byte is left.
    let kept: u64 = engine.sessions().views().iter().map(|view| view.bytes.trajectory).sum();
    assert_eq!(engine.sessions().used(Tier::Trajectory), kept);
    for view in engine.sessions().views() {
        engine.sessions().remove(&view.id);
    }
    assert_eq!([Tier::Memory, Tier::Trajectory].map(|tier| engine.sessions().used(tier)), [0, 0]);
    // Every place is free again.
    let places: Vec<_> =
        (0..256).map(|seed| engine.submit(record(seed, 900), JobOptions::default()).map(|_| ())).collect();
    assert!(places.iter().all(Result::is_ok), "{places:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_takes_no_step_that_had_not_begun() {
    let engine = fake::engine(Duration::from_millis(100), config()).await;
    let job = engine.submit(record(1, 900), JobOptions::default()).unwrap();
    job.progress().wait_for(|progress| progress.step >= 2).await.unwrap();
    let steps = engine.metrics().step_seconds.get_sample_count();
    job.cancel(CancelReason::Deleted);
    idle(&engine).await;
    let late = engine.metrics().step_seconds.get_sample_count() - steps;
    assert!(late <= 1, "{late} steps after it was cancelled, one was in progress");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_more_load_than_the_queue_holds_is_refused_with_a_time_to_come_back() {
    // Eight jobs of 100 steps of 10 ms at once: 2 s and more for each place in the queue.
    let engine = fake::engine(Duration::from_millis(10), EngineConfig { queue_limit: 8, ..config() }).await;
    let mut accepted = Vec::new();
    // A first job for the estimate to learn from.
    engine.submit(record(0, 20), JobOptions::default()).unwrap().outcome().await.unwrap();
    let mut refused = 0;
    for seed in 1..=80 {
        match engine.submit(record(seed, 200), JobOptions::default()) {
            Ok(handle) => accepted.push(handle),
            Err(EngineError::QueueFull { waiting: 8, .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        // The worker takes in what it can run.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Four run, eight wait.
    assert_eq!((accepted.len(), refused), (12, 68));
    assert_eq!(engine.metrics().jobs_refused.of(RefuseReason::QueueFull).get(), 68);
    let Err(EngineError::QueueFull { retry_after, .. }) = engine.submit(record(99, 5), JobOptions::default()) else {
        panic!("the queue is full");
    };
    let asked = Instant::now();
    let truth = loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if engine.submit(record(99, 5), JobOptions::default()).is_ok() {
            break asked.elapsed();
        }
    };
    let ratio = retry_after.as_secs_f64() / truth.as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "told {retry_after:?}, it took {truth:?}");
    for handle in &mut accepted {
        let outcome = handle.outcome().await.unwrap();
        assert!(outcome.timings.queue < Duration::from_secs(30), "{:?}", outcome.timings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_where_and_how_long() {
    let engine = fake::engine(Duration::from_millis(5), EngineConfig { max_batch_rows: 2, ..config() }).await;
    engine.submit(record(0, 20), JobOptions::default()).unwrap().outcome().await.unwrap();
    let mut handles: Vec<_> =
        (1..=4).map(|seed| engine.submit(record(seed, 100), JobOptions::default()).unwrap()).collect();
    started(&handles[0]).await;
    let last = handles[3].progress();
    let at = |wanted: usize| {
        let mut last = last.clone();
        async move {
            let is_there = |progress: &Progress| matches!(progress.stage, Stage::Queued { position, estimated_wait } if position == wanted && !estimated_wait.is_zero());
            let progress = last.wait_for(is_there).await.unwrap().clone();
            let Stage::Queued { estimated_wait, .. } = progress.stage else { panic!("it waits") };
            (estimated_wait, Instant::now())
        }
    };
    let (told, asked) = at(2).await;
    let (sooner, _) = at(1).await;
    assert!(sooner < told, "{sooner:?} is not sooner than {told:?}");
    started(&handles[3]).await;
    let ratio = told.as_secs_f64() / asked.elapsed().as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "told {told:?}, it took {:?}", asked.elapsed());
    for handle in &mut handles {
        handle.outcome().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_runs_and_refuses_what_waits() {
    let engine = fake::engine(Duration::from_millis(2), EngineConfig { max_batch_rows: 2, ..config() }).await;
    let mut running = engine.submit(record(1, 50), JobOptions::default()).unwrap();
    started(&running).await;
    let mut waiting = engine.submit(record(2, 50), JobOptions::default()).unwrap();
    engine.drain();
    assert_eq!(engine.readiness().unwrap_err(), EngineError::Draining);
    assert_eq!(engine.submit(record(3, 5), JobOptions::default()).unwrap_err(), EngineError::Draining);
    assert_eq!(waiting.outcome().await.unwrap_err(), EngineError::Draining);
    assert!(running.outcome().await.is_ok());
    idle(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_answers_what_runs_within_a_step_and_leaves_nothing() {
    let engine = fake::engine(Duration::from_millis(5), config()).await;
    let mut running = engine.submit(edit(&engine, 1, 900), JobOptions::default()).unwrap();
    started(&running).await;
    engine.give_up();
    assert_eq!(running.outcome().await.unwrap_err(), EngineError::Draining);
    idle(&engine).await;
    assert_eq!(engine.metrics().jobs_cancelled.of(CancelReason::Draining).get(), 1);
    assert_eq!([Tier::Memory, Tier::Trajectory].map(|tier| engine.sessions().used(tier)), [0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_come_at_even_distances_and_every_client_has_its_own() {
    let engine = quick(config()).await;
    let with = |previews| JobOptions { previews, ..JobOptions::default() };
    let mut three = engine.submit(edit(&engine, 1, 40), with(3)).unwrap();
    let mut none = engine.submit(edit(&engine, 2, 40), with(0)).unwrap();
    let (three_progress, none_progress) = (three.progress(), none.progress());
    three.outcome().await.unwrap();
    none.outcome().await.unwrap();
    let steps = |progress: &tokio::sync::watch::Receiver<Progress>| {
        progress.borrow().previews.iter().map(|preview| preview.step).collect::<Vec<_>>()
    };
    assert_eq!((steps(&three_progress), steps(&none_progress)), (vec![10, 20, 30], vec![]));
    assert_eq!((three_progress.borrow().step, three_progress.borrow().steps), (40, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_forgotten_and_is_asked_for_again_is_a_session_again() {
    let engine = fake::engine(Duration::from_millis(2), config()).await;
    let mut first = engine.submit(edit(&engine, 1, 60), JobOptions::default()).unwrap();
    started(&first).await;
    let id = fake::source(1, 60).session_id(&engine.model().unwrap().fingerprint);
    assert!(engine.sessions().remove(&id), "also while it is being recorded");
    let mut second = engine.submit(edit(&engine, 1, 60), JobOptions::default()).unwrap();
    first.outcome().await.unwrap();
    second.outcome().await.unwrap();
    idle(&engine).await;
    assert!(engine.sessions().view(&id).is_some());
    assert!(engine.sessions().remove(&id));
    assert_eq!([Tier::Memory, Tier::Trajectory].map(|tier| engine.sessions().used(tier)), [0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_were_not_finished_are_no_sessions() {
    let sessions = SessionLimits { max_sessions: 4, ..SessionLimits::default() };
    let engine = quick(EngineConfig { sessions, ..config() }).await;
    let unfinished = engine.submit(record(1, 900), JobOptions::default()).unwrap();
    started(&unfinished).await;
    assert!(engine.sessions().views().is_empty());
    drop(unfinished);
    idle(&engine).await;
    for seed in 2..9 {
        engine.submit(record(seed, 3), JobOptions::default()).unwrap().outcome().await.unwrap();
    }
    assert_eq!(engine.sessions().views().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_shows_that_it_still_computes() {
    let health = fake::Health::default();
    let engine =
        fake::engine_of_health(&health, EngineConfig { probe_after: Duration::from_millis(50), ..config() }).await;
    let probes = |end| engine.metrics().probes.of(end).get();
    until("a probe", async || probes(ProbeEnd::Succeeded) > 1).await;
    assert_eq!((engine.readiness(), probes(ProbeEnd::Failed)), (Ok(()), 0));
    health.store(fake::FAILS, Ordering::Relaxed);
    until("readiness to go down", async || engine.readiness() == Err(EngineError::Stalled)).await;
    assert!(engine.submit(fake::record(1, 2), JobOptions::default()).is_err());
    assert!(probes(ProbeEnd::Failed) > 0);
    health.store(0, Ordering::Relaxed);
    until("readiness to come back", async || engine.readiness().is_ok()).await;
    engine.submit(fake::record(1, 2), JobOptions::default()).unwrap().outcome().await.unwrap();
    health.store(fake::BREAKS, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(60), engine.ended()).await.expect("a device that is lost ends the worker");
    assert_eq!(engine.failure(), EngineError::DeviceLost);
}
