//! Whether the byte budgets can hold what an edit at the model's own size needs. With less, every ordinary request would
//! be refused as too large.

use crate::engine::backend::Backend;
use crate::engine::loading::LoadError;
use crate::engine::runs::recording_layout;
use crate::recordings::attention_log::RING_STEPS;
use crate::recordings::{Coverage, RecordingLayout, SessionLimits};

/// The least memory for a source's attention: a log of a few steps, which an edit reads while a replay fills it.
pub(crate) fn smallest_log_bytes(layout: &RecordingLayout) -> u64 {
    layout.context_bytes() + layout.bytes(&Coverage::all(RING_STEPS, layout.groups()))
}

/// Checks the budgets for memory and trajectories with a source of the model's own size and default number of steps.
///
/// # Errors
/// [`LoadError::Budget`], which names the key and the least value.
pub fn check_budgets(model: &dyn Backend, limits: &SessionLimits) -> Result<(), LoadError> {
    let (info, steps) = (model.info(), model.info().defaults.num_inference_steps);
    let (width, height) = (info.native_width, info.native_height);
    let layout = recording_layout(model, height, width);
    let all = layout.context_bytes() + layout.bytes(&Coverage::all(steps, layout.groups()));
    // What fits into the device's memory needs no main memory.
    let memory = if limits.device_bytes >= all { 0 } else { smallest_log_bytes(&layout).min(all) };
    for (key, given, least) in [
        ("recordings_memory_bytes", limits.memory_bytes, memory),
        ("recordings_trajectory_bytes", limits.trajectory_bytes, layout.trajectory_bytes(steps)),
    ] {
        if given < least {
            return Err(LoadError::Budget { key, given, least, width, height, steps });
        }
    }
    Ok(())
}
