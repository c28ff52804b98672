//! The state of a source's trajectory, from its reservation to its completion.
//!
//! ```text
//! reserved ──open──> looking up ──found──> reading ──read──> complete
//!    │                   │ not found       │ lost              ^ finish
//!    └───────open──────> wanted <──────────┘ ──begin──> running ┘
//! ```
//! If it is known whether the store has the trajectory, it is not looked up: `open` goes to *reading* or *wanted*. A
//! trajectory that is in memory already begins as *complete*. Every state before the trajectory exists holds the
//! reservation of its bytes. A source whose run fails, or cannot begin, is *failed* for good.

use std::mem;
use std::sync::Arc;

use crate::engine::runs::set::RunKey;
use crate::media::Image;
use crate::recordings::Trajectory;
use crate::recordings::budget::Reservation;

/// The state of a source's trajectory.
#[derive(Debug)]
pub(crate) struct TrajectoryState(State);

#[derive(Debug)]
enum State {
    /// Its bytes are reserved.
    Reserved { stored: Stored, reservation: Reservation },
    /// The store is asked whether it has it.
    LookingUp { reservation: Reservation },
    /// It is being read from the store.
    Reading { reservation: Reservation },
    /// The source is to be run.
    Wanted { reservation: Reservation },
    /// Its run writes it.
    Running { run: RunKey, trajectory: Arc<Trajectory> },
    /// It is complete.
    Complete(Arc<Trajectory>),
    /// Its run failed.
    Failed,
}

/// Whether the store has a trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The store has it.
    Yes,
    /// The store does not have it: the source has to be run.
    No,
    /// The store is being asked.
    Pending,
}

/// What has to happen next for a trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// The store's answer is awaited.
    LookingUp,
    /// It is read from the store.
    Reading,
    /// The source is to be run.
    Wanted,
    /// Nothing.
    Unchanged,
}

impl TrajectoryState {
    /// A trajectory that is not in memory, with its bytes reserved.
    pub fn reserved(stored: Stored, reservation: Reservation) -> Self {
        Self(State::Reserved { stored, reservation })
    }

    /// A trajectory that is in memory.
    pub fn complete(trajectory: Arc<Trajectory>) -> Self {
        Self(State::Complete(trajectory))
    }

    /// Begins to obtain the trajectory. `read` asks the store for it, and returns whether the store will answer.
    pub fn open(&mut self, read: impl FnOnce() -> bool) -> Opened {
        match self.take() {
            State::Reserved { stored: Stored::Pending, reservation } => {
                self.0 = State::LookingUp { reservation };
                Opened::LookingUp
            }
            State::Reserved { stored, reservation } => self.read_or_run(stored == Stored::Yes && read(), reservation),
            other => {
                self.0 = other;
                Opened::Unchanged
            }
        }
    }

    /// The look-up is answered. `read` asks for the trajectory if the store has it, and returns whether the store will
    /// answer.
    pub fn looked_up(&mut self, read: impl FnOnce() -> bool) -> Opened {
        match self.take() {
            State::LookingUp { reservation } => self.read_or_run(read(), reservation),
            other => {
                self.0 = other;
                Opened::Unchanged
            }
        }
    }

    fn read_or_run(&mut self, is_read: bool, reservation: Reservation) -> Opened {
        if is_read {
            self.0 = State::Reading { reservation };
            Opened::Reading
        } else {
            self.0 = State::Wanted { reservation };
            Opened::Wanted
        }
    }

    /// It was read: `make` builds the trajectory with its reservation. Returns whether it was awaited.
    pub fn read(&mut self, make: impl FnOnce(Reservation) -> Arc<Trajectory>) -> bool {
        match self.take() {
            State::Reading { reservation } => {
                self.0 = State::Complete(make(reservation));
                true
            }
            other => {
                self.0 = other;
                false
            }
        }
    }

    /// It cannot be read: the source has to be run. Returns whether it was awaited.
    pub fn lose(&mut self) -> bool {
        match self.take() {
            State::Reading { reservation } => {
                self.0 = State::Wanted { reservation };
                true
            }
            other => {
                self.0 = other;
                false
            }
        }
    }

    /// Begins the run of a source that is wanted: `start` makes the run and the trajectory that it fills. If it fails,
    /// the source has failed.
    pub fn begin<E>(
        &mut self,
        start: impl FnOnce(Reservation) -> Result<(RunKey, Arc<Trajectory>), E>,
    ) -> Result<(), E> {
        match self.take() {
            State::Wanted { reservation } => {
                let (run, trajectory) = start(reservation)?;
                self.0 = State::Running { run, trajectory };
            }
            other => self.0 = other,
        }
        Ok(())
    }

    /// The run is done, with the decoded image. Returns whether it was running.
    pub fn finish(&mut self, image: Option<Arc<Image>>) -> bool {
        match self.take() {
            State::Running { trajectory, .. } => {
                if let Some(image) = image {
                    trajectory.set_image(image);
                }
                self.0 = State::Complete(trajectory);
                true
            }
            other => {
                self.0 = other;
                false
            }
        }
    }

    /// The run failed. A complete trajectory stays.
    pub fn fail(&mut self) {
        if !matches!(self.0, State::Complete(_)) {
            self.0 = State::Failed;
        }
    }

    /// Whether the source probably has to be run: the store does not have it, or has not answered yet.
    pub fn has_to_run(&self) -> bool {
        matches!(self.0, State::Reserved { stored: Stored::No | Stored::Pending, .. })
    }

