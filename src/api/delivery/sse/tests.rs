//! Streams as their readers see them, with paused time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::api::delivery::answer::testing;
use crate::api::delivery::jobs::{End, JobRecord, Kind, Origin};
use crate::api::delivery::sse;
use crate::api::operations::output::Output;
use crate::api::problem::Dialect;
use crate::engine::job::Preview;
use crate::engine::{CancelReason, Progress, Stage};
use crate::media::{Image, decode, from_base64};

/// A job, the sender of its progress, and the receiver of its cancellation.
fn new_job() -> (Arc<JobRecord>, watch::Sender<Progress>, oneshot::Receiver<CancelReason>) {
    let (sender, progress) = watch::channel(Progress::default());
    let origin = Origin { request_id: "first".to_owned(), owner: None };
    let (job, stop) = JobRecord::new(Kind::Edit, origin, Output::default(), None, progress);
    (job, sender, stop)
}

fn running(step: usize) -> Progress {
    Progress { stage: Stage::Running, step, steps: 3, previews: Vec::new() }
}

fn success() -> End {
    End::Succeeded(Arc::new(testing::answer()))
}

/// The next frame of an answer as text; empty at its end.
async fn frame(body: &mut Body) -> String {
    // There is always a comment before long.
    let frame = tokio::time::timeout(Duration::from_secs(60), body.frame()).await.expect("a frame");
    let frame = frame.map(|frame| frame.unwrap().into_data().unwrap());
    frame.map_or(String::new(), |data| String::from_utf8(data.to_vec()).unwrap())
}

async fn event(body: &mut Body) -> (String, Value) {
    let text = frame(body).await;
    let (name, data) = text.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
    (name.to_owned(), serde_json::from_str(data).unwrap())
}

fn body(response: Response) -> Body {
    response.into_body()
}

#[tokio::test(start_paused = true)]
async fn a_comment_keeps_the_connection_alive_while_there_are_no_events() {
    let (job, progress, _stop) = new_job();
    let mut body = body(sse::from_the_start(job.watch(), "mine".to_owned(), Dialect::Own));
    assert_eq!(event(&mut body).await.0, "queued");
    let started = Instant::now();
    for count in 1..=2 {
        assert_eq!(frame(&mut body).await, ":\n\n");
        assert_eq!(started.elapsed(), Duration::from_secs(15) * count);
    }
    progress.send_replace(running(0));
    assert_eq!(event(&mut body).await, ("started".to_owned(), json!({})));
}

#[tokio::test(start_paused = true)]
async fn previews_come_with_their_steps_also_where_the_job_ended_long_ago() {
    let (job, progress, _stop) = new_job();
    let mut body = body(sse::from_the_start(job.watch(), "mine".to_owned(), Dialect::Own));
    let picture = Image { width: 2, height: 1, rgb: vec![1, 2, 3, 4, 5, 6] };
    let preview = Preview { step: 2, image: Arc::new(picture.clone()) };
    progress.send_replace(Progress { previews: vec![preview], ..running(3) });
    drop(progress);
    job.finish(success());
    assert_eq!(event(&mut body).await, ("queued".to_owned(), json!({"position": 0, "estimated_wait_ms": 0})));
    assert_eq!(event(&mut body).await.0, "started");
    assert_eq!(event(&mut body).await, ("step".to_owned(), json!({"step": 1, "steps": 3})));
    let (_, second) = event(&mut body).await;
    assert_eq!((&second["step"], &second["output_format"]), (&json!(2), &json!("png")));
    assert_eq!(decode(&from_base64(second["b64_json"].as_str().unwrap()).unwrap()).unwrap(), picture);
    assert_eq!(event(&mut body).await, ("step".to_owned(), json!({"step": 3, "steps": 3})));
    assert_eq!(event(&mut body).await, ("completed".to_owned(), json!(testing::answer().body)));
    assert_eq!(frame(&mut body).await, "");

    let mut late = self::body(sse::of_job(job.watch(), "mine".to_owned()));
    assert_eq!(event(&mut late).await.0, "completed", "of a job that has ended, the end alone");
    assert_eq!(frame(&mut late).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_canceled_in_the_queue_has_never_started() {
    let (job, progress, _stop) = new_job();
    let mut body = body(sse::from_the_start(job.watch(), "mine".to_owned(), Dialect::Own));
    let estimated_wait = Duration::from_millis(1500);
    progress.send_replace(Progress { stage: Stage::Queued { position: 2, estimated_wait }, ..Progress::default() });
    assert_eq!(event(&mut body).await, ("queued".to_owned(), json!({"position": 2, "estimated_wait_ms": 1500})));
    drop(progress);
    let mut waiting = std::pin::pin!(event(&mut body));
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut waiting).await.is_err(), "it has not ended yet");
    job.finish(End::Canceled(CancelReason::Deleted));
    let (name, problem) = waiting.await;
    assert_eq!((name.as_str(), &problem["code"]), ("error", &json!("job_canceled")));
    assert_eq!(problem["request_id"], "mine");
}

#[tokio::test(start_paused = true)]
async fn the_last_reader_that_disconnects_cancels_the_job() {
    let (job, _progress, stop) = new_job();
    let mut body = body(sse::from_the_start(job.watch(), "mine".to_owned(), Dialect::Own));
    event(&mut body).await;
    drop(body);
    assert_eq!(stop.await, Ok(CancelReason::Disconnected));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_the_deadline_of_its_own_request() {
    let (job, _progress, mut stop) = new_job();
    let _other = job.watch();
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut body = body(sse::from_the_start(job.watch().until(Some(deadline)), "mine".to_owned(), Dialect::Own));
    assert_eq!(event(&mut body).await.0, "queued");
    let (name, problem) = event(&mut body).await;
    assert_eq!((name.as_str(), &problem["code"]), ("error", &json!("deadline_exceeded")));
    assert_eq!(Instant::now(), deadline);
    assert_eq!(frame(&mut body).await, "");
    drop(body);
    assert!(stop.try_recv().is_err(), "another still waits");
}
