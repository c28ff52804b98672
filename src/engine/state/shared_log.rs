//! The attention of a source that all of its edits read.
//!
//! ```text
//! none ──plan──> planned ──open──> open ──detach──> none
//! ```
//! Bytes are reserved when a job is admitted: its attention is *planned*. Once the prompts are encoded the log is
//! *open*. Of an open log, each step's attention is *present*, *scheduled* (the source's run, the store or a replay is
//! about to write it) or only planned. An edit schedules what it needs and is not scheduled yet. *detach* drops the
//! log, to free its bytes.

use std::mem;
use std::sync::Arc;

use crate::recordings::budget::Reservation;
use crate::recordings::{AttentionLog, Coverage, Place};

/// The shared log of a source.
#[derive(Debug, Default)]
pub(crate) struct SharedLog(State);

#[derive(Debug, Default)]
enum State {
    /// No edit has asked for attention.
    #[default]
    None,
    /// Bytes are reserved for the prompts and for what is planned.
    Planned { place: Place, reservation: Reservation, planned: Coverage },
    /// The log exists.
    Open(OpenLog),
}

/// A log that can be read and filled.
#[derive(Debug)]
pub(crate) struct OpenLog {
    place: Place,
    log: Arc<AttentionLog>,
    /// What is in the log, or on its way into it.
    scheduled: Coverage,
}

impl SharedLog {
    /// The log of an earlier job, with what is in it.
    pub fn recorded(place: Place, log: Arc<AttentionLog>) -> Self {
        let scheduled = log.present();
        Self(State::Open(OpenLog { place, log, scheduled }))
    }

    /// The place of the log, or the planned one.
    pub fn place(&self) -> Option<Place> {
        match &self.0 {
            State::None => None,
            State::Planned { place, .. } => Some(*place),
            State::Open(open) => Some(open.place),
        }
    }

    /// Bytes that are reserved for it.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            State::None => 0,
            State::Planned { reservation, .. } => reservation.bytes(),
            State::Open(open) => open.log.bytes(),
        }
    }

    /// The part of `needs` for which no bytes are reserved.
    pub fn unplanned(&self, needs: &Coverage) -> Coverage {
        match &self.0 {
            State::None => needs.clone(),
            State::Planned { planned, .. } => needs.minus(planned),
            State::Open(open) => needs.minus(&open.log.planned()),
        }
    }

    /// What the log has or will get; `None` without a log.
    pub fn expected(&self) -> Option<&Coverage> {
        match &self.0 {
            State::None => None,
            State::Planned { planned, .. } => Some(planned),
            State::Open(open) => Some(&open.scheduled),
        }
    }

    /// Plans more, with the bytes for it. `place` must be the log's place, if it has one.
    pub fn plan(&mut self, place: Place, more: &Coverage, new: Reservation) {
        match &mut self.0 {
            State::Open(open) => open.log.plan(more, new),
            State::Planned { reservation, planned, .. } => {
                reservation.absorb(new);
                *planned = planned.union(more);
            }
            State::None => self.0 = State::Planned { place, reservation: new, planned: more.clone() },
        }
    }

    /// Whether bytes are reserved and the log is not open yet.
    pub fn is_planned(&self) -> bool {
        matches!(self.0, State::Planned { .. })
    }

    /// Opens the planned log: `make` builds it at its place, for what is planned, with the reserved bytes.
    pub fn open(&mut self, make: impl FnOnce(Place, Coverage, Reservation) -> Arc<AttentionLog>) -> Option<&OpenLog> {
        match mem::take(&mut self.0) {
            State::Planned { place, reservation, planned } => {
                // An empty coverage of as many steps.
                let scheduled = planned.minus(&planned);
                let open = OpenLog { place, log: make(place, planned, reservation), scheduled };
                self.0 = State::Open(open);
                self.opened()
            }
            other => {
                self.0 = other;
                None
            }
        }
    }

    /// The log, if it is open.
    pub fn opened(&self) -> Option<&OpenLog> {
        match &self.0 {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    /// The log, if it is open, to be changed.
    pub fn opened_mut(&mut self) -> Option<&mut OpenLog> {
        match &mut self.0 {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    /// Drops the log, to free its bytes for something else.
    pub fn detach(&mut self) {
        self.0 = State::None;
    }
}

impl OpenLog {
    /// Its place.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The log.
    pub fn log(&self) -> &Arc<AttentionLog> {
        &self.log
    }

    /// Schedules what an edit needs; returns what was not scheduled before and has to be fetched.
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

    /// Unschedules what is missing, because it will not be written. The next edit that needs it schedules it again.
    pub fn unschedule_missing(&mut self) {
        self.scheduled = self.log.present();
    }

    /// Replaces the log by its copy at another place.
    pub fn move_to(&mut self, place: Place, log: Arc<AttentionLog>) {
        (self.place, self.log) = (place, log);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::testing::{coverage, log};
    use crate::recordings::budget::Budget;

    #[test]
    fn bytes_are_reserved_once_and_more_only_for_what_is_not_planned_yet() {
        let budget = Budget::new(100);
        let mut shared = SharedLog::default();
        assert_eq!((shared.place(), shared.bytes(), shared.expected()), (None, 0, None));
        assert_eq!(shared.unplanned(&coverage(0..4)), coverage(0..4));

        shared.plan(Place::Memory, &coverage(0..4), budget.try_reserve(40).unwrap());
        assert!(shared.is_planned());
        let more = shared.unplanned(&coverage(2..6));
        assert_eq!(more, coverage(4..6));
        shared.plan(Place::Memory, &more, budget.try_reserve(20).unwrap());
        assert_eq!((shared.place(), shared.bytes(), budget.used()), (Some(Place::Memory), 60, 60));
        assert!(shared.unplanned(&coverage(0..6)).is_empty());
        shared.detach();
        assert_eq!((shared.place(), budget.used()), (None, 0));
    }

    #[test]
    fn a_log_opens_once_with_what_is_planned() {
        let budget = Budget::new(100);
        let mut shared = SharedLog::default();
        assert!(shared.open(|_, _, _| panic!("nothing is planned")).is_none());
        shared.plan(Place::Memory, &coverage(0..4), budget.try_reserve(40).unwrap());
        let open = shared.open(|place, planned, reservation| {
            assert_eq!((place, &planned, reservation.bytes()), (Place::Memory, &coverage(0..4), 40));
            log(planned, reservation)
        });
        assert!(open.is_some() && !shared.is_planned());
        assert!(shared.open(|_, _, _| panic!("it is open")).is_none());
        assert!(shared.opened().is_some(), "and stays open");
        // Later reservations go to the open log.
        shared.plan(Place::Memory, &coverage(4..6), budget.try_reserve(20).unwrap());
        assert_eq!((shared.bytes(), shared.unplanned(&coverage(0..6)).is_empty()), (60, true));
    }

    #[test]
    fn what_is_needed_is_scheduled_once() {
        let budget = Budget::new(100);
        let mut shared = SharedLog::default();
        shared.plan(Place::Memory, &coverage(0..6), budget.try_reserve(60).unwrap());
        shared.open(|_, planned, reservation| log(planned, reservation));
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
        let mut shared = SharedLog::recorded(Place::Memory, log(coverage(0..4), budget.try_reserve(40).unwrap()));
        let open = shared.opened_mut().unwrap();
        assert_eq!(open.schedule(&coverage(0..2)), coverage(0..2), "planned, and not there");
        open.move_to(Place::Device, log(coverage(0..4), budget.try_reserve(40).unwrap()));
        assert_eq!((open.place(), shared.place(), budget.used()), (Place::Device, Some(Place::Device), 40));
    }
}
