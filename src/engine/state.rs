//! Sources that jobs are at work on, and where each of them stands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::job::{EngineError, Outcome, Preview, RecordingUse, Ticket, Timings};
use crate::engine::runs::set::RunKey;
use crate::engine::trace::JobPart;
use crate::media::Image;
use crate::recordings::Tier;
use crate::recordings::budget::Reservation;
use crate::recordings::{AttentionLog, AttentionMaps, Coverage, RecordingLayout, SessionId, Source, Trajectory};

/// A source that at least one job reads.
#[derive(Debug)]
pub struct ActiveSource {
    /// What it is made from.
    pub source: Arc<Source>,
    /// What is recorded at its size.
    pub layout: Arc<RecordingLayout>,
    /// Its way from noise to image.
    pub trajectory: TrajectoryState,
    /// What of it is in files already, or was when it was opened.
    pub written: Written,
    /// Room for the trajectory, until there is one.
    pub reserved: Option<Reservation>,
    /// The attention that all of its edits read.
    pub log: SharedLog,
    /// The run that computes again what is missing of it.
    pub replay: Option<RunKey>,
}

/// What of a source need not be written.
#[derive(Debug)]
pub struct Written {
    /// The trajectory.
    pub trajectory: bool,
    /// Attention.
    pub attention: Coverage,
}

/// How far a source's trajectory is.
#[derive(Debug)]
pub enum TrajectoryState {
    /// There is room for it; whether it is in a file, or is to be run.
    Found {
        /// Whether it is in a file.
        in_file: bool,
    },
    /// It was asked for from its file.
    Reading,
    /// It is to be run.
    Wanted,
    /// It is being run.
    Running(RunKey, Arc<Trajectory>),
    /// It is complete.
    Ready(Arc<Trajectory>),
}

/// The attention of a source that is kept for all of its edits.
#[derive(Debug)]
pub enum SharedLog {
    /// Nobody has asked for any.
    None,
    /// Room is reserved; the prompts are not encoded yet.
    Reserved {
        /// Where.
        tier: Tier,
        /// For the prompts and all that is promised.
        reservation: Reservation,
        /// What edits will read.
        promised: Coverage,
    },
    /// It is there.
    Open {
        /// Where.
        tier: Tier,
        /// The log.
        log: Arc<AttentionLog>,
        /// What is in it, or on its way into it.
        coming: Coverage,
    },
}

impl ActiveSource {
    /// The trajectory, complete or growing.
    pub fn trajectory(&self) -> Option<&Arc<Trajectory>> {
        match &self.trajectory {
            TrajectoryState::Running(_, trajectory) | TrajectoryState::Ready(trajectory) => Some(trajectory),
            TrajectoryState::Found { .. } | TrajectoryState::Reading | TrajectoryState::Wanted => None,
        }
    }

    /// The complete trajectory.
    pub fn ready(&self) -> Option<&Arc<Trajectory>> {
        match &self.trajectory {
            TrajectoryState::Ready(trajectory) => Some(trajectory),
            _ => None,
        }
    }

    /// The source's own run.
    pub fn run(&self) -> Option<RunKey> {
        match &self.trajectory {
            TrajectoryState::Running(key, _) => Some(*key),
            _ => None,
        }
    }
}

/// A job that has started.
#[derive(Debug)]
pub struct Job {
    /// The client's side of it.
    pub ticket: Ticket,
    /// Its source's session.
    pub session: SessionId,
    /// How it found its source.
    pub recording_use: RecordingUse,
    /// Its edit.
    pub edit: EditState,
    /// Attention of its own, where its source is larger than memory.
    pub passing: Option<Passing>,
    /// The steps after which a preview is wanted.
    pub preview_steps: Vec<usize>,
    /// The previews so far.
    pub previews: Vec<Preview>,
    /// When it started.
    pub started: Instant,
    /// Time in the text encoder.
    pub encode: Duration,
    /// When its last step was taken.
    pub denoised: Option<Instant>,
    /// Time in the VAE.
    pub decode: Duration,
}

/// The edit of a job.
#[derive(Debug)]
pub enum EditState {
    /// Only the source is wanted.
    None,
    /// The edit is its source: nothing is run.
    SameAsSource,
    /// It waits for its source's trajectory to begin.
    Waiting,
    /// It is being run.
    Running(RunKey),
    /// It has come to its end.
    Done(Arc<Image>, Option<AttentionMaps>),
}

