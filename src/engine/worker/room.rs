//! Reserving memory for what a job reads, before anything is done for it. What is admitted can finish.

use crate::engine::job::{EngineError, Work};
use crate::engine::runs::needs_of;
use crate::engine::state::{AttentionRoom, EditState, SourceState};
use crate::engine::worker::context::Context;
use crate::recordings::attention_log::PASSING_STEPS;
use crate::recordings::budget::Reservation;
use crate::recordings::{Coverage, StepSet, Tier};

/// Why something cannot be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Other jobs hold it; it becomes free when they end.
    Now,
    /// It is more than the budget.
    Ever {
        /// Bytes that it takes.
        bytes: u64,
        /// Bytes of the budget.
        budget: u64,
    },
}

impl From<NoRoom> for Option<EngineError> {
    /// The error of a job for which there will never be room.
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Now => None,
            NoRoom::Ever { bytes, budget } => Some(EngineError::SourceTooLarge { bytes, budget }),
        }
    }
}

impl Context<'_> {
    /// What a job reads of its source's attention; for a recording, what edits without windows of their own will read.
    pub(super) fn needs(&self, work: &Work) -> Coverage {
        match work {
            Work::Edit { edit, .. } => needs_of(&edit.plan),
            Work::Record { source } => {
                let presets = self.shared.model.get().map(|model| &model.presets).into_iter();
                let windows = presets.flat_map(|presets| presets.steps(source.steps)).map(|(cross, own)| Coverage {
                    cross: StepSet::range(source.steps, cross),
                    self_attention: StepSet::range(source.steps, own),
                });
                windows.fold(Coverage::none(source.steps), |all, window| all.union(&window))
            }
        }
    }

    /// Reserves what a job reads of its source's attention. `is_first` says that no other job reads the source.
    pub(super) fn reserve_for(
        &self,
        source: &mut SourceState,
        work: &Work,
        is_first: bool,
    ) -> Result<EditState, NoRoom> {
        match work {
            Work::Record { .. } => {
                // Attention is recorded along with the source where there is room; the source is what was asked for.
                if source.trajectory.has_to_run() {
                    let _ = self.reserve_shared(source, &self.needs(work));
                }
                Ok(EditState::source_only())
            }
            Work::Edit { edit, .. } if edit.plan.is_identity() => Ok(EditState::same_as_source()),
            Work::Edit { edit, .. } => {
                let room = self.reserve_attention(source, &needs_of(&edit.plan), is_first)?;
                Ok(EditState::waiting(edit.clone(), room))
            }
        }
    }

    /// Bytes of a tier. Where other jobs hold them, the caller waits.
    pub(super) fn reserve(&self, tier: Tier, bytes: u64) -> Result<Reservation, NoRoom> {
        let budget = self.store().limit(tier);
        match self.store().reserve(tier, bytes) {
            Some(reservation) => Ok(reservation),
            None if bytes > budget => Err(NoRoom::Ever { bytes, budget }),
            None => Err(NoRoom::Now),
        }
    }

    /// Room for the attention that an edit reads: in the shared log, or in a log of its own of a few steps where the
    /// source is larger than memory.
    fn reserve_attention(
        &self,
        source: &mut SourceState,
        needs: &Coverage,
        is_first: bool,
    ) -> Result<AttentionRoom, NoRoom> {
        match self.reserve_shared(source, needs) {
            Ok(()) => return Ok(AttentionRoom::Shared),
            Err(NoRoom::Now) => return Err(NoRoom::Now),
            Err(NoRoom::Ever { .. }) => {}
        }
        let bytes = source.layout.context_bytes() + source.layout.bytes(&Coverage::first(PASSING_STEPS));
        let room = match self.reserve(Tier::Memory, bytes) {
            Err(NoRoom::Now) if is_first => {
                // What is kept of this very source may be in the way.
                self.store().detach_attention(&source.id);
                source.log.detach();
                self.reserve(Tier::Memory, bytes)
            }
            room => room,
        };
        room.map(AttentionRoom::Own)
    }

    /// Room in the shared log for what is not planned yet, in the best tier that can have it.
    fn reserve_shared(&self, source: &mut SourceState, needs: &Coverage) -> Result<(), NoRoom> {
        let (held, more, at) = (source.log.bytes(), source.log.unplanned(needs), source.log.tier());
        if at.is_some() && more.is_empty() {
            return Ok(());
        }
        let prompts = if at.is_none() { source.layout.context_bytes() } else { 0 };
        let bytes = source.layout.bytes(&more) + prompts;
        let tiers: &[Tier] = at.as_ref().map_or(&[Tier::Device, Tier::Memory], std::slice::from_ref);
        let mut no_room = NoRoom::Ever { bytes, budget: 0 };
        for &tier in tiers {
            let budget = self.store().limit(tier);
            if held + bytes > budget {
                if no_room != NoRoom::Now {
                    no_room = NoRoom::Ever { bytes: held + bytes, budget };
                }
                continue;
            }
            match self.reserve(tier, bytes) {
                Ok(reservation) => {
                    source.log.plan(tier, &more, reservation);
                    return Ok(());
                }
                Err(error) => no_room = error,
            }
        }
        Err(no_room)
    }
}
