//! Which runs share a forward pass.

use super::run::{ROWS_PER_RUN, Run};

/// What rows of one batch must have in common; everything else (prompt, timestep, schedule, guidance) is a row's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// A run that could take a step: its name, its key, and the tick of its last step.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// The caller's name for the run.
    pub run: u64,
    /// What it can share a pass with.
    pub key: CompatibilityKey,
    /// When it last took a step; smaller is longer ago.
    pub last_tick: u64,
}

/// The runs of the next batch: the run that has waited longest, and those of its key that waited next longest, as
/// many as `max_rows` allows (one run at least).
pub fn next_batch(candidates: &[Candidate], max_rows: usize) -> Vec<u64> {
    let mut waiting = candidates.to_vec();
    waiting.sort_by_key(|candidate| candidate.last_tick);
    let Some(first) = waiting.first().copied() else {
        return Vec::new();
    };
    waiting
        .iter()
        .filter(|candidate| candidate.key == first.key)
        .take((max_rows / ROWS_PER_RUN).max(1))
        .map(|candidate| candidate.run)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(run: u64, side: usize, last_tick: u64) -> Candidate {
        Candidate { run, key: CompatibilityKey { height: side, width: side }, last_tick }
    }

    #[test]
    fn a_batch_holds_one_key_only_and_the_longest_waiting_first() {
        let waiting = [candidate(0, 16, 3), candidate(1, 8, 1), candidate(2, 16, 2), candidate(3, 8, 4)];
        assert_eq!(next_batch(&waiting, 8), [1, 3]);
        assert_eq!(next_batch(&waiting, 2), [1]);
    }

    #[test]
    fn one_run_always_fits() {
        assert_eq!(next_batch(&[candidate(5, 8, 0)], 1), [5]);
        assert!(next_batch(&[], 8).is_empty());
    }

    #[test]
    fn nobody_starves_behind_a_popular_size() {
        let mut runs: Vec<_> = (0..5).map(|run| candidate(run, if run == 4 { 8 } else { 16 }, 0)).collect();
        let mut steps = [0; 5];
        for tick in 1..=40 {
            for run in next_batch(&runs, 4) {
                runs[run as usize].last_tick = tick;
                steps[run as usize] += 1;
            }
        }
        assert!(steps.iter().all(|&steps| steps >= 10), "{steps:?}");
    }
}
