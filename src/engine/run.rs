//! Runs: a source, a replay of a source, or an edit, one step at a time.
//!
//! | run | rows a step | reads | writes |
//! | --- | --- | --- | --- |
//! | source | 2, unconditional and conditional | | the trajectory, and the attention that is wanted of it |
//! | replay | 1, conditional | the trajectory | attention that is missing |
//! | edit | 2 | the trajectory, attention | its own latents |
//!
//! Whoever reads a step waits until it is written, so an edit follows a source or a replay one step behind, and reads a
//! complete recording at once; there is no other rule. [`super::denoise`] takes one step of several runs with one
//! pass of the UNet; they may be at different steps of different schedules and prompts, as long as their latents have
//! one shape.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::backend::Backend;
use super::control::{RowControl, StepEditor, StepRecorder};
use crate::diffusion::ModelError;
use crate::diffusion::scheduler::Ddim;
use crate::diffusion::unet::TextContext;
use crate::p2p::{EditPlan, blend_mask};
use crate::session::{
    AttentionLog, Coverage, RecordingLayout, SourceContexts, StepNeeds, StepSet, Trajectory, TrajectoryStep,
};
use crate::telemetry::metrics::RowKind;

/// Rows that a source or an edit adds to a forward pass.
pub const ROWS_PER_RUN: usize = 2;
/// Rows that a replay adds.
pub const ROWS_PER_REPLAY: usize = 1;

/// Which layers of a model are recorded for images of this size in pixels.
pub fn recording_layout(model: &dyn Backend, height: usize, width: usize) -> RecordingLayout {
    let sites = model.sites(height, width);
    let levels: Vec<_> = sites.iter().map(|site| (site.height, site.width)).collect();
    let info = model.info();
    let latent_values = info.latent_channels * (height / info.vae_factor) * (width / info.vae_factor);
    let tokens = info.tokenizer.max_tokens();
    RecordingLayout::new(sites, crate::p2p::blend_level(&levels), tokens, latent_values, height * width)
}

/// What an edit reads of its source's attention.
pub fn needs_of(plan: &EditPlan) -> Coverage {
    let steps = plan.steps();
    Coverage {
        cross: StepSet::select(steps, |step| plan.injects_cross(step)),
        self_attention: StepSet::select(steps, |step| plan.injects_self(step)),
    }
}

/// Latents on their way through a schedule.
#[derive(Debug)]
struct Denoising {
    /// `[1, channels, h, w]`.
    latents: Tensor,
    timesteps: Vec<usize>,
    guidance_scale: f64,
    step: usize,
    /// What the last step began with and what the model said to it, guided: enough for a preview.
    last: Option<(Tensor, Tensor)>,
}

impl Denoising {
    fn new(
        scheduler: &Ddim,
        noise: &Tensor,
        steps: usize,
        guidance_scale: f64,
    ) -> std::result::Result<Self, ModelError> {
        let timesteps = scheduler.timesteps(steps)?;
        Ok(Self { latents: noise.clone(), timesteps, guidance_scale, step: 0, last: None })
    }

    /// Guidance and a scheduler step over the UNet's output `[2, channels, h, w]`, unconditional first.
    fn advance(&mut self, scheduler: &Ddim, output: &Tensor) -> Result<()> {
        let (unconditional, conditional) = (output.narrow(0, 0, 1)?, output.narrow(0, 1, 1)?);
        // Classifier-free guidance (Ho and Salimans, arXiv 2207.12598).
        let guided = (&unconditional + ((conditional - &unconditional)? * self.guidance_scale)?)?;
        let (timestep, steps) = (self.timesteps[self.step], self.timesteps.len());
        let next = scheduler.step(&guided, timestep, steps, &self.latents)?;
        self.last = Some((std::mem::replace(&mut self.latents, next), guided));
        self.step += 1;
        Ok(())
    }

    /// The sample that the model predicted at the last step.
    fn predicted(&self, scheduler: &Ddim) -> Result<Option<Tensor>> {
        let Some((latents, guided)) = &self.last else {
            return Ok(None);
        };
        scheduler.predicted(guided, self.timesteps[self.step - 1], latents).map(Some)
    }
}

