//! The properties of an architecture that editing depends on: which attention maps are used, and how layers are
//! grouped.
//!
//! Contract: everything here follows from the UNet's configuration. Recording layouts take it over; there are no such
//! numbers elsewhere.

use crate::diffusion::unet::UNetConfig;

/// Maps of 16x16 positions: a quarter of the side of the latents that Stable Diffusion 1 and 2 were trained on.
const PUBLISHED_POSITIONS: usize = 16 * 16;

/// The most transformer blocks that one group holds: Stable Diffusion 1 and 2 have 16, SDXL has 70.
const MAX_BLOCKS_OF_ONE_GROUP: usize = 32;

/// Which attention maps editing is about, and how layers are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchitectureProfile {
    /// Self-attention is injected only where its map has at most this many positions (`replace_self_attention` of the
    /// published code: `att_replace.shape[2] <= 16 ** 2`).
    pub max_injected_positions: usize,
    /// Local blend reads the cross-attention maps whose number of positions is nearest to this one.
    pub blend_positions: usize,
    /// How recorded layers are grouped.
    pub grouping: SiteGrouping,
}

/// How the recorded attention layers of one kind are grouped. A group of a step is recorded, stored, read and replayed
/// as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteGrouping {
    /// All layers together: a step of a small model is a small file.
    Whole,
    /// One group for each resolution.
    PerResolution,
}

impl ArchitectureProfile {
    /// The profile of a UNet.
    pub(crate) fn of(config: &UNetConfig) -> Self {
        let is_small = transformer_blocks(config) <= MAX_BLOCKS_OF_ONE_GROUP;
        Self {
            max_injected_positions: PUBLISHED_POSITIONS,
            blend_positions: PUBLISHED_POSITIONS,
            grouping: if is_small { SiteGrouping::Whole } else { SiteGrouping::PerResolution },
        }
    }
}

/// Transformer blocks on the way down, in the middle and on the way up.
fn transformer_blocks(config: &UNetConfig) -> usize {
    let of_levels = config.levels.iter().map(|level| {
        let down = if level.down_attention { level.layers } else { 0 };
        let up = if level.up_attention { level.layers + 1 } else { 0 };
        (down + up) * level.transformer_layers
    });
    let middle = config.levels.last().map_or(0, |level| usize::from(config.mid_attention) * level.transformer_layers);
    of_levels.sum::<usize>() + middle
}
