//! How the worker's time is spent: every moment of it counts towards one part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::metrics::{EngineMetrics, WorkerPart};

/// Divides the worker's time among its parts. Time that no part claims counts towards [`WorkerPart::Engine`].
#[derive(Debug)]
pub struct BusyTime {
    since: Instant,
    metrics: Arc<EngineMetrics>,
}

impl BusyTime {
    /// Starts now.
    pub fn new(metrics: Arc<EngineMetrics>) -> Self {
        Self { since: Instant::now(), metrics }
    }

    /// Counts the time of `work` towards a part, and the time before it towards the engine. Returns the result and the
    /// time.
    pub fn measure<T>(&mut self, part: WorkerPart, work: impl FnOnce() -> T) -> (T, Duration) {
        self.lap(WorkerPart::Engine);
        let done = work();
        (done, self.lap(part))
    }

    /// Counts `of_part` of the time since the last call towards a part, and the rest towards the engine.
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
        self.metrics.worker_seconds.with(part).inc_by(time.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::MetricsRegistry;

    #[test]
    fn no_time_is_counted_twice_or_lost() {
        let metrics = Arc::new(EngineMetrics::register(&MetricsRegistry::new()).unwrap());
        let began = Instant::now();
        let mut busy = BusyTime::new(Arc::clone(&metrics));
        let (value, took) = busy.measure(WorkerPart::Decode, || std::hint::black_box((0..100_000_u64).sum::<u64>()));
        assert!(value > 0 && !took.is_zero());
        // More than has passed cannot be claimed.
        busy.split(WorkerPart::Unet, Duration::from_secs(3600));
        busy.split(WorkerPart::Encode, Duration::ZERO);
        let all: f64 = <WorkerPart as crate::telemetry::labels::Label>::ALL
            .iter()
            .map(|part| metrics.worker_seconds.with(*part).get())
            .sum();
        let passed = began.elapsed().as_secs_f64();
        assert!(all <= passed + 1e-9 && all >= took.as_secs_f64(), "{all} of {passed}");
        assert_eq!(metrics.worker_seconds.with(WorkerPart::Encode).get(), 0.0);
    }
}
