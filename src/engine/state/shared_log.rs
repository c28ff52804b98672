//! The attention of a source that all of its edits read.
//!
//! ```text
//! none ──plan──> planned ──open──> open ──detach──> none
//! ```
//! Room is reserved (*planned*) when a job is admitted. Once the prompts are encoded the log is *open*: it holds what
//! is there, and what is *scheduled*, that is on its way from the source's run, from files, or from a replay. An edit
//! schedules what it needs and nothing scheduled it before.

use std::mem;
use std::sync::Arc;

use crate::recordings::budget::Reservation;
use crate::recordings::{AttentionLog, Coverage, Tier};

/// The shared log of a source.
#[derive(Debug, Default)]
pub(crate) struct SharedLog(State);

#[derive(Debug, Default)]
enum State {
    /// No edit has asked for attention.
    #[default]
    None,
    /// Room is reserved for the prompts and for what is planned.
    Planned { tier: Tier, room: Reservation, planned: Coverage },
    /// The log is there.
    Open(OpenLog),
}

/// A log that can be read and filled.
#[derive(Debug)]
pub(crate) struct OpenLog {
    tier: Tier,
    log: Arc<AttentionLog>,
    /// What is in the log, or on its way into it.
    scheduled: Coverage,
}

impl SharedLog {
    /// The log of an earlier job, with what is in it.
    pub fn recorded(tier: Tier, log: Arc<AttentionLog>) -> Self {
        let scheduled = log.present();
        Self(State::Open(OpenLog { tier, log, scheduled }))
    }

    /// Where the log lies, or is planned to.
    pub fn tier(&self) -> Option<Tier> {
        match &self.0 {
            State::None => None,
            State::Planned { tier, .. } => Some(*tier),
            State::Open(open) => Some(open.tier),
        }
    }

