//! From prompts to embeddings: tokenizers and text encoders.

pub(crate) mod encoder;
pub(crate) mod encoders;
pub mod tokenizer;
