//! Recordings in tiers: an edit has the same bytes from every tier and in every batch, budgets are kept, and deleted
//! sessions are gone.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reprompt::diffusion::weights::embedded;
use reprompt::engine::EngineConfig;
use reprompt::recordings::FileFault;
use reprompt::recordings::Tier;
use reprompt::recordings::{SessionId, SessionLimits};
use serde_json::{Value, json};

use crate::support::{Service, all, config, image};

/// An edit that reads everything there is to read: both windows, maps for a blend.
fn edit(seed: u64) -> Value {
    json!({
        "source": {"prompt": "a cat on the beach", "seed": seed, "num_inference_steps": 5},
        "prompt": "a dog on the beach", "local_blend": true, "cross_replace_steps": {"default_": 0.8, "dog": [0.2, 0.6]},
    })
}

/// Seven other edits: other prompts, steps, guidance, kinds; some of a size of their own.
fn strangers() -> Vec<Value> {
    let source = |prompt: &str, seed: u64, steps: u64| json!({"prompt": prompt, "seed": seed, "steps": steps});
    vec![
        json!({"source": source("a red car in the city", 9, 7), "prompt": "a red bus in the city"}),
        json!({"source": source("a house in the forest", 4, 3), "edit_type": "reweight", "equalizer": [{"word": "forest", "strength": 3}]}),
        json!({"source": source("a big red car", 6, 4), "prompt": "a bus"}),
        json!({"source": source("a penguin in the snow", 3, 6), "prompt": "a penguin in the snow at night"}),
        json!({"source": {"prompt": "a tree", "seed": 5, "steps": 4, "size": "64x96"}, "prompt": "a cactus"}),
        json!({"source": {"prompt": "a blue house", "seed": 8, "steps": 8, "cfg_scale": 2}, "prompt": "a red house"}),
        json!({"source": {"prompt": "a bird", "seed": 1, "steps": 2, "negative_prompt": "night"}, "prompt": "a fish"}),
    ]
}

fn limits(memory_bytes: u64, dir: Option<&Path>) -> EngineConfig {
    let sessions = SessionLimits { memory_bytes, dir: dir.map(Path::to_owned), ..SessionLimits::default() };
    EngineConfig { max_batch_rows: 12, sessions, ..config() }
}

async fn service(config: EngineConfig) -> Service {
    Service::start(embedded::demo(), config).await
}

async fn run(service: &Service, body: &Value) -> (Vec<u8>, String) {
    let answer = service.post("/v1/edits", body).await.json();
    (image(&answer, "edit"), answer["session"]["recording"].as_str().unwrap().to_owned())
}

async fn tier_of(service: &Service, body: &Value) -> (String, String) {
    let id = session_of(service, body).await;
    let shown = service.get(&format!("/v1/sessions/{id}")).await.json();
    (id, shown["tier"].as_str().unwrap_or("none").to_owned())
}

async fn session_of(service: &Service, body: &Value) -> String {
    let sessions = service.get("/v1/sessions").await.json();
    let sessions = sessions["data"].as_array().unwrap();
    let is_it = |session: &&Value| {
        let (is, wanted) = (&session["source"], &body["source"]);
        is["prompt"] == wanted["prompt"] && is["seed"] == wanted["seed"]
    };
    sessions.iter().find(is_it).map_or_else(String::new, |session| session["id"].as_str().unwrap().to_owned())
}

