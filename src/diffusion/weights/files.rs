//! The files of a model in the diffusers layout, from a folder or compiled into the binary.
//!
//! Files are read by their path relative to the model (`unet/config.json`), in the same way for both. The fingerprint
//! is a hash of the model's contents: replicas with the same files have the same fingerprint. A file that is read and
//! can change an image is in [`FINGERPRINTED`].

use std::borrow::Cow;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::{hub, json, missing};

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
    /// Any of them under a name that the operator chose.
    Named {
        /// What the model is called in answers.
        name: String,
        /// Where its files are.
        files: Box<Self>,
    },
}

/// Files that decide what a model computes, in the order in which they enter the fingerprint. Not here are
/// `reprompt.json` and `model_index.json`: what they say is part of each request, or decides only whether the model is
/// loaded.
const FINGERPRINTED: &[&str] = &[
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder/model.fp16.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/added_tokens.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.fp16.safetensors",
];

impl ModelFiles {
    /// These files under another name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self::Named { name: name.to_owned(), files: Box::new(self) }
    }

    /// A short name for answers and logs: the one that was chosen, the embedded model's own, `owner/name` for a
    /// snapshot in a Hugging Face cache, or the folder's last component.
    pub fn name(&self) -> String {
        match self {
            Self::Named { name, .. } => name.clone(),
            Self::Embedded { name, .. } => (*name).to_owned(),
            Self::Folder(path) => {
                let resolved = path.canonicalize().unwrap_or_else(|_| path.clone());
                let last = || resolved.file_name().map(|name| name.to_string_lossy().into_owned());
                hub::id_of_snapshot(&resolved).or_else(last).unwrap_or_else(|| path.display().to_string())
            }
        }
    }

    /// The bytes of a file, or `None` where the model has no such file.
    pub fn read(&self, file: &str) -> Result<Option<Cow<'static, [u8]>>, ModelError> {
        match self {
            Self::Named { files, .. } => files.read(file),
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
        json::parse(file, &self.require(file)?)
    }

    /// A JSON file as `T`, or `None` where the model has no such file.
    pub fn json_if_present<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, ModelError> {
        self.read(file)?.map(|bytes| json::parse(file, &bytes)).transpose()
    }

    /// A JSON file as it is; null where the model has no such file.
    pub(crate) fn value(&self, file: &str) -> Result<Value, ModelError> {
        self.read(file)?.map_or(Ok(Value::Null), |bytes| json::value(file, &bytes))
    }

    /// The first of `candidates` that the model has; the error names the first one.
    pub fn first_of(&self, candidates: &[&'static str]) -> Result<&'static str, ModelError> {
        let found = candidates.iter().find(|file| self.has(file)).copied();
        found.ok_or_else(|| self.missing(candidates.first().unwrap_or(&"files")))
    }

    fn has(&self, file: &str) -> bool {
        match self {
            Self::Named { files, .. } => files.has(file),
            Self::Embedded { files, .. } => find(files, file).is_some(),
            Self::Folder(folder) => folder.join(file).is_file(),
        }
    }

    /// The path on disk of a file, for readers that seek; `None` for an embedded model.
    pub(crate) fn path_of(&self, file: &str) -> Option<PathBuf> {
        match self {
            Self::Named { files, .. } => files.path_of(file),
            Self::Embedded { .. } => None,
            Self::Folder(folder) => Some(folder.join(file)),
        }
    }

    /// The bytes of a file that is compiled in.
    pub(crate) fn embedded(&self, file: &str) -> Option<&'static [u8]> {
        match self {
            Self::Named { files, .. } => files.embedded(file),
            Self::Embedded { files, .. } => find(files, file),
            Self::Folder(_) => None,
        }
    }

    /// BLAKE3 over the names and contents of everything that decides what the model computes, in hexadecimal.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let mut hasher = blake3::Hasher::new();
        for file in FINGERPRINTED {
            let hash = match self.path_of(file) {
                Some(path) => hash_file(&path)?,
                None => self.embedded(file).map(blake3::hash),
            };
            if let Some(hash) = hash {
                hasher.update(file.as_bytes()).update(hash.as_bytes());
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    fn missing(&self, file: &str) -> ModelError {
        let (model, help) = match self {
            Self::Named { files, .. } => return files.missing(file),
            Self::Embedded { name, .. } => ((*name).to_owned(), "the build is not complete".to_owned()),
            Self::Folder(path) => (path.display().to_string(), missing::help(path, file)),
        };
        ModelError::MissingFile { model, file: file.to_owned(), help }
    }
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
