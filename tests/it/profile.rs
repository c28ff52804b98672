//! A model's profile: what `/v1/models` answers, its warnings, and its checks when the service starts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::presets::service;
use crate::process::Process;
use crate::support::{Service, copy, image};

fn vocabulary() -> Value {
    json!({"objects": ["cat", "dog"], "styles": ["pixel art"], "other": ["a", "on", "the"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_listed_with_its_defaults_limits_and_words() {
    let examples = json!([{"prompt": "a cat", "seed": 1, "edit": "a dog", "local_blend": true}]);
    let presets = json!({"objects": {"cross_replace_steps": 0.5, "self_replace_steps": [0.1, 0.3]}});
    let profile = json!({
        "num_inference_steps": 12, "vocabulary": vocabulary(), "presets": presets, "examples": examples
    });
    let (service, _guard) = service(&profile).await;
    let list = service.get("/v1/models").await.json();
    assert_eq!((&list["object"], list["data"].as_array().map(Vec::len)), (&json!("list"), Some(1)));
    let model = &list["data"][0];
    assert_eq!(
        (&model["id"], &model["object"], &model["owned_by"]),
        (&json!("sd2"), &json!("model"), &json!("reprompt"))
    );
    assert!(model["created"].as_u64().unwrap() > 1_700_000_000);
    let info = service.state.engine.model().unwrap();
    assert_eq!(model["fingerprint"], info.fingerprint);
    let defaults = json!({
        "width": info.native_width, "height": info.native_height, "num_inference_steps": 12, "guidance_scale": 7.5,
        "scheduler": "ddim", "cross_replace_steps": [0.0, 0.8], "self_replace_steps": [0.0, 0.4]
    });
    assert_eq!(model["defaults"], defaults);
    assert_eq!(model["max_tokens"], 77);
    let windows = json!({"cross_replace_steps": [0.0, 0.5], "self_replace_steps": [0.1, 0.3]});
    assert_eq!(model["presets"], json!({"objects": windows}));
    assert_eq!((&model["vocabulary"], &model["examples"]), (&vocabulary(), &examples));

    assert_eq!(service.get("/v1/models/sd2").await.json(), *model);
    for path in ["/v1/models/gpt-4", "/v1/models/%ff"] {
        let missing = service.get(path).await;
        assert_eq!((missing.status.as_u16(), &missing.json()["code"]), (404, &json!("model_not_found")), "{path}");
    }

    // Sizes at the listed bounds are accepted, others are not.
    let (side, most) = (model["sizes"]["min_side"].as_u64().unwrap(), model["sizes"]["max_pixels"].as_u64().unwrap());
    let step = model["sizes"]["multiple_of"].as_u64().unwrap();
    for (width, height, status) in [(side, side, 201), (side - step, side, 422), (side, most / side + step, 422)] {
        let source = json!({"prompt": "a cat", "seed": 1, "steps": 1, "width": width, "height": height});
        assert_eq!(service.post("/v1/sessions", &source).await.status, status, "{width}x{height}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_the_model_does_not_know_are_warned_about() {
    let (service, _guard) = service(&json!({"num_inference_steps": 4, "vocabulary": vocabulary()})).await;
    let warned = |answer: &Value| {
        let warnings = answer["warnings"].as_array().unwrap_or_else(|| panic!("no warnings in {answer}"));
        let each = warnings.iter().map(|warning| {
            assert_eq!(warning["code"], "unknown_word");
            let word = warning["word"].as_str().unwrap();
            assert!(warning["detail"].as_str().unwrap().contains(&format!("{word:?}")), "{warning}");
            format!("{} {word}", warning["param"].as_str().unwrap())
        });
        each.collect::<Vec<_>>()
    };
    let source = json!({"prompt": "a Cat, on the moon", "negative_prompt": "blurry art", "seed": 1});
    let edit = json!({"source": source, "prompt": "A griffin on the (moon), a griffin"});
    let edited = service.post("/v1/edits", &edit).await.json();
    let of_source = ["source.prompt moon", "source.negative_prompt blurry"];
    assert_eq!(warned(&edited), [&of_source[..], &["prompt griffin", "prompt moon"]].concat());

    let session = service.post("/v1/sessions", &json!({"source": source})).await;
    assert_eq!(warned(&session.json()), of_source);
    assert_eq!(warned(&service.post("/v1/sessions", &source).await.json()), ["prompt moon", "negative_prompt blurry"]);
    let path = format!("/v1/sessions/{}", session.json()["id"].as_str().unwrap());
    assert_eq!(service.get(&path).await.json().get("warnings"), None, "these are of a request");
    let in_session = service.post(&format!("{path}/edits"), &json!({"prompt": "a dog on the moon"})).await.json();
    assert_eq!(warned(&in_session), ["prompt moon"]);
    let same = json!({"edit_type": "reweight", "equalizer": [{"word": "cat", "strength": 2}]});
    assert_eq!(warned(&service.post(&format!("{path}/edits"), &same).await.json()), Vec::<String>::new());

    let prompts = json!({"source_prompt": "a griffin", "prompt": "a cat, pixel-art"});
    assert_eq!(
        warned(&service.post("/v1/align", &prompts).await.json()),
        ["source_prompt griffin", "prompt pixel-art"]
    );
    let known = json!({"source_prompt": "a CAT", "prompt": "pixel art: the dog"});
    assert_eq!(warned(&service.post("/v1/align", &known).await.json()), Vec::<String>::new());

    // A model that does not say what it knows makes the same image, and warns of nothing.
    let (silent, _guard) = presets_free().await;
    let unwarned = silent.post("/v1/edits", &edit).await.json();
    assert_eq!(warned(&unwarned), Vec::<String>::new());
    assert_eq!(image(&unwarned, "edit"), image(&edited, "edit"));
}

async fn presets_free() -> (Service, tempfile::TempDir) {
    service(&json!({"num_inference_steps": 4})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_model_knows_the_words_of_its_examples() {
    let service = Service::demo().await;
    let model = service.get("/v1/models/reprompt-demo").await.json();
    let examples = model["examples"].as_array().unwrap();
    assert!(!examples.is_empty());
    reprompt::api::operations::models::check_examples(service.state.engine.model().unwrap()).unwrap();
    for example in examples {
        let prompts = json!({"source_prompt": example["prompt"], "prompt": example["edit"]});
        let aligned = service.post("/v1/align", &prompts).await.json();
        assert_eq!(aligned["warnings"], json!([]), "{example}");
    }
    let groups: BTreeSet<&str> = model["vocabulary"].as_object().unwrap().keys().map(String::as_str).collect();
    assert!(groups.contains("objects") && groups.contains("other"), "{groups:?}");
}

#[tokio::test]
async fn a_profile_that_is_wrong_ends_the_start_with_one_line() {
    let ((_guard, folder), recordings) = (copy("sd2"), tempfile::tempdir().unwrap());
    let window = |cross: Value| json!({"cross_replace_steps": cross, "self_replace_steps": 0.4});
    let example =
        |fields: Value| json!({"vocabulary": vocabulary(), "examples": [{"prompt": "a cat", "edit": "a dog"}, fields]});
    for (profile, said) in [
        (
            json!({"presets": {"added": window(json!(1.2))}}),
            "`presets.added.cross_replace_steps`: expected a window [low, high] with 0 <= low <= high <= 1, got [0, 1.2]",
        ),
        (
            json!({"presets": {"objects": window(json!(0.2))}}),
            "`presets.objects`: unknown kind of edit; expected one of replaced, added, reweighted",
        ),
        (
            json!({"vocabulary": {"replaced": ["cat"]}}),
            "`vocabulary.replaced`: reserved name: it is the name of a kind of edit",
        ),
        (json!({"guidance": 5}), "`guidance`: unknown field `guidance`, expected one of"),
        (
            example(json!({"prompt": "a cat", "edit": "a dog", "equalizer": [{"word": "dgo", "strength": 2}]})),
            "`examples[1].equalizer[0].word`: the target prompt has no word \"dgo\"; its words are: a, dog",
        ),
        (example(json!({"prompt": "a cat"})), "`examples[1].edit`: missing field `edit`"),
        (example(json!({"prompt": "a cat", "seed": -1, "edit": "a dog"})), "`examples[1].seed`: "),
        (example(json!({"prompt": "a cat", "edit": " "})), "`examples[1].edit`: the prompt has no words"),
        (
            example(json!({"prompt": "a cat", "edit": "a dog", "localblend": true})),
            "`examples[1].localblend`: unknown field",
        ),
    ] {
        std::fs::write(folder.join("reprompt.json"), profile.to_string()).unwrap();
        let model = ["--model", folder.to_str().unwrap(), "--recordings-dir", recordings.path().to_str().unwrap()];
        let (code, log) = Process::start(&model).ended().await;
        assert_eq!(code, Some(1), "{profile}: {log}");
        // Recordings are the last thing that a worker opens before it is ready.
        assert!(!log.contains("recordings found"), "{profile}: {log}");
        let last = log.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("reprompt: model: reprompt.json: {said}")), "{profile}: {last}");
    }
}
