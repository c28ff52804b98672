//! Every code of a problem, as a client sees it: provoked by a request and compared with its snapshot in `codes/`.
//!
//! Each code has a test of its own. `INSTA_UPDATE=always cargo test --release codes` writes the snapshots anew.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use reprompt::api::ApiConfig;
use reprompt::api::guard::GuardConfig;
use reprompt::api::guard::api_keys::file::KeyFile;
use reprompt::api::guard::hosts::Hosts;
use reprompt::api::guard::timeouts::TimeLimits;
use reprompt::api::problem::Code;
use reprompt::diffusion::weights::embedded;
use reprompt::engine::{Engine, EngineConfig, JobOptions, LoadError, Stage};
use reprompt::recordings::SessionLimits;
use reprompt::telemetry::metrics::MetricsRegistry;
use serde_json::{Value, json};

use crate::fake::{self, BREAKS, ENDS, FAILS};
use crate::support::{Answer, STEP, Service, config, parts, root, until};
use crate::waiting::{ASYNC, long, swap, with};

/// Tests that are named as their codes: each makes an answer, which must be the problem of its code.
macro_rules! codes {
    ($($name:ident: $code:ident = $answer:expr;)*) => {
        const TESTED: &[Code] = &[$(Code::$code),*];

        /// One test for each code.
        mod code {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                assert_eq!(stringify!($name), Code::$code.as_str(), "a test is named as its code");
                hold(Code::$code, &$answer);
            })*
        }
    };
}

codes! {
    // Problems of a request before its fields are read.
    invalid_json: InvalidJson = send(raw("application/json", b"{\"source\":".to_vec())).await;
    unsupported_media_type: UnsupportedMediaType = send(raw("text/plain", b"{}".to_vec())).await;
    body_too_large: BodyTooLarge = send(raw("application/json", vec![b' '; 1024 * 1024 + 1])).await;
    not_found: NotFound = get("/v1/nothing").await;
    method_not_allowed: MethodNotAllowed = get("/v1/edits").await;
    session_not_found: SessionNotFound = get("/v1/sessions/ses_0").await;
    model_not_found: ModelNotFound = get("/v1/models/another").await;
    job_not_found: JobNotFound = get("/v1/jobs/job_0").await;
    not_acceptable: NotAcceptable = Service::fake().await.post_accepting("/v1/edits", &edit(), "text/html").await;
    invalid_header: InvalidHeader = with_headers(&edit(), &[("cancel-after", "soon")]).await;
    webhook_not_allowed: WebhookNotAllowed =
        with_headers(&edit_with("webhook", json!("https://example.com/hook")), &[ASYNC]).await;
    idempotency_key_reused: IdempotencyKeyReused = key_reused().await;

    // Problems of the fields of an edit.
    unknown_field: UnknownField = edited(edit_with("localblend", json!(true))).await;
    missing_field: MissingField = edited(json!({"source": {"seed": 1}, "prompt": "a dog on the beach"})).await;
    invalid_value: InvalidValue = edited(source_with("seed", json!(-2))).await;
    empty_prompt: EmptyPrompt = edited(edit_with("prompt", json!(""))).await;
    prompt_too_long: PromptTooLong = edited(edit_with("prompt", json!(["dog"; 88].join(" ")))).await;
    unsupported_size: UnsupportedSize = edited(source_with("size", json!("100x100"))).await;
    word_not_found: WordNotFound = edited(edit_with("equalizer", json!([{"word": "dgo", "strength": 2}]))).await;
    replace_word_count: ReplaceWordCount =
        edited(with(edit_with("prompt", json!("a big dog on the beach")), "edit_type", "replace")).await;
    reweight_changes_prompt: ReweightChangesPrompt = edited(edit_with("edit_type", json!("reweight"))).await;
    invalid_window: InvalidWindow = edited(edit_with("cross_replace_steps", json!([0.9, 0.1]))).await;
    window_selects_no_step: WindowSelectsNoStep = edited(edit_with("self_replace_steps", json!([0.3, 0.4]))).await;
    invalid_strength: InvalidStrength = edited(equalized(json!(1e300))).await;
    equalizer_no_effect: EqualizerNoEffect = edited(with(equalized(json!(2)), "cross_replace_steps", 0)).await;
    local_blend_no_words: LocalBlendNoWords =
        edited(with(edit_with("prompt", json!("a cat on the beach")), "local_blend", true)).await;
    invalid_threshold: InvalidThreshold = edited(blend("threshold", json!(1.0))).await;
    invalid_start: InvalidStart = edited(blend("start", json!(1.0))).await;
    // Needs attention to be wrong.
    diverged: Diverged = Service::demo().await.post("/v1/edits", &equalized(json!(1e38))).await;
    source_too_large: SourceTooLarge = too_large().await;
    no_attention_maps: NoAttentionMaps = without_maps().await;

    // What takes too long, or is taken away.
    deadline_exceeded: DeadlineExceeded =
        Service::slow().await.post_with("/v1/edits", &long(1), &[("cancel-after", "100ms")]).await;
    job_canceled: JobCanceled = canceled().await;
    queue_full: QueueFull = full().await;

    // Problems of the service.
    internal_error: Internal = recorded("seed", FAILS).await;
    model_not_finite: ModelNotFinite = not_finite().await;
    device_lost: DeviceLost = recorded("seed", BREAKS).await;
    draining: Draining = drained().await;
    worker_stalled: WorkerStalled = ended().await;
    loading: Loading = still_loading().await;

    // Problems of the guard.
    unauthorized: Unauthorized = without_key().await;
    host_not_allowed: HostNotAllowed = rebound().await;
    rate_limited: RateLimited = too_often().await;
    too_many_concurrent: TooManyConcurrent = too_many_jobs().await;
    answer_timeout: AnswerTimeout = limited(Duration::from_secs(60)).await.post("/v1/edits", &long(1)).await;
    request_timeout: RequestTimeout = limited(Duration::from_millis(50)).await.send(unsent()).await;
}

