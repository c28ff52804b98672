//! Runs: a source or an edit on its way from noise to image, one step at a time.
//!
//! A run contributes two rows to a forward pass of the UNet, unconditional and conditional. [`denoise`] takes one
//! step of several runs with one pass; the runs may be at different steps of different schedules and prompts, as
//! long as their latents have one shape. A source's run writes its recording; an edit's run reads it, and may
//! follow it one step behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::control::{BatchControl, RowControl, StepEditor, StepRecorder};
use crate::diffusion::unet::TextContext;
use crate::diffusion::{Model, ModelError};
use crate::p2p::{EditPlan, blend_mask};
use crate::session::recording::SourceContexts;
use crate::session::{Recording, RecordingLayout, Source, StepRecord};

/// Rows that a run adds to a forward pass.
pub const ROWS_PER_RUN: usize = 2;

/// Latents on their way through a schedule.
#[derive(Debug)]
struct Trajectory {
    /// `[1, channels, h, w]`.
    latents: Tensor,
    timesteps: Vec<usize>,
    guidance_scale: f64,
    step: usize,
}

impl Trajectory {
    fn is_done(&self) -> bool {
        self.step == self.timesteps.len()
    }

    /// Guidance and a scheduler step over the UNet's output `[2, channels, h, w]`, unconditional first.
    fn advance(&mut self, model: &Model, output: &Tensor) -> Result<()> {
        let (unconditional, conditional) = (output.narrow(0, 0, 1)?, output.narrow(0, 1, 1)?);
        // Classifier-free guidance (Ho and Salimans, arXiv 2207.12598).
        let guided = (&unconditional + ((conditional - &unconditional)? * self.guidance_scale)?)?;
        let (timestep, steps) = (self.timesteps[self.step], self.timesteps.len());
        self.latents = model.info.scheduler.step(&guided, timestep, steps, &self.latents)?;
        self.step += 1;
        Ok(())
    }
}

/// A source being recorded.
#[derive(Debug)]
pub struct SourceRun {
    trajectory: Trajectory,
    recording: Arc<Recording>,
    recorder: StepRecorder,
}

/// An edit of a source that is recorded or being recorded.
#[derive(Debug)]
pub struct EditRun {
    trajectory: Trajectory,
    recording: Arc<Recording>,
    context: TextContext,
    plan: Arc<EditPlan>,
    editor: StepEditor,
    /// Maps summed over the steps so far, where the plan blends.
    blend_maps: Option<BlendMaps>,
    last_mask: Option<Vec<bool>>,
}

#[derive(Debug, Default)]
struct BlendMaps {
    source: Vec<f32>,
    target: Vec<f32>,
}

/// A run of either kind.
#[derive(Debug)]
pub enum Run {
    /// A source.
    Source(Box<SourceRun>),
    /// An edit.
    Edit(Box<EditRun>),
}

/// Which layers of `model` are recorded for images of this size in pixels.
pub fn recording_layout(model: &Model, height: usize, width: usize) -> RecordingLayout {
    let sites = model.sites(height, width);
    let levels: Vec<_> = sites.iter().map(|site| (site.height, site.width)).collect();
    let factor = model.info.vae_factor;
    let latent_values = model.info.latent_channels * (height / factor) * (width / factor);
    RecordingLayout::new(sites, crate::p2p::blend_level(&levels), model.info.tokenizer.max_tokens(), latent_values)
}

impl SourceRun {
    /// Encodes the prompts and draws the noise. `reservation` holds the bytes of the recording.
    pub fn new(
        model: &Model,
        source: &Source,
        layout: RecordingLayout,
        reservation: crate::session::store::Reservation,
    ) -> std::result::Result<Self, ModelError> {
        let contexts = SourceContexts {
            conditional: model.encode_prompt(&source.prompt)?,
            unconditional: model.encode_prompt(&source.negative_prompt)?,
        };
        let noise = model.noise(source.seed, source.height, source.width)?;
        let layout = Arc::new(layout);
        let trajectory = Trajectory {
            latents: noise.clone(),
            timesteps: model.info.scheduler.timesteps(source.steps)?,
            guidance_scale: source.guidance_scale,
            step: 0,
        };
        Ok(Self {
            trajectory,
            recorder: StepRecorder::new(&layout),
            recording: Arc::new(Recording::new(layout, contexts, noise, source.steps, reservation)),
        })
    }

    /// The log that this run writes.
    pub fn recording(&self) -> &Arc<Recording> {
        &self.recording
    }

    fn advance(&mut self, model: &Model, output: &Tensor) -> Result<()> {
        self.trajectory.advance(model, output)?;
        self.recording.push(self.recorder.finish(self.trajectory.latents.clone())?);
        Ok(())
    }
}

impl EditRun {
    /// Encodes the target prompt. The edit starts from the source's noise and takes its schedule and guidance.
    pub fn new(
        model: &Model,
        source: &Source,
        recording: Arc<Recording>,
        prompt: &str,
        plan: Arc<EditPlan>,
    ) -> std::result::Result<Self, ModelError> {
        let editor = StepEditor::new(&plan, recording.layout(), recording.contexts(), model.device())?;
        let trajectory = Trajectory {
            latents: recording.noise().clone(),
            timesteps: model.info.scheduler.timesteps(source.steps)?,
            guidance_scale: source.guidance_scale,
            step: 0,
        };
        Ok(Self {
            trajectory,
            context: model.encode_prompt(prompt)?,
            blend_maps: plan.blend().map(|_| BlendMaps::default()),
            recording,
            plan,
            editor,
            last_mask: None,
        })
    }

    /// The local-blend mask of the last step, row by row over the latents; `None` where nothing was blended.
    pub fn last_mask(&self) -> Option<&[bool]> {
        self.last_mask.as_deref()
    }

