//! Which steps of a source's attention are kept, or wanted: those inside the windows that edits asked for.

use std::ops::Range;

/// A set of a run's steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSet(Vec<bool>);

impl StepSet {
    /// No step of a run of `steps`.
    pub fn none(steps: usize) -> Self {
        Self(vec![false; steps])
    }

    /// The steps for which `wanted` is true.
    pub fn select(steps: usize, wanted: impl Fn(usize) -> bool) -> Self {
        Self((0..steps).map(wanted).collect())
    }

    /// The steps of a range.
    pub fn range(steps: usize, range: Range<usize>) -> Self {
        Self::select(steps, |step| range.contains(&step))
    }

    /// Whether a step is in it.
    pub fn contains(&self, step: usize) -> bool {
        self.0.get(step).copied().unwrap_or(false)
    }

    /// Adds a step.
    pub fn insert(&mut self, step: usize) {
        if let Some(entry) = self.0.get_mut(step) {
            *entry = true;
        }
    }

    /// Takes a step out.
    pub fn remove(&mut self, step: usize) {
        if let Some(entry) = self.0.get_mut(step) {
            *entry = false;
        }
    }

    /// How many steps are in it.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// The steps in it, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().filter(|(_, wanted)| **wanted).map(|(step, _)| step)
    }

    fn zip(&self, other: &Self, keep: impl Fn(bool, bool) -> bool) -> Self {
        Self::select(self.0.len().max(other.0.len()), |step| keep(self.contains(step), other.contains(step)))
    }
}

/// Steps of both kinds of attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Steps at which cross-attention is kept.
    pub cross: StepSet,
    /// Steps at which self-attention is kept.
    pub self_attention: StepSet,
}

impl Coverage {
    /// Nothing of a run of `steps`.
    pub fn none(steps: usize) -> Self {
        Self { cross: StepSet::none(steps), self_attention: StepSet::none(steps) }
    }

    /// Both kinds of the first steps of a run of that many.
    pub fn first(steps: usize) -> Self {
        Self { cross: StepSet::range(steps, 0..steps), self_attention: StepSet::range(steps, 0..steps) }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine || theirs)
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && !theirs)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.first_step().is_none()
    }

    /// The first step of either kind.
    pub fn first_step(&self) -> Option<usize> {
        self.cross.iter().next().into_iter().chain(self.self_attention.iter().next()).min()
    }

    /// Steps at which anything is kept.
    pub fn steps(&self) -> usize {
        self.cross.zip(&self.self_attention, |cross, own| cross || own).count()
    }

    fn combine(&self, other: &Self, keep: impl Fn(bool, bool) -> bool + Copy) -> Self {
        Self {
            cross: self.cross.zip(&other.cross, keep),
            self_attention: self.self_attention.zip(&other.self_attention, keep),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(cross: Range<usize>, own: Range<usize>) -> Coverage {
        Coverage { cross: StepSet::range(10, cross), self_attention: StepSet::range(10, own) }
    }

    #[test]
    fn what_is_missing_is_what_was_asked_for_and_is_not_there() {
        let (there, wanted) = (coverage(0..8, 0..4), coverage(2..10, 0..6));
        let missing = wanted.minus(&there);
        assert_eq!(missing, coverage(8..10, 4..6));
        assert_eq!(there.union(&missing), coverage(0..10, 0..6));
        assert_eq!((missing.first_step(), missing.steps()), (Some(4), 4));
        assert!(wanted.minus(&there.union(&wanted)).is_empty());
    }
}
