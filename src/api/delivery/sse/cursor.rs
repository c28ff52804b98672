//! Decides which event a reader gets next, so that it gets each step once and in order.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Progress, Stage};
use crate::media::Image;

/// A change of a job's progress that has an event.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// It is queued at another position.
    Queued {
        /// Jobs before it.
        position: usize,
        /// When it is likely to start.
        estimated_wait: Duration,
    },
    /// It has started.
    Started,
    /// It has done a denoising step.
    Done {
        /// Steps done.
        step: usize,
        /// Steps in all.
        steps: usize,
        /// The preview that belongs to the step.
        preview: Option<Arc<Image>>,
    },
}

/// What a reader has got so far.
#[derive(Debug, Default)]
pub struct Cursor {
    /// Whether the queue is reported even if the job has left it already.
    announces_queue: bool,
    /// The position in the queue that was reported last.
    queued: Option<usize>,
    has_started: bool,
    step: usize,
}

impl Cursor {
    /// The cursor of a reader whose request created the job: the queue is always reported.
    pub fn from_the_start() -> Self {
        Self { announces_queue: true, ..Self::default() }
    }

    /// The next change to report of a job with this progress; `None` if everything is reported. A job that has
    /// succeeded has done all of its steps.
    pub fn next(&mut self, progress: &Progress, is_success: bool) -> Option<Step> {
        let queued = match progress.stage {
            Stage::Queued { position, estimated_wait } if !is_success => Some((position, estimated_wait)),
            _ if self.announces_queue && self.queued.is_none() => Some((0, Duration::ZERO)),
            _ => None,
        };
        if let (false, Some((position, estimated_wait))) = (self.has_started, queued) {
            // The estimate changes with every step, so it makes no event by itself.
            let is_news = self.queued.replace(position) != Some(position);
            return is_news.then_some(Step::Queued { position, estimated_wait });
        }
        if !self.has_started {
            self.has_started = true;
            return Some(Step::Started);
        }
        let last = if is_success { progress.steps.max(progress.step) } else { progress.step };
        if self.step >= last {
            return None;
        }
        self.step += 1;
        let preview = progress.previews.iter().find(|preview| preview.step == self.step);
        let preview = preview.map(|preview| Arc::clone(&preview.image));
        Some(Step::Done { step: self.step, steps: progress.steps, preview })
    }
}

impl Cursor {
    /// As [`Self::next`], of a job that had ended before the reader was made.
    pub fn next_of_ended(&mut self, is_success: bool) -> Option<Step> {
        if self.announces_queue { self.next(&Progress::default(), is_success) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::job::Preview;

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

    fn steps(cursor: &mut Cursor, progress: &Progress, is_success: bool) -> Vec<Step> {
        std::iter::from_fn(|| cursor.next(progress, is_success)).collect()
    }

    fn done(step: usize) -> Step {
        Step::Done { step, steps: 5, preview: None }
    }

    fn at(position: usize) -> Step {
        Step::Queued { position, estimated_wait: Duration::from_secs(position as u64) }
    }

    #[test]
    fn a_reader_that_misses_values_gets_every_step_once_with_its_preview() {
        let mut cursor = Cursor::default();
        assert_eq!(steps(&mut cursor, &running(0, &[]), false), [Step::Started]);
        assert_eq!(steps(&mut cursor, &running(1, &[]), false), [done(1)]);
        assert_eq!(steps(&mut cursor, &running(1, &[]), false), []);
        let second = Step::Done { step: 2, steps: 5, preview: Some(image(2)) };
        assert_eq!(steps(&mut cursor, &running(3, &[2]), false), [second, done(3)]);
        let fourth = Step::Done { step: 4, steps: 5, preview: Some(image(4)) };
        assert_eq!(steps(&mut cursor, &running(4, &[2, 4]), true), [fourth, done(5)]);
        assert_eq!(steps(&mut cursor, &running(5, &[2, 4]), true), []);
    }

    #[test]
    fn a_job_that_fails_reports_no_more_steps_than_it_has_done() {
        let mut cursor = Cursor::default();
        assert_eq!(steps(&mut cursor, &running(2, &[]), false), [Step::Started, done(1), done(2)]);
    }

    #[test]
    fn positions_in_the_queue_are_reported_when_they_change() {
        let mut cursor = Cursor::default();
        assert_eq!(steps(&mut cursor, &queued(2), false), [at(2)]);
        assert_eq!(steps(&mut cursor, &queued(2), false), []);
        assert_eq!(steps(&mut cursor, &queued(1), false), [at(1)]);
        assert_eq!(steps(&mut cursor, &running(1, &[]), false), [Step::Started, done(1)]);
    }

    #[test]
    fn the_reader_that_created_the_job_gets_the_queue_however_fast_it_went() {
        let from_the_start = Cursor::from_the_start;
        assert_eq!(steps(&mut from_the_start(), &running(1, &[]), false), [at(0), Step::Started, done(1)]);
        assert_eq!(steps(&mut from_the_start(), &queued(0), true), [at(0), Step::Started]);
        assert_eq!(steps(&mut from_the_start(), &queued(3), false), [at(3)]);
        let mut ended = from_the_start();
        let of_ended: Vec<_> = std::iter::from_fn(|| ended.next_of_ended(true)).collect();
        assert_eq!(of_ended, [at(0), Step::Started]);
        assert_eq!(Cursor::default().next_of_ended(true), None);
        assert_eq!(steps(&mut Cursor::default(), &running(1, &[]), false), [Step::Started, done(1)]);
    }
}
