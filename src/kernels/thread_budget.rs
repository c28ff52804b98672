//! How many threads a tensor operation may use.
//!
//! candle reads the number from the environment at every operation, so the environment is where it has to be set.

#![allow(unsafe_code)]

/// The variable that candle, and the matrix products below it, read.
const VARIABLE: &str = "RAYON_NUM_THREADS";

/// Lets tensor operations use `count` threads; false where it is too late to say so, because other threads run.
pub fn limit(count: usize) -> bool {
    if !is_single_threaded() {
        return false;
    }
    // SAFETY: `set_var` is unsound while another thread may read the environment. There is no other thread: the
    // system's list of this process's threads has one entry, and only this thread could start another.
    unsafe { std::env::set_var(VARIABLE, count.to_string()) };
    true
}

/// Whether this is the process's only thread; false where the system does not say.
fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn beside_other_threads_nothing_is_changed() {
        // The test harness runs tests on threads of their own.
        assert!(!super::limit(1000));
        assert_ne!(std::env::var(super::VARIABLE).ok().as_deref(), Some("1000"));
    }
}
