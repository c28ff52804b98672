//! Where the worker's time goes: every moment of it belongs to one part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::EngineMetrics;
use crate::telemetry::labels::label;

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

/// A clock that is always running for some part; for the engine itself where nobody says otherwise.
#[derive(Debug)]
pub struct PartClock {
    since: Instant,
    metrics: Arc<EngineMetrics>,
}

impl PartClock {
    /// Starts now.
    pub fn new(metrics: Arc<EngineMetrics>) -> Self {
        Self { since: Instant::now(), metrics }
    }

    /// Counts the time of `work` to a part, and what has passed before to the engine.
    pub fn count<T>(&mut self, part: WorkerPart, work: impl FnOnce() -> T) -> (T, Duration) {
        self.lap(WorkerPart::Engine);
        let done = work();
        (done, self.lap(part))
    }

    /// Counts `of_part` of the time since the last call to a part, and the rest of it to the engine.
    pub fn split(&mut self, part: WorkerPart, of_part: Duration) {
        let passed = self.since.elapsed();
        self.since = Instant::now();
        self.add(part, of_part.min(passed));
        self.add(WorkerPart::Engine, passed.saturating_sub(of_part));
    }

    fn lap(&mut self, part: WorkerPart) -> Duration {
        let passed = self.since.elapsed();
        self.since = Instant::now();
        self.add(part, passed);
        passed
    }

    fn add(&self, part: WorkerPart, time: Duration) {
        self.metrics.worker_seconds.of(part).inc_by(time.as_secs_f64());
    }
}
