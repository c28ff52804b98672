//! A byte budget: bytes are reserved before anything is kept and returned when the reservation is dropped. The limit is
//! never exceeded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::recordings::limits::SessionLimits;
use crate::recordings::place::{PerTier, Tier};

/// The budgets of all tiers, of the recordings of one engine; that of [`Tier::Source`] is zero, sources take no bytes.
pub type Budgets = PerTier<Arc<Budget>>;

impl Budgets {
    /// Budgets by the limits; zero for the disk if no folder is configured.
    pub fn new(limits: &SessionLimits) -> Self {
        Self::from_fn(|tier| {
            Budget::new(match tier {
                Tier::Device => limits.device_bytes,
                Tier::Memory => limits.memory_bytes,
                Tier::Trajectory => limits.trajectory_bytes,
                Tier::Disk if limits.dir.is_some() => limits.disk_bytes,
                Tier::Disk | Tier::Source => 0,
            })
        })
    }
}

/// A limit in bytes, and how many are reserved.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), peak: AtomicU64::new(0) })
    }

    /// The most bytes that may be reserved.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are reserved.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// The most bytes that have been reserved at a time.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Acquire)
    }

    /// Bytes that must be returned before `bytes` can be reserved.
    pub fn missing(&self, bytes: u64) -> u64 {
        self.used().saturating_add(bytes).saturating_sub(self.limit)
    }

    /// Reserves bytes; `None` if the limit would be exceeded.
    pub fn try_reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let grow = |used: u64| used.checked_add(bytes).filter(|total| *total <= self.limit);
        let before = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).ok()?;
        self.peak.fetch_max(before + bytes, Ordering::AcqRel);
        Some(Reservation { bytes, budget: Arc::clone(self) })
    }
}

/// Bytes of a budget, returned on drop.
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

    /// Returns the bytes beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let freed = self.bytes.saturating_sub(bytes);
        self.bytes -= freed;
        self.release(freed);
    }

    fn release(&self, bytes: u64) {
        self.budget.used.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn a_budget_is_never_exceeded_and_returned_to_the_byte() {
        let budget = Budget::new(100);
        let mut first = budget.try_reserve(60).unwrap();
        assert!(budget.try_reserve(41).is_none());
        assert_eq!(budget.missing(41), 1);
        first.absorb(budget.try_reserve(40).unwrap());
        assert_eq!((first.bytes(), budget.used()), (100, 100));
        first.shrink_to(30);
        assert_eq!((first.bytes(), budget.used()), (30, 30));
        drop(first);
        assert_eq!((budget.used(), budget.peak()), (0, 100));
        assert!(budget.try_reserve(101).is_none());
        assert!(budget.try_reserve(u64::MAX).is_none());
        assert_eq!(budget.peak(), 100, "what was refused is no peak");
    }
}
