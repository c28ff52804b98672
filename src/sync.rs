//! Locking without poison.
//!
//! Contract: every value behind a lock of this crate stays valid if a thread panics while it holds the lock: it is
//! changed by single assignments, or by collections that keep their invariants. So poison carries no information, and a
//! panic in one request must not fail all others.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks a mutex, poisoned or not.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value of a mutex that has no other users, poisoned or not.
pub(crate) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading, poisoned or not.
pub(crate) fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing, poisoned or not.
pub(crate) fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// The message of a panic, as [`std::panic::catch_unwind`] and joined threads hand it over.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poisoned_lock_is_taken_all_the_same_and_its_panic_has_a_message() {
        let value = Mutex::new(1);
        let panicked = std::thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _held = lock(&value);
                panic!("while holding {}", "the lock");
            });
            holder.join().unwrap_err()
        });
        assert!(value.is_poisoned());
        assert_eq!((*lock(&value), panic_message(&*panicked)), (1, "while holding the lock"));
        assert_eq!(into_inner(value), 1);
    }

    #[test]
    fn a_poisoned_read_write_lock_is_read_and_written_all_the_same() {
        let value = RwLock::new(1);
        let panicked = std::thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _held = write(&value);
                panic!("while holding the lock");
            });
            holder.join().is_err()
        });
        assert!(panicked && value.is_poisoned());
        *write(&value) += 1;
        assert_eq!(*read(&value), 2);
    }
}
