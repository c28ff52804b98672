//! Why the latents of a run are not finite: the request's numbers, or the model.
//!
//! Contract: the UNet is at fault if it computes NaN or infinity from ordinary latents without any control of its
//! attention, or if a run without large numbers in its request diverges. In all other cases the request's guidance scale
//! or strengths can be the cause. Finding out takes a few passes of the UNet, only after a run has failed.

use candle_core::{Result, Tensor};

use crate::diffusion::not_finite::largest;
use crate::diffusion::samplers::GuidanceMode;
use crate::diffusion::unet::NoControl;
use crate::diffusion::{Conditioning, ModelPart, NotFinite};
use crate::engine::backend::Backend;
use crate::engine::job::EngineError;
use crate::engine::runs::edit::EditRun;
use crate::engine::runs::forward::{Failure, guarded};
use crate::engine::runs::sampler_state::SamplerState;
use crate::engine::runs::source::SourceRun;
use crate::engine::runs::{Run, row_conditionings};
use crate::recordings::Trajectory;

/// Latents above this come from numbers that are far too high. Noise has values up to 5, of the samplers with the largest
/// sigmas up to 100.
pub(super) const EXTREME: f32 = 1000.0;
/// Guidance scales above this can make an edit diverge whose source does not.
const HIGH_GUIDANCE: f64 = 30.0;

/// The error of a run whose latents are not finite. The outer error is a failure of the device.
pub(super) fn cause(model: &dyn Backend, run: &Run) -> std::result::Result<EngineError, Failure> {
    match guarded(model, || is_model(model, run)) {
        Ok(true) => Ok(EngineError::ModelNotFinite(NotFinite(ModelPart::UNet))),
        Ok(false) => Ok(EngineError::Diverged),
        Err(failure @ Failure::Device(_)) => Err(failure),
        Err(failure) => Ok(failure.into()),
    }
}

/// Whether the model is at fault.
fn is_model(model: &dyn Backend, run: &Run) -> Result<bool> {
    match run {
        Run::Source(run) => is_model_of_source(model, run),
        Run::Edit(run) => is_model_of_edit(model, run),
        // Its latents are those of its source.
        Run::Replay(_) => Ok(false),
    }
}

/// The first step whose latents are extreme or not finite is repeated from the latents before it.
fn is_model_of_source(model: &dyn Backend, run: &SourceRun) -> Result<bool> {
    for step in 0..run.trajectory.recorded_steps() {
        let after = run.trajectory.before(step + 1);
        if after.map(|latents| largest(&latents)).transpose()?.is_none_or(|most| most > EXTREME) {
            let rows = (run.contexts.unconditional(step), run.contexts.conditional());
            return Ok(!is_finite_at(model, &run.state, &run.trajectory, step, rows)?);
        }
    }
    Ok(false)
}

/// The target's prompt is tried without control at some of the source's latents. Without large numbers in the request,
/// nothing but the model is left.
fn is_model_of_edit(model: &dyn Backend, run: &EditRun) -> Result<bool> {
    let GuidanceMode::ClassifierFree { scale } = run.state.guidance();
    let steps = run.trajectory.recorded_steps();
    for step in [0, steps / 2, steps.saturating_sub(1)] {
        let rows = (run.log.contexts().unconditional(step), &run.conditioning);
        if !is_finite_at(model, &run.state, &run.trajectory, step, rows)? {
            return Ok(true);
        }
    }
    Ok(scale.abs() <= HIGH_GUIDANCE && !run.has_strengths())
}

/// Whether the UNet's output is finite at the source's latents before a step; true where these are extreme themselves.
fn is_finite_at(
    model: &dyn Backend,
    state: &SamplerState,
    trajectory: &Trajectory,
    step: usize,
    (negative, prompt): (&Conditioning, &Conditioning),
) -> Result<bool> {
    let Some(latents) = trajectory.before(step) else {
        return Ok(true);
    };
    if largest(&latents)? > EXTREME {
        return Ok(true);
    }
    let (input, timestep) = state.input_at(step, &latents)?;
    let conditionings = row_conditionings(state.guidance(), negative, prompt);
    let rows: Vec<&Tensor> = vec![&input; conditionings.len()];
    let (timesteps, conditionings) = (vec![timestep; rows.len()], conditionings.iter().collect::<Vec<_>>());
    let output = model.forward(&Tensor::cat(&rows, 0)?, &timesteps, &conditionings, &mut NoControl)?;
    Ok(largest(&output)?.is_finite())
}
