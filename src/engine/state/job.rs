//! A job that has started: its client's end, its edit, and what is measured of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::job::{EngineError, Outcome, PreparedEdit, Preview, Progress, RecordingUse, Stage, Ticket, Timings};
use crate::engine::runs::set::RunKey;
use crate::engine::state::{Attention, Begun, EditState, FinishedEdit, OpenLog, TrajectoryState};
use crate::engine::trace::JobPart;
use crate::recordings::{SessionId, Tier};

/// A job that has started. Its source holds it.
#[derive(Debug)]
pub(crate) struct Job {
    ticket: Ticket,
    recording_use: RecordingUse,
    edit: EditState,
    /// The steps after which a preview is due.
    preview_steps: Vec<usize>,
    previews: Vec<Preview>,
    started: Instant,
    /// Time in the text encoder.
    encode: Duration,
    /// When the last step was taken.
    denoised: Option<Instant>,
    /// Time in the VAE.
    decode: Duration,
}

impl Job {
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

    /// The client's end.
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

    /// Begins its edit where that can be, see [`EditState::begin`]; `encode` is the time that its prompts took.
    ///
    /// # Errors
    /// Those of `start`; the job has failed with them.
    pub fn begin_edit(
        &mut self,
        shared: Option<&mut OpenLog>,
        encode: Duration,
        start: impl FnOnce(PreparedEdit, Attention<'_>) -> Result<Begun, EngineError>,
    ) -> Result<EditBegan, EngineError> {
        let Some(Begun { found, .. }) = self.edit.begin(shared, start)? else {
            return Ok(EditBegan::No);
        };
        self.encode += encode;
        if found == Tier::Trajectory {
            self.replayed();
        }
        Ok(EditBegan::Yes { hit: (self.recording_use == RecordingUse::Hit).then_some(found) })
    }

    /// Something of its source's recording has to be computed again.
    pub fn replayed(&mut self) {
        self.recording_use = self.recording_use.replayed();
    }

    /// The run `ended` came to its end. Whether it is that of the job's edit.
    pub fn finish_edit(
        &mut self,
        ended: RunKey,
        finished: FinishedEdit,
        (denoised, decode): (Instant, Duration),
    ) -> bool {
        // Local blend sums maps up too, for itself.
        let maps = finished.maps.filter(|_| self.ticket.options.attention);
        let is_own = self.edit.finish(ended, FinishedEdit { maps, ..finished });
        if is_own {
            self.measure(denoised, decode);
        }
        is_own
    }

    /// The source's image was made, which is the job's own where it runs no edit.
    pub fn source_finished(&mut self, (denoised, decode): (Instant, Duration)) {
        if self.edit.is_source() {
            self.measure(denoised, decode);
        }
    }

    fn measure(&mut self, denoised: Instant, decode: Duration) {
        (self.denoised, self.decode) = (Some(denoised), decode);
    }

    /// Whether a preview is due after so many steps.
    pub fn wants_preview(&self, step: usize) -> bool {
        self.preview_steps.contains(&step)
    }

    /// Adds a preview.
    pub fn add_preview(&mut self, preview: Preview) {
        self.previews.push(preview);
    }

    /// What the job works on from here on, for traces.
    pub fn trace(&mut self, part: JobPart) {
        self.ticket.trace.is_at(part);
    }

    /// Shows the client how far the job is; `step` is that of the run whose progress it shows.
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

    /// The run whose progress is the job's: that of its edit, or of its source where that is all it asks for.
    pub fn shown_run(&self, trajectory: &TrajectoryState) -> Option<RunKey> {
        if self.edit.is_source() { trajectory.run() } else { self.edit.run() }
    }

    /// The outcome, once source and edit are there; the job again where something is missing.
    pub fn into_outcome(
        self,
        session: &SessionId,
        trajectory: &TrajectoryState,
    ) -> Result<(Ticket, Outcome), Box<Self>> {
        let source = trajectory.completed().and_then(|complete| Some((complete, complete.image()?)));
        let found = source.and_then(|(complete, image)| Some((complete, image, self.edit.result(image)?)));
        let Some((complete, source_image, (edited_image, edited_maps))) = found else {
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

    /// The client's end, of a job that ends without an outcome.
    pub fn into_ticket(self) -> Ticket {
        self.ticket
    }
}

/// Whether an edit has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EditBegan {
    /// It waits, runs or is done.
    No,
    /// It has.
    Yes {
        /// The tier in which all of its source's recording was found; `None` where something has to be computed.
        hit: Option<Tier>,
    },
}

/// The steps after which previews are made: at even distances, without one at the end, where the image itself comes.
fn preview_steps(previews: usize, steps: usize) -> Vec<usize> {
    let mut at: Vec<usize> = (1..=previews).map(|preview| (preview * steps).div_ceil(previews + 1)).collect();
    at.retain(|step| *step < steps);
    at.dedup();
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::AttentionRoom;
    use crate::engine::state::testing::{
        begun, complete, image, job, open_log, prepared_edit, session, submitted, work_of_edit,
    };

    fn waiting() -> EditState {
        EditState::waiting(prepared_edit(), AttentionRoom::Shared)
    }

    fn begin(job: &mut Job, found: Tier) -> EditBegan {
        let mut shared = open_log();
        let start = |_, _: Attention<'_>| Ok(Begun { found, ..begun(3, None) });
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
    fn a_hit_is_one_where_nothing_is_computed_again() {
        for (use_before, found, wanted, hit) in [
            (RecordingUse::Hit, Tier::Memory, RecordingUse::Hit, Some(Tier::Memory)),
            (RecordingUse::Hit, Tier::Disk, RecordingUse::Hit, Some(Tier::Disk)),
            (RecordingUse::Hit, Tier::Trajectory, RecordingUse::Replayed, None),
            (RecordingUse::Created, Tier::Memory, RecordingUse::Created, None),
            (RecordingUse::Created, Tier::Trajectory, RecordingUse::Created, None),
        ] {
            let mut job = job(use_before, waiting()).0;
            assert_eq!(begin(&mut job, found), EditBegan::Yes { hit });
            assert_eq!(job.recording_use, wanted, "{use_before:?} {found:?}");
            assert_eq!(begin(&mut job, found), EditBegan::No, "it runs");
        }
    }

    #[test]
    fn a_job_is_answered_when_its_source_and_its_edit_are_there() {
        let trajectory = complete();
        let mut job = job(RecordingUse::Created, waiting()).0;
        begin(&mut job, Tier::Memory);
        job = *job.into_outcome(&session(), &trajectory).expect_err("the edit runs");
        let edit = FinishedEdit { image: image(), maps: None };
        assert!(job.finish_edit(3, edit, (Instant::now(), Duration::from_secs(2))));
        let growing = TrajectoryState::found(false, crate::engine::state::testing::room());
        job = *job.into_outcome(&session(), &growing).expect_err("the source is missing");
        let (_, outcome) = job.into_outcome(&session(), &trajectory).unwrap();
        assert!(outcome.edited_image.is_some());
        assert_eq!((outcome.timings.decode, outcome.timings.encode), (Duration::from_secs(2), Duration::from_secs(1)));
    }

    #[test]
    fn a_recording_is_answered_with_its_source_alone() {
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
        let job = Job::new(ticket, RecordingUse::Hit, waiting());
        assert_eq!(slots.available_permits(), 1);
        let progress = handle.progress();
        job.publish(None);
        assert_eq!((progress.borrow().stage, progress.borrow().step), (Stage::Running, 0));
        job.publish(Some(2));
        job.publish(None);
        assert_eq!(progress.borrow().step, 2, "steps that were shown stay");
        assert!(!job.ticket().is_cancelled());
        job.into_ticket().answer(Err(EngineError::DeviceLost));
        let outcome = futures_util::FutureExt::now_or_never(handle.outcome());
        assert!(matches!(outcome, Some(Err(EngineError::DeviceLost))));
    }
}
