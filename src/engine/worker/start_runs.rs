//! Bringing what jobs read to where they read it: prompts are encoded, runs begun, files read, and what is nowhere is
//! computed again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Device;

use crate::diffusion::ModelError;
use crate::diffusion::unet::TextContext;
use crate::engine::backend::Backend;
use crate::engine::job::{EngineError, PreparedEdit, RecordingUse, Work};
use crate::engine::runs::forward::{Failure, guarded};
use crate::engine::runs::set::RunKey;
use crate::engine::runs::{EditRun, ReplayRun, Run, SourceRun, needs_of};
use crate::engine::state::{ActiveSource, EditState, Job, Passing, SharedLog, TrajectoryState};
use crate::engine::worker::Worker;
use crate::engine::worker::busy_time::WorkerPart;
use crate::recordings::Tier;
use crate::recordings::budget::Reservation;
use crate::recordings::{AttentionLog, Coverage, SessionId, Source, SourceContexts, Trajectory, codec};

/// Prompts as the UNet reads them, or why one cannot be.
type Encoded = BTreeMap<String, Result<TextContext, EngineError>>;

impl Worker<'_> {
    /// Begins what can begin: sources that are wanted, and edits whose source has begun. Whether anything has changed;
    /// the error is the device's.
    pub(crate) fn begin_runs(&mut self) -> Result<bool, Failure> {
        let prompts = self.prompts_to_encode();
        if prompts.is_empty() {
            return Ok(false);
        }
        let began = Instant::now();
        let encoded = self.encode(&prompts)?;
        let took = began.elapsed();
        self.clock.split(WorkerPart::Encode, took);
        let wanted: Vec<_> = self.sources.keys().cloned().collect();
        for session in wanted {
            if let Err(error) = self.begin_source(&session, &encoded) {
                self.fail_source(&session, &error);
            }
        }
        for mut job in std::mem::take(&mut self.jobs) {
            let begins = matches!(job.edit, EditState::Waiting)
                && self.sources.get(&job.session).is_some_and(|source| source.trajectory().is_some());
            match if begins { self.begin_edit(&mut job, &encoded) } else { Ok(()) } {
                Ok(()) => {
                    job.encode += if begins { took } else { Duration::ZERO };
                    self.jobs.push(job);
                }
                Err(error) => self.fail(job, error),
            }
        }
        Ok(true)
    }

    fn prompts_to_encode(&self) -> BTreeSet<String> {
        let mut prompts = BTreeSet::new();
        for active in self.sources.values() {
            let begins = matches!(active.trajectory, TrajectoryState::Wanted);
            let opens = active.trajectory().is_some() && matches!(active.log, SharedLog::Reserved { .. });
            if begins || opens {
                prompts.extend(prompts_of(&active.source));
            }
        }
        for job in self.jobs.iter().filter(|job| matches!(job.edit, EditState::Waiting)) {
            let is_read =
                |state: &TrajectoryState| !matches!(state, TrajectoryState::Found { .. } | TrajectoryState::Reading);
            let Some(active) = self.sources.get(&job.session).filter(|active| is_read(&active.trajectory)) else {
                continue;
            };
            if let Work::Edit { edit, .. } = &job.ticket.work {
                prompts.insert(edit.prompt.clone());
            }
            if job.passing.is_some() {
                prompts.extend(prompts_of(&active.source));
            }
        }
        prompts
    }

    /// Encodes the prompts that are not known, in one pass; where that fails, one by one, so that a prompt fails alone.
    fn encode(&mut self, prompts: &BTreeSet<String>) -> Result<Encoded, Failure> {
        let known = prompts.iter().filter_map(|text| Some((text.clone(), Ok(self.prompts.find(text)?))));
        let mut encoded: Encoded = known.collect();
        let unknown: Vec<&String> = prompts.iter().filter(|text| !encoded.contains_key(*text)).collect();
        if unknown.is_empty() {
            return Ok(encoded);
        }
        let texts: Vec<&str> = unknown.iter().map(|text| text.as_str()).collect();
        if let Ok(contexts) = self.tried(|| self.model.encode_prompts(&texts))? {
            for (text, context) in unknown.into_iter().zip(contexts) {
                self.prompts.keep(text, &context);
                encoded.insert(text.clone(), Ok(context));
            }
            return Ok(encoded);
        }
        for text in unknown {
            let one = self.tried(|| self.model.encode_prompts(&[text.as_str()]))?;
            let one = one.and_then(|mut one| one.pop().ok_or_else(|| EngineError::Failed("no prompt".to_owned())));
            encoded.insert(text.clone(), one);
        }
        Ok(encoded)
    }

    /// Work of the model that may fail by itself; the outer error is the device's.
    fn tried<T>(&self, work: impl FnOnce() -> Result<T, ModelError>) -> Result<Result<T, EngineError>, Failure> {
        tried(&*self.model, work)
    }

    /// Begins a source's run where it is wanted, and opens its log where room is reserved.
    fn begin_source(&mut self, session: &SessionId, encoded: &Encoded) -> Result<(), EngineError> {
        let Some(mut active) = self.sources.remove(session) else {
            return Ok(());
        };
        let begun = self.begin_active(session, &mut active, encoded);
        self.sources.insert(session.clone(), active);
        begun
    }

    fn begin_active(
        &mut self,
        session: &SessionId,
        active: &mut ActiveSource,
        encoded: &Encoded,
    ) -> Result<(), EngineError> {
        let begins = matches!(active.trajectory, TrajectoryState::Wanted);
        let opens = matches!(active.log, SharedLog::Reserved { .. }) && (begins || active.trajectory().is_some());
        if !begins && !opens {
            return Ok(());
        }
        let source = Arc::clone(&active.source);
        let contexts = contexts(encoded, &source)?;
        if opens
            && let SharedLog::Reserved { tier, reservation, promised } =
                std::mem::replace(&mut active.log, SharedLog::None)
        {
            let (layout, steps) = (Arc::clone(&active.layout), source.steps);
            let none = Coverage::none(steps);
            let device = if tier == Tier::Device { self.model.device().clone() } else { Device::Cpu };
            let room = (device, reservation);
            let log = Arc::new(AttentionLog::kept(layout, Arc::clone(&contexts), promised, steps, room));
            if !begins && active.ready().is_some() {
                self.store().attach_attention(session, tier, &log);
            }
            active.log = SharedLog::Open { tier, log, coming: none };
        }
        if !begins {
            return Ok(());
        }
        let noise = self.tried_here(|| Ok(self.model.noise(source.seed(), source.height, source.width)?))?;
        let Some(reservation) = active.reserved.take() else {
            return Err(EngineError::Failed("no room was reserved for the source".to_owned()));
        };
        let trajectory = Arc::new(Trajectory::new(Arc::clone(&active.layout), noise, source.steps, reservation));
        let records = match &mut active.log {
            SharedLog::Open { log, coming, .. } => {
                *coming = coming.union(&log.promised());
                Some((Arc::clone(log), log.promised()))
            }
            _ => None,
        };
        let run = self.tried_here(|| {
            SourceRun::new(&*self.model, source.guidance_scale, Arc::clone(&trajectory), contexts, records)
        })?;
        active.trajectory = TrajectoryState::Running(self.runs.add(Run::Source(run)), trajectory);
        Ok(())
    }

    /// As [`Self::tried`], where the device's failure shows again at the next pass.
    pub(crate) fn tried_here<T>(&self, work: impl FnOnce() -> Result<T, ModelError>) -> Result<T, EngineError> {
        self.tried(work).unwrap_or_else(|failure| Err(EngineError::Failed(failure.to_string())))
    }

    /// Begins a job's edit: its log is fed with what is missing.
    fn begin_edit(&mut self, job: &mut Job, encoded: &Encoded) -> Result<(), EngineError> {
        let Work::Edit { source, edit } = job.ticket.work.clone() else {
            return Ok(());
        };
        let target = context(encoded, &edit.prompt)?;
        let log = match job.passing.take() {
            Some(Passing::Reserved(reservation)) => {
                let (log, replay) = self.open_passing(&job.session, &edit, encoded, reservation)?;
                job.passing = Some(Passing::Open(replay));
                job.recording_use = replayed(job.recording_use);
                self.store().used_by_job(&job.session, None);
                log
            }
            _ => {
                let (log, found) = self.feed(&job.session, &needs_of(&edit.plan))?;
                if found == Tier::Trajectory {
                    job.recording_use = replayed(job.recording_use);
                }
                let hit = (job.recording_use == RecordingUse::Hit).then_some(found);
                self.store().used_by_job(&job.session, hit);
                log
            }
        };
        let Some(trajectory) = self.sources.get(&job.session).and_then(|active| active.trajectory()).cloned() else {
            return Err(EngineError::Failed("the source is gone".to_owned()));
        };
        let (plan, keeps_maps) = (Arc::clone(&edit.plan), job.ticket.options.attention);
        let run = self.tried_here(|| {
            EditRun::new(&*self.model, source.guidance_scale, trajectory, log, target, plan, keeps_maps)
        })?;
        job.edit = EditState::Running(self.runs.add(Run::Edit(run)));
        Ok(())
    }

    /// A log of a few steps for one edit, and the replay that fills it.
    fn open_passing(
        &mut self,
        session: &SessionId,
        edit: &PreparedEdit,
        encoded: &Encoded,
        reservation: Reservation,
    ) -> Result<(Arc<AttentionLog>, RunKey), EngineError> {
        let Some(active) = self.sources.get(session) else {
            return Err(EngineError::Failed("the source is gone".to_owned()));
        };
        let contexts = contexts(encoded, &active.source)?;
        let (layout, steps) = (Arc::clone(&active.layout), active.source.steps);
        let log = Arc::new(AttentionLog::passing(layout, contexts, steps, (Device::Cpu, reservation)));
        let replay = self.new_replay(session, &log, needs_of(&edit.plan))?;
        Ok((log, replay))
    }

    /// Sees to it that all of `needs` comes into the log that a source's edits share. The log, and the lowest tier that
    /// was needed for it.
    fn feed(&mut self, session: &SessionId, needs: &Coverage) -> Result<(Arc<AttentionLog>, Tier), EngineError> {
        let mut on_disk = self.store().find(session).map(|known| known.parts).unwrap_or_default();
        // The first step first: an edit begins as soon as that is there.
        on_disk.sort_by_key(|part| codec::step_of(*part));
        let Some(active) = self.sources.get_mut(session) else {
            return Err(EngineError::Failed("the source is gone".to_owned()));
        };
        let SharedLog::Open { tier, log, coming } = &mut active.log else {
            return Err(EngineError::Failed("the source has no log".to_owned()));
        };
        let (log, mut found) = (Arc::clone(log), *tier);
        let missing = needs.minus(coming);
        *coming = coming.union(&missing);
        let mut replayed = missing.clone();
        for part in on_disk {
            if codec::contains(&missing, part) && self.store().read_part(session, part, Some(&log)) {
                codec::remove(&mut replayed, part);
                found = Tier::Disk;
            }
        }
        if found == Tier::Disk {
            self.store().metrics().promotions.of(Tier::Disk).inc();
        }
        if !replayed.is_empty() {
            self.replay(session, &replayed)?;
            found = Tier::Trajectory;
        }
        Ok((log, found))
    }

    /// Computes steps of a source's attention again, for the log that its edits share.
    pub(crate) fn replay(&mut self, session: &SessionId, missing: &Coverage) -> Result<(), EngineError> {
        let Some(active) = self.sources.get(session) else {
            return Ok(());
        };
        if let Some(Run::Replay(run)) = active.replay.and_then(|key| self.runs.get_mut(key)) {
            run.want(missing);
            return Ok(());
        }
        let SharedLog::Open { log, .. } = &active.log else {
            return Ok(());
        };
        let log = Arc::clone(log);
        let key = self.new_replay(session, &log, missing.clone())?;
        if let Some(active) = self.sources.get_mut(session) {
            active.replay = Some(key);
        }
        Ok(())
    }

    fn new_replay(
        &mut self,
        session: &SessionId,
        log: &Arc<AttentionLog>,
        missing: Coverage,
    ) -> Result<RunKey, EngineError> {
        let trajectory = self.sources.get(session).and_then(|active| active.trajectory()).cloned();
        let trajectory = trajectory.ok_or_else(|| EngineError::Failed("the source is gone".to_owned()))?;
        let run = self.tried_here(|| ReplayRun::new(&*self.model, trajectory, Arc::clone(log), missing))?;
        Ok(self.runs.add(Run::Replay(run)))
    }
}

