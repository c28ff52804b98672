//! A source that at least one running job reads, and these jobs.
//!
//! Contract: what ends a run ends here. A source's failure takes all of its jobs with it, a replay's failure the edits
//! that read the shared log, an edit's failure its own job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::job::{Outcome, PreparedSource, Ticket};
use crate::engine::runs::set::RunKey;
use crate::engine::state::{FinishedEdit, OpenLog, RunningJob, SharedLog, TrajectoryState};
use crate::media::Image;
use crate::recordings::{AttentionLog, Pinned, RecordingLayout, SessionId, Trajectory};

/// A source without its jobs.
#[derive(Debug)]
pub(crate) struct SourceState {
    /// Its session.
    pub id: SessionId,
    /// What it is made from.
    pub source: PreparedSource,
    /// What is recorded at its size.
    pub layout: Arc<RecordingLayout>,
    /// Its latents, step by step, and its image.
    pub trajectory: TrajectoryState,
    /// The attention that all of its edits read.
    pub log: SharedLog,
    /// What is pinned of its session.
    pub pins: Pins,
    /// The run that computes again what is missing of the log.
    replay: Option<RunKey>,
}

/// Guards that keep a source's session from being evicted while jobs read it.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// Of the trajectory.
    pub trajectory: Option<Pinned<Trajectory>>,
    /// Of the shared log.
    pub log: Option<Pinned<AttentionLog>>,
}

/// A source whose steps can be read: its trajectory has begun.
#[derive(Debug)]
pub(crate) struct Readable<'a> {
    /// Its session.
    pub id: &'a SessionId,
    /// What it is made from.
    pub source: &'a PreparedSource,
    /// What is recorded at its size.
    pub layout: &'a Arc<RecordingLayout>,
    /// The trajectory, growing or complete.
    pub trajectory: &'a Arc<Trajectory>,
    /// The run that computes again what is missing of the log.
    pub replay: &'a mut Option<RunKey>,
}

impl SourceState {
    /// A source that has no run yet.
    pub fn new(
        id: SessionId,
        source: PreparedSource,
        layout: Arc<RecordingLayout>,
        (trajectory, log, pins): (TrajectoryState, SharedLog, Pins),
    ) -> Self {
        Self { id, source, layout, trajectory, log, pins, replay: None }
    }

    /// The source, once its steps can be read, and its log, once that is open.
    pub fn readable(&mut self) -> Option<(Readable<'_>, Option<&mut OpenLog>)> {
        let Self { id, source, layout, trajectory, log, replay, .. } = self;
        let readable = Readable { id, source, layout, trajectory: trajectory.begun()?, replay };
        Some((readable, log.opened_mut()))
    }

    /// Whether the prompts are needed now: the run begins, or the log is to be opened.
    pub fn needs_prompts(&self) -> bool {
        self.trajectory.is_wanted() || self.opens_log()
    }

    /// Whether the log is to be opened: it is planned, and the source is run or can be read.
    pub fn opens_log(&self) -> bool {
        self.log.is_planned() && (self.trajectory.is_wanted() || self.trajectory.begun().is_some())
    }
}

/// A source and the jobs that read it.
#[derive(Debug)]
pub(crate) struct ActiveSource {
    state: SourceState,
    jobs: Vec<RunningJob>,
}

impl ActiveSource {
    /// A source that its first job has opened.
    pub fn new(state: SourceState, first: RunningJob) -> Self {
        Self { state, jobs: vec![first] }
    }

    /// The source.
    pub fn state(&self) -> &SourceState {
        &self.state
    }

    /// The source, to be changed.
    pub fn state_mut(&mut self) -> &mut SourceState {
        &mut self.state
    }

    /// The source and its jobs, to be changed together.
    pub fn parts_mut(&mut self) -> (&mut SourceState, &mut Vec<RunningJob>) {
        (&mut self.state, &mut self.jobs)
    }

    /// Its jobs, in the order in which they started.
    pub fn jobs(&self) -> &[RunningJob] {
        &self.jobs
    }

    /// Each job with the run whose progress it shows.
    pub fn shown(&self) -> impl Iterator<Item = (&RunningJob, Option<RunKey>)> {
        self.jobs.iter().map(|job| (job, job.shown_run(&self.state.trajectory)))
    }

    /// The same, to be changed.
    pub fn shown_mut(&mut self) -> impl Iterator<Item = (&mut RunningJob, Option<RunKey>)> {
        let Self { state, jobs } = self;
        jobs.iter_mut().map(|job| {
            let run = job.shown_run(&state.trajectory);
            (job, run)
        })
    }

