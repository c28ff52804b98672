//! Estimates how long jobs will wait, from measured costs: seconds per row of the UNet and per decoded image, by size.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::batch::CompatibilityKey;

/// The weight of a new measurement in the average.
const NEWEST: f64 = 0.2;

/// A moving average.
#[derive(Debug, Clone, Copy, Default)]
struct Average(Option<f64>);

impl Average {
    fn add(&mut self, seconds: f64) {
        self.0 = Some(self.0.map_or(seconds, |average| average + NEWEST * (seconds - average)));
    }
}

/// Measured costs by size of the latents.
#[derive(Debug, Default)]
pub struct Costs {
    rows: BTreeMap<CompatibilityKey, Average>,
    decodes: BTreeMap<CompatibilityKey, Average>,
}

impl Costs {
    /// Adds the time of a UNet pass.
    pub fn add_pass(&mut self, key: CompatibilityKey, rows: usize, took: Duration) {
        self.rows.entry(key).or_default().add(took.as_secs_f64() / as_f64(rows.max(1)));
    }

    /// Adds the time of decoding images.
    pub fn add_decode(&mut self, key: CompatibilityKey, images: usize, took: Duration) {
        self.decodes.entry(key).or_default().add(took.as_secs_f64() / as_f64(images.max(1)));
    }

    /// Seconds of one row of the UNet.
    pub fn row(&self, key: CompatibilityKey) -> f64 {
        of_size(&self.rows, key)
    }

    /// Seconds of decoding one image.
    pub fn decode(&self, key: CompatibilityKey) -> f64 {
        of_size(&self.decodes, key)
    }
}

/// The work of one run that shares the device with others.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Rows of each step.
    pub rows: usize,
    /// Steps left.
    pub steps: usize,
    /// Seconds of a row.
    pub row: f64,
    /// Seconds of decoding after the last step.
    pub end: f64,
}

/// When each job of a queue is likely to start, first come, first served: all runs take their steps together, and the
/// next job starts once the runs that are left and its own rows fit into `max_rows`.
pub fn start_times(mut running: Vec<Load>, queue: impl Iterator<Item = Load>, max_rows: usize) -> Vec<Duration> {
    let mut now = 0.0;
    let start = |next: Load| {
        loop {
            let rows: usize = running.iter().map(|load| load.rows).sum();
            let shortest = running.iter().map(|load| load.steps).min();
            let Some(steps) = shortest.filter(|_| rows + next.rows > max_rows && next.rows > 0) else {
                break;
            };
            let step: f64 = running.iter().map(|load| as_f64(load.rows) * load.row).sum();
            now += as_f64(steps) * step;
            running.iter_mut().for_each(|load| load.steps -= steps);
            now += running.iter().filter(|load| load.steps == 0).map(|load| load.end).sum::<f64>();
            running.retain(|load| load.steps > 0);
        }
        running.push(next);
        Duration::try_from_secs_f64(now).unwrap_or_default()
    };
    queue.map(start).collect()
}

/// When the first of these runs is likely to end, if they take their steps together.
pub fn first_end(running: &[Load]) -> Duration {
    let step: f64 = running.iter().map(|load| as_f64(load.rows) * load.row).sum();
    let first = running.iter().min_by_key(|load| load.steps);
    let seconds = first.map_or(0.0, |load| as_f64(load.steps) * step + load.end);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The average for this size. A size that was never measured takes that of the nearest size, scaled by the positions.
fn of_size(averages: &BTreeMap<CompatibilityKey, Average>, key: CompatibilityKey) -> f64 {
    let positions = |key: CompatibilityKey| key.height * key.width;
    let wanted = positions(key);
    let nearest = averages.iter().min_by_key(|(size, _)| (**size != key, positions(**size).abs_diff(wanted)));
    nearest.and_then(|(size, average)| Some(average.0? * as_f64(wanted) / as_f64(positions(*size)))).unwrap_or(0.0)
}

#[allow(clippy::cast_precision_loss)]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_job_starts_when_rows_are_free() {
        let load = |rows, steps| Load { rows, steps, row: 1.0, end: 0.5 };
        let starts = |running: &[Load], queue: &[Load], max_rows| {
            let starts = start_times(running.to_vec(), queue.iter().copied(), max_rows);
            starts.into_iter().map(|start| start.as_secs_f64()).collect::<Vec<_>>()
        };
        assert_eq!(starts(&[], &[load(2, 10), load(2, 10), load(2, 1)], 4), [0.0, 0.0, 40.5 + 0.5]);
        // One ends after 2 steps of 4 rows; the rest of the other runs together with the next.
        assert_eq!(starts(&[load(2, 2), load(2, 5)], &[load(2, 9), load(2, 9)], 4), [8.5, 8.5 + 12.5]);
        // Four rows need two of the others to end.
        assert_eq!(starts(&[load(2, 2), load(2, 5)], &[load(4, 9)], 4), [8.5 + 6.5]);
        // A job without a run does not wait.
        assert_eq!(starts(&[load(2, 2)], &[load(0, 9)], 2), [0.0]);
    }

    #[test]
    fn the_first_end_is_that_of_the_run_with_the_fewest_steps_left() {
        let load = |rows, steps| Load { rows, steps, row: 1.0, end: 0.5 };
        assert_eq!(first_end(&[]), Duration::ZERO);
        assert_eq!(first_end(&[load(2, 5)]), Duration::from_secs_f64(10.5));
        assert_eq!(first_end(&[load(2, 5), load(2, 3)]), Duration::from_secs_f64(12.5));
    }

    #[test]
    fn measurements_are_averaged_and_unknown_sizes_follow_the_nearest() {
        let key = |side| CompatibilityKey { height: side, width: side };
        let mut estimate = Costs::default();
        assert_eq!(estimate.row(key(8)), 0.0);
        estimate.add_pass(key(8), 4, Duration::from_secs(8));
        assert_eq!((estimate.row(key(8)), estimate.row(key(16))), (2.0, 8.0));
        for _ in 0..50 {
            estimate.add_pass(key(8), 2, Duration::from_secs(2));
        }
        assert!((estimate.row(key(8)) - 1.0).abs() < 0.01);
        estimate.add_decode(key(8), 2, Duration::from_secs(1));
        assert_eq!(estimate.decode(key(8)), 0.5);
    }
}
