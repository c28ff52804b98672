//! Invalid requests: each is answered with the problem that says what is wrong and where, and the service goes on.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::support::Service;

/// A valid edit, to be made invalid.
fn edit() -> Value {
    json!({"source": {"prompt": "a cat on the beach", "seed": 1, "steps": 4}, "prompt": "a dog on the beach"})
}

fn edit_with(path: &str, value: Value) -> Value {
    let mut body = edit();
    *body.pointer_mut(path).unwrap_or_else(|| panic!("{path} is there")) = value;
    body
}

fn edit_and(field: &str, value: Value) -> Value {
    let mut body = edit();
    body[field] = value;
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_has_its_problem() {
    let service = Service::demo().await;
    let ninety_tokens = vec!["cat"; 88].join(" ");
    let dog_blend = |field: &str, value: Value| {
        let mut blend = json!({"source_words": ["cat"], "target_words": ["dog"]});
        blend[field] = value;
        edit_and("local_blend", blend)
    };
    #[rustfmt::skip]
    let cases = [
        (422, "word_not_found", "equalizer[0].word", edit_and("equalizer", json!([{"word": "dgo", "strength": 2}]))),
        (422, "word_not_found", "cross_replace_steps.dgo", edit_and("cross_replace_steps", json!({"dgo": 0.5}))),
        (422, "word_not_found", "local_blend.source_words[0]", dog_blend("source_words", json!(["dog"]))),
        (422, "word_not_found", "local_blend.exclude_words[0]", dog_blend("exclude_words", json!(["sky"]))),
        (422, "prompt_too_long", "prompt", edit_with("/prompt", json!(ninety_tokens))),
        (422, "prompt_too_long", "source.prompt", edit_with("/source/prompt", json!(ninety_tokens))),
        (422, "prompt_too_long", "prompt", edit_with("/prompt", json!(format!("a{}cat", " ".repeat(5000))))),
        (422, "prompt_too_long", "source.negative_prompt", edit_with("/source", json!({"prompt": "a", "negative_prompt": ninety_tokens}))),
        (422, "replace_word_count", "prompt", {
            let mut body = edit_with("/prompt", json!("a big dog on the beach"));
            body["edit_type"] = json!("replace");
            body
        }),
        (422, "reweight_changes_prompt", "prompt", edit_and("edit_type", json!("reweight"))),
        (422, "invalid_window", "cross_replace_steps", edit_and("cross_replace_steps", json!([0.9, 0.1]))),
        (422, "invalid_window", "self_replace_steps", edit_and("self_replace_steps", json!(1.5))),
        (422, "window_selects_no_step", "self_replace_steps", edit_and("self_replace_steps", json!([0.3, 0.4]))),
        (422, "window_selects_no_step", "cross_replace_steps", edit_and("cross_replace_steps", json!(0.1))),
        (422, "equalizer_no_effect", "equalizer[0].word", {
            let mut body = edit_and("equalizer", json!([{"word": "dog", "strength": 2}]));
            body["cross_replace_steps"] = json!(0);
            body
        }),
        (422, "invalid_strength", "equalizer[0].strength", edit_and("equalizer", json!([{"word": "dog", "strength": 1e300}]))),
        (422, "invalid_value", "equalizer[0].strength", edit_and("equalizer", json!([{"word": "dog", "strength": "NaN"}]))),
        (422, "invalid_value", "equalizer", edit_and("equalizer", json!(vec![json!({"word": "dog", "strength": 2}); 300]))),
        (422, "invalid_value", "equalizer[1].word", edit_and("equalizer", json!(vec![json!({"word": "dog", "strength": 2}); 2]))),
        (422, "word_not_found", "cross_replace_steps.5", edit_and("cross_replace_steps", json!({"5": 0.5}))),
        (422, "diverged", "", edit_and("equalizer", json!([{"word": "dog", "strength": 1e38}]))),
        (422, "invalid_threshold", "local_blend.threshold", dog_blend("threshold", json!(1.0))),
        (422, "invalid_start", "local_blend.start", dog_blend("start", json!(1.0))),
        (422, "local_blend_no_words", "local_blend", {
            let mut body = edit_with("/prompt", json!("a cat on the beach"));
            body["local_blend"] = json!(true);
            body
        }),
        (422, "unsupported_size", "source.width", edit_with("/source", json!({"prompt": "a cat", "width": 100, "height": 100}))),
        (422, "unsupported_size", "source.size", edit_with("/source", json!({"prompt": "a cat", "size": "big"}))),
        (422, "unsupported_size", "source.width", edit_with("/source", json!({"prompt": "a cat", "width": 4096, "height": 4096}))),
        (422, "unsupported_size", "source.height", edit_with("/source", json!({"prompt": "a cat", "height": 8}))),
        (422, "invalid_value", "source.seed", edit_with("/source/seed", json!(-2))),
        (422, "invalid_value", "source.seed", edit_with("/source/seed", json!(1.5))),
        (422, "invalid_value", "source.num_inference_steps", edit_with("/source/steps", json!(0))),
        (422, "invalid_value", "source.num_inference_steps", edit_with("/source/steps", json!(1000))),
        (422, "invalid_value", "source.guidance_scale", edit_with("/source", json!({"prompt": "a", "cfg_scale": -1}))),
        (422, "invalid_value", "source.scheduler", edit_with("/source", json!({"prompt": "a", "scheduler": "euler"}))),
        (422, "invalid_value", "source", edit_with("/source", json!("a cat"))),
        (422, "empty_prompt", "source.prompt", edit_with("/source/prompt", json!(""))),
        (422, "empty_prompt", "prompt", edit_with("/prompt", json!("  "))),
        (422, "missing_field", "source", json!({"prompt": "a dog"})),
        (422, "missing_field", "source.prompt", edit_with("/source", json!({"seed": 1}))),
        (422, "missing_field", "prompt", json!({"source": {"prompt": "a cat"}})),
        (400, "unknown_field", "source.sede", edit_with("/source", json!({"prompt": "a cat", "sede": 1}))),
        (400, "unknown_field", "localblend", edit_and("localblend", json!(true))),
    ];
    for (status, code, param, body) in cases {
        let answer = service.post("/v1/edits", &body).await;
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{body}: {problem}");
        assert_eq!((answer.status.as_u16(), &problem["status"]), (status, &json!(status)), "{problem}");
        assert_eq!(problem["param"].as_str().unwrap_or_default(), param, "{problem}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(problem["request_id"], answer.header("x-request-id"));
        assert_eq!(problem["type"], format!("urn:reprompt:problem:{code}"));
        for field in ["title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
    }
    let answer = service.post("/v1/edits", &edit()).await;
    assert_eq!(answer.status, 200, "the service serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_word_is_reported_with_the_words_of_the_prompt() {
    let service = Service::fake().await;
    let body = edit_and("equalizer", json!([{"word": "dgo", "strength": 2}]));
    let problem = service.post("/v1/edits", &body).await.json();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("dgo") && detail.contains("a, dog, on, the, beach"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_object_is_refused_before_it_is_read() {
    let service = Service::fake().await;
    let post = |content_type: Option<&'static str>, body: Vec<u8>| {
        let mut request = Request::post("/v1/edits");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        service.send(request.body(Body::from(body)).unwrap())
    };
    let json = Some("application/json");
    let spoilt = edit().to_string().replace("\"seed\":1", "\"seed\":NaN");
    for (status, code, content_type, body) in [
        (400, "invalid_json", json, b"{\"source\":".to_vec()),
        (400, "invalid_json", json, spoilt.into_bytes()),
        (400, "invalid_json", json, b"[]".to_vec()),
        (400, "invalid_json", json, b"\xff\xfe".to_vec()),
        (400, "invalid_json", json, Vec::new()),
        (400, "invalid_json", json, vec![b'['; 1_000_000]),
        (415, "unsupported_media_type", Some("text/plain"), edit().to_string().into_bytes()),
        (415, "unsupported_media_type", None, edit().to_string().into_bytes()),
        (413, "body_too_large", json, vec![b' '; 50_000_000]),
    ] {
        let answer = post(content_type, body).await;
        let problem = answer.json();
        assert_eq!((answer.status.as_u16(), problem["code"].as_str()), (status, Some(code)), "{problem}");
    }
    let with_charset = post(Some("application/json; charset=utf-8"), edit().to_string().into_bytes()).await;
    assert_eq!(with_charset.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_methods_and_sessions_that_are_not_there() {
    let service = Service::fake().await;
    let unknown = service.post("/v1/sessions/ses_0/edits", &json!({"prompt": "a dog"})).await;
    assert_eq!((unknown.status, unknown.json()["code"].as_str()), (StatusCode::NOT_FOUND, Some("session_not_found")));
    for path in ["/v1/sessions/ses_0", "/v1/sessions/ses_0/image", "/v1/sessions/%ff", "/v1/sessions/%ff/image"] {
        assert_eq!(service.get(path).await.json()["code"], "session_not_found");
    }
    assert_eq!(service.delete("/v1/sessions/ses_0").await.json()["code"], "session_not_found");
    assert_eq!(service.get("/v1/nothing").await.json()["code"], "not_found");
    let method = service.get("/v1/edits").await;
    assert_eq!(
        (method.status, method.json()["code"].as_str()),
        (StatusCode::METHOD_NOT_ALLOWED, Some("method_not_allowed"))
    );
    assert_eq!(method.header("allow"), "POST");
    let accept = service.post_accepting("/v1/edits", &edit(), "text/html").await;
    assert_eq!(accept.json()["code"], "not_acceptable");
    let mut both = edit();
    both["include_source"] = true.into();
    let bare = service.post_accepting("/v1/edits", &both, "image/png").await.json();
    assert_eq!((&bare["code"], &bare["param"]), (&json!("invalid_value"), &json!("include_source")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_its_own_id_if_it_has_a_sensible_one() {
    let service = Service::fake().await;
    let id = |value: &str| {
        let request = Request::get("/healthz").header("x-request-id", value).body(Body::empty()).unwrap();
        service.send(request)
    };
    assert_eq!(id("abc-123").await.header("x-request-id"), "abc-123");
    let long = "x".repeat(1000);
    assert_ne!(id(&long).await.header("x-request-id"), long);
    assert!(!service.get("/healthz").await.header("x-request-id").is_empty());
}
