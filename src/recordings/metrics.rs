//! Metrics of recordings.

use crate::recordings::place::Tier;
use crate::recordings::store::FileFault;
use crate::telemetry::metrics::{Counters, Gauges, metrics};

metrics! {
    /// The metrics of one engine's recordings.
    RecordingMetrics {
        recording_bytes: Gauges<Tier> = "reprompt_recordings_bytes", "bytes of recordings, by tier";
        recording_peak_bytes: Gauges<Tier> = "reprompt_recordings_peak_bytes", "the most bytes that a tier has held";
        recording_budget_bytes: Gauges<Tier> = "reprompt_recordings_budget_bytes", "bytes that recordings may take, by tier";
        sessions: Gauges<Tier> = "reprompt_sessions", "sessions, by the best tier that holds them";
        hits: Counters<Tier> = "reprompt_recordings_hits_total", "recordings that were read, by the tier in which they were found";
        demotions: Counters<Tier> = "reprompt_recordings_demotions_total", "recordings that were evicted from a tier";
        promotions: Counters<Tier> = "reprompt_recordings_promotions_total", "recordings that were brought up, by the tier that they come from";
        files_refused: Counters<FileFault> = "reprompt_recordings_files_refused_total", "files of recordings that were refused, by reason";
    }
}