/// Waits until everything that was asked of the store is done.
async fn settled(service: &Service) {
    let store = Arc::clone(service.state.engine.sessions());
    tokio::task::spawn_blocking(move || store.flush()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_has_the_same_bytes_from_every_tier_alone_and_among_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let body = edit(1);
    let plenty = service(limits(1 << 30, None)).await;
    let (wanted, first) = run(&plenty, &body).await;
    assert_eq!((first.as_str(), tier_of(&plenty, &body).await.1.as_str()), ("created", "memory"));
    let bytes = plenty.state.engine.sessions().used(Tier::Memory);

    let check = async |service: &Service, from: &str, recording: &str| {
        assert_eq!(tier_of(service, &body).await.1, from);
        let (found, how) = run(service, &body).await;
        assert!(found == wanted, "from {from} the bytes are others");
        assert_eq!(how, recording, "from {from}");
    };
    check(&plenty, "memory", "hit").await;
    // Every tier in turn, with seven strangers in the batch.
    let among = async |service: &Service| {
        let mut bodies = strangers();
        bodies.push(body.clone());
        let answers = all(service, "/v1/edits", &bodies).await;
        assert!(image(&answers[7], "edit") == wanted, "the bytes depend on what shares the batch");
    };
    among(&plenty).await;

    let on_device = EngineConfig {
        sessions: SessionLimits { device_bytes: bytes, memory_bytes: 4 * bytes, ..SessionLimits::default() },
        ..limits(0, None)
    };
    let on_device = service(on_device).await;
    run(&on_device, &body).await;
    check(&on_device, "device", "hit").await;
    run(&on_device, &edit(2)).await;
    check(&on_device, "memory", "hit").await;
    check(&on_device, "device", "hit").await;
    among(&on_device).await;

    // Memory for one recording: the next one evicts it; its file stays.
    let small = service(limits(bytes + bytes / 2, Some(folder.path()))).await;
    run(&small, &body).await;
    settled(&small).await;
    run(&small, &edit(2)).await;
    check(&small, "disk", "hit").await;
    settled(&small).await;
    run(&small, &edit(2)).await;
    among(&small).await;
    settled(&small).await;
    drop(small);
    // Another process finds the files.
    let again = service(limits(1 << 30, Some(folder.path()))).await;
    check(&again, "disk", "hit").await;
    drop(again);
    let again = service(limits(1 << 30, Some(folder.path()))).await;
    among(&again).await;
    drop(again);

    // No files: only the trajectory is left, then only the source.
    let small = service(limits(bytes + bytes / 2, None)).await;
    run(&small, &body).await;
    run(&small, &edit(2)).await;
    check(&small, "trajectory", "replayed").await;
    run(&small, &edit(2)).await;
    among(&small).await;
    let trajectory_bytes = small.get(&format!("/v1/sessions/{}", tier_of(&small, &body).await.0)).await.json();
    let trajectory_bytes = trajectory_bytes["bytes"]["trajectory"].as_u64().unwrap();
    let smaller = SessionLimits { trajectory_bytes, memory_bytes: bytes * 2, ..SessionLimits::default() };
    let smaller = service(EngineConfig { sessions: smaller, ..limits(0, None) }).await;
    run(&smaller, &body).await;
    run(&smaller, &edit(2)).await;
    check(&smaller, "source", "replayed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_grows_when_an_edit_asks_for_more_of_it() {
    let service = service(limits(1 << 30, None)).await;
    let with = |cross: f64, own: f64| {
        let mut body = edit(1);
        (body["cross_replace_steps"], body["self_replace_steps"]) = (json!(cross), json!(own));
        body["local_blend"] = json!(false);
        body
    };
    let used = || service.state.engine.sessions().used(Tier::Memory);
    let (_, how) = run(&service, &with(0.4, 0.0)).await;
    let little = used();
    assert_eq!(how, "created");
    let (more, how) = run(&service, &with(0.8, 0.4)).await;
    assert_eq!(how, "replayed");
    assert!(used() > little, "what was computed again is kept");
    let grown = used();
    assert_eq!(run(&service, &with(0.8, 0.4)).await, (more.clone(), "hit".to_owned()));
    assert_eq!(run(&service, &with(0.4, 0.2)).await.1, "hit");
    assert_eq!(used(), grown);
    let fresh = self::service(limits(1 << 30, None)).await;
    assert_eq!(run(&fresh, &with(0.8, 0.4)).await.0, more);
    assert_eq!(fresh.state.engine.sessions().used(Tier::Memory), grown, "however it came to be there");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_found_counted_and_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let body = edit(1);
    let first = service(limits(1 << 30, Some(folder.path()))).await;
    let wanted = run(&first, &body).await.0;
    settled(&first).await;
    drop(first);
    let files = || {
        let mut files = Vec::new();
        let mut folders = vec![folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
            }
        }
        files.retain(|file| file.extension().is_some_and(|extension| extension == "safetensors"));
        files.sort();
        files
    };
    assert!(files().len() > 5, "{:?}", files());
    for (at, damage) in [(0, "flip"), (1, "cut"), (files().len() - 1, "flip"), (files().len() - 1, "cut")] {
        let file = files()[at].clone();
        let mut bytes = std::fs::read(&file).unwrap();
        match damage {
            "flip" => {
                let middle = bytes.len() - bytes.len() / 3;
                bytes[middle] ^= 1;
            }
            _ => bytes.truncate(bytes.len() / 2),
        }
        std::fs::write(&file, bytes).unwrap();
        let again = service(limits(1 << 30, Some(folder.path()))).await;
        assert_eq!(run(&again, &body).await, (wanted.clone(), "replayed".to_owned()), "{damage} {}", file.display());
        let refused = &again.state.engine.sessions().metrics().files_refused;
        let refused = refused.with(FileFault::Damaged).get() + refused.with(FileFault::Truncated).get();
        assert_eq!(refused, 1, "{damage} {}", file.display());
        settled(&again).await;
    }
    let whole = service(limits(1 << 30, Some(folder.path()))).await;
    assert_eq!(run(&whole, &body).await, (wanted, "hit".to_owned()), "what was computed again is in files again");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_empties_every_tier_and_old_sessions_expire() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = limits(1 << 30, Some(folder.path()));
    config.sessions.ttl = Some(Duration::from_secs(3600));
    let service = service(config).await;
    run(&service, &edit(1)).await;
    run(&service, &edit(2)).await;
    settled(&service).await;
    let store = Arc::clone(service.state.engine.sessions());
    let held = || [Tier::Memory, Tier::Disk, Tier::Trajectory].map(|tier| store.used(tier));
    let both = held();
    assert!(both.iter().all(|&bytes| bytes > 0), "{both:?}");
    let id = session_of(&service, &edit(1)).await;
    assert_eq!(service.delete(&format!("/v1/sessions/{id}")).await.status, 204);
    assert_eq!([held()[0] * 2, held()[2] * 2], [both[0], both[2]], "one of two is left");
    assert_eq!(held()[1], walk(folder.path()), "and of the files");
    assert!(held()[1] < both[1] * 6 / 10);
    let now = SystemTime::now();
    store.sweep(now + Duration::from_secs(3000));
    assert!(store.view(&SessionId::from_client(&session_of(&service, &edit(2)).await)).is_some());
    store.sweep(now + Duration::from_secs(3700));
    settled(&service).await;
    assert_eq!(held(), [0, 0, 0]);
    assert_eq!(service.get("/v1/sessions").await.json()["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sessions_live_within_budgets_for_ten() {
    let body = |seed: u64| json!({"source": {"prompt": "a cat", "seed": seed, "steps": 2, "size": "64x64"}, "prompt": "a dog"});
    let probe = service(limits(1 << 30, None)).await;
    run(&probe, &body(0)).await;
    let one = |tier| probe.state.engine.sessions().used(tier);
    let folder = tempfile::tempdir().unwrap();
    let sessions = SessionLimits {
        memory_bytes: 10 * one(Tier::Memory),
        trajectory_bytes: 20 * one(Tier::Trajectory),
        disk_bytes: 30 * one(Tier::Memory),
        dir: Some(folder.path().to_owned()),
        ..SessionLimits::default()
    };
    let small = service(EngineConfig { sessions, ..limits(0, None) }).await;
    let within = |at: u64| {
        for tier in [Tier::Memory, Tier::Disk, Tier::Trajectory] {
            let store = small.state.engine.sessions();
            assert!(store.peak(tier) <= store.limit(tier), "{tier:?} after {at}");
        }
    };
    let mut wanted = Vec::new();
    for seed in 0..200 {
        wanted.push(run(&small, &body(seed)).await.0);
        within(seed);
    }
    settled(&small).await;
    let on_disk: u64 = walk(folder.path());
    assert_eq!(on_disk, small.state.engine.sessions().used(Tier::Disk), "what is counted is what lies there");
    for (seed, wanted) in wanted.iter().enumerate() {
        let id = session_of(&small, &body(seed as u64)).await;
        let path = format!("/v1/sessions/{id}/edits");
        let answer = small.post(&path, &json!({"prompt": "a dog"})).await.json();
        assert!(image(&answer, "edit") == *wanted, "session {seed}");
        within(seed as u64);
    }
}

fn walk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}
