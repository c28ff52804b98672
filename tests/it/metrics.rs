//! `/metrics` over HTTP: requests by call and answer, and whether the service is ready.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::Service;

/// The value of a series.
async fn value(service: &Service, series: &str) -> f64 {
    let text = String::from_utf8(service.get("/metrics").await.body).unwrap();
    let line =
        text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series}:\n{text}"));
    line.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_is_served_from_the_start_in_the_text_format() {
    let service = Service::fake().await;
    let answer = service.get("/metrics").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/plain; version=0.0.4"));
    let text = String::from_utf8(answer.body).unwrap();
    for name in crate::support::metric_names() {
        assert!(text.lines().any(|line| line.starts_with(&format!("# TYPE {name} "))), "{name} is not served");
    }
    assert!(text.contains("reprompt_http_requests_total{call=\"create_session\",status=\"5xx\"} 0"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_build_and_the_model_are_labels_of_one_series() {
    let service = Service::fake().await;
    let text = String::from_utf8(service.get("/metrics").await.body).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("reprompt_build_info{")).collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    let version = env!("CARGO_PKG_VERSION");
    assert!(line.ends_with("} 1") && line.contains(&format!("version=\"{version}\"")), "{line}");
    assert!(line.contains("model=\"reprompt-demo\"") && line.contains("revision=\""), "{line}");
    let git = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    if git.is_ok_and(|git| git.status.success()) {
        assert!(!line.contains("revision=\"unknown\""), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_call_and_answer() {
    let service = Service::fake().await;
    let align = json!({"source_prompt": "a cat", "prompt": "a dog"});
    for _ in 0..3 {
        assert_eq!(service.post("/v1/align", &align).await.status, 200);
    }
    assert_eq!(service.post("/v1/align", &json!({})).await.status, 422);
    assert_eq!(service.post("/v1/sessions/ses_0/edits", &json!({"prompt": "a dog"})).await.status, 404);
    assert_eq!(service.get("/v1/sessions").await.status, 200);
    assert_eq!(service.delete("/v1/sessions/ses_0").await.status, 404);
    assert_eq!(service.get("/v1/nothing").await.status, 404);
    assert_eq!(service.get("/v1/edits").await.status, 405);
    for (call, status, count) in [
        ("align", "2xx", 3.0),
        ("align", "4xx", 1.0),
        ("create_session_edit", "4xx", 1.0),
        ("read_session", "2xx", 1.0),
        ("delete_session", "4xx", 1.0),
        ("other", "4xx", 2.0),
        ("create_edit", "2xx", 0.0),
    ] {
        let series = format!("reprompt_http_requests_total{{call=\"{call}\",status=\"{status}\"}}");
        assert_eq!(value(&service, &series).await, count, "{series}");
    }
    assert_eq!(value(&service, "reprompt_http_request_seconds_count{call=\"align\"}").await, 4.0);
    assert!(value(&service, "reprompt_http_request_seconds_sum{call=\"align\"}").await > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_counted_as_gone() {
    let service = Service::slow().await;
    let body = json!({"source": {"prompt": "a cat", "steps": 500}});
    let request = service.post("/v1/sessions", &body);
    assert!(tokio::time::timeout(Duration::from_millis(50), request).await.is_err(), "500 steps take longer");
    assert_eq!(value(&service, "reprompt_http_requests_total{call=\"create_session\",status=\"gone\"}").await, 1.0);
    assert_eq!(value(&service, "reprompt_http_request_seconds_count{call=\"create_session\"}").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_is_1_until_the_service_drains() {
    let service = Service::fake().await;
    assert_eq!(value(&service, "reprompt_ready").await, 1.0);
    service.state.engine.drain();
    assert_eq!(value(&service, "reprompt_ready").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_the_metrics_is_served_too() {
    let service = Service::fake().await;
    let head = service.send(Request::head("/metrics").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}
