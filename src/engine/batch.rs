//! Which runs share a forward pass.
//!
//! Contract: the rows of a batch have one [`CompatibilityKey`] and fit into the limit; a single run with more rows than
//! that is a batch of its own. No run waits for ever, because the one that has waited longest is always in the next
//! batch.

use crate::engine::runs::Run;

/// What the rows of one batch must have in common. Prompt, timestep, schedule and guidance may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CompatibilityKey {
    /// Height of the latents.
    pub height: usize,
    /// Width of the latents.
    pub width: usize,
}

impl CompatibilityKey {
    /// The key of a run.
    pub fn of(run: &Run) -> Self {
        let dims = run.latents().dims();
        Self { height: dims[2], width: dims[3] }
    }
}

/// A run that could take a step.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// The run's key.
    pub run: u64,
    /// Its compatibility key.
    pub key: CompatibilityKey,
    /// Rows that it adds.
    pub rows: usize,
    /// The tick of its last step; a smaller one is longer ago.
    pub last_tick: u64,
}

/// The runs of the next batch: the run that has waited longest and, from the longest wait to the shortest, all runs of
/// the same key that still fit into `max_rows`. A run that does not fit may be overtaken by smaller ones until it has
/// waited longest.
pub fn next_batch(candidates: &[Candidate], max_rows: usize) -> Vec<u64> {
    let mut waiting = candidates.to_vec();
    waiting.sort_by_key(|candidate| candidate.last_tick);
    let Some(first) = waiting.first().copied() else {
        return Vec::new();
    };
    let mut left = max_rows.max(first.rows);
    let mut batch = Vec::new();
    for candidate in waiting.iter().filter(|candidate| candidate.key == first.key) {
        if candidate.rows <= left {
            left -= candidate.rows;
            batch.push(candidate.run);
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(run: u64, side: usize, rows: usize, last_tick: u64) -> Candidate {
        Candidate { run, key: CompatibilityKey { height: side, width: side }, rows, last_tick }
    }

    #[test]
    fn a_batch_holds_one_key_only_and_the_longest_waiting_first() {
        let waiting = [candidate(0, 16, 2, 3), candidate(1, 8, 2, 1), candidate(2, 16, 2, 2), candidate(3, 8, 2, 4)];
        assert_eq!(next_batch(&waiting, 8), [1, 3]);
        assert_eq!(next_batch(&waiting, 2), [1]);
    }

    #[test]
    fn one_run_always_fits_and_a_replay_fills_a_gap() {
        assert_eq!(next_batch(&[candidate(5, 8, 2, 0)], 1), [5]);
        assert!(next_batch(&[], 8).is_empty());
        let waiting = [candidate(0, 8, 2, 0), candidate(1, 8, 2, 1), candidate(2, 8, 1, 2)];
        assert_eq!(next_batch(&waiting, 3), [0, 2]);
    }

    proptest! {
        /// Runs of any sizes and rows arrive at any time and stay for any number of steps: every batch has one key,
        /// its rows fit, no waiting run would fit into what is left, and no run waits longer than it takes to serve
        /// every run before it once.
        #[test]
        fn no_run_starves(
            arrivals in prop::collection::vec((0_u64..40, 0_usize..3, 1_usize..=2, 1_usize..8), 1..40),
            max_rows in 2_usize..9,
        ) {
            let mut tick = 0;
            let mut steps_left: Vec<usize> = arrivals.iter().map(|arrival| arrival.3).collect();
            let mut last_tick: Vec<u64> = arrivals.iter().map(|arrival| arrival.0).collect();
            while steps_left.iter().any(|&left| left > 0) {
                tick += 1;
                let waiting: Vec<_> = (0..arrivals.len())
                    .filter(|&run| arrivals[run].0 < tick && steps_left[run] > 0)
                    .map(|run| candidate(run as u64, arrivals[run].1, arrivals[run].2, last_tick[run]))
                    .collect();
                let batch = next_batch(&waiting, max_rows);
                prop_assert_eq!(batch.is_empty(), waiting.is_empty());
                let Some(oldest) = waiting.iter().min_by_key(|waiting| waiting.last_tick) else { continue };
                let members: Vec<_> = waiting.iter().filter(|waiting| batch.contains(&waiting.run)).collect();
                prop_assert!(members.iter().any(|member| member.last_tick == oldest.last_tick));
                prop_assert!(members.iter().all(|member| member.key == members[0].key));
                let rows: usize = members.iter().map(|member| member.rows).sum();
                prop_assert!(rows <= max_rows);
                let left_out = waiting.iter().filter(|waiting| !batch.contains(&waiting.run));
                for left_out in left_out.filter(|left_out| left_out.key == members[0].key) {
                    prop_assert!(rows + left_out.rows > max_rows);
                }
                for run in batch {
                    let waited = tick - last_tick[run as usize].max(arrivals[run as usize].0);
                    prop_assert!(waited <= arrivals.len() as u64 + 1, "{waited} ticks");
                    last_tick[run as usize] = tick;
                    steps_left[run as usize] -= 1;
                }
            }
        }
    }
}