#[test]
fn every_code_has_one_test_and_one_snapshot() {
    let names = |codes: &[Code]| codes.iter().map(|code| code.as_str().to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names(TESTED), names(Code::ALL), "a code is tested by the table above");
    assert_eq!(TESTED.len(), Code::ALL.len());
    let files = std::fs::read_dir(root().join("tests/it/codes")).unwrap();
    let files = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let snapshots: BTreeSet<_> = files.filter_map(|name| name.strip_suffix(".snap").map(str::to_owned)).collect();
    assert_eq!(snapshots, names(Code::ALL));
}

/// Holds an answer to the snapshot of its code, and the contract's example to the answer.
fn hold(code: Code, answer: &Answer) {
    let mut problem = answer.json();
    assert_eq!(problem["code"], code.as_str(), "{problem}");
    assert_eq!(answer.status, code.status(), "{problem}");
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    let mut example = reprompt::api::openapi::json()["components"]["examples"][code.as_str()]["value"].clone();
    example["request_id"] = problem["request_id"].clone();
    assert_eq!(example, problem, "the example of the contract is another");
    problem["request_id"] = "[request id]".into();
    let mut text = format!("{}\n", answer.status);
    for name in ["content-type", "allow", "retry-after", "www-authenticate"] {
        if answer.headers.contains_key(name) {
            // How long a queue takes depends on the machine.
            let value = if name == "retry-after" { "[seconds]" } else { answer.header(name) };
            text += &format!("{name}: {value}\n");
        }
    }
    text += &format!("x-request-id: [request id]\n\n{}", serde_json::to_string_pretty(&problem).unwrap());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("codes");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(code.as_str(), text));
}

fn edit() -> Value {
    swap(1, 4)
}

fn edit_with(field: &str, value: Value) -> Value {
    with(edit(), field, value)
}

fn source_with(field: &str, value: Value) -> Value {
    let mut body = edit();
    body["source"][field] = value;
    body
}

fn blend(field: &str, value: Value) -> Value {
    edit_with("local_blend", json!({"source_words": ["cat"], "target_words": ["dog"], field: value}))
}

fn raw(content_type: &str, body: Vec<u8>) -> Request<Body> {
    Request::post("/v1/edits").header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap()
}

