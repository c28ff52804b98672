//! Pins: guards that keep an entry of the index from being evicted while it is read or written to the store.
//!
//! The index holds [`Pinnable`]s, readers hold [`Pinned`]s. A pin is taken under the index's lock, so nothing is pinned
//! between the moment it is chosen for eviction and the moment it is taken out. A plain `Arc` of the value is no pin: it
//! keeps the bytes (and their reservation) alive, but does not keep the entry in the index.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A value that can be pinned.
#[derive(Debug)]
pub(crate) struct Pinnable<T> {
    value: Arc<T>,
    pins: Arc<AtomicUsize>,
}

/// A value and the guard that pins it. A clone is a pin of its own.
#[derive(Debug)]
pub struct Pinned<T> {
    value: Arc<T>,
    pins: Arc<AtomicUsize>,
}

impl<T> Pinnable<T> {
    /// A value without pins.
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self { value, pins: Arc::default() }
    }

    /// Pins the value.
    pub(crate) fn pin(&self) -> Pinned<T> {
        Pinned::new(Arc::clone(&self.value), Arc::clone(&self.pins))
    }

    /// Whether there is a pin.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Acquire) > 0
    }

    /// The value.
    pub(crate) fn value(&self) -> &Arc<T> {
        &self.value
    }
}

impl<T> Pinned<T> {
    fn new(value: Arc<T>, pins: Arc<AtomicUsize>) -> Self {
        pins.fetch_add(1, Ordering::Relaxed);
        Self { value, pins }
    }

    /// A value that is in no index: there is nothing to be evicted from, the guard only keeps it alive.
    pub(crate) fn outside(value: Arc<T>) -> Self {
        Self::new(value, Arc::default())
    }

    /// The value, to be shared without a pin.
    pub fn shared(&self) -> &Arc<T> {
        &self.value
    }
}

impl<T> Clone for Pinned<T> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.value), Arc::clone(&self.pins))
    }
}

impl<T> Deref for Pinned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        self.pins.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Pinnable;

    #[test]
    fn an_entry_is_pinned_as_long_as_one_guard_lives() {
        let entry = Pinnable::new(Arc::new(7));
        assert!(!entry.is_pinned());
        let first = entry.pin();
        let second = first.clone();
        drop(first);
        assert!(entry.is_pinned());
        assert_eq!(*second, 7);
        drop(second);
        assert!(!entry.is_pinned());
    }

    #[test]
    fn a_shared_value_is_no_pin() {
        let entry = Pinnable::new(Arc::new(7));
        let shared = Arc::clone(entry.pin().shared());
        assert!(!entry.is_pinned(), "{shared} is held and does not count");
    }
}
