//! Groups of attention layers: the unit in which a step's attention is recorded, stored, read and replayed.
//!
//! Contract: groups and sets of groups are plain names. Which layers a group has is decided by the layout.

use crate::diffusion::unet::AttentionKind;

/// A group of attention layers of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteGroup {
    kind: AttentionKind,
    number: u8,
}

/// A set of groups: what there is, or is needed, of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupSet(u64);

impl SiteGroup {
    /// Groups that a kind may have.
    pub const MAX: u8 = 32;

    /// The group of a number, from 0; `None` from [`Self::MAX`] on.
    pub const fn new(kind: AttentionKind, number: u8) -> Option<Self> {
        if number < Self::MAX { Some(Self { kind, number }) } else { None }
    }

    /// The first group of a kind, which is the only one where all layers are grouped together.
    pub const fn first(kind: AttentionKind) -> Self {
        Self { kind, number: 0 }
    }

    /// What its layers attend to.
    pub const fn kind(self) -> AttentionKind {
        self.kind
    }

    /// Its number among the groups of its kind.
    pub const fn number(self) -> u8 {
        self.number
    }

    const fn bit(self) -> u64 {
        let first = match self.kind {
            AttentionKind::CrossAttention => 0,
            AttentionKind::SelfAttention => Self::MAX,
        };
        1 << (first + self.number)
    }
}

impl GroupSet {
    /// No group.
    pub const EMPTY: Self = Self(0);

    /// Whether it has no group.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it has a group.
    pub const fn contains(self, group: SiteGroup) -> bool {
        self.0 & group.bit() != 0
    }

    /// Whether it has all groups of another set.
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The groups of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The groups that the other set lacks.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The groups of one kind.
    #[must_use]
    pub fn of_kind(self, kind: AttentionKind) -> Self {
        self.iter().filter(|group| group.kind == kind).collect()
    }

    /// Its groups: cross-attention first, by number.
    pub fn iter(self) -> impl Iterator<Item = SiteGroup> {
        let kinds = [AttentionKind::CrossAttention, AttentionKind::SelfAttention];
        let all = kinds.into_iter().flat_map(|kind| (0..SiteGroup::MAX).map(move |number| SiteGroup { kind, number }));
        all.filter(move |group| self.contains(*group))
    }
}

impl FromIterator<SiteGroup> for GroupSet {
    fn from_iter<I: IntoIterator<Item = SiteGroup>>(groups: I) -> Self {
        Self(groups.into_iter().fold(0, |bits, group| bits | group.bit()))
    }
}

impl From<SiteGroup> for GroupSet {
    fn from(group: SiteGroup) -> Self {
        Self(group.bit())
    }
}

#[cfg(test)]
mod tests {
    use AttentionKind::{CrossAttention, SelfAttention};

    use super::*;

    #[test]
    fn a_set_has_the_groups_that_were_put_into_it_in_order() {
        let groups = [(CrossAttention, 0), (CrossAttention, 31), (SelfAttention, 0), (SelfAttention, 31)];
        let groups = groups.map(|(kind, number)| SiteGroup::new(kind, number).unwrap());
        let set: GroupSet = groups.into_iter().rev().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), groups);
        assert_eq!(set.of_kind(SelfAttention).iter().collect::<Vec<_>>(), groups[2..]);
        assert!(groups.is_sorted());
        assert_eq!(SiteGroup::new(CrossAttention, 32), None);
    }

    #[test]
    fn sets_are_added_and_taken_away() {
        let set = |numbers: &[u8]| -> GroupSet {
            numbers.iter().map(|&number| SiteGroup::new(CrossAttention, number).unwrap()).collect()
        };
        assert_eq!(set(&[0, 1]).union(set(&[1, 2])), set(&[0, 1, 2]));
        assert_eq!(set(&[0, 1]).minus(set(&[1, 2])), set(&[0]));
        assert!(set(&[0, 1]).contains_all(set(&[1])) && !set(&[0, 1]).contains_all(set(&[1, 2])));
        assert!(set(&[0, 1]).contains_all(GroupSet::EMPTY) && GroupSet::EMPTY.is_empty());
    }
}
