//! Every code of a problem, as a client sees it: made by a request and held to its snapshot in `codes/`.
//!
//! A code without a snapshot fails. `INSTA_UPDATE=always cargo test --release codes` writes them anew.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use reprompt::api::ApiConfig;
use reprompt::api::guard::GuardConfig;
use reprompt::api::guard::api_keys::file::KeyFile;
use reprompt::api::guard::timeouts::TimeLimits;
use reprompt::api::problem::Code;
use reprompt::diffusion::weights::embedded;
use reprompt::engine::{Engine, EngineConfig, JobOptions, LoadError, Stage};
use reprompt::recordings::SessionLimits;
use reprompt::telemetry::metrics::MetricsRegistry;
use serde_json::{Value, json};

use crate::fake::{self, BREAKS, ENDS, FAILS};
use crate::support::{Answer, Service, config};
use crate::waiting::{ASYNC, long, swap, until, with};

/// What has been made so far.
#[derive(Default)]
struct Made(BTreeSet<String>);

impl Made {
    /// Holds an answer to the snapshot of its code.
    fn add(&mut self, code: Code, answer: &Answer) {
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
        assert!(self.0.insert(code.as_str().to_owned()), "{} is made twice", code.as_str());
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn every_code_is_told_as_its_snapshot_says() {
    let mut made = Made::default();
    of_the_request(&mut made).await;
    of_what_is_asked_for(&mut made).await;
    of_time(&mut made).await;
    of_the_service(&mut made).await;
    of_the_caller(&mut made).await;

    let all: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    let missing: Vec<_> = all.difference(&made.0).collect();
    assert!(missing.is_empty(), "no request makes these codes: {missing:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/codes");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let snapshots: BTreeSet<_> = files.filter_map(|name| name.strip_suffix(".snap").map(str::to_owned)).collect();
    assert_eq!(snapshots, all, "there is one snapshot for each code");
}

/// What is wrong with a request before its fields are looked at.
async fn of_the_request(made: &mut Made) {
    let service = Service::demo().await;
    made.add(Code::InvalidJson, &service.send(raw("application/json", b"{\"source\":".to_vec())).await);
    made.add(Code::UnsupportedMediaType, &service.send(raw("text/plain", b"{}".to_vec())).await);
    made.add(Code::BodyTooLarge, &service.send(raw("application/json", vec![b' '; 1024 * 1024 + 1])).await);
    made.add(Code::NotFound, &service.get("/v1/nothing").await);
    made.add(Code::MethodNotAllowed, &service.get("/v1/edits").await);
    made.add(Code::SessionNotFound, &service.get("/v1/sessions/ses_0").await);
    made.add(Code::ModelNotFound, &service.get("/v1/models/another").await);
    made.add(Code::JobNotFound, &service.get("/v1/jobs/job_0").await);
    made.add(Code::NotAcceptable, &service.post_accepting("/v1/edits", &edit(), "text/html").await);
    let soon = service.post_with("/v1/edits", &edit(), &[("cancel-after", "soon")]).await;
    made.add(Code::InvalidHeader, &soon);
    let hook = edit_with("webhook", json!("https://example.com/hook"));
    made.add(Code::WebhookNotAllowed, &service.post_with("/v1/edits", &hook, &[ASYNC]).await);
    let key = [("idempotency-key", "one")];
    assert_eq!(service.post_with("/v1/edits", &edit(), &key).await.status, 200);
    made.add(Code::IdempotencyKeyReused, &service.post_with("/v1/edits", &swap(2, 4), &key).await);
}

/// What is wrong with the fields of an edit.
async fn of_what_is_asked_for(made: &mut Made) {
    let service = Service::demo().await;
    let equalized = |strength: Value| edit_with("equalizer", json!([{"word": "dog", "strength": strength}]));
    #[rustfmt::skip]
    let cases = [
        (Code::UnknownField, edit_with("localblend", json!(true))),
        (Code::MissingField, json!({"source": {"seed": 1}, "prompt": "a dog on the beach"})),
        (Code::InvalidValue, source_with("seed", json!(-2))),
        (Code::EmptyPrompt, edit_with("prompt", json!(""))),
        (Code::PromptTooLong, edit_with("prompt", json!(["dog"; 88].join(" ")))),
        (Code::UnsupportedSize, source_with("size", json!("100x100"))),
        (Code::WordNotFound, edit_with("equalizer", json!([{"word": "dgo", "strength": 2}]))),
        (Code::ReplaceWordCount, with(edit_with("prompt", json!("a big dog on the beach")), "edit_type", "replace")),
        (Code::ReweightChangesPrompt, edit_with("edit_type", json!("reweight"))),
        (Code::InvalidWindow, edit_with("cross_replace_steps", json!([0.9, 0.1]))),
        (Code::WindowSelectsNoStep, edit_with("self_replace_steps", json!([0.3, 0.4]))),
        (Code::InvalidStrength, equalized(json!(1e300))),
        (Code::EqualizerNoEffect, with(equalized(json!(2)), "cross_replace_steps", 0)),
        (Code::LocalBlendNoWords, with(edit_with("prompt", json!("a cat on the beach")), "local_blend", true)),
        (Code::InvalidThreshold, blend("threshold", json!(1.0))),
        (Code::InvalidStart, blend("start", json!(1.0))),
        (Code::Diverged, equalized(json!(1e38))),
    ];
    for (code, body) in cases {
        made.add(code, &service.post("/v1/edits", &body).await);
    }
    let sessions = SessionLimits { memory_bytes: 1000, ..SessionLimits::default() };
    let small = Service::start(embedded::demo(), EngineConfig { sessions, ..config() }).await;
    made.add(Code::SourceTooLarge, &small.post("/v1/edits", &edit()).await);

    let without_maps = Service::of(fake::engine(Duration::ZERO, config()).await, ApiConfig::default());
    let session = without_maps.post("/v1/sessions", &edit()["source"]).await.json();
    let path = format!("/v1/sessions/{}/attention?word=cat", session["id"].as_str().unwrap());
    made.add(Code::NoAttentionMaps, &without_maps.get(&path).await);
}

/// What takes too long, or is taken away.
async fn of_time(made: &mut Made) {
    let slow = async || Service::of(fake::engine(Duration::from_millis(20), config()).await, ApiConfig::default());
    let service = slow().await;
    let late = service.post_with("/v1/edits", &swap(1, 900), &[("cancel-after", "100ms")]).await;
    made.add(Code::DeadlineExceeded, &late);

    let key = ("idempotency-key", "one");
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { service.post_with("/v1/edits", &swap(2, 900), &[key]).await }
    });
    let jobs = async || service.get("/v1/jobs").await.json()["data"].as_array().unwrap().clone();
    until("the job", async || !jobs().await.is_empty()).await;
    let path = format!("/v1/jobs/{}", jobs().await[0]["id"].as_str().unwrap());
    assert_eq!(service.delete(&path).await.status, 200);
    made.add(Code::JobCanceled, &waiting.await.unwrap());

