//! The metrics of recordings.

use crate::recordings::place::Tier;
use crate::recordings::store::{FileFault, WriteFault};
use crate::telemetry::metrics::{Counters, Gauges, metrics};

metrics! {
    /// The metrics of one engine's recordings.
    RecordingMetrics {
        recording_bytes: Gauges<Tier> = "reprompt_recordings_bytes", "bytes of recordings, by tier";
        recording_peak_bytes: Gauges<Tier> = "reprompt_recordings_peak_bytes", "highest number of bytes of recordings so far, by tier";
        recording_budget_bytes: Gauges<Tier> = "reprompt_recordings_budget_bytes", "byte budget for recordings, by tier";
        sessions: Gauges<Tier> = "reprompt_sessions", "sessions, by the fastest tier that holds their recording";
        hits: Counters<Tier> = "reprompt_recordings_hits_total", "reads of recordings, by the tier that held them";
        demotions: Counters<Tier> = "reprompt_recordings_demotions_total", "evictions of recordings, by the tier that they left";
        promotions: Counters<Tier> = "reprompt_recordings_promotions_total", "promotions of recordings, by the tier that they left";
        files_refused: Counters<FileFault> = "reprompt_recordings_files_refused_total", "rejected recording files, by reason";
        write_failures: Counters<WriteFault> = "reprompt_recordings_write_failures_total", "failed writes of recordings to disk, by reason";
    }
}
