//! The plan of an edit: all that follows from two prompts, the parameters and the number of steps.
//!
//! Contract: a plan that exists can run. Per step it gives two matrices on the token axis,
//!
//! ```text
//! out = softmax(Qs Ks') * A Vt + softmax(Qt Kt') * B Vt
//! A = M diag(a c r)            B = diag(a c (1 - r) + 1 - a)
//! ```
//!
//! with source queries and keys Qs, Ks, target Qt, Kt, Vt, alignment M and flags r ([`Alignment`]), gate a
//! ([`GateTable`]) and equalizer c. That is `AttentionControlEdit` of the published code (replace, refine and
//! reweight in one): for replace r is 1 throughout. Self-attention takes the source's map as a whole, inside a window.

use std::ops::Range;

use crate::p2p::align::alignment::{AlignedWords, Alignment, EditType, Relation};
use crate::p2p::align::auto::auto;
use crate::p2p::align::matrix::TokenMatrix;
use crate::p2p::align::refine::refine;
use crate::p2p::align::replace::replace;
use crate::p2p::align::reweight::reweight;
use crate::p2p::blend::plan::BlendPlan;
use crate::p2p::equalizer;
use crate::p2p::error::EditError;
use crate::p2p::field::Field;
use crate::p2p::params::EditParams;
use crate::p2p::prompt::Prompt;
use crate::p2p::schedule::gates::GateTable;
use crate::p2p::schedule::presets::Presets;
use crate::p2p::schedule::windows::Windows;

/// A settled edit.
#[derive(Debug, Clone, PartialEq)]
pub struct EditPlan {
    edit_type: EditType,
    alignment: Alignment,
    windows: Windows,
    gates: GateTable,
    /// The phase of every step, and the first step of every phase.
    phases: (Vec<usize>, Vec<usize>),
    /// Whether the source's cross-attention is needed, by phase.
    source_phases: Vec<bool>,
    equalizer: Vec<f32>,
    self_window: Range<usize>,
    blend: Option<BlendPlan>,
    identity: bool,
}

/// What cross-attention is made of at a step.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossInjection {
    /// A \[source tokens, target tokens\]: what the target's values take from the source's attention.
    pub from_source: TokenMatrix,
    /// The diagonal of B \[target tokens\]: what they take from the target's own attention.
    pub own: Vec<f32>,
}

impl CrossInjection {
    /// Whether the source's attention is needed at all.
    #[must_use]
    pub fn uses_source(&self) -> bool {
        !self.from_source.is_zero()
    }

    /// Whether the target's own attention is needed at all.
    #[must_use]
    pub fn uses_own(&self) -> bool {
        self.own.iter().any(|&weight| weight != 0.0)
    }

    /// Whether A is the identity, so that the target's values may be used as they are.
    #[must_use]
    pub fn source_is_identity(&self) -> bool {
        self.from_source.is_identity()
    }
}

impl EditPlan {
    /// Settles an edit of `steps` steps, on a model that has these presets.
    ///
    /// # Errors
    /// Any [`EditError`]: words that are not there, prompts that the edit type cannot align, ranges, and parameters
    /// that would silently do nothing.
    pub fn new(
        source: &Prompt,
        target: &Prompt,
        params: &EditParams,
        presets: &Presets,
        steps: usize,
    ) -> Result<Self, EditError> {
        fits(source, target.max_tokens(), Field::SourcePrompt)?;
        fits(target, target.max_tokens(), Field::Prompt)?;
        let (edit_type, alignment) = match params.edit_type {
            EditType::Auto => auto(source, target),
            EditType::Replace => (EditType::Replace, replace(source, target)?),
            EditType::Refine => (EditType::Refine, refine(source, target)),
            EditType::Reweight => (EditType::Reweight, reweight(source, target)?),
        };
        let windows = Windows::new(params, || presets.choose(source, target, &alignment.words), steps);
        let gates = GateTable::new(target, &windows.cross, steps)?;
        let self_window = windows.self_attention.checked_range(steps, steps, Field::SelfReplaceSteps)?;
        let equalizer = equalizer::factors(target, &params.equalizer, &gates, &alignment)?;
        let blend = params.local_blend.as_ref();
        let blend = blend.map(|blend| BlendPlan::new(source, target, &alignment.words, blend, steps)).transpose()?;
        let identity = source.ids() == target.ids()
            && alignment.map.is_identity()
            && equalizer.iter().all(|&factor| factor == 1.0);
        let mut plan = Self {
            edit_type,
            phases: phases(&gates),
            source_phases: Vec::new(),
            alignment,
            windows,
            gates,
            equalizer,
            self_window,
            blend,
            identity,
        };
        plan.source_phases = plan.phases().iter().map(|&step| plan.cross(step).uses_source()).collect();
        Ok(plan)
    }

