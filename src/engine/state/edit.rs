//! The edit of a job.
//!
//! ```text
//! source only                    (the job records a source and has no edit)
//! same as source                 (an edit that changes nothing: its image is the source's)
//! waiting ──begin──> running ──finish──> done
//! ```
//! An edit waits until its source has begun and the source's attention can be read, either from the log that all edits
//! of the source share, or from a log of its own, which a replay of its own fills. An edit whose run cannot be made is
//! `failed`; its job is answered with the error.

use std::mem;
use std::sync::Arc;

use crate::engine::job::PreparedEdit;
use crate::engine::runs::set::RunKey;
use crate::engine::state::OpenLog;
use crate::media::Image;
use crate::recordings::budget::Reservation;
use crate::recordings::{AttentionMaps, Tier};

/// How far an edit is.
#[derive(Debug)]
pub(crate) struct EditState(State);

#[derive(Debug)]
enum State {
    SourceOnly,
    SameAsSource,
    Waiting {
        edit: PreparedEdit,
        log: LogChoice,
    },
    Running {
        run: RunKey,
        own_replay: Option<RunKey>,
    },
    Done {
        image: Arc<Image>,
        maps: Option<AttentionMaps>,
    },
    /// Its run could not be made; its job is about to be answered.
    Failed,
}

/// The log from which a waiting edit will read its source's attention.
#[derive(Debug)]
pub(crate) enum LogChoice {
    /// The log that all edits of the source share.
    Shared,
    /// A log of its own of a few steps, because the source's attention exceeds the budget; with the bytes for it.
    Own(Reservation),
}

/// The log from which an edit that begins reads its source's attention.
#[derive(Debug)]
pub(crate) enum Attention<'a> {
    /// The log that all edits of the source share.
    Shared(&'a mut OpenLog),
    /// A log of its own, for which these bytes are reserved.
    Own(Reservation),
}

/// An edit that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Its run.
    pub run: RunKey,
    /// The replay that fills a log of its own.
    pub own_replay: Option<RunKey>,
    /// The lowest tier that its attention comes from; [`Tier::Trajectory`] where some of it is computed again.
    pub lowest_tier: Tier,
}

/// The result of an edit's run.
#[derive(Debug)]
pub(crate) struct FinishedEdit {
    /// Its image.
    pub image: Arc<Image>,
    /// Its attention, where that was asked for.
    pub maps: Option<AttentionMaps>,
}

impl EditState {
    /// The state of a job that records a source and has no edit.
    pub fn source_only() -> Self {
        Self(State::SourceOnly)
    }

    /// The state of an edit that changes nothing.
    pub fn same_as_source() -> Self {
        Self(State::SameAsSource)
    }

    /// The state of an edit that waits to be run.
    pub fn waiting(edit: PreparedEdit, log: LogChoice) -> Self {
        Self(State::Waiting { edit, log })
    }