    /// Adds a job that starts.
    pub fn add(&mut self, job: RunningJob) {
        self.jobs.push(job);
    }

    /// Keeps the jobs that are wanted; returns how many were dropped.
    pub fn retain(&mut self, is_wanted: impl Fn(&RunningJob) -> bool) -> usize {
        let before = self.jobs.len();
        self.jobs.retain(is_wanted);
        before - self.jobs.len()
    }

    /// The run of the source is done, with its image.
    pub fn finish(&mut self, image: Option<Arc<Image>>, measured: (Instant, Duration)) {
        if self.state.trajectory.finish(image) {
            self.jobs.iter_mut().for_each(|job| job.source_finished(measured));
        }
    }

    /// The run of the source failed, or could not begin. Takes out all of its jobs, which fail too.
    pub fn fail(&mut self) -> Vec<RunningJob> {
        self.state.trajectory.fail();
        std::mem::take(&mut self.jobs)
    }

    /// The replay for the shared log is done.
    pub fn finish_replay(&mut self) {
        self.state.replay = None;
    }

    /// What is missing of the shared log cannot be computed. Takes out the jobs whose edits read the log, which fail.
    /// Later edits schedule it again.
    pub fn fail_log(&mut self) -> Vec<RunningJob> {
        self.state.replay = None;
        if let Some(open) = self.state.log.opened_mut() {
            open.unschedule_missing();
        }
        self.jobs.extract_if(.., |job| job.edit().reads_shared_log()).collect()
    }

    /// The run of an edit is done.
    pub fn finish_edit(&mut self, run: RunKey, finished: FinishedEdit, measured: (Instant, Duration)) {
        if let Some(job) = self.job_of(run).and_then(|at| self.jobs.get_mut(at)) {
            job.finish_edit(run, finished, measured);
        }
    }

    /// Takes out the job whose own run failed.
    pub fn fail_run(&mut self, run: RunKey) -> Option<RunningJob> {
        self.job_of(run).map(|at| self.jobs.remove(at))
    }

    /// Part of the recording is computed again.
    pub fn replayed(&mut self) {
        self.jobs.iter_mut().for_each(RunningJob::replayed);
    }

    /// The store was found to have the recording. Returns the number of jobs that read no attention: their use is
    /// counted now, that of the others when their edits begin.
    pub fn found_in_store(&mut self) -> usize {
        self.jobs.iter_mut().for_each(RunningJob::found_in_store);
        self.jobs.iter().filter(|job| job.edit().is_source()).count()
    }

    /// Takes out the jobs that are complete, with their outcomes.
    pub fn take_outcomes(&mut self) -> Vec<(Ticket, Outcome)> {
        let mut outcomes = Vec::new();
        for job in std::mem::take(&mut self.jobs) {
            match job.into_outcome(&self.state.id, &self.state.trajectory) {
                Ok(outcome) => outcomes.push(outcome),
                Err(unfinished) => self.jobs.push(*unfinished),
            }
        }
        outcomes
    }

    /// Whether the source's own run is this one.
    pub fn is_run(&self, run: RunKey) -> bool {
        self.state.trajectory.run() == Some(run)
    }

    /// Whether the replay for the shared log is this one.
    pub fn is_replay(&self, run: RunKey) -> bool {
        self.state.replay == Some(run)
    }