    fn advance(&mut self, model: &Model, output: &Tensor) -> Result<()> {
        let Some(record) = self.recording.step(self.trajectory.step) else {
            candle_core::bail!("step {} of the source is not recorded yet", self.trajectory.step);
        };
        self.trajectory.advance(model, output)?;
        self.blend(&record)
    }

    /// Puts the source's latents back outside the mask (`LocalBlend.__call__`).
    fn blend(&mut self, record: &StepRecord) -> Result<()> {
        let (Some(blend), Some(maps)) = (self.plan.blend(), self.blend_maps.as_mut()) else {
            return Ok(());
        };
        add(&mut maps.source, &record.maps);
        add(&mut maps.target, &self.editor.finish_maps()?);
        if self.trajectory.step <= blend.start_step {
            return Ok(());
        }
        let (_, _, height, width) = self.trajectory.latents.dims4()?;
        let (map_height, map_width) = self.recording.layout().blend_level().unwrap_or((0, 0));
        let mask = blend_mask(blend, &maps.source, &maps.target, map_height, map_width, height, width);
        let factors: Vec<f32> = mask.iter().map(|&inside| f32::from(u8::from(inside))).collect();
        let factors = Tensor::from_vec(factors, (1, 1, height, width), record.latents.device())?;
        let difference = (&self.trajectory.latents - &record.latents)?;
        self.trajectory.latents = (&record.latents + difference.broadcast_mul(&factors)?)?;
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
    fn trajectory(&self) -> &Trajectory {
        match self {
            Self::Source(run) => &run.trajectory,
            Self::Edit(run) => &run.trajectory,
        }
    }

    /// Steps done.
    pub fn step(&self) -> usize {
        self.trajectory().step
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> usize {
        self.trajectory().timesteps.len()
    }

    /// Whether the latents are final.
    pub fn is_done(&self) -> bool {
        self.trajectory().is_done()
    }

    /// Latents after the steps done so far, `[1, channels, h, w]`.
    pub fn latents(&self) -> &Tensor {
        &self.trajectory().latents
    }

    /// Whether the next step can be taken: an edit waits for the source's step.
    pub fn is_ready(&self) -> bool {
        match self {
            _ if self.is_done() => false,
            Self::Source(_) => true,
            Self::Edit(run) => run.recording.recorded_steps() > run.trajectory.step,
        }
    }

    fn contexts(&self) -> (&TextContext, &TextContext) {
        let (contexts, conditional) = match self {
            Self::Source(run) => (run.recording.contexts(), None),
            Self::Edit(run) => (run.recording.contexts(), Some(&run.context)),
        };
        (&contexts.unconditional, conditional.unwrap_or(&contexts.conditional))
    }

    /// How the conditional row attends at the step that comes next.
    fn control(&mut self) -> Result<RowControl<'_>> {
        match self {
            Self::Source(run) => {
                run.recorder.begin();
                Ok(RowControl::Record(&mut run.recorder))
            }
            Self::Edit(run) => {
                let step = run.trajectory.step;
                let Some(record) = run.recording.step(step) else {
                    candle_core::bail!("step {step} of the source is not recorded yet");
                };
                run.editor.begin(step, record);
                Ok(RowControl::Edit(&mut run.editor))
            }
        }
    }

    fn advance(&mut self, model: &Model, output: &Tensor) -> Result<()> {
        match self {
            Self::Source(run) => run.advance(model, output),
            Self::Edit(run) => run.advance(model, output),
        }
    }
}

/// The UNet's output for the next step of every run, `[2 runs, channels, h, w]`: for each run its unconditional row,
/// then its conditional row.
pub fn forward(model: &Model, runs: &mut [&mut Run]) -> Result<Tensor> {
    let mut latents = Vec::with_capacity(runs.len() * ROWS_PER_RUN);
    let mut timesteps = Vec::with_capacity(runs.len() * ROWS_PER_RUN);
    let mut contexts = Vec::with_capacity(runs.len() * ROWS_PER_RUN);
    for run in runs.iter() {
        let trajectory = run.trajectory();
        let (unconditional, conditional) = run.contexts();
        for context in [unconditional, conditional] {
            latents.push(trajectory.latents.clone());
            timesteps.push(trajectory.timesteps[trajectory.step]);
            contexts.push(context.clone());
        }
    }
    let contexts: Vec<&TextContext> = contexts.iter().collect();
    let mut rows = Vec::with_capacity(contexts.len());
    for run in runs.iter_mut() {
        rows.push(RowControl::Free);
        rows.push(run.control()?);
    }
    model.unet.forward(&Tensor::cat(&latents, 0)?, &timesteps, &contexts, &mut BatchControl::new(rows))
}

/// Takes one step of every run with one pass of the UNet. The outer error is the pass's and concerns all of them: no
/// run has moved. The inner ones are each run's own. A panic counts as an error.
pub fn denoise(model: &Model, runs: &mut [&mut Run]) -> std::result::Result<Vec<StepResult>, String> {
    let output = guarded(|| forward(model, runs))?;
    let advance = |(index, run): (usize, &mut &mut Run)| {
        guarded(|| run.advance(model, &output.narrow(0, index * ROWS_PER_RUN, ROWS_PER_RUN)?))
    };
    Ok(runs.iter_mut().enumerate().map(advance).collect())
}

/// Whether a run took its step, or what kept it from it.
pub type StepResult = std::result::Result<(), String>;

/// Turns errors and panics of tensor work into a text for the log.
pub fn guarded<T>(work: impl FnOnce() -> Result<T>) -> std::result::Result<T, String> {
    // What a panic leaves behind is a run that is given up, or one whose next step begins by starting over.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(format!("panic: {}", text.as_deref().unwrap_or("no message")))
        }
    }
}