    /// Whether the store's answer to the look-up is awaited.
    pub fn is_looking_up(&self) -> bool {
        matches!(self.0, State::LookingUp { .. })
    }

    /// Whether its run is about to begin.
    pub fn is_wanted(&self) -> bool {
        matches!(self.0, State::Wanted { .. })
    }

    /// Whether it is being read from the store.
    pub fn is_reading(&self) -> bool {
        matches!(self.0, State::Reading { .. })
    }

    /// The run that fills it.
    pub fn run(&self) -> Option<RunKey> {
        match self.0 {
            State::Running { run, .. } => Some(run),
            _ => None,
        }
    }

    /// The trajectory, growing or complete.
    pub fn begun(&self) -> Option<&Arc<Trajectory>> {
        match &self.0 {
            State::Running { trajectory, .. } | State::Complete(trajectory) => Some(trajectory),
            _ => None,
        }
    }

    /// The complete trajectory.
    pub fn completed(&self) -> Option<&Arc<Trajectory>> {
        match &self.0 {
            State::Complete(trajectory) => Some(trajectory),
            _ => None,
        }
    }

    fn take(&mut self) -> State {
        mem::replace(&mut self.0, State::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::testing::{image, reservation, trajectory};

    fn running() -> TrajectoryState {
        let mut state = TrajectoryState::reserved(Stored::No, reservation());
        state.open(|| true);
        state.begin(|reservation| Ok::<_, ()>((7, trajectory(reservation)))).unwrap();
        state
    }

    #[test]
    fn a_source_without_a_file_is_run() {
        let mut state = TrajectoryState::reserved(Stored::No, reservation());
        assert!(state.has_to_run() && state.begun().is_none());
        assert_eq!(state.open(|| panic!("there is no file to read")), Opened::Wanted);
        assert!(state.is_wanted() && !state.has_to_run());
        state.begin(|reservation| Ok::<_, ()>((7, trajectory(reservation)))).unwrap();
        assert_eq!((state.run(), state.begun().is_some(), state.completed().is_some()), (Some(7), true, false));
        assert!(state.finish(Some(image())));
        assert_eq!((state.run(), state.completed().and_then(|done| done.image()).is_some()), (None, true));
    }

    #[test]
    fn a_source_with_a_file_is_read_and_run_where_the_file_is_lost() {
        let found = || TrajectoryState::reserved(Stored::Yes, reservation());
        let mut read = found();
        assert!(!read.has_to_run());
        assert_eq!(read.open(|| true), Opened::Reading);
        assert!(read.is_reading() && read.begun().is_none());
        assert!(read.read(trajectory) && read.completed().is_some());
        assert!(!read.lose() && read.completed().is_some(), "it is not waited for any more");

        let mut lost = found();
        lost.open(|| true);
        assert!(lost.lose() && lost.is_wanted());
        assert!(!lost.read(|_| panic!("it comes too late")) && lost.is_wanted());

        let mut without_files = found();
        assert_eq!(without_files.open(|| false), Opened::Wanted);
    }

    #[test]
    fn a_source_that_may_be_stored_is_looked_up_and_then_read_or_run() {
        let looking_up = || {
            let mut state = TrajectoryState::reserved(Stored::Pending, reservation());
            assert!(state.has_to_run(), "as far as is known");
            assert_eq!(state.open(|| panic!("it is not known yet")), Opened::LookingUp);
            assert!(state.is_looking_up() && !state.is_wanted() && !state.is_reading() && state.begun().is_none());
            state
        };
        let mut found = looking_up();
        assert_eq!(found.open(|| panic!("it was opened before")), Opened::Unchanged);
        assert!(!found.lose() && found.is_looking_up(), "nothing is read that could be lost");
        assert_eq!(found.looked_up(|| true), Opened::Reading);
        assert_eq!(found.looked_up(|| panic!("it was answered before")), Opened::Unchanged);
        assert!(found.read(trajectory) && found.completed().is_some());

        let mut missing = looking_up();
        assert_eq!(missing.looked_up(|| false), Opened::Wanted);
        assert!(missing.is_wanted());

        let mut failed = looking_up();
        failed.fail();
        assert_eq!(failed.looked_up(|| panic!("it is too late")), Opened::Unchanged);
    }

    #[test]
    fn the_bytes_stay_reserved_until_the_source_fails() {
        let budget = crate::recordings::budget::Budget::new(100);
        let mut state = TrajectoryState::reserved(Stored::Yes, budget.try_reserve(60).unwrap());
        state.open(|| true);
        state.lose();
        assert_eq!(budget.used(), 60);
        state.fail();
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_source_that_cannot_begin_or_fails_is_failed_for_good() {
        let mut state = TrajectoryState::reserved(Stored::No, reservation());
        state.open(|| true);
        assert_eq!(state.begin(|_| Err("no noise")), Err("no noise"));
        assert!(!state.is_wanted() && state.begun().is_none());
        assert_eq!(state.open(|| true), Opened::Unchanged);

        let mut state = running();
        state.fail();
        assert!(!state.finish(Some(image())) && state.begun().is_none());
    }

    #[test]
    fn what_has_begun_does_not_begin_again() {
        let mut state = running();
        assert_eq!(state.open(|| panic!("it was opened before")), Opened::Unchanged);
        state.begin(|_| -> Result<_, ()> { panic!("it runs") }).unwrap();
        assert_eq!(state.run(), Some(7));
        state.finish(None);
        state.fail();
        assert!(state.completed().is_some(), "what is complete stays");
    }
}
