//! The ways to wait: for the response, for events, up to a deadline; and that a job without waiters is canceled.

use axum::body::Body;
use axum::http::Response;
use http_body_util::BodyExt;
use reprompt::api::ApiConfig;
use reprompt::engine::EngineConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub use crate::support::until;
use crate::support::{Answer, STEP, Service, config, image, post};

pub const ASYNC: (&str, &str) = ("prefer", "respond-async");

pub fn swap(seed: u64, steps: usize) -> Value {
    json!({
        "source": {"prompt": "a cat on the beach", "seed": seed, "steps": steps, "size": "64x64"},
        "prompt": "a dog on the beach"
    })
}

/// A job that takes longer than any test: 9 seconds of a slow fake.
pub fn long(seed: u64) -> Value {
    swap(seed, 900)
}

pub fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

/// The events of a stream: names and data.
pub fn events(answer: &Answer) -> Vec<(String, Value)> {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    text.split("\n\n").filter_map(event).collect()
}

fn event(block: &str) -> Option<(String, Value)> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    Some((field("event: ")?.to_owned(), serde_json::from_str(field("data: ")?).unwrap()))
}

pub fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

/// The next event of an answer that is still being written.
pub async fn next_event(response: &mut Response<Body>) -> (String, Value) {
    let data = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    event(std::str::from_utf8(&data).unwrap()).unwrap()
}

/// A source that is run reserves memory for its recording. A canceled job returns it; a recorded source keeps it.
pub async fn until_running(service: &Service) {
    until("the start of the work", async || {
        service.state.engine.sessions().used(reprompt::recordings::Tier::Trajectory) > 0
    })
    .await;
}

pub async fn until_canceled(service: &Service) {
    until("the end of the work", async || {
        service.state.engine.sessions().used(reprompt::recordings::Tier::Trajectory) == 0
    })
    .await;
}

pub async fn until_ended(service: &Service, path: &str) -> Value {
    let is_over = async || !matches!(job(service, path).await["status"].as_str(), Some("queued" | "processing"));
    until("the end of the job", is_over).await;
    job(service, path).await
}

pub async fn job(service: &Service, path: &str) -> Value {
    service.get(path).await.json()
}

