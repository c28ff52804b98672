//! Server-sent events: the progress of a job and its end.
//!
//! A stream is pulled: an event is made when the client can receive it. So a slow client delays nothing and costs no
//! more memory than the latest state of the job. A client that misses states still gets each step once and in order,
//! with its preview.
//!
//! - `cursor`: which event is next; `names`, `events`, `openai`: the names and data of events

mod cursor;
pub(crate) mod events;
pub(crate) mod names;
pub(crate) mod openai;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::watch;
use tracing::Span;

use crate::api::delivery::answer::{Answer, AnswerBody};
use crate::api::delivery::encoded_image::{Base64, EncodedImage};
use crate::api::delivery::jobs::{End, Waiter, queue};
use crate::api::delivery::sse::cursor::{Cursor, Step};
use crate::api::delivery::sse::events::{StartedEvent, StepEvent};
use crate::api::delivery::sse::names::{COMPLETED, PARTIAL_IMAGE};
use crate::api::delivery::sse::openai::{CompletedEvent, PartialImageEvent};
use crate::api::problem::{Dialect, OpenAiError, Problem, ProblemBody};
use crate::engine::Progress;

/// The interval of comments while there are no events, so that proxies keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The events of a job that has just been queued.
pub fn from_the_start(waiter: Waiter, request_id: String, dialect: Dialect) -> Response {
    respond(Reader::new(waiter, request_id, Cursor::from_the_start(), dialect))
}

/// The events of a job from its current state on.
pub fn of_job(waiter: Waiter, request_id: String) -> Response {
    respond(Reader::new(waiter, request_id, Cursor::default(), Dialect::Own))
}

fn respond(reader: Reader) -> Response {
    let events = stream::unfold(reader, |mut reader| async {
        let event = reader.next().await?;
        Some((event, reader))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    // Events are always UTF-8, but clients read text without a charset as ISO-8859-1.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    // nginx buffers responses unless this header forbids it.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// One reader of a job.
struct Reader {
    waiter: Waiter,
    /// `None` if the job had ended before: the reader gets only its end.
    progress: Option<watch::Receiver<Progress>>,
    /// Whether the progress may still change.
    is_open: bool,
    cursor: Cursor,
    dialect: Dialect,
    /// Previews sent so far.
    previews: usize,
    request_id: String,
    is_done: bool,
    /// The span of the request.
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
            // The end is read first, so that the progress read after it is final.
            let end = self.waiter.ended();
            let is_success = matches!(end, Some(End::Succeeded(_)));
            let next = match &mut self.progress {
                Some(progress) => self.cursor.next(&progress.borrow_and_update(), is_success),
                // The job had ended before this reader was made.
                None => self.cursor.next_of_ended(is_success),
            };
            match (next, end) {
                (Some(step), _) => match self.event(step).await {
                    Ok(Some(event)) => return Some(event),
                    Ok(None) => continue,
                    Err(problem) => return Some(self.last(&End::Failed(problem))),
                },
                (None, Some(end)) => return Some(self.last(&end)),
                (None, None) => {}
            }
            self.changed().await;
        }
    }

    /// Waits for progress or for the end.
    async fn changed(&mut self) {
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

    /// The event of a step of the job, if the dialect has one.
    async fn event(&mut self, step: Step) -> Result<Option<Result<Event, axum::Error>>, Problem> {
        let output = self.waiter.job().output;
        Ok(Some(match (self.dialect, step) {
            (Dialect::OpenAi, Step::Done { preview: Some(image), .. }) => {
                let file = EncodedImage::encode(Arc::clone(&image), output, Vec::new()).await?;
                let data = PartialImageEvent::new(&image, file, output.format, self.previews);
                self.previews += 1;
                named(PARTIAL_IMAGE, &data)
            }
            (Dialect::OpenAi, _) => return Ok(None),
            (Dialect::Own, Step::Queued { position, estimated_wait }) => {
                named("queued", &queue(position, estimated_wait))
            }
            (Dialect::Own, Step::Started) => named("started", &StartedEvent {}),
            (Dialect::Own, Step::Done { step, steps, preview }) => {
                let b64_json = match preview {
                    Some(image) => Some(Base64(EncodedImage::encode(image, output, Vec::new()).await?)),
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
            (Ok(answer), dialect) => completed(answer, dialect),
            (Err(problem), Dialect::Own) => named("error", &ProblemBody::new(&problem, &self.request_id)),
            (Err(problem), Dialect::OpenAi) => named("error", &OpenAiError::new(&problem)),
        }
    }
}

/// The event of an answer.
fn completed(answer: &Answer, dialect: Dialect) -> Result<Event, axum::Error> {
    match (dialect, &answer.body) {
        (Dialect::OpenAi, AnswerBody::Images(images)) => {
            // Serialized through a `Value`, which sorts the fields by name: clients have always got this order.
            let data = serde_json::to_value(CompletedEvent::from(&**images)).map_err(axum::Error::new)?;
            named(COMPLETED, &data)
        }
        (_, body) => named("completed", body),
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.is_done {
            self.span.in_scope(|| tracing::info!("the client disconnected before the end of its stream"));
        }
    }
}

fn named(name: &str, data: &impl Serialize) -> Result<Event, axum::Error> {
    Event::default().event(name).json_data(data)
}
