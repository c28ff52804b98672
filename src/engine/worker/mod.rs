//! The worker: a loop on its own thread that owns the model and the device.
//!
//! Each turn of `Worker::serve` receives events, drops canceled jobs, starts jobs that fit (`admission`), begins runs
//! (`start_runs`), takes one step of the next batch of runs (`progress`), and answers the jobs that are complete
//! (`completion`). A source that several jobs read is run once.
//!
//! | part | what it does |
//! | --- | --- |
//! | `queue`, `admission`, `reserve` | which job starts next; its bytes are reserved before it starts |
//! | `context` | the model, the runs in progress, the recordings and measured costs, which all other parts use |
//! | `encode`, `start_runs` | prompts are encoded; runs of sources, replays and edits begin |
//! | `store_events`, `persist` | recordings come from the store and go to it |
//! | `progress`, `previews`, `completion` | runs take steps, jobs show their progress and are answered |
//! | `busy_time`, `wait_estimate`, `self_test` | how the worker's time is spent, how long jobs will wait, whether the device still computes |

mod admission;
pub(crate) mod busy_time;
mod completion;
mod context;
mod encode;
mod persist;
mod previews;
mod progress;
mod queue;
mod reserve;
pub(crate) mod self_test;
mod start_runs;
mod store_events;
#[cfg(test)]
mod testing;
mod wait_estimate;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use crate::engine::EngineConfig;
use crate::engine::backend::Backend;
use crate::engine::job::{CancelReason, EngineError, JobEnd, Ticket};
use crate::engine::metrics::WorkerPart;
use crate::engine::runs::forward::Failure;
use crate::engine::shared::{Event, Shared};
use crate::engine::state::Sources;
use crate::engine::worker::context::Context;
use crate::engine::worker::queue::{Queue, QueuedJob};
use crate::engine::worker::self_test::SelfTest;
use crate::kernels::memory;

/// How often an idle worker takes a turn, and how often expired sessions are removed.
const BEAT: Duration = Duration::from_secs(1);

/// The state of the worker's thread.
struct Worker<'a> {
    context: Context<'a>,
    queue: Queue,
    sources: Sources,
    self_test: SelfTest,
    /// The most rows of a pass.
    max_batch_rows: usize,
    /// The most running jobs. A job that shares the run of another adds no rows, but takes memory.
    max_jobs: usize,
    /// Whether anything was computed since freed memory was last returned to the system.
    has_worked: bool,
}

/// Serves jobs until the engine is dropped.
///
/// # Errors
/// The failure of the device, with which all jobs were answered.
pub(crate) fn run(
    model: Box<dyn Backend>,
    config: &EngineConfig,
    shared: &Shared,
    incoming: &Receiver<Event>,
) -> Result<(), Failure> {
    let mut worker = Worker {
        context: Context::new(model, shared),
        queue: Queue::default(),
        sources: Sources::default(),
        self_test: SelfTest::new(config.self_test_after, Instant::now()),
        max_batch_rows: config.max_batch_rows,
        max_jobs: config.queue_limit.max(config.max_batch_rows),
        has_worked: true,
    };
    let served = worker.serve(incoming);
    if let Err(failure) = &served {
        tracing::error!(error = %failure, "the device failed, the worker ends");
        shared.lose_device();
        worker.answer_device_lost(incoming);
    }
    served
}