fn post_bytes(path: &str, body: &Value, more: &str) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_cancels_its_job() {
    let service = Service::slow().await;
    let address = service.listen().await;
    for (seed, more) in [(1, ""), (2, "accept: text/event-stream\r\n"), (3, "idempotency-key: k\r\n")] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(&post_bytes("/v1/edits", &long(seed), more)).await.unwrap();
        until_running(&service).await;
        if seed == 2 {
            let mut start = vec![0; 20];
            socket.read_exact(&mut start).await.unwrap();
            assert_eq!(start, b"HTTP/1.1 200 OK\r\ncon", "the stream has begun");
        }
        drop(socket);
        until_canceled(&service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_every_step_in_order_and_then_the_plain_answer() {
    let service = Service::slow().await;
    let plain = service.post("/v1/edits", &swap(1, 4)).await.json();
    let answer = service.post("/v1/edits", &with(swap(1, 4), "stream", true)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!((answer.header("cache-control"), answer.header("x-accel-buffering")), ("no-cache", "no"));
    let events = events(&answer);
    assert_eq!(names(&events), ["queued", "started", "step", "step", "step", "step", "completed"]);
    assert_eq!(events[1].1, json!({}));
    for place in ["position", "estimated_wait_ms"] {
        assert!(events[0].1[place].is_u64(), "{:?}", events[0]);
    }
    for (at, (_, step)) in events[2..6].iter().enumerate() {
        assert_eq!((&step["step"], &step["steps"]), (&json!(at + 1), &json!(4)));
    }
    let whole = &events[6].1;
    assert_eq!(image(whole, "edit"), image(&plain, "edit"));
    assert_eq!(whole["session"], json!({"id": plain["session"]["id"], "recording": "hit"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_decides_whether_to_stream_and_accept_does_if_it_says_nothing() {
    let service = Service::fake().await;
    let (json, events, image) = ("application/json", "text/event-stream; charset=utf-8", "image/png");
    for (stream, accept, expected) in [
        (json!(false), "text/event-stream, application/json", json),
        (json!(false), "application/json;q=0.5, text/event-stream", json),
        (json!(false), "text/event-stream, image/png", image),
        (json!(false), "text/event-stream, */*", json),
        (json!(false), "text/event-stream", "application/problem+json"),
        (json!(true), "application/json, text/event-stream", events),
        (json!(true), "application/json", events),
        (json!(true), "image/png, */*;q=0.1", events),
        (json!(true), "*/*", events),
        (json!(true), "image/png", "application/problem+json"),
        (Value::Null, "text/event-stream, application/json", events),
        (Value::Null, "application/json, text/event-stream", json),
        (Value::Null, "*/*", json),
    ] {
        let body = with(swap(1, 2), "stream", stream.clone());
        let answer = service.post_accepting("/v1/edits", &body, accept).await;
        assert_eq!(answer.header("content-type"), expected, "{stream} {accept}");
        assert_eq!(answer.status, if expected.contains("problem") { 406 } else { 200 }, "{stream} {accept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_calls_that_run_something_stream() {
    let service = Service::fake().await;
    let stream = [("accept", "text/event-stream")];
    let source = json!({"prompt": "a cat on the beach", "seed": 1, "steps": 3, "size": "64x64"});
    for body in [with(source.clone(), "stream", true), json!({"source": source, "partial_images": 0, "stream": true})] {
        let events = events(&service.post("/v1/sessions", &body).await);
        let (first, last) = (&events[0], events.last().unwrap());
        assert_eq!((first.0.as_str(), last.0.as_str()), ("queued", "completed"));
        assert_eq!(last.1["object"], "session");
        let path = format!("/v1/sessions/{}/edits", last.1["id"].as_str().unwrap());
        let answer = service.post_with(&path, &json!({"prompt": "a dog on the beach"}), &stream).await;
        assert_eq!(self::events(&answer).last().unwrap().1["object"], "edit");
    }
    let answer = service.post_with("/v1/sessions", &json!({"source": source}), &stream).await;
    assert_eq!(events(&answer).last().unwrap().1["recording"], "hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_misses_nothing_and_delays_no_other() {
    let service = Service::slow().await;
    let mut late = service.open(post("/v1/edits", &with(swap(1, 4), "stream", true), &[])).await;
    // A job that was queued behind it is done, so it is done itself.
    assert_eq!(service.post("/v1/edits", &swap(1, 5)).await.status, 200);
    let mut seen = Vec::new();
    while seen.last().is_none_or(|name| name != "completed") {
        seen.push(next_event(&mut late).await.0);
    }
    assert_eq!(seen, ["queued", "started", "step", "step", "step", "step", "completed"]);
    assert!(late.body_mut().frame().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_before_a_job_is_queued_is_no_stream() {
    let config = EngineConfig { queue_limit: 0, ..config() };
    let service = Service::fake_with(STEP, config, ApiConfig::default()).await;
    let stream = with(swap(1, 4), "stream", true);
    for (status, code, body) in
        [(429, "queue_full", stream.clone()), (422, "missing_field", with(stream, "prompt", Value::Null))]
    {
        let answer = service.post("/v1/edits", &body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (status, Some(code)));
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_on_the_way_is_the_streams_last_event() {
    let service = Service::demo().await;
    let body = with(swap(1, 3), "equalizer", json!([{"word": "dog", "strength": 1e38}]));
    let answer = service.post_with("/v1/edits", &with(body, "stream", true), &[("x-request-id", "mine")]).await;
    assert_eq!(answer.status, 200);
    let (name, problem) = events(&answer).pop().unwrap();
    assert_eq!((name.as_str(), &problem["code"]), ("error", &json!("diverged")));
    assert_eq!((&problem["status"], &problem["request_id"]), (&json!(422), &json!("mine")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_cancels_the_job_however_it_is_waited_for() {
    let service = Service::slow().await;
    let soon = ("cancel-after", "300ms");
    let plain = service.post_with("/v1/edits", &long(1), &[soon]).await;
    assert_eq!((plain.status.as_u16(), &plain.json()["code"]), (504, &json!("deadline_exceeded")));
    until_canceled(&service).await;

    let stream = service.post_with("/v1/edits", &with(long(2), "stream", true), &[soon]).await;
    let (name, problem) = events(&stream).pop().unwrap();
    assert_eq!((name.as_str(), &problem["code"]), ("error", &json!("deadline_exceeded")));
    until_canceled(&service).await;

    let accepted = service.post_with("/v1/edits", &long(3), &[soon, ASYNC]).await;
    let job = until_ended(&service, accepted.header("location")).await;
    assert_eq!((&job["status"], &job["cancel_reason"]), (&json!("canceled"), &json!("deadline")));
    until_canceled(&service).await;

    let in_time = service.post_with("/v1/edits", &swap(4, 3), &[("cancel-after", "1m30s")]).await;
    assert_eq!(in_time.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_cannot_be_met_are_refused_by_name() {
    let service = Service::fake().await;
    let edit = swap(1, 3);
    let field = |name: &str, value: Value| with(edit.clone(), name, value);
    let image = ("accept", "image/png");
    type Case<'a> = (u16, &'a str, &'a str, Value, &'a [(&'a str, &'a str)]);
    #[rustfmt::skip]
    let cases: [Case; 15] = [
        (422, "invalid_value", "stream", field("stream", json!("yes")), &[]),
        (406, "not_acceptable", "", field("stream", json!(true)), &[image]),
        (422, "invalid_value", "stream", field("stream", json!(true)), &[ASYNC]),
        (406, "not_acceptable", "", edit.clone(), &[ASYNC, image]),
        (406, "not_acceptable", "", edit.clone(), &[ASYNC, ("accept", "text/event-stream")]),
        (422, "invalid_value", "partial_images", field("partial_images", json!(1)), &[]),
        (422, "invalid_value", "partial_images", field("partial_images", json!(17)), &[ASYNC]),
        (422, "invalid_value", "partial_images", field("partial_images", json!(-1)), &[ASYNC]),
        (422, "invalid_value", "webhook", field("webhook", json!("https://example.com/")), &[]),
        (422, "webhook_not_allowed", "webhook", field("webhook", json!("https://example.com/")), &[ASYNC]),
        (422, "invalid_value", "webhook", field("webhook", json!("/hook")), &[ASYNC]),
        (400, "invalid_header", "Idempotency-Key", edit.clone(), &[("idempotency-key", "two words")]),
        (400, "invalid_header", "Idempotency-Key", edit.clone(), &[("idempotency-key", "a"), ("idempotency-key", "b")]),
        (400, "invalid_header", "Cancel-After", edit.clone(), &[("cancel-after", "soon")]),
        (400, "unknown_field", "streem", field("streem", json!(true)), &[]),
    ];
    for (status, code, param, body, headers) in cases {
        let answer = service.post_with("/v1/edits", &body, headers).await;
        let problem = answer.json();
        assert_eq!((answer.status.as_u16(), problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(problem["param"].as_str().unwrap_or_default(), param, "{problem}");
    }
    assert_eq!(service.state.metrics.async_jobs.get(), 0);
}
