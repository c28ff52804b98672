//! Jobs that wait to be started, first come, first served.

use std::collections::VecDeque;

use crate::engine::job::Ticket;
use crate::recordings::SessionId;

/// A job that waits in the queue.
#[derive(Debug)]
pub(crate) struct QueuedJob {
    /// The worker's end of it.
    pub ticket: Ticket,
    /// Its source's session.
    pub session: SessionId,
    /// Rows that it would have added to every step when it was submitted.
    pub rows: usize,
}

/// The queue. Its length is bounded by the slots that tickets hold.
#[derive(Debug, Default)]
pub(crate) struct Queue(VecDeque<QueuedJob>);

impl Queue {
    /// Adds a job at the end.
    pub fn push(&mut self, queued: QueuedJob) {
        self.0.push_back(queued);
    }

    /// Takes the first job.
    pub fn pop(&mut self) -> Option<QueuedJob> {
        self.0.pop_front()
    }

    /// Puts a job that cannot start yet back to the front.
    pub fn put_back(&mut self, queued: QueuedJob) {
        self.0.push_front(queued);
    }

    /// Keeps the jobs that are wanted; returns how many were dropped.
    pub fn retain(&mut self, is_wanted: impl Fn(&Ticket) -> bool) -> usize {
        let before = self.0.len();
        self.0.retain(|queued| is_wanted(&queued.ticket));
        before - self.0.len()
    }

    /// Takes out all jobs.
    pub fn take_all(&mut self) -> impl Iterator<Item = Ticket> {
        self.0.drain(..).map(|queued| queued.ticket)
    }

    /// All jobs, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &QueuedJob> {
        self.0.iter()
    }

    /// Whether no job waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::testing::{session, submitted, work_of_edit};

    #[test]
    fn a_job_that_is_put_back_is_first_again_and_a_canceled_one_leaves() {
        let mut queue = Queue::default();
        let mut handles: Vec<_> = (0..3)
            .map(|rows| {
                let (ticket, handle, _) = submitted(work_of_edit());
                queue.push(QueuedJob { ticket, session: session(), rows });
                handle
            })
            .collect();
        let rows = |queue: &Queue| queue.iter().map(|queued| queued.rows).collect::<Vec<_>>();
        let first = queue.pop().unwrap();
        assert_eq!((first.rows, rows(&queue)), (0, vec![1, 2]));
        queue.put_back(first);
        drop(handles.remove(1));
        assert_eq!(queue.retain(|ticket| !ticket.is_canceled()), 1);
        assert_eq!(rows(&queue), [0, 2]);
        assert_eq!((queue.take_all().count(), queue.is_empty()), (2, true));
    }
}
