//! The place and the substance of what is kept of sources, and the tiers that combine both.
//!
//! | tier | substance | place |
//! | --- | --- | --- |
//! | device | attention | device |
//! | memory | attention | memory |
//! | trajectory | trajectory | memory |
//! | disk | both | disk |
//! | source | neither | |
//!
//! Each tier but the last has a byte budget of its own.

use std::ops::{Index, IndexMut};

use crate::telemetry::labels::{Label, label};

/// Where bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// On the device.
    Device,
    /// In the memory of the host.
    Memory,
    /// In the store, such as local files.
    Disk,
}

/// What of a source's run the bytes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Substance {
    /// Queries and keys, which edits read. They can be computed again from the trajectory.
    Attention,
    /// Latents, mean maps and the image.
    Trajectory,
}

label! {
    /// The best of what is left of a recording. The names are those of answers, metrics and budgets.
    Tier as "tier" {
        /// Attention on the device.
        Device = "device",
        /// Attention in the memory of the host.
        Memory = "memory",
        /// Anything in the store.
        Disk = "disk",
        /// The trajectory alone, in memory: attention is computed again from it.
        Trajectory = "trajectory",
        /// Nothing but the source: it is run again.
        Source = "source",
    }
}

impl Tier {
    /// The tier whose budget these bytes count towards. A trajectory outside the store counts towards its own tier
    /// wherever it is kept.
    pub const fn of(substance: Substance, place: Place) -> Self {
        match (substance, place) {
            (_, Place::Disk) => Self::Disk,
            (Substance::Trajectory, _) => Self::Trajectory,
            (Substance::Attention, Place::Device) => Self::Device,
            (Substance::Attention, Place::Memory) => Self::Memory,
        }
    }
}

/// A value for each tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerTier<T>([T; Tier::ALL.len()]);

impl<T> PerTier<T> {
    /// The value that `make` gives for each tier.
    pub fn from_fn(mut make: impl FnMut(Tier) -> T) -> Self {
        Self(std::array::from_fn(|at| make(Tier::ALL[at])))
    }

    /// All tiers with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Tier, &T)> {
        Tier::ALL.iter().copied().zip(&self.0)
    }
}

impl<T> Index<Tier> for PerTier<T> {
    type Output = T;

    fn index(&self, tier: Tier) -> &T {
        &self.0[tier as usize]
    }
}

impl<T> IndexMut<Tier> for PerTier<T> {
    fn index_mut(&mut self, tier: Tier) -> &mut T {
        &mut self.0[tier as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::{PerTier, Place, Substance, Tier};
    use crate::telemetry::labels::Label;

    #[test]
    fn every_tier_has_a_value_of_its_own() {
        let mut names = PerTier::from_fn(Tier::as_str);
        for tier in Tier::ALL {
            assert_eq!(names[*tier], tier.as_str());
        }
        names[Tier::Disk] = "files";
        assert_eq!(
            names.iter().map(|(_, name)| *name).collect::<Vec<_>>(),
            ["device", "memory", "files", "trajectory", "source"]
        );
    }

    #[test]
    fn files_of_both_substances_share_a_budget_and_memory_has_two() {
        assert_eq!(Tier::of(Substance::Attention, Place::Disk), Tier::of(Substance::Trajectory, Place::Disk));
        assert_ne!(Tier::of(Substance::Attention, Place::Memory), Tier::of(Substance::Trajectory, Place::Memory));
        assert_ne!(Tier::of(Substance::Attention, Place::Memory), Tier::of(Substance::Attention, Place::Device));
    }
}
