//! Which entry of a full tier is evicted: GreedyDual-Size (Cao and Irani, "Cost-Aware WWW Proxy Caching Algorithms",
//! USENIX 1997).
//!
//! An entry's credit is the cost of computing it again, per byte that it takes, on top of the tier's clock at its last
//! use. The entry with the least credit is evicted, and the clock moves up to its credit. So entries that have not been
//! used for long are evicted first, and of two equally old entries the cheaper one.

/// The clock of one tier: the highest credit that has been evicted from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Clock(f64);

/// What an entry is worth to its tier.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Credit(f64);

impl Clock {
    /// The credit of an entry that was last used at this clock, takes `bytes`, and costs `cost` to compute again (in any
    /// unit, the same for all entries).
    pub fn credit(self, cost: f64, bytes: u64) -> Credit {
        #[allow(clippy::cast_precision_loss)]
        let per_byte = cost / bytes.max(1) as f64;
        Credit(self.0 + per_byte)
    }

    /// Moves up to the credit of an entry that is evicted.
    pub fn evict(&mut self, credit: Credit) {
        self.0 = self.0.max(credit.0);
    }
}

/// The entry to evict: the least credit, and of equal credits the least recent use (the second field).
pub fn least<T>(entries: impl Iterator<Item = (Credit, u64, T)>) -> Option<(Credit, T)> {
    let least = entries.min_by(|(a, used_a, _), (b, used_b, _)| a.0.total_cmp(&b.0).then(used_a.cmp(used_b)));
    least.map(|(credit, _, entry)| (credit, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_costs_the_least_recently_used_is_evicted() {
        let clock = Clock::default();
        let entries = [(clock.credit(2.0, 10), 3, "new"), (clock.credit(2.0, 10), 1, "old")];
        assert_eq!(least(entries.into_iter()).unwrap().1, "old");
    }

    #[test]
    fn cheap_entries_are_evicted_before_expensive_ones_but_not_for_ever() {
        let mut clock = Clock::default();
        let expensive = clock.credit(8.0, 10);
        // Cheap ones come and go; each eviction moves the clock.
        for used in 0..20 {
            let cheap = clock.credit(1.0, 10);
            let entries = [(expensive, 0, "expensive"), (cheap, used + 1, "cheap")];
            let (credit, evicted) = least(entries.into_iter()).unwrap();
            if evicted == "expensive" {
                assert!(used >= 6, "it outlived only {used} cheap ones");
                return;
            }
            clock.evict(credit);
        }
        panic!("an entry that is never used stays for ever");
    }
}
