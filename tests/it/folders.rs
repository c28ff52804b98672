//! Model folders as people have them: what is read of them, and what is said of those that cannot be loaded.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use reprompt::diffusion::text::tokenizer::Tokenizer;
use reprompt::diffusion::{Model, ModelFiles};
use serde_json::{Value, json};

use crate::process::reprompt;
use crate::support::{Service, config, copy, fixtures};

fn files(folder: &Path) -> ModelFiles {
    ModelFiles::Folder(folder.to_owned())
}

fn error_of(folder: &Path) -> String {
    Model::load(&files(folder), &Device::Cpu).unwrap_err().to_string()
}

fn write_json(path: PathBuf, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

fn change_json(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// `tokenizer.json` of the folder's `vocab.json` and `merges.txt`.
fn full_tokenizer(folder: &Path, added: &Value) -> Value {
    let vocab: Value = serde_json::from_slice(&fs::read(folder.join("vocab.json")).unwrap()).unwrap();
    let merges = fs::read_to_string(folder.join("merges.txt")).unwrap();
    let merges: Vec<_> = merges.lines().filter(|line| !line.starts_with("#version") && !line.is_empty()).collect();
    json!({"version": "1.0", "added_tokens": added, "model": {"type": "BPE", "vocab": vocab, "merges": merges}})
}

/// The ids are those of transformers 5.24, after diffusers 0.42.1 wrote out the tokens of several vectors.
#[test]
fn added_tokens_are_those_of_transformers() {
    let cases = fs::read(fixtures().join("stages/added-tokens.json")).unwrap();
    let cases: Value = serde_json::from_slice(&cases).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let (_guard, folder) = copy("sd2");
        let folder_of_tokenizer = folder.join("tokenizer");
        if !case["added_tokens"].is_null() {
            let full = full_tokenizer(&folder_of_tokenizer, &case["added_tokens"]);
            write_json(folder_of_tokenizer.join("tokenizer.json"), &full);
        }
        for (file, content) in case["files"].as_object().unwrap() {
            write_json(folder_of_tokenizer.join(file), content);
        }
        let tokenizer = Tokenizer::load(&files(&folder), 77).unwrap();
        assert_eq!(json!(tokenizer.pad(&[]).first()), case["padding"], "{}", case["name"]);
        for (text, ids) in cases["texts"].as_array().unwrap().iter().zip(case["ids"].as_array().unwrap()) {
            let text = text.as_str().unwrap();
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(json!(tokens.ids), *ids, "{}: {text:?}", case["name"]);
            assert_eq!(tokens.ids.len(), tokens.spans.len());
            assert!(tokens.spans.iter().all(|span| text.get(span.clone()).is_some()), "{}: {text:?}", case["name"]);
        }
    }
}

#[test]
fn a_tokenizer_that_would_make_other_prompts_in_diffusers_is_refused() {
    for (key, value) in
        [("padding_side", json!("left")), ("model_max_length", json!(32)), ("add_eos_token", json!(false))]
    {
        let (_guard, folder) = copy("sd2");
        change_json(&folder.join("tokenizer/tokenizer_config.json"), |config| config[key] = value);
        let error = error_of(&folder);
        assert!(error.starts_with(&format!("tokenizer/tokenizer_config.json: unsupported `{key}`")), "{error}");
    }
}

#[test]
fn the_fingerprint_changes_with_every_file_that_can_change_an_image() {
    let (_guard, folder) = copy("sd2");
    let fingerprint = || files(&folder).fingerprint().unwrap();
    let mut seen = vec![fingerprint()];
    let mut is_new = |file: &str| {
        let now = fingerprint();
        assert!(!seen.contains(&now), "{file}");
        seen.push(now);
    };
    for part in ["text_encoder", "tokenizer", "scheduler", "unet", "vae"] {
        for entry in fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let content = fs::read(&path).unwrap();
            fs::write(&path, [&content[..], b"\n"].concat()).unwrap();
            is_new(&path.display().to_string());
        }
    }
    for file in ["added_tokens.json", "tokenizer.json"] {
        fs::write(folder.join("tokenizer").join(file), "{}").unwrap();
        is_new(file);
    }
}

#[test]
fn python_writes_numbers_that_json_does_not_have() {
    let (_guard, folder) = copy("sd2");
    let path = folder.join("scheduler/scheduler_config.json");
    let config = fs::read_to_string(&path).unwrap();
    let config = config.trim_end().strip_suffix('}').unwrap();
    fs::write(&path, format!("{config}, \"lambda_min_clipped\": -Infinity, \"a\": [NaN, Infinity]}}")).unwrap();
    Model::load(&files(&folder), &Device::Cpu).unwrap();
    fs::write(&path, format!("{config}, \"beta_end\": NaN}}")).unwrap();
    let error = error_of(&folder);
    assert!(error.starts_with("scheduler/scheduler_config.json: `beta_end`") && error.contains("NaN"), "{error}");
}

