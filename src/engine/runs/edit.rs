//! An edit's run: it reads its source step by step, and blends where that is asked for.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::diffusion::unet::TextContext;
use crate::engine::backend::Backend;
use crate::engine::control::StepEditor;
use crate::engine::runs::attention_prefetch::Ahead;
use crate::engine::runs::sampler_state::{SamplerState, Sampling};
use crate::p2p::{EditPlan, add_step, blend_mask};
use crate::recordings::{AttentionLog, RecordingLayout, StepNeeds, Trajectory, TrajectoryStep};

/// An edit of a source that is recorded, or being recorded.
#[derive(Debug)]
pub struct EditRun {
    pub(crate) state: SamplerState,
    pub(crate) trajectory: Arc<Trajectory>,
    pub(crate) log: Arc<AttentionLog>,
    pub(crate) ahead: Ahead,
    pub(crate) context: TextContext,
    plan: Arc<EditPlan>,
    pub(crate) editor: StepEditor,
    pub(crate) maps: Option<SummedMaps>,
    last_mask: Option<Vec<bool>>,
}

/// Maps summed over the steps so far.
#[derive(Debug, Default)]
pub(crate) struct SummedMaps {
    source: Vec<f32>,
    target: Vec<f32>,
}

impl EditRun {
    /// An edit towards the prompt of `context`. It starts from the source's latents and is sampled as the source was.
    /// `keeps_maps` sums up the target's attention.
    pub fn new(
        model: &dyn Backend,
        sampling: &Sampling,
        trajectory: Arc<Trajectory>,
        log: Arc<AttentionLog>,
        context: TextContext,
        plan: Arc<EditPlan>,
        keeps_maps: bool,
    ) -> Self {
        let editor = StepEditor::new(&plan, log.layout(), log.contexts());
        Self {
            state: SamplerState::new(sampling, trajectory.noise().clone()),
            maps: (keeps_maps || plan.blend().is_some()).then(SummedMaps::default),
            trajectory,
            log,
            ahead: Ahead::new(model.device()),
            context,
            plan,
            editor,
            last_mask: None,
        }
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

    pub(crate) fn needs(&self) -> StepNeeds {
        self.needs_at(self.state.step)
    }

    /// What a step needs of its source.
    pub(crate) fn needs_at(&self, step: usize) -> StepNeeds {
        StepNeeds { cross: self.plan.injects_cross(step), self_attention: self.plan.injects_self(step) }
    }

    pub(crate) fn advance(&mut self, output: &Tensor) -> Result<()> {
        let step = self.state.step;
        let Some(source) = self.trajectory.step(step) else {
            candle_core::bail!("step {step} of the source is not there yet");
        };
        self.state.advance(output)?;
        self.editor.end();
        self.log.read_past(step);
        self.blend(&source)
    }

    /// Puts the source's latents back outside the mask (`LocalBlend.__call__`).
    fn blend(&mut self, source: &TrajectoryStep) -> Result<()> {
        let Some(maps) = self.maps.as_mut() else {
            return Ok(());
        };
        add_step(&mut maps.source, &source.maps);
        add_step(&mut maps.target, &self.editor.finish_maps(&source.maps)?);
        let Some(blend) = self.plan.blend().filter(|blend| self.state.step > blend.start_step) else {
            return Ok(());
        };
        let (_, _, height, width) = self.state.latents.dims4()?;
        let (map_height, map_width) = self.log.layout().blend_level().unwrap_or((0, 0));
        let mask = blend_mask(blend, &maps.source, &maps.target, map_height, map_width, height, width);
        let factors: Vec<f32> = mask.iter().map(|&inside| f32::from(u8::from(inside))).collect();
        let factors = Tensor::from_vec(factors, (1, 1, height, width), source.latents.device())?;
        let difference = (&self.state.latents - &source.latents)?;
        self.state.latents = (&source.latents + difference.broadcast_mul(&factors)?)?;
        self.last_mask = Some(mask);
        Ok(())
    }
}
