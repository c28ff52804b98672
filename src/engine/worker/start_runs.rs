//! Beginning runs: of sources that are wanted, of edits whose source has begun, and replays of what is missing of a
//! recording. A run that cannot begin fails its jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use crate::engine::job::{EngineError, PreparedEdit};
use crate::engine::metrics::WorkerPart;
use crate::engine::runs::forward::Failure;
use crate::engine::runs::set::RunKey;
use crate::engine::runs::{EditRun, ReplayRun, Run, Sampling, SourceRun, needs_of};
use crate::engine::state::{Attention, Begun, EditBegan, OpenLog, Readable, RunningJob, SourceState};
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;
use crate::engine::worker::encode::Encoded;
use crate::recordings::budget::Reservation;
use crate::recordings::{AttentionLog, Coverage, Place, Source, Substance, Tier, Trajectory};

impl Worker<'_> {
    /// Begins the runs that can begin. Returns whether there was anything to begin. The error is a failure of the
    /// device.
    pub(super) fn begin_runs(&mut self) -> Result<bool, Failure> {
        let prompts = self.prompts_to_encode();
        if prompts.is_empty() {
            return Ok(false);
        }
        let Self { context, sources, .. } = self;
        let began = Instant::now();
        let encoded = context.encode(prompts)?;
        let took = began.elapsed();
        context.busy_time.split(WorkerPart::Encode, took);
        for active in sources.iter_mut() {
            if let Err(error) = context.begin_source(active.state_mut(), &encoded) {
                context.fail_all(active.fail(), &error);
            }
        }
        for active in sources.iter_mut() {
            let (source, jobs) = active.parts_mut();
            for mut job in std::mem::take(jobs) {
                match context.begin_edit(source, &mut job, &encoded, took) {
                    Ok(()) => jobs.push(job),
                    Err(error) => context.fail(job, error),
                }
            }
        }
        self.drop_unused_sources();
        Ok(true)
    }
}

