//! Who is pushed out of a full tier: GreedyDual-Size (Cao and Irani, "Cost-Aware WWW Proxy Caching Algorithms",
//! USENIX 1997).
//!
//! An entry's credit is what computing it again would cost, per byte that it takes, on top of the tier's clock when it
//! was last used; the entry with the least credit goes, and the clock moves up to its credit. So what was not used for
//! long goes first, and of two as old the one that is cheaper to have again.

/// The clock of one tier: the highest credit that was pushed out of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Clock(f64);

/// What an entry is worth to its tier.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Credit(f64);

impl Clock {
    /// The credit of an entry that was used when the clock stood here, takes `bytes` and `cost` (in whatever unit, one for all) to compute.
    pub fn credit(self, cost: f64, bytes: u64) -> Credit {
        #[allow(clippy::cast_precision_loss)]
        let per_byte = cost / bytes.max(1) as f64;
        Credit(self.0 + per_byte)
    }

    /// Moves up to the credit of the entry that was pushed out.
    pub fn pushed_out(&mut self, credit: Credit) {
        self.0 = self.0.max(credit.0);
    }
}

/// The entry to push out first: least credit, and of equal credits the one used longest ago.
pub fn least<T>(entries: impl Iterator<Item = (Credit, u64, T)>) -> Option<(Credit, T)> {
    let least = entries.min_by(|(a, used_a, _), (b, used_b, _)| a.0.total_cmp(&b.0).then(used_a.cmp(used_b)));
    least.map(|(credit, _, entry)| (credit, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_costs_the_least_recently_used_goes() {
        let clock = Clock::default();
        let entries = [(clock.credit(2.0, 10), 3, "new"), (clock.credit(2.0, 10), 1, "old")];
        assert_eq!(least(entries.into_iter()).unwrap().1, "old");
    }

    #[test]
    fn what_is_cheap_to_have_again_goes_before_what_is_dear_but_not_for_ever() {
        let mut clock = Clock::default();
        let dear = clock.credit(8.0, 10);
        // Cheap ones come and go; each that goes moves the clock.
        for used in 0..20 {
            let cheap = clock.credit(1.0, 10);
            let (credit, gone) = least([(dear, 0, "dear"), (cheap, used + 1, "cheap")].into_iter()).unwrap();
            if gone == "dear" {
                assert!(used >= 6, "it outlived its worth in cheap ones only by {used}");
                return;
            }
            clock.pushed_out(credit);
        }
        panic!("what nobody uses stays for ever");
    }
}
