//! A job that has started: its ticket, the state of its edit, its previews and its timings.
//!
//! Contract: it is held by the source that it reads. It becomes an outcome once the source's trajectory and its own
//! edit are complete.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::job::{EngineError, Outcome, PreparedEdit, Preview, Progress, RecordingUse, Stage, Ticket, Timings};
use crate::engine::runs::set::RunKey;
use crate::engine::state::{Attention, Begun, EditState, FinishedEdit, OpenLog, TrajectoryState};
use crate::engine::trace::JobPart;
use crate::recordings::{SessionId, Tier};

/// A job that has started. Its source holds it.
#[derive(Debug)]
pub(crate) struct RunningJob {
    ticket: Ticket,
    recording_use: RecordingUse,
    edit: EditState,
    /// The steps after which a preview is due.
    preview_steps: Vec<usize>,
    previews: Vec<Preview>,
    started: Instant,
    /// Time in the text encoder.
    encode: Duration,
    /// When its last step was done.
    denoised: Option<Instant>,
    /// Time in the VAE.
    decode: Duration,
}

impl RunningJob {
    /// A job that starts now; it releases its queue slot.
    pub fn new(mut ticket: Ticket, recording_use: RecordingUse, edit: EditState) -> Self {
        ticket.trace.is_at(JobPart::Encode);
        ticket.release_slot();
        let preview_steps = preview_steps(ticket.options.previews, ticket.work.source().steps);
        Self {
            ticket,
            recording_use,
            edit,
            preview_steps,
            previews: Vec::new(),
            started: Instant::now(),
            encode: Duration::ZERO,
            denoised: None,
            decode: Duration::ZERO,
        }
    }

    /// Its ticket, the worker's end of the job.
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// How far its edit is.
    pub fn edit(&self) -> &EditState {
        &self.edit
    }

    /// How long it waited in the queue.
    pub fn queued_for(&self) -> Duration {
        self.started.duration_since(self.ticket.submitted)
    }

