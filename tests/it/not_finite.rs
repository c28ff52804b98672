//! Models that compute NaN or infinity: they are refused at the start if the files or the smallest pass show it, and no
//! request is blamed for them later.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use candle_core::{DType, Device, Tensor};
use reprompt::diffusion::ModelFiles;
use reprompt::engine::{EngineConfig, EngineError, JobOptions, SelfTestEnd};
use serde_json::json;

use crate::fake::{self, record};
use crate::process::reprompt;
use crate::support::{Service, config, copy, until};

/// The id of the token `cat</w>` in CLIP's vocabulary.
const CAT: usize = 2368;

/// Overwrites numbers of a tensor in a weights file, which is stored in f32 from then on.
fn overwrite(file: &Path, tensor: &str, numbers: Range<usize>, value: f32) {
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let old = tensors.remove(tensor).unwrap_or_else(|| panic!("{tensor} is none of {:?}", tensors.keys()));
    let mut values: Vec<f32> = old.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    values[numbers].fill(value);
    tensors.insert(tensor.to_owned(), Tensor::from_vec(values, old.shape(), &Device::Cpu).unwrap());
    candle_core::safetensors::save(&tensors, file).unwrap();
}

const PARTS: [(&str, &str, &str); 3] = [
    ("text_encoder/model.safetensors", "final_layer_norm.weight", "the text encoder computed NaN or infinity"),
    ("unet/diffusion_pytorch_model.safetensors", "conv_out.weight", "the UNet computed NaN or infinity"),
    ("vae/diffusion_pytorch_model.safetensors", "decoder.conv_out.weight", "the VAE decoder computed NaN or infinity"),
];

#[test]
fn a_model_with_nan_or_infinity_anywhere_is_refused_at_the_start_and_the_part_is_named() {
    for (file, tensor, overflows) in PARTS {
        for (value, says) in [
            (f32::NAN, format!("{file}: tensor `{tensor}` contains NaN or infinity")),
            (f32::INFINITY, format!("{file}: tensor `{tensor}` contains NaN or infinity")),
            // Finite, but sums of products with it are not.
            (f32::MAX, overflows.to_owned()),
        ] {
            let (_folder, model) = copy("tiny-sd1");
            overwrite(&model.join(file), tensor, 0..8, value);
            let output =
                reprompt(&["serve", "--listen", "127.0.0.1:0", "--model", model.to_str().unwrap()]).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            let last = stderr.lines().last().unwrap();
            assert!(last.starts_with("reprompt: model: ") && last.contains(&says), "{value} in {tensor}: {stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_breaks_the_model_is_not_the_requests_fault_and_the_others_work() {
    let (_folder, model) = copy("tiny-sd1");
    let (file, width) = (model.join("text_encoder/model.safetensors"), 32);
    overwrite(&file, "embeddings.token_embedding.weight", CAT * width..(CAT + 1) * width, 3e38);
    let service = Service::start(ModelFiles::Folder(model), config()).await;
    let source = |prompt: &str| json!({"prompt": prompt, "seed": 1, "steps": 2, "size": "64x64"});
    let edit = |from: &str, to: &str| json!({"source": source(from), "prompt": to});
    let not_finite = async || {
        let metrics = String::from_utf8(service.get("/metrics").await.body).unwrap();
        let line = metrics.lines().find(|line| line.contains("not_finite_total{part=\"text_encoder\"}")).unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    for (at, body) in [edit("a cat", "a dog"), edit("a dog", "a cat")].iter().enumerate() {
        let answer = service.post("/v1/edits", body).await;
        let problem = answer.json();
        assert_eq!((answer.status.as_u16(), &problem["code"]), (500, &json!("model_not_finite")), "{problem}");
        assert_eq!(not_finite().await, at as u64 + 1);
        assert_eq!(service.post("/v1/edits", &edit("a dog", "a bus")).await.status, 200);
        assert_eq!(service.get("/readyz").await.status, 200, "the self-test succeeds");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_breaks_while_it_serves_takes_readiness_down_until_a_self_test_succeeds() {
    let health = fake::Health::default();
    let config = EngineConfig { self_test_after: Duration::from_millis(200), ..config() };
    let engine = fake::engine_of_health(&health, config).await;
    let self_tests = |end| engine.metrics().self_tests.with(end).get();
    let mut before = engine.submit(record(1, 2), JobOptions::default()).unwrap();
    before.outcome().await.unwrap();
    health.store(fake::NOT_FINITE, Ordering::Relaxed);
    let failed = engine.submit(record(2, 2), JobOptions::default()).unwrap().outcome().await;
    assert!(matches!(failed, Err(EngineError::ModelNotFinite(_))), "{failed:?}");
    until("readiness to go down", async || engine.readiness() == Err(EngineError::SelfTestFailed)).await;
    assert!(self_tests(SelfTestEnd::Failed) > 0);
    health.store(0, Ordering::Relaxed);
    until("readiness to come back", async || engine.readiness().is_ok()).await;
    engine.submit(record(3, 2), JobOptions::default()).unwrap().outcome().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_the_request_that_are_far_too_high_stay_its_own_fault() {
    let service = Service::demo().await;
    let body = json!({
        "source": {"prompt": "a cat", "seed": 1, "steps": 3, "size": "64x64"}, "prompt": "a dog",
        "equalizer": [{"word": "dog", "strength": 1e38}]
    });
    for body in [&body, &{
        let mut negative = body.clone();
        negative["equalizer"][0]["strength"] = json!(-3e38);
        negative
    }] {
        let answer = service.post("/v1/edits", body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (422, &json!("diverged")), "{body}");
    }
    assert_eq!(service.get("/readyz").await.status, 200);
    let metrics = String::from_utf8(service.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("reprompt_model_not_finite_total{part=\"unet\"} 0"), "{metrics}");
}
