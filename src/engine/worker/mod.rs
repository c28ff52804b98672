//! The worker: a loop on its own thread that owns the model and the device.
//!
//! Every turn takes in what has come, lets go of cancelled jobs, starts what fits ([`crate::engine::worker::admission`]), begins runs
//! ([`crate::engine::worker::start_runs`]), takes one step of the next batch of runs, and answers what is done ([`crate::engine::worker::completion`]). A
//! source that several jobs want is run once.

mod admission;
pub(crate) mod busy_time;
mod completion;
mod disk_reads;
pub(crate) mod self_test;
pub(crate) mod start_runs;
mod wait_estimate;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use crate::engine::EngineConfig;
use crate::engine::EngineMetrics;
use crate::engine::backend::Backend;
use crate::engine::conditioning_cache::KnownPrompts;
use crate::engine::job::CancelReason;
use crate::engine::job::JobEnd;
use crate::engine::job::{EngineError, Ticket};
use crate::engine::runs::Run;
use crate::engine::runs::forward::Failure;
use crate::engine::runs::set::{Pass, RunSet};
use crate::engine::shared::{Event, Shared};
use crate::engine::state::{ActiveSource, Job};
use crate::engine::trace::JobPart;
use crate::engine::worker::busy_time::PartClock;
use crate::engine::worker::busy_time::WorkerPart;
use crate::engine::worker::self_test::Probe;
use crate::engine::worker::wait_estimate::Estimate;
use crate::kernels::memory;
use crate::recordings::{SessionId, SessionStore};

/// How often a worker without work shows that it lives, and how often it looks for what is too old.
const BEAT: Duration = Duration::from_secs(1);

/// What the worker's thread holds.
pub(crate) struct Worker<'a> {
    pub model: Box<dyn Backend>,
    pub shared: &'a Shared,
    pub max_batch_rows: usize,
    /// Jobs that have started at most: those that wait for a run of somebody else's add no rows, but are not free.
    pub max_jobs: usize,
    pub queue: VecDeque<Queued>,
    pub runs: RunSet,
    pub sources: BTreeMap<SessionId, ActiveSource>,
    pub jobs: Vec<Job>,
    pub prompts: KnownPrompts,
    /// Whether anything was computed since memory was last given back.
    pub has_worked: bool,
    pub estimate: Estimate,
    pub clock: PartClock,
    pub probe: Probe,
}

/// A job that waits for its turn.
#[derive(Debug)]
pub(crate) struct Queued {
    pub ticket: Ticket,
    pub session: SessionId,
    /// Rows that it would have added to every step when it came.
    pub rows: usize,
}

/// Serves jobs until it is told to end. The error is the device's; then everybody was told.
pub(crate) fn run(
    model: Box<dyn Backend>,
    config: &EngineConfig,
    shared: &Shared,
    incoming: &Receiver<Event>,
) -> Result<(), Failure> {
    let mut worker = Worker {
        model,
        shared,
        max_batch_rows: config.max_batch_rows,
        max_jobs: config.queue_limit.max(config.max_batch_rows),
        queue: VecDeque::new(),
        runs: RunSet::default(),
        sources: BTreeMap::new(),
        jobs: Vec::new(),
        prompts: KnownPrompts::default(),
        has_worked: true,
        estimate: Estimate::default(),
        clock: PartClock::new(Arc::clone(&shared.metrics)),
        probe: Probe::new(config.probe_after),
    };
    let served = worker.serve(incoming);
    if let Err(failure) = &served {
        tracing::error!(error = %failure, "the device failed, nothing more can be served");
        shared.lose_device();
        worker.give_up(incoming);
    }
    served
}

