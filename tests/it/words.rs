//! Words that differ from those of a prompt only in the form of their characters are found, and the model reads the
//! prompt as it is written.

use serde_json::{Value, json};

use crate::support::{Service, config, fixture_model};

/// A curly apostrophe, a non-breaking hyphen, a decomposed accent, and full-width letters.
const PROMPT: &str = "a cat\u{2019}s ice\u{2011}cream, two cafe\u{301}s \u{ff42}\u{ff45}\u{ff41}\u{ff52}";

/// The ids that CLIPTokenizer of transformers 5.24 gives for it with this model's vocabulary.
const IDS: [u32; 27] = [
    49406, 320, 2368, 728, 503, 338, 733, 728, 495, 3867, 267, 1237, 3471, 20507, 171, 121, 224, 171, 121, 227, 171,
    121, 223, 171, 121, 496, 49407,
];

/// Words as people type them, and the tokens whose characters are the word's by the offsets of that tokenizer. A comma
/// after a word is not part of it.
fn words() -> [(&'static str, Vec<u64>); 9] {
    let cream = || (6..10).collect();
    let bear = || (14..26).collect();
    [
        ("cat's", vec![2, 3, 4, 5]),
        ("cat\u{2019}s", vec![2, 3, 4, 5]),
        ("CAT\u{FF07}S", vec![2, 3, 4, 5]),
        ("ice-cream", cream()),
        ("Ice\u{2013}Cream", cream()),
        ("caf\u{e9}s", vec![12, 13]),
        ("cafe\u{301}s", vec![12, 13]),
        ("bear", bear()),
        ("two caf\u{e9}s Bear", [vec![11, 12, 13], bear()].concat()),
    ]
}

async fn service() -> Service {
    Service::start(fixture_model("tiny-sd1"), config()).await
}

/// A text in a query.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_reads_the_prompt_as_it_is_written() {
    let body = json!({"source_prompt": PROMPT, "prompt": PROMPT});
    let answer = service().await.post("/v1/align", &body).await.json();
    let ids: Vec<_> = answer["source_tokens"].as_array().unwrap().iter().map(|token| token["id"].as_u64()).collect();
    assert_eq!(ids, IDS.map(|id| Some(u64::from(id))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_is_found_in_any_form() {
    let service = service().await;
    let source = json!({"prompt": PROMPT, "seed": 1, "steps": 1, "size": "64x64"});
    let session = service.post("/v1/sessions", &source).await.json();
    let path = format!("/v1/sessions/{}/attention", session["id"].as_str().unwrap());
    for (word, tokens) in words() {
        let request = axum::http::Request::get(format!("{path}?word={}", escaped(word)));
        let request = request.header("accept", "application/json").body(axum::body::Body::empty()).unwrap();
        let answer = service.send(request).await.json();
        assert_eq!(answer["tokens"], json!(tokens), "{word:?}: {answer}");
    }
    let edit = |field: &str, value: Value| {
        let mut body = json!({"source": source, "prompt": PROMPT, "cross_replace_steps": 1, "self_replace_steps": 0});
        body[field] = value;
        body
    };
    for (word, _) in words() {
        let blend = json!({"source_words": [word], "target_words": [word], "exclude_words": ["a"]});
        for body in [
            edit("equalizer", json!([{"word": word, "strength": 2}])),
            edit("cross_replace_steps", json!({"default_": 1, word: 1})),
            edit("local_blend", blend),
        ] {
            let answer = service.post("/v1/edits", &body).await;
            assert_eq!(answer.status, 200, "{}", answer.json());
        }
    }
    for other in ["cats", "cafes", "ice cream", "icecream"] {
        let answer = service.post("/v1/edits", &edit("equalizer", json!([{"word": other, "strength": 2}]))).await;
        assert_eq!(answer.json()["code"], "word_not_found", "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_forms_of_a_word_are_one_word() {
    let service = service().await;
    let strengths = json!([{"word": "cat's", "strength": 2}, {"word": "cat\u{2019}s", "strength": 3}]);
    let body = json!({
        "source": {"prompt": PROMPT, "steps": 1, "size": "64x64"}, "prompt": PROMPT, "equalizer": strengths,
        "cross_replace_steps": 1, "self_replace_steps": 0
    });
    let problem = service.post("/v1/edits", &body).await.json();
    assert_eq!((&problem["code"], &problem["param"]), (&json!("invalid_value"), &json!("equalizer[1].word")));
}
