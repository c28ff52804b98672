//! An example of every answer; tests check them against the schemas.

use serde_json::{Map, Value, json};

use crate::api::delivery::sse::names::{COMPLETED, PARTIAL_IMAGE};
use crate::api::openapi::{object, operation};
use crate::api::operations::images::response::{BACKGROUND, QUALITY};
use crate::api::problem::Dialect;
use crate::api::routes::table::Endpoint;

const SESSION: &str = "ses_8b1a9953c4611296a827abf8c47804d7";
const JOB: &str = "job_5d41402abc4b2a76b9719d911017c592";
const CREATED: u64 = 1_790_000_000;
/// The beginning of a PNG.
const FILE: &str = "iVBORw0KGgoAAAANSUhEUgAAAIAAAACACAIAAAA=";

/// Adds the examples to all responses that are not images.
pub(super) fn complete(document: &mut Value) {
    for endpoint in Endpoint::ALL.iter().filter(|endpoint| endpoint.route().operation_id.is_some()) {
        for (status, response) in object(&mut operation(document, &endpoint.route())["responses"]) {
            for (media, content) in response.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten() {
                if media == "text/event-stream" {
                    content["examples"] = events(*endpoint).into_iter().map(named_event).collect::<Map<_, _>>().into();
                } else if let (Some(example), None) = (answer(*endpoint, status), content.get("examples")) {
                    content["example"] = example;
                }
            }
        }
    }
}

/// The answer of an endpoint, as JSON or as text; `None` where it is empty or an image, and for pages.
fn answer(endpoint: Endpoint, status: &str) -> Option<Value> {
    Some(match endpoint {
        Endpoint::CreateEdit | Endpoint::CreateSessionEdit | Endpoint::CreateSession | Endpoint::CreateImages
            if status == "202" =>
        {
            job("processing")
        }
        Endpoint::CreateEdit | Endpoint::CreateSessionEdit => edit(),
        Endpoint::CreateSession => recorded(if status == "200" { "hit" } else { "created" }),
        Endpoint::CreateImages => images(),
        Endpoint::Align => align(),
        Endpoint::ListSessions => json!({"object": "list", "data": [session()]}),
        Endpoint::GetSession => session(),
        Endpoint::GetSessionAttention => attention(),
        Endpoint::ListJobs => json!({"object": "list", "data": [job("queued")]}),
        Endpoint::GetJob => job("succeeded"),
        Endpoint::DeleteJob => job("canceled"),
        Endpoint::ListModels => json!({"object": "list", "data": [model()]}),
        Endpoint::GetModel => model(),
        Endpoint::Healthz => json!({"status": "ok"}),
        Endpoint::Readyz => json!({"status": "ready"}),
        Endpoint::Metrics => {
            "# HELP reprompt_ready Whether jobs are taken.\n# TYPE reprompt_ready gauge\nreprompt_ready 1\n".into()
        }
        Endpoint::OpenApi => json!({"openapi": "3.1.0", "info": {"title": "reprompt"}}),
        Endpoint::DeleteSession
        | Endpoint::GetSessionImage
        | Endpoint::Playground
        | Endpoint::PlaygroundFile
        | Endpoint::Docs
        | Endpoint::DocsFile => return None,
    })
}

fn timings() -> Value {
    json!({"queue": 0.2, "encode": 1.0, "denoise": 800.0, "decode": 20.0, "total": 822.0})
}

fn alignment() -> Value {
    json!([
        {"target": "a", "source": "a", "relation": "kept", "target_tokens": [1], "source_tokens": [1]},
        {"target": "dog", "source": "cat", "relation": "replaced", "target_tokens": [2], "source_tokens": [2]}
    ])
}

fn windows() -> Value {
    json!({
        "cross_replace_steps": [0.0, 0.5], "self_replace_steps": [0.0, 0.4],
        "from": {"cross_replace_steps": "preset", "self_replace_steps": "request"}, "presets": ["objects"]
    })
}

fn warnings() -> Value {
    json!([{
        "code": "unknown_word", "param": "prompt", "word": "griffin",
        "detail": "the word \"griffin\" is not in the model's vocabulary; its effect is unpredictable"
    }])
}

fn edit() -> Value {
    json!({
        "id": "edit_d3b07384d113edec49eaa6238ad5ff00", "object": "edit", "created": CREATED, "model": "reprompt-demo",
        "session": {"id": SESSION, "recording": "created"}, "seed": 3, "size": "128x128", "output_format": "png",
        "edit_type": "replace", "alignment": alignment(), "windows": windows(), "warnings": [],
        "data": [{"role": "edit", "b64_json": FILE}], "timings_ms": timings()
    })
}

fn source() -> Value {
    json!({
        "prompt": "a cat on the beach", "negative_prompt": "", "seed": 3, "num_inference_steps": 20,
        "guidance_scale": 5.0, "width": 128, "height": 128, "scheduler": "ddim"
    })
}

