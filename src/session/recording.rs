//! What is kept of a source's run: an append-only log of steps that one job writes and any number of jobs read.
//!
//! Of each step, of the conditional row alone:
//! - queries of every cross-attention layer (its keys come from the prompt and never change),
//! - queries and keys of every self-attention layer small enough to be injected,
//! - attention to each token at the local-blend level, as the mean over layers and heads,
//! - the latents after the step: together, the trajectory.
//!
//! Queries and keys say the same as the maps `softmax(Q K^T)` in a fraction of the bytes.

use std::sync::{Arc, PoisonError, RwLock};

use candle_core::Tensor;

use super::maps::AttentionMaps;
use super::store::Reservation;
use crate::diffusion::unet::{AttentionKind, AttentionSite, TextContext};

/// Self-attention is injected only where its map has at most this many positions (`replace_self_attention` of the
/// published code: `att_replace.shape[2] <= 16 ** 2`).
pub const MAX_INJECTED_SELF_POSITIONS: usize = 16 * 16;

const F32_BYTES: u64 = 4;

/// Which layers are recorded at one image size, and how large a recording is.
#[derive(Debug, Clone)]
pub struct RecordingLayout {
    sites: Vec<AttentionSite>,
    blend_level: Option<(usize, usize)>,
    tokens: usize,
    latent_values: usize,
}

impl RecordingLayout {
    /// For the attention layers `sites`, prompts of `tokens` positions and latents of `latent_values` numbers. Local
    /// blend reads the maps of the cross-attention layers on `blend_level` (height, width).
    pub fn new(
        sites: Vec<AttentionSite>,
        blend_level: Option<(usize, usize)>,
        tokens: usize,
        latent_values: usize,
    ) -> Self {
        Self { sites, blend_level, tokens, latent_values }
    }

    /// The number of attention layers.
    pub fn layers(&self) -> usize {
        self.sites.len()
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

    /// Bytes of a complete recording of `steps` steps.
    pub fn bytes(&self, steps: usize) -> u64 {
        let per_step: usize = self.latent_values
            + self.blend_level.map_or(0, |(h, w)| h * w * self.tokens)
            + self.sites.iter().map(|site| self.recorded_values(site)).sum::<usize>();
        let prompts: usize = self
            .sites
            .iter()
            .filter(|site| site.kind == AttentionKind::CrossAttention)
            // Keys and values, of the prompt and of the negative prompt.
            .map(|site| 4 * self.tokens * site.heads * site.head_dim)
            .sum();
        F32_BYTES * (per_step as u64 * steps as u64 + prompts as u64 + self.latent_values as u64)
    }

    fn recorded_values(&self, site: &AttentionSite) -> usize {
        let values = site.positions() * site.heads * site.head_dim;
        match site.kind {
            _ if !self.records(site) => 0,
            AttentionKind::CrossAttention => values,
            AttentionKind::SelfAttention => 2 * values,
        }
    }
}

/// A layer at one step.
#[derive(Debug, Clone)]
pub struct RecordedAttention {
    /// `[heads, positions, head_dim]`.
    pub queries: Tensor,
    /// `[heads, positions, head_dim]` in self-attention; in cross-attention the prompt's keys serve.
    pub keys: Option<Tensor>,
}

/// One step of a source's run.
#[derive(Debug)]
pub struct StepRecord {
    /// By attention layer; `None` where nothing is kept.
    pub attention: Vec<Option<RecordedAttention>>,
    /// Attention of each position to each token at the blend level, mean over layers and heads,
    /// `[positions * tokens]`; empty where the model has no such level.
    pub maps: Vec<f32>,
    /// Latents after the step, `[1, channels, h, w]`.
    pub latents: Tensor,
}

/// The two prompts of a source as the UNet reads them.
#[derive(Debug)]
pub struct SourceContexts {
    /// The prompt.
    pub conditional: TextContext,
    /// The negative prompt.
    pub unconditional: TextContext,
}

/// A source's run, growing step by step until it is complete.
#[derive(Debug)]
pub struct Recording {
    layout: Arc<RecordingLayout>,
    contexts: Arc<SourceContexts>,
    noise: Tensor,
    total_steps: usize,
    steps: RwLock<Vec<Arc<StepRecord>>>,
    /// Gives the bytes back when the last reader is gone.
    reservation: Reservation,
}

impl Recording {
    /// An empty log for a run of `total_steps` from `noise` `[1, channels, h, w]`.
    pub fn new(
        layout: Arc<RecordingLayout>,
        contexts: SourceContexts,
        noise: Tensor,
        total_steps: usize,
        reservation: Reservation,
    ) -> Self {
        Self {
            layout,
            contexts: Arc::new(contexts),
            noise,
            total_steps,
            steps: RwLock::new(Vec::with_capacity(total_steps)),
            reservation,
        }
    }

    /// Which layers are recorded.
    pub fn layout(&self) -> &Arc<RecordingLayout> {
        &self.layout
    }

    /// The source's prompts.
    pub fn contexts(&self) -> &Arc<SourceContexts> {
        &self.contexts
    }

    /// The noise that the run began with.
    pub fn noise(&self) -> &Tensor {
        &self.noise
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> usize {
        self.total_steps
    }

    /// Steps written so far.
    pub fn recorded_steps(&self) -> usize {
        self.steps.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A step, if it has been written.
    pub fn step(&self, step: usize) -> Option<Arc<StepRecord>> {
        self.steps.read().unwrap_or_else(PoisonError::into_inner).get(step).cloned()
    }

    /// The maps of all steps so far.
    pub fn maps(&self) -> AttentionMaps {
        let (height, width) = self.layout.blend_level().unwrap_or((0, 0));
        let steps = self.steps.read().unwrap_or_else(PoisonError::into_inner);
        let steps = steps.iter().map(|step| step.maps.as_slice().into()).collect();
        AttentionMaps { height, width, tokens: self.layout.tokens(), steps }
    }

    /// Writes the next step.
    pub fn push(&self, record: StepRecord) {
        let mut steps = self.steps.write().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(steps.len() < self.total_steps, "a recording has no more steps than its run");
        steps.push(Arc::new(record));
    }

    /// Bytes held, reserved before the first step was run.
    pub fn bytes(&self) -> u64 {
        self.reservation.bytes()
    }

    /// Bytes of all tensors and maps that are there now.
    pub fn measured_bytes(&self) -> u64 {
        use crate::diffusion::tensor_bytes;
        let steps = self.steps.read().unwrap_or_else(PoisonError::into_inner);
        let of_steps: u64 = steps
            .iter()
            .map(|step| {
                let attention = step.attention.iter().flatten();
                let tensors = attention.flat_map(|a| std::iter::once(&a.queries).chain(&a.keys));
                tensors.map(tensor_bytes).sum::<u64>()
                    + step.maps.len() as u64 * F32_BYTES
                    + tensor_bytes(&step.latents)
            })
            .sum();
        of_steps + self.contexts.conditional.bytes() + self.contexts.unconditional.bytes() + tensor_bytes(&self.noise)
    }
}
