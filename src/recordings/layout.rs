//! What is recorded of a source at one image size, and exactly how many bytes that is.
//!
//! Of each step, of the conditional row alone:
//! - queries of every cross-attention layer (its keys come from the prompt and never change),
//! - queries and keys of every self-attention layer that is small enough to be injected,
//! - attention to each token at the local-blend level, as the mean over layers and heads,
//! - the latents after the step: together, the trajectory.
//!
//! Queries and keys determine the maps `softmax(Q K^T)` and take a fraction of their bytes. Layers are recorded in
//! groups, as the model's [`ArchitectureProfile`] says.

use crate::diffusion::unet::{AttentionKind, AttentionSite};
use crate::diffusion::{ArchitectureProfile, SiteGrouping};
use crate::recordings::coverage::Coverage;
use crate::recordings::site_group::{GroupSet, SiteGroup};

pub(crate) const F32_BYTES: u64 = 4;

/// Which layers are recorded at one image size, and in which groups.
#[derive(Debug, Clone)]
pub struct RecordingLayout {
    sites: Vec<AttentionSite>,
    /// The group of each layer; `None` of layers that are not recorded.
    site_groups: Vec<Option<SiteGroup>>,
    groups: GroupSet,
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
    /// Of a prompt's conditioning: keys and values of all cross-attention layers.
    pub context: u64,
}

impl RecordingLayout {
    /// For the attention layers `sites`, each at the place of its index, of a model of this profile; prompts of
    /// `tokens` positions, latents of `latent_values` numbers and images of `pixels`. Local blend reads the maps of the
    /// cross-attention layers on `blend_level` (height, width).
    pub fn new(
        profile: &ArchitectureProfile,
        sites: Vec<AttentionSite>,
        blend_level: Option<(usize, usize)>,
        tokens: usize,
        latent_values: usize,
        pixels: usize,
        bytes: ValueBytes,
    ) -> Self {
        // In the order in which the UNet meets them: finest first.
        let mut resolutions = Vec::new();
        for site in &sites {
            if !resolutions.contains(&(site.height, site.width)) {
                resolutions.push((site.height, site.width));
            }
        }
        let site_groups: Vec<_> = sites.iter().map(|site| group_of(site, &resolutions, profile)).collect();
        let groups = match profile.grouping {
            // Whatever is recorded at this size: a kind without layers is a group without layers.
            SiteGrouping::Whole => KINDS.into_iter().map(SiteGroup::first).collect(),
            SiteGrouping::PerResolution => site_groups.iter().flatten().copied().collect(),
        };
        Self { sites, site_groups, groups, blend_level, tokens, latent_values, pixels, bytes }
    }

    /// The number of attention layers.
    pub fn layers(&self) -> usize {
        self.sites.len()
    }

    /// All groups of both kinds.
    pub fn groups(&self) -> GroupSet {
        self.groups
    }

    /// The group that a layer is recorded in; `None` where it is not recorded.
    pub fn group_of(&self, site: &AttentionSite) -> Option<SiteGroup> {
        self.site_groups.get(site.index).copied().flatten()
    }

