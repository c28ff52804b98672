//! Reads named tensors out of a safetensors file, checked against the shape that the configuration implies.
//!
//! Only the header is held; each tensor is read from its place when it is asked for, so loading a model takes
//! the memory of the model once. Weights may be stored as f16, bf16 or f32 and arrive as f32, or as the type that the
//! device computes in.

mod content;
mod convert;
pub mod embedded;
pub(crate) mod files;
mod finite;
pub(crate) mod hub;
pub(crate) mod json;
mod missing;
pub(crate) mod not_a_folder;
pub(crate) mod options;
pub(crate) mod pipeline;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Mutex;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, Metadata};

use crate::diffusion::error::ModelError;
use crate::diffusion::nn::Compute;
use crate::diffusion::weights::files::ModelFiles;
use crate::sync::lock;

/// An opened safetensors file.
#[derive(Debug)]
pub struct Weights {
    file: String,
    header: Metadata,
    data_offset: u64,
    store: Store,
    compute: Compute,
}

#[derive(Debug)]
enum Store {
    Memory(&'static [u8]),
    Disk(Mutex<File>),
}

impl Weights {
    /// Opens `file` of `model`; tensors will be created where and as `compute` says.
    pub fn open(model: &ModelFiles, file: &str, compute: &Compute) -> Result<Self, ModelError> {
        let damaged = |detail: String| ModelError::weights(file, detail);
        let (store, length) = if let Some(path) = model.path_of(file) {
            let io_error = |source| ModelError::Io { path: path.clone(), source };
            let handle = File::open(&path).map_err(io_error)?;
            let length = handle.metadata().map_err(io_error)?.len();
            (Store::Disk(Mutex::new(handle)), length)
        } else {
            let bytes = model.embedded(file).ok_or_else(|| damaged("the file is not there".to_owned()))?;
            (Store::Memory(bytes), bytes.len() as u64)
        };
        // What is there in place of weights says more than the number that its first bytes make.
        let instead = |otherwise: String| match content::kind(&store.start(length)) {
            Some(kind) => damaged(format!("expected a safetensors file, got {kind}")),
            None => damaged(otherwise),
        };
        let mut prefix = [0; 8];
        store.read_at(0, &mut prefix).map_err(|_| instead("shorter than a safetensors header".to_owned()))?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > length.saturating_sub(8) {
            return Err(instead(format!(
                "not a safetensors file, or cut off: its header claims {header_length} bytes, the file has {length}"
            )));
        }
        let mut header = vec![0; usize::try_from(header_length).unwrap_or(usize::MAX)];
        store.read_at(8, &mut header).map_err(|error| damaged(error.to_string()))?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| instead(format!("safetensors header: {error}")))?;
        let data_offset = 8 + header_length;
        let end = header.tensors().values().map(|info| info.data_offsets.1).max();
        if data_offset + end.unwrap_or(0) as u64 > length {
            return Err(damaged(format!(
                "cut off: its tensors end at byte {}, the file has {length}",
                data_offset + end.unwrap_or(0) as u64
            )));
        }
        Ok(Self { file: file.to_owned(), header, data_offset, store, compute: compute.clone() })
    }