    let limits = EngineConfig { queue_limit: 2, max_batch_rows: 2, ..config() };
    let engine = fake::engine(Duration::from_millis(20), limits).await;
    let mut held = vec![engine.submit(fake::record(0, 900), JobOptions::default()).unwrap()];
    // Its place in the queue is free once it has started.
    held[0].progress().wait_for(|progress| progress.stage == Stage::Running).await.unwrap();
    while let Ok(handle) = engine.submit(fake::record(held.len() as u64, 900), JobOptions::default()) {
        held.push(handle);
        assert!(held.len() < 100, "a queue of two fills up");
    }
    let full = Service::of(engine, ApiConfig::default());
    let refused = full.post("/v1/edits", &edit()).await;
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    made.add(Code::QueueFull, &refused);
    // Before the engine, which waits for its jobs.
    drop(held);
}

/// What the service is to blame for.
async fn of_the_service(made: &mut Made) {
    let fake = async || Service::of(fake::engine(Duration::ZERO, config()).await, ApiConfig::default());
    let session = |field: &str, value: usize| with(edit()["source"].clone(), field, value);
    let service = fake().await;
    let failing = usize::try_from(FAILS).unwrap();
    made.add(Code::Internal, &service.post("/v1/sessions", &session("seed", failing)).await);
    service.state.engine.drain();
    made.add(Code::Draining, &service.get("/readyz").await);

    let service = fake().await;
    let breaking = usize::try_from(BREAKS).unwrap();
    made.add(Code::DeviceLost, &service.post("/v1/sessions", &session("seed", breaking)).await);

    let service = fake().await;
    let sized = json!({"prompt": "a cat", "width": 64, "height": ENDS});
    assert_eq!(service.post("/v1/sessions", &sized).await.status, 500);
    service.state.engine.ended().await;
    made.add(Code::WorkerStalled, &service.get("/readyz").await);

    let (go, told) = channel::<()>();
    let (engine, _loaded) = Engine::start_with(config(), &MetricsRegistry::new(), move |_| {
        let _ = told.recv();
        Err(LoadError::Model(reprompt::diffusion::ModelError::Tokenizer("none".to_owned())))
    })
    .unwrap();
    let loading = Service::of(engine, ApiConfig::default());
    made.add(Code::Loading, &loading.get("/readyz").await);
    drop(go);
}

