//! Edits and sessions over HTTP: the answers, and that they do not depend on other requests.

use serde_json::{Value, json};

use crate::support::{STEP, Service, all, config, difference, image, pixels, until};
use reprompt::api::ApiConfig;
use reprompt::diffusion::weights::embedded;
use reprompt::engine::{EngineConfig, EngineError, JobOptions, Stage, Work};
use reprompt::recordings::Tier;
use reprompt::recordings::{Origin, SessionLimits, Source};

fn source(seed: u64) -> Value {
    json!({"prompt": "a cat on the beach", "seed": seed, "num_inference_steps": 5})
}

fn swap(seed: u64) -> Value {
    json!({"source": source(seed), "prompt": "a dog on the beach"})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edits_answer_says_what_was_done() {
    let service = Service::demo().await;
    let mut body = swap(1);
    body["include_source"] = true.into();
    let answer = service.post("/v1/edits", &body).await;
    let edit = answer.json();
    assert_eq!(answer.status, 200, "{edit}");
    assert_eq!((&edit["object"], &edit["model"]), (&json!("edit"), &json!("reprompt-demo")));
    assert!(edit["id"].as_str().unwrap().starts_with("edit_"));
    assert!(edit["session"]["id"].as_str().unwrap().starts_with("ses_"));
    assert_eq!(edit["session"]["recording"], "created");
    assert_eq!((&edit["seed"], &edit["size"]), (&json!(1), &json!("128x128")));
    assert_eq!((&edit["edit_type"], &edit["output_format"]), (&json!("replace"), &json!("png")));
    let swapped =
        json!({"target": "dog", "source": "cat", "relation": "replaced", "target_tokens": [2], "source_tokens": [2]});
    assert!(edit["alignment"].as_array().unwrap().contains(&swapped), "{edit}");
    let roles: Vec<_> = edit["data"].as_array().unwrap().iter().map(|data| &data["role"]).collect();
    assert_eq!(roles, ["source", "edit"]);
    let millis = |part: &str| edit["timings_ms"][part].as_f64().unwrap_or_else(|| panic!("{part}: {edit}"));
    for part in ["encode", "denoise", "decode"] {
        assert!(millis(part) > 0.0, "{part} took no time: {edit}");
    }
    let parts: f64 = ["queue", "encode", "denoise", "decode"].map(millis).iter().sum();
    assert!(parts <= millis("total"), "the parts take longer than the whole: {edit}");
    let (max, _) = difference(&image(&edit, "source"), &image(&edit, "edit"));
    assert!(max > 50, "the edit shows");

    let again = service.post("/v1/edits", &body).await.json();
    assert_eq!(again["session"]["recording"], "hit");
    assert_eq!(image(&again, "edit"), image(&edit, "edit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_may_come_bare_with_the_rest_in_headers() {
    let service = Service::demo().await;
    let whole = service.post("/v1/edits", &swap(1)).await.json();
    let bare = service.post_accepting("/v1/edits", &swap(1), "image/png").await;
    assert_eq!(bare.header("content-type"), "image/png");
    assert_eq!(pixels(&bare.body), image(&whole, "edit"));
    assert_eq!(bare.header("x-reprompt-session"), whole["session"]["id"]);
    assert_eq!((bare.header("x-reprompt-seed"), bare.header("x-reprompt-recording")), ("1", "hit"));
    let alignment: Value = serde_json::from_str(bare.header("x-reprompt-alignment")).unwrap();
    assert_eq!(alignment, whole["alignment"]);
    for format in ["jpeg", "webp"] {
        let bare = service.post_accepting("/v1/edits", &swap(1), &format!("image/{format}")).await;
        assert_eq!(bare.header("content-type"), format!("image/{format}"));
        let mut body = swap(1);
        body["output_format"] = format.into();
        let (max, _) = difference(&image(&service.post("/v1/edits", &body).await.json(), "edit"), &pixels(&bare.body));
        assert_eq!(max, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_recorded_once_and_edited_many_times() {
    let service = Service::demo().await;
    let created = service.post("/v1/sessions", &json!({"source": source(2)})).await;
    let session = created.json();
    assert_eq!((created.status.as_u16(), &session["recording"]), (201, &json!("created")), "{session}");
    let id = session["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("/v1/sessions/{id}"));
    // The source's fields may be at the top, and explicit defaults make the same source.
    let flat = json!({"prompt": "a cat on the beach", "seed": 2, "steps": 5, "size": "128x128", "scheduler": "ddim"});
    let again = service.post("/v1/sessions", &flat).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["recording"], &again.json()["id"]),
        (200, &json!("hit"), &json!(id))
    );

    let shown = service.get(&format!("/v1/sessions/{id}")).await.json();
    assert_eq!((&shown["tier"], &shown["source"]["prompt"]), (&json!("memory"), &json!("a cat on the beach")));
    assert_eq!((&shown["source"]["guidance_scale"], &shown["hits"]), (&json!(5.0), &json!(1)));
    assert!(shown["bytes"]["memory"].as_u64().unwrap() > 100_000);
    assert_eq!(service.get("/v1/sessions").await.json()["data"][0]["id"], json!(id));
    let picture = service.get(&format!("/v1/sessions/{id}/image")).await;
    assert_eq!(pixels(&picture.body), image(&session, "source"));

    let path = format!("/v1/sessions/{id}/edits");
    let in_session = service.post(&path, &json!({"prompt": "a dog on the beach"})).await.json();
    assert_eq!(in_session["session"], json!({"id": id, "recording": "hit"}));
    assert_eq!(image(&in_session, "edit"), image(&service.post("/v1/edits", &swap(2)).await.json(), "edit"));
    let stray = service.post(&path, &swap(2)).await.json();
    assert_eq!((&stray["code"], &stray["param"]), (&json!("unknown_field"), &json!("source")));

    assert_eq!(service.delete(&format!("/v1/sessions/{id}")).await.status, 204);
    assert_eq!(service.get(&format!("/v1/sessions/{id}")).await.status, 404);
    assert_eq!(service.post("/v1/sessions", &flat).await.json()["recording"], "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_equal_to_its_source_is_the_source_byte_for_byte() {
    let service = Service::demo().await;
    let plain = image(&service.post("/v1/sessions", &json!({"source": source(3)})).await.json(), "source");
    for edit_type in ["auto", "replace", "refine", "reweight"] {
        let mut body = json!({"source": source(3), "prompt": "a cat on the beach", "edit_type": edit_type});
        body["cross_replace_steps"] = json!({"default_": 0.6, "cat": [0.2, 0.4]});
        assert_eq!(image(&service.post("/v1/edits", &body).await.json(), "edit"), plain, "{edit_type}");
    }
    let mut body = json!({"source": source(3), "prompt": "a cat on the beach"});
    body["equalizer"] = json!([{"word": "cat", "strength": -1}]);
    assert_ne!(image(&service.post("/v1/edits", &body).await.json(), "edit"), plain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_gives_the_same_bytes_alone_and_among_strangers() {
    let alone = Service::demo().await;
    let jobs: Vec<Value> = [
        swap(1),
        json!({"source": source(1), "prompt": "a cat on the beach at night"}),
        json!({"source": {"prompt": "a red car in the city", "seed": 9, "steps": 7, "cfg_scale": 3}, "prompt": "a red bus in the city", "local_blend": true}),
        json!({"source": {"prompt": "a house in the forest", "seed": 4, "steps": 3}, "edit_type": "reweight", "equalizer": [{"word": "forest", "strength": 3}]}),
        json!({"source": {"prompt": "a tree", "seed": 5, "steps": 4, "size": "64x96"}, "prompt": "a cactus"}),
        json!({"source": {"prompt": "a big red car", "seed": 6, "steps": 4}, "prompt": "a bus"}),
    ]
    .into();
    let mut wanted = Vec::new();
    for job in &jobs {
        wanted.push(image(&alone.post("/v1/edits", job).await.json(), "edit"));
    }
    let crowded = Service::start(embedded::demo(), EngineConfig { max_batch_rows: 16, ..config() }).await;
    let answers = all(&crowded, "/v1/edits", &jobs).await;
    for ((answer, wanted), job) in answers.iter().zip(&wanted).zip(&jobs) {
        assert!(image(answer, "edit") == *wanted, "{job} depends on what shares its batch");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_edits_of_one_source_record_it_once() {
    let service = Service::slow().await;
    let jobs = ["a dog on the beach", "a horse on the beach", "a cat in the snow"]
        .map(|prompt| json!({"source": source(8), "prompt": prompt}));
    let answers = all(&service, "/v1/edits", &jobs).await;
    let created = answers.iter().filter(|answer| answer["session"]["recording"] == "created").count();
    assert_eq!(created, 1, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_aligns_words_of_unequal_numbers() {
    let service = Service::fake().await;
    let align = async |source: &str, target: &str| {
        let body = json!({"source_prompt": source, "prompt": target});
        let answer = service.post("/v1/align", &body).await.json();
        let words = answer["alignment"].as_array().unwrap().clone();
        let changed = words.into_iter().filter(|word| word["relation"] != "kept");
        let short = changed.map(|word| {
            json!([word["source"], word["target"], word["relation"], word["source_tokens"], word["target_tokens"]])
        });
        (answer["edit_type"].clone(), Value::from_iter(short))
    };
    assert_eq!(
        align("a cat", "a polar bear").await,
        (json!("auto"), json!([["cat", "polar bear", "replaced", [2], [2, 3, 4, 5, 6, 7, 8, 9]]]))
    );
    assert_eq!(
        align("a big red car", "a bus").await,
        (json!("auto"), json!([["big red car", "bus", "replaced", [2, 3, 4, 5, 6], [2]]]))
    );
    let (edit_type, words) = align("a cat in the snow", "a cat in the snow at night").await;
    assert_eq!(
        (edit_type, words),
        (json!("refine"), json!([[null, "at", "added", [], [6]], [null, "night", "added", [], [7]]]))
    );
    let (edit_type, words) = align("a cat", "A dog").await;
    assert_eq!((edit_type, words), (json!("replace"), json!([["cat", "dog", "replaced", [2], [2]]])));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_budget_is_kept_and_what_is_evicted_is_computed_again() {
    let service = Service::demo().await;
    let edit = json!({"prompt": "a dog on the beach", "cross_replace_steps": 0.8, "self_replace_steps": 0.4});
    let swap = |seed| {
        let mut body = edit.clone();
        body["source"] = source(seed);
        body
    };
    let one = service.post("/v1/edits", &swap(1)).await.json();
    let path = format!("/v1/sessions/{}", one["session"]["id"].as_str().unwrap());
    let bytes = service.get(&path).await.json()["bytes"]["memory"].as_u64().unwrap();
    let budget = bytes * 2 + bytes / 2;
    let small = Service::start(embedded::demo(), limited(budget)).await;
    let used = || small.state.engine.sessions().used(Tier::Memory);
    let mut first = String::new();
    for seed in 1..=4 {
        let session = small.post("/v1/edits", &swap(seed)).await.json();
        assert!(used() <= budget);
        if seed == 1 {
            first = session["session"]["id"].as_str().unwrap().to_owned();
        }
    }
    assert_eq!(used(), 2 * bytes);
    let shown = small.get(&format!("/v1/sessions/{first}")).await.json();
    assert_eq!((&shown["tier"], &shown["bytes"]["memory"]), (&json!("trajectory"), &json!(0)));
    let again = small.post(&format!("/v1/sessions/{first}/edits"), &edit).await.json();
    assert_eq!(again["session"]["recording"], "replayed");
    let wanted = image(&service.post("/v1/edits", &swap(1)).await.json(), "edit");
    assert_eq!(image(&again, "edit"), wanted);

    // Less than one recording: its attention is streamed, a few steps at a time.
    let tiny = Service::start(embedded::demo(), limited(bytes - 1)).await;
    let passing = tiny.post("/v1/edits", &swap(1)).await.json();
    assert_eq!(image(&passing, "edit"), wanted);
    assert_eq!(tiny.state.engine.sessions().used(Tier::Memory), 0);

    let too_small = Service::start(embedded::demo(), limited(1000)).await;
    let refused = too_small.post("/v1/edits", &swap(1)).await.json();
    assert_eq!((&refused["code"], &refused["param"]), (&json!("source_too_large"), &json!("source")));
    let plain = too_small.post("/v1/sessions", &json!({"source": source(1)})).await;
    assert_eq!(plain.status, 201, "the service serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_deleted_while_it_is_recorded_stays_deleted() {
    let service = Service::slow().await;
    let id =
        service.post("/v1/sessions", &json!({"source": source(1)})).await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{id}");
    assert_eq!(service.delete(&path).await.status, 204);
    let running = service.clone();
    let job = tokio::spawn(async move { running.post("/v1/edits", &swap(1)).await });
    until("the session to be there again", async || service.delete(&path).await.status == 204).await;
    assert_eq!(job.await.unwrap().status, 200);
    assert_eq!(service.get(&path).await.status, 404);
    assert_eq!(service.state.engine.sessions().used(Tier::Memory), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_other_services_mean_the_same() {
    let service = Service::fake().await;
    let flat = json!({"source_prompt": "a cat on the beach", "target_prompt": "a dog on the beach", "steps": 5,
                      "cfg_scale": 4, "seed": 1, "sampler_name": "ddim"});
    let nested = json!({"source": {"prompt": "a cat on the beach", "num_inference_steps": 5, "guidance_scale": 4.0,
                        "seed": 1, "scheduler": "ddim"}, "prompt": "a dog on the beach"});
    let (flat, nested) =
        (service.post("/v1/edits", &flat).await.json(), service.post("/v1/edits", &nested).await.json());
    assert_eq!(flat["session"]["id"], nested["session"]["id"]);
    assert_eq!(nested["session"]["recording"], "hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_may_name_its_word_by_index() {
    let service = Service::demo().await;
    let with = async |key: &str| {
        let mut body = swap(1);
        body["cross_replace_steps"] = json!({"default_": 0.8, key: 0.2});
        image(&service.post("/v1/edits", &body).await.json(), "edit")
    };
    assert_eq!(with("1").await, with("dog").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_evict_each_other_are_still_answered() {
    let sessions = SessionLimits { max_sessions: 1, ..SessionLimits::default() };
    let service = Service::fake_with(STEP, EngineConfig { sessions, ..config() }, ApiConfig::default()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..4 {
        let service = service.clone();
        tasks.spawn(async move { service.post("/v1/sessions", &json!({"source": source(seed)})).await.status });
    }
    assert!(tasks.join_all().await.into_iter().all(|status| status == 201));
    assert_eq!(service.get("/v1/sessions").await.json()["data"].as_array().unwrap().len(), 1);
}

fn limited(memory_bytes: u64) -> EngineConfig {
    EngineConfig { sessions: SessionLimits { memory_bytes, ..SessionLimits::default() }, ..config() }
}

fn long_work(seed: u64) -> Work {
    let source = Source { guidance_scale: 5.0, ..Source::new("a cat", Origin::Seed(seed), 200, (64, 64)) };
    Work::Record { source: crate::fake::prepared(source) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_says_when_to_retry() {
    let config = EngineConfig { queue_limit: 1, max_batch_rows: 2, ..config() };
    let service = Service::fake_with(STEP, config, ApiConfig::default()).await;
    let engine = &service.state.engine;
    let mut held = vec![engine.submit(long_work(0), JobOptions::default()).unwrap()];
    // Its place in the queue is free once it has started.
    held[0].progress().wait_for(|progress| progress.stage == Stage::Running).await.unwrap();
    let refused = loop {
        match engine.submit(long_work(held.len() as u64), JobOptions::default()) {
            Ok(handle) => held.push(handle),
            Err(error) => break error,
        }
        assert!(held.len() < 10, "a queue of one fills up");
    };
    assert!(matches!(refused, EngineError::QueueFull { waiting: 1, .. }), "{refused:?}");
    let answer = service.post("/v1/edits", &swap(1)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (429, Some("queue_full")));
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Dropping the handles cancels their jobs, which frees their queue slots at once.
    drop(held);
    until("the service to serve on", async || service.post("/v1/edits", &swap(1)).await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_was_taken_and_refuses_the_rest() {
    let service = Service::slow().await;
    assert_eq!(service.get("/readyz").await.json()["status"], "ready");
    let running = service.clone();
    let job = tokio::spawn(async move { running.post("/v1/edits", &crate::waiting::swap(1, 50)).await });
    until("the job to run", async || service.state.engine.metrics().running_jobs.get() == 1).await;
    service.state.engine.drain();
    let ready = service.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.json()["code"].as_str()), (503, Some("draining")));
    assert_eq!(service.get("/healthz").await.status, 200);
    assert_eq!(service.post("/v1/edits", &swap(2)).await.json()["code"], "draining");
    assert!(!job.is_finished(), "the job still runs");
    assert_eq!(job.await.unwrap().status, 200);
}

#[test]
fn the_checked_in_contract_is_the_one_that_the_code_makes() {
    let checked_in =
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.yaml")).unwrap();
    assert!(
        checked_in == reprompt::api::openapi::yaml(),
        "openapi.yaml is not what the code makes: `cargo run --release -- openapi > openapi.yaml`"
    );
}
