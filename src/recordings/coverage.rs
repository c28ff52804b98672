//! Coverage: the steps and groups of layers of a source's attention that are present, planned or wanted.
//!
//! Contract: set algebra over (step, group). Steps beyond the run are never in a coverage.

use crate::recordings::part::Part;
use crate::recordings::site_group::{GroupSet, SiteGroup};

/// A set of (step, group of layers).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage(Vec<GroupSet>);

impl Coverage {
    /// No step of a run of `steps`.
    pub fn none(steps: usize) -> Self {
        Self(vec![GroupSet::EMPTY; steps])
    }

    /// These groups at each of `steps`.
    pub fn all(steps: usize, groups: GroupSet) -> Self {
        Self(vec![groups; steps])
    }

    /// The groups that are chosen for each step of a run.
    pub fn select(steps: usize, groups: impl Fn(usize) -> GroupSet) -> Self {
        Self((0..steps).map(groups).collect())
    }

    /// What is covered of a step.
    pub fn at(&self, step: usize) -> GroupSet {
        self.0.get(step).copied().unwrap_or_default()
    }

    /// Adds groups at a step.
    pub fn insert(&mut self, step: usize, groups: GroupSet) {
        if let Some(covered) = self.0.get_mut(step) {
            *covered = covered.union(groups);
        }
    }

    /// Removes groups at a step.
    pub fn remove(&mut self, step: usize, groups: GroupSet) {
        if let Some(covered) = self.0.get_mut(step) {
            *covered = covered.minus(groups);
        }
    }

    /// Whether it covers what a part holds; a trajectory is not attention.
    pub fn has_part(&self, part: Part) -> bool {
        part.attention().is_some_and(|(step, group)| self.at(step).contains(group))
    }

    /// Adds what a part holds.
    pub fn insert_part(&mut self, part: Part) {
        if let Some((step, group)) = part.attention() {
            self.insert(step, group.into());
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, GroupSet::union)
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.combine(other, GroupSet::minus)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.first_step().is_none()
    }

    /// The first step of any group.
    pub fn first_step(&self) -> Option<usize> {
        self.0.iter().position(|groups| !groups.is_empty())
    }

    /// Steps at which anything is covered.
    pub fn steps(&self) -> usize {
        self.0.iter().filter(|groups| !groups.is_empty()).count()
    }

    /// Steps at which a group is covered.
    pub fn steps_of(&self, group: SiteGroup) -> usize {
        self.0.iter().filter(|groups| groups.contains(group)).count()
    }

    fn combine(&self, other: &Self, combine: impl Fn(GroupSet, GroupSet) -> GroupSet) -> Self {
        Self::select(self.0.len().max(other.0.len()), |step| combine(self.at(step), other.at(step)))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::diffusion::unet::AttentionKind::{CrossAttention, SelfAttention};

    const STEPS: usize = 10;

    fn coverage(groups: &[(SiteGroup, Range<usize>)]) -> Coverage {
        let at = |step| groups.iter().filter(|(_, steps)| steps.contains(&step)).map(|(group, _)| *group).collect();
        Coverage::select(STEPS, at)
    }

    #[test]
    fn what_is_missing_is_what_is_wanted_and_not_there() {
        let (cross, own) = (SiteGroup::first(CrossAttention), SiteGroup::first(SelfAttention));
        let there = coverage(&[(cross, 0..8), (own, 0..4)]);
        let wanted = coverage(&[(cross, 2..10), (own, 0..6)]);
        let missing = wanted.minus(&there);
        assert_eq!(missing, coverage(&[(cross, 8..10), (own, 4..6)]));
        assert_eq!(there.union(&missing), coverage(&[(cross, 0..10), (own, 0..6)]));
        assert_eq!((missing.first_step(), missing.steps()), (Some(4), 4));
        assert_eq!((missing.steps_of(cross), missing.steps_of(own)), (2, 2));
        assert!(wanted.minus(&there.union(&wanted)).is_empty());
    }

    #[test]
    fn groups_of_one_kind_are_covered_each_for_itself() {
        let group = |number| SiteGroup::new(CrossAttention, number).unwrap();
        let wanted = coverage(&[(group(0), 0..4), (group(1), 0..4), (group(2), 0..4)]);
        let mut there = wanted.clone();
        there.remove(2, group(1).into());
        assert!(!there.has_part(Part::Attention(2, group(1))) && there.has_part(Part::Attention(2, group(2))));
        assert_eq!(wanted.minus(&there), coverage(&[(group(1), 2..3)]));
        there.insert_part(Part::Attention(2, group(1)));
        assert_eq!(there, wanted);
    }

    #[test]
    fn neither_a_trajectory_nor_a_step_beyond_the_run_is_covered() {
        let mut there = Coverage::none(STEPS);
        for part in [Part::Trajectory, Part::Attention(STEPS, SiteGroup::first(CrossAttention))] {
            there.insert_part(part);
            assert!(!there.has_part(part) && there.is_empty(), "{part}");
        }
    }
}