fn session() -> Value {
    json!({
        "id": SESSION, "object": "session", "created": CREATED, "last_used": CREATED + 60, "model": "reprompt-demo",
        "source": source(), "size": "128x128", "tier": "memory",
        "bytes": {"device": 0, "memory": 11_010_048, "disk": 0, "trajectory": 262_144}, "hits": 1
    })
}

fn recorded(recording: &str) -> Value {
    let mut recorded = session();
    recorded["recording"] = recording.into();
    recorded["warnings"] = warnings();
    recorded["data"] = json!([{"role": "source", "b64_json": FILE}]);
    recorded["timings_ms"] = timings();
    recorded
}

fn images() -> Value {
    json!({
        "created": CREATED, "background": "opaque", "output_format": "png", "quality": "auto", "size": "128x128",
        "data": [{"b64_json": FILE, "seed": 3, "session": {"id": SESSION, "recording": "created"}}],
        "id": "images_900150983cd24fb0d6963f7d28e17f72", "object": "images", "model": "reprompt-demo",
        "warnings": [{
            "code": "no_effect", "param": "quality",
            "detail": "the quality hd has no effect; use num_inference_steps"
        }],
        "timings_ms": timings()
    })
}

fn align() -> Value {
    let tokens = |word: &str, id: u32| {
        json!([
            {"position": 0, "id": 49406, "token": "<|startoftext|>", "text": ""},
            {"position": 1, "id": 320, "token": "a</w>", "text": "a"},
            {"position": 2, "id": id, "token": format!("{word}</w>"), "text": word},
            {"position": 3, "id": 49407, "token": "<|endoftext|>", "text": ""}
        ])
    };
    json!({
        "object": "alignment", "edit_type": "replace", "source_tokens": tokens("cat", 2368),
        "target_tokens": tokens("dog", 1929), "max_tokens": 77, "alignment": alignment(), "windows": windows(),
        "warnings": []
    })
}

fn attention() -> Value {
    json!({
        "object": "attention", "session": SESSION, "step": null, "steps": 20, "word": "cat", "index": 1, "tokens": [2],
        "height": 2, "width": 2, "max": 0.23, "values": [[0.1, 0.4], [0.2, 1.0]]
    })
}

fn job(status: &str) -> Value {
    let mut job = json!({
        "id": JOB, "object": "job", "kind": "edit", "status": status, "created": CREATED,
        "progress": {"step": 0, "steps": 0}
    });
    match status {
        "queued" => job["queue"] = json!({"position": 2, "estimated_wait_ms": 3000}),
        "processing" => job["progress"] = json!({"step": 7, "steps": 20}),
        ended => {
            job["finished"] = (CREATED + 2).into();
            job["expires"] = (CREATED + 3602).into();
            job["progress"] = json!({"step": 20, "steps": 20});
            match ended {
                "succeeded" => job["result"] = edit(),
                _ => job["cancel_reason"] = "deleted".into(),
            }
        }
    }
    job
}

fn model() -> Value {
    let windows = json!({"cross_replace_steps": [0.0, 0.5], "self_replace_steps": [0.0, 0.4]});
    json!({
        "id": "reprompt-demo", "object": "model", "created": CREATED, "owned_by": "reprompt",
        "fingerprint": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        "defaults": {
            "width": 128, "height": 128, "num_inference_steps": 20, "guidance_scale": 5.0, "scheduler": "ddim",
            "cross_replace_steps": [0.0, 0.8], "self_replace_steps": [0.0, 0.4]
        },
        "sizes": {"multiple_of": 8, "min_side": 32, "max_pixels": 65536}, "max_tokens": 77,
        "presets": {"objects": windows}, "vocabulary": {"objects": ["cat", "dog"]},
        "examples": [{"prompt": "a cat on the beach", "seed": 3, "edit": "a dog on the beach"}]
    })
}

/// An event of a stream as it is documented, by its name.
fn named_event((name, data): (&'static str, Value)) -> (String, Value) {
    (name.to_owned(), json!({"value": {"event": name, "data": data.to_string()}}))
}

/// The events of a stream, by their names, with their data.
fn events(endpoint: Endpoint) -> Vec<(&'static str, Value)> {
    if endpoint.route().dialect == Dialect::OpenAi {
        let event = |name: &'static str, more: Value| {
            let mut data = json!({
                "type": name, "b64_json": FILE, "created_at": CREATED, "size": "128x128", "quality": QUALITY,
                "background": BACKGROUND, "output_format": "png"
            });
            object(&mut data).extend(more.as_object().cloned().unwrap_or_default());
            (name, data)
        };
        return vec![event(PARTIAL_IMAGE, json!({"partial_image_index": 0})), event(COMPLETED, json!({"seed": 3}))];
    }
    let answer = if endpoint == Endpoint::CreateSession { recorded("created") } else { edit() };
    vec![
        ("queued", json!({"position": 0, "estimated_wait_ms": 0})),
        ("started", json!({})),
        ("step", json!({"step": 1, "steps": 20})),
        ("completed", answer),
    ]
}
