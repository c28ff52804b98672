//! Pages of other sites: what a browser can send to the service without CORS, and the hosts that it can name.

use axum::body::Body;
use axum::http::Request;
use reprompt::api::guard::GuardConfig;
use reprompt::api::guard::hosts::Hosts;

use crate::guard::{get, guarded, refusals};
use crate::support::{Service, post};
use crate::waiting::swap;

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_of_other_sites_are_refused_for_every_path() {
    let hosts = |allows_addresses| Some(Hosts { patterns: vec!["*.edit.example".parse().unwrap()], allows_addresses });
    let service = guarded(GuardConfig { hosts: hosts(false), ..GuardConfig::default() }).await;
    let status = async |service: &Service, path: &str, host: &str| {
        let answer = service.send(get(path, &[("host", host)])).await;
        let is_refused = answer.json()["code"] == "host_not_allowed";
        assert_eq!(is_refused, answer.status == 403, "{path} {host}");
        answer.status.as_u16()
    };
    for path in ["/v1/sessions", "/v1/models", "/openapi.json", "/healthz"] {
        for host in ["127.0.0.1:8080", "localhost", "[::1]:8080", "a.edit.example:8080"] {
            assert_eq!(status(&service, path, host).await, 200, "{path} {host}");
        }
        for host in ["rebound.example:8080", "localhost.rebound.example", "edit.example", "192.0.2.1"] {
            assert_eq!(status(&service, path, host).await, 403, "{path} {host}");
        }
    }
    let mut request = swap_request("rebound.example");
    assert_eq!(service.send(request).await.status, 403);
    request = swap_request("localhost");
    request.headers_mut().append("host", "rebound.example".parse().unwrap());
    assert_eq!(service.send(request).await.status, 403, "one of two hosts");
    assert_eq!(service.send(get("http://rebound.example/v1/models", &[("host", "localhost")])).await.status, 403);
    assert_eq!(service.send(get("/v1/models", &[])).await.status, 200, "a program without a host");
    assert_eq!(refusals(&service, "host_not_allowed"), 4 * 4 + 3);

    let open = guarded(GuardConfig { hosts: hosts(true), ..GuardConfig::default() }).await;
    assert_eq!(status(&open, "/v1/models", "192.0.2.1").await, 200);
    assert_eq!(status(&open, "/v1/models", "rebound.example").await, 403);
    let unchecked = guarded(GuardConfig::default()).await;
    assert_eq!(status(&unchecked, "/v1/models", "rebound.example").await, 200);
}

fn swap_request(host: &str) -> Request<Body> {
    post("/v1/edits", &swap(1, 2), &[("host", host)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_cannot_send_an_edit_without_a_preflight() {
    let service = guarded(GuardConfig::default()).await;
    // The media types that a browser sends to another site without asking, and none.
    for media in
        ["text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data", ""]
    {
        let mut request = post("/v1/edits", &swap(1, 2), &[("origin", "https://evil.example")]);
        request.headers_mut().remove("content-type");
        if !media.is_empty() {
            request.headers_mut().insert("content-type", media.parse().unwrap());
        }
        assert_eq!(service.send(request).await.json()["code"], "unsupported_media_type", "{media}");
    }
    let preflight = Request::options("/v1/edits").header("origin", "https://evil.example");
    let preflight = preflight.header("access-control-request-method", "POST").body(Body::empty()).unwrap();
    assert_eq!(service.send(preflight).await.header("access-control-allow-origin"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_with_a_needless_slash_is_not_found_and_says_why() {
    let service = guarded(GuardConfig::default()).await;
    for path in ["/v1/edits/", "/v1/models/", "//v1/models", "/v1//models"] {
        let answer = service.get(path).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 404);
        assert!(detail.contains(path) && detail.contains("slash"), "{detail}");
    }
}
