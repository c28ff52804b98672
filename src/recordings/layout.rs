//! What is recorded of a source at one image size, and exactly how many bytes that is.
//!
//! Of each step, of the conditional row alone:
//! - queries of every cross-attention layer (its keys come from the prompt and never change),
//! - queries and keys of every self-attention layer small enough to be injected,
//! - attention to each token at the local-blend level, as the mean over layers and heads,
//! - the latents after the step: together, the trajectory.
//!
//! Queries and keys say the same as the maps `softmax(Q K^T)` in a fraction of the bytes.

use crate::diffusion::unet::{AttentionKind, AttentionSite};
use crate::recordings::coverage::Coverage;

/// Self-attention is injected only where its map has at most this many positions (`replace_self_attention` of the
/// published code: `att_replace.shape[2] <= 16 ** 2`).
pub const MAX_INJECTED_SELF_POSITIONS: usize = 16 * 16;

pub(crate) const F32_BYTES: u64 = 4;

/// Which layers are recorded at one image size.
#[derive(Debug, Clone)]
pub struct RecordingLayout {
    sites: Vec<AttentionSite>,
    blend_level: Option<(usize, usize)>,
    tokens: usize,
    latent_values: usize,
    pixels: usize,
    bytes: ValueBytes,
}

/// Bytes of what a model computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueBytes {
    /// Of a number of queries and keys.
    pub number: u64,
    /// Of a prompt as the UNet reads it: keys and values of all cross-attention layers.
    pub context: u64,
}

impl RecordingLayout {
    /// For the attention layers `sites`, prompts of `tokens` positions, latents of `latent_values` numbers and images
    /// of `pixels`. Local blend reads the maps of the cross-attention layers on `blend_level` (height, width).
    pub fn new(
        sites: Vec<AttentionSite>,
        blend_level: Option<(usize, usize)>,
        tokens: usize,
        latent_values: usize,
        pixels: usize,
        bytes: ValueBytes,
    ) -> Self {
        Self { sites, blend_level, tokens, latent_values, pixels, bytes }
    }

    /// The number of attention layers.
    pub fn layers(&self) -> usize {
        self.sites.len()
    }

    /// The recorded layers of one kind.
    pub fn recorded_sites(&self, kind: AttentionKind) -> impl Iterator<Item = &AttentionSite> {
        self.sites.iter().filter(move |site| site.kind == kind && self.records(site))
    }

    /// Height and width of the maps that local blend reads.
    pub fn blend_level(&self) -> Option<(usize, usize)> {
        self.blend_level
    }

    /// Tokens of a prompt, padding included.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether queries (and keys, in self-attention) of a layer are kept.
    pub fn records(&self, site: &AttentionSite) -> bool {
        match site.kind {
            AttentionKind::CrossAttention => true,
            AttentionKind::SelfAttention => site.positions() <= MAX_INJECTED_SELF_POSITIONS,
        }
    }

    /// Whether a layer's maps enter the mean that local blend reads.
    pub fn is_blend_site(&self, site: &AttentionSite) -> bool {
        site.kind == AttentionKind::CrossAttention && Some((site.height, site.width)) == self.blend_level
    }

    /// Maps (layers times heads) that enter that mean.
    pub fn blend_maps(&self) -> usize {
        self.sites.iter().filter(|site| self.is_blend_site(site)).map(|site| site.heads).sum()
    }

    /// Pixels of the image.
    pub fn pixels(&self) -> usize {
        self.pixels
    }

    /// Numbers of a step's mean maps.
    pub fn map_values(&self) -> usize {
        self.blend_level.map_or(0, |(height, width)| height * width * self.tokens)
    }

    /// Bytes of a trajectory of `steps`: noise, latents and mean maps of each step, the image.
    pub fn trajectory_bytes(&self, steps: usize) -> u64 {
        let values = self.latent_values + steps * (self.latent_values + self.map_values());
        F32_BYTES * values as u64 + 3 * self.pixels as u64
    }

    /// Bytes of both prompts as the UNet reads them: keys and values at every cross-attention layer.
    pub fn context_bytes(&self) -> u64 {
        2 * self.bytes.context
    }

    /// Bytes of one step of a kind of attention.
    pub fn step_bytes(&self, kind: AttentionKind) -> u64 {
        let tensors = match kind {
            AttentionKind::CrossAttention => 1,
            AttentionKind::SelfAttention => 2,
        };
        let values = self.recorded_sites(kind).map(|site| site.positions() * site.heads * site.head_dim);
        self.bytes.number * (tensors * values.sum::<usize>()) as u64
    }

    /// Bytes of the steps of a coverage.
    pub fn bytes(&self, coverage: &Coverage) -> u64 {
        self.step_bytes(AttentionKind::CrossAttention) * coverage.cross.count() as u64
            + self.step_bytes(AttentionKind::SelfAttention) * coverage.self_attention.count() as u64
    }
}