    /// Begins its edit if that is possible now, see [`EditState::begin`]. `encode` is the time that encoding prompts
    /// took.
    ///
    /// # Errors
    /// Those of `start`; the job has failed with them.
    pub fn begin_edit(
        &mut self,
        shared: Option<&mut OpenLog>,
        encode: Duration,
        start: impl FnOnce(PreparedEdit, Attention<'_>) -> Result<Begun, EngineError>,
    ) -> Result<EditBegan, EngineError> {
        let Some(Begun { lowest_tier, .. }) = self.edit.begin(shared, start)? else {
            return Ok(EditBegan::No);
        };
        self.encode += encode;
        if lowest_tier == Tier::Trajectory {
            self.replayed();
        }
        Ok(EditBegan::Yes { hit: (self.recording_use == RecordingUse::Hit).then_some(lowest_tier) })
    }

    /// Something of its source's recording has to be computed again.
    pub fn replayed(&mut self) {
        self.recording_use = self.recording_use.replayed();
    }

    /// Its source's recording was found in the store.
    pub fn found_in_store(&mut self) {
        self.recording_use = self.recording_use.found_in_store();
    }

    /// The run `ended` is done. Returns whether it is the run of this job's edit.
    pub fn finish_edit(
        &mut self,
        ended: RunKey,
        finished: FinishedEdit,
        (denoised, decode): (Instant, Duration),
    ) -> bool {
        // Local blend sums maps too, for its own use.
        let maps = finished.maps.filter(|_| self.ticket.options.attention);
        let is_own = self.edit.finish(ended, FinishedEdit { maps, ..finished });
        if is_own {
            self.measure(denoised, decode);
        }
        is_own
    }

    /// The source's image is decoded. It is the job's own image if the job runs no edit.
    pub fn source_finished(&mut self, (denoised, decode): (Instant, Duration)) {
        if self.edit.is_source() {
            self.measure(denoised, decode);
        }
    }

    fn measure(&mut self, denoised: Instant, decode: Duration) {
        (self.denoised, self.decode) = (Some(denoised), decode);
    }

    /// Whether a preview is due after `step` steps.
    pub fn wants_preview(&self, step: usize) -> bool {
        self.preview_steps.contains(&step)
    }

    /// Adds a preview.
    pub fn add_preview(&mut self, preview: Preview) {
        self.previews.push(preview);
    }

    /// Begins a part of the job in its trace.
    pub fn trace(&mut self, part: JobPart) {
        self.ticket.trace.is_at(part);
    }

    /// Publishes the job's progress to its client; `step` is the number of steps done of [`Self::shown_run`].
    pub fn publish(&self, step: Option<usize>) {
        let steps = self.ticket.work.source().steps;
        self.ticket.progress.send_if_modified(|progress| {
            let is_new = progress.stage != Stage::Running
                || step.is_some_and(|step| step != progress.step)
                || progress.previews.len() != self.previews.len();
            if is_new {
                let step = step.unwrap_or(0).max(progress.step);
                *progress = Progress { stage: Stage::Running, step, steps, previews: self.previews.clone() };
            }
            is_new
        });
    }

    /// The run whose progress the job shows: the run of its edit, or of its source if it asks for nothing else.
    pub fn shown_run(&self, trajectory: &TrajectoryState) -> Option<RunKey> {
        if self.edit.is_source() { trajectory.run() } else { self.edit.run() }
    }

    /// The outcome, if the source and the edit are complete; otherwise the job itself.
    pub fn into_outcome(
        self,
        session: &SessionId,
        trajectory: &TrajectoryState,
    ) -> Result<(Ticket, Outcome), Box<Self>> {
        let source = trajectory.completed().and_then(|complete| Some((complete, complete.image()?)));
        let results = source.and_then(|(complete, image)| Some((complete, image, self.edit.result(image)?)));
        let Some((complete, source_image, (edited_image, edited_maps))) = results else {
            return Err(Box::new(self));
        };
        let denoise = self.denoised.map_or(Duration::ZERO, |end| end.duration_since(self.started));
        let timings = Timings {
            queue: self.queued_for(),
            encode: self.encode,
            denoise: denoise.saturating_sub(self.encode),
            decode: self.decode,
            total: self.ticket.submitted.elapsed(),
        };
        let outcome = Outcome {
            session: session.clone(),
            recording: self.recording_use,
            source_image: Arc::clone(source_image),
            edited_image,
            source_maps: complete.maps(),
            edited_maps,
            timings,
        };
        Ok((self.ticket, outcome))
    }

    /// The ticket of a job that ends without an outcome.
    pub fn into_ticket(self) -> Ticket {
        self.ticket
    }
}

/// Whether an edit has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EditBegan {
    /// It still waits, or has begun before.
    No,
    /// It has begun now.
    Yes {
        /// The lowest tier that holds what it reads; `None` if the job had to record or replay something.
        hit: Option<Tier>,
    },
}

