//! API keys, limits and timeouts; and the headers that every response has.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use reprompt::api;
use reprompt::api::ApiConfig;
use reprompt::api::guard::GuardConfig;
use reprompt::api::guard::address::{ForwardedHeader, Proxies, network};
use reprompt::api::guard::api_keys::file::KeyFile;
use reprompt::api::guard::timeouts::TimeLimits;
use reprompt::diffusion::weights::embedded;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

use crate::process::{Process, eventually, reprompt};
use crate::support::{STEP, Service, config};
use crate::waiting::{ASYNC, events, long, names, swap, until, until_canceled, with};

const ALICE: &str = "the-long-random-key-of-alice";
const BOB: &str = "the-long-random-key-of-bob";

fn key_file() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("alice {ALICE}\nbob {BOB}\n")).unwrap();
    file
}

pub async fn guarded(guard: GuardConfig) -> Service {
    Service::fake_with(STEP, config(), ApiConfig { guard, ..ApiConfig::default() }).await
}

async fn with_keys(guard: GuardConfig) -> Service {
    guarded(keyed(guard)).await
}

fn keyed(guard: GuardConfig) -> GuardConfig {
    let keys = Some(Arc::new(KeyFile::open(key_file().path()).unwrap()));
    GuardConfig { keys, ..guard }
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

pub fn get(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

pub fn refusals(service: &Service, reason: &str) -> u64 {
    let text = service.state.registry.text();
    let series = format!("reprompt_http_requests_refused_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_needs_a_key_but_probes_and_the_contract() {
    let service = with_keys(GuardConfig::default()).await;
    let contract = service.get("/openapi.json").await;
    assert_eq!(contract.status, 200);
    let mut refused = 0;
    for (path, methods) in contract.json()["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.replace("{id}", "some");
            let answer = service.send(Request::builder().method(&method).uri(&path).body(Body::empty()).unwrap()).await;
            if ["/healthz", "/readyz", "/openapi.json"].contains(&path.as_str()) {
                assert_eq!(answer.status, 200, "{path}");
                continue;
            }
            let problem = answer.json();
            // One call speaks as the OpenAI API does.
            let code = if problem["error"].is_object() { &problem["error"]["code"] } else { &problem["code"] };
            assert_eq!((answer.status.as_u16(), code), (401, &json!("unauthorized")), "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"reprompt\"");
            assert!(problem["error"].is_object() || problem["request_id"] == answer.header("x-request-id"));
            refused += 1;
        }
    }
    assert!(refused > 12, "{refused}");
    assert_eq!(refusals(&service, "no_key"), refused);
    assert_eq!(service.get("/nothing").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_as_a_bearer_token_or_in_a_header_of_its_own() {
    let service = with_keys(GuardConfig::default()).await;
    let status = async |headers: &[(&str, &str)]| service.send(get("/v1/models", headers)).await.status.as_u16();
    assert_eq!(status(&[("authorization", &bearer(ALICE))]).await, 200);
    assert_eq!(status(&[("x-api-key", BOB)]).await, 200);
    assert_eq!(status(&[("authorization", "Basic YWxpY2U6"), ("x-api-key", BOB)]).await, 200);
    for wrong in ["Bearer ", "Bearer alice", "Basic YWxpY2U6", &bearer(&ALICE.to_uppercase()), &bearer(&ALICE[1..])] {
        assert_eq!(status(&[("authorization", wrong)]).await, 401, "{wrong}");
    }
    let repeated = [("authorization", bearer(ALICE)), ("authorization", bearer(BOB))];
    let repeated = repeated.each_ref().map(|(name, value)| (*name, value.as_str()));
    let repeated = service.send(get("/v1/models", &repeated)).await.json();
    assert_eq!((&repeated["code"], &repeated["param"]), (&json!("invalid_header"), &json!("authorization")));
    let unknown = service.send(get("/v1/models", &[("x-api-key", "another")])).await;
    assert_eq!(unknown.header("www-authenticate"), "Bearer realm=\"reprompt\", error=\"invalid_token\"");
    assert!(!String::from_utf8_lossy(&unknown.body).contains("another"));
    assert!(refusals(&service, "unknown_key") >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_idempotency_keys_are_each_keys_own() {
    let service = with_keys(GuardConfig::default()).await;
    let (alice, bob) = (bearer(ALICE), bearer(BOB));
    let ask = async |key: &str, body: &Value| {
        service.post_with("/v1/edits", body, &[ASYNC, ("authorization", key), ("idempotency-key", "one")]).await
    };
    let job = ask(&alice, &swap(1, 3)).await;
    let path = job.header("location").to_owned();
    let other = ask(&bob, &swap(2, 3)).await;
    assert_eq!((other.status.as_u16(), other.header("idempotent-replayed")), (202, ""), "{:?}", other.json());
    assert_eq!(ask(&alice, &swap(1, 3)).await.header("idempotent-replayed"), "true");
    for (key, status, jobs) in [(&alice, 200, 1), (&bob, 404, 1)] {
        let headers = [("authorization", key.as_str())];
        assert_eq!(service.send(get(&path, &headers)).await.status, status);
        let list = service.send(get("/v1/jobs", &headers)).await.json();
        assert_eq!(list["data"].as_array().unwrap().len(), jobs);
    }
    let delete = Request::delete(&path).header("authorization", &bob).body(Body::empty()).unwrap();
    assert_eq!(service.send(delete).await.json()["code"], "job_not_found");
    // Sessions are what was recorded, whoever asked for it.
    until("both sources are sessions", async || {
        let sessions = service.send(get("/v1/sessions", &[("authorization", &bob)])).await.json();
        sessions["data"].as_array().unwrap().len() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_key_and_reported_in_headers() {
    let service = with_keys(GuardConfig { requests_per_minute: NonZeroU32::new(2), ..GuardConfig::default() }).await;
    let ask = async |key: &str| service.send(get("/v1/models", &[("x-api-key", key)])).await;
    let first = ask(ALICE).await;
    assert_eq!((first.status.as_u16(), first.header("ratelimit-policy")), (200, "\"requests\";q=2;w=60"));
    assert_eq!(first.header("ratelimit"), "\"requests\";r=1;t=30");
    ask(ALICE).await;
    let third = ask(ALICE).await;
    assert_eq!((third.status.as_u16(), &third.json()["code"]), (429, &json!("rate_limited")));
    assert_eq!((third.header("ratelimit"), third.header("retry-after")), ("\"requests\";r=0;t=30", "30"));
    assert_eq!(ask(BOB).await.status, 200);
    for status in [401, 401, 429] {
        assert_eq!(ask("guessed").await.status, status, "who guesses is counted too");
    }
    assert_eq!(refusals(&service, "rate_limited"), 2);
    for open in ["/healthz", "/readyz", "/openapi.json"] {
        let answer = service.get(open).await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit")), (200, ""), "{open}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_addresses_are_counted_and_only_trusted_proxies_may_name_them() {
    let proxies = Proxies { trusted: vec![network("10.0.0.0/8").unwrap()], header: ForwardedHeader::XForwardedFor };
    let requests_per_minute = NonZeroU32::new(1);
    let service = guarded(GuardConfig { proxies, requests_per_minute, ..GuardConfig::default() }).await;
    let from = async |peer: &str, client: &str| {
        let mut request = get("/v1/models", &[("x-forwarded-for", client)]);
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        service.send(request).await.status.as_u16()
    };
    assert_eq!(from("10.0.0.1", "198.51.100.1").await, 200);
    assert_eq!(from("10.0.0.2", "203.0.113.7, 198.51.100.1").await, 429, "what the client says of itself is nothing");
    assert_eq!(from("10.0.0.1", "198.51.100.2").await, 200);
    assert_eq!(from("192.0.2.1", "198.51.100.3").await, 200);
    assert_eq!(from("192.0.2.1", "198.51.100.4").await, 429, "who is not trusted is not believed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_has_so_many_jobs_and_no_more() {
    let service = with_keys(GuardConfig { jobs: 1, ..GuardConfig::default() }).await;
    let ask = async |key: &str, body: &Value, headers: &[(&str, &str)]| {
        let key = bearer(key);
        service.post_with("/v1/edits", body, &[&[("authorization", key.as_str())], headers].concat()).await
    };
    let job = ask(ALICE, &long(1), &[ASYNC]).await;
    assert_eq!(job.status, 202);
    let second = ask(ALICE, &swap(1, 2), &[]).await;
    assert_eq!((second.status.as_u16(), &second.json()["code"]), (429, &json!("too_many_concurrent")));
    assert!(second.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(ask(BOB, &swap(1, 2), &[]).await.status, 200);
    let path = job.header("location").to_owned();
    let delete = Request::delete(path).header("x-api-key", ALICE).body(Body::empty()).unwrap();
    assert_eq!(service.send(delete).await.status, 200);
    for _ in 0..3 {
        assert_eq!(ask(ALICE, &swap(1, 2), &[]).await.status, 200, "an answer that has come takes no place");
    }
    assert_eq!(refusals(&service, "too_many_concurrent"), 1);
    // Each image of a call is one.
    let images = json!({"prompt": "a cat", "n": 2, "steps": 2});
    let request = Request::post("/v1/images/generations").header("content-type", "application/json");
    let request = request.header("authorization", bearer(BOB)).body(Body::from(images.to_string())).unwrap();
    let refused = service.send(request).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["param"]), (422, &json!("n")));
}

/// What a browser asks to send for OpenAI's JavaScript client (`access-control-request-headers` of Chromium), and what
/// W3C Trace Context and Baggage add.
const PREFLIGHT: &str = "authorization,baggage,content-type,idempotency-key,traceparent,tracestate,x-stainless-arch,\
                         x-stainless-lang,x-stainless-os,x-stainless-package-version,x-stainless-retry-count,\
                         x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout";

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_origins_that_are_listed_may_call_and_read_our_headers() {
    let app = "https://app.example.com";
    let cors_origins = vec!["https://*.example.com".parse().unwrap(), "http://localhost:3000".parse().unwrap()];
    // Attention is among what is asked for, and the fake has none.
    let guard = keyed(GuardConfig { cors_origins, ..GuardConfig::default() });
    let service = Service::with_api(embedded::demo(), config(), ApiConfig { guard, ..ApiConfig::default() }).await;
    let preflight = async |origin: &str| {
        let request = Request::options("/v1/edits").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        let request = request.header("access-control-request-headers", PREFLIGHT);
        service.send(request.body(Body::empty()).unwrap()).await
    };
    let allowed = preflight(app).await;
    assert_eq!((allowed.status.as_u16(), allowed.header("access-control-allow-origin")), (200, app));
    for header in PREFLIGHT.split(',') {
        let names = allowed.header("access-control-allow-headers").split(',');
        assert!(names.into_iter().any(|name| name.trim() == header), "{header}");
    }
    assert!(allowed.header("access-control-allow-methods").contains("DELETE"));
    assert!(!allowed.header("x-request-id").is_empty());
    assert_eq!(preflight("https://app.example.com.evil.example").await.header("access-control-allow-origin"), "");

    let authorization = bearer(ALICE);
    let headers = [("origin", app), ("accept", "image/png"), ("authorization", authorization.as_str())];
    let edit = service.post_with("/v1/edits", &swap(1, 2), &headers).await;
    let exposed = edit.header("access-control-expose-headers");
    let ours: Vec<_> = edit.headers.keys().filter(|name| name.as_str().starts_with("x-re")).collect();
    assert!(ours.len() > 8 && edit.header("vary").contains("origin"), "{:?}", edit.headers);
    for name in ours {
        assert!(exposed.split(',').any(|exposed| exposed == name.as_str()), "{name} is not exposed: {exposed}");
    }
    let session = edit.header("x-reprompt-session");
    let attention = get(&format!("/v1/sessions/{session}/attention?word=cat"), &headers[..]);
    let attention = service.send(attention).await;
    assert_eq!(attention.status, 200, "{}", String::from_utf8_lossy(&attention.body));
    for name in attention.headers.keys().filter(|name| name.as_str().starts_with("x-re")) {
        assert!(exposed.split(',').any(|exposed| exposed == name.as_str()), "{name} is not exposed: {exposed}");
    }
    let refused = service.send(get("/v1/models", &[("origin", app)])).await;
    assert_eq!((refused.status.as_u16(), refused.header("access-control-allow-origin")), (401, app));

    let closed = with_keys(GuardConfig::default()).await;
    let none = closed.send(get("/healthz", &[("origin", app)])).await;
    assert_eq!(none.header("access-control-allow-origin"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_browsers_may_do_with_it() {
    let service = with_keys(GuardConfig::default()).await;
    let key = [("x-api-key", ALICE)];
    for path in ["/v1/models", "/v1/nothing", "/healthz", "/openapi.json", "/metrics"] {
        let answer = service.send(get(path, &key)).await;
        let header = |name| answer.header(name);
        assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "no-referrer"), "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
    }
}

/// What is answered to these bytes, and how the connection goes on: to its end, or for some seconds.
async fn say(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_too_many_jobs_is_asked_to_wait_until_one_of_them_is_likely_to_end() {
    let service = guarded(GuardConfig { jobs: 1, ..GuardConfig::default() }).await;
    assert_eq!(service.post_with("/v1/edits", &long(1), &[ASYNC]).await.status, 202);
    // 900 steps of 10 ms take 9 s at least.
    until("an estimate that follows from the steps left", async || {
        let refused = service.post("/v1/edits", &swap(2, 2)).await;
        assert_eq!(refused.status, 429);
        refused.header("retry-after").parse::<u64>().unwrap() >= 4
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_times_out() {
    let times = TimeLimits { body: Duration::from_millis(100), ..TimeLimits::default() };
    let service = guarded(GuardConfig { times, ..GuardConfig::default() }).await;
    let address = service.listen().await;
    let head = "POST /v1/edits HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    let answer = say(address, head).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"request_timeout\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_a_time_limit_and_a_stream_has_none() {
    let times = TimeLimits { answer: Some(Duration::from_millis(150)), ..TimeLimits::default() };
    let service = guarded(GuardConfig { times, ..GuardConfig::default() }).await;
    let answer = service.post("/v1/edits", &long(1)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (504, &json!("answer_timeout")));
    until_canceled(&service).await;
    assert_eq!(refusals(&service, "answer_timeout"), 1);
    let started = std::time::Instant::now();
    let stream = service.post("/v1/edits", &with(swap(1, 40), "stream", true)).await;
    assert!(started.elapsed() > Duration::from_millis(150), "it took too little to tell");
    assert_eq!(names(&events(&stream)).last(), Some(&"completed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_may_have_an_address_of_their_own() {
    let service = with_keys(GuardConfig { metrics_apart: true, ..GuardConfig::default() }).await;
    assert_eq!(service.send(get("/metrics", &[("x-api-key", ALICE)])).await.status, 404);
    let operations = api::metrics_router(Arc::clone(&service.state));
    for (path, status) in [("/metrics", 200), ("/healthz", 200), ("/readyz", 200), ("/v1/models", 404)] {
        let answer = operations.clone().oneshot(get(path, &[])).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_without_a_restart_and_are_never_logged() {
    let file = key_file();
    let path = file.path().to_str().unwrap();
    let mut process = Process::ready(&["--api-keys-file", path, "--log-format", "json"]).await;
    let status = |key: &str| process.call_with("GET", "/v1/models", &[("authorization", &bearer(key))]).unwrap().0;
    assert_eq!((status(ALICE), status(BOB), status("a-guess-that-is-wrong")), (200, 200, 401));
    std::fs::write(file.path(), "one two three").unwrap();
    eventually("an invalid file is reported", || process.log().contains("the API key file is invalid")).await;
    assert_eq!((status(ALICE), status(BOB)), (200, 200));
    std::fs::write(file.path(), format!("carol {}\nalice {ALICE}", "the-long-random-key-of-carol")).unwrap();
    eventually("a key is taken away", || status(BOB) == 401).await;
    assert_eq!((status(ALICE), status("the-long-random-key-of-carol")), (200, 200));
    process.signal("TERM");
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("\"client\":\"alice\"") && log.contains("the API keys have changed"), "{log}");
    for secret in ["long-random", "a-guess-that-is-wrong", "one two three"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn without_keys_the_service_listens_on_this_machine_only() {
    let (code, said) = Process::of(reprompt(&["serve", "--listen", "0.0.0.0:0"])).ended().await;
    assert_eq!(code, Some(1));
    assert!(said.lines().count() == 1 && said.contains("listen: unsupported value 0.0.0.0:0; "), "{said}");
    let file = key_file();
    let shown = reprompt(&["--api-keys-file", file.path().to_str().unwrap(), "--print-config"])
        .stdout(std::process::Stdio::piped())
        .env("REPROMPT_API_KEYFILE", "x")
        .output()
        .unwrap();
    let (shown, said) = (String::from_utf8(shown.stdout).unwrap(), String::from_utf8(shown.stderr).unwrap());
    assert!(
        shown.contains("api_keys_file = ") && shown.contains("# flag") && !shown.contains("long-random"),
        "{shown}"
    );
    assert!(said.contains("REPROMPT_API_KEYFILE") && said.contains("did you mean REPROMPT_API_KEYS_FILE?"), "{said}");
}