    /// Number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.gates.steps()
    }

    /// The edit type; for `Auto` the one that it came down to, and `Auto` itself where words were aligned one by one.
    #[must_use]
    pub fn edit_type(&self) -> EditType {
        self.edit_type
    }

    /// The words of both prompts in the target's order, with the source words whose maps they take.
    #[must_use]
    pub fn alignment(&self) -> &[AlignedWords] {
        self.alignment.taken()
    }

    /// The words that both prompts have at one place and that take the map of another word nevertheless; none but for
    /// the published replace (see [`Alignment::shifted`]).
    pub fn shifted_words(&self) -> impl Iterator<Item = &AlignedWords> {
        let kept = |entry: &&AlignedWords| entry.relation == Relation::Kept;
        let is_kept =
            move |words: &[usize]| self.alignment.words.iter().filter(kept).any(|of| of.target_words == words);
        let shifted = self.alignment.shifted.iter().flatten();
        shifted.filter(move |entry| entry.relation != Relation::Kept && is_kept(&entry.target_words))
    }

    /// The windows, and where they come from.
    #[must_use]
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// True where the edit is the source: the same tokens, each taking its own map, and no factor.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.identity
    }

    /// A and B at a step.
    ///
    /// # Panics
    /// Where `step` is above the number of steps.
    #[must_use]
    pub fn cross(&self, step: usize) -> CrossInjection {
        let tokens = self.gates.row(step).iter().zip(&self.equalizer);
        let tokens = tokens.zip(&self.alignment.has_source);
        let (taken, own): (Vec<f32>, Vec<f32>) = tokens
            .map(
                |((&gate, &factor), &has_source)| {
                    if has_source { (gate * factor, 1.0 - gate) } else { (0.0, gate * factor + 1.0 - gate) }
                },
            )
            .unzip();
        CrossInjection { from_source: self.alignment.map.scale_columns(&taken), own }
    }

    /// The phase of a step: steps of one phase have the same A and B, so these can be kept per phase.
    ///
    /// # Panics
    /// Where `step` is not below the number of steps.
    #[must_use]
    pub fn phase(&self, step: usize) -> usize {
        self.phases.0[step]
    }

    /// Whether the source's cross-attention is needed at a step.
    ///
    /// # Panics
    /// Where `step` is not below the number of steps.
    #[must_use]
    pub fn injects_cross(&self, step: usize) -> bool {
        self.source_phases[self.phase(step)]
    }

    /// The first step of every phase: phase `p` is what [`cross`](Self::cross) says at step `phases()[p]`.
    #[must_use]
    pub fn phases(&self) -> &[usize] {
        &self.phases.1
    }

    /// Whether self-attention is injected at a step.
    #[must_use]
    pub fn injects_self(&self, step: usize) -> bool {
        self.self_window.contains(&step)
    }

    /// Whether the attention of any token is scaled.
    #[must_use]
    pub fn has_strengths(&self) -> bool {
        self.equalizer.iter().any(|&factor| factor != 1.0)
    }

    /// The local blend, where there is one.
    #[must_use]
    pub fn blend(&self) -> Option<&BlendPlan> {
        self.blend.as_ref()
    }
}

/// Matrices have the size of the padded target, so both prompts must fit into it.
fn fits(prompt: &Prompt, max_tokens: usize, field: Field) -> Result<(), EditError> {
    if prompt.len() <= max_tokens {
        return Ok(());
    }
    Err(EditError::PromptTooLong { tokens: prompt.len(), max_tokens, field })
}

/// The distinct rows of the gate table: the phase of every step, and the first step of every phase.
fn phases(gates: &GateTable) -> (Vec<usize>, Vec<usize>) {
    let mut first_steps: Vec<usize> = Vec::new();
    let of_step = (0..gates.steps()).map(|step| {
        let same = first_steps.iter().position(|&first| gates.row(first) == gates.row(step));
        same.unwrap_or_else(|| {
            first_steps.push(step);
            first_steps.len() - 1
        })
    });
    (of_step.collect(), first_steps)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
