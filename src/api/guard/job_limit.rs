//! How many jobs a caller may have waiting and running. A place is held by its job, which may outlive its request, and
//! given back when the job ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::guard::Caller;

type Held = Arc<Mutex<HashMap<Caller, usize>>>;

/// The jobs of all callers.
#[derive(Debug)]
pub struct Places {
    limit: usize,
    /// Callers with jobs alone: as many as there are jobs at most.
    held: Held,
}

/// The places of what belongs together, among its caller's.
#[derive(Debug)]
pub struct Place(Option<(Held, Caller, usize)>);

impl Places {
    /// So many for each caller; 0 is any number.
    pub fn new(limit: usize) -> Self {
        Self { limit, held: Held::default() }
    }

    /// How many a caller may have.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes so many, or none; `None` where the caller would have more than it may have.
    pub fn take(&self, caller: &Caller, count: usize) -> Option<Place> {
        if self.limit == 0 {
            return Some(Place(None));
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = held.get(caller).copied().unwrap_or(0).saturating_add(count);
        (taken <= self.limit).then(|| {
            held.insert(caller.clone(), taken);
            Place(Some((Arc::clone(&self.held), caller.clone(), count)))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((held, caller, count)) = self.0.take() else {
            return;
        };
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn places_are_each_callers_own_and_come_back() {
        let places = Places::new(2);
        let (alice, bob) = (Caller::Key("alice".into()), Caller::Key("bob".into()));
        let held = [places.take(&alice, 1), places.take(&alice, 1), places.take(&bob, 1)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(&alice, 1).is_none());
        drop(held);
        assert!(places.held.lock().unwrap().is_empty(), "who has no jobs takes no memory");
        assert!(places.take(&alice, 3).is_none());
        let two = places.take(&alice, 2);
        assert!(two.is_some() && places.take(&alice, 1).is_none());
        drop(two);
        assert!(places.take(&alice, 1).is_some());
        let any = Places::new(0);
        let held: Vec<_> = (0..1000).map(|_| any.take(&alice, 1)).collect();
        assert!(held.iter().all(Option::is_some) && any.held.lock().unwrap().is_empty());
    }
}
