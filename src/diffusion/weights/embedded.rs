//! The model that is compiled into the binary, so that images can be edited without a download.

use crate::diffusion::weights::files::{EmbeddedFile, ModelFiles};

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../models/demo/", $path)))),*]
    };
}

// Not a constant: a copy of that would be compiled in wherever it is used.
static FILES: &[EmbeddedFile] = files![
    "reprompt.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
];

/// The demo model: 128 px scenes of a few animals and things in a few places.
pub fn demo() -> ModelFiles {
    ModelFiles::Embedded { name: "reprompt-demo", files: FILES }
}
