//! Metrics of an engine.

use prometheus::{CounterVec, Gauge, Histogram, IntCounter, IntGauge};

use crate::diffusion::ModelPart;
use crate::engine::job::{CancelReason, JobEnd, JobKind, RecordingUse, RefuseReason};
use crate::engine::runs::RowKind;
use crate::telemetry::labels::{LabeledMetric, label};
use crate::telemetry::metrics::{Counters, Histograms, ROWS, SECONDS, metrics};

label! {
    /// What the worker's time is spent on.
    WorkerPart as "part" {
        /// Passes of the UNet, attention under control included.
        Unet = "unet",
        /// Text encoder.
        Encode = "encode",
        /// Latents to images, previews included.
        Decode = "decode",
        /// Waiting for something to do.
        Idle = "idle",
        /// Everything else: the engine itself.
        Engine = "engine",
    }
}

label! {
    /// How a self-test of the idle worker ended.
    SelfTestEnd as "outcome" {
        /// It computes.
        Succeeded = "succeeded",
        /// It does not.
        Failed = "failed",
    }
}

metrics! {
    /// The metrics of one engine.
    EngineMetrics {
        jobs: Counters<JobEnd> = "reprompt_jobs_total", "finished jobs, by outcome";
        not_finite: Counters<ModelPart> = "reprompt_model_not_finite_total", "jobs that failed because the model computed NaN or infinity, by its part";
        jobs_taken: Counters<JobKind> = "reprompt_jobs_taken_total", "accepted jobs, by kind";
        jobs_canceled: Counters<CancelReason> = "reprompt_jobs_canceled_total", "canceled jobs, by reason";
        jobs_refused: Counters<RefuseReason> = "reprompt_jobs_refused_total", "refused jobs, by reason";
        queue_jobs: IntGauge = "reprompt_queue_jobs", "queued jobs";
        queue_limit: IntGauge = "reprompt_queue_limit", "maximum number of queued jobs";
        queue_seconds: Histogram = "reprompt_queue_seconds", "time from a job's submission to its start", SECONDS;
        job_seconds: Histograms<JobKind> = "reprompt_job_seconds", "time from a job's submission to its result", SECONDS;
        running_jobs: IntGauge = "reprompt_running_jobs", "running jobs";
        running_rows: IntGauge = "reprompt_running_rows", "UNet rows per step of all running jobs";
        batch_rows: Histogram = "reprompt_batch_rows", "rows per UNet forward pass", ROWS;
        step_seconds: Histogram = "reprompt_step_seconds", "duration of a UNet forward pass", SECONDS;
        rows: Counters<RowKind> = "reprompt_unet_rows_total", "rows of UNet forward passes, by kind";
        worker_seconds: LabeledMetric<CounterVec, WorkerPart> = "reprompt_worker_seconds_total", "worker time, by activity";
        recordings: Counters<RecordingUse> = "reprompt_recordings_total", "successful jobs, by how they found their source's recording";
        recomputed_steps: IntCounter = "reprompt_recordings_recomputed_steps_total", "source steps that were computed again";
        self_tests: Counters<SelfTestEnd> = "reprompt_probes_total", "self-tests of an idle worker, by outcome";
        ready: IntGauge = "reprompt_ready", "1 if the service accepts jobs, else 0";
        process_start: Gauge = "reprompt_loaded_timestamp_seconds", "time at which the model was loaded, as a Unix timestamp; 0 before";
    }
}
