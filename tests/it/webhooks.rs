//! Webhooks: what the receiver gets, when it gets it again, and where nothing is ever sent.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hmac::{Hmac, KeyInit, Mac};
use reprompt::api::delivery::webhooks::WebhookEnd;
use reprompt::api::delivery::webhooks::{WebhookConfig, WebhookSecret};
use reprompt::api::{ApiConfig, JobLimits};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::support::{Answer, PATIENCE, STEP, Service, config, until};

/// The bytes behind the secret, and the secret.
const KEY: [u8; 32] = *b"thirty-two bytes of a random key";
const SECRET: &str = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHJhbmRvbSBrZXk=";

/// What a receiver got.
#[derive(Debug)]
struct Got {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

type Receiver = mpsc::UnboundedReceiver<Got>;

/// A receiver: its origin, and what it gets. Paths are answered by what they say.
async fn receiver() -> (String, Receiver) {
    let (origin, receiver, _) = holding_receiver().await;
    (origin, receiver)
}

/// The same, and permits for `/held`, which takes one for each answer.
async fn holding_receiver() -> (String, Receiver, Arc<Semaphore>) {
    async fn receive(
        State((got, held)): State<(mpsc::UnboundedSender<Got>, Arc<Semaphore>)>,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        got.send(Got { path: uri.path().to_owned(), headers, body }).unwrap();
        match uri.path() {
            "/gone" => StatusCode::GONE.into_response(),
            "/moved" => (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response(),
            "/down" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            "/held" => {
                held.acquire().await.unwrap().forget();
                StatusCode::NO_CONTENT.into_response()
            }
            _ => StatusCode::NO_CONTENT.into_response(),
        }
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let held = Arc::new(Semaphore::new(0));
    let router = Router::new().fallback(receive).with_state((sender, Arc::clone(&held)));
    tokio::spawn(axum::serve(listener, router).into_future());
    (origin, receiver, held)
}

async fn service(origin: &str, jobs: JobLimits) -> Service {
    service_that_waits(origin, jobs, Duration::from_millis(2)).await
}

async fn service_that_waits(origin: &str, jobs: JobLimits, first_wait: Duration) -> Service {
    let secret: WebhookSecret = SECRET.parse().unwrap();
    let hosts = vec![origin.parse().unwrap()];
    let webhooks = WebhookConfig { first_wait, ..WebhookConfig::new(hosts, secret) };
    let api = ApiConfig { jobs, webhooks: Some(webhooks), ..ApiConfig::default() };
    Service::fake_with(STEP, config(), api).await
}

async fn submit(service: &Service, webhook: &str) -> Answer {
    let body = json!({
        "source": {"prompt": "a cat", "seed": 1, "steps": 3, "size": "64x64"}, "prompt": "a dog", "webhook": webhook
    });
    service.post_with("/v1/edits", &body, &[("prefer", "respond-async")]).await
}

async fn next(receiver: &mut Receiver) -> Got {
    tokio::time::timeout(PATIENCE, receiver.recv()).await.expect("a webhook comes").unwrap()
}

async fn until_counted(service: &Service, end: WebhookEnd) {
    let counter = service.state.metrics.webhooks.with(end);
    until("the delivery to end", async || counter.get() > 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_gets_the_job_signed() {
    let (origin, mut receiver) = receiver().await;
    let service = service(&origin, JobLimits::default()).await;
    let accepted = submit(&service, &format!("{origin}/hook?a=b")).await;
    assert_eq!(accepted.status, 202, "{}", accepted.json());
    let got = next(&mut receiver).await;
    let job: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(job, service.get(accepted.header("location")).await.json());
    assert_eq!((&job["status"], &job["result"]["object"]), (&json!("succeeded"), &json!("edit")));
    assert_eq!((got.path.as_str(), got.header("content-type")), ("/hook", "application/json"));

    assert_eq!(got.header("traceparent"), accepted.header("traceparent"), "it is part of the request's trace");

    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&KEY).unwrap();
    mac.update(format!("{}.{}.", got.header("webhook-id"), got.header("webhook-timestamp")).as_bytes());
    mac.update(&got.body);
    let signature = reprompt::media::from_base64(got.header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    mac.verify_slice(&signature).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(got.header("webhook-timestamp").parse().unwrap()) < 60);
    until_counted(&service, WebhookEnd::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_not_accepted_is_retried_a_limited_number_of_times() {
    let (origin, mut receiver) = receiver().await;
    let service = service(&origin, JobLimits::default()).await;
    submit(&service, &format!("{origin}/down")).await;
    until_counted(&service, WebhookEnd::GivenUp).await;
    let mut attempts = Vec::new();
    while let Ok(got) = receiver.try_recv() {
        attempts.push(got);
    }
    assert_eq!(attempts.len(), 5);
    for again in &attempts[1..] {
        assert_eq!(again.header("webhook-id"), attempts[0].header("webhook-id"));
        assert_eq!(again.body, attempts[0].body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_sent_nothing_more() {
    let (origin, mut receiver) = receiver().await;
    let service = service(&origin, JobLimits::default()).await;
    submit(&service, &format!("{origin}/gone")).await;
    until_counted(&service, WebhookEnd::GivenUp).await;
    assert_eq!(next(&mut receiver).await.path, "/gone");
    assert!(receiver.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_does_not_go_where_the_receiver_points() {
    let (origin, mut receiver) = receiver().await;
    let service = service(&origin, JobLimits::default()).await;
    submit(&service, &format!("{origin}/moved")).await;
    until_counted(&service, WebhookEnd::GivenUp).await;
    while let Ok(got) = receiver.try_recv() {
        assert_eq!(got.path, "/moved");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_fail_or_are_canceled_are_sent_too() {
    let (origin, mut receiver) = receiver().await;
    let service = service(&origin, JobLimits::default()).await;
    let long =
        json!({"source": {"prompt": "a cat", "steps": 900, "size": "64x64"}, "webhook": format!("{origin}/hook")});
    let accepted = service.post_with("/v1/sessions", &long, &[("prefer", "respond-async")]).await;
    service.delete(accepted.header("location")).await;
    let job: Value = serde_json::from_slice(&next(&mut receiver).await.body).unwrap();
    assert_eq!((&job["status"], &job["cancel_reason"]), (&json!("canceled"), &json!("deleted")));
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_a_webhook_that_is_being_delivered() {
    let (origin, mut receiver, held) = holding_receiver().await;
    let service = service(&origin, JobLimits::default()).await;
    submit(&service, &format!("{origin}/held")).await;
    assert_eq!(service.state.finish(Instant::now()).await, 1, "it is pending while its job runs");
    assert_eq!(next(&mut receiver).await.path, "/held");
    service.state.jobs.idle().await;
    let delivered = || service.state.metrics.webhooks.with(WebhookEnd::Delivered).get();
    let limit = || Instant::now() + PATIENCE;
    assert_eq!(service.state.finish(limit()).now_or_never(), None, "the receiver has not answered yet");
    assert_eq!(
        (service.state.finish(Instant::now()).await, delivered()),
        (1, 0),
        "nothing is waited for past the limit"
    );
    held.add_permits(1);
    assert_eq!((service.state.finish(limit()).await, delivered()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_a_retry_that_comes_too_late() {
    let (origin, mut receiver) = receiver().await;
    let service = service_that_waits(&origin, JobLimits::default(), Duration::from_secs(3600)).await;
    submit(&service, &format!("{origin}/down")).await;
    assert_eq!(next(&mut receiver).await.path, "/down");
    assert_eq!(service.state.finish(Instant::now() + PATIENCE).await, 0, "it is given up before the limit");
    assert_eq!(service.state.metrics.webhooks.with(WebhookEnd::GivenUp).get(), 1);
    assert!(receiver.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_not_kept_is_not_sent() {
    let (origin, mut receiver) = receiver().await;
    let service = service(&origin, JobLimits { max_result_bytes: 10, ..JobLimits::default() }).await;
    submit(&service, &format!("{origin}/hook")).await;
    until_counted(&service, WebhookEnd::GivenUp).await;
    assert!(receiver.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_to_hosts_that_are_not_listed() {
    let (origin, _) = receiver().await;
    let service = service(&origin, JobLimits::default()).await;
    let port = origin.rsplit_once(':').unwrap().1;
    for url in [
        "http://127.0.0.1:1/".to_owned(),
        format!("http://localhost:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1.example.com:{port}/"),
        "file:///etc/passwd".to_owned(),
    ] {
        let refused = submit(&service, &url).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (422, &json!("webhook_not_allowed")), "{url}");
        assert_eq!(refused.json()["param"], "webhook");
    }
    let with_user = submit(&service, &origin.replace("http://", "http://me:secret@")).await;
    assert_eq!(with_user.json()["code"], "invalid_value");
    assert!(!with_user.json()["detail"].as_str().unwrap().contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_encrypted_is_not_sent_in_the_clear() {
    let (origin, mut receiver) = receiver().await;
    let service = service(origin.trim_start_matches("http://"), JobLimits::default()).await;
    let accepted = submit(&service, &origin.replace("http://", "https://")).await;
    assert_eq!(accepted.status, 202, "{}", accepted.json());
    until_counted(&service, WebhookEnd::GivenUp).await;
    assert!(receiver.try_recv().is_err());
}