impl Context<'_> {
    /// Opens a source's log if it is planned, and begins the source's run if it is wanted.
    fn begin_source(&mut self, source: &mut SourceState, encoded: &Encoded) -> Result<(), EngineError> {
        if !source.needs_prompts() {
            return Ok(());
        }
        let contexts = self.source_conditionings(encoded, &source.source)?;
        if source.opens_log() {
            let (layout, steps, device) = (&source.layout, source.source.steps, self.model.device());
            let opened = source.log.open(|place, planned, reservation| {
                let device = if place == Place::Device { device.clone() } else { Device::Cpu };
                let (layout, contexts) = (Arc::clone(layout), Arc::clone(&contexts));
                Arc::new(AttentionLog::kept(layout, contexts, planned, steps, (device, reservation)))
            });
            if let (Some(open), true) = (opened, source.trajectory.completed().is_some()) {
                source.pins.log = self.recordings().attach_attention(&source.id, open.place(), open.log());
            }
        }
        let SourceState { source, layout, trajectory, log, .. } = source;
        trajectory.begin(|reservation| {
            let sampling = self.sampling(source)?;
            let latents = self.initial_latents(source, &sampling)?;
            let trajectory = Arc::new(Trajectory::new(Arc::clone(layout), latents, source.steps, reservation));
            let records = log.opened_mut().map(|open| (Arc::clone(open.log()), open.schedule_planned()));
            let run = SourceRun::new(&sampling, Arc::clone(&trajectory), contexts, records);
            Ok((self.runs.add(Run::Source(run)), trajectory))
        })
    }

    /// Begins a job's edit if it waits and its source has begun.
    fn begin_edit(
        &mut self,
        source: &mut SourceState,
        job: &mut RunningJob,
        encoded: &Encoded,
        encode: Duration,
    ) -> Result<(), EngineError> {
        let keeps_maps = job.ticket().options.attention;
        let Some((mut source, shared)) = source.readable() else {
            return Ok(());
        };
        let id = source.id.clone();
        let began = job.begin_edit(shared, encode, |edit, attention| {
            let target = self.conditioning(encoded, &edit.conditioning_key())?;
            let sampling = self.sampling(source.source)?;
            let (log, own_replay, lowest_tier) = match attention {
                Attention::Shared(open) => {
                    let needs = needs_of(&edit.plan, source.layout);
                    let lowest_tier = self.feed(&mut source, open, &needs)?;
                    (Arc::clone(open.log()), None, lowest_tier)
                }
                Attention::Own(reservation) => {
                    let (log, replay) = self.open_own_log(&source, &edit, encoded, reservation)?;
                    (log, Some(replay), Tier::Trajectory)
                }
            };
            let trajectory = Arc::clone(source.trajectory);
            let run = EditRun::new(&*self.model, &sampling, trajectory, log, target, edit.plan, keeps_maps);
            Ok(Begun { run: self.runs.add(Run::Edit(run)), own_replay, lowest_tier })
        })?;
        if let EditBegan::Yes { hit } = began {
            self.recordings().used_by_job(&id, hit);
        }
        Ok(())
    }

    /// A log of a few steps for one edit, and the replay that fills it.
    fn open_own_log(
        &mut self,
        source: &Readable<'_>,
        edit: &PreparedEdit,
        encoded: &Encoded,
        reservation: Reservation,
    ) -> Result<(Arc<AttentionLog>, RunKey), EngineError> {
        let contexts = self.source_conditionings(encoded, source.source)?;
        let (layout, steps) = (Arc::clone(source.layout), source.source.steps);
        let log = Arc::new(AttentionLog::streamed(layout, contexts, steps, (Device::Cpu, reservation)));
        let replay = self.add_replay(source, &log, needs_of(&edit.plan, source.layout))?;
        Ok((log, replay))
    }

    /// Has what an edit needs written into the shared log: what the store has is read, the rest is replayed. Returns
    /// the lowest tier that this takes.
    fn feed(&mut self, source: &mut Readable<'_>, open: &mut OpenLog, needs: &Coverage) -> Result<Tier, EngineError> {
        let recordings = self.recordings();
        let mut lowest_tier = Tier::of(Substance::Attention, open.place());
        let missing = open.schedule(needs);
        let read = recordings.read_attention(source.id, open.log(), &missing);
        if !read.is_empty() {
            lowest_tier = Tier::Disk;
        }
        let recomputed = missing.minus(&read);
        if lowest_tier == Tier::Disk {
            recordings.metrics().promotions.with(Tier::Disk).inc();
        }
        if !recomputed.is_empty() {
            self.replay(source, open.log(), &recomputed)?;
            lowest_tier = Tier::Trajectory;
        }
        Ok(lowest_tier)
    }

    /// Replays steps of a source for the shared log, with the replay in progress if there is one.
    pub(super) fn replay(
        &mut self,
        source: &mut Readable<'_>,
        log: &Arc<AttentionLog>,
        missing: &Coverage,
    ) -> Result<(), EngineError> {
        if let Some(Run::Replay(run)) = source.replay.and_then(|key| self.runs.get_mut(key)) {
            run.want(missing);
            return Ok(());
        }
        *source.replay = Some(self.add_replay(source, log, missing.clone())?);
        Ok(())
    }

    fn add_replay(
        &mut self,
        source: &Readable<'_>,
        log: &Arc<AttentionLog>,
        missing: Coverage,
    ) -> Result<RunKey, EngineError> {
        let sampling = self.sampling(source.source)?;
        let run = ReplayRun::new(&sampling, Arc::clone(source.trajectory), Arc::clone(log), missing);
        Ok(self.runs.add(Run::Replay(run)))
    }

    /// How a source and its edits are sampled.
    pub(super) fn sampling(&self, source: &Source) -> Result<Sampling, EngineError> {
        self.try_for_job(|| Sampling::of(self.model.info(), source))
    }

    /// The latents that a source begins with, `[1, channels, h, w]`.
    pub(super) fn initial_latents(&self, source: &Source, sampling: &Sampling) -> Result<Tensor, EngineError> {
        self.try_for_job(|| {
            let noise = self.model.noise(source.seed(), source.height, source.width)?;
            Ok(sampling.sampler.initial_latents(noise)?)
        })
    }
}
