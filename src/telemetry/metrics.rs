//! Every metric of the service, in one table; `/metrics` writes them out.
//!
//! One [`Metrics`] belongs to one engine, so that two of them in a process (tests have many) do not mix. All series
//! are there from the start, at zero.

use prometheus::{
    CounterVec, Encoder, Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::labels::{Family, Label, label};
use super::register::{Metric, kept};

label! {
    /// The calls of the API, for request metrics.
    Call as "call" {
        /// `POST /v1/edits`.
        CreateEdit = "create_edit",
        /// `POST /v1/sessions/{id}/edits`.
        CreateSessionEdit = "create_session_edit",
        /// `POST /v1/sessions`.
        CreateSession = "create_session",
        /// `GET /v1/sessions` and what lies below it.
        ReadSession = "read_session",
        /// `DELETE /v1/sessions/{id}`.
        DeleteSession = "delete_session",
        /// `POST /v1/images/generations`.
        CreateImages = "create_images",
        /// `POST /v1/align`.
        Align = "align",
        /// `GET` and `DELETE /v1/jobs/{id}`.
        Jobs = "jobs",
        /// Probes, metrics, the contract, and addresses that are none.
        Other = "other",
    }
}

label! {
    /// Kinds of answers.
    StatusClass as "status" {
        /// 200 to 399.
        Success = "2xx",
        /// 400 to 499, but 429.
        ClientError = "4xx",
        /// 429.
        Refused = "429",
        /// 500 and above.
        ServerError = "5xx",
        /// The client went away before the answer.
        ClientGone = "gone",
    }
}

label! {
    /// Why a request was refused, or given up, before it came to a job.
    RequestRefusal as "reason" {
        /// It has no API key.
        NoKey = "no_key",
        /// Its API key is none.
        UnknownKey = "unknown_key",
        /// Its caller has made too many.
        RateLimited = "rate_limited",
        /// Its caller has too many jobs.
        TooManyConcurrent = "too_many_concurrent",
        /// Its answer took too long.
        AnswerTimeout = "answer_timeout",
    }
}

label! {
    /// How a probe of the idle worker ended.
    ProbeEnd as "outcome" {
        /// It computes.
        Succeeded = "succeeded",
        /// It does not.
        Failed = "failed",
    }
}

label! {
    /// What is listened for.
    Listener as "listener" {
        /// The API.
        Api = "api",
        /// Metrics and probes, where they have an address of their own.
        Metrics = "metrics",
    }
}

label! {
    /// What came of a change of the file of API keys.
    KeysReload as "outcome" {
        /// It counts.
        Taken = "taken",
        /// It is wrong, the keys from before count on.
        Refused = "refused",
    }
}

label! {
    /// What a job asks for.
    JobKind as "kind" {
        /// A source is to be run and recorded.
        Record = "record",
        /// A source is to be edited.
        Edit = "edit",
    }
}

label! {
    /// How a job ended.
    JobEnd as "outcome" {
        /// With its result.
        Succeeded = "succeeded",
        /// With an error of its own.
        Failed = "failed",
        /// Nobody wanted it any more, see [`CancelReason`].
        Cancelled = "cancelled",
    }
}

label! {
    /// Why a job was cancelled.
    CancelReason as "reason" {
        /// Its client went away.
        Disconnected = "disconnected",
        /// It was deleted.
        Deleted = "deleted",
        /// Its deadline passed.
        Deadline = "deadline",
        /// The service is about to end.
        Draining = "draining",
    }
}

label! {
    /// Why a job was not taken.
    RefuseReason as "reason" {
        /// As many jobs wait as may wait.
        QueueFull = "queue_full",
        /// The service is about to end.
        Draining = "draining",
        /// The model is being loaded, or the worker is gone.
        NotReady = "not_ready",
    }
}

label! {
    /// Where a recording, or what is left of it, lies.
    Tier as "tier" {
        /// On the device, ready to be read.
        Device = "device",
        /// In the memory of the host.
        Memory = "memory",
        /// In files.
        Disk = "disk",
        /// Its latents and mean maps alone, in memory: attention is computed again from them.
        Trajectory = "trajectory",
        /// Nothing but its source: it is run again.
        Source = "source",
    }
}

label! {
    /// How a job found its source.
    RecordingUse as "recording" {
        /// It was run and recorded for this job.
        Created = "created",
        /// All that the job reads was there, or was being recorded for somebody else.
        Hit = "hit",
        /// It was known, and what was missing of its recording was computed again.
        Replayed = "replayed",
    }
}

label! {
    /// Kinds of rows of a UNet pass.
    RowKind as "kind" {
        /// Of sources.
        Source = "source",
        /// Of sources that are run again from their trajectory.
        Replay = "replay",
        /// Of edits.
        Edit = "edit",
    }
}

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
    /// Why a file of a recording was not taken.
    FileFault as "reason" {
        /// Its checksum or its form is wrong.
        Damaged = "damaged",
        /// It ends too early.
        Truncated = "truncated",
        /// It is of another model, another session or another version.
        Foreign = "foreign",
        /// It could not be read or written.
        Unreadable = "unreadable",
    }
}