/// The steps after which previews are made, evenly spaced. There is none after the last step, which gives the image.
fn preview_steps(previews: usize, steps: usize) -> Vec<usize> {
    let mut at: Vec<usize> = (1..=previews).map(|preview| (preview * steps).div_ceil(previews + 1)).collect();
    at.retain(|step| *step < steps);
    at.dedup();
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::LogChoice;
    use crate::engine::state::testing::{
        begun, complete, image, job, open_log, prepared_edit, session, submitted, work_of_edit,
    };

    fn waiting() -> EditState {
        EditState::waiting(prepared_edit(), LogChoice::Shared)
    }

    fn begin(job: &mut RunningJob, lowest_tier: Tier) -> EditBegan {
        let mut shared = open_log();
        let start = |_, _: Attention<'_>| Ok(Begun { lowest_tier, ..begun(3, None) });
        job.begin_edit(shared.opened_mut(), Duration::from_secs(1), start).unwrap()
    }

    #[test]
    fn previews_come_at_even_distances_and_never_twice() {
        assert_eq!(preview_steps(3, 20), [5, 10, 15]);
        assert_eq!(preview_steps(1, 3), [2]);
        assert_eq!(preview_steps(16, 4), [1, 2, 3]);
        assert!(preview_steps(2, 1).is_empty());
        assert!(preview_steps(0, 20).is_empty());
    }

    #[test]
    fn a_job_is_a_hit_if_nothing_is_computed_again() {
        for (use_before, lowest_tier, wanted, hit) in [
            (RecordingUse::Hit, Tier::Memory, RecordingUse::Hit, Some(Tier::Memory)),
            (RecordingUse::Hit, Tier::Disk, RecordingUse::Hit, Some(Tier::Disk)),
            (RecordingUse::Hit, Tier::Trajectory, RecordingUse::Replayed, None),
            (RecordingUse::Created, Tier::Memory, RecordingUse::Created, None),
            (RecordingUse::Created, Tier::Trajectory, RecordingUse::Created, None),
        ] {
            let mut job = job(use_before, waiting()).0;
            assert_eq!(begin(&mut job, lowest_tier), EditBegan::Yes { hit });
            assert_eq!(job.recording_use, wanted, "{use_before:?} {lowest_tier:?}");
            assert_eq!(begin(&mut job, lowest_tier), EditBegan::No, "it runs");
        }
    }

    #[test]
    fn a_job_has_its_outcome_once_source_and_edit_are_complete() {
        let trajectory = complete();
        let mut job = job(RecordingUse::Created, waiting()).0;
        begin(&mut job, Tier::Memory);
        job = *job.into_outcome(&session(), &trajectory).expect_err("the edit runs");
        let edit = FinishedEdit { image: image(), maps: None };
        assert!(job.finish_edit(3, edit, (Instant::now(), Duration::from_secs(2))));
        let growing =
            TrajectoryState::reserved(crate::engine::state::Stored::No, crate::engine::state::testing::reservation());
        job = *job.into_outcome(&session(), &growing).expect_err("the source is missing");
        let (_, outcome) = job.into_outcome(&session(), &trajectory).unwrap();
        assert!(outcome.edited_image.is_some());
        assert_eq!((outcome.timings.decode, outcome.timings.encode), (Duration::from_secs(2), Duration::from_secs(1)));
    }

    #[test]
    fn a_recording_has_the_source_image_and_no_other() {
        let mut job = job(RecordingUse::Created, EditState::source_only()).0;
        job.source_finished((Instant::now(), Duration::from_secs(2)));
        let (_, outcome) = job.into_outcome(&session(), &complete()).unwrap();
        assert!(outcome.edited_image.is_none() && outcome.timings.decode == Duration::from_secs(2));
        // The source's image is not what an edit is measured by.
        let mut job = super::tests::job(RecordingUse::Created, waiting()).0;
        job.source_finished((Instant::now(), Duration::from_secs(2)));
        assert_eq!(job.decode, Duration::ZERO);
    }

    #[test]
    fn a_job_that_starts_releases_its_queue_slot_and_shows_its_steps() {
        let (ticket, mut handle, slots) = submitted(work_of_edit());
        assert_eq!(slots.available_permits(), 0);
        let job = RunningJob::new(ticket, RecordingUse::Hit, waiting());
        assert_eq!(slots.available_permits(), 1);
        let progress = handle.progress();
        job.publish(None);
        assert_eq!((progress.borrow().stage, progress.borrow().step), (Stage::Running, 0));
        job.publish(Some(2));
        job.publish(None);
        assert_eq!(progress.borrow().step, 2, "steps that were shown stay");
        assert!(!job.ticket().is_canceled());
        job.into_ticket().answer(Err(EngineError::DeviceLost));
        let outcome = futures_util::FutureExt::now_or_never(handle.outcome());
        assert!(matches!(outcome, Some(Err(EngineError::DeviceLost))));
    }
}
