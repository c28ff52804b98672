//! The model's parts against PyTorch, transformers and diffusers, and the errors of invalid models.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use reprompt::diffusion::text::tokenizer::Tokenizer;
use reprompt::diffusion::vae::Vae;
use reprompt::diffusion::{ConditioningKey, Model, ModelError, ModelFiles, noise};
use serde_json::Value;

use crate::support::{copy, fixture_model, fixtures, load_on_device, model, tolerance};

fn stages(name: &str) -> std::collections::HashMap<String, Tensor> {
    candle_core::safetensors::load(fixtures().join("stages").join(name), &Device::Cpu).unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    let [a, b] = [a, b].map(|tensor| tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap());
    let difference = (a - b).unwrap();
    difference.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

#[test]
fn texts_have_the_tokens_that_transformers_gives_them() {
    for name in ["tiny-sd1", "sd2", "demo"] {
        let tokenizer = Tokenizer::load(&model(name), 77).unwrap();
        let path = fixtures().join("stages").join(format!("{name}.tokens.json"));
        let wanted: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(wanted.len() > 100);
        for entry in wanted {
            let text = entry["prompt"].as_str().unwrap();
            let ids: Vec<u64> = tokenizer.encode(text).unwrap().ids.into_iter().map(u64::from).collect();
            assert_eq!(Value::from(ids), entry["ids"], "{name}: {text:?}");
        }
    }
}

#[test]
fn tokens_have_the_part_of_the_text_that_they_cover() {
    let tokenizer = Tokenizer::load(&model("tiny-sd1"), 77).unwrap();
    let text = "A  Chinchilla, café";
    let tokens = tokenizer.encode(text).unwrap();
    let parts: Vec<&str> = tokens.spans.iter().map(|span| &text[span.clone()]).collect();
    assert_eq!(parts.first(), Some(&""));
    assert_eq!(parts.last(), Some(&""));
    assert_eq!(parts.concat(), "AChinchilla,café");
    assert!(parts.contains(&",") && parts.contains(&"café"));
}

#[test]
fn a_conditioning_is_never_made_of_a_prompt_that_is_cut() {
    let model = Model::load(&model("demo"), &Device::Cpu).unwrap();
    let tokens = model.info.conditioning_key("a cat").unwrap();
    let long: Vec<u32> = tokens.ids().iter().copied().cycle().take(78).collect();
    assert_eq!(model.condition(std::slice::from_ref(&tokens)).unwrap().len(), 1);
    let error = model.condition(&[tokens, ConditioningKey::new(&long)]).unwrap_err();
    assert!(matches!(error, ModelError::PromptTooLong { tokens: 78, limit: 77 }), "{error}");
}

#[test]
fn seeds_draw_the_noise_that_pytorch_draws() {
    for (name, wanted) in stages("noise.safetensors") {
        let (size, seed) = name.split_once("_s").unwrap();
        let seed = seed.parse().unwrap();
        let drawn = noise::randn(seed, size.trim_start_matches('n').parse().unwrap());
        let drawn = Tensor::new(drawn, &Device::Cpu).unwrap();
        assert!(largest_difference(&drawn, &wanted) < 1e-5, "{name}");
    }
}

#[test]
fn the_autoencoder_and_the_schedule_are_those_of_diffusers() {
    let files = fixture_model("sd1-other");
    let model = load_on_device(&files);
    let wanted = stages("sd1-other.safetensors");
    let scale = 0.2;
    let compute = model.compute();
    let vae = Vae::load(&files, compute).unwrap();
    let here = |tensor: &Tensor| tensor.to_device(&compute.device).unwrap().to_dtype(compute.activations()).unwrap();
    // How much coarser the device computes than f32 on the CPU.
    let coarser = (tolerance().pass / 2e-4) as f32;
    let encoded = vae.encode(&here(&wanted["image"])).unwrap();
    assert!(largest_difference(&encoded.mean, &(&wanted["mean"] * scale).unwrap()) < 1e-4 * coarser);
    assert!(largest_difference(&encoded.log_variance, &wanted["logvar"]) < 1e-3 * coarser);
    // Channels last here, first in PyTorch.
    let decoded = vae.decode(&here(&(&wanted["latent"] * scale).unwrap())).unwrap();
    let decoded = decoded.permute((0, 3, 1, 2)).unwrap();
    assert!(largest_difference(&decoded, &wanted["decoded"]) < 1e-3 * coarser);
    let alphas = Tensor::new(model.info.schedule.alphas_cumprod(), &Device::Cpu).unwrap();
    assert!(largest_difference(&alphas, &wanted["alphas_cumprod"]) < 1e-6);
    for steps in [7, 50] {
        let sampler = model.info.sampler(model.info.default_sampler, steps).unwrap();
        let timesteps: Vec<f32> = sampler.timesteps().iter().map(|&t| t as f32).collect();
        assert_eq!(timesteps, wanted[&format!("timesteps_leading_{steps}")].to_vec1::<f32>().unwrap());
    }
}

fn error_of(folder: &Path) -> String {
    Model::load(&ModelFiles::Folder(folder.to_owned()), &Device::Cpu).unwrap_err().to_string()
}

fn change_json(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let (_guard, folder) = copy("sd2");
    change_json(&folder.join("unet/config.json"), |config| config["block_out_channels"][1] = 24.into());
    let error = error_of(&folder);
    assert!(error.contains("unet/diffusion_pytorch_model.safetensors"), "{error}");
    assert!(error.contains("down_blocks.1.resnets.0") && error.contains("16") && error.contains("24"), "{error}");
}

#[test]
fn a_tensor_that_is_missing_is_named_with_the_shape_that_is_wanted() {
    let (_guard, folder) = copy("sd2");
    change_json(&folder.join("unet/config.json"), |config| config["layers_per_block"] = 3.into());
    let error = error_of(&folder);
    assert!(error.contains("is missing") && error.contains("resnets."), "{error}");
}

#[test]
fn another_architecture_is_refused_by_its_configuration() {
    let (_guard, folder) = copy("sd2");
    change_json(&folder.join("unet/config.json"), |config| config["addition_embed_type"] = "text_time".into());
    let error = error_of(&folder);
    assert!(error.contains("addition_embed_type") && error.contains("text_time"), "{error}");
}

#[test]
fn what_is_switched_off_or_left_to_its_default_is_no_matter() {
    let (_guard, folder) = copy("sd2");
    let load = || Model::load(&ModelFiles::Folder(folder.clone()), &Device::Cpu);
    let wanted = load().unwrap().info.schedule.alphas_cumprod().to_vec();
    change_json(&folder.join("unet/config.json"), |config| {
        config["mid_block_only_cross_attention"] = false.into();
        config["only_cross_attention"] = serde_json::json!([false, false, false, false]);
        config["norm_eps"] = Value::Null;
        config["sample_size"] = serde_json::json!([32, 32]);
    });
    change_json(&folder.join("scheduler/scheduler_config.json"), |config| {
        config["timestep_spacing"] = Value::Null;
        config["trained_betas"] = Value::Null;
    });
    assert_eq!(load().unwrap().info.schedule.alphas_cumprod(), wanted);
    change_json(&folder.join("scheduler/scheduler_config.json"), |config| config["trained_betas"] = [0.1].into());
    assert!(error_of(&folder).contains("trained_betas"));
    change_json(&folder.join("scheduler/scheduler_config.json"), |config| {
        config["trained_betas"] = Value::Null;
        config["prediction_type"] = "sample".into();
    });
    let error = error_of(&folder);
    assert!(error.contains("`prediction_type`") && error.contains("v_prediction"), "{error}");
}

#[test]
fn a_file_that_is_cut_off_damaged_or_missing_is_named() {
    let (_guard, folder) = copy("sd2");
    let path = folder.join("vae/diffusion_pytorch_model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = error_of(&folder);
    assert!(error.contains("vae/diffusion_pytorch_model.safetensors") && error.contains("cut off"), "{error}");
    std::fs::write(&path, b"<html>").unwrap();
    assert!(error_of(&folder).contains("vae/diffusion_pytorch_model.safetensors"));
    std::fs::remove_file(&path).unwrap();
    let error = error_of(&folder);
    assert!(error.contains("has no vae/diffusion_pytorch_model.safetensors"), "{error}");
}

#[test]
fn an_error_in_its_profile_names_the_key() {
    let (_guard, folder) = copy("sd2");
    let error = |profile: &str| {
        std::fs::write(folder.join("reprompt.json"), profile).unwrap();
        error_of(&folder)
    };
    for (profile, key) in [
        (r#"{"preset": {}}"#, "`preset`: unknown field"),
        (r#"{"num_inference_steps": "many"}"#, "`num_inference_steps`: invalid type: string \"many\""),
        (r#"{"num_inference_steps": 1000}"#, "`num_inference_steps`: 1000 steps"),
        (r#"{"vocabulary": {"objects": "cat"}}"#, "`vocabulary.objects`: invalid type: string \"cat\""),
        (r#"{"examples": [{}, "a cat"]}"#, "`examples[1]`: invalid type: string \"a cat\""),
        ("{", "not JSON"),
    ] {
        let error = error(profile);
        assert!(error.starts_with(&format!("reprompt.json: {key}")), "{profile}: {error}");
    }
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let (_guard, folder) = copy("sd2");
    let ModelFiles::Folder(other) = fixture_model("sd1-other") else { unreachable!("a folder") };
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(other.join("text_encoder").join(file), folder.join("text_encoder").join(file)).unwrap();
    }
    let error = error_of(&folder);
    assert!(error.contains("cross_attention_dim") && error.contains("40") && error.contains("48"), "{error}");
}
