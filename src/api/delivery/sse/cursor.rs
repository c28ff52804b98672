//! How far a reader has been told of a job: made up for what it missed, in order, each step once.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Progress, Stage};
use crate::media::Image;

/// What a reader is told of a job's progress.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// It waits.
    Queued {
        /// Jobs before it.
        position: usize,
        /// When it is likely to start.
        estimated_wait: Duration,
    },
    /// It has started.
    Started,
    /// It has taken a step.
    Step {
        /// Steps done.
        step: usize,
        /// Steps in all.
        steps: usize,
        /// The preview that belongs to the step.
        preview: Option<Arc<Image>>,
    },
}

/// What a reader has been told so far.
#[derive(Debug, Default)]
pub struct Cursor {
    /// Whether the queue is told of in any case, also where the job has left it already.
    announces_queue: bool,
    /// The place in the queue that was told last.
    queued: Option<usize>,
    has_started: bool,
    step: usize,
}

impl Cursor {
    /// Nothing told yet, to a reader that has asked for the job and is told of the queue in any case.
    pub fn from_the_start() -> Self {
        Self { announces_queue: true, ..Self::default() }
    }

    /// What is to be told next of a job that is this far; `None` where all is told. A job that has succeeded has taken
    /// all of its steps.
    pub fn next(&mut self, progress: &Progress, is_success: bool) -> Option<Told> {
        let place = match progress.stage {
            Stage::Queued { position, estimated_wait } if !is_success => Some((position, estimated_wait)),
            _ if self.announces_queue && self.queued.is_none() => Some((0, Duration::ZERO)),
            _ => None,
        };
        if let (false, Some((position, estimated_wait))) = (self.has_started, place) {
            // The wait alone changes with every step.
            let is_news = self.queued.replace(position) != Some(position);
            return is_news.then_some(Told::Queued { position, estimated_wait });
        }
        if !self.has_started {
            self.has_started = true;
            return Some(Told::Started);
        }
        let last = if is_success { progress.steps.max(progress.step) } else { progress.step };
        if self.step >= last {
            return None;
        }
        self.step += 1;
        let preview = progress.previews.iter().find(|preview| preview.step == self.step);
        let preview = preview.map(|preview| Arc::clone(&preview.image));
        Some(Told::Step { step: self.step, steps: progress.steps, preview })
    }
}

impl Cursor {
    /// As [`Self::next`], of a job of which nothing but its end is known.
    pub fn next_of_ended(&mut self, is_success: bool) -> Option<Told> {
        if self.announces_queue { self.next(&Progress::default(), is_success) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Preview;

    fn queued(position: usize) -> Progress {
        let stage = Stage::Queued { position, estimated_wait: Duration::from_secs(position as u64) };
        Progress { stage, ..Progress::default() }
    }

    fn running(step: usize, previews: &[usize]) -> Progress {
        let preview = |step: &usize| Preview { step: *step, image: image(*step) };
        Progress { stage: Stage::Running, step, steps: 5, previews: previews.iter().map(preview).collect() }
    }

    fn image(step: usize) -> Arc<Image> {
        Arc::new(Image { width: step, height: 1, rgb: Vec::new() })
    }

    fn told(cursor: &mut Cursor, progress: &Progress, is_success: bool) -> Vec<Told> {
        std::iter::from_fn(|| cursor.next(progress, is_success)).collect()
    }

    fn step(step: usize) -> Told {
        Told::Step { step, steps: 5, preview: None }
    }

    fn place(position: usize) -> Told {
        Told::Queued { position, estimated_wait: Duration::from_secs(position as u64) }
    }

    #[test]
    fn a_reader_that_misses_values_gets_every_step_once_with_its_preview() {
        let mut cursor = Cursor::default();
        assert_eq!(told(&mut cursor, &running(0, &[]), false), [Told::Started]);
        assert_eq!(told(&mut cursor, &running(1, &[]), false), [step(1)]);
        assert_eq!(told(&mut cursor, &running(1, &[]), false), []);
        let second = Told::Step { step: 2, steps: 5, preview: Some(image(2)) };
        assert_eq!(told(&mut cursor, &running(3, &[2]), false), [second, step(3)]);
        let fourth = Told::Step { step: 4, steps: 5, preview: Some(image(4)) };
        assert_eq!(told(&mut cursor, &running(4, &[2, 4]), true), [fourth, step(5)]);
        assert_eq!(told(&mut cursor, &running(5, &[2, 4]), true), []);
    }

    #[test]
    fn a_job_that_fails_has_taken_no_more_steps_than_it_said() {
        let mut cursor = Cursor::default();
        assert_eq!(told(&mut cursor, &running(2, &[]), false), [Told::Started, step(1), step(2)]);
    }

    #[test]
    fn places_in_the_queue_are_told_when_they_change() {
        let mut cursor = Cursor::default();
        assert_eq!(told(&mut cursor, &queued(2), false), [place(2)]);
        assert_eq!(told(&mut cursor, &queued(2), false), []);
        assert_eq!(told(&mut cursor, &queued(1), false), [place(1)]);
        assert_eq!(told(&mut cursor, &running(1, &[]), false), [Told::Started, step(1)]);
    }

    #[test]
    fn who_asked_for_the_job_is_told_of_the_queue_however_fast_it_went() {
        let from_the_start = Cursor::from_the_start;
        assert_eq!(told(&mut from_the_start(), &running(1, &[]), false), [place(0), Told::Started, step(1)]);
        assert_eq!(told(&mut from_the_start(), &queued(0), true), [place(0), Told::Started]);
        assert_eq!(told(&mut from_the_start(), &queued(3), false), [place(3)]);
        let mut ended = from_the_start();
        let told_of_ended: Vec<_> = std::iter::from_fn(|| ended.next_of_ended(true)).collect();
        assert_eq!(told_of_ended, [place(0), Told::Started]);
        assert_eq!(Cursor::default().next_of_ended(true), None);
        assert_eq!(told(&mut Cursor::default(), &running(1, &[]), false), [Told::Started, step(1)]);
    }
}
