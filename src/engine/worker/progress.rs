//! One step of the next batch of runs, and its effect on the progress of jobs, on gauges, on traces and on the
//! estimated waits.

use std::time::Duration;

use crate::diffusion::samplers::GuidanceMode;
use crate::engine::batch::CompatibilityKey;
use crate::engine::job::Stage;
use crate::engine::metrics::WorkerPart;
use crate::engine::runs::forward::Failure;
use crate::engine::runs::set::Pass;
use crate::engine::runs::{Run, guidance_of};
use crate::engine::state::ActiveSource;
use crate::engine::trace::JobPart;
use crate::engine::worker::Worker;
use crate::engine::worker::wait_estimate::{Load, first_end, start_times};
use crate::recordings::Source;

impl Worker<'_> {
    /// Takes one step of the next batch of runs, and measures it. The error is a failure of the device.
    pub(super) fn step_runs(&mut self) -> Result<Pass, Failure> {
        self.trace_runs(|run| !run.is_done(), JobPart::Denoise);
        let context = &mut self.context;
        let metrics = &context.shared.metrics;
        let pass = context.runs.step(&*context.model, self.max_batch_rows, metrics)?;
        if let Some(key) = pass.key {
            context.busy_time.split(WorkerPart::Unet, pass.took);
            #[allow(clippy::cast_precision_loss)]
            metrics.batch_rows.observe(pass.rows as f64);
            metrics.step_seconds.observe(pass.took.as_secs_f64());
            // A pass that failed says nothing about how long passes take.
            if !pass.took.is_zero() {
                context.costs.add_pass(key, pass.rows, pass.took);
            }
        }
        Ok(pass)
    }

    /// Begins a part in the traces of the jobs whose run is `such`.
    pub(super) fn trace_runs(&mut self, such: impl Fn(&Run) -> bool, part: JobPart) {
        let Self { context, sources, .. } = self;
        for (job, key) in sources.iter_mut().flat_map(ActiveSource::shown_mut) {
            if key.and_then(|key| context.runs.get(key)).is_some_and(&such) {
                job.trace(part);
            }
        }
    }

    /// Adds a step to the trace of each job whose run took part in it.
    pub(super) fn trace_steps(&self, pass: &Pass) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        for (job, key) in self.sources.iter().flat_map(ActiveSource::shown) {
            let key = key.filter(|key| pass.runs.contains(key));
            if let Some(run) = key.and_then(|key| self.context.runs.get(key)) {
                job.ticket().trace.stepped(run.step(), pass.rows, pass.took);
            }
        }
    }

    /// Publishes the progress of every job to its client, and sets the gauges.
    pub(super) fn publish(&self) {
        for (job, key) in self.sources.iter().flat_map(ActiveSource::shown) {
            job.publish(key.and_then(|key| self.context.runs.get(key)).map(Run::step));
        }
        self.show_running_jobs();
        let metrics = &self.context.shared.metrics;
        metrics.running_rows.set(i64::try_from(self.context.runs.rows()).unwrap_or(i64::MAX));
        let (first_end, starts) = self.estimates();
        let (first, last) = (starts.first().copied().unwrap_or_default(), starts.last().copied().unwrap_or_default());
        self.context.shared.set_estimates(first, last, first_end);
        for ((position, queued), wait) in self.queue.iter().enumerate().zip(starts) {
            let stage = Stage::Queued { position, estimated_wait: wait };
            let progress = &queued.ticket.progress;
            progress.send_if_modified(|progress| std::mem::replace(&mut progress.stage, stage) != stage);
        }
    }

    /// Sets the gauge of running jobs.
    pub(super) fn show_running_jobs(&self) {
        let running = i64::try_from(self.sources.jobs().count()).unwrap_or(i64::MAX);
        self.context.shared.metrics.running_jobs.set(running);
    }

    /// When the first running job is likely to end, when each queued job is likely to start, and last when a job that is
    /// submitted next.
    fn estimates(&self) -> (Duration, Vec<Duration>) {
        let context = &self.context;
        let load = |rows: usize, steps: usize, key| Load {
            rows,
            steps,
            row: context.costs.row(key),
            end: context.costs.decode(key),
        };
        let of_source = |rows, source: &Source| load(rows, source.steps, context.key_of(source));
        let runs = context.runs.iter().filter(|run| run.steps_left() > 0);
        let runs = runs.map(|run| load(run.rows(), run.steps_left(), CompatibilityKey::of(run)));
        let begins = self.sources.jobs().filter(|job| job.edit().waiting_edit().is_some());
        let begins = begins.map(|job| job.ticket().work.source());
        let begins = begins.map(|source| of_source(guidance_of(source).rows().len(), source));
        let queue = self.queue.iter().map(|queued| of_source(queued.rows, queued.ticket.work.source()));
        let next = context.runs.iter().next();
        let next = next.map(|run| load(GuidanceMode::MAX_ROWS, 1, CompatibilityKey::of(run)));
        let running: Vec<Load> = runs.chain(begins).collect();
        let first_end = first_end(&running);
        (first_end, start_times(running, queue.chain(next), self.max_batch_rows))
    }
}
