//! The threads that kernels share their work among.
//!
//! A [`Pool`] belongs to the thread that [enters](Pool::enter) it; kernels called on that thread divide their work
//! among it and the pool's helpers, and on any other thread do all of it themselves. Work is cut into chunks whose
//! results do not depend on which thread computes them, and the next free thread takes the next chunk: where the system
//! preempts a helper, the threads that run do the rest. Helpers look for work for some microseconds before they sleep,
//! since a network asks for hundreds of short operations in a row.

#![allow(unsafe_code)]

use std::cell::{RefCell, UnsafeCell};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};

/// How often a helper looks for work before it sleeps: some tens of microseconds.
const LOOKS: usize = 4_000;
/// How often a waiting thread looks before it yields the CPU.
const LOOKS_BEFORE_YIELD: usize = 200;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Pool>>> = const { RefCell::new(None) };
}

/// Work that is cut into chunks; called once with the number of each.
type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// Helpers for one thread.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// The number of tasks so far in the upper half, the chunks of the last one that are not taken yet in the lower.
    state: AtomicU64,
    /// Chunks that are done.
    done: AtomicUsize,
    /// The last task. Written only while no chunk of any task is taken and not done.
    task: UnsafeCell<Option<*const Task<'static>>>,
    /// Whether a thread is in `run`.
    is_busy: AtomicBool,
    has_panicked: AtomicBool,
    is_ending: AtomicBool,
    sleepers: Vec<Sleeper>,
}

#[derive(Debug, Default)]
struct Sleeper {
    sleeps: AtomicBool,
}

// SAFETY: `task` is the one field that is not shareable by itself. It is written by the one thread in `run` (`is_busy`
// excludes others), before it publishes chunks by a release store to `state`, and when all chunks of the task before
// are done. It is read by threads that have taken a chunk by an acquiring exchange of `state`, before they mark it
// done. So no write is concurrent with a read. What it points to may be used by several threads: `Task` is `Sync`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

const CHUNKS: u64 = u32::MAX as u64;

impl Pool {
    /// A pool of `threads`, the one that enters it included.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(threads: NonZeroUsize) -> std::io::Result<Self> {
        let count = threads.get() - 1;
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            task: UnsafeCell::new(None),
            is_busy: AtomicBool::new(false),
            has_panicked: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            sleepers: (0..count).map(|_| Sleeper::default()).collect(),
        });
        let mut pool = Self { shared, helpers: Vec::with_capacity(count) };
        for index in 0..count {
            let shared = Arc::clone(&pool.shared);
            let help = move || shared.help(index);
            pool.helpers.push(std::thread::Builder::new().name(format!("kernel-{}", index + 1)).spawn(help)?);
        }
        Ok(pool)
    }

    /// Threads that work, the one that enters included.
    pub fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Makes kernels on this thread use the pool, until what is returned is dropped.
    pub fn enter(self: Arc<Self>) -> Entered {
        Entered(CURRENT.with(|current| current.replace(Some(self))))
    }

    /// Calls `work` once with each number below `chunks`, which is at least 1, on whichever threads are free. False,
    /// with nothing done, where the pool is at work already: for another thread, or for the one that asks from within a
    /// chunk.
    fn run(&self, chunks: u32, work: &Task<'_>) -> bool {
        let shared = &self.shared;
        if shared.is_busy.swap(true, Ordering::Acquire) {
            return false;
        }
        let _busy = Busy(shared);
        // SAFETY: only the lifetime is changed. It is not called after this function has ended: it ends when every
        // chunk is done, and a thread that finds no chunk left does not read the task.
        let task: *const Task<'static> = unsafe { std::mem::transmute(std::ptr::from_ref(work)) };
        // SAFETY: all chunks of the task before are done, as this function has waited for them; see `Shared`.
        unsafe { *shared.task.get() = Some(task) };
        shared.done.store(0, Ordering::Relaxed);
        let tasks = (shared.state.load(Ordering::Relaxed) >> 32).wrapping_add(1) & CHUNKS;
        // Sequentially consistent, as is what sleepers do: either they see this, or they are seen asleep.
        shared.state.store((tasks << 32) | u64::from(chunks), Ordering::SeqCst);
        for (sleeper, helper) in shared.sleepers.iter().zip(&self.helpers) {
            if sleeper.sleeps.load(Ordering::SeqCst) {
                wake(sleeper, helper.thread());
            }
        }
        while shared.take_and_do() {}
        let mut looks = 0;
        while shared.done.load(Ordering::Acquire) < chunks as usize {
            looks += 1;
            if looks % LOOKS_BEFORE_YIELD == 0 {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        if shared.has_panicked.swap(false, Ordering::Relaxed) {
            resume_unwind(Box::new("a part of an operation panicked"));
        }
        true
    }
}

fn wake(sleeper: &Sleeper, thread: &Thread) {
    sleeper.sleeps.store(false, Ordering::SeqCst);
    thread.unpark();
}

impl Shared {
    /// Takes the next chunk and does it; whether there was one.
    fn take_and_do(&self) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        let chunk = loop {
            let left = state & CHUNKS;
            if left == 0 {
                return false;
            }
            match self.state.compare_exchange_weak(state, state - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break left - 1,
                Err(now) => state = now,
            }
        };
        // SAFETY: a chunk is taken and not yet done, so the task is there and is not being written; see `Shared`. It
        // lives until that chunk is done, because `run` waits for it.
        let task = unsafe { (*self.task.get()).map(|task| &*task) };
        if let Some(task) = task {
            // The chunk must be counted as done: `run` waits for it.
            if catch_unwind(AssertUnwindSafe(|| task(usize::try_from(chunk).unwrap_or(0)))).is_err() {
                self.has_panicked.store(true, Ordering::Relaxed);
            }
        }
        self.done.fetch_add(1, Ordering::Release);
        true
    }

    fn help(&self, index: usize) {
        let sleeper = &self.sleepers[index];
        let mut looks = 0;
        while !self.is_ending.load(Ordering::Acquire) {
            if self.take_and_do() {
                looks = 0;
                continue;
            }
            looks += 1;
            if looks < LOOKS {
                if looks % LOOKS_BEFORE_YIELD == 0 {
                    std::thread::yield_now();
                } else {
                    std::hint::spin_loop();
                }
                continue;
            }
            looks = 0;
            sleeper.sleeps.store(true, Ordering::SeqCst);
            while sleeper.sleeps.load(Ordering::SeqCst)
                && self.state.load(Ordering::SeqCst) & CHUNKS == 0
                && !self.is_ending.load(Ordering::SeqCst)
            {
                std::thread::park();
            }
            sleeper.sleeps.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::SeqCst);
        for (sleeper, helper) in self.shared.sleepers.iter().zip(self.helpers.drain(..)) {
            wake(sleeper, helper.thread());
            // It panics only where `take_and_do` has caught it already.
            let _ = helper.join();
        }
    }
}

