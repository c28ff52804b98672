//! Server-sent events: a job's way as its reader sees it.
//!
//! A stream is pulled: nothing is made before the reader has room for it, so that a slow reader holds nobody up and
//! costs no more than the job's latest state. Values of that state which a reader missed are made up for: it gets each
//! step once and in order, with the preview that belongs to it.

mod cursor;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::watch;
use tracing::Span;

use crate::api::delivery::jobs::{End, Waiter, queue};
use crate::api::delivery::response::{encode, unix_seconds};
use crate::api::delivery::sse::cursor::{Cursor, Told};
use crate::api::problem::Problem;
use crate::api::problem::dialect;
use crate::api::problem::dialect::Dialect;
use crate::api::wire::{StartedEvent, StepEvent};
use crate::engine::Progress;
use crate::media::base64;

/// Comments are sent this often while there is nothing to tell, so that nobody on the way takes the connection for
/// dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The events of a job that has just been queued.
pub fn from_the_start(waiter: Waiter, request_id: String, dialect: Dialect) -> Response {
    respond(Reader::new(waiter, request_id, Cursor::from_the_start(), dialect))
}

/// The events of a job from where it stands.
pub fn of_job(waiter: Waiter, request_id: String) -> Response {
    respond(Reader::new(waiter, request_id, Cursor::default(), Dialect::Own))
}

fn respond(reader: Reader) -> Response {
    let events = stream::unfold(reader, |mut reader| async {
        let event = reader.next().await?;
        Some((event, reader))
    });
    // Proxies like nginx hold answers back to fill their buffers, unless told not to.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))];
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    (HeaderMap::from_iter(unbuffered), events).into_response()
}

/// One reader of a job.
struct Reader {
    waiter: Waiter,
    /// `None` where the job had ended before: only its end is told.
    progress: Option<watch::Receiver<Progress>>,
    /// Whether there may be news of the progress.
    is_open: bool,
    cursor: Cursor,
    dialect: Dialect,
    /// Previews told so far.
    previews: usize,
    request_id: String,
    is_done: bool,
    /// Of the request.
    span: Span,
}

impl Reader {
    fn new(waiter: Waiter, request_id: String, cursor: Cursor, dialect: Dialect) -> Self {
        let progress = waiter.job().progress();
        let span = Span::current();
        Self { waiter, progress, is_open: true, cursor, dialect, previews: 0, request_id, is_done: false, span }
    }

    /// The next event, as soon as there is one; `None` after the last.
    async fn next(&mut self) -> Option<Result<Event, axum::Error>> {
        if self.is_done {
            return None;
        }
        loop {
            // The end first: after it there is no more progress than what is read then.
            let end = self.waiter.ended();
            let is_success = matches!(end, Some(End::Succeeded(_)));
            let told = match &mut self.progress {
                Some(progress) => self.cursor.next(&progress.borrow_and_update(), is_success),
                // It was done before anybody could look.
                None => self.cursor.next_of_ended(is_success),
            };
            match (told, end) {
                (Some(told), _) => match self.event(told).await {
                    Ok(Some(event)) => return Some(event),
                    Ok(None) => continue,
                    Err(problem) => return Some(self.last(&End::Failed(problem))),
                },
                (None, Some(end)) => return Some(self.last(&end)),
                (None, None) => {}
            }
            self.news().await;
        }
    }

    /// Waits until there is something new.
    async fn news(&mut self) {
        let Self { waiter, progress, is_open, .. } = self;
        match progress {
            Some(progress) if *is_open => tokio::select! {
                changed = progress.changed() => *is_open = changed.is_ok(),
                _ = waiter.end() => {}
            },
            _ => {
                waiter.end().await;
            }
        }
    }

    /// The event of what is told, where the dialect has one.
    async fn event(&mut self, told: Told) -> Result<Option<Result<Event, axum::Error>>, Problem> {
        let output = self.waiter.job().output;
        Ok(Some(match told {
            Told::Step { preview: Some(image), .. } if self.dialect == Dialect::OpenAi => {
                let file = base64(&encode(Arc::clone(&image), output, Vec::new()).await?);
                let (now, index) = (unix_seconds(SystemTime::now()), self.previews);
                self.previews += 1;
                named(dialect::PARTIAL_IMAGE, &dialect::partial_image(&image, output.format, file, now, index))
            }
            _ if self.dialect == Dialect::OpenAi => return Ok(None),
            Told::Queued { position, estimated_wait } => named("queued", &queue(position, estimated_wait)),
            Told::Started => named("started", &StartedEvent {}),
            Told::Step { step, steps, preview } => {
                let b64_json = match preview {
                    Some(image) => Some(base64(&encode(image, output, Vec::new()).await?)),
                    None => None,
                };
                let output_format = b64_json.as_ref().map(|_| output.format.as_str());
                named("step", &StepEvent { step, steps, b64_json, output_format })
            }
        }))
    }

    fn last(&mut self, end: &End) -> Result<Event, axum::Error> {
        self.is_done = true;
        match (end.answer(), self.dialect) {
            (Ok(answer), Dialect::Own) => Ok(Event::default().event("completed").data(answer.json().get())),
            (Ok(answer), Dialect::OpenAi) => {
                named(dialect::COMPLETED, &dialect::completed(answer.json().get()).map_err(axum::Error::new)?)
            }
            (Err(problem), Dialect::Own) => named("error", &problem.body(&self.request_id)),
            (Err(problem), Dialect::OpenAi) => named("error", &dialect::error(&problem)),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.is_done {
            self.span.in_scope(|| tracing::info!("the client went away before the end of its stream"));
        }
    }
}

fn named(name: &str, data: &impl Serialize) -> Result<Event, axum::Error> {
    Event::default().event(name).json_data(data)
}
