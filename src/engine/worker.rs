//! The worker: a loop on its own thread that owns the model and the device.
//!
//! Every turn takes in new jobs, lets go of cancelled ones, starts what fits, takes one step of the next batch of
//! runs, and answers what is done. A source that several jobs want is run once; edits follow it one step behind.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::job::{EngineError, Outcome, PreparedEdit, RecordingUse, Ticket, Timings, Work};
use super::run::{EditRun, ROWS_PER_RUN, Run, SourceRun, guarded, recording_layout};
use super::runs::{Finished, RunKey, RunSet};
use super::{EngineConfig, Shared};
use crate::diffusion::unet::NoControl;
use crate::diffusion::{Model, ModelError, ModelFiles};
use crate::media::Image;
use crate::session::store::Recorded;
use crate::session::{SessionId, Source};

/// How often an idle worker shows that it lives.
const IDLE_BEAT: Duration = Duration::from_secs(1);

/// Loads the model, then serves jobs until the channel closes.
pub(super) fn run(
    files: &ModelFiles,
    config: &EngineConfig,
    shared: &Shared,
    incoming: &Receiver<Ticket>,
    loaded: oneshot::Sender<Result<(), ModelError>>,
) {
    let model = match load(files, config) {
        Ok(model) => model,
        Err(error) => {
            let _ = loaded.send(Err(error));
            return;
        }
    };
    shared.beat();
    if shared.model.set(Arc::clone(&model.info)).is_err() {
        return;
    }
    let _ = loaded.send(Ok(()));
    let mut worker = Worker {
        model,
        shared,
        max_batch_rows: config.max_batch_rows,
        max_jobs: config.queue_limit.max(config.max_batch_rows),
        queue: VecDeque::new(),
        runs: RunSet::default(),
        jobs: Vec::new(),
    };
    while worker.take_in(incoming) {
        shared.beat();
        worker.drop_cancelled();
        worker.start_jobs();
        worker.runs.step(&worker.model, worker.max_batch_rows);
        worker.answer_finished();
    }
}

/// Loads the model and makes its smallest image's last step, so that the first job finds everything warm.
fn load(files: &ModelFiles, config: &EngineConfig) -> Result<Model, ModelError> {
    let started = Instant::now();
    let model = Model::load(files, &config.device)?;
    let side = model.info.min_side;
    let context = model.encode_prompt("")?;
    let noise = model.noise(0, side, side)?;
    let output = model.unet.forward(&noise, &[0], &[&context], &mut NoControl)?;
    model.decode(&output)?;
    let took = started.elapsed();
    tracing::info!(model = %model.info.name, fingerprint = %&model.info.fingerprint[..16], ?took, "model loaded");
    Ok(model)
}

/// A job that has started.
#[derive(Debug)]
struct Job {
    ticket: Ticket,
    session: SessionId,
    recording_use: RecordingUse,
    source: SourceState,
    edit: EditState,
    started: Instant,
    encode: Duration,
    denoised: Option<Instant>,
    decode: Duration,
}

/// The source of a job, as it was found or as it is being run.
#[derive(Debug)]
enum SourceState {
    Running(RunKey),
    Recorded(Recorded),
}

/// The edit of a job.
#[derive(Debug)]
enum EditState {
    /// Only the source is wanted.
    None,
    /// The edit is its source: nothing is run.
    SameAsSource,
    Running(RunKey),
    Done(Arc<Image>),
}

enum NotStarted {
    /// Others hold the memory that the recording takes.
    NoRoom(Box<Ticket>),
    Failed(Box<Ticket>, EngineError),
}

struct Worker<'a> {
    model: Model,
    shared: &'a Shared,
    max_batch_rows: usize,
    /// Jobs that have started at most: those that wait for a run of somebody else's add no rows, but are not free.
    max_jobs: usize,
    queue: VecDeque<Ticket>,
    runs: RunSet,
    jobs: Vec<Job>,
}

