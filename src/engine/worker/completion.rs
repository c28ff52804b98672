//! What has come to its end: runs are taken out, recordings kept, jobs answered; and what of a job may be told before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Tensor;

use crate::diffusion::samplers::GuidanceMode;
use crate::engine::batch::CompatibilityKey;
use crate::engine::job::JobEnd;
use crate::engine::job::{EngineError, Preview, Progress, Stage};
use crate::engine::runs::forward::{Failure, guarded};
use crate::engine::runs::set::{Finished, RunKey, decode};
use crate::engine::runs::{Run, guidance_of};
use crate::engine::state::{ActiveSource, EditState, Job, SharedLog, TrajectoryState};
use crate::engine::trace::{JOB_FAILED, JobPart};
use crate::engine::worker::Worker;
use crate::engine::worker::busy_time::WorkerPart;
use crate::engine::worker::wait_estimate::{Load, start_times};
use crate::recordings::Tier;
use crate::recordings::disk::Part;
use crate::recordings::{AttentionMaps, SessionId, codec};

impl Worker<'_> {
    /// Takes out what has ended and answers the jobs that have all. Whether there was anything; the error is the
    /// device's.
    pub(crate) fn finish(&mut self) -> Result<bool, Failure> {
        self.trace_runs(Run::is_done, JobPart::Decode);
        let (finished, decodes) = self.runs.take_finished(&*self.model)?;
        self.clock.split(WorkerPart::Decode, decodes.iter().map(|decode| decode.took).sum());
        for decode in decodes {
            self.estimate.decoded(decode.key, decode.images, decode.took);
        }
        let mut has_moved = !finished.is_empty();
        for one in finished {
            self.take_finished(one);
        }
        let mut answers = Vec::new();
        for job in std::mem::take(&mut self.jobs) {
            let kind = job.ticket.work.kind();
            let (recording_use, session) = (job.recording_use, job.session.clone());
            match job.into_answer(self.sources.get(&session)) {
                Ok((ticket, outcome)) => {
                    self.metrics().jobs.of(JobEnd::Succeeded).inc();
                    self.metrics().recordings.of(recording_use).inc();
                    self.metrics().job_seconds.of(kind).observe(outcome.timings.total.as_secs_f64());
                    ticket.trace.succeeded(&outcome);
                    if !outcome.timings.denoise.is_zero() {
                        ticket.progress.send_modify(|progress| progress.step = progress.steps);
                    }
                    answers.push((ticket, outcome));
                    has_moved = true;
                }
                Err(unfinished) => self.jobs.push(*unfinished),
            }
        }
        // First: whoever has an answer finds given back what it took.
        self.retire_sources();
        for (ticket, outcome) in answers {
            ticket.answer(Ok(outcome));
        }
        Ok(has_moved)
    }

    /// Hands over what a run came to.
    fn take_finished(&mut self, finished: Finished) {
        let owner = self.sources.iter().find(|(_, active)| active.run() == Some(finished.key));
        let replay_of = self.sources.iter().find(|(_, active)| active.replay == Some(finished.key));
        match (&finished.run, owner, replay_of) {
            (Run::Source(_), Some((session, _)), _) => {
                let session = session.clone();
                self.source_finished(&session, finished);
            }
            (Run::Replay(_), _, Some((session, _))) => {
                let session = session.clone();
                match finished.image {
                    Ok(_) => {
                        self.sources.get_mut(&session).into_iter().for_each(|active| active.replay = None);
                        self.persist(&session);
                    }
                    Err(error) => self.fail_edits(&session, &error),
                }
            }
            _ => self.job_finished(finished),
        }
    }

    fn source_finished(&mut self, session: &SessionId, finished: Finished) {
        let (image, Run::Source(run)) = (finished.image, &finished.run) else {
            return;
        };
        let image = match image {
            Ok(image) => image,
            Err(error) => return self.fail_source(session, &error),
        };
        let trajectory = Arc::clone(run.trajectory());
        image.into_iter().for_each(|image| trajectory.set_image(image));
        for job in self.jobs.iter_mut().filter(|job| job.session == *session) {
            if matches!(job.edit, EditState::None | EditState::SameAsSource) {
                job.denoised = Some(finished.denoised);
                job.decode = finished.decode;
            }
        }
        let Some(active) = self.sources.get_mut(session) else {
            return;
        };
        active.trajectory = TrajectoryState::Ready(trajectory);
        if self.keep(session) {
            self.persist(session);
        }
    }

    /// An edit, or a replay that serves one job alone.
    fn job_finished(&mut self, finished: Finished) {
        let Some(at) = self.jobs.iter().position(|job| job.own_runs().any(|key| key == finished.key)) else {
            return;
        };
        let image = match finished.image {
            Ok(image) => image,
            Err(error) => {
                let job = self.jobs.remove(at);
                return self.fail(job, error);
            }
        };
        let (Some(image), Run::Edit(run)) = (image, &finished.run) else {
            return;
        };
        let job = &mut self.jobs[at];
        let (height, width) = run.layout().blend_level().unwrap_or((0, 0));
        let maps = run.summed_maps().filter(|_| job.ticket.options.attention);
        let maps =
            maps.map(|sum| AttentionMaps { height, width, tokens: run.layout().tokens(), steps: vec![sum.into()] });
        job.edit = EditState::Done(image, maps);
        job.denoised = Some(finished.denoised);
        job.decode = finished.decode;
    }

    /// Writes what is new of a complete source to files, where there are files.
    fn persist(&mut self, session: &SessionId) {
        let store = Arc::clone(self.store());
        let Some(active) = self.sources.get_mut(session) else {
            return;
        };
        let Some(trajectory) = active.ready().cloned() else {
            return;
        };
        store.write_source(session, &active.source);
        if !std::mem::replace(&mut active.written.trajectory, true) {
            let pinned = Arc::clone(&trajectory);
            store.write_part(session, Part::Trajectory, || codec::of_trajectory(&trajectory), pinned);
        }
        let SharedLog::Open { log, .. } = &active.log else {
            return;
        };
        let present = log.present();
        let new = present.minus(&active.written.attention);
        // More than all files may take would push out everybody's, its own at last.
        if active.layout.bytes(&present) > store.limit(Tier::Disk) {
            return;
        }
        active.written.attention = active.written.attention.union(&new);
        for step in 0..trajectory.total_steps() {
            let attention = log.step(step);
            for part in codec::parts_of(step, &attention).filter(|part| codec::contains(&new, *part)) {
                let tensors = || codec::of_attention(part, &attention);
                store.write_part(session, part, tensors, Arc::clone(log) as _);
            }
        }
    }

    /// Lets go of sources that no job is left for, and of the runs that nobody wants.
    pub(crate) fn retire_sources(&mut self) {
        let is_wanted = |session: &SessionId| self.jobs.iter().any(|job| job.session == *session);
        let unwanted: Vec<_> = self.sources.keys().filter(|session| !is_wanted(session)).cloned().collect();
        for session in unwanted {
            self.persist(&session);
            if let Some(active) = self.sources.remove(&session) {
                self.let_go(&session, active);
            }
        }
        let (jobs, sources) = (&self.jobs, &self.sources);
        self.runs.retain(|key| {
            jobs.iter().flat_map(Job::own_runs).any(|wanted| wanted == key)
                || sources.values().any(|active| active.run() == Some(key) || active.replay == Some(key))
        });
    }

    fn let_go(&self, session: &SessionId, active: ActiveSource) {
        if let SharedLog::Open { log, .. } = &active.log {
            log.settle();
        }
        if active.ready().is_none() {
            self.store().abandon(session);
        }
    }

    /// Fails one job.
    pub(crate) fn fail(&self, job: Job, error: EngineError) {
        tracing::error!(target: JOB_FAILED, parent: job.ticket.trace.job(), %error, "a job failed");
        self.metrics().jobs.of(JobEnd::Failed).inc();
        job.ticket.answer(Err(error));
    }

    /// Fails the jobs of a source that has failed, those that have all they need of it excepted.
    pub(crate) fn fail_source(&mut self, session: &SessionId, error: &EngineError) {
        self.fail_those(|job| job.session == *session && !matches!(job.edit, EditState::Done(..)), error);
    }

    /// Fails the edits that read the attention which a source's edits share, and which cannot be had.
    pub(crate) fn fail_edits(&mut self, session: &SessionId, error: &EngineError) {
        let reads = |job: &Job| {
            let is_open = matches!(job.edit, EditState::Waiting | EditState::Running(_));
            job.session == *session && is_open && job.passing.is_none()
        };
        self.fail_those(reads, error);
        self.sources.get_mut(session).into_iter().for_each(|active| active.replay = None);
    }

    fn fail_those(&mut self, is_meant: impl Fn(&Job) -> bool, error: &EngineError) {
        for job in std::mem::take(&mut self.jobs) {
            if is_meant(&job) {
                self.fail(job, error.clone());
            } else {
                self.jobs.push(job);
            }
        }
        self.retire_sources();
    }

    /// Makes the previews that are due after a pass.
    pub(crate) fn preview(&mut self, stepped: &[RunKey]) -> Result<(), Failure> {
        let mut due: BTreeMap<CompatibilityKey, Vec<(usize, usize, Tensor)>> = BTreeMap::new();
        for (at, job) in self.jobs.iter().enumerate() {
            let key = job.shown_run(self.sources.get(&job.session)).filter(|key| stepped.contains(key));
            let Some(run) = key.and_then(|key| self.runs.get(key)) else {
                continue;
            };
            if job.preview_steps.contains(&run.step()) {
                let predicted = guarded(&*self.model, || run.predicted());
                if let Ok(Some(latents)) = predicted {
                    due.entry(CompatibilityKey::of(run)).or_default().push((at, run.step(), latents));
                }
            }
        }
        for (key, wanted) in due {
            let latents: Vec<Tensor> = wanted.iter().map(|(_, _, latents)| latents.clone()).collect();
            let model = &*self.model;
            let (images, took) = self.clock.count(WorkerPart::Decode, || decode(model, key, &latents));
            self.estimate.decoded(key, latents.len(), took);
            for ((at, step, _), image) in wanted.into_iter().zip(images?) {
                // A preview that cannot be made is none; the image itself will tell.
                if let (Ok(image), Some(job)) = (image, self.jobs.get_mut(at)) {
                    job.previews.push(Preview { step, image });
                }
            }
        }
        Ok(())
    }

    /// Tells everybody where they stand.
    pub(crate) fn publish(&mut self) {
        for job in &self.jobs {
            let run = job.shown_run(self.sources.get(&job.session)).and_then(|key| self.runs.get(key));
            let steps = job.ticket.work.source().steps;
            let step = run.map_or(0, Run::step);
            job.ticket.progress.send_if_modified(|progress| {
                let is_new = progress.stage != Stage::Running
                    || progress.step != step && run.is_some()
                    || progress.previews.len() != job.previews.len();
                if is_new {
                    let step = step.max(progress.step);
                    *progress = Progress { stage: Stage::Running, step, steps, previews: job.previews.clone() };
                }
                is_new
            });
        }
        self.metrics().running_jobs.set(i64::try_from(self.jobs.len()).unwrap_or(i64::MAX));
        self.metrics().running_rows.set(i64::try_from(self.runs.rows()).unwrap_or(i64::MAX));
        let starts = self.start_times();
        let (first, last) = (starts.first().copied().unwrap_or_default(), starts.last().copied().unwrap_or_default());
        self.shared.set_starts(first, last);
        for ((position, queued), wait) in self.queue.iter().enumerate().zip(starts) {
            let stage = Stage::Queued { position, estimated_wait: wait };
            let progress = &queued.ticket.progress;
            progress.send_if_modified(|progress| std::mem::replace(&mut progress.stage, stage) != stage);
        }
    }

    /// When each job that waits is likely to start, and last the one that comes next.
    fn start_times(&self) -> Vec<Duration> {
        let load = |rows: usize, steps: usize, key| Load {
            rows,
            steps,
            row: self.estimate.row(key),
            end: self.estimate.decode(key),
        };
        let runs = self.runs.iter().filter(|run| run.steps_left() > 0);
        let runs = runs.map(|run| load(run.rows(), run.steps_left(), CompatibilityKey::of(run)));
        let begins = self.jobs.iter().filter(|job| matches!(job.edit, EditState::Waiting));
        let begins = begins.map(|job| job.ticket.work.source());
        let begins = begins.map(|source| load(guidance_of(source).rows().len(), source.steps, self.key_of(source)));
        let queue = self.queue.iter().map(|queued| {
            let source = queued.ticket.work.source();
            load(queued.rows, source.steps, self.key_of(source))
        });
        let next = self.runs.iter().next().map(|run| load(GuidanceMode::MAX_ROWS, 1, CompatibilityKey::of(run)));
        start_times(runs.chain(begins).collect(), queue.chain(next), self.max_batch_rows)
    }
}
