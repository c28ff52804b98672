//! The edit of a job.
//!
//! ```text
//! source only                    (a recording: the source's image is all that is asked for)
//! same as source                 (an edit that changes nothing: its image is the source's)
//! waiting ──begin──> running ──finish──> done
//! ```
//! An edit waits until its source has begun and its attention can be read: from the log that all edits of the source
//! share, or from one of its own, which a replay of its own fills.

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
        room: AttentionRoom,
    },
    Running {
        run: RunKey,
        own_replay: Option<RunKey>,
    },
    Done {
        image: Arc<Image>,
        maps: Option<AttentionMaps>,
    },
    /// It could not begin; its job is about to be answered.
    Failed,
}

/// Where an edit that waits will read its source's attention.
#[derive(Debug)]
pub(crate) enum AttentionRoom {
    /// In the log that all edits of the source share.
    Shared,
    /// In a log of its own of a few steps, as the source is larger than memory. This is the room for it.
    Own(Reservation),
}

/// Where an edit that begins reads its source's attention.
#[derive(Debug)]
pub(crate) enum Attention<'a> {
    /// In the log that all edits of the source share.
    Shared(&'a mut OpenLog),
    /// In a log of its own, for which this is the room.
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
    pub found: Tier,
}

/// What the run of an edit came to.
#[derive(Debug)]
pub(crate) struct FinishedEdit {
    /// Its image.
    pub image: Arc<Image>,
    /// Its attention, where that was asked for.
    pub maps: Option<AttentionMaps>,
}

impl EditState {
    /// Of a job that asks for its source alone.
    pub fn source_only() -> Self {
        Self(State::SourceOnly)
    }

    /// Of an edit that changes nothing.
    pub fn same_as_source() -> Self {
        Self(State::SameAsSource)
    }

    /// Of an edit that is to be run.
    pub fn waiting(edit: PreparedEdit, room: AttentionRoom) -> Self {
        Self(State::Waiting { edit, room })
    }

    /// Begins an edit that waits, once its attention can be read: at once from a log of its own, from the `shared` one
    /// as soon as that is open. `start` makes its run; where that fails, so has the edit. What has begun is returned.
    pub fn begin<E>(
        &mut self,
        shared: Option<&mut OpenLog>,
        start: impl FnOnce(PreparedEdit, Attention<'_>) -> Result<Begun, E>,
    ) -> Result<Option<Begun>, E> {
        let (edit, attention) = match (mem::replace(&mut self.0, State::Failed), shared) {
            (State::Waiting { edit, room: AttentionRoom::Own(room) }, _) => (edit, Attention::Own(room)),
            (State::Waiting { edit, room: AttentionRoom::Shared }, Some(log)) => (edit, Attention::Shared(log)),
            (other, _) => {
                self.0 = other;
                return Ok(None);
            }
        };
        let begun = start(edit, attention)?;
        self.0 = State::Running { run: begun.run, own_replay: begun.own_replay };
        Ok(Some(begun))
    }

    /// A run came to its end. Whether it is this edit's.
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

    /// Whether it waits, with room for a log of its own.
    pub fn waits_for_own_log(&self) -> bool {
        matches!(self.0, State::Waiting { room: AttentionRoom::Own(_), .. })
    }

    /// Whether it still reads the shared log, or is going to.
    pub fn reads_shared_log(&self) -> bool {
        matches!(self.0, State::Waiting { room: AttentionRoom::Shared, .. } | State::Running { own_replay: None, .. })
    }

    /// Whether the job's image is the source's.
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

    /// The edit's image and maps, where nothing of it is missing: neither exists for a recording, and an edit that
    /// changes nothing has its source's image.
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
    use crate::engine::state::testing::{begun, image, open_log, prepared_edit, room};

    fn finished() -> FinishedEdit {
        FinishedEdit { image: image(), maps: None }
    }

    #[test]
    fn an_edit_of_the_shared_log_begins_when_that_is_open() {
        let mut edit = EditState::waiting(prepared_edit(), AttentionRoom::Shared);
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
        let mut edit = EditState::waiting(prepared_edit(), AttentionRoom::Own(room()));
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
        let mut edit = EditState::waiting(prepared_edit(), AttentionRoom::Own(room()));
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
        let mut edit = EditState::waiting(prepared_edit(), AttentionRoom::Own(room()));
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