#[test]
fn old_sizes_and_sizes_of_two_sides_are_those_of_diffusers() {
    for (size, version, (width, height)) in
        [(json!(32), "0.6.0", (512, 512)), (json!([32, 48]), "0.6.0", (384, 256)), (json!(16), "0.10.0", (128, 128))]
    {
        let (_guard, folder) = copy("sd2");
        change_json(&folder.join("unet/config.json"), |config| {
            (config["sample_size"], config["_diffusers_version"]) = (size, version.into());
        });
        let info = Model::load(&files(&folder), &Device::Cpu).unwrap().info;
        assert_eq!((info.native_width, info.native_height), (width, height));
    }
}

/// The classes are those of diffusers, and the keys those of its models of these kinds.
#[test]
fn a_model_of_another_kind_is_refused_by_its_class() {
    for (class, key, value) in [
        ("StableDiffusionXLPipeline", "addition_embed_type", json!("text_time")),
        ("StableDiffusionInpaintPipeline", "in_channels", json!(9)),
        ("StableDiffusionDepth2ImgPipeline", "in_channels", json!(5)),
        ("StableDiffusionInstructPix2PixPipeline", "in_channels", json!(8)),
        ("StableDiffusionUpscalePipeline", "in_channels", json!(7)),
        ("LatentConsistencyModelPipeline", "time_cond_proj_dim", json!(256)),
        ("StableUnCLIPPipeline", "class_embed_type", json!("projection")),
    ] {
        let (_guard, folder) = copy("sd2");
        change_json(&folder.join("model_index.json"), |index| index["_class_name"] = class.into());
        change_json(&folder.join("unet/config.json"), |config| config[key] = value);
        let error = error_of(&folder);
        assert!(error.starts_with(&format!("sd2 is a {class}, ")), "{error}");
        assert!(error.ends_with("expected a StableDiffusionPipeline of Stable Diffusion 1.x or 2.x"), "{error}");
    }
    for (class, part) in
        [("StableDiffusion3Pipeline", "transformer"), ("FluxPipeline", "transformer"), ("NewPipeline", "transformer")]
    {
        let (_guard, folder) = copy("sd2");
        change_json(&folder.join("model_index.json"), |index| {
            index["_class_name"] = class.into();
            index[part] = json!(["diffusers", "Transformer2DModel"]);
            index["unet"] = Value::Null;
        });
        fs::remove_dir_all(folder.join("unet")).unwrap();
        let error = error_of(&folder);
        assert!(error.starts_with(&format!("sd2 is a {class}, ")), "{error}");
    }
    for class in ["StableDiffusionInpaintPipeline", "StableDiffusionImg2ImgPipeline", "MyPipeline"] {
        let (_guard, folder) = copy("sd2");
        change_json(&folder.join("model_index.json"), |index| index["_class_name"] = class.into());
        Model::load(&files(&folder), &Device::Cpu).unwrap();
    }
}

#[test]
fn weights_that_are_not_there_as_one_safetensors_file_are_named_with_what_helps() {
    const UNET: &str = "diffusion_pytorch_model";
    for (instead, wanted) in [
        ("{}.bin", &["unet/diffusion_pytorch_model.bin, a PyTorch file", "save_pretrained("][..]),
        ("{}.non_ema.safetensors", &["the variant non_ema", "variant='non_ema'"]),
        ("{}.bf16.safetensors", &["the variant bf16", "variant='bf16'"]),
        ("{}-00001-of-00002.safetensors", &["sharded", "max_shard_size='100GB'"]),
        ("{}.safetensors.index.json", &["sharded", "max_shard_size='100GB'"]),
        ("{}.fp16-00001-of-00002.safetensors", &["sharded"]),
        ("{}.safetensors.incomplete", &["a download that has not ended"]),
        ("diffusion_flax_model.msgpack", &["weights for Flax"]),
        ("model.onnx", &["weights for ONNX"]),
        ("other.safetensors", &["unet/ has config.json, other.safetensors"]),
    ] {
        let (_guard, folder) = copy("sd2");
        let unet = folder.join("unet");
        fs::rename(unet.join(format!("{UNET}.safetensors")), unet.join(instead.replace("{}", UNET))).unwrap();
        let error = error_of(&folder);
        assert!(error.contains("has no unet/diffusion_pytorch_model.safetensors; "), "{error}");
        assert!(wanted.iter().all(|part| error.contains(part)), "{instead}: {error}");
    }
    let (_guard, folder) = copy("sd2");
    let weights = |variant: &str| folder.join(format!("unet/{UNET}{variant}.safetensors"));
    fs::rename(weights(""), weights(".fp16")).unwrap();
    Model::load(&files(&folder), &Device::Cpu).unwrap();
}

