//! Bytes of a tier: reserved before anything is kept, given back when the last holder is gone, never above the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::IntGauge;

/// A limit in bytes, and how much of it is taken.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
    /// Follow `used`, for whoever watches.
    used_gauge: IntGauge,
    peak_gauge: IntGauge,
}

impl Budget {
    /// A budget of `limit` bytes that shows what is used, and the most that ever was, in two gauges.
    pub fn new(limit: u64, used_gauge: IntGauge, peak_gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), used_gauge, peak_gauge })
    }

    /// The most bytes that may be reserved.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are reserved.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// Bytes that must be given back before `bytes` can be reserved.
    pub fn missing(&self, bytes: u64) -> u64 {
        self.used().saturating_add(bytes).saturating_sub(self.limit)
    }

    /// Reserves bytes; `None` where the limit would be exceeded.
    pub fn try_reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let grow = |used: u64| used.checked_add(bytes).filter(|total| *total <= self.limit);
        let before = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).ok()?;
        self.used_gauge.add(as_gauge(bytes));
        self.peak_gauge.set(self.peak_gauge.get().max(as_gauge(before + bytes)));
        Some(Reservation { bytes, budget: Arc::clone(self) })
    }
}

fn as_gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Bytes of a budget, given back on drop.
#[derive(Debug)]
pub struct Reservation {
    bytes: u64,
    budget: Arc<Budget>,
}

impl Reservation {
    /// Bytes reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes over the bytes of another reservation of the same budget.
    pub fn absorb(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.budget, &other.budget), "reservations of one budget");
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back what is above `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let freed = self.bytes.saturating_sub(bytes);
        self.bytes -= freed;
        self.give_back(freed);
    }

    fn give_back(&self, bytes: u64) {
        self.budget.used.fetch_sub(bytes, Ordering::AcqRel);
        self.budget.used_gauge.sub(as_gauge(bytes));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
pub(crate) fn budget(limit: u64) -> Arc<Budget> {
    let gauge = |name: &str| IntGauge::new(name, "for tests").expect("a valid name");
    Budget::new(limit, gauge("used"), gauge("peak"))
}

#[cfg(test)]
mod tests {
    use super::budget;

    #[test]
    fn a_budget_is_never_exceeded_and_given_back_to_the_byte() {
        let budget = budget(100);
        let mut first = budget.try_reserve(60).unwrap();
        assert!(budget.try_reserve(41).is_none());
        assert_eq!(budget.missing(41), 1);
        first.absorb(budget.try_reserve(40).unwrap());
        assert_eq!((first.bytes(), budget.used()), (100, 100));
        first.shrink_to(30);
        assert_eq!((first.bytes(), budget.used(), budget.used_gauge.get()), (30, 30, 30));
        drop(first);
        assert_eq!((budget.used(), budget.peak_gauge.get()), (0, 100));
        assert!(budget.try_reserve(101).is_none());
        assert!(budget.try_reserve(u64::MAX).is_none());
    }
}
