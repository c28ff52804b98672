//! Prompts: tokenizers and text encoders.

pub mod encoder;
pub mod tokenizer;