/// A source being run for the first time.
#[derive(Debug)]
pub struct SourceRun {
    denoising: Denoising,
    trajectory: Arc<Trajectory>,
    contexts: Arc<SourceContexts>,
    /// Where attention goes, and of which steps it is wanted.
    log: Option<(Arc<AttentionLog>, Coverage)>,
    recorder: StepRecorder,
}

/// A source's conditional row being run again, for the attention of the steps that are missing.
#[derive(Debug)]
pub struct ReplayRun {
    trajectory: Arc<Trajectory>,
    timesteps: Vec<usize>,
    log: Arc<AttentionLog>,
    missing: Coverage,
    recorder: StepRecorder,
}

/// An edit of a source that is recorded, or being recorded.
#[derive(Debug)]
pub struct EditRun {
    denoising: Denoising,
    trajectory: Arc<Trajectory>,
    log: Arc<AttentionLog>,
    context: TextContext,
    plan: Arc<EditPlan>,
    editor: StepEditor,
    maps: Option<SummedMaps>,
    last_mask: Option<Vec<bool>>,
}

/// Maps summed over the steps so far.
#[derive(Debug, Default)]
struct SummedMaps {
    source: Vec<f32>,
    target: Vec<f32>,
}

/// A run of any kind.
#[derive(Debug)]
pub enum Run {
    /// A source.
    Source(SourceRun),
    /// A source again.
    Replay(ReplayRun),
    /// An edit.
    Edit(EditRun),
}

impl SourceRun {
    /// A run that writes `trajectory`, and of the steps of a coverage the attention into a log.
    pub fn new(
        model: &dyn Backend,
        guidance_scale: f64,
        trajectory: Arc<Trajectory>,
        contexts: Arc<SourceContexts>,
        log: Option<(Arc<AttentionLog>, Coverage)>,
    ) -> std::result::Result<Self, ModelError> {
        let steps = trajectory.total_steps();
        let denoising = Denoising::new(&model.info().scheduler, trajectory.noise(), steps, guidance_scale)?;
        let recorder = StepRecorder::new(trajectory.layout());
        Ok(Self { denoising, trajectory, contexts, log, recorder })
    }

    /// What this run writes.
    pub fn trajectory(&self) -> &Arc<Trajectory> {
        &self.trajectory
    }

    fn needs(&self) -> StepNeeds {
        self.log.as_ref().map_or_else(StepNeeds::default, |(_, wanted)| wanted.at(self.denoising.step))
    }

    fn advance(&mut self, scheduler: &Ddim, output: &Tensor) -> Result<()> {
        let step = self.denoising.step;
        let (attention, maps) = self.recorder.finish()?;
        self.denoising.advance(scheduler, output)?;
        if let Some((log, _)) = &self.log {
            log.put(step, attention);
        }
        self.trajectory.push(TrajectoryStep { latents: self.denoising.latents.clone(), maps });
        Ok(())
    }
}

impl ReplayRun {
    /// A run that computes the attention of the steps of `missing` again.
    pub fn new(
        model: &dyn Backend,
        trajectory: Arc<Trajectory>,
        log: Arc<AttentionLog>,
        missing: Coverage,
    ) -> std::result::Result<Self, ModelError> {
        let timesteps = model.info().scheduler.timesteps(trajectory.total_steps())?;
        let recorder = StepRecorder::new(trajectory.layout());
        Ok(Self { trajectory, timesteps, log, missing, recorder })
    }

    /// Adds steps to those that are missing.
    pub fn want(&mut self, more: &Coverage) {
        self.missing = self.missing.union(more);
    }

    fn next_step(&self) -> Option<usize> {
        self.missing.first_step()
    }

    fn advance(&mut self) -> Result<()> {
        let Some(step) = self.next_step() else {
            return Ok(());
        };
        let needs = self.missing.at(step);
        self.log.put(step, self.recorder.finish()?.0);
        self.missing.remove(step, needs);
        Ok(())
    }
}

