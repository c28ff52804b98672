//! The text encoders of a model: one for Stable Diffusion 1 and 2.
//!
//! Contract: the rest of the program sees only how long prompts may be, how wide the embeddings are, and the embeddings
//! themselves, whichever encoders a model has. A further encoder becomes a field here.

use candle_core::{Result, Tensor};

use crate::diffusion::error::ModelError;
use crate::diffusion::nn::Compute;
use crate::diffusion::text::encoder::TextEncoder;
use crate::diffusion::text::tokenizer::Tokenizer;
use crate::diffusion::weights::files::ModelFiles;

/// The loaded text encoders.
#[derive(Debug)]
pub struct TextEncoders {
    clip: TextEncoder,
    max_tokens: usize,
    width: usize,
}

impl TextEncoders {
    /// Loads the text encoders of `model`, and the tokenizer that makes what they read.
    ///
    /// # Errors
    /// [`ModelError`] where a file is missing, damaged or unsupported, or the vocabulary is larger than the embedding
    /// table.
    pub(crate) fn load(model: &ModelFiles, compute: &Compute) -> std::result::Result<(Self, Tokenizer), ModelError> {
        let (clip, config) = TextEncoder::load(model, compute)?;
        let tokenizer = Tokenizer::load(model, config.max_position_embeddings)?;
        if tokenizer.vocab_size() > clip.vocab_size() {
            return Err(ModelError::Tokenizer(format!(
                "its vocabulary has {} tokens, the text encoder embeds {}",
                tokenizer.vocab_size(),
                clip.vocab_size()
            )));
        }
        Ok((Self { clip, max_tokens: config.max_position_embeddings, width: config.hidden_size }, tokenizer))
    }

    /// Width of the embeddings that cross-attention reads.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Token ids of each prompt, padded to the length that the encoders read -> `[prompts, tokens, width]`. A prompt's
    /// embeddings do not depend on the other prompts.
    ///
    /// # Errors
    /// A failed tensor operation, such as on ids that are not padded.
    pub(crate) fn embed(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        if let Some(other) = ids.iter().find(|ids| ids.len() != self.max_tokens) {
            candle_core::bail!("expected prompts of {} tokens, got {}", self.max_tokens, other.len());
        }
        self.clip.forward(ids)
    }
}