label! {
    /// How the delivery of a webhook ended.
    WebhookEnd as "outcome" {
        /// The receiver took it.
        Delivered = "delivered",
        /// The receiver did not take it, however often it was tried.
        GivenUp = "given_up",
    }
}

const SECONDS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
const ROWS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0];

/// A counter for each value of a label.
pub type Counters<L> = Family<IntCounterVec, L>;
/// A gauge for each value of a label.
pub type Gauges<L> = Family<IntGaugeVec, L>;
/// A histogram for each value of a label.
pub type Histograms<L> = Family<HistogramVec, L>;

macro_rules! metrics {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $name:literal, $help:literal $(, $buckets:expr)?;)*) => {
        /// Every metric.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: $type,)*
        }

        impl Metrics {
            /// All metrics, at zero, in a registry of their own.
            ///
            /// # Errors
            /// Where two metrics of the table have one name.
            pub fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                $(let $field = <$type as Metric>::register(&registry, $name, $help, &[$($buckets)?])?;)*
                #[cfg(target_os = "linux")]
                registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
                Ok(Self { registry, $($field,)* })
            }

            /// The names of all metrics of the table.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

metrics! {
    requests: RequestCounters = "reprompt_http_requests_total", "requests, by call and answer";
    request_seconds: Histograms<Call> = "reprompt_http_request_seconds", "from a request's head to its answer's", SECONDS;
    requests_refused: Counters<RequestRefusal> = "reprompt_http_requests_refused_total", "requests that were refused before they came to a job, by why";
    connections: Gauges<Listener> = "reprompt_http_connections", "open connections, by what is listened for";
    connections_limit: IntGauge = "reprompt_http_connections_limit", "connections to the API that may be open";
    api_keys: IntGauge = "reprompt_api_keys", "API keys that count; 0 where none is needed";
    api_keys_reloads: Counters<KeysReload> = "reprompt_api_keys_reloads_total", "changes of the file of API keys, by what came of them";
    jobs: Counters<JobEnd> = "reprompt_jobs_total", "jobs that ended, by how";
    jobs_taken: Counters<JobKind> = "reprompt_jobs_taken_total", "jobs that were taken, by what they ask for";
    jobs_cancelled: Counters<CancelReason> = "reprompt_jobs_cancelled_total", "jobs that were cancelled, by why";
    jobs_refused: Counters<RefuseReason> = "reprompt_jobs_refused_total", "jobs that were not taken, by why";
    queue_jobs: IntGauge = "reprompt_queue_jobs", "jobs that wait for their turn";
    queue_limit: IntGauge = "reprompt_queue_limit", "jobs that may wait for their turn";
    queue_seconds: Histogram = "reprompt_queue_seconds", "from a job's submission to its start", SECONDS;
    job_seconds: Histograms<JobKind> = "reprompt_job_seconds", "from a job's submission to its result", SECONDS;
    running_jobs: IntGauge = "reprompt_running_jobs", "jobs that have started";
    running_rows: IntGauge = "reprompt_running_rows", "rows that the jobs that have started add to a pass";
    async_jobs: IntGauge = "reprompt_async_jobs", "jobs that are kept to be asked about";
    batch_rows: Histogram = "reprompt_batch_rows", "rows of a pass of the UNet", ROWS;
    step_seconds: Histogram = "reprompt_step_seconds", "a pass of the UNet", SECONDS;
    rows: Counters<RowKind> = "reprompt_unet_rows_total", "rows of passes of the UNet, by kind";
    worker_seconds: Family<CounterVec, WorkerPart> = "reprompt_worker_seconds_total", "the worker's time, by what it is spent on";
    recordings: Counters<RecordingUse> = "reprompt_recordings_total", "how jobs that succeeded found their source";
    recording_bytes: Gauges<Tier> = "reprompt_recordings_bytes", "bytes of recordings, by tier";
    recording_peak_bytes: Gauges<Tier> = "reprompt_recordings_peak_bytes", "the most bytes that a tier has held";
    recording_budget_bytes: Gauges<Tier> = "reprompt_recordings_budget_bytes", "bytes that recordings may take, by tier";
    sessions: Gauges<Tier> = "reprompt_sessions", "sessions, by the best tier that holds them";
    hits: Counters<Tier> = "reprompt_recordings_hits_total", "recordings that were read, by the tier in which they were found";
    demotions: Counters<Tier> = "reprompt_recordings_demotions_total", "recordings that were pushed out of a tier";
    promotions: Counters<Tier> = "reprompt_recordings_promotions_total", "recordings that were brought up, by the tier that they come from";
    recomputed_steps: IntCounter = "reprompt_recordings_recomputed_steps_total", "steps of sources that were computed again";
    files_refused: Counters<FileFault> = "reprompt_recordings_files_refused_total", "files of recordings that were not taken, by why";
    webhooks: Counters<WebhookEnd> = "reprompt_webhooks_total", "webhooks, by how their delivery ended";
    probes: Counters<ProbeEnd> = "reprompt_probes_total", "passes that an idle worker has made to see whether it still computes";
    ready: IntGauge = "reprompt_ready", "1 where jobs are taken";
    process_start: Gauge = "reprompt_loaded_timestamp_seconds", "when the model was loaded, in seconds since 1970; 0 before";
}

