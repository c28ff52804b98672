//! The limit on jobs per caller, queued and running. A permit is held for as long as the job, which may outlive its
//! request, and released when the job ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::api::guard::Caller;
use crate::sync::lock;

type Held = Arc<Mutex<HashMap<Caller, usize>>>;

/// Limits the jobs of each caller.
#[derive(Debug)]
pub struct JobLimiter {
    limit: usize,
    /// Only callers that have jobs, so it has no more entries than there are jobs.
    held: Held,
}

/// Permits of one job group, released on drop; `None` if there is no limit.
#[derive(Debug)]
pub struct JobPermit(Option<(Held, Caller, usize)>);

impl JobLimiter {
    /// At most `limit` jobs for each caller; 0: no limit.
    pub fn new(limit: usize) -> Self {
        Self { limit, held: Held::default() }
    }

    /// The most jobs that a caller may have.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Permits for `count` jobs; `None` if the caller would exceed the limit.
    pub fn acquire(&self, caller: &Caller, count: usize) -> Option<JobPermit> {
        if self.limit == 0 {
            return Some(JobPermit(None));
        }
        let mut held = lock(&self.held);
        let taken = held.get(caller).copied().unwrap_or(0).saturating_add(count);
        (taken <= self.limit).then(|| {
            held.insert(caller.clone(), taken);
            JobPermit(Some((Arc::clone(&self.held), caller.clone(), count)))
        })
    }
}

impl Drop for JobPermit {
    fn drop(&mut self) {
        let Some((held, caller, count)) = self.0.take() else {
            return;
        };
        let mut held = lock(&held);
        match held.get_mut(&caller) {
            Some(taken) if *taken > count => *taken -= count,
            _ => drop(held.remove(&caller)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_each_callers_own_and_are_released() {
        let limiter = JobLimiter::new(2);
        let (alice, bob) = (Caller::Key("alice".into()), Caller::Key("bob".into()));
        let held = [limiter.acquire(&alice, 1), limiter.acquire(&alice, 1), limiter.acquire(&bob, 1)];
        assert!(held.iter().all(Option::is_some));
        assert!(limiter.acquire(&alice, 1).is_none());
        drop(held);
        assert!(limiter.held.lock().unwrap().is_empty(), "a caller without jobs takes no memory");
        assert!(limiter.acquire(&alice, 3).is_none());
        let two = limiter.acquire(&alice, 2);
        assert!(two.is_some() && limiter.acquire(&alice, 1).is_none());
        drop(two);
        assert!(limiter.acquire(&alice, 1).is_some());
        let any = JobLimiter::new(0);
        let held: Vec<_> = (0..1000).map(|_| any.acquire(&alice, 1)).collect();
        assert!(held.iter().all(Option::is_some) && any.held.lock().unwrap().is_empty());
    }
}