    /// Begins an edit that waits, if it can read its source's attention now: always from a log of its own, from the
    /// `shared` log once that is open. `start` makes the run; if it fails, the edit has failed. Returns what has begun.
    pub fn begin<E>(
        &mut self,
        shared: Option<&mut OpenLog>,
        start: impl FnOnce(PreparedEdit, Attention<'_>) -> Result<Begun, E>,
    ) -> Result<Option<Begun>, E> {
        let (edit, attention) = match (mem::replace(&mut self.0, State::Failed), shared) {
            (State::Waiting { edit, log: LogChoice::Own(reservation) }, _) => (edit, Attention::Own(reservation)),
            (State::Waiting { edit, log: LogChoice::Shared }, Some(open)) => (edit, Attention::Shared(open)),
            (other, _) => {
                self.0 = other;
                return Ok(None);
            }
        };
        let begun = start(edit, attention)?;
        self.0 = State::Running { run: begun.run, own_replay: begun.own_replay };
        Ok(Some(begun))
    }

    /// A run is done. Returns whether it is this edit's.
    pub fn finish(&mut self, ended: RunKey, finished: FinishedEdit) -> bool {
        match self.0 {
            State::Running { run, .. } if run == ended => {
                self.0 = State::Done { image: finished.image, maps: finished.maps };
                true
            }
            _ => false,
        }
    }

    /// The edit, while it waits.
    pub fn waiting_edit(&self) -> Option<&PreparedEdit> {
        match &self.0 {
            State::Waiting { edit, .. } => Some(edit),
            _ => None,
        }
    }

    /// Whether it waits, with bytes reserved for a log of its own.
    pub fn waits_for_own_log(&self) -> bool {
        matches!(self.0, State::Waiting { log: LogChoice::Own(_), .. })
    }

    /// Whether it reads the shared log, or will.
    pub fn reads_shared_log(&self) -> bool {
        matches!(self.0, State::Waiting { log: LogChoice::Shared, .. } | State::Running { own_replay: None, .. })
    }

    /// Whether the job has no run of its own: its image is the source's.
    pub fn is_source(&self) -> bool {
        matches!(self.0, State::SourceOnly | State::SameAsSource)
    }

    /// Its run.
    pub fn run(&self) -> Option<RunKey> {
        match self.0 {
            State::Running { run, .. } => Some(run),
            _ => None,
        }
    }

    /// The runs that serve this edit alone.
    pub fn own_runs(&self) -> impl Iterator<Item = RunKey> + use<> {
        let (run, replay) = match self.0 {
            State::Running { run, own_replay } => (Some(run), own_replay),
            _ => (None, None),
        };
        run.into_iter().chain(replay)
    }

    /// The edit's image and maps, if it is complete. A recording has neither; an edit that changes nothing has its
    /// source's image.
    pub fn result(&self, source: &Arc<Image>) -> Option<(Option<Arc<Image>>, Option<AttentionMaps>)> {
        match &self.0 {
            State::SourceOnly => Some((None, None)),
            State::SameAsSource => Some((Some(Arc::clone(source)), None)),
            State::Done { image, maps } => Some((Some(Arc::clone(image)), maps.clone())),
            State::Waiting { .. } | State::Running { .. } | State::Failed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::testing::{begun, image, open_log, prepared_edit, reservation};

    fn finished() -> FinishedEdit {
        FinishedEdit { image: image(), maps: None }
    }

    #[test]
    fn an_edit_of_the_shared_log_begins_when_that_is_open() {
        let mut edit = EditState::waiting(prepared_edit(), LogChoice::Shared);
        let begins = edit.begin(None, |_, _| -> Result<Begun, ()> { panic!("there is no log yet") });
        assert!(begins.unwrap().is_none() && edit.waiting_edit().is_some());
        let mut shared = open_log();
        let begins = edit.begin(shared.opened_mut(), |_, attention| {
            assert!(matches!(attention, Attention::Shared(_)));
            Ok::<_, ()>(begun(3, None))
        });
        assert!(begins.unwrap().is_some());
        assert_eq!((edit.run(), edit.own_runs().collect::<Vec<_>>()), (Some(3), vec![3]));
        assert!(edit.reads_shared_log() && edit.waiting_edit().is_none());
        let again = edit.begin(shared.opened_mut(), |_, _| -> Result<Begun, ()> { panic!("it runs") });
        assert!(again.unwrap().is_none() && edit.run() == Some(3));
    }

    #[test]
    fn an_edit_with_a_log_of_its_own_waits_for_no_other() {
        let mut edit = EditState::waiting(prepared_edit(), LogChoice::Own(reservation()));
        assert!(edit.waits_for_own_log() && !edit.reads_shared_log());
        edit.begin(None, |_, attention| {
            assert!(matches!(attention, Attention::Own(_)));
            Ok::<_, ()>(begun(3, Some(4)))
        })
        .unwrap();
        assert_eq!(edit.own_runs().collect::<Vec<_>>(), [3, 4]);
        assert!(!edit.reads_shared_log() && !edit.waits_for_own_log());
    }

    #[test]
    fn an_edit_is_done_with_the_end_of_its_own_run() {
        let mut edit = EditState::waiting(prepared_edit(), LogChoice::Own(reservation()));
        assert!(!edit.finish(3, finished()), "it has not begun");
        edit.begin(None, |_, _| Ok::<_, ()>(begun(3, Some(4)))).unwrap();
        assert!(!edit.finish(4, finished()), "its replay is not its run");
        assert!(edit.result(&image()).is_none());
        assert!(edit.finish(3, finished()));
        assert!(edit.run().is_none() && edit.own_runs().next().is_none());
        assert!(matches!(edit.result(&image()), Some((Some(_), None))));
    }

    #[test]
    fn an_edit_that_cannot_begin_never_has_a_result() {
        let mut edit = EditState::waiting(prepared_edit(), LogChoice::Own(reservation()));
        assert!(edit.begin(None, |_, _| Err("no tokens")).is_err());
        assert!(edit.waiting_edit().is_none() && edit.result(&image()).is_none());
    }

    #[test]
    fn without_a_run_the_images_are_the_sources() {
        let source = image();
        let (edited, _) = EditState::source_only().result(&source).unwrap();
        assert!(edited.is_none());
        let (edited, _) = EditState::same_as_source().result(&source).unwrap();
        assert!(Arc::ptr_eq(&edited.unwrap(), &source));
        assert!(EditState::source_only().is_source() && EditState::same_as_source().is_source());
    }
}