/// Requests by call and kind of answer.
#[derive(Debug)]
pub struct RequestCounters(IntCounterVec);

impl RequestCounters {
    /// The counter of a call's answers of one kind.
    pub fn of(&self, call: Call, status: StatusClass) -> IntCounter {
        self.0.with_label_values(&[call.as_str(), status.as_str()])
    }
}

impl Metrics {
    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics cannot be written out");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

impl Metric for RequestCounters {
    fn register(registry: &Registry, name: &str, help: &str, _: &[&[f64]]) -> Result<Self, prometheus::Error> {
        let counters =
            Self(kept(registry, IntCounterVec::new(Opts::new(name, help), &[Call::NAME, StatusClass::NAME])?)?);
        for call in Call::ALL {
            for status in StatusClass::ALL {
                counters.of(*call, *status);
            }
        }
        Ok(counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_before_anything_has_happened() {
        let metrics = Metrics::new().unwrap();
        let text = metrics.text();
        for name in Metrics::NAMES {
            let series = text.lines().filter(|line| line.starts_with(name)).count();
            assert!(series > 0, "{name} has no series:\n{text}");
        }
        for line in [
            "reprompt_http_requests_total{call=\"create_edit\",status=\"429\"} 0",
            "reprompt_recordings_bytes{tier=\"disk\"} 0",
            "reprompt_jobs_cancelled_total{reason=\"deadline\"} 0",
            "reprompt_step_seconds_count 0",
        ] {
            assert!(text.contains(line), "{line} is missing:\n{text}");
        }
    }

    #[test]
    fn two_engines_do_not_share_their_counts() {
        let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        one.jobs.of(JobEnd::Succeeded).inc();
        assert!(one.text().contains("reprompt_jobs_total{outcome=\"succeeded\"} 1"));
        assert!(other.text().contains("reprompt_jobs_total{outcome=\"succeeded\"} 0"));
    }
}
