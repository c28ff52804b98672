//! What files of recordings promise: `parts` and `sources` as bytes, the `folder` over restarts, `removal` meanwhile.

mod damage;
mod folder;
mod parts;
mod removal;
mod restart;
mod sources;

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::View;
use tempfile::TempDir;

use crate::recordings::disk::{Folder, Found, Part};
use crate::recordings::{SessionId, Source};

const MODEL: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OTHER_MODEL: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

fn source(seed: u64) -> Source {
    Source {
        prompt: "a photo of a \"cat\"\n\u{1f408}".to_owned(),
        negative_prompt: "blurry".to_owned(),
        seed,
        steps: 50,
        guidance_scale: 7.5,
        width: 512,
        height: 768,
    }
}

fn id(seed: u64) -> SessionId {
    source(seed).session_id(MODEL)
}

fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(dir: &TempDir) -> (Folder, Found) {
    Folder::open(dir.path(), MODEL).expect("the folder opens")
}

/// Where a session's file lies.
fn file(dir: &TempDir, seed: u64, name: &str) -> PathBuf {
    session_dir(dir, seed).join(name)
}

fn session_dir(dir: &TempDir, seed: u64) -> PathBuf {
    dir.path().join(&MODEL[..16]).join(id(seed).as_str())
}

/// All names below a folder, files and folders.
fn names_below(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

/// A session with its source and some parts.
fn record(folder: &Folder, seed: u64, parts: &[Part]) {
    let writing = folder.begin(&id(seed));
    folder.write_source(&writing, &source(seed)).expect("the source is written");
    for part in parts {
        folder.write(&writing, *part, &tensors()).expect("the part is written");
    }
}

/// One tensor of every type, one without values, one without dimensions, one that is not contiguous.
fn tensors() -> Vec<(String, Tensor)> {
    let cpu = &Device::Cpu;
    let values =
        Tensor::new(&[[1.5f32, -0.0, f32::NAN], [f32::INFINITY, f32::MIN_POSITIVE, 3.0e38]], cpu).expect("f32");
    let as_type = |dtype| values.to_dtype(dtype).expect("a type");
    vec![
        ("step.1.queries".to_owned(), as_type(DType::F16)),
        ("step.0.queries".to_owned(), as_type(DType::BF16)),
        ("image".to_owned(), Tensor::new(&[0u8, 1, 127, 128, 255], cpu).expect("u8")),
        ("latents".to_owned(), values.t().expect("a view")),
        ("scale".to_owned(), Tensor::new(0.25f32, cpu).expect("a scalar")),
        ("maps".to_owned(), Tensor::zeros((0, 77), DType::F32, cpu).expect("an empty tensor")),
        ("previews".to_owned(), Tensor::zeros((3, 0), DType::U8, cpu).expect("an empty tensor")),
        ("\u{e9}\"\\".to_owned(), values),
    ]
}

/// Tensors as they can be compared, to the last bit, in the order of their names.
fn bits(tensors: &[(String, Tensor)]) -> Vec<(String, DType, Vec<usize>, Vec<u8>)> {
    let of = |(name, tensor): &(String, Tensor)| {
        (name.clone(), tensor.dtype(), tensor.dims().to_vec(), tensor.data().into_owned())
    };
    let mut bits: Vec<_> = tensors.iter().map(of).collect();
    bits.sort_by(|a, b| a.0.cmp(&b.0));
    bits
}
