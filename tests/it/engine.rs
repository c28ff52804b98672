//! The engine over time: order, cancellation, released memory, and failures.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reprompt::engine::{
    CancelReason, Engine, EngineConfig, EngineError, JobEnd, JobHandle, JobOptions, ModelRegistry, Progress,
    RefuseReason, ResolveError, SelfTestEnd, Stage,
};
use reprompt::recordings::SessionLimits;
use reprompt::recordings::Tier;
use reprompt::telemetry::metrics::MetricsRegistry;

use crate::fake::{self, BREAKS, FAILS, PANICS, edit, record};
use crate::support::{config, parts};
use crate::waiting::until;

const QUICK: Duration = Duration::from_micros(200);

async fn quick(config: EngineConfig) -> Engine {
    fake::engine(QUICK, config).await
}

/// Waits until no job is queued or running.
async fn idle(engine: &Engine) {
    let metrics = engine.metrics();
    let left = || (metrics.queue_jobs.get(), metrics.running_jobs.get(), metrics.running_rows.get());
    until("the end of all work", async || left() == (0, 0, 0)).await;
}

/// Waits for what must come, within what a slow machine may take: a test fails rather than hangs.
async fn within<T>(waited: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("it did not come")
}

async fn shown(handle: &JobHandle, is_so: impl FnMut(&Progress) -> bool) {
    within(handle.progress().wait_for(is_so)).await.unwrap();
}