fn equalized(strength: Value) -> Value {
    edit_with("equalizer", json!([{"word": "dog", "strength": strength}]))
}

/// A request whose body never comes.
fn unsent() -> Request<Body> {
    let never = Body::from_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
    Request::post("/v1/edits").header(header::CONTENT_TYPE, "application/json").body(never).unwrap()
}

async fn send(request: Request<Body>) -> Answer {
    Service::fake().await.send(request).await
}

async fn get(path: &str) -> Answer {
    Service::fake().await.get(path).await
}

async fn edited(body: Value) -> Answer {
    with_headers(&body, &[]).await
}

async fn with_headers(body: &Value, headers: &[(&str, &str)]) -> Answer {
    Service::fake().await.post_with("/v1/edits", body, headers).await
}

async fn key_reused() -> Answer {
    let (service, key) = (Service::fake().await, [("idempotency-key", "one")]);
    assert_eq!(service.post_with("/v1/edits", &edit(), &key).await.status, 200);
    service.post_with("/v1/edits", &swap(2, 4), &key).await
}

async fn too_large() -> Answer {
    let sessions = SessionLimits { memory_bytes: 1000, ..SessionLimits::default() };
    let small = Service::start(embedded::demo(), EngineConfig { sessions, ..config() }).await;
    small.post("/v1/edits", &edit()).await
}

/// The fake has no attention.
async fn without_maps() -> Answer {
    let service = Service::fake().await;
    let session = service.post("/v1/sessions", &edit()["source"]).await.json();
    service.get(&format!("/v1/sessions/{}/attention?word=cat", session["id"].as_str().unwrap())).await
}

async fn canceled() -> Answer {
    let service = Service::slow().await;
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { service.post_with("/v1/edits", &long(2), &[("idempotency-key", "one")]).await }
    });
    let jobs = async || service.get("/v1/jobs").await.json()["data"].as_array().unwrap().clone();
    until("the job", async || !jobs().await.is_empty()).await;
    let path = format!("/v1/jobs/{}", jobs().await[0]["id"].as_str().unwrap());
    assert_eq!(service.delete(&path).await.status, 200);
    waiting.await.unwrap()
}

async fn full() -> Answer {
    let limits = EngineConfig { queue_limit: 2, max_batch_rows: 2, ..config() };
    let engine = fake::engine(STEP, limits).await;
    let mut held = vec![engine.submit(fake::record(0, 900), JobOptions::default()).unwrap()];
    // Its place in the queue is free once it has started.
    held[0].progress().wait_for(|progress| progress.stage == Stage::Running).await.unwrap();
    while let Ok(handle) = engine.submit(fake::record(held.len() as u64, 900), JobOptions::default()) {
        held.push(handle);
        assert!(held.len() < 100, "a queue of two fills up");
    }
    let service = Service::of(engine, ApiConfig::default());
    let refused = service.post("/v1/edits", &edit()).await;
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Before the engine, which waits for its jobs.
    drop(held);
    refused
}

/// The answer to a source with one of the fake's special values.
async fn recorded(field: &str, value: u64) -> Answer {
    Service::fake().await.post("/v1/sessions", &with(edit()["source"].clone(), field, value)).await
}

/// The answer of a service whose model computes NaN.
async fn not_finite() -> Answer {
    let health = fake::Health::default();
    let engine = fake::engine_of_health(&health, config()).await;
    health.store(fake::NOT_FINITE, std::sync::atomic::Ordering::Relaxed);
    Service::of(engine, ApiConfig::default()).post("/v1/edits", &edit()).await
}

async fn drained() -> Answer {
    let service = Service::fake().await;
    service.state.engine.drain();
    service.get("/readyz").await
}

async fn ended() -> Answer {
    let service = Service::fake().await;
    let sized = json!({"prompt": "a cat", "width": 64, "height": ENDS});
    assert_eq!(service.post("/v1/sessions", &sized).await.status, 500);
    service.state.engine.ended().await;
    service.get("/readyz").await
}

