//! Conditioning: what the UNet reads of a prompt.
//!
//! Contract: text encoders turn prompts into embeddings, the UNet turns embeddings into a [`Conditioning`], and nothing
//! else makes one. A conditioning depends on its [`ConditioningKey`] and the model alone, so caches use that key. What an
//! architecture reads beside the text (a pooled vector and time ids) becomes a field of [`Conditioning`], and what that
//! depends on (the image size) a field of the key.

use std::sync::Arc;

use crate::diffusion::nn::{Keys, Values};

/// All that a conditioning depends on, beside the model: the tokens that the text encoders read. Prompts with the same
/// tokens have the same conditioning, whatever their text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConditioningKey {
    ids: Arc<[u32]>,
}

/// Keys and values of one prompt at one cross-attention layer; the same at every step.
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// Of its tokens.
    pub keys: Keys,
    /// Of its tokens.
    pub values: Values,
}

/// What cross-attention reads of a prompt: keys and values for every layer, computed once.
#[derive(Debug, Clone, Default)]
pub struct TextContext {
    /// By the sites' indices; `None` at self-attention layers.
    key_values: Vec<Option<KeyValue>>,
}

impl TextContext {
    /// Of the keys and values by the sites' indices.
    pub(crate) fn new(key_values: Vec<Option<KeyValue>>) -> Self {
        Self { key_values }
    }

    /// Keys and values of all layers, by the sites' indices.
    pub(crate) fn all(&self) -> &[Option<KeyValue>] {
        &self.key_values
    }

    /// Keys and values at a cross-attention layer.
    pub fn at(&self, site: usize) -> Option<&KeyValue> {
        self.key_values.get(site)?.as_ref()
    }

    /// Bytes that the tensors take.
    pub fn bytes(&self) -> u64 {
        self.key_values.iter().flatten().map(|kv| kv.keys.bytes() + kv.values.bytes()).sum()
    }
}

/// What the UNet reads of a prompt; the same at every step.
#[derive(Debug, Clone, Default)]
pub struct Conditioning {
    /// What cross-attention reads.
    pub context: TextContext,
}

impl ConditioningKey {
    /// The key of a prompt by its token ids from BOS to EOS, without padding, as the tokenizer of the model gives them.
    pub fn new(ids: &[u32]) -> Self {
        Self { ids: ids.into() }
    }

    /// The token ids from BOS to EOS, without padding.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
}

impl Conditioning {
    /// Bytes that its tensors take.
    pub fn bytes(&self) -> u64 {
        self.context.bytes()
    }
}