impl EditRun {
    /// An edit towards the prompt of `context`. It starts from the source's noise and takes its schedule and guidance.
    /// `keeps_maps` sums up the target's attention.
    pub fn new(
        model: &dyn Backend,
        guidance_scale: f64,
        trajectory: Arc<Trajectory>,
        log: Arc<AttentionLog>,
        context: TextContext,
        plan: Arc<EditPlan>,
        keeps_maps: bool,
    ) -> std::result::Result<Self, ModelError> {
        let editor = StepEditor::new(&plan, log.layout(), log.contexts(), model.device())?;
        let steps = trajectory.total_steps();
        Ok(Self {
            denoising: Denoising::new(&model.info().scheduler, trajectory.noise(), steps, guidance_scale)?,
            maps: (keeps_maps || plan.blend().is_some()).then(SummedMaps::default),
            trajectory,
            log,
            context,
            plan,
            editor,
            last_mask: None,
        })
    }

    /// What is recorded of its source.
    pub fn layout(&self) -> &RecordingLayout {
        self.log.layout()
    }

    /// The local-blend mask of the last step, row by row over the latents; `None` where nothing was blended.
    pub fn last_mask(&self) -> Option<&[bool]> {
        self.last_mask.as_deref()
    }

    /// The target's maps, summed over the steps so far, where they are kept.
    pub fn summed_maps(&self) -> Option<&[f32]> {
        self.maps.as_ref().map(|maps| maps.target.as_slice())
    }

    fn needs(&self) -> StepNeeds {
        let step = self.denoising.step;
        StepNeeds { cross: self.plan.injects_cross(step), self_attention: self.plan.injects_self(step) }
    }

    fn advance(&mut self, scheduler: &Ddim, output: &Tensor) -> Result<()> {
        let step = self.denoising.step;
        let Some(source) = self.trajectory.step(step) else {
            candle_core::bail!("step {step} of the source is not there yet");
        };
        self.denoising.advance(scheduler, output)?;
        self.log.read_past(step);
        self.blend(&source)
    }

    /// Puts the source's latents back outside the mask (`LocalBlend.__call__`).
    fn blend(&mut self, source: &TrajectoryStep) -> Result<()> {
        let Some(maps) = self.maps.as_mut() else {
            return Ok(());
        };
        add(&mut maps.source, &source.maps);
        add(&mut maps.target, &self.editor.finish_maps(&source.maps)?);
        let Some(blend) = self.plan.blend().filter(|blend| self.denoising.step > blend.start_step) else {
            return Ok(());
        };
        let (_, _, height, width) = self.denoising.latents.dims4()?;
        let (map_height, map_width) = self.log.layout().blend_level().unwrap_or((0, 0));
        let mask = blend_mask(blend, &maps.source, &maps.target, map_height, map_width, height, width);
        let factors: Vec<f32> = mask.iter().map(|&inside| f32::from(u8::from(inside))).collect();
        let factors = Tensor::from_vec(factors, (1, 1, height, width), source.latents.device())?;
        let difference = (&self.denoising.latents - &source.latents)?;
        self.denoising.latents = (&source.latents + difference.broadcast_mul(&factors)?)?;
        self.last_mask = Some(mask);
        Ok(())
    }
}

