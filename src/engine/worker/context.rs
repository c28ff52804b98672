//! What every part of the worker uses besides its sources and jobs: the model, the runs in progress, the recordings
//! and measured costs.

use std::cell::Cell;
use std::sync::Arc;

use crate::diffusion::{ModelError, NotFinite};
use crate::engine::backend::Backend;
use crate::engine::batch::CompatibilityKey;
use crate::engine::conditioning_cache::ConditioningCache;
use crate::engine::job::{EngineError, JobEnd};
use crate::engine::runs::forward::{Failure, guarded};
use crate::engine::runs::recording_layout;
use crate::engine::runs::set::RunSet;
use crate::engine::shared::Shared;
use crate::engine::state::RunningJob;
use crate::engine::trace::JOB_FAILED;
use crate::engine::worker::busy_time::BusyTime;
use crate::engine::worker::wait_estimate::Costs;
use crate::recordings::{RecordingLayout, Recordings, Source};

/// The model and what is computed with it. It lives on the worker's thread.
pub(crate) struct Context<'a> {
    pub model: Box<dyn Backend>,
    pub shared: &'a Shared,
    pub runs: RunSet,
    pub conditionings: ConditioningCache,
    pub costs: Costs,
    pub busy_time: BusyTime,
    /// Jobs in a row that failed because the model computed NaN or infinity, since the last image or self-test that
    /// succeeded.
    pub not_finite: Cell<u32>,
}

impl<'a> Context<'a> {
    pub fn new(model: Box<dyn Backend>, shared: &'a Shared) -> Self {
        Self {
            model,
            shared,
            runs: RunSet::default(),
            conditionings: ConditioningCache::default(),
            costs: Costs::default(),
            busy_time: BusyTime::new(Arc::clone(&shared.metrics)),
            not_finite: Cell::new(0),
        }
    }

    /// All recordings.
    pub fn recordings(&self) -> &'a Arc<Recordings> {
        &self.shared.recordings
    }

    /// What runs must have in common with those of a source to share a pass with them.
    pub fn key_of(&self, source: &Source) -> CompatibilityKey {
        let factor = self.model.info().vae_factor;
        CompatibilityKey { height: source.height / factor, width: source.width / factor }
    }

    /// What is recorded of a source.
    pub fn layout_of(&self, source: &Source) -> RecordingLayout {
        recording_layout(&*self.model, source.height, source.width)
    }

    /// Does work of the model that may fail. The outer error is a failure of the device, the inner one of this work
    /// alone.
    pub fn catch_device_failure<T>(
        &self,
        work: impl FnOnce() -> Result<T, ModelError>,
    ) -> Result<Result<T, EngineError>, Failure> {
        let flat = || match work() {
            Ok(done) => Ok(Ok(done)),
            Err(ModelError::Tensor(error)) => Err(error),
            Err(error) => Ok(Err(error.into())),
        };
        match guarded(&*self.model, flat) {
            Ok(result) => Ok(result),
            Err(failure @ Failure::Device(_)) => Err(failure),
            Err(failure) => Ok(Err(failure.into())),
        }
    }

    /// The same for work of one job. If the device fails, the job fails; the next pass then reports the device's
    /// failure again.
    pub fn try_for_job<T>(&self, work: impl FnOnce() -> Result<T, ModelError>) -> Result<T, EngineError> {
        self.catch_device_failure(work)?
    }

    /// Answers a job that has failed.
    pub fn fail(&self, job: RunningJob, error: EngineError) {
        let ticket = job.into_ticket();
        tracing::error!(target: JOB_FAILED, parent: ticket.trace.job(), %error, "a job failed");
        self.shared.metrics.jobs.with(JobEnd::Failed).inc();
        if let EngineError::ModelNotFinite(NotFinite(part)) = error {
            self.shared.metrics.not_finite.with(part).inc();
            self.not_finite.set(self.not_finite.get().saturating_add(1));
        }
        ticket.answer(Err(error));
    }

    /// Answers jobs that have failed together.
    pub fn fail_all(&self, jobs: Vec<RunningJob>, error: &EngineError) {
        jobs.into_iter().for_each(|job| self.fail(job, error.clone()));
    }
}
