//! Conditioning: what the UNet reads of a prompt.
//!
//! Contract: text encoders turn prompts into embeddings, the UNet turns embeddings into a [`Conditioning`], and nothing
//! else makes one. A conditioning depends on its [`ConditioningKey`] and the model alone, so caches use that key. What an
//! architecture reads beside the text (a pooled vector and time ids) becomes a field of [`Conditioning`], and what that
//! depends on (the image size) a field of the key.

use crate::diffusion::unet::TextContext;

/// All that a conditioning depends on, beside the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConditioningKey {
    /// The prompt.
    pub prompt: String,
}

/// What the UNet reads of a prompt; the same at every step.
#[derive(Debug, Clone, Default)]
pub struct Conditioning {
    /// What cross-attention reads.
    pub context: TextContext,
}

impl ConditioningKey {
    /// The key of a prompt.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into() }
    }
}

impl Conditioning {
    /// Bytes that its tensors take.
    pub fn bytes(&self) -> u64 {
        self.context.bytes()
    }
}