#[test]
fn a_file_that_is_something_else_is_named_as_what_it_is() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3438167536\n";
    for (content, wanted) in [
        (pointer.as_bytes(), "got a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html>".as_slice(), "got a web page"),
        (b"{\"error\": \"Repository not found\"}", "got JSON"),
        (b"Invalid username or password.", "got the text \"Invalid username or password.\""),
        (b"", "got an empty file"),
        (b"PK\x03\x04\x00\x00\x00\x00\x00\x00", "got a zip archive, such as a PyTorch file"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "got a Python pickle"),
    ] {
        let (_guard, folder) = copy("sd2");
        fs::write(folder.join("vae/diffusion_pytorch_model.safetensors"), content).unwrap();
        let error = error_of(&folder);
        let start = "vae/diffusion_pytorch_model.safetensors: expected a safetensors file, ";
        assert!(error.starts_with(start) && error.contains(wanted), "{error}");
    }
    let (_guard, folder) = copy("sd2");
    fs::write(folder.join("unet/config.json"), pointer).unwrap();
    assert!(error_of(&folder).starts_with("unet/config.json: not JSON: it is a Git LFS pointer"));
}

#[test]
fn another_folder_than_the_models_leads_to_it() {
    let (_guard, model) = copy("sd2");
    let root = model.parent().unwrap().canonicalize().unwrap();
    let error = error_of(&root);
    assert!(error.contains(&format!("expected the folder of the model, {}", root.join("sd2").display())), "{error}");
    let error = error_of(&model.join("unet"));
    assert!(error.contains(&format!("expected the folder of the model, {}", root.join("sd2").display())), "{error}");

    let hub = root.join("hub");
    let snapshot = hub.join("models--owner--name/snapshots/0123abc");
    fs::create_dir_all(snapshot.parent().unwrap()).unwrap();
    fs::rename(&model, &snapshot).unwrap();
    for folder in [hub.join("models--owner--name"), hub] {
        let error = error_of(&folder);
        assert!(error.contains("Hugging Face cache") && error.contains(&snapshot.display().to_string()), "{error}");
    }
    assert_eq!(files(&snapshot).name(), "owner/name");
    assert_eq!(files(&snapshot).named("my model").name(), "my model");
    assert_eq!(files(&snapshot).named("my model").fingerprint().unwrap(), files(&snapshot).fingerprint().unwrap());
    let link = root.join("link");
    std::os::unix::fs::symlink(&snapshot, &link).unwrap();
    assert_eq!(files(&link).name(), "owner/name");

    let other = root.join("other");
    fs::create_dir(&other).unwrap();
    assert!(error_of(&other).contains("the folder is empty"));
    fs::write(other.join("pytorch_lora_weights.safetensors"), "").unwrap();
    assert!(error_of(&other).contains("LoRA weights"));
    fs::remove_file(other.join("pytorch_lora_weights.safetensors")).unwrap();
    fs::write(other.join("sd.ckpt"), "").unwrap();
    assert!(error_of(&other).contains("P.from_single_file("));
    fs::create_dir(other.join("transformer")).unwrap();
    assert!(error_of(&other).contains("transformer/ and no unet/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_found_by_the_name_that_it_was_given() {
    let (_guard, folder) = copy("sd2");
    let service = Service::start(files(&folder).named("owner/name"), config()).await;
    let list = service.get("/v1/models").await.json();
    assert_eq!(list["data"][0]["id"], "owner/name");
    assert_eq!(service.get("/v1/models/owner%2Fname").await.json(), list["data"][0]);
    let answer = service.post("/v1/images/generations", &json!({"model": "sd2", "prompt": "a cat"})).await;
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
}

#[test]
fn the_name_is_a_flag_and_a_variable() {
    let (_guard, folder) = copy("sd2");
    let id = |arguments: &[&str], variable: Option<&str>| {
        let mut command = reprompt(&[&["models", "--json", "--model", folder.to_str().unwrap()], arguments].concat());
        command.envs(variable.map(|name| ("REPROMPT_MODEL_NAME", name)));
        let output = command.stdout(std::process::Stdio::piped()).output().unwrap();
        let list: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| json!(String::from_utf8_lossy(&output.stderr)));
        list["data"][0]["id"].as_str().map_or_else(|| list.to_string(), str::to_owned)
    };
    assert_eq!(id(&[], None), "sd2");
    assert_eq!(id(&["--model-name", "owner/name"], None), "owner/name");
    assert_eq!(id(&[], Some("mine")), "mine");
    assert!(id(&["--model-name", " "], None).contains("--model-name: unsupported value"));
}