    /// The file's outermost scope, with the names of the file.
    pub fn root(&self) -> Scope<'_> {
        Scope { weights: self, prefix: String::new(), is_precise: false }
    }

    /// What a file with these names of tensors seems to be, for the error of one that is missing.
    fn hint(&self) -> &'static str {
        let names = self.header.tensors();
        let has = |is_meant: fn(&str) -> bool| names.keys().any(|name| is_meant(name));
        if has(|name| name.contains("lora_") || name.contains(".base_layer.")) {
            "; the file has LoRA layers that are not merged: with diffusers, call `fuse_lora()` and \
             `unload_lora_weights()`, then save it again"
        } else if has(|name| name.starts_with("model.diffusion_model.") || name.starts_with("cond_stage_model.")) {
            "; the file is a single-file checkpoint: convert it with `from_single_file` of diffusers"
        } else if has(|name| name.starts_with("module.") || name.starts_with("_orig_mod.")) {
            "; its names have the prefix of a training wrapper: save the model without the wrapper"
        } else {
            ""
        }
    }

    fn tensor(&self, name: &str, wanted: &[usize], device: &Device, as_type: DType) -> Result<Tensor, ModelError> {
        let info = self.header.info(name).ok_or_else(|| ModelError::MissingTensor {
            file: self.file.clone(),
            name: name.to_owned(),
            wanted: wanted.to_vec(),
            hint: self.hint(),
        })?;
        if info.shape != wanted {
            return Err(ModelError::TensorShape {
                file: self.file.clone(),
                name: name.to_owned(),
                found: info.shape.clone(),
                wanted: wanted.to_vec(),
            });
        }
        let dtype = match info.dtype {
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F32 => DType::F32,
            other => {
                let detail = format!("expected tensor `{name}` in f16, bf16 or f32, got {other:?}");
                return Err(ModelError::weights(&self.file, detail));
            }
        };
        let (begin, end) = info.data_offsets;
        let mut bytes = vec![0; end - begin];
        self.store
            .read_at(self.data_offset + begin as u64, &mut bytes)
            .map_err(|error| ModelError::weights(&self.file, format!("tensor `{name}`: {error}")))?;
        if !finite::are_finite(&bytes, info.dtype) {
            return Err(ModelError::weights(&self.file, format!("tensor `{name}` contains NaN or infinity")));
        }
        Ok(Tensor::from_raw_buffer(&bytes, dtype, wanted, device)?.to_dtype(as_type)?)
    }
}

impl Store {
    /// The first bytes, as many as [`content::kind`] reads; none where they cannot be read.
    fn start(&self, length: u64) -> Vec<u8> {
        let mut start = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(content::START)];
        if self.read_at(0, &mut start).is_ok() { start } else { Vec::new() }
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                let mut rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)).unwrap_or(&[]);
                rest.read_exact(out)
            }
            Self::Disk(file) => {
                let mut file = lock(file);
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(out)
            }
        }
    }
}

/// A place in the tree of tensor names: `down_blocks.0.resnets.1`.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
    is_precise: bool,
}

impl Scope<'_> {
    /// The scope below this one.
    #[must_use]
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: self.full_name(&name.to_string()), ..*self }
    }

    /// The same scope, whose layers multiply in f32 on the CPU whatever the model computes in.
    #[must_use]
    pub fn precise(&self) -> Self {
        Self { is_precise: true, ..self.clone() }
    }

    /// Whether layers on the CPU multiply bf16.
    pub fn multiplies_bf16(&self) -> bool {
        !self.is_precise && self.compute().dtype == DType::BF16
    }

    /// Whether a tensor of this name is in the file.
    pub fn has(&self, name: &str) -> bool {
        self.weights.header.info(&self.full_name(name)).is_some()
    }

    /// Where and in what layers compute.
    pub fn compute(&self) -> &Compute {
        &self.weights.compute
    }

    /// The tensor `name` of exactly the shape `wanted`, where and as feature maps are.
    pub fn tensor(&self, name: &str, wanted: &[usize]) -> Result<Tensor, ModelError> {
        let compute = &self.weights.compute;
        self.weights.tensor(&self.full_name(name), wanted, &compute.device, compute.activations())
    }

    /// The numbers of the tensor `name` of exactly the shape `wanted`, on the CPU.
    pub fn numbers(&self, name: &str, wanted: &[usize]) -> Result<Vec<f32>, ModelError> {
        let tensor = self.weights.tensor(&self.full_name(name), wanted, &Device::Cpu, DType::F32)?;
        Ok(tensor.flatten_all()?.to_vec1()?)
    }

    fn full_name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}
