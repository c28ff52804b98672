//! What is counted of an engine, worker and queue.

use prometheus::{CounterVec, Gauge, Histogram, IntCounter, IntGauge};

use crate::engine::job::{CancelReason, JobEnd, JobKind, RecordingUse, RefuseReason};
use crate::engine::runs::RowKind;
use crate::engine::worker::busy_time::WorkerPart;
use crate::engine::worker::self_test::SelfTestEnd;
use crate::telemetry::labels::Family;
use crate::telemetry::metrics::{Counters, Histograms, ROWS, SECONDS, metrics};

metrics! {
    /// The metrics of one engine.
    EngineMetrics {
        jobs: Counters<JobEnd> = "reprompt_jobs_total", "jobs that ended, by how";
        jobs_taken: Counters<JobKind> = "reprompt_jobs_taken_total", "jobs that were accepted, by what they ask for";
        jobs_cancelled: Counters<CancelReason> = "reprompt_jobs_cancelled_total", "jobs that were cancelled, by why";
        jobs_refused: Counters<RefuseReason> = "reprompt_jobs_refused_total", "jobs that were refused, by why";
        queue_jobs: IntGauge = "reprompt_queue_jobs", "jobs in the queue";
        queue_limit: IntGauge = "reprompt_queue_limit", "jobs that the queue may hold";
        queue_seconds: Histogram = "reprompt_queue_seconds", "from a job's submission to its start", SECONDS;
        job_seconds: Histograms<JobKind> = "reprompt_job_seconds", "from a job's submission to its result", SECONDS;
        running_jobs: IntGauge = "reprompt_running_jobs", "jobs that have started";
        running_rows: IntGauge = "reprompt_running_rows", "rows that the jobs that have started add to a pass";
        batch_rows: Histogram = "reprompt_batch_rows", "rows of a pass of the UNet", ROWS;
        step_seconds: Histogram = "reprompt_step_seconds", "a pass of the UNet", SECONDS;
        rows: Counters<RowKind> = "reprompt_unet_rows_total", "rows of passes of the UNet, by kind";
        worker_seconds: Family<CounterVec, WorkerPart> = "reprompt_worker_seconds_total", "the worker's time, by what it is spent on";
        recordings: Counters<RecordingUse> = "reprompt_recordings_total", "how jobs that succeeded found their source";
        recomputed_steps: IntCounter = "reprompt_recordings_recomputed_steps_total", "steps of sources that were computed again";
        self_tests: Counters<SelfTestEnd> = "reprompt_probes_total", "self-tests of the idle worker, by outcome";
        ready: IntGauge = "reprompt_ready", "1 where jobs are accepted";
        process_start: Gauge = "reprompt_loaded_timestamp_seconds", "when the model was loaded, in seconds since 1970; 0 before";
    }
}