async fn started(handle: &JobHandle) {
    shown(handle, |progress| progress.stage == Stage::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_panics_or_fails_fails_alone() {
    let engine = quick(config()).await;
    for special in [PANICS, FAILS] {
        let mut good: Vec<_> =
            (0..3).map(|seed| engine.submit(edit(&engine, seed, 30), JobOptions::default()).unwrap()).collect();
        let mut bad = engine.submit(edit(&engine, special, 30), JobOptions::default()).unwrap();
        assert!(matches!(within(bad.outcome()).await, Err(EngineError::Internal(_))));
        for handle in &mut good {
            assert!(within(handle.outcome()).await.is_ok());
        }
        engine.readiness().unwrap();
    }
    idle(&engine).await;
    assert_eq!(engine.metrics().jobs.with(JobEnd::Failed).get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_fails_ends_the_worker_and_fails_every_job() {
    let engine = quick(config()).await;
    let mut good = engine.submit(record(1, 900), JobOptions::default()).unwrap();
    started(&good).await;
    let mut bad = engine.submit(record(BREAKS, 10), JobOptions::default()).unwrap();
    assert_eq!(within(bad.outcome()).await.unwrap_err(), EngineError::DeviceLost);
    assert_eq!(within(good.outcome()).await.unwrap_err(), EngineError::DeviceLost);
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
            let _ = within(handle.progress().wait_for(at)).await;
            handle.cancel(reason);
        });
    }
    clients.join_all().await;
    let steps = engine.metrics().step_seconds.get_sample_count();
    idle(&engine).await;
    let late = engine.metrics().step_seconds.get_sample_count() - steps;
    assert!(late <= 2, "the worker took {late} steps for no job");
    let metrics = engine.metrics();
    let ended = [JobEnd::Succeeded, JobEnd::Canceled, JobEnd::Failed].map(|end| metrics.jobs.with(end).get());
    assert_eq!((ended[0] + ended[1], ended[2]), (200, 0), "{ended:?}");
    // Sources that came to their end are kept; of the others not a byte is left.
    let kept: u64 = engine.sessions().views().iter().map(|view| view.bytes[Tier::Trajectory]).sum();
    assert_eq!(engine.sessions().used(Tier::Trajectory), kept);
    for view in engine.sessions().views() {
        engine.sessions().remove(&view.id);
    }
    assert_eq!([Tier::Memory, Tier::Trajectory].map(|tier| engine.sessions().used(tier)), [0, 0]);
    // Every queue slot is free again.
    let slots: Vec<_> =
        (0..256).map(|seed| engine.submit(record(seed, 900), JobOptions::default()).map(|_| ())).collect();
    assert!(slots.iter().all(Result::is_ok), "{slots:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_job_takes_no_step_that_had_not_begun() {
    let engine = fake::engine(Duration::from_millis(100), config()).await;
    let job = engine.submit(record(1, 900), JobOptions::default()).unwrap();
    shown(&job, |progress| progress.step >= 2).await;
    let steps = engine.metrics().step_seconds.get_sample_count();
    job.cancel(CancelReason::Deleted);
    idle(&engine).await;
    let late = engine.metrics().step_seconds.get_sample_count() - steps;
    assert!(late <= 1, "{late} steps after it was canceled, one was in progress");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_more_load_than_the_queue_holds_is_refused_with_a_time_to_retry() {
    const STEPS: usize = 200;
    let step = Duration::from_millis(10);
    let engine = fake::engine(step, EngineConfig { queue_limit: 8, ..config() }).await;
    let mut accepted = Vec::new();
    // A first job for the estimate to learn from.
    within(engine.submit(record(0, 20), JobOptions::default()).unwrap().outcome()).await.unwrap();
    let passes = || engine.metrics().step_seconds.get_sample_count() as usize;
    let before = passes();
    let mut refused = 0;
    for seed in 1..=80 {
        match engine.submit(record(seed, STEPS), JobOptions::default()) {
            Ok(handle) => accepted.push(handle),
            Err(EngineError::QueueFull { waiting: 8, .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        // The worker starts what it can run.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Four run, eight wait.
    assert_eq!((accepted.len(), refused), (12, 68));
    assert_eq!(engine.metrics().jobs_refused.with(RefuseReason::QueueFull).get(), 68);
    let Err(EngineError::QueueFull { retry_after, .. }) = engine.submit(record(99, 5), JobOptions::default()) else {
        panic!("the queue is full");
    };
    // A pass takes `step` at least on any machine, so that what is left of the first run is a bound.
    let left = STEPS.saturating_sub(passes() - before + 1);
    let least = step.mul_f64(0.9 * left as f64);
    assert!(retry_after >= least, "{retry_after:?} is the answer, {left} steps take {least:?} at least");
    until("a queue slot", async || engine.submit(record(99, 5), JobOptions::default()).is_ok()).await;
    let taken = passes() - before;
    assert!(taken >= STEPS, "a slot was free after {taken} steps");
    for handle in &mut accepted {
        within(handle.outcome()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_shows_its_position_and_estimated_wait() {
    const STEPS: usize = 100;
    const STEP: Duration = Duration::from_millis(5);
    let engine = fake::engine(STEP, EngineConfig { max_batch_rows: 2, ..config() }).await;
    within(engine.submit(record(0, 20), JobOptions::default()).unwrap().outcome()).await.unwrap();
    let mut handles: Vec<_> =
        (1..=4).map(|seed| engine.submit(record(seed, STEPS), JobOptions::default()).unwrap()).collect();
    started(&handles[0]).await;
    // One runs at a time, and a step takes `STEP` at least on any machine: so many runs before it, so long it waits.
    for before in [2, 1] {
        let least = STEP.mul_f64(0.9 * (before * STEPS) as f64);
        let is_there = |progress: &Progress| matches!(progress.stage, Stage::Queued { position, estimated_wait } if position == before && estimated_wait >= least);
        shown(&handles[3], is_there).await;
    }
    started(&handles[3]).await;
    for handle in &mut handles {
        within(handle.outcome()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_running_jobs_and_refuses_queued_ones() {
    let engine = fake::engine(Duration::from_millis(2), EngineConfig { max_batch_rows: 2, ..config() }).await;
    let mut running = engine.submit(record(1, 50), JobOptions::default()).unwrap();
    started(&running).await;
    let mut waiting = engine.submit(record(2, 50), JobOptions::default()).unwrap();
    engine.drain();
    assert_eq!(engine.readiness().unwrap_err(), EngineError::Draining);
    assert_eq!(engine.submit(record(3, 5), JobOptions::default()).unwrap_err(), EngineError::Draining);
    assert_eq!(within(waiting.outcome()).await.unwrap_err(), EngineError::Draining);
    assert!(within(running.outcome()).await.is_ok());
    idle(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborting_answers_running_jobs_within_a_step_and_leaves_nothing() {
    let engine = fake::engine(Duration::from_millis(5), config()).await;
    let mut running = engine.submit(edit(&engine, 1, 900), JobOptions::default()).unwrap();
    started(&running).await;
    engine.abort();
    assert_eq!(within(running.outcome()).await.unwrap_err(), EngineError::Draining);
    idle(&engine).await;
    assert_eq!(engine.metrics().jobs_canceled.with(CancelReason::Draining).get(), 1);
    assert_eq!([Tier::Memory, Tier::Trajectory].map(|tier| engine.sessions().used(tier)), [0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_come_at_even_distances_and_every_client_has_its_own() {
    let engine = quick(config()).await;
    let with = |previews| JobOptions { previews, ..JobOptions::default() };
    let mut three = engine.submit(edit(&engine, 1, 40), with(3)).unwrap();
    let mut none = engine.submit(edit(&engine, 2, 40), with(0)).unwrap();
    let (three_progress, none_progress) = (three.progress(), none.progress());
    within(three.outcome()).await.unwrap();
    within(none.outcome()).await.unwrap();
    let steps = |progress: &tokio::sync::watch::Receiver<Progress>| {
        progress.borrow().previews.iter().map(|preview| preview.step).collect::<Vec<_>>()
    };
    assert_eq!((steps(&three_progress), steps(&none_progress)), (vec![10, 20, 30], vec![]));
    assert_eq!((three_progress.borrow().step, three_progress.borrow().steps), (40, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_deleted_and_is_requested_again_is_a_session_again() {
    let engine = fake::engine(Duration::from_millis(2), config()).await;
    let mut first = engine.submit(edit(&engine, 1, 60), JobOptions::default()).unwrap();
    started(&first).await;
    let id = fake::source(1, 60).session_id(&engine.model().unwrap().fingerprint);
    assert!(engine.sessions().remove(&id), "also while it is being recorded");
    let mut second = engine.submit(edit(&engine, 1, 60), JobOptions::default()).unwrap();
    within(first.outcome()).await.unwrap();
    within(second.outcome()).await.unwrap();
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
        within(engine.submit(record(seed, 3), JobOptions::default()).unwrap().outcome()).await.unwrap();
    }
    assert_eq!(engine.sessions().views().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_shows_that_it_still_computes() {
    let health = fake::Health::default();
    let engine =
        fake::engine_of_health(&health, EngineConfig { self_test_after: Duration::from_millis(50), ..config() }).await;
    let self_tests = |end| engine.metrics().self_tests.with(end).get();
    until("a self-test", async || self_tests(SelfTestEnd::Succeeded) > 1).await;
    assert_eq!((engine.readiness(), self_tests(SelfTestEnd::Failed)), (Ok(()), 0));
    health.store(fake::FAILS, Ordering::Relaxed);
    until("readiness to go down", async || engine.readiness() == Err(EngineError::SelfTestFailed)).await;
    assert!(engine.submit(fake::record(1, 2), JobOptions::default()).is_err());
    assert!(self_tests(SelfTestEnd::Failed) > 0);
    health.store(0, Ordering::Relaxed);
    until("readiness to come back", async || engine.readiness().is_ok()).await;
    within(engine.submit(fake::record(1, 2), JobOptions::default()).unwrap().outcome()).await.unwrap();
    health.store(fake::BREAKS, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(60), engine.ended()).await.expect("a device that is lost ends the worker");
    assert_eq!(engine.failure(), EngineError::DeviceLost);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_live_in_one_process_and_are_resolved_by_their_models_names() {
    let metrics = MetricsRegistry::new();
    let start = async |name: &str| {
        let parts = parts(&metrics.with_label("model", name), &config());
        fake::engine_of_model(name, config(), parts).await
    };
    let [first, second] = [start("one").await, start("two").await];
    let registry = ModelRegistry::new(first).with(second);
    let name = |asked| registry.resolve(asked).map(|engine| engine.model().unwrap().name.clone());
    assert_eq!([name(None), name(Some("one")), name(Some("two"))].map(Result::unwrap), ["one", "one", "two"]);
    let unknown = name(Some("three")).unwrap_err();
    assert_eq!(unknown.to_string(), "unknown model \"three\"; expected \"one\" or \"two\"");

    // Each has its own queue, recordings and series.
    let two = registry.resolve(Some("two")).unwrap();
    within(two.submit(edit(two, 1, 3), JobOptions::default()).unwrap().outcome()).await.unwrap();
    assert_eq!(registry.iter().map(|engine| engine.sessions().views().len()).collect::<Vec<_>>(), [0, 1]);
    let text = metrics.text();
    for series in [
        "reprompt_jobs_total{model=\"one\",outcome=\"succeeded\"} 0",
        "reprompt_jobs_total{model=\"two\",outcome=\"succeeded\"} 1",
        "reprompt_queue_limit{model=\"one\"}",
        "reprompt_job_seconds_count{kind=\"edit\",model=\"two\"} 1",
    ] {
        assert!(text.contains(series), "{series} in {text}");
    }
    assert_eq!(text.matches("# TYPE reprompt_jobs_total").count(), 1, "one type a name");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_in_one_process_keep_to_budgets_of_their_own() {
    let metrics = MetricsRegistry::new();
    let start = async |name: &str, trajectory_bytes: u64| {
        let sessions = SessionLimits { trajectory_bytes, ..config().sessions };
        let config = EngineConfig { sessions, ..config() };
        let parts = parts(&metrics.with_label("model", name), &config);
        let budget = Arc::clone(&parts.budgets[Tier::Trajectory]);
        (fake::engine_of_model(name, config, parts).await, budget)
    };
    let run = async |engine: &Engine, seed: u64| {
        within(engine.submit(record(seed, 3), JobOptions::default()).unwrap().outcome()).await.unwrap();
    };
    let (large, of_large) = start("large", 1 << 30).await;
    run(&large, 1).await;
    let bytes = of_large.used();
    assert!(bytes > 0, "a trajectory takes bytes");
    run(&large, 2).await;
    let (small, of_small) = start("small", bytes).await;
    run(&small, 1).await;
    run(&small, 2).await;
    assert_eq!((of_small.used(), of_small.peak()), (bytes, bytes), "the second recording evicted the first");
    assert_eq!(of_large.used(), 2 * bytes, "the other engine keeps both");

    [&large, &small].into_iter().for_each(Engine::refresh_metrics);
    let text = metrics.text();
    for (series, value) in [
        ("reprompt_recordings_budget_bytes{model=\"large\",tier=\"trajectory\"}", 1 << 30),
        ("reprompt_recordings_budget_bytes{model=\"small\",tier=\"trajectory\"}", bytes),
        ("reprompt_recordings_bytes{model=\"large\",tier=\"trajectory\"}", 2 * bytes),
        ("reprompt_recordings_bytes{model=\"small\",tier=\"trajectory\"}", bytes),
        ("reprompt_recordings_demotions_total{model=\"large\",tier=\"trajectory\"}", 0),
        ("reprompt_recordings_demotions_total{model=\"small\",tier=\"trajectory\"}", 1),
    ] {
        let line = format!("{series} {value}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_being_loaded_may_turn_out_to_have_any_name() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let load = move |_: &EngineConfig| {
        let _ = wait.recv_timeout(Duration::from_secs(60));
        Err(reprompt::diffusion::ModelError::Tokenizer("no tokenizer".to_owned()).into())
    };
    let config = config();
    let parts = parts(&MetricsRegistry::new(), &config);
    let (engine, _loaded) = Engine::start_with(config, parts, load).unwrap();
    let registry = ModelRegistry::new(engine);
    assert!(registry.resolve(None).is_ok());
    assert_eq!(registry.resolve(Some("one")).unwrap_err(), ResolveError::Loading);
    go.send(()).unwrap();
}
