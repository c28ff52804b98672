//! The files of a model in the diffusers layout, from a folder or compiled into the binary.
//!
//! Files are read by their path relative to the model (`unet/config.json`), in the same way for both. The fingerprint
//! is a hash of the model's contents: replicas with the same files have the same fingerprint.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diffusion::error::ModelError;

/// One file compiled into the binary: its path relative to the model, and its bytes.
pub type EmbeddedFile = (&'static str, &'static [u8]);

/// Where a model's files are read from.
#[derive(Debug, Clone)]
pub enum ModelFiles {
    /// A folder on disk in the diffusers layout.
    Folder(PathBuf),
    /// Files compiled into the binary, under a name.
    Embedded {
        /// What the model is called in answers.
        name: &'static str,
        /// All files of the model.
        files: &'static [EmbeddedFile],
    },
}

/// Files that decide what a model computes, in the order in which they enter the fingerprint.
const FINGERPRINTED: &[&str] = &[
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder/model.fp16.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.fp16.safetensors",
];

impl ModelFiles {
    /// A short name for answers and logs: the embedded model's own, or the folder's last component.
    pub fn name(&self) -> String {
        match self {
            Self::Embedded { name, .. } => (*name).to_owned(),
            Self::Folder(path) => path
                .canonicalize()
                .ok()
                .as_deref()
                .unwrap_or(path)
                .file_name()
                .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned()),
        }
    }

    /// The bytes of a file, or `None` where the model has no such file.
    pub fn read(&self, file: &str) -> Result<Option<Cow<'static, [u8]>>, ModelError> {
        match self {
            Self::Embedded { files, .. } => Ok(find(files, file).map(Cow::Borrowed)),
            Self::Folder(folder) => {
                let path = folder.join(file);
                match fs::read(&path) {
                    Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(ModelError::Io { path, source }),
                }
            }
        }
    }

    /// The bytes of a file that must be there.
    pub fn require(&self, file: &str) -> Result<Cow<'static, [u8]>, ModelError> {
        self.read(file)?.ok_or_else(|| self.missing(file))
    }

    /// A JSON file that must be there, as `T`. A key that is null counts as left out.
    pub fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T, ModelError> {
        parse(file, &self.require(file)?)
    }

    /// A JSON file as `T`, or `None` where the model has no such file.
    pub fn json_if_present<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, ModelError> {
        self.read(file)?.map(|bytes| parse(file, &bytes)).transpose()
    }

    /// The first of `candidates` that the model has; the error names the first one.
    pub fn first_of(&self, candidates: &[&'static str]) -> Result<&'static str, ModelError> {
        candidates
            .iter()
            .find(|file| match self {
                Self::Embedded { files, .. } => find(files, file).is_some(),
                Self::Folder(folder) => folder.join(file).is_file(),
            })
            .copied()
            .ok_or_else(|| self.missing(candidates.first().unwrap_or(&"files")))
    }

    /// The path on disk of a file, for readers that seek; `None` for an embedded model.
    pub(crate) fn path_of(&self, file: &str) -> Option<PathBuf> {
        match self {
            Self::Embedded { .. } => None,
            Self::Folder(folder) => Some(folder.join(file)),
        }
    }

    /// BLAKE3 over the names and contents of everything that decides what the model computes, in hexadecimal.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let mut hasher = blake3::Hasher::new();
        for file in FINGERPRINTED {
            match self {
                Self::Embedded { files, .. } => {
                    if let Some(bytes) = find(files, file) {
                        hasher.update(file.as_bytes()).update(blake3::hash(bytes).as_bytes());
                    }
                }
                Self::Folder(folder) => {
                    if let Some(hash) = hash_file(&folder.join(file))? {
                        hasher.update(file.as_bytes()).update(hash.as_bytes());
                    }
                }
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    fn missing(&self, file: &str) -> ModelError {
        let model = match self {
            Self::Embedded { name, .. } => (*name).to_owned(),
            Self::Folder(path) => path.display().to_string(),
        };
        ModelError::MissingFile { model, file: file.to_owned() }
    }
}

fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, ModelError> {
    let mut value: Value =
        serde_json::from_slice(bytes).map_err(|error| ModelError::config(file, format!("not JSON: {error}")))?;
    if let Value::Object(keys) = &mut value {
        keys.retain(|_, value| !value.is_null());
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let key = error.path().to_string();
        ModelError::config(
            file,
            if key == "." { error.inner().to_string() } else { format!("`{key}`: {}", error.inner()) },
        )
    })
}

fn find(files: &'static [EmbeddedFile], wanted: &str) -> Option<&'static [u8]> {
    files.iter().find(|(name, _)| *name == wanted).map(|(_, bytes)| *bytes)
}

/// Hashes a file block by block, so that gigabytes of weights do not pass through memory at once.
fn hash_file(path: &Path) -> Result<Option<blake3::Hash>, ModelError> {
    let io_error = |source| ModelError::Io { path: path.to_owned(), source };
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(error)),
    };
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut block).map_err(io_error)?;
        if read == 0 {
            return Ok(Some(hasher.finalize()));
        }
        hasher.update(&block[..read]);
    }
}