impl Worker<'_> {
    fn serve(&mut self, incoming: &Receiver<Event>) -> Result<(), Failure> {
        let (mut is_ending, mut has_moved, mut swept) = (false, false, Instant::now());
        loop {
            is_ending |= self.take_in(incoming, has_moved || self.runs.is_ready());
            if is_ending && self.queue.is_empty() && self.jobs.is_empty() {
                return Ok(());
            }
            self.shared.beat();
            has_moved = self.drop_cancelled();
            self.refuse_when_draining();
            has_moved |= self.start_jobs();
            has_moved |= self.begin_runs()?;
            has_moved |= self.step()?;
            self.has_worked |= has_moved;
            self.probe_when_idle(has_moved)?;
            has_moved |= self.finish()?;
            self.publish();
            if swept.elapsed() >= BEAT {
                self.store().sweep(SystemTime::now());
                swept = Instant::now();
            }
        }
    }

    pub(crate) fn store(&self) -> &Arc<SessionStore> {
        &self.shared.store
    }

    pub(crate) fn metrics(&self) -> &EngineMetrics {
        &self.shared.metrics
    }

    /// Takes in what has come, waiting for it where there is nothing else to do. Whether the worker is to end.
    fn take_in(&mut self, incoming: &Receiver<Event>, has_work: bool) -> bool {
        let mut is_ending = false;
        if !has_work {
            let (event, _) = self.clock.count(WorkerPart::Idle, || incoming.recv_timeout(BEAT));
            match event {
                Ok(event) => is_ending |= self.take(event),
                Err(RecvTimeoutError::Timeout) => {
                    if std::mem::take(&mut self.has_worked) {
                        memory::give_back_freed();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
        while let Ok(event) = incoming.try_recv() {
            is_ending |= self.take(event);
        }
        is_ending
    }

    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Job(ticket) => {
                let session = ticket.work.source().session_id(&self.model.info().fingerprint);
                let rows = self.rows_of(&ticket.work, &session);
                ticket.trace.job().record("session", tracing::field::display(&session));
                self.queue.push_back(Queued { ticket: *ticket, session, rows });
            }
            Event::Files(spooled) => self.take_spooled(spooled),
            Event::End => return true,
        }
        false
    }

    /// Forgets jobs that nobody waits for, and what no job is left for. Whether there were any.
    fn drop_cancelled(&mut self) -> bool {
        let metrics = Arc::clone(&self.shared.metrics);
        let is_wanted = |ticket: &Ticket| {
            // Read once: the client may leave at any moment.
            let is_cancelled = ticket.is_cancelled();
            if is_cancelled {
                metrics.jobs.of(JobEnd::Cancelled).inc();
                metrics.jobs_cancelled.of(ticket.cancel_reason()).inc();
            }
            !is_cancelled
        };
        let (queued, running) = (self.queue.len(), self.jobs.len());
        self.queue.retain(|queued| is_wanted(&queued.ticket));
        self.jobs.retain(|job| is_wanted(&job.ticket));
        if self.jobs.len() < running {
            self.retire_sources();
        }
        (self.queue.len(), self.jobs.len()) != (queued, running)
    }

    fn refuse_when_draining(&mut self) {
        let metrics = &self.shared.metrics;
        let refuse = |ticket: Ticket| {
            metrics.jobs.of(JobEnd::Cancelled).inc();
            metrics.jobs_cancelled.of(CancelReason::Draining).inc();
            ticket.answer(Err(EngineError::Draining));
        };
        if self.shared.is_draining() {
            self.queue.drain(..).for_each(|queued| refuse(queued.ticket));
        }
        if self.shared.is_aborting() {
            self.jobs.drain(..).for_each(|job| refuse(job.ticket));
            self.retire_sources();
        }
    }

    /// Takes one step of the next batch. Whether there was one.
    fn step(&mut self) -> Result<bool, Failure> {
        self.trace_runs(|run| !run.is_done(), JobPart::Denoise);
        let pass = self.runs.step(&*self.model, self.max_batch_rows, &self.shared.metrics)?;
        let Some(key) = pass.key else {
            return Ok(false);
        };
        self.clock.split(WorkerPart::Unet, pass.took);
        #[allow(clippy::cast_precision_loss)]
        self.metrics().batch_rows.observe(pass.rows as f64);
        self.metrics().step_seconds.observe(pass.took.as_secs_f64());
        // A pass that has failed says nothing of how long passes take.
        if !pass.took.is_zero() {
            self.estimate.passed(key, pass.rows, pass.took);
        }
        self.trace_steps(&pass);
        self.preview(&pass.runs)?;
        Ok(true)
    }

    /// Notes what the jobs are at whose shown run is so.
    pub(crate) fn trace_runs(&mut self, is_so: impl Fn(&Run) -> bool, part: JobPart) {
        for job in &mut self.jobs {
            let run = job.shown_run(self.sources.get(&job.session)).and_then(|key| self.runs.get(key));
            if run.is_some_and(&is_so) {
                job.ticket.trace.is_at(part);
            }
        }
    }

    /// Tells of a step in each job that it belongs to.
    fn trace_steps(&self, pass: &Pass) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        for job in &self.jobs {
            let key = job.shown_run(self.sources.get(&job.session)).filter(|key| pass.runs.contains(key));
            if let Some(run) = key.and_then(|key| self.runs.get(key)) {
                job.ticket.trace.stepped(run.step(), pass.rows, pass.took);
            }
        }
    }

    /// Answers everybody that the device has failed.
    fn give_up(&mut self, incoming: &Receiver<Event>) {
        let lost = |ticket: Ticket| {
            self.shared.metrics.jobs.of(JobEnd::Failed).inc();
            ticket.answer(Err(EngineError::DeviceLost));
        };
        let queued = self.queue.drain(..).map(|queued| queued.ticket);
        self.jobs.drain(..).map(|job| job.ticket).chain(queued).for_each(lost);
        self.runs.retain(|_| false);
        self.publish();
        while let Ok(event) = incoming.try_recv() {
            if let Event::Job(ticket) = event {
                lost(*ticket);
            }
        }
    }
}