impl Worker<'_> {
    fn serve(&mut self, incoming: &Receiver<Event>) -> Result<(), Failure> {
        let (mut is_ending, mut has_moved, mut swept) = (false, false, Instant::now());
        loop {
            is_ending |= self.receive_all(incoming, has_moved || self.context.runs.is_ready());
            if is_ending && self.is_idle() {
                return Ok(());
            }
            self.context.shared.beat();
            has_moved = self.drop_canceled();
            self.refuse_when_draining();
            has_moved |= self.start_jobs();
            has_moved |= self.begin_runs()?;
            has_moved |= self.step()?;
            self.has_worked |= has_moved;
            self.test_when_idle(has_moved)?;
            has_moved |= self.finish()?;
            self.test_when_suspected()?;
            self.publish();
            if swept.elapsed() >= BEAT {
                self.context.shared.recordings.sweep(SystemTime::now());
                swept = Instant::now();
            }
        }
    }

    /// Whether no job waits or runs.
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.sources.has_no_jobs()
    }

    /// Receives the events that have arrived, and waits for one if there is nothing else to do. Returns whether the
    /// worker is to end.
    fn receive_all(&mut self, incoming: &Receiver<Event>, has_work: bool) -> bool {
        let mut is_ending = false;
        if !has_work {
            let (event, _) = self.context.busy_time.measure(WorkerPart::Idle, || incoming.recv_timeout(BEAT));
            match event {
                Ok(event) => is_ending |= self.receive(event),
                Err(RecvTimeoutError::Timeout) => {
                    if std::mem::take(&mut self.has_worked) {
                        memory::return_freed();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
        while let Ok(event) = incoming.try_recv() {
            is_ending |= self.receive(event);
        }
        is_ending
    }

    fn receive(&mut self, event: Event) -> bool {
        match event {
            Event::Job(ticket) => {
                let session = ticket.work.source().session_id(&self.context.model.info().fingerprint);
                let rows = self.rows_of(&ticket.work, &session);
                ticket.trace.job().record("session", tracing::field::display(&session));
                self.queue.push(QueuedJob { ticket: *ticket, session, rows });
            }
            Event::Stored(event) => self.receive_stored(event),
            Event::End => return true,
        }
        false
    }

    /// Drops jobs that were canceled, and the runs and sources that only they used. Returns whether there were any.
    fn drop_canceled(&mut self) -> bool {
        let metrics = &self.context.shared.metrics;
        let is_wanted = |ticket: &Ticket| {
            // Read once: the client may disconnect at any moment.
            let is_canceled = ticket.is_canceled();
            if is_canceled {
                metrics.jobs.with(JobEnd::Canceled).inc();
                metrics.jobs_canceled.with(ticket.cancel_reason()).inc();
            }
            !is_canceled
        };
        let queued = self.queue.retain(is_wanted);
        let running = self.sources.retain_jobs(|job| is_wanted(job.ticket()));
        if running > 0 {
            self.drop_unused_sources();
        }
        queued + running > 0
    }

    /// Refuses queued jobs while the engine drains, and running ones too when it aborts.
    fn refuse_when_draining(&mut self) {
        let (shared, metrics) = (self.context.shared, &self.context.shared.metrics);
        let refuse = |ticket: Ticket| {
            metrics.jobs.with(JobEnd::Canceled).inc();
            metrics.jobs_canceled.with(CancelReason::Draining).inc();
            ticket.answer(Err(EngineError::Draining));
        };
        if shared.is_draining() {
            self.queue.take_all().for_each(refuse);
        }
        if shared.is_aborting() {
            self.sources.take_jobs().into_iter().for_each(|job| refuse(job.into_ticket()));
            self.drop_unused_sources();
        }
    }

    /// Takes one step of the next batch of runs. Returns whether there was a batch. The error is a failure of the
    /// device.
    fn step(&mut self) -> Result<bool, Failure> {
        let pass = self.step_runs()?;
        if pass.key.is_some() {
            self.trace_steps(&pass);
            self.make_previews(&pass.runs)?;
        }
        Ok(pass.key.is_some())
    }

    /// Answers all jobs with the device's failure.
    fn answer_device_lost(&mut self, incoming: &Receiver<Event>) {
        let metrics = &self.context.shared.metrics;
        let answer = |ticket: Ticket| {
            metrics.jobs.with(JobEnd::Failed).inc();
            ticket.answer(Err(EngineError::DeviceLost));
        };
        self.sources.take_jobs().into_iter().for_each(|job| answer(job.into_ticket()));
        self.queue.take_all().for_each(answer);
        self.context.runs.retain(|_| false);
        self.publish();
        while let Ok(event) = incoming.try_recv() {
            if let Event::Job(ticket) = event {
                answer(*ticket);
            }
        }
    }
}