    /// The position of the job that owns a run.
    pub fn job_of(&self, run: RunKey) -> Option<usize> {
        self.jobs.iter().position(|job| job.edit().own_runs().any(|own| own == run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::job::RecordingUse;
    use crate::engine::state::testing::{
        begun, coverage, job, layout, log, open_log, prepared_edit, reservation, session, source, trajectory,
    };
    use crate::engine::state::{EditState, LogChoice, Stored};
    use crate::recordings::{Coverage, Place};

    /// A source whose run is 1, with an open log, and these edits.
    fn active(edits: impl IntoIterator<Item = EditState>) -> ActiveSource {
        let mut trajectory_state = TrajectoryState::reserved(Stored::No, reservation());
        trajectory_state.open(|| false);
        trajectory_state.begin(|reservation| Ok::<_, ()>((1, trajectory(reservation)))).unwrap();
        let parts = (trajectory_state, open_log(), Pins::default());
        let state = SourceState::new(session(), source(), layout(), parts);
        let mut jobs = edits.into_iter().map(|edit| job(RecordingUse::Created, edit).0);
        let mut active = ActiveSource::new(state, jobs.next().unwrap());
        jobs.for_each(|job| active.add(job));
        active
    }

    fn running(run: RunKey, own_replay: Option<RunKey>) -> EditState {
        let log = if own_replay.is_some() { LogChoice::Own(reservation()) } else { LogChoice::Shared };
        let mut edit = EditState::waiting(prepared_edit(), log);
        edit.begin(open_log().opened_mut(), |_, _| Ok::<_, ()>(begun(run, own_replay))).unwrap();
        edit
    }

    fn measured() -> (Instant, Duration) {
        (Instant::now(), Duration::ZERO)
    }

    #[test]
    fn every_run_has_one_owner() {
        let active = active([EditState::source_only(), running(2, None), running(3, Some(4))]);
        assert!(active.is_run(1) && !active.is_run(2) && !active.is_replay(1));
        assert_eq!([1, 2, 3, 4, 5].map(|run| active.job_of(run)), [None, Some(1), Some(2), Some(2), None]);
        let shown: Vec<_> = active.shown().map(|(_, run)| run).collect();
        assert_eq!(shown, [Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn a_source_that_fails_takes_all_of_its_jobs_with_it() {
        let mut active = active([EditState::source_only(), running(2, None), running(3, Some(4))]);
        assert_eq!((active.fail().len(), active.jobs().len()), (3, 0));
        assert!(active.state_mut().readable().is_none() && !active.is_run(1));
    }

    #[test]
    fn a_replay_that_fails_takes_the_edits_that_read_its_log() {
        let mut active = active([EditState::source_only(), running(2, None), running(3, Some(4))]);
        *active.state_mut().readable().unwrap().0.replay = Some(9);
        let schedule =
            |active: &mut ActiveSource| active.state_mut().log.opened_mut().unwrap().schedule(&coverage(0..2));
        schedule(&mut active);
        assert!(active.is_replay(9));
        let failed = active.fail_log();
        assert_eq!(failed.iter().map(|job| job.edit().run()).collect::<Vec<_>>(), [Some(2)]);
        assert_eq!((active.jobs().len(), active.is_replay(9)), (2, false));
        assert_eq!(schedule(&mut active), coverage(0..2), "the next edit does not wait for what will not come");
    }

    #[test]
    fn a_recording_that_is_found_after_all_was_not_created_for_its_jobs() {
        let mut active = active([EditState::source_only(), running(2, None), EditState::same_as_source()]);
        assert_eq!(active.found_in_store(), 2, "the third job counts its use when its edit begins");
        active.finish(Some(crate::engine::state::testing::image()), measured());
        let found: Vec<_> = active.take_outcomes().into_iter().map(|(_, outcome)| outcome.recording).collect();
        assert_eq!(found, [RecordingUse::Hit; 2]);
        active.replayed();
        active.finish_edit(2, FinishedEdit { image: crate::engine::state::testing::image(), maps: None }, measured());
        assert_eq!(active.take_outcomes()[0].1.recording, RecordingUse::Replayed);
    }

    #[test]
    fn an_edit_that_fails_fails_alone() {
        let mut active = active([running(2, None), running(3, Some(4))]);
        assert!(active.fail_run(8).is_none());
        // By the replay that serves it alone, too.
        assert_eq!(active.fail_run(4).and_then(|job| job.edit().run()), Some(3));
        assert_eq!((active.jobs().len(), active.job_of(2)), (1, Some(0)));
    }

    #[test]
    fn jobs_are_answered_as_they_become_complete() {
        use crate::engine::state::testing::image;
        let mut active = active([EditState::source_only(), running(2, None), EditState::same_as_source()]);
        assert!(active.take_outcomes().is_empty());
        active.finish(Some(image()), measured());
        assert_eq!((active.take_outcomes().len(), active.jobs().len()), (2, 1));
        active.finish_edit(2, FinishedEdit { image: image(), maps: None }, measured());
        assert_eq!((active.take_outcomes().len(), active.jobs().len()), (1, 0));
    }

    #[test]
    fn prompts_are_needed_to_run_and_to_open_the_log() {
        let parts = (TrajectoryState::reserved(Stored::Yes, reservation()), SharedLog::default(), Pins::default());
        let mut state = SourceState::new(session(), source(), layout(), parts);
        assert!(!state.needs_prompts());
        state.log.plan(Place::Memory, &Coverage::none(4), reservation());
        state.trajectory.open(|| true);
        assert!(!state.needs_prompts() && !state.opens_log(), "it is being read");
        state.trajectory.lose();
        assert!(state.needs_prompts() && state.opens_log(), "it is to be run");
        state.log.open(|_, planned, reservation| log(planned, reservation));
        assert!(state.needs_prompts() && !state.opens_log());
        state.trajectory.begin(|reservation| Ok::<_, ()>((1, trajectory(reservation)))).unwrap();
        assert!(!state.needs_prompts(), "it runs");
    }
}
