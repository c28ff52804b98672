//! Starting jobs in the order of their arrival, while their rows and their recordings fit.
//!
//! Everything that a job will hold is reserved here, before anything else is done for it: the source's trajectory, and
//! the attention that its edit reads. A job that finds no room waits at the head of the queue until others give it back;
//! one whose source is larger than the whole budget gets a log of a few steps that passes along with it.

use std::sync::Arc;

use crate::engine::batch::CompatibilityKey;
use crate::engine::job::JobEnd;
use crate::engine::job::{EngineError, RecordingUse, Ticket, Work};
use crate::engine::runs::{ROWS_PER_REPLAY, guidance_of, needs_of, recording_layout};
use crate::engine::state::{ActiveSource, EditState, Job, NotStarted, Passing, SharedLog, TrajectoryState, Written};
use crate::engine::worker::{Queued, Worker};
use crate::recordings::Tier;
use crate::recordings::attention_log::PASSING_STEPS;
use crate::recordings::budget::Reservation;
use crate::recordings::disk::Part;
use crate::recordings::store::Known;
use crate::recordings::{Coverage, SessionId, Source, StepSet, codec};

/// Why something is not reserved.
enum NoRoom {
    /// Others hold it.
    Now,
    /// It is more than there is.
    Ever { bytes: u64, budget: u64 },
}

