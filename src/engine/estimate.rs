//! What work costs, from what work has cost: seconds of a row of the UNet, of a decoded image, by size.
//!
//! It weighs recordings when room is made, and tells clients how long they will wait.

use std::collections::BTreeMap;
use std::time::Duration;

use super::batch::CompatibilityKey;

/// How much of an average a new measurement is.
const NEWEST: f64 = 0.2;

/// An average that follows what is measured.
#[derive(Debug, Clone, Copy, Default)]
struct Average(Option<f64>);

impl Average {
    fn add(&mut self, seconds: f64) {
        self.0 = Some(self.0.map_or(seconds, |average| average + NEWEST * (seconds - average)));
    }
}

/// Measured costs by size of the latents.
#[derive(Debug, Default)]
pub struct Estimate {
    rows: BTreeMap<CompatibilityKey, Average>,
    decodes: BTreeMap<CompatibilityKey, Average>,
}

impl Estimate {
    /// Notes a pass of the UNet.
    pub fn passed(&mut self, key: CompatibilityKey, rows: usize, took: Duration) {
        self.rows.entry(key).or_default().add(took.as_secs_f64() / as_f64(rows.max(1)));
    }

    /// Notes that images were decoded.
    pub fn decoded(&mut self, key: CompatibilityKey, images: usize, took: Duration) {
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

/// The average of this size; of a size never seen, that of the nearest one, in proportion to the positions.
fn of_size(averages: &BTreeMap<CompatibilityKey, Average>, key: CompatibilityKey) -> f64 {
    let positions = |key: CompatibilityKey| key.height * key.width;
    let wanted = positions(key);
    let nearest = averages.iter().min_by_key(|(known, _)| (**known != key, positions(**known).abs_diff(wanted)));
    nearest.and_then(|(known, average)| Some(average.0? * as_f64(wanted) / as_f64(positions(*known)))).unwrap_or(0.0)
}

#[allow(clippy::cast_precision_loss)]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_counts_and_sizes_never_seen_follow_the_nearest() {
        let key = |side| CompatibilityKey { height: side, width: side };
        let mut estimate = Estimate::default();
        assert_eq!(estimate.row(key(8)), 0.0);
        estimate.passed(key(8), 4, Duration::from_secs(8));
        assert_eq!((estimate.row(key(8)), estimate.row(key(16))), (2.0, 8.0));
        for _ in 0..50 {
            estimate.passed(key(8), 2, Duration::from_secs(2));
        }
        assert!((estimate.row(key(8)) - 1.0).abs() < 0.01);
        estimate.decoded(key(8), 2, Duration::from_secs(1));
        assert_eq!(estimate.decode(key(8)), 0.5);
    }
}
