//! What the allocator does with memory that was freed.
//!
//! A pass of the network frees and takes the same megabytes hundreds of times a second. An allocator that returns pages
//! to the system meanwhile has them cleared again at their next use, which took a sixth of a pass. So freed pages are
//! kept for some seconds, and returned when the worker is idle.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_long};

/// mimalloc's `mi_option_purge_delay`; its number is part of the library's interface.
const PURGE_DELAY: c_int = 15;
/// Milliseconds before freed pages go back to the system.
const KEPT_FOR: c_long = 10_000;

/// Keeps freed memory for some seconds; where mimalloc is the allocator. Called once, at the start.
pub fn keep_freed() {
    // SAFETY: it sets one number of mimalloc, which reads it whenever it needs it. It is said not to be thread safe
    // because two threads could set it at once; where that happened here, both would set the same number.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, KEPT_FOR) }
}

/// Returns freed memory of this thread to the system.
pub fn return_freed() {
    // SAFETY: it may be called at any time, from any thread.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
