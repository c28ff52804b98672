//! Attention as heat maps: of a session as numbers and as pictures, and of an edit in its answer.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::support::{Answer, Service, pixels};

/// A session of this source; its path under which attention is found.
async fn session(service: &Service, source: Value) -> String {
    let session = service.post("/v1/sessions", &json!({ "source": source })).await.json();
    format!("/v1/sessions/{}/attention", session["id"].as_str().unwrap_or_else(|| panic!("{session}")))
}

fn cat(steps: usize) -> Value {
    json!({"prompt": "a cat, on the polar beach", "seed": 3, "steps": steps})
}

async fn get(service: &Service, path: &str, accept: &str) -> Answer {
    service.send(Request::get(path).header(header::ACCEPT, accept).body(Body::empty()).unwrap()).await
}

async fn numbers(service: &Service, path: &str) -> Value {
    let answer = get(service, path, "application/json").await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

/// A map's attention, not normalised.
fn attention(map: &Value) -> Vec<f64> {
    let max = map["max"].as_f64().unwrap();
    let rows = map["values"].as_array().unwrap();
    rows.iter().flat_map(|row| row.as_array().unwrap()).map(|value| value.as_f64().unwrap() * max).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_words_attention_comes_as_numbers_that_reach_1() {
    let service = Service::demo().await;
    let path = session(&service, cat(4)).await;
    let map = numbers(&service, &format!("{path}?word=cat")).await;
    assert_eq!((&map["object"], &map["word"]), (&json!("attention"), &json!("cat")));
    assert!(path.contains(map["session"].as_str().unwrap()));
    assert_eq!((&map["tokens"], &map["step"], &map["steps"]), (&json!([2]), &Value::Null, &json!(4)));
    assert_eq!((&map["height"], &map["width"]), (&json!(16), &json!(16)));
    let rows = map["values"].as_array().unwrap();
    assert!(rows.len() == 16 && rows.iter().all(|row| row.as_array().unwrap().len() == 16));
    let values: Vec<f64> = rows.iter().flat_map(|row| row.as_array().unwrap()).map(|v| v.as_f64().unwrap()).collect();
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    assert!(values.contains(&1.0));
    assert!(map["max"].as_f64().unwrap() > 0.0);
    assert_eq!(map["index"], Value::Null, "a text may stand for several words");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_add_up_to_the_whole() {
    let service = Service::demo().await;
    let path = session(&service, cat(3)).await;
    let whole = attention(&numbers(&service, &format!("{path}?word=beach")).await);
    let mut sum = vec![0.0; whole.len()];
    for step in 0..3 {
        let map = numbers(&service, &format!("{path}?word=beach&step={step}")).await;
        assert_eq!(map["step"], json!(step));
        assert!(map["max"].as_f64().unwrap() <= 1.0, "a step's attention is a part of 1");
        sum.iter_mut().zip(attention(&map)).for_each(|(sum, value)| *sum += value);
    }
    assert!(whole.iter().zip(&sum).all(|(whole, sum)| (whole - sum).abs() < 1e-5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_is_hot_where_it_is_and_its_place_around_it() {
    let service = Service::demo().await;
    // The first picture of the README: a car left of the middle, on a street that crosses the lower half.
    let path = session(&service, json!({"prompt": "a car in the city", "seed": 7})).await;
    let share = async |word: &str| {
        let values = attention(&numbers(&service, &format!("{path}?word={word}")).await);
        let inside = |at: usize| (6..14).contains(&(at / 16)) && (1..13).contains(&(at % 16));
        let sum: f64 = values.iter().sum();
        values.iter().enumerate().filter(|(at, _)| inside(*at)).map(|(_, value)| value).sum::<f64>() / sum
    };
    let (car, city) = (share("car").await, share("city").await);
    assert!(car > 0.9 && city < 0.5, "car: {car}, city: {city}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_by_text_phrase_and_index() {
    let service = Service::demo().await;
    let path = session(&service, cat(2)).await;
    let named = async |word: &str| {
        let map = numbers(&service, &format!("{path}?word={word}")).await;
        json!([map["word"], map["index"], map["tokens"]])
    };
    assert_eq!(named("CAT").await, json!(["CAT", null, [2]]));
    assert_eq!(named("1").await, json!(["cat,", 1, [2, 3]]));
    let phrase = named("polar+beach").await;
    assert_eq!(phrase[2].as_array().unwrap().len(), named("polar").await[2].as_array().unwrap().len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_word_the_numbers_of_all_words_come_in_order() {
    let service = Service::demo().await;
    let path = session(&service, cat(2)).await;
    let list = numbers(&service, &format!("{path}?step=1")).await;
    assert_eq!(list["object"], "list");
    let words: Vec<_> = list["data"].as_array().unwrap().iter().map(|map| map["word"].as_str().unwrap()).collect();
    assert_eq!(words, ["a", "cat,", "on", "the", "polar", "beach"]);
    let indices: Vec<_> = list["data"].as_array().unwrap().iter().map(|map| map["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5]);
    let beach = numbers(&service, &format!("{path}?word=5&step=1")).await;
    assert_eq!(list["data"][5], beach);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_has_the_images_size_and_the_format_that_is_accepted() {
    let service = Service::demo().await;
    let source = json!({"prompt": "a cat", "seed": 3, "steps": 3, "size": "96x64"});
    let path = session(&service, source).await;
    let plain = service.get(&path.replace("attention", "image")).await;
    for (accept, content_type) in
        [("*/*", "image/png"), ("image/*", "image/png"), ("image/webp", "image/webp"), ("image/jpeg", "image/jpeg")]
    {
        let picture = get(&service, &format!("{path}?word=cat"), accept).await;
        assert_eq!((picture.status.as_u16(), picture.header("content-type")), (200, content_type));
        let read = image::load_from_memory(&picture.body).unwrap().to_rgb8();
        assert_eq!((read.width(), read.height()), (96, 64));
        assert_ne!(read.into_raw(), pixels(&plain.body));
    }
    let unasked = service.get(&format!("{path}?word=cat&step=2")).await;
    assert_eq!(unasked.header("content-type"), "image/png");
    let names =
        ["word", "tokens", "step", "steps"].map(|name| unasked.header(&format!("x-reprompt-{name}")).to_owned());
    assert_eq!(names, ["cat", "[2]", "2", "3"]);
    let shown: f64 = unasked.header("x-reprompt-max").parse().unwrap();
    assert_eq!(json!(shown), numbers(&service, &format!("{path}?word=cat&step=2")).await["max"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hottest_place_is_coloured_and_the_coldest_grey() {
    let service = Service::demo().await;
    let path = session(&service, json!({"prompt": "a car in the city", "seed": 7})).await;
    let values = attention(&numbers(&service, &format!("{path}?word=car")).await);
    let place = |better: fn(&f64, &f64) -> bool| {
        (0..256).reduce(|best, at| if better(&values[at], &values[best]) { at } else { best }).unwrap()
    };
    let picture = pixels(&service.get(&format!("{path}?word=car")).await.body);
    // Eight pixels a position; the middle of it.
    let colour = |at: usize| {
        let first = ((at / 16 * 8 + 4) * 128 + at % 16 * 8 + 4) * 3;
        let rgb = &picture[first..first + 3];
        (rgb.iter().max().unwrap() - rgb.iter().min().unwrap(), rgb[0])
    };
    let (hot, cold) = (colour(place(|a, b| a > b)), colour(place(|a, b| a < b)));
    assert!(hot.0 > 60 && hot.1 > 180, "{hot:?}");
    assert!(cold.0 < 20 && cold.1 < 160, "{cold:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_outside_ascii_is_escaped_in_the_header() {
    let service = Service::demo().await;
    let path = session(&service, json!({"prompt": "un bébé", "steps": 1})).await;
    let picture = service.get(&format!("{path}?word=b%C3%A9b%C3%A9")).await;
    assert_eq!((picture.status.as_u16(), picture.header("x-reprompt-word")), (200, "b\\u00e9b\\u00e9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_question_is_named() {
    let service = Service::demo().await;
    let path = session(&service, cat(3)).await;
    let json = "application/json";
    for (query, accept, status, code, param) in [
        ("?word=dgo", json, 422, "word_not_found", "word"),
        ("?word=6", json, 422, "word_not_found", "word"),
        ("?word=", "image/png", 422, "word_not_found", "word"),
        ("", "image/png", 422, "missing_field", "word"),
        ("?step=1", "*/*", 422, "missing_field", "word"),
        ("?word=cat&step=3", json, 422, "invalid_value", "step"),
        ("?word=cat&step=-1", "image/png", 422, "invalid_value", "step"),
        ("?word=cat&step=last", json, 422, "invalid_value", "step"),
        ("?word=cat&word=beach", json, 422, "invalid_value", "word"),
        ("?word=cat&stpe=1", json, 400, "unknown_field", "stpe"),
        ("?word=cat", "text/html", 406, "not_acceptable", ""),
    ] {
        let answer = get(&service, &format!("{path}{query}"), accept).await;
        let problem = answer.json();
        assert_eq!((answer.status.as_u16(), &problem["code"]), (status, &json!(code)), "{query}: {problem}");
        assert_eq!(problem["param"].as_str().unwrap_or_default(), param, "{query}: {problem}");
    }
    let problem = get(&service, &format!("{path}?word=dgo"), json).await.json();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("dgo") && detail.contains("a, cat, on, the, polar, beach"), "{detail}");
    let unknown = service.get("/v1/sessions/ses_0/attention?word=cat").await;
    assert_eq!(unknown.json()["code"], "session_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edits_answer_has_its_attention_to_each_word() {
    let service = Service::demo().await;
    let mut body = json!({"source": cat(3), "prompt": "a dog, on the beach", "attention": true});
    let edit = service.post("/v1/edits", &body).await.json();
    let maps = edit["attention"].as_array().unwrap_or_else(|| panic!("{edit}"));
    let words: Vec<_> =
        maps.iter().map(|map| (map["word"].as_str().unwrap(), map["index"].as_u64().unwrap())).collect();
    assert_eq!(words, [("a", 0), ("dog,", 1), ("on", 2), ("the", 3), ("beach", 4)]);
    for map in maps {
        assert_eq!((&map["height"], &map["width"]), (&json!(16), &json!(16)));
        assert_eq!(map["values"].as_array().unwrap().len(), 16);
    }
    body["attention"] = json!(false);
    assert!(service.post("/v1/edits", &body).await.json().get("attention").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_its_source_attends_as_its_source_does() {
    let service = Service::demo().await;
    let path = session(&service, cat(3)).await;
    let body = json!({"prompt": "a cat, on the polar beach", "attention": true});
    let edit = service.post(&path.replace("attention", "edits"), &body).await.json();
    let list = numbers(&service, &path).await;
    let pairs = edit["attention"].as_array().unwrap().iter().zip(list["data"].as_array().unwrap());
    for (of_edit, of_source) in pairs {
        for field in ["word", "index", "tokens", "max", "values"] {
            assert_eq!(of_edit[field], of_source[field]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attention_is_refused_for_a_bare_image_and_must_be_a_boolean() {
    let service = Service::demo().await;
    let mut body = json!({"source": cat(3), "prompt": "a dog, on the beach", "attention": true});
    let refused = service.post_accepting("/v1/edits", &body, "image/png").await.json();
    assert_eq!((&refused["code"], &refused["param"]), (&json!("invalid_value"), &json!("attention")));
    body["attention"] = json!("yes");
    let refused = service.post("/v1/edits", &body).await.json();
    assert_eq!((&refused["code"], &refused["param"]), (&json!("invalid_value"), &json!("attention")));
}
