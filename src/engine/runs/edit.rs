//! An edit's run: it reads its source step by step, and applies the local blend if the plan has one.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::diffusion::Conditioning;
use crate::engine::backend::Backend;
use crate::engine::control::StepEditor;
use crate::engine::runs::attention_prefetch::Prefetch;
use crate::engine::runs::needs_of;
use crate::engine::runs::sampler_state::{SamplerState, Sampling};
use crate::p2p::{EditPlan, add_step, blend_mask};
use crate::recordings::{AttentionLog, Coverage, GroupSet, RecordingLayout, Trajectory, TrajectoryStep};

/// An edit of a source that is recorded, or being recorded.
#[derive(Debug)]
pub struct EditRun {
    pub(crate) state: SamplerState,
    pub(crate) trajectory: Arc<Trajectory>,
    pub(crate) log: Arc<AttentionLog>,
    pub(crate) prefetch: Prefetch,
    pub(crate) conditioning: Conditioning,
    plan: Arc<EditPlan>,
    /// What the plan reads of the source, step by step.
    needs: Coverage,
    pub(crate) editor: StepEditor,
    pub(crate) maps: Option<SummedMaps>,
}

/// Maps summed over the steps so far.
#[derive(Debug, Default)]
pub(crate) struct SummedMaps {
    source: Vec<f32>,
    target: Vec<f32>,
}

impl EditRun {
    /// An edit towards the prompt of `conditioning`. It starts from the source's initial latents and is sampled as the
    /// source was. `keeps_maps` sums the target's maps.
    pub fn new(
        model: &dyn Backend,
        sampling: &Sampling,
        trajectory: Arc<Trajectory>,
        log: Arc<AttentionLog>,
        conditioning: Conditioning,
        plan: Arc<EditPlan>,
        keeps_maps: bool,
    ) -> Self {
        let editor = StepEditor::new(&plan, log.layout(), log.contexts());
        Self {
            state: SamplerState::new(sampling, trajectory.start().clone()),
            maps: (keeps_maps || plan.blend().is_some()).then(SummedMaps::default),
            needs: needs_of(&plan, log.layout()),
            trajectory,
            log,
            prefetch: Prefetch::new(model.device()),
            conditioning,
            plan,
            editor,
        }
    }

    /// What is recorded of its source.
    pub fn layout(&self) -> &RecordingLayout {
        self.log.layout()
    }

    /// The target's maps, summed over the steps so far, if they are kept.
    pub fn summed_maps(&self) -> Option<&[f32]> {
        self.maps.as_ref().map(|maps| maps.target.as_slice())
    }

    /// Whether the request scales the attention of a word.
    pub(crate) fn has_strengths(&self) -> bool {
        self.plan.has_strengths()
    }

    pub(crate) fn needs(&self) -> GroupSet {
        self.needs_at(self.state.step)
    }

    /// What a step needs of its source.
    pub(crate) fn needs_at(&self, step: usize) -> GroupSet {
        self.needs.at(step)
    }

    pub(crate) fn advance(&mut self, output: &Tensor) -> Result<()> {
        let step = self.state.step;
        let Some(source) = self.trajectory.step(step) else {
            candle_core::bail!("step {step} of the source is not recorded yet");
        };
        self.state.advance(output)?;
        self.editor.end();
        self.log.read_past(step);
        self.blend(&source)
    }

    /// Adds the step to the summed maps and, once the blend begins, restores the source's latents outside the mask
    /// (`LocalBlend.__call__`).
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
        Ok(())
    }
}
