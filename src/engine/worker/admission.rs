//! Starting jobs in the order of their arrival, while their rows and their recordings fit.
//!
//! A job for which there is no room waits at the front of the queue until others release theirs; one whose source is
//! larger than the whole budget gets a log of a few steps of its own (see `room`).

use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::engine::job::{EngineError, JobEnd, PreparedSource, RecordingUse, Ticket, Work};
use crate::engine::runs::{ROWS_PER_REPLAY, guidance_of};
use crate::engine::state::{
    ActiveSource, EditState, Job, Opened, Pins, SharedLog, SourceState, Stored, TrajectoryState,
};
use crate::engine::worker::context::Context;
use crate::engine::worker::room::NoRoom;
use crate::engine::worker::{Queued, Worker};
use crate::recordings::{Coverage, Lookup, Place, Recording, SessionId, Tier};

/// Why a job does not start.
enum NotStarted {
    /// There is no room for it now.
    NoRoom(Box<Queued>),
    /// There never will be.
    Failed(Box<Ticket>, EngineError),
}

impl Worker<'_> {
    /// Starts jobs while they fit. Whether any was started or refused.
    pub(super) fn start_jobs(&mut self) -> bool {
        let mut changed = false;
        while self.sources.jobs().count() < self.max_jobs
            && let Some(queued) = self.queue.pop()
        {
            let (rows, more) = (self.rows_running(), self.rows_of(&queued.ticket.work, &queued.session));
            if rows > 0 && more > 0 && rows + more > self.max_batch_rows {
                self.queue.put_back(queued);
                break;
            }
            match self.start(queued) {
                Ok(()) => changed = true,
                Err(NotStarted::NoRoom(queued)) => {
                    self.queue.put_back(*queued);
                    break;
                }
                Err(NotStarted::Failed(ticket, error)) => {
                    tracing::warn!(parent: ticket.trace.job(), %error, "a job could not be started");
                    self.context.shared.metrics.jobs.with(JobEnd::Failed).inc();
                    ticket.answer(Err(error));
                    changed = true;
                }
            }
        }
        // Now and not after the next step, which may take long: a started job has left the queue's gauge.
        self.show_running_jobs();
        changed
    }

    /// Rows of the runs in progress, and of those that are about to begin.
    fn rows_running(&self) -> usize {
        let edits = self.sources.jobs().filter(|job| job.edit().waiting_edit().is_some());
        let sources = self.sources.iter().map(ActiveSource::state).filter(|source| source.trajectory.is_wanted());
        let begins = edits.map(|job| job.ticket().work.source()).chain(sources.map(|source| &source.source));
        self.context.runs.rows() + begins.map(|source| guidance_of(source).rows().len()).sum::<usize>()
    }

    /// Rows that a job would add to those that run.
    pub(super) fn rows_of(&self, work: &Work, session: &SessionId) -> usize {
        let active = self.sources.get(session).map(ActiveSource::state);
        let known = if active.is_none() { self.context.store().find(session) } else { None };
        let runs_source = active.is_none()
            && known.as_ref().is_none_or(|known| known.trajectory.is_none() && !known.is_trajectory_stored);
        let rows_of_run = guidance_of(work.source()).rows().len();
        let reads_attention = matches!(work, Work::Edit { edit, .. } if !edit.plan.is_identity());
        if !reads_attention {
            return usize::from(runs_source) * rows_of_run;
        }
        let expected = active.and_then(|source| source.log.expected().cloned());
        let mut there = match (expected, &known) {
            (Some(expected), _) => expected,
            (None, Some(Recording { attention: Some((_, log)), .. })) => log.present(),
            _ => Coverage::none(work.source().steps),
        };
        if let Some(known) = &known {
            there = there.union(&known.stored_attention);
        }
        let needs = || match active {
            Some(active) => self.context.needs(work, &active.layout),
            None => self.context.needs(work, &self.context.layout_of(work.source())),
        };
        let replays = !runs_source && !needs().minus(&there).is_empty();
        (1 + usize::from(runs_source)) * rows_of_run + usize::from(replays) * ROWS_PER_REPLAY
    }

    fn start(&mut self, queued: Queued) -> Result<(), NotStarted> {
        let Self { context, sources, .. } = self;
        let not_started = |queued: Queued, no_room: NoRoom| match no_room.into() {
            None => NotStarted::NoRoom(Box::new(queued)),
            Some(error) => NotStarted::Failed(Box::new(queued.ticket), error),
        };
        match sources.entry(queued.session.clone()) {
            Entry::Occupied(mut entry) => {
                let active = entry.get_mut();
                let is_first = active.jobs().is_empty();
                let edit = match context.reserve_for(active.state_mut(), &queued.ticket.work, is_first) {
                    Ok(edit) => edit,
                    Err(no_room) => return Err(not_started(queued, no_room)),
                };
                let is_looked_up = active.state().trajectory.is_looking_up();
                if !is_looked_up && !context.store().is_known(&queued.session) {
                    context.restore_session(active.state_mut());
                }
                let job = context.started(active.state(), queued.ticket, RecordingUse::Hit, edit);
                active.add(job);
            }
            Entry::Vacant(entry) => {
                let found = context.find_source(&queued.session, queued.ticket.work.source()).and_then(|mut source| {
                    let edit = context.reserve_for(&mut source, &queued.ticket.work, true)?;
                    Ok((source, edit))
                });
                let (mut source, edit) = match found {
                    Ok(found) => found,
                    Err(no_room) => return Err(not_started(queued, no_room)),
                };
                let recording_use = context.open_source(&mut source);
                let job = context.started(&source, queued.ticket, recording_use, edit);
                entry.insert(ActiveSource::new(source, job));
            }
        }
        Ok(())
    }
}