    /// The layers of a group.
    pub fn sites_of(&self, group: SiteGroup) -> impl Iterator<Item = &AttentionSite> {
        self.sites.iter().filter(move |site| self.group_of(site) == Some(group))
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
        self.group_of(site).is_some()
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

    /// Bytes of the conditionings of both prompts: keys and values at every cross-attention layer.
    pub fn context_bytes(&self) -> u64 {
        2 * self.bytes.context
    }

    /// Bytes of one step of a group.
    pub fn step_bytes(&self, group: SiteGroup) -> u64 {
        let tensors = match group.kind() {
            AttentionKind::CrossAttention => 1,
            AttentionKind::SelfAttention => 2,
        };
        let values = self.sites_of(group).map(|site| site.positions() * site.heads * site.head_dim);
        self.bytes.number * (tensors * values.sum::<usize>()) as u64
    }

    /// Bytes of the steps and groups of a coverage.
    pub fn bytes(&self, coverage: &Coverage) -> u64 {
        self.groups.iter().map(|group| self.step_bytes(group) * coverage.steps_of(group) as u64).sum()
    }
}

const KINDS: [AttentionKind; 2] = [AttentionKind::CrossAttention, AttentionKind::SelfAttention];

/// The group of a layer of a model with these resolutions; `None` where it is not recorded.
fn group_of(site: &AttentionSite, resolutions: &[(usize, usize)], profile: &ArchitectureProfile) -> Option<SiteGroup> {
    if site.kind == AttentionKind::SelfAttention && site.positions() > profile.max_injected_positions {
        return None;
    }
    match profile.grouping {
        SiteGrouping::Whole => Some(SiteGroup::first(site.kind)),
        SiteGrouping::PerResolution => {
            let number = resolutions.iter().position(|&resolution| resolution == (site.height, site.width))?;
            // More resolutions than groups share the last one.
            SiteGroup::new(site.kind, u8::try_from(number).unwrap_or(u8::MAX).min(SiteGroup::MAX - 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use AttentionKind::{CrossAttention, SelfAttention};

    use super::*;

    /// Three resolutions on the way down, up to the middle, and back.
    fn layout(grouping: SiteGrouping) -> RecordingLayout {
        let profile = ArchitectureProfile { max_injected_positions: 64, blend_positions: 64, grouping };
        let sides = [16, 8, 4, 4, 8, 16];
        let site = |(index, (side, kind)): (usize, (usize, AttentionKind))| AttentionSite {
            index,
            kind,
            height: side,
            width: side,
            heads: 2,
            head_dim: 3,
        };
        let sites = sides.iter().flat_map(|&side| [(side, SelfAttention), (side, CrossAttention)]);
        let sites = sites.enumerate().map(site).collect();
        RecordingLayout::new(&profile, sites, Some((8, 8)), 77, 0, 0, ValueBytes { number: 4, context: 0 })
    }

    #[test]
    fn a_small_model_has_one_group_a_kind_and_a_large_one_a_group_a_resolution() {
        let groups = |grouping| {
            let numbers = |group: SiteGroup| (group.kind(), group.number());
            layout(grouping).groups().iter().map(numbers).collect::<Vec<_>>()
        };
        assert_eq!(groups(SiteGrouping::Whole), [(CrossAttention, 0), (SelfAttention, 0)]);
        // Self-attention of the finest resolution is too large to be injected.
        let cross = [(CrossAttention, 0), (CrossAttention, 1), (CrossAttention, 2)];
        assert_eq!(
            groups(SiteGrouping::PerResolution),
            [&cross[..], &[(SelfAttention, 1), (SelfAttention, 2)]].concat()
        );
    }

    #[test]
    fn every_recorded_layer_is_in_one_group_and_its_bytes_are_counted_once() {
        let (whole, grouped) = (layout(SiteGrouping::Whole), layout(SiteGrouping::PerResolution));
        let layers = |layout: &RecordingLayout| {
            let mut layers: Vec<_> =
                layout.groups().iter().flat_map(|group| layout.sites_of(group).map(|site| site.index)).collect();
            layers.sort_unstable();
            layers
        };
        assert_eq!(layers(&whole), [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
        assert_eq!(layers(&grouped), layers(&whole));
        let bytes = |layout: &RecordingLayout| layout.bytes(&Coverage::all(3, layout.groups()));
        // Numbers of all cross-attention layers, and twice those of the injected self-attention layers.
        let numbers = 2 * (256 + 64 + 16) + 2 * 2 * (64 + 16);
        assert_eq!(bytes(&whole), 3 * 4 * 6 * numbers);
        assert_eq!(bytes(&grouped), bytes(&whole));
    }
}
