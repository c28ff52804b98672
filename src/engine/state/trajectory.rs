//! How far the trajectory of a source is.
//!
//! ```text
//! found ──open──> reading ──read──> complete
//!   │                │ lost              ^
//!   └──open──> wanted <┘ ──begin──> running
//! ```
//! Room for the trajectory is held by every state before it exists. A source whose run fails, or cannot begin, is
//! `failed`, which nothing leaves.

use std::mem;
use std::sync::Arc;

use crate::engine::runs::set::RunKey;
use crate::media::Image;
use crate::recordings::Trajectory;
use crate::recordings::budget::Reservation;

/// The trajectory of a source: what is there, or how it comes to be.
#[derive(Debug)]
pub(crate) struct TrajectoryState(State);

#[derive(Debug)]
enum State {
    /// There is room for it. It is in a file, or has to be run.
    Found { in_file: bool, room: Reservation },
    /// It is being read from its file.
    Reading { room: Reservation },
    /// It is to be run.
    Wanted { room: Reservation },
    /// It grows with its run.
    Running { run: RunKey, trajectory: Arc<Trajectory> },
    /// It is complete.
    Complete(Arc<Trajectory>),
    /// Its run failed.
    Failed,
}

/// How a source that was found is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It is read from its file.
    Reading,
    /// It is to be run.
    Wanted,
    /// Nothing has to be done.
    Unchanged,
}

impl TrajectoryState {
    /// A trajectory that is not in memory, with room for it.
    pub fn found(in_file: bool, room: Reservation) -> Self {
        Self(State::Found { in_file, room })
    }

    /// A trajectory that is in memory.
    pub fn complete(trajectory: Arc<Trajectory>) -> Self {
        Self(State::Complete(trajectory))
    }

    /// Begins to have a trajectory that was found. `read` asks for its file and says whether it will come.
    pub fn open(&mut self, read: impl FnOnce() -> bool) -> Opened {
        match self.take() {
            State::Found { in_file: true, room } if read() => {
                self.0 = State::Reading { room };
                Opened::Reading
            }
            State::Found { room, .. } => {
                self.0 = State::Wanted { room };
                Opened::Wanted
            }
            other => {
                self.0 = other;
                Opened::Unchanged
            }
        }
    }

    /// The file was read: `make` builds the trajectory into its room. Whether it was waited for.
    pub fn read(&mut self, make: impl FnOnce(Reservation) -> Arc<Trajectory>) -> bool {
        match self.take() {
            State::Reading { room } => {
                self.0 = State::Complete(make(room));
                true
            }
            other => {
                self.0 = other;
                false
            }
        }
    }

    /// The file is gone or damaged: the source has to be run. Whether the file was waited for.
    pub fn lose(&mut self) -> bool {
        match self.take() {
            State::Reading { room } => {
                self.0 = State::Wanted { room };
                true
            }
            other => {
                self.0 = other;
                false
            }
        }
    }

    /// Begins the run of a source that is wanted: `start` makes the run and the trajectory that it fills. Where it
    /// fails, so has the source.
    pub fn begin<E>(
        &mut self,
        start: impl FnOnce(Reservation) -> Result<(RunKey, Arc<Trajectory>), E>,
    ) -> Result<(), E> {
        match self.take() {
            State::Wanted { room } => {
                let (run, trajectory) = start(room)?;
                self.0 = State::Running { run, trajectory };
            }
            other => self.0 = other,
        }
        Ok(())
    }

    /// The run came to its end, with the image that its latents were decoded to. Whether it was running.
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

    /// Whether it was found and has to be run.
    pub fn has_to_run(&self) -> bool {
        matches!(self.0, State::Found { in_file: false, .. })
    }

    /// Whether its run is about to begin.
    pub fn is_wanted(&self) -> bool {
        matches!(self.0, State::Wanted { .. })
    }

    /// Whether its file is being read.
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
    use crate::engine::state::testing::{image, room, trajectory};

    fn running() -> TrajectoryState {
        let mut state = TrajectoryState::found(false, room());
        state.open(|| true);
        state.begin(|room| Ok::<_, ()>((7, trajectory(room)))).unwrap();
        state
    }

    #[test]
    fn a_source_without_a_file_is_run() {
        let mut state = TrajectoryState::found(false, room());
        assert!(state.has_to_run() && state.begun().is_none());
        assert_eq!(state.open(|| panic!("there is no file to read")), Opened::Wanted);
        assert!(state.is_wanted() && !state.has_to_run());
        state.begin(|room| Ok::<_, ()>((7, trajectory(room)))).unwrap();
        assert_eq!((state.run(), state.begun().is_some(), state.completed().is_some()), (Some(7), true, false));
        assert!(state.finish(Some(image())));
        assert_eq!((state.run(), state.completed().and_then(|done| done.image()).is_some()), (None, true));
    }

    #[test]
    fn a_source_with_a_file_is_read_and_run_where_the_file_is_lost() {
        let found = || TrajectoryState::found(true, room());
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
    fn the_room_stays_reserved_until_the_source_is_given_up() {
        let budget = crate::recordings::budget::Budget::new(100);
        let mut state = TrajectoryState::found(true, budget.try_reserve(60).unwrap());
        state.open(|| true);
        state.lose();
        assert_eq!(budget.used(), 60);
        state.fail();
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_source_that_cannot_begin_or_fails_is_failed_for_good() {
        let mut state = TrajectoryState::found(false, room());
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