    /// Bytes that are reserved for it.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            State::None => 0,
            State::Planned { room, .. } => room.bytes(),
            State::Open(open) => open.log.bytes(),
        }
    }

    /// What no room is reserved for.
    pub fn unplanned(&self, needs: &Coverage) -> Coverage {
        match &self.0 {
            State::None => needs.clone(),
            State::Planned { planned, .. } => needs.minus(planned),
            State::Open(open) => needs.minus(&open.log.planned()),
        }
    }

    /// What is there, on its way, or will be asked for by jobs that wait; `None` where there is no log.
    pub fn expected(&self) -> Option<&Coverage> {
        match &self.0 {
            State::None => None,
            State::Planned { planned, .. } => Some(planned),
            State::Open(open) => Some(&open.scheduled),
        }
    }

    /// Adds room for more. `tier` is that of the log, where there is one.
    pub fn plan(&mut self, tier: Tier, more: &Coverage, new: Reservation) {
        match &mut self.0 {
            State::Open(open) => open.log.plan(more, new),
            State::Planned { room, planned, .. } => {
                room.absorb(new);
                *planned = planned.union(more);
            }
            State::None => self.0 = State::Planned { tier, room: new, planned: more.clone() },
        }
    }

    /// Whether room is reserved for a log that is not there yet.
    pub fn is_planned(&self) -> bool {
        matches!(self.0, State::Planned { .. })
    }

    /// Opens the log that is planned: `make` builds it for a tier, what is planned, and their room.
    pub fn open(&mut self, make: impl FnOnce(Tier, Coverage, Reservation) -> Arc<AttentionLog>) -> Option<&OpenLog> {
        match mem::take(&mut self.0) {
            State::Planned { tier, room, planned } => {
                // Nothing, in the shape of what is planned.
                let scheduled = planned.minus(&planned);
                let open = OpenLog { tier, log: make(tier, planned, room), scheduled };
                self.0 = State::Open(open);
                self.opened()
            }
            other => {
                self.0 = other;
                None
            }
        }
    }

    /// The log, where it is open.
    pub fn opened(&self) -> Option<&OpenLog> {
        match &self.0 {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    /// The log, where it is open, to be scheduled.
    pub fn opened_mut(&mut self) -> Option<&mut OpenLog> {
        match &mut self.0 {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    /// Forgets the log: its room is wanted for something else.
    pub fn detach(&mut self) {
        self.0 = State::None;
    }
}

impl OpenLog {
    /// Where it lies.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The log.
    pub fn log(&self) -> &Arc<AttentionLog> {
        &self.log
    }

    /// Schedules what an edit needs; returns what nothing has scheduled before, so that it has to be fetched.
    pub fn schedule(&mut self, needs: &Coverage) -> Coverage {
        let missing = needs.minus(&self.scheduled);
        self.scheduled = self.scheduled.union(&missing);
        missing
    }

    /// Schedules all that is planned, for the source's run to record.
    pub fn schedule_planned(&mut self) -> Coverage {
        let planned = self.log.planned();
        self.scheduled = self.scheduled.union(&planned);
        planned
    }

    /// What is missing will not come: the next edit that needs it schedules it again.
    pub fn unschedule_missing(&mut self) {
        self.scheduled = self.log.present();
    }

    /// Puts a copy of the log, in another tier, in its place.
    pub fn move_to(&mut self, tier: Tier, log: Arc<AttentionLog>) {
        (self.tier, self.log) = (tier, log);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::testing::{coverage, log};
    use crate::recordings::budget::Budget;

    #[test]
    fn room_is_planned_once_and_grows_with_what_is_not_planned_yet() {
        let budget = Budget::new(100);
        let mut shared = SharedLog::default();
        assert_eq!((shared.tier(), shared.bytes(), shared.expected()), (None, 0, None));
        assert_eq!(shared.unplanned(&coverage(0..4)), coverage(0..4));

        shared.plan(Tier::Memory, &coverage(0..4), budget.try_reserve(40).unwrap());
        assert!(shared.is_planned());
        let more = shared.unplanned(&coverage(2..6));
        assert_eq!(more, coverage(4..6));
        shared.plan(Tier::Memory, &more, budget.try_reserve(20).unwrap());
        assert_eq!((shared.tier(), shared.bytes(), budget.used()), (Some(Tier::Memory), 60, 60));
        assert!(shared.unplanned(&coverage(0..6)).is_empty());
        shared.detach();
        assert_eq!((shared.tier(), budget.used()), (None, 0));
    }

    #[test]
    fn a_log_opens_once_with_what_is_planned() {
        let budget = Budget::new(100);
        let mut shared = SharedLog::default();
        assert!(shared.open(|_, _, _| panic!("nothing is planned")).is_none());
        shared.plan(Tier::Memory, &coverage(0..4), budget.try_reserve(40).unwrap());
        let open = shared.open(|tier, planned, room| {
            assert_eq!((tier, &planned, room.bytes()), (Tier::Memory, &coverage(0..4), 40));
            log(planned, room)
        });
        assert!(open.is_some() && !shared.is_planned());
        assert!(shared.open(|_, _, _| panic!("it is open")).is_none());
        assert!(shared.opened().is_some(), "and stays open");
        // More room goes into the open log.
        shared.plan(Tier::Memory, &coverage(4..6), budget.try_reserve(20).unwrap());
        assert_eq!((shared.bytes(), shared.unplanned(&coverage(0..6)).is_empty()), (60, true));
    }

    #[test]
    fn what_is_needed_is_scheduled_once() {
        let budget = Budget::new(100);
        let mut shared = SharedLog::default();
        shared.plan(Tier::Memory, &coverage(0..6), budget.try_reserve(60).unwrap());
        shared.open(|_, planned, room| log(planned, room));
        let open = shared.opened_mut().unwrap();
        assert_eq!(open.schedule(&coverage(0..3)), coverage(0..3));
        assert_eq!(open.schedule(&coverage(1..5)), coverage(3..5));
        assert!(open.schedule(&coverage(0..5)).is_empty());
        open.unschedule_missing();
        assert_eq!(open.schedule(&coverage(0..5)), coverage(0..5), "it never came, so it is fetched again");
        assert_eq!(open.schedule_planned(), coverage(0..6));
        assert!(open.schedule(&coverage(0..6)).is_empty());
        assert_eq!(shared.expected(), Some(&coverage(0..6)));
    }

    #[test]
    fn a_recorded_log_has_what_is_in_it() {
        let budget = Budget::new(100);
        let mut shared = SharedLog::recorded(Tier::Memory, log(coverage(0..4), budget.try_reserve(40).unwrap()));
        let open = shared.opened_mut().unwrap();
        assert_eq!(open.schedule(&coverage(0..2)), coverage(0..2), "planned, and not there");
        open.move_to(Tier::Device, log(coverage(0..4), budget.try_reserve(40).unwrap()));
        assert_eq!((open.tier(), shared.tier(), budget.used()), (Tier::Device, Some(Tier::Device), 40));
    }
}
