//! Runs: the sampling of a source, a replay or an edit, one step at a time.
//!
//! | run | rows a step | reads | writes |
//! | --- | --- | --- | --- |
//! | source | as its guidance says: unconditional and conditional | | the trajectory, and the attention that jobs have asked for |
//! | replay | 1, conditional | the trajectory | attention that is missing |
//! | edit | as its source's guidance says | the trajectory, attention | its own latents |
//!
//! A run reads a step once it is written ([`Run::is_ready`]). So an edit follows its source or its replay one step
//! behind, and reads a complete recording without waiting. A replay that fills a streamed log also waits for the log's
//! reader ([`crate::recordings::AttentionLog::admits`]), because that log holds only a few steps.
//!
//! [`forward`] takes one step of several runs with one pass of the UNet. They may be at different steps of different
//! schedules and prompts, as long as their latents have one shape. [`set`] holds the runs in progress. `blame` finds out
//! why the latents of a run are not finite.

mod attention_prefetch;
mod blame;
mod edit;
pub mod forward;
pub(crate) mod sampler_state;
pub(crate) mod set;
mod source;
#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor};

use crate::diffusion::Conditioning;
use crate::diffusion::samplers::{GuidanceMode, RowPrompt};
use crate::diffusion::unet::AttentionKind;
use crate::engine::backend::Backend;
use crate::engine::control::RowControl;
use crate::engine::runs::sampler_state::SamplerState;
use crate::p2p::{EditPlan, blend_level};
use crate::recordings::{Coverage, GroupSet, RecordingLayout};

pub use crate::engine::runs::edit::EditRun;
pub use crate::engine::runs::sampler_state::Sampling;
pub(crate) use crate::engine::runs::sampler_state::guidance_of;
pub(crate) use crate::engine::runs::source::ReplayRun;
pub use crate::engine::runs::source::SourceRun;
use crate::telemetry::labels::label;

label! {
    /// Kinds of rows of a UNet pass.
    RowKind as "kind" {
        /// Of sources.
        Source = "source",
        /// Of replays.
        Replay = "replay",
        /// Of edits.
        Edit = "edit",
    }
}

/// Rows of a replay: the conditional one, whatever the guidance.
pub const ROWS_PER_REPLAY: usize = 1;

/// Which layers of a model are recorded for images of this size in pixels.
pub fn recording_layout(model: &dyn Backend, height: usize, width: usize) -> RecordingLayout {
    let sites = model.sites(height, width);
    let levels: Vec<_> = sites.iter().map(|site| (site.height, site.width)).collect();
    let info = model.info();
    let latent_values = info.latent_channels * (height / info.vae_factor) * (width / info.vae_factor);
    let tokens = info.tokenizer.max_tokens();
    let bytes = model.value_bytes(&sites);
    let blend_level = blend_level(&levels, info.architecture.blend_positions);
    RecordingLayout::new(&info.architecture, sites, blend_level, tokens, latent_values, height * width, bytes)
}

/// What an edit reads of its source's attention, recorded in this layout.
pub fn needs_of(plan: &EditPlan, layout: &RecordingLayout) -> Coverage {
    needs_in(layout, plan.steps(), |step| plan.injects_cross(step), |step| plan.injects_self(step))
}

/// All groups of each kind of attention at the steps at which it is injected.
pub(crate) fn needs_in(
    layout: &RecordingLayout,
    steps: usize,
    injects_cross: impl Fn(usize) -> bool,
    injects_self: impl Fn(usize) -> bool,
) -> Coverage {
    let cross = layout.groups().of_kind(AttentionKind::CrossAttention);
    let own = layout.groups().of_kind(AttentionKind::SelfAttention);
    let where_injected = |groups: GroupSet, is_injected: bool| if is_injected { groups } else { GroupSet::EMPTY };
    Coverage::select(steps, |step| {
        where_injected(cross, injects_cross(step)).union(where_injected(own, injects_self(step)))
    })
}

/// A run of any kind.
#[derive(Debug)]
pub enum Run {
    /// A source.
    Source(SourceRun),
    /// A replay of a source.
    Replay(ReplayRun),
    /// An edit.
    Edit(EditRun),
}

impl Run {
    /// What kind of run it is.
    pub fn kind(&self) -> RowKind {
        match self {
            Self::Source(_) => RowKind::Source,
            Self::Replay(_) => RowKind::Replay,
            Self::Edit(_) => RowKind::Edit,
        }
    }

    /// Rows that it adds to a pass.
    pub fn rows(&self) -> usize {
        match self {
            Self::Source(SourceRun { state, .. }) | Self::Edit(EditRun { state, .. }) => state.guidance().rows().len(),
            Self::Replay(_) => ROWS_PER_REPLAY,
        }
    }

    fn state(&self) -> Option<&SamplerState> {
        match self {
            Self::Source(SourceRun { state, .. }) | Self::Edit(EditRun { state, .. }) => Some(state),
            Self::Replay(_) => None,
        }
    }

