//! Why a folder lacks a file of a model: what is there in its place, and what to do.
//!
//! Contract: the text completes "FOLDER has no FILE; …". Only names are looked at, nothing is loaded.

use std::fs;
use std::path::{Path, PathBuf};

use crate::diffusion::weights::{convert, hub};

const EXPECTED: &str =
    "expected a Stable Diffusion folder in the diffusers layout: text_encoder/, tokenizer/, unet/, vae/, scheduler/";

/// Names listed in a message.
const LISTED: usize = 5;

/// What to do about `file`, such as `unet/config.json`, that `folder` lacks.
pub(super) fn help(folder: &Path, file: &str) -> String {
    let (part, name) = file.rsplit_once('/').unwrap_or(("", file));
    let found = if folder.join(part).is_dir() { in_part(folder, part, name) } else { in_folder(folder) };
    found.unwrap_or_else(|| EXPECTED.to_owned())
}

/// The folder lacks the whole part: it may be another folder than the model's.
fn in_folder(folder: &Path) -> Option<String> {
    let names = names(folder);
    let child = |name: &String| folder.join(name);
    if names.is_empty() {
        return Some(format!("the folder is empty; {EXPECTED}"));
    }
    if folder.join("snapshots").is_dir() {
        return Some(match hub::snapshot_of(folder) {
            Some(snapshot) => {
                format!("it is a model's folder in a Hugging Face cache; expected its snapshot, {}", snapshot.display())
            }
            None => "it is a model's folder in a Hugging Face cache, without a snapshot; download the model".to_owned(),
        });
    }
    let in_cache = || names.iter().filter(|name| name.starts_with("models--")).map(child);
    if let Some(snapshot) = in_cache().find_map(|folder| hub::snapshot_of(&folder)) {
        return Some(format!(
            "it is a Hugging Face cache; expected the snapshot of one model, such as {}",
            snapshot.display()
        ));
    }
    if let Some(model) = below(folder) {
        return Some(format!("expected the folder of the model, {}", model.display()));
    }
    let resolved = folder.canonicalize().ok();
    if let Some(parent) = resolved.as_deref().and_then(Path::parent).filter(|parent| is_pipeline(parent)) {
        return Some(format!("it is one part of a model; expected the folder of the model, {}", parent.display()));
    }
    if folder.join("transformer").is_dir() {
        let other =
            "it has transformer/ and no unet/, as Stable Diffusion 3 and Flux do; expected Stable Diffusion 1.x or 2.x";
        return Some(other.to_owned());
    }
    let is_lora = |name: &String| name == "adapter_config.json" || name.contains("lora");
    if names.iter().any(is_lora) {
        let lora = "it holds LoRA weights, not a model; load them into their base model with diffusers, call \
                    `fuse_lora()` and `unload_lora_weights()`, and save that with `save_pretrained`";
        return Some(lora.to_owned());
    }
    if let Some(name) = names.iter().find(|name| convert::is_checkpoint(Path::new(name))) {
        return Some(convert::checkpoint(&folder.join(name)));
    }
    Some(format!("it has {}; {EXPECTED}", listed(&names)))
}

/// The part is there without the file.
fn in_part(folder: &Path, part: &str, name: &str) -> Option<String> {
    let path = folder.join(part).join(name);
    if let Ok(target) = fs::read_link(&path) {
        return Some(format!("it is a link to {}, which does not exist; download the model again", target.display()));
    }
    let names = names(&folder.join(part));
    let stem = name.strip_suffix(".safetensors")?;
    let has = |is_meant: &dyn Fn(&str) -> bool| names.iter().find(|name| is_meant(name));
    if has(&|name| name.contains(".safetensors.index") || name.contains("-00001-of-")).is_some() {
        return Some(format!(
            "its weights are in several files (sharded), which is not supported; write them as one file: {}",
            convert::command(folder, "", ", max_shard_size='100GB'", "one-file")
        ));
    }
    let is_part =
        |name: &str| [".incomplete", ".part", ".crdownload", ".tmp", ".download"].iter().any(|end| name.ends_with(end));
    if let Some(part) = has(&|name| name.starts_with(stem) && is_part(name)) {
        return Some(format!("{part} is a download that has not ended; download the model again"));
    }
    let variant =
        |name: &str| Some(name.strip_suffix(".safetensors")?.strip_prefix(stem)?.strip_prefix('.')?.to_owned());
    let variants: Vec<String> = names.iter().filter_map(|name| variant(name)).collect();
    if let Some(first) = variants.first() {
        return Some(format!(
            "it has the variant {}; expected no variant or fp16; write it as one without: {}",
            variants.join(", "),
            convert::command(folder, &format!(", variant='{first}'"), "", first)
        ));
    }
    if let Some(other) = has(&|name| name.ends_with(".bin") || name.ends_with(".ckpt") || name.ends_with(".pt")) {
        return Some(format!(
            "it has {part}/{other}, a PyTorch file; expected safetensors; convert the model: {}",
            convert::command(folder, "", "", "safetensors")
        ));
    }
    let foreign =
        [(".msgpack", "Flax"), (".h5", "TensorFlow"), (".onnx", "ONNX"), (".xml", "OpenVINO"), (".gguf", "GGUF")];
    for (end, framework) in foreign {
        if let Some(other) = has(&|name| name.ends_with(end)) {
            return Some(format!("it has {part}/{other}, weights for {framework}; expected safetensors for PyTorch"));
        }
    }
    match names.is_empty() {
        true => Some(format!("{part}/ is empty; download the model again")),
        false => Some(format!("{part}/ has {}; download the model again", listed(&names))),
    }
}

/// The model's folder inside this one, at most two levels down.
fn below(folder: &Path) -> Option<PathBuf> {
    let folders = |folder: &Path| -> Vec<PathBuf> {
        names(folder).iter().map(|name| folder.join(name)).filter(|path| path.is_dir()).collect()
    };
    let first = folders(folder);
    let second = first.iter().flat_map(|folder| folders(folder));
    first.iter().cloned().chain(second).find(|folder| is_pipeline(folder))
}

/// Whether a folder is one of a model in the diffusers layout.
pub(super) fn is_pipeline(folder: &Path) -> bool {
    folder.join("model_index.json").is_file() || folder.join("unet/config.json").is_file()
}

/// The names in a folder, sorted; none where it cannot be read. Hidden ones are left out.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// Names for a message; of many only the first.
pub(super) fn listed(names: &[String]) -> String {
    match names.len().saturating_sub(LISTED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..LISTED].join(", ")),
    }
}
