//! Reserving memory for what a job reads, before anything is done for it, so that an admitted job can finish.
//!
//! Contract: an edit reads the source's attention from the shared log, at the best place whose budget can hold it. If
//! the attention exceeds the budgets of device and memory, the edit gets a log of its own of a few steps.

use crate::engine::budgets::smallest_log_bytes;
use crate::engine::job::{EngineError, Work};
use crate::engine::runs::{needs_in, needs_of};
use crate::engine::state::{EditState, LogChoice, SourceState};
use crate::engine::worker::context::Context;
use crate::recordings::budget::Reservation;
use crate::recordings::{Coverage, Place, RecordingLayout, Substance, Tier};

/// Why bytes cannot be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReserveError {
    /// Other jobs hold the bytes; they become free when these end.
    Busy,
    /// They exceed the budget, so that they can never be reserved.
    TooLarge {
        /// Bytes that are needed.
        bytes: u64,
        /// Bytes of the budget.
        budget: u64,
    },
}

impl From<ReserveError> for Option<EngineError> {
    /// The error of a job that can never start; `None` if it can start later.
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Busy => None,
            ReserveError::TooLarge { bytes, budget } => Some(EngineError::SourceTooLarge { bytes, budget }),
        }
    }
}

impl Context<'_> {
    /// What a job reads of its source's attention. For a recording: what later edits without windows of their own will
    /// read.
    pub(super) fn needs(&self, work: &Work, layout: &RecordingLayout) -> Coverage {
        match work {
            Work::Edit { edit, .. } => needs_of(&edit.plan, layout),
            Work::Record { source } => {
                let presets = self.shared.model.get().map(|model| &model.presets).into_iter();
                let windows = presets.flat_map(|presets| presets.steps(source.steps)).map(|(cross, own)| {
                    needs_in(layout, source.steps, |step| cross.contains(&step), |step| own.contains(&step))
                });
                windows.fold(Coverage::none(source.steps), |all, window| all.union(&window))
            }
        }
    }

    /// Reserves the bytes of the attention that a job reads; the state of its edit. `is_first` says that no other job
    /// reads the source.
    pub(super) fn reserve_for(
        &self,
        source: &mut SourceState,
        work: &Work,
        is_first: bool,
    ) -> Result<EditState, ReserveError> {
        match work {
            Work::Record { .. } => {
                // Only the source was asked for: its attention is recorded too if it fits.
                if source.trajectory.has_to_run() {
                    let needs = self.needs(work, &source.layout);
                    let _ = self.reserve_shared(source, &needs);
                }
                Ok(EditState::source_only())
            }
            Work::Edit { edit, .. } if edit.plan.is_identity() => Ok(EditState::same_as_source()),
            Work::Edit { edit, .. } => {
                let needs = self.needs(work, &source.layout);
                let log = self.reserve_attention(source, &needs, is_first)?;
                Ok(EditState::waiting(edit.clone(), log))
            }
        }
    }

    /// Reserves bytes of a tier, evicting what is not pinned if necessary.
    pub(super) fn reserve(&self, tier: Tier, bytes: u64) -> Result<Reservation, ReserveError> {
        let budget = self.recordings().limit(tier);
        match self.recordings().reserve(tier, bytes) {
            Some(reservation) => Ok(reservation),
            None if bytes > budget => Err(ReserveError::TooLarge { bytes, budget }),
            None => Err(ReserveError::Busy),
        }
    }

    /// Reserves the attention that an edit reads: in the shared log, or in a log of its own of a few steps if the
    /// source's attention exceeds every budget.
    fn reserve_attention(
        &self,
        source: &mut SourceState,
        needs: &Coverage,
        is_first: bool,
    ) -> Result<LogChoice, ReserveError> {
        match self.reserve_shared(source, needs) {
            Ok(()) => return Ok(LogChoice::Shared),
            Err(ReserveError::Busy) => return Err(ReserveError::Busy),
            Err(ReserveError::TooLarge { .. }) => {}
        }
        let bytes = smallest_log_bytes(&source.layout);
        let reservation = match self.reserve(Tier::Memory, bytes) {
            Err(ReserveError::Busy) if is_first => {
                // The bytes may be held by what is kept of this source itself.
                source.pins.log = None;
                source.log.detach();
                self.recordings().detach_attention(&source.id);
                self.reserve(Tier::Memory, bytes)
            }
            result => result,
        };
        reservation.map(LogChoice::Own)
    }

    /// Reserves bytes in the shared log for what is not planned yet, at the log's place or else the best place that can
    /// hold them.
    fn reserve_shared(&self, source: &mut SourceState, needs: &Coverage) -> Result<(), ReserveError> {
        let (held, more, at) = (source.log.bytes(), source.log.unplanned(needs), source.log.place());
        if at.is_some() && more.is_empty() {
            return Ok(());
        }
        let prompts = if at.is_none() { source.layout.context_bytes() } else { 0 };
        let bytes = source.layout.bytes(&more) + prompts;
        let places: &[Place] = at.as_ref().map_or(&[Place::Device, Place::Memory], std::slice::from_ref);
        let mut reason = ReserveError::TooLarge { bytes, budget: 0 };
        for &place in places {
            let tier = Tier::of(Substance::Attention, place);
            let budget = self.recordings().limit(tier);
            if held + bytes > budget {
                if reason != ReserveError::Busy {
                    reason = ReserveError::TooLarge { bytes: held + bytes, budget };
                }
                continue;
            }
            match self.reserve(tier, bytes) {
                Ok(reservation) => {
                    source.log.plan(place, &more, reservation);
                    return Ok(());
                }
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::job::Work;
    use crate::engine::state::testing::{
        layout_of_one_layer, prepared_edit, reservation, session, source, work_of_edit,
    };
    use crate::engine::state::{Pins, SharedLog, Stored, TrajectoryState};
    use crate::engine::worker::testing::{context, shared};
    use crate::recordings::attention_log::RING_STEPS;

    /// A source of one layer, whose prompts take 20 bytes and each step 8.
    fn reserved() -> SourceState {
        let parts = (TrajectoryState::reserved(Stored::No, reservation()), SharedLog::default(), Pins::default());
        SourceState::new(session(), source(), layout_of_one_layer(), parts)
    }

    /// Bytes that the edit of the tests reads, prompts included.
    fn bytes() -> u64 {
        let layout = layout_of_one_layer();
        let bytes = layout.context_bytes() + layout.bytes(&needs_of(&prepared_edit().plan, &layout));
        assert!(bytes > 20 + 8 * RING_STEPS as u64, "the edit reads more than a log of its own holds");
        bytes
    }

    #[test]
    fn an_edit_plans_the_shared_log_once_in_the_best_tier_that_can_hold_it() {
        for (device, memory, place) in [(1000, 1000, Place::Device), (bytes() - 1, 1000, Place::Memory)] {
            let tier = Tier::of(Substance::Attention, place);
            let shared = shared(device, memory);
            let (context, mut source) = (context(&shared), reserved());
            let edit = context.reserve_for(&mut source, &work_of_edit(), true).unwrap();
            assert!(edit.reads_shared_log());
            assert_eq!((source.log.place(), source.log.bytes()), (Some(place), bytes()));
            context.reserve_for(&mut source, &work_of_edit(), false).unwrap();
            assert_eq!(shared.recordings.used(tier), bytes(), "the second edit reads the same");
            drop(source);
            assert_eq!(shared.recordings.used(tier), 0);
        }
    }

    #[test]
    fn an_edit_waits_for_memory_that_others_hold() {
        let shared = shared(0, bytes());
        let (context, mut source) = (context(&shared), reserved());
        let held = context.reserve(Tier::Memory, 1).unwrap();
        assert_eq!(context.reserve_for(&mut source, &work_of_edit(), true).unwrap_err(), ReserveError::Busy);
        assert_eq!((source.log.place(), shared.recordings.used(Tier::Memory)), (None, 1));
        drop(held);
        assert!(context.reserve_for(&mut source, &work_of_edit(), true).unwrap().reads_shared_log());
    }

    #[test]
    fn a_source_larger_than_memory_gets_a_log_of_a_few_steps_or_is_refused() {
        let ring = 20 + 8 * RING_STEPS as u64;
        let shared_half = shared(0, bytes() - 1);
        let (worker, mut source) = (context(&shared_half), reserved());
        let edit = worker.reserve_for(&mut source, &work_of_edit(), true).unwrap();
        assert!(edit.waits_for_own_log() && source.log.place().is_none());
        assert_eq!(shared_half.recordings.used(Tier::Memory), ring);
        drop(edit);
        assert_eq!(shared_half.recordings.used(Tier::Memory), 0);

        let shared_half = shared(0, ring - 1);
        let refused = context(&shared_half).reserve_for(&mut source, &work_of_edit(), true).unwrap_err();
        assert_eq!(refused, ReserveError::TooLarge { bytes: ring, budget: ring - 1 });
        let error = EngineError::SourceTooLarge { bytes: ring, budget: ring - 1 };
        assert_eq!((Option::from(refused), Option::<EngineError>::from(ReserveError::Busy)), (Some(error), None));
    }

    #[test]
    fn a_recording_reserves_no_more_than_there_is() {
        let shared = shared(0, 0);
        let (context, mut source) = (context(&shared), reserved());
        let record = Work::Record { source: source.source.clone() };
        let edit = context.reserve_for(&mut source, &record, true).unwrap();
        assert!(edit.is_source() && source.log.place().is_none(), "without presets it plans nothing that does not fit");
    }
}
