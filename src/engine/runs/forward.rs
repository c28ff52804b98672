//! One step of several runs with one pass of the UNet. Errors and panics become [`Failure`]s, which say whether the
//! device has failed or this work alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Error, Result, Tensor};

use crate::engine::backend::Backend;
use crate::engine::control::BatchControl;
use crate::engine::runs::Run;

/// Why tensor work failed. Errors are shared, because one failure can fail several jobs.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// This work failed.
    #[error(transparent)]
    Work(Arc<Error>),
    /// This work panicked with this message.
    #[error("panic: {0}")]
    Panic(String),
    /// The device has failed: no later work can succeed.
    #[error("the device failed: {0}")]
    Device(#[source] Arc<Error>),
}

/// Whether a run took its step.
pub type StepResult = std::result::Result<(), Failure>;

/// Does tensor work; its errors and panics become failures.
pub fn guarded<T>(model: &dyn Backend, work: impl FnOnce() -> Result<T>) -> std::result::Result<T, Failure> {
    // After a panic the run is dropped, or its next step resets what this one left.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if model.is_device_failure(&error) => Err(Failure::Device(Arc::new(error))),
        Ok(Err(error)) => Err(Failure::Work(Arc::new(error))),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(Failure::Panic(text.unwrap_or_else(|| "no message".to_owned())))
        }
    }
}

/// The UNet's output for the next step of every run, `[rows, channels, h, w]`: run by run, of each run its rows.
pub fn forward(model: &dyn Backend, runs: &mut [&mut Run]) -> Result<Tensor> {
    let (mut latents, mut timesteps, mut conditionings) = (Vec::new(), Vec::new(), Vec::new());
    for run in runs.iter() {
        let (of_run, timestep, of_rows) = run.inputs()?;
        latents.extend(std::iter::repeat_n(of_run, of_rows.len()));
        timesteps.extend(std::iter::repeat_n(timestep, of_rows.len()));
        conditionings.extend(of_rows);
    }
    let conditionings: Vec<_> = conditionings.iter().collect();
    let mut rows = Vec::with_capacity(conditionings.len());
    for run in runs.iter_mut() {
        rows.extend(run.controls()?);
    }
    model.forward(&Tensor::cat(&latents, 0)?, &timesteps, &conditionings, &mut BatchControl::new(rows))
}

/// Takes one step of every run with one pass of the UNet, and returns how long the pass took. The outer error is a
/// failure of the pass: no run has advanced. The inner errors are those of single runs.
pub fn denoise(
    model: &dyn Backend,
    runs: &mut [&mut Run],
) -> std::result::Result<(Vec<StepResult>, Duration), Failure> {
    let began = Instant::now();
    let output = guarded(model, || forward(model, runs))?;
    let took = began.elapsed();
    let mut next_row = 0;
    let advance = |run: &mut &mut Run| {
        let (first, rows) = (next_row, run.rows());
        next_row += rows;
        guarded(model, || run.advance(&output.narrow(0, first, rows)?))
    };
    Ok((runs.iter_mut().map(advance).collect(), took))
}
