//! From prompts to embeddings: tokenizers and text encoders.

mod added_tokens;
pub(crate) mod encoder;
pub(crate) mod encoders;
pub mod tokenizer;
mod vectors;