async fn still_loading() -> Answer {
    let (go, told) = channel::<()>();
    let config = config();
    let parts = parts(&MetricsRegistry::new(), &config);
    let (engine, _loaded) = Engine::start_with(config, parts, move |_| {
        let _ = told.recv();
        Err(LoadError::Model(reprompt::diffusion::ModelError::Tokenizer("none".to_owned())))
    })
    .unwrap();
    let service = Service::of(engine, ApiConfig::default());
    let answer = service.get("/readyz").await;
    // Before the service, which waits for its engine.
    drop(go);
    answer
}

async fn guarded(guard: GuardConfig) -> Service {
    Service::fake_with(STEP, config(), ApiConfig { guard, ..ApiConfig::default() }).await
}

async fn without_key() -> Answer {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "alice the-long-random-key-of-alice\n").unwrap();
    let keys = Some(Arc::new(KeyFile::open(file.path()).unwrap()));
    guarded(GuardConfig { keys, ..GuardConfig::default() }).await.get("/v1/models").await
}

/// The answer of a service without keys on a loopback address to a request for another site's host.
async fn rebound() -> Answer {
    let hosts = Some(Hosts { patterns: Vec::new(), allows_addresses: false });
    let service = guarded(GuardConfig { hosts, ..GuardConfig::default() }).await;
    service.send(Request::get("/v1/sessions").header("host", "rebound.example").body(Body::empty()).unwrap()).await
}

async fn too_often() -> Answer {
    let service = guarded(GuardConfig { requests_per_minute: NonZeroU32::new(2), ..GuardConfig::default() }).await;
    for _ in 0..2 {
        assert_eq!(service.get("/v1/models").await.status, 200);
    }
    service.get("/v1/models").await
}

async fn too_many_jobs() -> Answer {
    let service = guarded(GuardConfig { jobs: 1, ..GuardConfig::default() }).await;
    assert_eq!(service.post_with("/v1/edits", &long(1), &[ASYNC]).await.status, 202);
    service.post("/v1/edits", &edit()).await
}

/// A service that waits so long for bodies, and 150 ms for answers.
async fn limited(body: Duration) -> Service {
    let times = TimeLimits { body, answer: Some(Duration::from_millis(150)) };
    guarded(GuardConfig { times, ..GuardConfig::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_names_a_type_of_this_program() {
    let service = Service::fake().await;
    let fields: Vec<&str> =
        "prompt negative_prompt seed num_inference_steps steps guidance_scale cfg_scale width height \
        size scheduler sampler_name"
            .split(' ')
            .collect();
    let edit_fields: Vec<&str> =
        "source prompt target_prompt edit_type cross_replace_steps self_replace_steps equalizer \
        equalizer_words equalizer_strengths local_blend local_blend_words include_source attention \
        response_format output_format output_compression stream partial_images webhook"
            .split(' ')
            .collect();
    let wrong =
        [json!({}), json!([]), json!([[]]), json!([{}]), json!("x"), json!(-1), json!(1.5), json!(true), json!(1e300)];
    let mut checked = 0;
    for value in &wrong {
        let sources = fields.iter().map(|field| {
            let mut body = edit();
            body["source"] = json!({"prompt": "a cat", *field: value});
            (*field, body)
        });
        let edits = edit_fields.iter().map(|field| {
            (*field, json!({"source": {"prompt": "a cat", "steps": 1}, "prompt": "a dog", *field: value}))
        });
        for (field, body) in sources.chain(edits).collect::<Vec<_>>() {
            let answer = service.post("/v1/edits", &body).await;
            if answer.status == 200 {
                continue;
            }
            let problem = answer.json();
            // The fake has no attention that could be asked for.
            if problem["code"] == "no_attention_maps" {
                continue;
            }
            let detail = problem["detail"].as_str().unwrap();
            for word in [
                "u64",
                "usize",
                "u32",
                "f64",
                "f32",
                "struct",
                "sequence",
                "a map",
                "invalid type",
                "invalid value",
                "invalid length",
                "::",
                "Option",
                "variant",
            ] {
                assert!(!detail.contains(word), "{body}: {detail}");
            }
            let param = problem["param"].as_str().unwrap_or_default();
            assert!(!param.is_empty(), "{field}: {problem}");
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked}");
}