fn add(sum: &mut Vec<f32>, maps: &[f32]) {
    if sum.is_empty() {
        sum.extend_from_slice(maps);
    } else {
        sum.iter_mut().zip(maps).for_each(|(sum, value)| *sum += value);
    }
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

    /// Rows of a pass.
    pub fn rows(&self) -> usize {
        match self {
            Self::Source(_) | Self::Edit(_) => ROWS_PER_RUN,
            Self::Replay(_) => ROWS_PER_REPLAY,
        }
    }

    fn denoising(&self) -> Option<&Denoising> {
        match self {
            Self::Source(run) => Some(&run.denoising),
            Self::Edit(run) => Some(&run.denoising),
            Self::Replay(_) => None,
        }
    }

    /// Steps done.
    pub fn step(&self) -> usize {
        self.denoising().map_or_else(|| self.steps() - self.steps_left(), |denoising| denoising.step)
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> usize {
        match self {
            Self::Replay(run) => run.timesteps.len(),
            Self::Source(SourceRun { denoising, .. }) | Self::Edit(EditRun { denoising, .. }) => {
                denoising.timesteps.len()
            }
        }
    }

    /// Steps still to be taken.
    pub fn steps_left(&self) -> usize {
        match self {
            Self::Replay(run) => run.missing.steps(),
            Self::Source(SourceRun { denoising, .. }) | Self::Edit(EditRun { denoising, .. }) => {
                denoising.timesteps.len() - denoising.step
            }
        }
    }

    /// Whether there is nothing left to do.
    pub fn is_done(&self) -> bool {
        self.steps_left() == 0
    }

    /// Final or present latents, `[1, channels, h, w]`; of a replay the source's noise.
    pub fn latents(&self) -> &Tensor {
        match self {
            Self::Source(run) => &run.denoising.latents,
            Self::Edit(run) => &run.denoising.latents,
            Self::Replay(run) => run.trajectory.noise(),
        }
    }

    /// The sample that the model predicted at the last step, `[1, channels, h, w]`.
    pub fn predicted(&self, scheduler: &Ddim) -> Result<Option<Tensor>> {
        self.denoising().map_or(Ok(None), |denoising| denoising.predicted(scheduler))
    }

    /// Whether the next step can be taken: what it reads is there.
    pub fn is_ready(&self) -> bool {
        match self {
            _ if self.is_done() => false,
            Self::Source(_) => true,
            Self::Replay(run) => {
                run.next_step().is_some_and(|step| run.trajectory.recorded_steps() >= step && run.log.admits(step))
            }
            Self::Edit(run) => {
                let step = run.denoising.step;
                run.trajectory.recorded_steps() > step && run.log.has(step, run.needs())
            }
        }
    }

    /// The latents, the timestep and the prompts of the next step's rows.
    pub(super) fn inputs(&self) -> Result<(Tensor, usize, Vec<TextContext>)> {
        let of = |denoising: &Denoising| (denoising.latents.clone(), denoising.timesteps[denoising.step]);
        Ok(match self {
            Self::Source(run) => {
                let (latents, timestep) = of(&run.denoising);
                let contexts = vec![run.contexts.unconditional.clone(), run.contexts.conditional.clone()];
                (latents, timestep, contexts)
            }
            Self::Edit(run) => {
                let (latents, timestep) = of(&run.denoising);
                (latents, timestep, vec![run.log.contexts().unconditional.clone(), run.context.clone()])
            }
            Self::Replay(run) => {
                let step = run.next_step().unwrap_or(0);
                let Some(latents) = run.trajectory.before(step) else {
                    candle_core::bail!("step {step} of the source cannot be run again yet");
                };
                (latents, run.timesteps[step], vec![run.log.contexts().conditional.clone()])
            }
        })
    }

    /// How the rows attend at the next step, in the order of [`Self::inputs`].
    pub(super) fn controls(&mut self) -> Result<Vec<RowControl<'_>>> {
        Ok(match self {
            Self::Source(run) => {
                run.recorder.begin(run.needs(), true);
                vec![RowControl::Free, RowControl::Record(&mut run.recorder)]
            }
            Self::Replay(run) => {
                let needs = run.next_step().map_or_else(StepNeeds::default, |step| run.missing.at(step));
                run.recorder.begin(needs, false);
                vec![RowControl::Record(&mut run.recorder)]
            }
            Self::Edit(run) => {
                let step = run.denoising.step;
                let attention = run.log.step(step).on_device(run.denoising.latents.device())?;
                run.editor.begin(step, attention, run.maps.is_some());
                vec![RowControl::Free, RowControl::Edit(&mut run.editor)]
            }
        })
    }

    /// Takes the step that the UNet's output `[rows, channels, h, w]` is for.
    pub(super) fn advance(&mut self, scheduler: &Ddim, output: &Tensor) -> Result<()> {
        match self {
            Self::Source(run) => run.advance(scheduler, output),
            Self::Replay(run) => run.advance(),
            Self::Edit(run) => run.advance(scheduler, output),
        }
    }
}