/// A log for one edit, fed by a replay of its own.
#[derive(Debug)]
pub enum Passing {
    /// Room is reserved.
    Reserved(Reservation),
    /// It is being filled.
    Open(RunKey),
}

impl Job {
    /// A job that starts now.
    pub fn new(mut ticket: Ticket, session: SessionId, recording_use: RecordingUse, edit: EditState) -> Self {
        ticket.trace.is_at(JobPart::Encode);
        let preview_steps = preview_steps(ticket.options.previews, ticket.work.source().steps);
        Self {
            ticket,
            session,
            recording_use,
            edit,
            passing: None,
            preview_steps,
            previews: Vec::new(),
            started: Instant::now(),
            encode: Duration::ZERO,
            denoised: None,
            decode: Duration::ZERO,
        }
    }

    /// The runs that serve this job alone.
    pub fn own_runs(&self) -> impl Iterator<Item = RunKey> {
        let edit = match self.edit {
            EditState::Running(key) => Some(key),
            _ => None,
        };
        let replay = match self.passing {
            Some(Passing::Open(key)) => Some(key),
            _ => None,
        };
        edit.into_iter().chain(replay)
    }

    /// The run whose progress is the job's.
    pub fn shown_run(&self, source: Option<&ActiveSource>) -> Option<RunKey> {
        match self.edit {
            EditState::Running(key) => Some(key),
            EditState::None | EditState::SameAsSource => source?.run(),
            EditState::Waiting | EditState::Done(..) => None,
        }
    }

    /// The answer, once source and edit are there; the job again where something is still missing.
    pub fn into_answer(self, source: Option<&ActiveSource>) -> Result<(Ticket, Outcome), Box<Self>> {
        let ready = source.and_then(ActiveSource::ready);
        let Some((trajectory, source_image)) = ready.and_then(|ready| Some((ready, ready.image()?))) else {
            return Err(Box::new(self));
        };
        if matches!(self.edit, EditState::Waiting | EditState::Running(_)) {
            return Err(Box::new(self));
        }
        let source_maps = trajectory.maps();
        let (edited_image, edited_maps) = match &self.edit {
            EditState::None | EditState::Waiting | EditState::Running(_) => (None, None),
            EditState::SameAsSource => (Some(Arc::clone(source_image)), None),
            EditState::Done(image, maps) => (Some(Arc::clone(image)), maps.clone()),
        };
        let denoise = self.denoised.map_or(Duration::ZERO, |end| end.duration_since(self.started));
        let timings = Timings {
            queue: self.started.duration_since(self.ticket.submitted),
            encode: self.encode,
            denoise: denoise.saturating_sub(self.encode),
            decode: self.decode,
            total: self.ticket.submitted.elapsed(),
        };
        let outcome = Outcome {
            session: self.session,
            recording: self.recording_use,
            source_image: Arc::clone(source_image),
            edited_image,
            source_maps,
            edited_maps,
            timings,
        };
        Ok((self.ticket, outcome))
    }
}

/// Why a job is not started.
#[derive(Debug)]
pub enum NotStarted {
    /// Others hold the memory that it takes.
    NoRoom(Box<Ticket>),
    /// It cannot be started at all.
    Failed(Box<Ticket>, EngineError),
}

/// The steps after which previews are made: at even distances, none at the end, where the image itself comes.
pub fn preview_steps(previews: usize, steps: usize) -> Vec<usize> {
    let mut at: Vec<usize> = (1..=previews).map(|preview| (preview * steps).div_ceil(previews + 1)).collect();
    at.retain(|step| *step < steps);
    at.dedup();
    at
}

#[cfg(test)]
mod tests {
    use super::preview_steps;

    #[test]
    fn previews_come_at_even_distances_and_never_twice() {
        assert_eq!(preview_steps(3, 20), [5, 10, 15]);
        assert_eq!(preview_steps(1, 3), [2]);
        assert_eq!(preview_steps(16, 4), [1, 2, 3]);
        assert!(preview_steps(2, 1).is_empty());
        assert!(preview_steps(0, 20).is_empty());
    }
}
