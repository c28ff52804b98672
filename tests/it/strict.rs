//! Nothing in a request is ignored: unknown query parameters and fields, and what is given twice, are errors that name
//! it; and each form of an integer is the same integer.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};

use crate::process::reprompt;
use crate::support::{Answer, Service, image};
use crate::waiting::{ASYNC, swap, with};

fn contract() -> Value {
    reprompt::api::openapi::json()
}

/// The code and the field of a problem, in either dialect.
fn problem(answer: &Answer) -> (u16, String, String) {
    let body = answer.json();
    let problem = if body["error"].is_object() { &body["error"] } else { &body };
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), text("code"), text("param"))
}

fn is(status: u16, code: &str, param: &str) -> (u16, String, String) {
    (status, code.to_owned(), param.to_owned())
}

fn raw(path: &str, body: &str) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(Body::from(body.to_owned())).unwrap()
}

/// A service with a session, and the path of the session.
async fn with_session() -> (Service, String) {
    let service = Service::fake().await;
    let answer = service.post("/v1/sessions", &swap(1, 4)["source"]).await;
    let path = answer.header("location").to_owned();
    (service, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_refuses_a_query_parameter_that_it_does_not_have() {
    let service = Service::fake().await;
    let contract = contract();
    let mut refused = 0;
    for (path, methods) in contract["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            for (query, param) in [("limit=-1", "limit"), ("seed=3", "seed"), ("%66oo", "foo")] {
                let uri = format!("{}?{query}", path.replace("{id}", "some"));
                let request = Request::builder().method(&method).uri(&uri);
                let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from("{}")).unwrap();
                let answer = service.send(request).await;
                assert_eq!(problem(&answer), is(400, "unknown_field", param), "{method} {uri}");
                refused += 1;
            }
        }
    }
    assert!(refused > 50, "{refused}");
    for page in ["/?ref=elsewhere", "/docs?ref=elsewhere"] {
        assert_eq!(service.get(page).await.status, 200, "{page}");
    }
    assert_eq!(service.get("/v1/models?").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_given_twice_is_named_by_its_path() {
    let (service, session) = with_session().await;
    let edits = format!("{session}/edits");
    for (path, body, param) in [
        ("/v1/edits", r#"{"source": {"prompt": "a cat"}, "prompt": "a dog", "prompt": "a pig"}"#, "prompt"),
        ("/v1/edits", r#"{"source": {"prompt": "a cat", "seed": 1, "seed": 1}, "prompt": "a dog"}"#, "source.seed"),
        (
            "/v1/edits",
            r#"{"source": {"prompt": "a cat"}, "prompt": "a dog", "equalizer": [{"word": "dog", "strength": 1, "word": "a"}]}"#,
            "equalizer[0].word",
        ),
        (edits.as_str(), r#"{"prompt": "a dog", "local_blend": {"start": 0.1, "start": 0.2}}"#, "local_blend.start"),
        (
            edits.as_str(),
            r#"{"prompt": "a dog", "cross_replace_steps": {"dog": 0.1, "d\u006fg": 0.2}}"#,
            "cross_replace_steps.dog",
        ),
        ("/v1/sessions", r#"{"prompt": "a cat", "unheard": 1, "unheard": 2}"#, "unheard"),
        ("/v1/images/generations", r#"{"prompt": "a cat", "n": 1, "n": 1}"#, "n"),
        ("/v1/align", r#"{"source_prompt": "a cat", "prompt": "a dog", "prompt": "a bus"}"#, "prompt"),
    ] {
        let answer = service.send(raw(path, body)).await;
        assert_eq!(problem(&answer), is(422, "invalid_value", param), "{body}");
    }
    // An alias is the same field.
    let alias = json!({"source_prompt": "a cat", "prompt": "a dog", "target_prompt": "a dog"});
    assert_eq!(problem(&service.post("/v1/align", &alias).await), is(422, "invalid_value", "prompt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_read_is_given_once() {
    let service = Service::fake().await;
    const JSON: &str = "application/json";
    for (name, param, values) in [
        ("content-type", "content-type", [JSON, JSON]),
        ("content-type", "content-type", [JSON, "text/plain"]),
        ("authorization", "authorization", ["Bearer a", "Bearer b"]),
        ("x-api-key", "x-api-key", ["a", "a"]),
        ("idempotency-key", "Idempotency-Key", ["a", "a"]),
        ("cancel-after", "Cancel-After", ["90s", "90s"]),
    ] {
        let request = Request::post("/v1/edits").header(name, values[0]).header(name, values[1]);
        let request = if name == "content-type" { request } else { request.header("content-type", JSON) };
        let answer = service.send(request.body(Body::from(swap(1, 4).to_string())).unwrap()).await;
        assert_eq!(problem(&answer), is(400, "invalid_header", param), "{values:?}");
    }
    let twice = [("accept", "text/html"), ("accept", JSON)];
    assert_eq!(service.post_with("/v1/edits", &swap(1, 4), &twice).await.status, 200);
    let twice = [("prefer", "wait=1"), ASYNC];
    assert_eq!(service.post_with("/v1/edits", &swap(1, 4), &twice).await.status, 202);
}

/// JSON Schema (draft 2020-12, section 6.1.1): an integer is a number with a zero fractional part.
#[tokio::test(flavor = "multi_thread")]
async fn an_integer_is_the_same_in_all_of_its_forms() {
    let service = Service::demo().await;
    let body = |number: &dyn Fn(u64) -> String| {
        format!(
            r#"{{"source": {{"prompt": "a cat on the beach", "seed": {}, "num_inference_steps": {}, "width": {}, "height": {}}},
                "prompt": "a dog on the beach", "equalizer": [{{"word": {}, "strength": 2}}], "output_format": "jpeg",
                "output_compression": {}, "partial_images": {}}}"#,
            number(7),
            number(4),
            number(64),
            number(64),
            number(1),
            number(80),
            number(0)
        )
    };
    let plain = service.send(raw("/v1/edits", &body(&|number| number.to_string()))).await.json();
    assert_eq!(plain["seed"], 7, "{plain}");
    let forms: [&dyn Fn(u64) -> String; 3] =
        [&|number: u64| format!("{number}.0"), &|number: u64| format!("{number}e0"), &|number: u64| {
            format!("{number}.00E+0")
        }];
    for form in forms {
        let answer = service.send(raw("/v1/edits", &body(form))).await.json();
        assert_eq!(image(&answer, "edit"), image(&plain, "edit"), "{answer}");
        assert_eq!(answer["session"]["id"], plain["session"]["id"]);
    }
    for (field, value) in [
        ("seed", "7.5"),
        ("num_inference_steps", "4.5"),
        ("width", "64.5"),
        ("height", "6.45e1"),
        ("seed", "9007199254740993.0"),
        ("seed", "1e20"),
    ] {
        let body = format!(r#"{{"prompt": "a cat", "{field}": {value}}}"#);
        let answer = service.send(raw("/v1/sessions", &body)).await;
        assert_eq!(problem(&answer), is(422, "invalid_value", field), "{body}");
    }
    let images = |n: &str| raw("/v1/images/generations", &format!(r#"{{"prompt": "a cat", "steps": 1, "n": {n}}}"#));
    assert_eq!(service.send(images("2.0")).await.json()["data"].as_array().unwrap().len(), 2);
    assert_eq!(problem(&service.send(images("1.5")).await), is(422, "invalid_value", "n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_is_none_is_answered_with_the_range_and_with_what_to_do() {
    let service = Service::fake().await;
    for seed in [json!(-1), json!(18_446_744_073_709_551_616.0), json!("7")] {
        for (path, body) in [
            ("/v1/sessions", json!({"prompt": "a cat", "seed": seed})),
            ("/v1/images/generations", json!({"prompt": "a cat", "seed": seed})),
            ("/v1/edits", json!({"source": {"prompt": "a cat", "seed": seed}, "prompt": "a dog"})),
        ] {
            let answer = service.post(path, &body).await;
            let detail = String::from_utf8(answer.body.clone()).unwrap();
            assert_eq!(answer.status, 422, "{detail}");
            for part in ["from 0 to 18446744073709551615", "leave the seed out for a random one"] {
                assert!(detail.contains(part), "{detail}");
            }
        }
    }
    let most = json!({"prompt": "a cat", "seed": u64::MAX, "steps": 1});
    assert_eq!(service.post("/v1/sessions", &most).await.json()["source"]["seed"], u64::MAX);
}

/// The names of all fields of a call's body in the contract.
fn fields_of(contract: &Value, path: &str) -> BTreeSet<String> {
    fn collect(contract: &Value, schema: &Value, names: &mut BTreeSet<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            collect(contract, contract.pointer(&reference[1..]).unwrap(), names);
        }
        schema["oneOf"].as_array().into_iter().flatten().for_each(|way| collect(contract, way, names));
        names.extend(schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    }
    let mut names = BTreeSet::new();
    let body = &contract["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
    collect(contract, body, &mut names);
    assert!(names.len() > 2, "{path}: {names:?}");
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_field_is_answered_with_all_fields_of_the_contract_and_the_near_one() {
    let (service, session) = with_session().await;
    let contract = contract();
    for (path, at) in [
        ("/v1/edits", "/v1/edits".to_owned()),
        ("/v1/sessions/{id}/edits", format!("{session}/edits")),
        ("/v1/sessions", "/v1/sessions".to_owned()),
        ("/v1/images/generations", "/v1/images/generations".to_owned()),
        ("/v1/align", "/v1/align".to_owned()),
    ] {
        let answer = service.post(&at, &json!({"edit_tpye": "auto", "promt": "a dog"})).await;
        assert_eq!(problem(&answer).1, "unknown_field");
        let text = String::from_utf8(answer.body.clone()).unwrap();
        for field in fields_of(&contract, path) {
            assert!(text.contains(&format!("`{field}`")), "{path}: {field} is not in {text}");
        }
        let near = service.post(&at, &json!({"promt": "a dog"})).await;
        let near = String::from_utf8(near.body).unwrap();
        assert!(near.contains("did you mean `prompt`?"), "{near}");
    }
    let beside = with(swap(1, 4), "seed", 3);
    let answer = service.post("/v1/edits", &beside).await;
    assert_eq!(problem(&answer), is(400, "unknown_field", "seed"));
    assert!(answer.json()["detail"].as_str().unwrap().ends_with("did you mean `source.seed`?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_has_one_strength_and_one_window() {
    let service = Service::fake().await;
    let strengths = |words: [Value; 2]| {
        let entry = |word: Value| json!({"word": word, "strength": 2});
        with(swap(1, 4), "equalizer", Value::from(words.map(entry).to_vec()))
    };
    for words in [["dog", "dog"], ["dog", "Dog"], ["dog", "dog,"], ["dog", "a dog"]] {
        let answer = service.post("/v1/edits", &strengths(words.map(Value::from))).await;
        assert_eq!(problem(&answer), is(422, "invalid_value", "equalizer[1].word"), "{words:?}");
    }
    let index = service.post("/v1/edits", &strengths([json!(1), json!("dog")])).await;
    assert_eq!(problem(&index), is(422, "invalid_value", "equalizer[1].word"));
    assert_eq!(service.post("/v1/edits", &strengths([json!("a dog"), json!("dog")])).await.status, 200);
    let windows = with(swap(1, 4), "cross_replace_steps", json!({"DOG": 0.5, "dog": 1}));
    let answer = service.post("/v1/edits", &windows).await;
    assert_eq!(problem(&answer), is(422, "invalid_value", "cross_replace_steps.dog"));
    // The words of a blend are a set.
    let blend = json!({"source_words": ["cat", "cat"], "target_words": ["dog", "Dog"]});
    assert_eq!(service.post("/v1/edits", &with(swap(1, 4), "local_blend", blend)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_json_and_no_object_is_told_what_was_expected() {
    let service = Service::fake().await;
    for (body, got) in [("[]", "an array"), ("null", "null"), ("\"a cat\"", "a string"), ("7", "a number")] {
        let answer = service.send(raw("/v1/edits", body)).await;
        let problem = answer.json();
        assert_eq!((&problem["code"], answer.status.as_u16()), (&json!("invalid_json"), 400));
        assert_eq!(problem["title"], "Request body is not a JSON object");
        assert_eq!(problem["detail"], format!("expected a JSON object as the body, got {got}"));
    }
    for prompt in ["", " ", "\t\r\n", "\u{3000}\u{a0}"] {
        let answer = service.post("/v1/align", &json!({"source_prompt": "a cat", "prompt": prompt})).await;
        assert_eq!(problem(&answer), is(422, "empty_prompt", "prompt"), "{prompt:?}");
    }
}

#[test]
fn a_flag_that_is_invalid_or_given_twice_is_named_with_what_was_expected() {
    for (flags, parts) in [
        (&["--seed", "-1"][..], &["--seed", "from 0 to 18446744073709551615", "leave the seed out"][..]),
        (&["--seed", "1e20"], &["--seed", "from 0 to 18446744073709551615"]),
        (&["--seed", "1", "--seed", "2"], &["--seed", "multiple times"]),
        (&["--steps", "-3"], &["--steps", "expected a non-negative integer, got -3"]),
        (&["--steps", "2.5"], &["--steps", "expected a non-negative integer, got 2.5"]),
        (&["--guidance-scale", "-1"], &["--guidance-scale: expected 0 to 100, got -1"]),
        (&["--guidance-scale", "NaN"], &["--guidance-scale: expected 0 to 100, got NaN"]),
        (&["--blend-threshold", "NaN"], &["--blend-threshold", "got NaN"]),
        (&["--equalizer", "dog=2", "--equalizer", "Dog=3"], &["--equalizer", "\"dog\" has no effect"]),
        (&["--local-blend", "{\"start\":0.1,\"start\":0.2}"], &["--local-blend: `start` is given twice"]),
        (&["--cross-replace-steps", "{\"dog\":0.1,\"dog\":0.2}"], &["--cross-replace-steps: `dog` is given twice"]),
    ] {
        let edit = ["edit", "--prompt", "a cat", "--to", "a dog", "-o", "/dev/null/nowhere"];
        let output = reprompt(&[&edit[..], flags].concat()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {error}");
        for part in parts {
            assert!(error.contains(part), "{flags:?}: {error}");
        }
    }
}