/// The pool that a thread has entered; the one before is entered again when this is dropped.
#[derive(Debug)]
#[must_use = "the pool is left when this is dropped"]
pub struct Entered(Option<Arc<Pool>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.0.take()));
    }
}

/// Threads that work on what this thread asks for.
pub fn threads() -> usize {
    CURRENT.with_borrow(|pool| pool.as_ref().map_or(1, |pool| pool.threads()))
}

/// Calls `work` once with each number below `chunks`, in any order, on the threads of the pool that this thread has
/// entered. A call from within `work` is not shared any further, nor is one while the pool is at work for another
/// thread.
pub fn for_each(chunks: usize, work: impl Fn(usize) + Sync) {
    let is_done = CURRENT.with_borrow(|pool| match (pool, u32::try_from(chunks)) {
        (Some(pool), Ok(count)) if count > 1 && pool.threads() > 1 => pool.run(count, &work),
        _ => false,
    });
    if !is_done {
        (0..chunks).for_each(work);
    }
}

/// Lets the next task in, also after a panic.
struct Busy<'a>(&'a Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn pool(threads: usize) -> Arc<Pool> {
        Arc::new(Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap())
    }

    #[test]
    fn every_chunk_is_done_once() {
        for threads in 1..5 {
            let _entered = pool(threads).enter();
            for chunks in (0..40).chain([1_000]) {
                for _ in 0..50 {
                    let counts: Vec<_> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                    for_each(chunks, |chunk| {
                        counts[chunk].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
                }
            }
        }
    }

    #[test]
    fn helpers_wake_up_again() {
        let _entered = pool(2).enter();
        for _ in 0..5 {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
            let threads = Mutex::new(std::collections::HashSet::new());
            for_each(64, |_| {
                threads.lock().unwrap().insert(std::thread::current().id());
                std::thread::park_timeout(std::time::Duration::from_millis(1));
            });
            assert_eq!(threads.into_inner().unwrap().len(), 2);
        }
    }

    #[test]
    fn work_within_work_is_done_where_it_is_asked_for() {
        let _entered = pool(2).enter();
        let count = AtomicUsize::new(0);
        let add = |_| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        for_each(8, |_| for_each(8, add));
        assert_eq!(count.into_inner(), 64);
    }

    #[test]
    fn threads_that_have_entered_one_pool_do_not_disturb_each_other() {
        let pool = pool(3);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let pool = Arc::clone(&pool);
                scope.spawn(move || {
                    let _entered = pool.enter();
                    for chunks in 1..200 {
                        let count = AtomicUsize::new(0);
                        for_each(chunks, |_| {
                            count.fetch_add(1, Ordering::Relaxed);
                        });
                        assert_eq!(count.into_inner(), chunks);
                    }
                });
            }
        });
    }

    #[test]
    fn a_chunk_that_panics_is_the_callers_panic_and_the_pool_goes_on() {
        let _entered = pool(3).enter();
        for _ in 0..20 {
            let result = catch_unwind(|| for_each(10, |chunk| assert_ne!(chunk, 7)));
            assert!(result.is_err());
            let count = AtomicUsize::new(0);
            for_each(10, |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 10);
        }
    }

    #[test]
    fn a_thread_that_has_entered_no_pool_works_alone() {
        assert_eq!(threads(), 1);
        let me = std::thread::current().id();
        for_each(5, |_| assert_eq!(std::thread::current().id(), me));
    }
}