impl Worker<'_> {
    /// Takes in what has arrived, waiting for something to do; false when the channel is closed and all is done.
    fn take_in(&mut self, incoming: &Receiver<Ticket>) -> bool {
        if self.queue.is_empty() && self.jobs.is_empty() {
            match incoming.recv_timeout(IDLE_BEAT) {
                Ok(ticket) => self.queue.push_back(ticket),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        loop {
            match incoming.try_recv() {
                Ok(ticket) => self.queue.push_back(ticket),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !(self.queue.is_empty() && self.jobs.is_empty()),
            }
        }
    }

    /// Forgets jobs that nobody waits for, and runs that no job is left for.
    fn drop_cancelled(&mut self) {
        self.queue.retain(|ticket| !ticket.is_cancelled());
        self.jobs.retain(|job| !job.ticket.is_cancelled());
        let jobs = &self.jobs;
        for session in self.runs.retain(|key| jobs.iter().any(|job| job.waits_for(key))) {
            self.shared.store.abandon(&session);
        }
    }

    /// Starts jobs in the order of their arrival, while their rows and their recordings fit.
    fn start_jobs(&mut self) {
        while self.jobs.len() < self.max_jobs
            && let Some(ticket) = self.queue.pop_front()
        {
            let session = ticket.work.source().session_id(&self.model.info.fingerprint);
            let rows = self.runs.rows();
            if rows > 0 && rows + self.rows_of(&ticket.work, &session) > self.max_batch_rows {
                self.queue.push_front(ticket);
                return;
            }
            match self.start(ticket, session) {
                Ok(()) => {}
                Err(NotStarted::NoRoom(ticket)) => {
                    self.queue.push_front(*ticket);
                    return;
                }
                Err(NotStarted::Failed(ticket, error)) => {
                    tracing::warn!(%error, "a job could not be started");
                    ticket.answer(Err(error));
                    // A source's run that was added for it must not hold memory that the next job is refused for.
                    self.drop_cancelled();
                }
            }
        }
    }

    /// Rows that a job would add to those that run.
    fn rows_of(&self, work: &Work, session: &SessionId) -> usize {
        let is_edit = matches!(work, Work::Edit { edit, .. } if !edit.plan.is_identity());
        let runs_source = self.runs.of_session(session).is_none() && self.shared.store.image(session).is_none();
        (usize::from(is_edit) + usize::from(runs_source)) * ROWS_PER_RUN
    }

    fn start(&mut self, mut ticket: Ticket, session: SessionId) -> Result<(), NotStarted> {
        let started = Instant::now();
        let (recording_use, source) = match self.find_or_start_source(ticket.work.source(), &session) {
            Ok(Some(found)) => found,
            Ok(None) => return Err(NotStarted::NoRoom(Box::new(ticket))),
            Err(error) => return Err(NotStarted::Failed(Box::new(ticket), error)),
        };
        let edit = match &ticket.work {
            Work::Record { .. } => EditState::None,
            Work::Edit { edit, .. } if edit.plan.is_identity() => EditState::SameAsSource,
            Work::Edit { source: from, edit } => match self.start_edit(from, &source, edit) {
                Ok(run) => EditState::Running(run),
                Err(error) => return Err(NotStarted::Failed(Box::new(ticket), error)),
            },
        };
        // The place in the queue is free for the next one.
        ticket.place = None;
        self.jobs.push(Job {
            ticket,
            session,
            recording_use,
            source,
            edit,
            started,
            encode: started.elapsed(),
            denoised: None,
            decode: Duration::ZERO,
        });
        Ok(())
    }

    /// The source's recording, its run, or a new run; `None` while there is no room for its recording.
    fn find_or_start_source(
        &mut self,
        source: &Arc<Source>,
        session: &SessionId,
    ) -> Result<Option<(RecordingUse, SourceState)>, EngineError> {
        if let Some(recorded) = self.shared.store.find_recorded(session) {
            return Ok(Some((RecordingUse::Hit, SourceState::Recorded(recorded))));
        }
        if let Some(run) = self.runs.of_session(session) {
            return Ok(Some((RecordingUse::Hit, SourceState::Running(run))));
        }
        let layout = recording_layout(&self.model, source.height, source.width);
        let (bytes, budget) = (layout.bytes(source.steps), self.shared.store.budget());
        let Some(reservation) = self.shared.store.reserve(bytes) else {
            return match self.jobs.is_empty() || bytes > budget {
                true => Err(EngineError::SourceTooLarge { bytes, budget }),
                false => Ok(None),
            };
        };
        let run = started(|| SourceRun::new(&self.model, source, layout, reservation))?;
        let recording_use = match self.shared.store.source(session) {
            Some(_) => RecordingUse::Replayed,
            None => RecordingUse::Created,
        };
        self.shared.store.begin(session);
        let session = (session.clone(), Arc::clone(source));
        let run = self.runs.add(Run::Source(Box::new(run)), Some(session));
        Ok(Some((recording_use, SourceState::Running(run))))
    }

    fn start_edit(&mut self, from: &Source, source: &SourceState, edit: &PreparedEdit) -> Result<RunKey, EngineError> {
        let recording = match source {
            SourceState::Recorded(recorded) => Some(Arc::clone(&recorded.recording)),
            SourceState::Running(run) => self.runs.recording(*run),
        };
        let recording = recording.ok_or_else(|| EngineError::Failed("the source's run is gone".to_owned()))?;
        let run = started(|| EditRun::new(&self.model, from, recording, &edit.prompt, Arc::clone(&edit.plan)))?;
        Ok(self.runs.add(Run::Edit(Box::new(run)), None))
    }

    /// Keeps finished recordings, hands images to the jobs that wait for them, and answers the jobs that have all.
    fn answer_finished(&mut self) {
        for job in &self.jobs {
            if let Some(progress) = job.own_run().and_then(|run| self.runs.progress(run)) {
                job.ticket.progress.send_replace(progress);
            }
        }
        for finished in self.runs.take_finished(&self.model) {
            self.shared.beat();
            self.keep_recording(&finished);
            let (waiting, others) =
                std::mem::take(&mut self.jobs).into_iter().partition(|job| job.waits_for(finished.key));
            self.jobs = others;
            for mut job in waiting {
                match job.take(&finished) {
                    Ok(()) => self.jobs.push(job),
                    Err(error) => {
                        tracing::error!(session = %job.session, %error, "a job failed");
                        job.ticket.answer(Err(error));
                    }
                }
            }
        }
        for job in std::mem::take(&mut self.jobs) {
            match job.into_answer() {
                Ok((ticket, outcome, took)) => {
                    // What was there already says nothing of how long work takes.
                    if !outcome.timings.denoise.is_zero() {
                        self.shared.record_job(took);
                    }
                    ticket.answer(Ok(outcome));
                }
                Err(unfinished) => self.jobs.push(*unfinished),
            }
        }
    }

    fn keep_recording(&self, finished: &Finished) {
        let Some(((session, source), recording)) = &finished.source else {
            return;
        };
        match &finished.image {
            Ok(image) => {
                let recorded = Recorded { recording: Arc::clone(recording), image: Arc::clone(image) };
                self.shared.store.insert(session, source, recorded);
            }
            Err(_) => self.shared.store.abandon(session),
        }
    }
}

/// Starts a run; a panic in the model counts as an error.
fn started<T>(start: impl FnOnce() -> Result<T, ModelError>) -> Result<T, EngineError> {
    let result = guarded(|| Ok(start())).map_err(EngineError::Failed)?;
    result.map_err(|error| EngineError::Failed(error.to_string()))
}

impl Job {
    fn waits_for(&self, run: RunKey) -> bool {
        matches!(self.source, SourceState::Running(key) if key == run)
            || matches!(self.edit, EditState::Running(key) if key == run)
    }

    /// The run whose progress is the job's.
    fn own_run(&self) -> Option<RunKey> {
        match (&self.edit, &self.source) {
            (EditState::Running(run), _) | (EditState::None | EditState::SameAsSource, SourceState::Running(run)) => {
                Some(*run)
            }
            _ => None,
        }
    }

    /// Takes over what one of its runs came to.
    fn take(&mut self, finished: &Finished) -> Result<(), EngineError> {
        let image = finished.image.clone()?;
        match &finished.source {
            Some((_, recording)) => {
                let recording = Arc::clone(recording);
                self.source = SourceState::Recorded(Recorded { recording, image });
            }
            None => self.edit = EditState::Done(image),
        }
        if !matches!(self.edit, EditState::Running(_)) {
            self.denoised = Some(finished.denoised);
            self.decode = finished.decode;
        }
        Ok(())
    }

    /// The answer with the job's time on the device, or the job again where something is still missing.
    fn into_answer(self) -> Result<(Ticket, Outcome, Duration), Box<Self>> {
        let SourceState::Recorded(recorded) = &self.source else {
            return Err(Box::new(self));
        };
        let source_image = Arc::clone(&recorded.image);
        let edited_image = match &self.edit {
            EditState::Running(_) => return Err(Box::new(self)),
            EditState::None => None,
            EditState::SameAsSource => Some(Arc::clone(&source_image)),
            EditState::Done(image) => Some(Arc::clone(image)),
        };
        let denoise = self.denoised.map_or(Duration::ZERO, |end| end.duration_since(self.started));
        let timings = Timings {
            queue: self.started.duration_since(self.ticket.submitted),
            encode: self.encode,
            denoise: denoise.saturating_sub(self.encode),
            decode: self.decode,
            total: self.ticket.submitted.elapsed(),
        };
        let outcome = Outcome {
            session: self.session,
            recording: self.recording_use,
            source_maps: recorded.recording.maps(),
            edited_maps: None,
            source_image,
            edited_image,
            timings,
        };
        Ok((self.ticket, outcome, self.started.elapsed()))
    }
}
