//! Warnings about a request: each call that has prompts gives them, in its answer and in its header.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::process::reprompt;
use crate::support::{Answer, Service, config, fixture_model};
use crate::waiting::{events, with};

/// A prompt with a weight of another tool, a zero-width space and a word that the model does not know.
const PROMPT: &str = "a (cat:1.3) on the\u{200B} griffin";
/// The warnings about it.
const OF_PROMPT: [&str; 3] = ["prompt_syntax", "invisible_characters", "unknown_word"];

fn source(prompt: &str) -> Value {
    json!({"prompt": prompt, "seed": 1, "num_inference_steps": 4, "negative_prompt": "a [dog:0.5]"})
}

/// The warnings of an answer, as `code param`.
fn warnings(body: &Value) -> BTreeSet<String> {
    let warnings = body["warnings"].as_array().unwrap_or_else(|| panic!("no warnings in {body}")).iter();
    let name = |warning: &Value, field: &str| warning[field].as_str().unwrap().to_owned();
    warnings.map(|warning| format!("{} {}", name(warning, "code"), name(warning, "param"))).collect()
}

fn missing(body: &Value, codes: &[&str], param: &str) -> Vec<String> {
    let found = warnings(body);
    let wanted = codes.iter().map(|code| format!("{code} {param}"));
    wanted.filter(|warning| !found.contains(warning)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_with_prompts_warns_of_them() {
    let service = Service::fake().await;
    let none: [String; 0] = [];
    let body = |answer: Answer| answer.json();
    let edit = json!({"source": source(PROMPT), "prompt": PROMPT.replace("cat", "dog")});
    let edited = body(service.post("/v1/edits", &edit).await);
    assert_eq!(missing(&edited, &OF_PROMPT, "source.prompt"), none, "{edited}");
    assert_eq!(missing(&edited, &OF_PROMPT, "prompt"), none, "{edited}");
    assert_eq!(missing(&edited, &["prompt_syntax"], "source.negative_prompt"), none, "{edited}");
    let stream = events(&service.post("/v1/edits", &with(edit, "stream", true)).await);
    assert_eq!(stream.last().unwrap().1["warnings"], edited["warnings"]);

    let session = body(service.post("/v1/sessions", &json!({"source": source(PROMPT)})).await);
    assert_eq!(missing(&session, &OF_PROMPT, "source.prompt"), none, "{session}");
    let top = body(service.post("/v1/sessions", &source(PROMPT)).await);
    assert_eq!(missing(&top, &OF_PROMPT, "prompt"), none, "{top}");
    let path = format!("/v1/sessions/{}/edits", session["id"].as_str().unwrap());
    let of_session = body(service.post(&path, &json!({"prompt": PROMPT.replace("cat", "dog")})).await);
    assert_eq!(missing(&of_session, &OF_PROMPT, "prompt"), none, "{of_session}");

    let images = with(source(PROMPT), "quality", "hd");
    let images = body(service.post("/v1/images/generations", &images).await);
    assert_eq!(missing(&images, &OF_PROMPT, "prompt"), none, "{images}");
    assert_eq!(missing(&images, &["prompt_syntax"], "negative_prompt"), none, "{images}");
    assert_eq!(missing(&images, &["no_effect"], "quality"), none, "{images}");

    let aligned = json!({"source_prompt": PROMPT, "prompt": PROMPT.replace("cat", "dog")});
    let aligned = body(service.post("/v1/align", &aligned).await);
    assert_eq!(missing(&aligned, &OF_PROMPT, "source_prompt"), none, "{aligned}");
    assert_eq!(missing(&aligned, &OF_PROMPT, "prompt"), none, "{aligned}");

    let bare = json!({"source": {"prompt": "a cat", "seed": 1, "steps": 4}, "prompt": "a (dog:1.3)\u{200B}"});
    let header = service.post_accepting("/v1/edits", &bare, "image/png").await;
    let header: Value = serde_json::from_str(header.header("x-reprompt-warnings")).unwrap();
    assert_eq!(header, body(service.post("/v1/edits", &bare).await)["warnings"]);
    assert_eq!(header[0]["word"], "(dog:1.3)");

    let quiet =
        json!({"source": {"prompt": "a cat on the beach", "seed": 1, "steps": 4}, "prompt": "a dog on the beach"});
    assert_eq!(body(service.post("/v1/edits", &quiet).await)["warnings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_warn_of_strengths_and_shifted_words() {
    // Words of several tokens need CLIP's vocabulary.
    let service = Service::start(fixture_model("tiny-sd1"), config()).await;
    let none: [String; 0] = [];
    let edit = json!({
        "source": {"prompt": "a steak on a table", "seed": 1, "steps": 1, "size": "64x64"}, "prompt": "a schnitzel on a table",
        "edit_type": "replace", "cross_replace_steps": 1, "self_replace_steps": 0,
        "equalizer": [{"word": "a", "strength": 20}, {"word": "schnitzel", "strength": -21}]
    });
    let edited = service.post("/v1/edits", &edit).await.json();
    assert_eq!(missing(&edited, &["shifted_words"], "edit_type"), none, "{edited}");
    assert_eq!(missing(&edited, &["extreme_strength"], "equalizer[1].strength"), none, "{edited}");
    assert!(!warnings(&edited).contains("extreme_strength equalizer[0].strength"), "{edited}");
    let session = service.post("/v1/sessions", &edit["source"]).await.json();
    let mut of_session = edit.clone();
    of_session.as_object_mut().unwrap().remove("source");
    let path = format!("/v1/sessions/{}/edits", session["id"].as_str().unwrap());
    assert_eq!(warnings(&service.post(&path, &of_session).await.json()), warnings(&edited));
    let aligned =
        json!({"source_prompt": "a steak on a table", "prompt": "a schnitzel on a table", "edit_type": "replace"});
    let aligned = service.post("/v1/align", &aligned).await.json();
    assert_eq!(missing(&aligned, &["shifted_words"], "edit_type"), none, "{aligned}");
}

#[test]
fn commands_warn_of_them_on_standard_error_and_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = reprompt(arguments).stdout(Stdio::piped()).output().unwrap();
        let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{error}");
        (out, error)
    };
    let (source, target) = ("a (cat:1.3) here", "a griffin\u{200B} here");
    let parts = ["\"(cat:1.3)\" is read as plain text", "the word \"griffin", "invisible characters"];
    let (_, error) = run(&["align", source, target]);
    for part in parts {
        assert!(error.contains(part), "{part}: {error}");
    }
    let out = folder.path().to_str().unwrap();
    let edit =
        ["edit", "--prompt", source, "--to", target, "--steps", "4", "--size", "64x64", "--equalizer", "here=-30"];
    let (_, error) = run(&[&edit[..], &["-o", out]].concat());
    for part in parts.into_iter().chain(["the strength -30 of \"here\""]) {
        assert!(error.contains(part), "{part}: {error}");
    }
    let (json, error) = run(&[&edit[..], &["-o", out, "--json"]].concat());
    let found = warnings(&serde_json::from_str(&json).unwrap());
    for warning in
        ["prompt_syntax source.prompt", "invisible_characters prompt", "extreme_strength equalizer[0].strength"]
    {
        assert!(found.contains(warning), "{warning}: {found:?}");
    }
    assert_eq!(error, "");
}

#[test]
fn the_documentation_has_every_code() {
    let contract = reprompt::api::openapi::json();
    let text = std::fs::read_to_string(crate::support::root().join("docs/api.md")).unwrap();
    let codes = contract["components"]["schemas"]["WarningCode"]["enum"].as_array().unwrap();
    assert!(codes.len() > 4);
    for code in codes {
        let row = format!("| `{}` |", code.as_str().unwrap());
        assert!(text.contains(&row), "{row} is not in docs/api.md");
    }
}
