//! Image files: their formats and qualities, and the texts inside them.

use std::io::Cursor;

use reprompt::diffusion::samplers::SamplerName;
use serde_json::{Value, json};

use crate::support::{Answer, Service, difference, image, pixels};
use crate::waiting::{swap, with};

fn base64(text: &str) -> Vec<u8> {
    reprompt::media::from_base64(text).unwrap()
}

/// The file of an image in an answer.
fn file(answer: &Value, at: usize) -> Vec<u8> {
    base64(answer["data"][at]["b64_json"].as_str().unwrap())
}

/// The texts inside a PNG file, by keyword.
fn texts(file: &[u8]) -> (String, Value) {
    let reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let info = reader.info();
    let latin = info.uncompressed_latin1_text.iter().map(|text| (text.keyword.clone(), text.text.clone()));
    let wide = info.utf8_text.iter().map(|text| (text.keyword.clone(), text.get_text().unwrap()));
    let of = |keyword: &str| latin.clone().chain(wide.clone()).find(|(k, _)| k == keyword).unwrap().1;
    (of("parameters"), serde_json::from_str(&of("reprompt")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_png_says_how_it_was_made_and_this_makes_it_again() {
    let service = Service::demo().await;
    let mut body = swap(3, 4);
    body["source"]["negative_prompt"] = "blurry, dark".into();
    body["equalizer"] = json!([{"word": "dog", "strength": 1.3}]);
    body["local_blend"] = json!({"source_words": ["cat"], "target_words": [1], "threshold": 0.2});
    let answer = service.post("/v1/edits", &with(body, "include_source", true)).await.json();
    let (parameters, recipe) = texts(&file(&answer, 1));
    let model = service.get("/v1/models").await.json()["data"][0].clone();
    let hash = &model["fingerprint"].as_str().unwrap()[..10];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        parameters,
        format!(
            "a dog on the beach\nNegative prompt: blurry, dark\n\
             Steps: 4, Sampler: DDIM, CFG scale: 5, Seed: 3, Size: 64x64, Model hash: {hash}, Model: reprompt-demo, \
             Source prompt: a cat on the beach, Edit type: replace, Cross replace steps: \"{cross}\", \
             Self replace steps: \"{own}\", Version: reprompt {version}",
            cross = answer["windows"]["cross_replace_steps"],
            own = answer["windows"]["self_replace_steps"],
        )
    );
    assert_eq!((&recipe["call"], &recipe["model"]["fingerprint"]), (&json!("POST /v1/edits"), &model["fingerprint"]));
    assert_eq!(recipe["body"]["equalizer"], json!([{"word": "dog", "strength": 1.3}]));
    let again = service.post("/v1/edits", &recipe["body"]).await;
    assert_eq!(again.status, 200, "{}", again.json());
    assert_eq!(file(&again.json(), 0), file(&answer, 1));

    let (parameters, recipe) = texts(&file(&answer, 0));
    assert!(parameters.starts_with("a cat on the beach\nNegative prompt: blurry, dark\nSteps: 4,"), "{parameters}");
    let again = service.post("/v1/sessions", &recipe["body"]).await.json();
    assert_eq!(again["id"], answer["session"]["id"]);
    let path = format!("/v1/sessions/{}/image", again["id"].as_str().unwrap());
    assert_eq!(service.get(&path).await.body, file(&answer, 0));
    assert_eq!(file(&again, 0), file(&answer, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_mean_the_same_make_the_same_file() {
    let service = Service::demo().await;
    let answer = service.post("/v1/edits", &swap(1, 4)).await.json();
    let (wanted, windows) = (file(&answer, 0), &answer["windows"]);
    let mut explicit = with(with(swap(1, 4), "edit_type", "replace"), "output_compression", 50);
    for field in ["cross_replace_steps", "self_replace_steps"] {
        explicit[field] = windows[field].clone();
    }
    assert_eq!(file(&service.post("/v1/edits", &explicit).await.json(), 0), wanted);
    assert_eq!(service.post_accepting("/v1/edits", &swap(1, 4), "image/png").await.body, wanted);
    // An edit that is its source is the source's file.
    let same = with(with(swap(1, 4), "prompt", "a cat on the beach"), "include_source", true);
    let same = service.post("/v1/edits", &same).await.json();
    assert_eq!(file(&same, 0), file(&same, 1));
    assert_ne!(file(&same, 1), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_its_session_name_the_sampler_of_the_source() {
    let service = Service::fake().await;
    for sampler in SamplerName::ALL {
        let mut body = swap(1, 3);
        body["source"]["scheduler"] = sampler.as_str().into();
        let answer = service.post("/v1/edits", &body).await.json();
        let (parameters, recipe) = texts(&file(&answer, 0));
        let setting = format!("Sampler: {}, ", sampler.as_str().to_uppercase());
        assert!(parameters.contains(&setting), "{parameters}");
        assert_eq!(recipe["body"]["source"]["scheduler"], sampler.as_str());
        let session = service.get(&format!("/v1/sessions/{}", answer["session"]["id"].as_str().unwrap())).await.json();
        assert_eq!(session["source"]["scheduler"], sampler.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_any_script_stand_in_the_file() {
    let service = Service::fake().await;
    let mut body = swap(1, 3);
    body["prompt"] = "a 猫 on the beach".into();
    let (parameters, recipe) = texts(&service.post_accepting("/v1/edits", &body, "image/png").await.body);
    assert!(parameters.starts_with("a 猫 on the beach\n"), "{parameters}");
    assert_eq!(recipe["body"]["prompt"], body["prompt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn quality_counts_for_jpeg_and_webp() {
    let service = Service::demo().await;
    let exact = image(&service.post("/v1/edits", &swap(1, 4)).await.json(), "edit");
    let edit = async |format: &str, quality: Option<u8>| {
        let body = with(swap(1, 4), "output_format", format);
        let body = quality.map_or(body.clone(), |quality| with(body, "output_compression", quality));
        let answer = service.post("/v1/edits", &body).await.json();
        assert_eq!(answer["output_format"], format);
        file(&answer, 0)
    };
    for format in ["jpeg", "webp"] {
        let (poor, good) = (edit(format, Some(10)).await, edit(format, Some(95)).await);
        assert!(poor.len() < good.len(), "{format}: {} {}", poor.len(), good.len());
        let mean = |file: &[u8]| difference(&exact, &pixels(file)).1;
        assert!(mean(&poor) > mean(&good), "{format}");
        assert_eq!(edit(format, Some(10)).await, poor, "{format}");
    }
    assert_eq!(pixels(&edit("webp", None).await), exact, "without a quality it is lossless");
    assert_eq!(edit("jpeg", None).await, edit("jpeg", Some(90)).await);
    assert_eq!(edit("png", Some(1)).await, edit("png", None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_goes_before_the_format_that_is_asked_for() {
    let service = Service::fake().await;
    let body = with(swap(1, 3), "output_format", "jpeg");
    let of = async |accept: &str| service.post_accepting("/v1/edits", &body, accept).await;
    let kind = |answer: &Answer| answer.header("content-type").to_owned();
    assert_eq!(kind(&of("image/*").await), "image/jpeg");
    assert_eq!(kind(&of("image/webp, image/*;q=0.5").await), "image/webp");
    assert_eq!(kind(&of("*/*").await), "application/json");
    let session = of("application/json").await.json()["session"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{session}/image");
    let picture = axum::http::Request::get(&path).header("accept", "application/json").body(axum::body::Body::empty());
    assert_eq!(service.send(picture.unwrap()).await.json()["code"], "not_acceptable");
}
