//! The end of runs and jobs: finished runs are taken out and decoded, recordings are kept, and complete jobs are
//! answered.

use crate::engine::job::JobEnd;
use crate::engine::metrics::WorkerPart;
use crate::engine::runs::Run;
use crate::engine::runs::forward::Failure;
use crate::engine::runs::set::Finished;
use crate::engine::state::{ActiveSource, FinishedEdit, RunOwner};
use crate::engine::trace::JobPart;
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;
use crate::recordings::AttentionMaps;

impl Worker<'_> {
    /// Takes out finished runs and answers complete jobs. Returns whether there were any. The error is a failure of the
    /// device.
    pub(super) fn finish(&mut self) -> Result<bool, Failure> {
        self.trace_runs(Run::is_done, JobPart::Decode);
        let Self { context, sources, .. } = self;
        let (finished, decodes) = context.runs.take_finished(&*context.model)?;
        context.busy_time.split(WorkerPart::Decode, decodes.iter().map(|decode| decode.took).sum());
        for decode in decodes {
            context.costs.add_decode(decode.key, decode.images, decode.took);
        }
        let mut has_moved = !finished.is_empty();
        for one in finished {
            // A run whose jobs were canceled belongs to no source.
            match sources.owner_of(one.key) {
                Some((RunOwner::Source, active)) => context.finish_source(active, one),
                Some((RunOwner::Replay, active)) => context.finish_replay(active, one),
                Some((RunOwner::Edit, active)) => context.finish_edit(active, one),
                None => {}
            }
        }
        let answers: Vec<_> = sources.iter_mut().flat_map(ActiveSource::take_outcomes).collect();
        has_moved |= !answers.is_empty();
        // Before the answers: a client that has its answer finds the memory of its job free.
        self.drop_unused_sources();
        let metrics = &self.context.shared.metrics;
        for (ticket, outcome) in answers {
            metrics.jobs.with(JobEnd::Succeeded).inc();
            self.context.not_finite.set(0);
            metrics.recordings.with(outcome.recording).inc();
            metrics.job_seconds.with(ticket.work.kind()).observe(outcome.timings.total.as_secs_f64());
            ticket.trace.succeeded(&outcome);
            if !outcome.timings.denoise.is_zero() {
                ticket.progress.send_modify(|progress| progress.step = progress.steps);
            }
            ticket.answer(Ok(outcome));
        }
        Ok(has_moved)
    }
}

impl Context<'_> {
    fn finish_source(&self, active: &mut ActiveSource, finished: Finished) {
        match finished.image {
            Ok(image) => active.finish(image, (finished.denoised, finished.decode)),
            Err(error) => return self.fail_all(active.fail(), &error),
        }
        if self.keep(active.state_mut()) {
            self.persist(active.state());
        }
    }

    fn finish_replay(&self, active: &mut ActiveSource, finished: Finished) {
        match finished.image {
            Ok(_) => {
                active.finish_replay();
                self.persist(active.state());
            }
            Err(error) => self.fail_all(active.fail_log(), &error),
        }
    }

    /// Completes an edit. The end of a replay for one edit needs no action.
    fn finish_edit(&self, active: &mut ActiveSource, finished: Finished) {
        let (image, run) = match (finished.image, &finished.run) {
            (Ok(Some(image)), Run::Edit(run)) => (image, run),
            (Ok(_), _) => return,
            (Err(error), _) => {
                if let Some(job) = active.fail_run(finished.key) {
                    self.fail(job, error);
                }
                return;
            }
        };
        let (height, width) = run.layout().blend_level().unwrap_or((0, 0));
        let tokens = run.layout().tokens();
        let maps = run.summed_maps();
        let maps = maps.map(|sum| AttentionMaps { height, width, tokens, steps: vec![sum.into()] });
        active.finish_edit(finished.key, FinishedEdit { image, maps }, (finished.denoised, finished.decode));
    }
}