    /// Steps done.
    pub fn step(&self) -> usize {
        self.state().map_or_else(|| self.steps() - self.steps_left(), |state| state.step)
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> usize {
        match self {
            Self::Replay(run) => run.trajectory.total_steps(),
            Self::Source(SourceRun { state, .. }) | Self::Edit(EditRun { state, .. }) => state.steps(),
        }
    }

    /// Steps still to be taken.
    pub fn steps_left(&self) -> usize {
        match self {
            Self::Replay(run) => run.missing.steps(),
            Self::Source(SourceRun { state, .. }) | Self::Edit(EditRun { state, .. }) => state.steps() - state.step,
        }
    }

    /// Whether no step is left.
    pub fn is_done(&self) -> bool {
        self.steps_left() == 0
    }

    /// The latents so far, `[1, channels, h, w]`; of a replay the source's initial ones.
    pub fn latents(&self) -> &Tensor {
        match self {
            Self::Source(SourceRun { state, .. }) | Self::Edit(EditRun { state, .. }) => &state.latents,
            Self::Replay(run) => run.trajectory.start(),
        }
    }

    /// The sample that the model predicted at the last step, `[1, channels, h, w]`.
    pub fn predicted(&self) -> Result<Option<Tensor>> {
        self.state().map_or(Ok(None), SamplerState::predicted)
    }

    /// Whether the next step can be taken: what it reads is written, and its log admits what it writes.
    pub fn is_ready(&self) -> bool {
        match self {
            _ if self.is_done() => false,
            Self::Source(_) => true,
            Self::Replay(run) => {
                run.next_step().is_some_and(|step| run.trajectory.recorded_steps() >= step && run.log.admits(step))
            }
            Self::Edit(run) => {
                let step = run.state.step;
                run.trajectory.recorded_steps() > step && run.log.has(step, run.needs())
            }
        }
    }

    /// The latents, the timestep and the conditionings of the next step's rows.
    pub(crate) fn inputs(&self) -> Result<(Tensor, f64, Vec<Conditioning>)> {
        let (input, conditionings) = match self {
            Self::Source(run) => {
                let (negative, prompt) = (run.contexts.unconditional(run.state.step), run.contexts.conditional());
                (run.state.input()?, row_conditionings(run.state.guidance(), negative, prompt))
            }
            Self::Edit(run) => {
                let negative = run.log.contexts().unconditional(run.state.step);
                (run.state.input()?, row_conditionings(run.state.guidance(), negative, &run.conditioning))
            }
            Self::Replay(run) => {
                let step = run.next_step().unwrap_or(0);
                (run.input(step)?, vec![run.log.contexts().conditional().clone()])
            }
        };
        Ok((input.0, input.1, conditionings))
    }

    /// How the rows attend at the next step, in the order of [`Self::inputs`].
    pub(crate) fn controls(&mut self) -> Result<Vec<RowControl<'_>>> {
        Ok(match self {
            Self::Source(run) => {
                run.recorder.begin(run.needs(), true);
                row_controls(run.state.guidance(), RowControl::Record(&mut run.recorder))
            }
            Self::Replay(run) => {
                let needs = run.next_step().map_or(GroupSet::EMPTY, |step| run.missing.at(step));
                run.recorder.begin(needs, false);
                vec![RowControl::Record(&mut run.recorder)]
            }
            Self::Edit(run) => {
                let step = run.state.step;
                let next = (step + 1 < run.state.steps()).then(|| (step + 1, run.needs_at(step + 1)));
                let attention = run.prefetch.step(&run.log, (step, run.needs()), next)?;
                run.editor.begin(step, attention, run.maps.is_some());
                row_controls(run.state.guidance(), RowControl::Edit(&mut run.editor))
            }
        })
    }

    /// Takes the step that the UNet's output `[rows, channels, h, w]` is for.
    pub(crate) fn advance(&mut self, output: &Tensor) -> Result<()> {
        match self {
            Self::Source(run) => run.advance(output),
            Self::Replay(run) => run.advance(),
            Self::Edit(run) => run.advance(output),
        }
    }
}

/// The conditioning of each row.
fn row_conditionings(guidance: GuidanceMode, negative: &Conditioning, prompt: &Conditioning) -> Vec<Conditioning> {
    let conditioning = |row: &RowPrompt| match row {
        RowPrompt::Unconditional => negative.clone(),
        RowPrompt::Conditional => prompt.clone(),
    };
    guidance.rows().iter().map(conditioning).collect()
}

/// How each row attends: the conditional one as given, the others without control.
fn row_controls(guidance: GuidanceMode, conditional: RowControl<'_>) -> Vec<RowControl<'_>> {
    let mut conditional = Some(conditional);
    let control = |row: &RowPrompt| match row {
        RowPrompt::Unconditional => RowControl::Free,
        RowPrompt::Conditional => conditional.take().unwrap_or(RowControl::Free),
    };
    guidance.rows().iter().map(control).collect()
}
