//! Computing in bf16 on the CPU: how far its images are from those of f32.

use axum::http::StatusCode;
use candle_core::DType;
use reprompt::engine::EngineConfig;
use serde_json::json;

use crate::support::{Service, config, difference, fixture_model, image, model, share_above};

/// Every kind of edit, of the model that the published cases were made with and of the embedded one.
#[tokio::test(flavor = "multi_thread")]
async fn images_in_bf16_are_those_in_f32_but_for_a_few_values() {
    let source = |prompt: &str| json!({"prompt": prompt, "seed": 5, "num_inference_steps": 10});
    let prompt = "a photo of a cat on a bench";
    let edits = [
        json!({"source": source(prompt), "prompt": "a photo of a tiger on a bench"}),
        json!({"source": source(prompt), "prompt": "a photo of a cat on a wooden bench at night"}),
        json!({"source": source(prompt), "edit_type": "reweight", "equalizer": [{"word": "cat", "strength": 2}]}),
    ];
    // Where an edge of a trained model's picture moves by a hair, a few values change by much.
    for (files, most) in [(fixture_model("tiny-sd1"), 8), (model("demo"), 255)] {
        let exact = Service::start(files.clone(), config()).await;
        let rounded = Service::start(files.clone(), EngineConfig { dtype: DType::BF16, ..config() }).await;
        for mut body in edits.clone() {
            body["include_source"] = true.into();
            let (wanted, found) = (exact.post("/v1/edits", &body).await, rounded.post("/v1/edits", &body).await);
            for role in ["source", "edit"] {
                let (max, mean) = difference(&image(&found.json(), role), &image(&wanted.json(), role));
                println!("{} {role} of {}: max {max}, mean {mean:.3}", files.name(), body["prompt"]);
                assert!(max > 0, "nothing was rounded");
                let many = share_above(8, &image(&found.json(), role), &image(&wanted.json(), role));
                assert!(
                    max <= most && mean <= 1.0 && many <= 0.005,
                    "{role} of {body} is off by {max}, {mean} in the mean, {many} by 8"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_computed_in_bf16_is_another_session() {
    let body = json!({"source": {"prompt": "a cat", "seed": 1, "num_inference_steps": 1}});
    let exact = Service::start(model("demo"), config()).await;
    let rounded = Service::start(model("demo"), EngineConfig { dtype: DType::BF16, ..config() }).await;
    let (exact, rounded) = (exact.post("/v1/sessions", &body).await, rounded.post("/v1/sessions", &body).await);
    assert_eq!((exact.status, rounded.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_ne!(exact.headers["location"], rounded.headers["location"]);
}
