//! `POST /v1/images/generations`: what clients of the OpenAI Images API send and read.

use serde_json::{Value, json};

use crate::support::{Service, image, pixels};
use crate::waiting::{ASYNC, events, names, until_ended, with};

const PATH: &str = "/v1/images/generations";

fn body() -> Value {
    json!({"prompt": "a cat on the beach", "size": "64x64", "seed": 7, "steps": 4})
}

fn file(image: &Value) -> Vec<u8> {
    reprompt::media::from_base64(image["b64_json"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_those_of_sessions_with_seeds_that_follow_one_another() {
    let service = Service::demo().await;
    let answer = service.post(PATH, &with(body(), "n", 3)).await;
    let images = answer.json();
    assert_eq!(answer.status, 200, "{images}");
    assert!(images["created"].as_u64().unwrap() > 1_700_000_000);
    for (field, value) in [
        ("background", "opaque"),
        ("output_format", "png"),
        ("quality", "auto"),
        ("size", "64x64"),
        ("model", "reprompt-demo"),
        ("object", "images"),
    ] {
        assert_eq!(images[field], value);
    }
    let data = images["data"].as_array().unwrap();
    assert_eq!(data.iter().map(|image| image["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [7, 8, 9]);
    for image in data {
        let source = json!({"prompt": "a cat on the beach", "seed": image["seed"], "steps": 4, "size": "64x64"});
        let session = service.post("/v1/sessions", &source).await.json();
        assert_eq!((&session["recording"], &session["id"]), (&json!("hit"), &image["session"]["id"]));
        assert_eq!(file(image), file(&session["data"][0]));
    }
    // And can be edited.
    let path = format!("/v1/sessions/{}/edits", data[0]["session"]["id"].as_str().unwrap());
    let edit = service.post(&path, &json!({"prompt": "a dog on the beach"})).await.json();
    assert_ne!(image(&edit, "edit"), pixels(&file(&data[0])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_or_null_is_the_models_own() {
    let service = Service::fake().await;
    let nulls = json!({"prompt": "a cat", "n": null, "size": null, "model": null, "quality": null, "style": null,
                       "response_format": null, "output_compression": null, "user": null, "stream": null, "seed": null,
                       "background": null, "moderation": null, "steps": 1});
    let auto = json!({"prompt": "a cat", "size": "auto", "quality": "auto", "background": "auto", "moderation": "auto",
                      "model": "reprompt-demo", "user": "somebody", "steps": 1});
    for body in [nulls, auto] {
        let images = service.post(PATH, &body).await.json();
        assert_eq!((&images["size"], &images["warnings"]), (&json!("128x128"), &json!([])), "{images}");
        assert_eq!(images["data"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_comes_as_base64_as_a_data_url_or_bare() {
    let service = Service::fake().await;
    let plain = service.post(PATH, &body()).await.json();
    let url = service.post(PATH, &with(body(), "response_format", "url")).await.json();
    let text = url["data"][0]["url"].as_str().unwrap();
    assert_eq!(text, format!("data:image/png;base64,{}", plain["data"][0]["b64_json"].as_str().unwrap()));
    assert!(url["data"][0].get("b64_json").is_none());
    let bare = service.post_accepting(PATH, &body(), "image/png").await;
    assert_eq!((bare.header("content-type"), bare.header("x-reprompt-seed")), ("image/png", "7"));
    assert_eq!(bare.body, file(&plain["data"][0]));
    let jpeg = with(with(body(), "output_format", "jpeg"), "output_compression", 40);
    let jpeg = service.post(PATH, &jpeg).await.json();
    assert!(file(&jpeg["data"][0]).starts_with(&[0xff, 0xd8]));

    // The same key, another form.
    let key = ("idempotency-key", "one");
    let first = service.post_with(PATH, &with(body(), "response_format", "url"), &[key]).await.json();
    let again = with(body(), "response_format", "url");
    let replayed = service.post_with(PATH, &again, &[key, ("accept", "image/png")]).await;
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    assert!(first["data"][0]["url"].as_str().unwrap().ends_with(&reprompt::media::base64(&replayed.body)));

    // Of several none is left out, however they are asked for.
    let two = with(body(), "n", 2);
    let key = ("idempotency-key", "two");
    assert_eq!(service.post_with(PATH, &two, &[key]).await.status, 200);
    for accept in ["image/png", "text/event-stream"] {
        for headers in [&[("accept", accept)][..], &[("accept", accept), key]] {
            let refused = service.post_with(PATH, &two, headers).await;
            let param = &refused.json()["error"]["param"];
            assert_eq!((refused.status.as_u16(), param), (422, &json!("n")), "{headers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_the_events_of_that_api() {
    let service = Service::slow().await;
    let streamed = with(with(body(), "stream", true), "partial_images", 2);
    let events = events(&service.post(PATH, &streamed).await);
    let plain = service.post(PATH, &body()).await.json();
    let partial = "image_generation.partial_image";
    assert_eq!(names(&events), [partial, partial, "image_generation.completed"]);
    for (at, (name, event)) in events.iter().enumerate() {
        assert_eq!(event["type"], *name);
        assert_eq!((&event["size"], &event["output_format"]), (&json!("64x64"), &json!("png")));
        assert_eq!(pixels(&file(event)).len(), 64 * 64 * 3);
        assert!(event["created_at"].is_u64());
        if at < 2 {
            assert_eq!(event["partial_image_index"], at);
        }
    }
    assert_eq!(file(&events[2].1), file(&plain["data"][0]));
    assert_eq!(events[2].1["seed"], 7);

    let endless = with(with(body(), "steps", 900), "stream", true);
    let late = service.post_with(PATH, &endless, &[("cancel-after", "200ms")]).await;
    let (name, event) = self::events(&late).pop().unwrap();
    assert_eq!((name.as_str(), &event["error"]["code"]), ("error", &json!("deadline_exceeded")));
    assert_eq!(event["error"]["type"], "server_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_those_of_that_api() {
    let service = Service::fake().await;
    #[rustfmt::skip]
    let cases = [
        (422, "missing_field", "prompt", json!({"n": 1})),
        (422, "invalid_value", "prompt", json!({"prompt": 3})),
        (422, "empty_prompt", "prompt", json!({"prompt": " "})),
        (404, "model_not_found", "model", with(body(), "model", "dall-e-3")),
        (422, "invalid_value", "n", with(body(), "n", 0)),
        (422, "invalid_value", "n", with(body(), "n", 11)),
        (422, "invalid_value", "n", with(with(body(), "n", 2), "stream", true)),
        (422, "unsupported_size", "size", with(body(), "size", "1x1")),
        (422, "invalid_value", "response_format", with(body(), "response_format", "png")),
        (422, "invalid_value", "output_format", with(body(), "output_format", "gif")),
        (422, "invalid_value", "background", with(body(), "background", "transparent")),
        (422, "invalid_value", "seed", with(with(body(), "seed", u64::MAX), "n", 2)),
        (400, "unknown_field", "width", with(body(), "width", 64)),
    ];
    for (status, code, param, body) in cases {
        let answer = service.post(PATH, &body).await;
        let error = answer.json();
        assert_eq!(answer.status, status, "{error}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert_eq!((&error["error"]["code"], &error["error"]["param"]), (&json!(code), &json!(param)), "{error}");
        assert!(error["error"]["message"].is_string() && !answer.header("x-request-id").is_empty());
    }
    let method = service.get(PATH).await;
    assert_eq!((method.status.as_u16(), method.header("allow")), (405, "POST"));
    assert_eq!(method.json()["error"]["code"], "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_images_are_one_job() {
    let service = Service::fake().await;
    let accepted = service.post_with(PATH, &with(body(), "n", 2), &[ASYNC]).await;
    assert_eq!(accepted.status, 202);
    let done = until_ended(&service, accepted.header("location")).await;
    assert_eq!((&done["kind"], &done["status"]), (&json!("images"), &json!("succeeded")), "{done}");
    assert_eq!(done["progress"], json!({"step": 4, "steps": 4}));
    assert_eq!(done["result"]["data"].as_array().unwrap().len(), 2);

    let warned = service.post(PATH, &with(with(body(), "quality", "hd"), "style", "vivid")).await.json();
    let fields: Vec<_> = warned["warnings"].as_array().unwrap().iter().map(|w| (&w["code"], &w["param"])).collect();
    assert_eq!(fields, [(&json!("no_effect"), &json!("quality")), (&json!("no_effect"), &json!("style"))]);
}