/// Work of the model that may fail by itself; the outer error is the device's.
pub(crate) fn tried<T>(
    model: &dyn Backend,
    work: impl FnOnce() -> Result<T, ModelError>,
) -> Result<Result<T, EngineError>, Failure> {
    let flat = || match work() {
        Ok(done) => Ok(Ok(done)),
        Err(ModelError::Tensor(error)) => Err(error),
        Err(error) => Ok(Err(EngineError::Failed(error.to_string()))),
    };
    match guarded(model, flat) {
        Ok(result) => Ok(result),
        Err(failure @ Failure::Device(_)) => Err(failure),
        Err(failure) => Ok(Err(EngineError::Failed(failure.to_string()))),
    }
}

fn prompts_of(source: &Source) -> [String; 2] {
    [source.prompt.clone(), source.negative_prompt.clone()]
}

/// Both prompts of a source.
fn contexts(encoded: &Encoded, source: &Source) -> Result<Arc<SourceContexts>, EngineError> {
    Ok(Arc::new(SourceContexts {
        conditional: context(encoded, &source.prompt)?,
        unconditional: context(encoded, &source.negative_prompt)?,
    }))
}

fn context(encoded: &Encoded, prompt: &str) -> Result<TextContext, EngineError> {
    encoded.get(prompt).cloned().unwrap_or_else(|| Err(EngineError::Failed("a prompt was not encoded".to_owned())))
}

/// How a job found its source, once something had to be computed again for it.
pub(crate) fn replayed(found: RecordingUse) -> RecordingUse {
    if found == RecordingUse::Hit { RecordingUse::Replayed } else { found }
}
