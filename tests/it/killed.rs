//! A process that is killed at any moment: what it had answered is there when it comes back, and right.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::process::Process;
use crate::support::{Service, image};

/// How often the process is killed.
const LIVES: u64 = 20;

fn source(seed: u64) -> Value {
    json!({"prompt": "a cat", "seed": seed, "num_inference_steps": 2, "size": "64x64"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_twenty_times_while_it_records_gives_right_bytes_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let reference = Service::demo().await;
    let mut wanted: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut random = StdRng::seed_from_u64(11);
    let mut answered = Vec::new();
    for life in 0..=LIVES {
        let mut process = Process::ready(&["--recordings-dir", folder]).await;
        let (_, sessions) = process.call("GET", "/v1/sessions", None).unwrap();
        let sessions = sessions["data"].as_array().unwrap().clone();
        for id in &answered {
            assert!(
                sessions.iter().any(|session| session["id"] == *id),
                "{id} was answered before, in life {life} it is gone"
            );
        }
        for session in &sessions {
            let id = session["id"].as_str().unwrap();
            // Files are written once: what was right is looked at again at the end, when it has seen all the kills.
            if wanted.contains_key(id) && life < LIVES {
                continue;
            }
            if !wanted.contains_key(id) {
                let body = json!({"source": source(session["source"]["seed"].as_u64().unwrap()), "prompt": "a dog"});
                wanted.insert(id.to_owned(), image(&reference.post("/v1/edits", &body).await.json(), "edit"));
            }
            let path = format!("/v1/sessions/{id}/edits");
            let (status, edit) = process.call("POST", &path, Some(&json!({"prompt": "a dog"}))).unwrap();
            assert_eq!(status, 200, "{edit}");
            assert!(image(&edit, "edit") == wanted[id], "{id} in life {life}");
        }
        if life == LIVES {
            break;
        }
        let (status, session) = process.call("POST", "/v1/sessions", Some(&source(life))).unwrap();
        assert_eq!(status, 201, "{session}");
        answered.push(session["id"].as_str().unwrap().to_owned());
        let _ = process.begin("POST", "/v1/edits", json!({"source": source(1000 + life), "prompt": "a dog"}));
        tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
        process.signal("KILL");
        process.ended().await;
    }
    assert!(wanted.len() >= answered.len(), "every session that was answered was looked at");
}