/// What a service that is guarded says to those who call.
async fn of_the_caller(made: &mut Made) {
    let guarded = async |guard: GuardConfig| {
        Service::with_api(embedded::demo(), config(), ApiConfig { guard, ..ApiConfig::default() }).await
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "alice the-long-random-key-of-alice\n").unwrap();
    let keys = Some(Arc::new(KeyFile::open(file.path()).unwrap()));
    let service = guarded(GuardConfig { keys, ..GuardConfig::default() }).await;
    made.add(Code::Unauthorized, &service.get("/v1/models").await);

    let requests_per_minute = NonZeroU32::new(2);
    let service = guarded(GuardConfig { requests_per_minute, ..GuardConfig::default() }).await;
    while service.get("/v1/models").await.status != 429 {}
    made.add(Code::RateLimited, &service.get("/v1/models").await);

    let service = guarded(GuardConfig { jobs: 1, ..GuardConfig::default() }).await;
    assert_eq!(service.post_with("/v1/edits", &long(1), &[ASYNC]).await.status, 202);
    made.add(Code::TooManyConcurrent, &service.post("/v1/edits", &edit()).await);

    let times = TimeLimits { body: Duration::from_millis(50), answer: Some(Duration::from_millis(150)) };
    let service = guarded(GuardConfig { times, ..GuardConfig::default() }).await;
    made.add(Code::AnswerTimeout, &service.post("/v1/edits", &long(1)).await);
    let never = Body::from_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
    let unsent = Request::post("/v1/edits").header(header::CONTENT_TYPE, "application/json").body(never).unwrap();
    made.add(Code::RequestTimeout, &service.send(unsent).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_names_a_type_of_this_program() {
    let service = Service::demo().await;
    let fields = [
        "prompt",
        "negative_prompt",
        "seed",
        "num_inference_steps",
        "steps",
        "guidance_scale",
        "cfg_scale",
        "width",
        "height",
        "size",
        "scheduler",
        "sampler_name",
    ];
    let edit_fields = [
        "source",
        "prompt",
        "target_prompt",
        "edit_type",
        "cross_replace_steps",
        "self_replace_steps",
        "equalizer",
        "equalizer_words",
        "equalizer_strengths",
        "local_blend",
        "local_blend_words",
        "include_source",
        "attention",
        "response_format",
        "output_format",
        "output_compression",
        "stream",
        "partial_images",
        "webhook",
    ];
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