impl Worker<'_> {
    /// Starts jobs while they fit. Whether any was started or refused.
    pub(crate) fn start_jobs(&mut self) -> bool {
        let mut changed = false;
        while self.jobs.len() < self.max_jobs
            && let Some(queued) = self.queue.pop_front()
        {
            let (rows, more) = (self.rows_running(), self.rows_of(&queued.ticket.work, &queued.session));
            if rows > 0 && more > 0 && rows + more > self.max_batch_rows {
                self.queue.push_front(queued);
                break;
            }
            let (session, rows) = (queued.session.clone(), queued.rows);
            match self.start(queued.ticket, queued.session) {
                Ok(()) => changed = true,
                Err(NotStarted::NoRoom(ticket)) => {
                    self.queue.push_front(Queued { ticket: *ticket, session, rows });
                    break;
                }
                Err(NotStarted::Failed(ticket, error)) => {
                    tracing::warn!(parent: ticket.trace.job(), %error, "a job could not be started");
                    self.metrics().jobs.of(JobEnd::Failed).inc();
                    ticket.answer(Err(error));
                    changed = true;
                }
            }
            // A source that was opened for a job that did not start must hold no memory that the next one needs.
            self.retire_sources();
        }
        changed
    }

    /// Rows of the runs in progress, and of those that are about to begin.
    fn rows_running(&self) -> usize {
        let edits = self.jobs.iter().filter(|job| matches!(job.edit, EditState::Waiting));
        let sources = self.sources.values().filter(|active| matches!(active.trajectory, TrajectoryState::Wanted));
        let begins = edits.map(|job| job.ticket.work.source()).chain(sources.map(|active| &active.source));
        self.runs.rows() + begins.map(|source| guidance_of(source).rows().len()).sum::<usize>()
    }

    /// Rows that a job would add to those that run.
    pub(crate) fn rows_of(&self, work: &Work, session: &SessionId) -> usize {
        let active = self.sources.get(session);
        let known = if active.is_none() { self.store().find(session) } else { None };
        let runs_source = active.is_none()
            && known
                .as_ref()
                .is_none_or(|known| known.trajectory.is_none() && !known.parts.contains(&Part::Trajectory));
        let rows_of_run = guidance_of(work.source()).rows().len();
        let Work::Edit { edit, .. } = work else {
            return usize::from(runs_source) * rows_of_run;
        };
        if edit.plan.is_identity() {
            return usize::from(runs_source) * rows_of_run;
        }
        let mut there = match (active.map(|active| &active.log), &known) {
            (Some(SharedLog::Open { coming, .. }), _) => coming.clone(),
            (Some(SharedLog::Reserved { promised, .. }), _) => promised.clone(),
            (_, Some(Known { attention: Some((_, log)), .. })) => log.present(),
            _ => Coverage::none(work.source().steps),
        };
        known.iter().flat_map(|known| &known.parts).for_each(|part| codec::insert(&mut there, *part));
        let replays = !runs_source && !self.needs(work).minus(&there).is_empty();
        (1 + usize::from(runs_source)) * rows_of_run + usize::from(replays) * ROWS_PER_REPLAY
    }

    /// What a job reads of its source's attention; for a recording, what edits without windows of their own will read.
    pub(crate) fn needs(&self, work: &Work) -> Coverage {
        match work {
            Work::Edit { edit, .. } => needs_of(&edit.plan),
            Work::Record { source } => {
                let presets = self.shared.model.get().map(|model| &model.presets).into_iter();
                let windows = presets.flat_map(|presets| presets.steps(source.steps)).map(|(cross, own)| Coverage {
                    cross: StepSet::range(source.steps, cross),
                    self_attention: StepSet::range(source.steps, own),
                });
                windows.fold(Coverage::none(source.steps), |all, window| all.union(&window))
            }
        }
    }

    fn start(&mut self, ticket: Ticket, session: SessionId) -> Result<(), NotStarted> {
        let is_new = !self.sources.contains_key(&session);
        if is_new {
            let source = Arc::clone(ticket.work.source());
            match self.find_source(&session, &source) {
                Ok(active) => drop(self.sources.insert(session.clone(), active)),
                Err(no_room) => return Err(self.not_started(ticket, &no_room)),
            }
        }
        let (edit, passing) = match &ticket.work {
            Work::Record { .. } => {
                // Attention is recorded on the way where there is room for it; the source is what was asked for.
                if self.is_to_be_run(&session) {
                    let needs = self.needs(&ticket.work);
                    let _ = self.reserve_kept(&session, &needs);
                }
                (EditState::None, None)
            }
            Work::Edit { edit, .. } if edit.plan.is_identity() => (EditState::SameAsSource, None),
            Work::Edit { .. } => {
                let needs = self.needs(&ticket.work);
                match self.reserve_attention(&session, &needs) {
                    Ok(passing) => (EditState::Waiting, passing),
                    Err(no_room) => return Err(self.not_started(ticket, &no_room)),
                }
            }
        };
        let recording_use = if is_new { self.open_source(&session) } else { RecordingUse::Hit };
        if !is_new && !self.store().is_known(&session) {
            self.remember(&session);
        }
        if !matches!(edit, EditState::Waiting) {
            self.count_use(&session, recording_use);
        }
        let mut job = Job::new(ticket, session, recording_use, edit);
        job.passing = passing;
        self.metrics().queue_seconds.observe(job.started.duration_since(job.ticket.submitted).as_secs_f64());
        self.metrics().running_jobs.inc();
        // The place in the queue is free for the next one.
        job.ticket.release_slot();
        self.jobs.push(job);
        Ok(())
    }

    /// A source that was forgotten while jobs were at work on it, and is asked for again, is a session again.
    fn remember(&mut self, session: &SessionId) {
        let Some(active) = self.sources.get_mut(session) else {
            return;
        };
        // Its files are gone with the session that it was.
        active.written = Written { trajectory: false, attention: Coverage::none(active.source.steps) };
        let source = Arc::clone(&active.source);
        self.store().begin(session, &source);
        self.keep(session);
    }

    /// Hands what there is of a complete source over to its session; whether it was not forgotten.
    pub(crate) fn keep(&self, session: &SessionId) -> bool {
        let active = self.sources.get(session);
        let Some((active, trajectory)) = active.and_then(|active| Some((active, active.ready()?))) else {
            return false;
        };
        let is_kept = self.store().complete(session, trajectory);
        if let (true, SharedLog::Open { tier, log, .. }) = (is_kept, &active.log) {
            self.store().attach_attention(session, *tier, log);
        }
        is_kept
    }

    /// Counts the use of a source whose attention is not read.
    fn count_use(&self, session: &SessionId, recording_use: RecordingUse) {
        let Some(active) = self.sources.get(session) else {
            return;
        };
        let is_read = matches!(active.trajectory, TrajectoryState::Reading);
        let found = if is_read { Tier::Disk } else { Tier::Trajectory };
        let hit = (recording_use == RecordingUse::Hit).then_some(found);
        self.store().used_by_job(session, hit);
    }

    /// A job without room waits, unless there never will be any.
    fn not_started(&self, ticket: Ticket, no_room: &NoRoom) -> NotStarted {
        match *no_room {
            NoRoom::Now => NotStarted::NoRoom(Box::new(ticket)),
            NoRoom::Ever { bytes, budget } => {
                NotStarted::Failed(Box::new(ticket), EngineError::SourceTooLarge { bytes, budget })
            }
        }
    }

    /// A source as it is found, with room for its trajectory; nothing is done for it yet.
    fn find_source(&mut self, session: &SessionId, source: &Arc<Source>) -> Result<ActiveSource, NoRoom> {
        let layout = Arc::new(recording_layout(&*self.model, source.height, source.width));
        let known = self.store().find(session);
        let parts = known.as_ref().map_or(&[][..], |known| &known.parts);
        let in_file = parts.contains(&Part::Trajectory);
        let mut written = Written { trajectory: in_file, attention: Coverage::none(source.steps) };
        parts.iter().for_each(|part| codec::insert(&mut written.attention, *part));
        let attention = known.as_ref().and_then(|known| known.attention.clone());
        let (trajectory, reserved, log) = match known.and_then(|known| known.trajectory) {
            Some(trajectory) => {
                let log = attention.map_or(SharedLog::None, |(tier, log)| {
                    let coming = log.present();
                    // What was written and pushed out of its files since is not written again and again.
                    written = Written { trajectory: true, attention: coming.clone() };
                    SharedLog::Open { tier, log, coming }
                });
                (TrajectoryState::Ready(trajectory), None, log)
            }
            None => {
                let reserved = self.reserve(Tier::Trajectory, layout.trajectory_bytes(source.steps))?;
                // Attention is of use only with the trajectory that it belongs to.
                (TrajectoryState::Found { in_file }, Some(reserved), SharedLog::None)
            }
        };
        let source = Arc::clone(source);
        Ok(ActiveSource { source, layout, trajectory, written, reserved, log, replay: None })
    }

    /// Begins to have a source, once there is room for all that its job holds: it is read, or run.
    fn open_source(&mut self, session: &SessionId) -> RecordingUse {
        self.promote(session);
        let Some(active) = self.sources.get(session) else {
            return RecordingUse::Hit;
        };
        let (state, found) = match active.trajectory {
            TrajectoryState::Found { in_file: true } if self.store().read_part(session, Part::Trajectory, None) => {
                (TrajectoryState::Reading, RecordingUse::Hit)
            }
            TrajectoryState::Found { .. } => {
                let was_recorded = self.store().begin(session, &active.source);
                let found = if was_recorded { RecordingUse::Replayed } else { RecordingUse::Created };
                (TrajectoryState::Wanted, found)
            }
            _ => return RecordingUse::Hit,
        };
        if let Some(active) = self.sources.get_mut(session) {
            active.trajectory = state;
        }
        found
    }

    /// Whether a source that was found is neither in memory nor in a file.
    fn is_to_be_run(&self, session: &SessionId) -> bool {
        let state = self.sources.get(session).map(|active| &active.trajectory);
        matches!(state, Some(TrajectoryState::Found { in_file: false }))
    }

    /// A recording in memory is brought to the device where the device has room for it.
    fn promote(&mut self, session: &SessionId) {
        let device = self.model.device().clone();
        let Some(ActiveSource { log: SharedLog::Open { tier: Tier::Memory, log, .. }, .. }) = self.sources.get(session)
        else {
            return;
        };
        let log = Arc::clone(log);
        if self.store().limit(Tier::Device) < log.bytes() {
            return;
        }
        let Some(reservation) = self.store().reserve(Tier::Device, log.bytes()) else {
            return;
        };
        match log.moved_to(&device, reservation) {
            Ok(moved) => {
                self.store().metrics().promotions.of(Tier::Memory).inc();
                let moved = Arc::new(moved);
                self.store().attach_attention(session, Tier::Device, &moved);
                if let Some(SharedLog::Open { tier, log, .. }) = self.sources.get_mut(session).map(|a| &mut a.log) {
                    (*tier, *log) = (Tier::Device, moved);
                }
            }
            Err(error) => tracing::warn!(%error, %session, "a recording could not be copied to the device"),
        }
    }

    /// Room in a tier. Where there will be some when others have ended, the caller waits.
    fn reserve(&self, tier: Tier, bytes: u64) -> Result<Reservation, NoRoom> {
        let budget = self.store().limit(tier);
        match self.store().reserve(tier, bytes) {
            Some(reservation) => Ok(reservation),
            None if bytes > budget => Err(NoRoom::Ever { bytes, budget }),
            None => Err(NoRoom::Now),
        }
    }

    /// Room for the attention that an edit reads: in the log that all edits share, or in one of its own.
    fn reserve_attention(&mut self, session: &SessionId, needs: &Coverage) -> Result<Option<Passing>, NoRoom> {
        let no_room = match self.reserve_kept(session, needs) {
            Ok(()) => return Ok(None),
            Err(NoRoom::Now) => return Err(NoRoom::Now),
            Err(no_room) => no_room,
        };
        let Some(active) = self.sources.get(session) else {
            return Err(no_room);
        };
        let bytes = active.layout.context_bytes() + active.layout.bytes(&Coverage::first(PASSING_STEPS));
        let room = match self.reserve(Tier::Memory, bytes) {
            Err(NoRoom::Now) if !self.jobs.iter().any(|job| job.session == *session) => {
                // What is kept of this very source may be what stands in the way.
                self.store().detach_attention(session);
                if let Some(active) = self.sources.get_mut(session) {
                    active.log = SharedLog::None;
                }
                self.reserve(Tier::Memory, bytes)
            }
            room => room,
        };
        room.map(|reservation| Some(Passing::Reserved(reservation)))
    }

    /// Room in the log that all edits of a source share, for what is not promised yet.
    fn reserve_kept(&mut self, session: &SessionId, needs: &Coverage) -> Result<(), NoRoom> {
        let Some(active) = self.sources.get(session) else {
            return Ok(());
        };
        let (held, more, at) = match &active.log {
            SharedLog::None => (0, needs.clone(), None),
            SharedLog::Reserved { tier, reservation, promised } => {
                (reservation.bytes(), needs.minus(promised), Some(*tier))
            }
            SharedLog::Open { tier, log, .. } => (log.bytes(), needs.minus(&log.promised()), Some(*tier)),
        };
        if at.is_some() && more.is_empty() {
            return Ok(());
        }
        let prompts = if at.is_none() { active.layout.context_bytes() } else { 0 };
        let bytes = active.layout.bytes(&more) + prompts;
        let tiers: &[Tier] = at.as_ref().map_or(&[Tier::Device, Tier::Memory], std::slice::from_ref);
        let mut no_room = NoRoom::Ever { bytes, budget: 0 };
        for &tier in tiers {
            if held + bytes > self.store().limit(tier) {
                if !matches!(no_room, NoRoom::Now) {
                    no_room = NoRoom::Ever { bytes: held + bytes, budget: self.store().limit(tier) };
                }
                continue;
            }
            match self.reserve(tier, bytes) {
                Ok(reservation) => {
                    self.promise(session, tier, &more, reservation);
                    return Ok(());
                }
                Err(error) => no_room = error,
            }
        }
        Err(no_room)
    }

    fn promise(&mut self, session: &SessionId, tier: Tier, more: &Coverage, new: Reservation) {
        let Some(active) = self.sources.get_mut(session) else {
            return;
        };
        match &mut active.log {
            SharedLog::Open { log, .. } => log.promise(more, new),
            SharedLog::Reserved { reservation, promised, .. } => {
                reservation.absorb(new);
                *promised = promised.union(more);
            }
            none @ SharedLog::None => *none = SharedLog::Reserved { tier, reservation: new, promised: more.clone() },
        }
    }

    /// What a source's rows share a pass with.
    pub(crate) fn key_of(&self, source: &Source) -> CompatibilityKey {
        let factor = self.model.info().vae_factor;
        CompatibilityKey { height: source.height / factor, width: source.width / factor }
    }
}
