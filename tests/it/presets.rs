//! Presets: an edit without windows of its own takes those that the model has for its kind, and reports them.

use serde_json::{Value, json};

use crate::support::{Service, config, copy, image};
use reprompt::diffusion::ModelFiles;

/// A service on a fixture model with this profile. The folder is gone when the guard is.
pub async fn service(profile: &Value) -> (Service, tempfile::TempDir) {
    let (guard, folder) = copy("sd2");
    std::fs::write(folder.join("reprompt.json"), profile.to_string()).unwrap();
    (Service::start(ModelFiles::Folder(folder), config()).await, guard)
}

fn profile() -> Value {
    json!({
        "num_inference_steps": 10,
        "vocabulary": {
            "objects": ["cat", "dog"], "colours": ["red", "blue"], "places": ["grass", "beach"], "other": ["a", "on", "the"]
        },
        "presets": {
            "objects": {"cross_replace_steps": 0.5, "self_replace_steps": [0.0, 0.2]},
            "colours": {"cross_replace_steps": 0.3, "self_replace_steps": 0.9},
            "added": {"cross_replace_steps": [0.2, 0.6], "self_replace_steps": 0}
        }
    })
}

fn edit(source: &str, target: &str) -> Value {
    json!({"source": {"prompt": source, "seed": 1}, "prompt": target})
}

/// An edit with more fields.
fn with(mut edit: Value, fields: Value) -> Value {
    edit.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    edit
}

async fn done(service: &Service, body: &Value) -> Value {
    let answer = service.post("/v1/edits", body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.json());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_takes_the_windows_of_its_kind_and_reports_them() {
    let (service, _guard) = service(&profile()).await;
    for (source, target, presets, cross, own) in [
        ("a cat on the grass", "a dog on the grass", json!(["objects"]), json!([0.0, 0.5]), json!([0.0, 0.2])),
        ("a red cat", "a blue cat", json!(["colours"]), json!([0.0, 0.3]), json!([0.0, 0.9])),
        ("a red cat", "a blue dog", json!(["colours", "objects"]), json!([0.0, 0.3]), json!([0.0, 0.2])),
        ("a cat", "a cat on the beach", json!(["added"]), json!([0.2, 0.6]), json!([0.0, 0.0])),
    ] {
        let body = edit(source, target);
        let edited = done(&service, &body).await;
        let from = json!({"cross_replace_steps": "preset", "self_replace_steps": "preset"});
        let wanted = json!({"cross_replace_steps": cross, "self_replace_steps": own, "from": from, "presets": presets});
        assert_eq!(edited["windows"], wanted, "{source} -> {target}");
        // They are used, not only reported.
        let asked = with(body.clone(), json!({"cross_replace_steps": cross, "self_replace_steps": own}));
        let explicit = done(&service, &asked).await;
        assert_eq!(explicit["windows"]["from"]["cross_replace_steps"], "request");
        assert_eq!(explicit["windows"]["presets"], json!([]));
        assert_eq!(image(&edited, "edit"), image(&explicit, "edit"), "{source} -> {target}");
        let published = with(body, json!({"cross_replace_steps": 0.8, "self_replace_steps": 0.4}));
        assert_ne!(image(&edited, "edit"), image(&done(&service, &published).await, "edit"), "{source} -> {target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_windows_and_published_edit_types_use_no_presets() {
    let (service, _guard) = service(&profile()).await;
    let swap = || edit("a cat on the grass", "a dog on the grass");
    let windows = async |fields: Value| done(&service, &with(swap(), fields)).await["windows"].clone();

    let published = windows(json!({"edit_type": "replace"})).await;
    let from = json!({"cross_replace_steps": "default", "self_replace_steps": "default"});
    let wanted =
        json!({"cross_replace_steps": [0.0, 0.8], "self_replace_steps": [0.0, 0.4], "from": from, "presets": []});
    assert_eq!(published, wanted);
    let (typed, asked) =
        (json!({"edit_type": "replace"}), json!({"cross_replace_steps": 0.8, "self_replace_steps": 0.4}));
    let [typed, asked] = [done(&service, &with(swap(), typed)).await, done(&service, &with(swap(), asked)).await];
    assert_eq!(image(&typed, "edit"), image(&asked, "edit"));

    let one = windows(json!({"edit_type": "auto", "self_replace_steps": 0.7})).await;
    assert_eq!((&one["cross_replace_steps"], &one["self_replace_steps"]), (&json!([0.0, 0.5]), &json!([0.0, 0.7])));
    assert_eq!(one["from"], json!({"cross_replace_steps": "preset", "self_replace_steps": "request"}));

    // Windows of words say what holds for the others.
    let words = windows(json!({"cross_replace_steps": {"dog": 0.2, "2": [0.1, 0.4]}})).await;
    assert_eq!(words["cross_replace_steps"], json!({"default_": [0.0, 1.0], "dog": [0.0, 0.2], "2": [0.1, 0.4]}));
    assert_eq!(words["self_replace_steps"], json!([0.0, 0.2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_presets_has_the_published_windows_for_all() {
    let (service, _guard) = service(&json!({})).await;
    let edited = done(&service, &edit("a cat on the grass", "a dog on the grass")).await;
    let from = json!({"cross_replace_steps": "default", "self_replace_steps": "default"});
    let wanted =
        json!({"cross_replace_steps": [0.0, 0.8], "self_replace_steps": [0.0, 0.4], "from": from, "presets": []});
    assert_eq!(edited["windows"], wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_are_in_headers_and_in_alignments_too() {
    let (service, _guard) = service(&profile()).await;
    let body = edit("a cat on the grass", "a griffin on the grass");
    let whole = done(&service, &body).await;
    let bare = service.post_accepting("/v1/edits", &body, "image/png").await;
    for field in ["windows", "warnings"] {
        let header: Value = serde_json::from_str(bare.header(&format!("x-reprompt-{field}"))).unwrap();
        assert_eq!(header, whole[field]);
    }
    let prompts = json!({"source_prompt": "a cat on the grass", "prompt": "a griffin on the grass"});
    let aligned = service.post("/v1/align", &prompts).await.json();
    assert_eq!(aligned["windows"], whole["windows"]);
    assert_eq!(aligned["windows"]["presets"], json!(["objects"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_has_what_edits_of_any_kind_read() {
    let (service, _guard) = service(&profile()).await;
    let source = json!({"source": {"prompt": "a red cat", "seed": 1}});
    let session = service.post("/v1/sessions", &source).await.json();
    let path = format!("/v1/sessions/{}/edits", session["id"].as_str().unwrap());
    // Of self-attention, colours read twice as many steps as edits without a preset do.
    for prompt in ["a blue cat", "a red dog", "a red cat on the beach", "a red cat beach"] {
        let edited = service.post(&path, &json!({"prompt": prompt})).await.json();
        assert_eq!(edited["session"]["recording"], "hit", "{prompt}");
    }
}
