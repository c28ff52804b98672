//! All sources that running jobs read, by session, and which run belongs to which of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::engine::runs::set::RunKey;
use crate::engine::state::{ActiveSource, RunningJob};
use crate::recordings::SessionId;

/// Sources and their jobs, by session.
#[derive(Debug, Default)]
pub(crate) struct Sources(BTreeMap<SessionId, ActiveSource>);

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunOwner {
    /// It runs a source for the first time.
    Source,
    /// It replays a source for the log that its edits share.
    Replay,
    /// It runs an edit, or a replay for that edit alone.
    Edit,
}

impl Sources {
    /// A source.
    pub fn get(&self, id: &SessionId) -> Option<&ActiveSource> {
        self.0.get(id)
    }

    /// A source, to be changed.
    pub fn get_mut(&mut self, id: &SessionId) -> Option<&mut ActiveSource> {
        self.0.get_mut(id)
    }

    /// A source, or where to put it.
    pub fn entry(&mut self, id: SessionId) -> Entry<'_, SessionId, ActiveSource> {
        self.0.entry(id)
    }

    /// All sources, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &ActiveSource> {
        self.0.values()
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut ActiveSource> {
        self.0.values_mut()
    }

    /// All jobs, source by source.
    pub fn jobs(&self) -> impl Iterator<Item = &RunningJob> {
        self.0.values().flat_map(ActiveSource::jobs)
    }

    /// Whether no job has started.
    pub fn has_no_jobs(&self) -> bool {
        self.jobs().next().is_none()
    }

    /// Keeps the jobs that are wanted; returns how many were dropped.
    pub fn retain_jobs(&mut self, is_wanted: impl Fn(&RunningJob) -> bool) -> usize {
        self.0.values_mut().map(|active| active.retain(&is_wanted)).sum()
    }

    /// Takes out all jobs.
    pub fn take_jobs(&mut self) -> Vec<RunningJob> {
        self.0.values_mut().flat_map(|active| std::mem::take(active.parts_mut().1)).collect()
    }

    /// Takes out the sources that no job reads.
    pub fn take_unused(&mut self) -> impl Iterator<Item = ActiveSource> {
        self.0.extract_if(.., |_, active| active.jobs().is_empty()).map(|(_, active)| active)
    }

    /// What a run is for, and the source that it belongs to; `None` if no job needs it any more.
    pub fn owner_of(&mut self, run: RunKey) -> Option<(RunOwner, &mut ActiveSource)> {
        self.0.values_mut().find_map(|active| Some((owner(active, run)?, active)))
    }

    /// Whether a job still needs a run.
    pub fn is_used(&self, run: RunKey) -> bool {
        self.0.values().any(|active| owner(active, run).is_some())
    }
}

fn owner(active: &ActiveSource, run: RunKey) -> Option<RunOwner> {
    if active.is_run(run) {
        Some(RunOwner::Source)
    } else if active.is_replay(run) {
        Some(RunOwner::Replay)
    } else {
        active.job_of(run).map(|_| RunOwner::Edit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::job::RecordingUse;
    use crate::engine::state::testing::{begun, job, layout, prepared_edit, reservation, session, source};
    use crate::engine::state::{EditState, LogChoice, Pins, SharedLog, SourceState, Stored, TrajectoryState};

    fn sources() -> (Sources, crate::engine::JobHandle) {
        let mut edit = EditState::waiting(prepared_edit(), LogChoice::Own(reservation()));
        edit.begin(None, |_, _| Ok::<_, ()>(begun(3, Some(4)))).unwrap();
        let parts = (TrajectoryState::reserved(Stored::No, reservation()), SharedLog::default(), Pins::default());
        let state = SourceState::new(session(), source(), layout(), parts);
        let (job, handle) = job(RecordingUse::Hit, edit);
        let mut sources = Sources::default();
        sources.entry(session()).or_insert(ActiveSource::new(state, job));
        (sources, handle)
    }

    #[test]
    fn a_job_that_is_canceled_leaves_neither_runs_nor_a_source_behind() {
        let (mut sources, handle) = sources();
        assert!(sources.is_used(3) && sources.is_used(4) && !sources.is_used(5));
        assert_eq!(sources.owner_of(4).map(|(owner, _)| owner), Some(RunOwner::Edit));
        let is_wanted = |job: &RunningJob| !job.ticket().is_canceled();
        assert_eq!((sources.retain_jobs(is_wanted), sources.take_unused().count()), (0, 0));
        drop(handle);
        assert_eq!(sources.retain_jobs(is_wanted), 1);
        assert!(sources.has_no_jobs() && !sources.is_used(3) && !sources.is_used(4));
        assert_eq!(sources.take_unused().count(), 1);
        assert!(sources.get(&session()).is_none());
    }

    #[test]
    fn jobs_are_taken_out_together() {
        let (mut sources, _handle) = sources();
        assert_eq!((sources.take_jobs().len(), sources.jobs().count()), (1, 0));
    }
}