impl Context<'_> {
    /// A job that starts on a source.
    fn started(&self, source: &SourceState, ticket: Ticket, recording_use: RecordingUse, edit: EditState) -> Job {
        if edit.waiting_edit().is_none() {
            // No attention is read, so that this is all there is to find.
            let found = if source.trajectory.is_reading() { Tier::Disk } else { Tier::Trajectory };
            let hit = (recording_use == RecordingUse::Hit).then_some(found);
            self.store().used_by_job(&source.id, hit);
        }
        let job = Job::new(ticket, recording_use, edit);
        self.shared.metrics.queue_seconds.observe(job.queued_for().as_secs_f64());
        job
    }

    /// The source's session was deleted while jobs were at work on it, and is asked for again: it is a session again.
    fn restore_session(&self, source: &mut SourceState) {
        self.store().begin(&source.id, &source.source);
        self.keep(source);
    }

    /// A source as it is found, with room for its trajectory; nothing is done for it yet.
    fn find_source(&self, id: &SessionId, source: &PreparedSource) -> Result<SourceState, NoRoom> {
        let layout = Arc::new(self.layout_of(source));
        let (recording, stored) = match self.store().look_up(id) {
            Lookup::Known(recording) if recording.is_trajectory_stored => (Some(recording), Stored::Yes),
            Lookup::Known(recording) => (Some(recording), Stored::No),
            Lookup::Unknown => (None, Stored::No),
            Lookup::Pending => (None, Stored::Pending),
        };
        let parts = match recording {
            Some(Recording { trajectory: Some(trajectory), attention, .. }) => {
                let log = attention.as_ref();
                let log = log.map(|(place, log)| SharedLog::recorded(*place, Arc::clone(log.shared())));
                let state = TrajectoryState::complete(Arc::clone(trajectory.shared()));
                let pins = Pins { trajectory: Some(trajectory), log: attention.map(|(_, log)| log) };
                (state, log.unwrap_or_default(), pins)
            }
            // Attention is of use only with the trajectory that it belongs to.
            _ => {
                let room = self.reserve(Tier::Trajectory, layout.trajectory_bytes(source.steps))?;
                (TrajectoryState::found(stored, room), SharedLog::default(), Pins::default())
            }
        };
        Ok(SourceState::new(id.clone(), source.clone(), layout, parts))
    }

    /// Begins to have a source, once there is room for all that its job holds: it is looked up, read, or run.
    fn open_source(&self, source: &mut SourceState) -> RecordingUse {
        self.promote(source);
        let id = &source.id;
        match source.trajectory.open(|| self.store().read_trajectory(id)) {
            Opened::Reading | Opened::Unchanged => RecordingUse::Hit,
            // Unless it is found.
            Opened::LookingUp => RecordingUse::Created,
            Opened::Wanted => match self.store().begin(id, &source.source) {
                true => RecordingUse::Replayed,
                false => RecordingUse::Created,
            },
        }
    }

    /// A recording in memory is copied to the device where the device has room for it.
    fn promote(&self, source: &mut SourceState) {
        let Some(open) = source.log.opened_mut().filter(|open| open.place() == Place::Memory) else {
            return;
        };
        let (store, log) = (self.store(), Arc::clone(open.log()));
        if store.limit(Tier::Device) < log.bytes() {
            return;
        }
        let Some(reservation) = store.reserve(Tier::Device, log.bytes()) else {
            return;
        };
        match log.moved_to(self.model.device(), reservation) {
            Ok(moved) => {
                store.metrics().promotions.with(Tier::Memory).inc();
                let moved = Arc::new(moved);
                source.pins.log = store.attach_attention(&source.id, Place::Device, &moved);
                open.move_to(Place::Device, moved);
            }
            Err(error) => {
                tracing::warn!(%error, session = %source.id, "a recording could not be copied to the device");
            }
        }
    }
}
