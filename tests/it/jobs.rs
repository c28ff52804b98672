//! Jobs that outlive their requests, because the client asked for it or because they have an idempotency key.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::{Service, image, pixels, post};
use crate::waiting::{
    ASYNC, events, job, long, names, next_event, swap, until, until_canceled, until_ended, until_running, with,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_asked_about_until_it_has_its_result() {
    let service = Service::slow().await;
    let prefer = [("prefer", "wait=5, respond-async"), ("x-request-id", "mine")];
    let answer = service.post_with("/v1/edits", &with(swap(1, 4), "partial_images", 2), &prefer).await;
    let accepted = answer.json();
    assert_eq!(answer.status, 202, "{accepted}");
    assert_eq!(answer.header("preference-applied"), "respond-async");
    let path = answer.header("location");
    assert_eq!(path, format!("/v1/jobs/{}", accepted["id"].as_str().unwrap()));
    assert!(accepted["id"].as_str().unwrap().starts_with("job_"));
    assert_eq!((&accepted["object"], &accepted["kind"]), (&json!("job"), &json!("edit")));
    assert!(matches!(accepted["status"].as_str(), Some("queued" | "processing")), "{accepted}");
    assert_eq!(accepted["queue"].is_object(), accepted["status"] == "queued");
    assert!(accepted.get("result").is_none() && accepted.get("finished").is_none());
    assert_eq!(service.state.metrics.async_jobs.get(), 1);

    let done = until_ended(&service, path).await;
    assert_eq!((&done["status"], &done["progress"]), (&json!("succeeded"), &json!({"step": 4, "steps": 4})));
    let plain = service.post("/v1/edits", &swap(1, 4)).await.json();
    assert_eq!(image(&done["result"], "edit"), image(&plain, "edit"));
    assert_eq!(done["result"]["object"], "edit");
    assert_eq!(done["expires"].as_u64().unwrap() - done["finished"].as_u64().unwrap(), 3600);

    let session = json!({"source": {"prompt": "a cat", "steps": 3, "size": "64x64"}});
    let second = service.post_with("/v1/sessions", &session, &[ASYNC]).await;
    let second_done = until_ended(&service, second.header("location")).await;
    assert_eq!((&second_done["kind"], &second_done["result"]["recording"]), (&json!("session"), &json!("created")));
    let list = service.get("/v1/jobs").await.json();
    assert_eq!(list["object"], "list");
    let listed: Vec<_> = list["data"].as_array().unwrap().iter().map(|job| (&job["id"], job.get("result"))).collect();
    assert_eq!(listed, [(&second_done["id"], None), (&done["id"], None)]);

    assert_eq!(service.delete(path).await.status, 204);
    for gone in [service.get(path).await, service.delete(path).await, service.get("/v1/jobs/%ff").await] {
        assert_eq!((gone.status.as_u16(), &gone.json()["code"]), (404, &json!("job_not_found")));
    }
    assert_eq!(service.state.metrics.async_jobs.get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_has_its_problem() {
    let service = Service::demo().await;
    let body = with(swap(1, 3), "equalizer", json!([{"word": "dog", "strength": 1e38}]));
    let accepted = service.post_with("/v1/edits", &body, &[ASYNC, ("x-request-id", "mine")]).await;
    let failed = until_ended(&service, accepted.header("location")).await;
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("diverged")));
    assert_eq!((&failed["error"]["status"], &failed["error"]["request_id"]), (&json!(422), &json!("mine")));
    let refused = service.post_with("/v1/edits", &with(swap(1, 3), "prompt", ""), &[ASYNC]).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (422, &json!("empty_prompt")));
    assert_eq!(service.get("/v1/jobs").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_canceled_by_deleting_it() {
    let service = Service::slow().await;
    let accepted = service.post_with("/v1/edits", &long(1), &[ASYNC]).await;
    let path = accepted.header("location");
    until_running(&service).await;
    let canceled = service.delete(path).await;
    assert_eq!(canceled.status, 200);
    for job in [canceled.json(), job(&service, path).await] {
        assert_eq!((&job["status"], &job["cancel_reason"]), (&json!("canceled"), &json!("deleted")));
    }
    until_canceled(&service).await;
    assert_eq!(service.delete(path).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_streams_from_its_current_state_and_readers_may_disconnect() {
    let service = Service::slow().await;
    let accepted = service.post_with("/v1/edits", &swap(1, 30), &[ASYNC]).await;
    let path = accepted.header("location");
    let stream = || Request::get(path).header("accept", "text/event-stream").body(Body::empty()).unwrap();
    until("a step", async || job(&service, path).await["progress"]["step"] != 0).await;
    let mut reader = service.open(stream()).await;
    assert_eq!(next_event(&mut reader).await.0, "started");
    assert_eq!(next_event(&mut reader).await.1["step"], 1, "steps so far are reported too");
    drop(reader);
    let events = events(&service.send(stream()).await);
    let steps: Vec<_> =
        events.iter().filter(|(name, _)| name == "step").map(|(_, step)| step["step"].clone()).collect();
    assert_eq!(json!(steps), json!((1..=30).collect::<Vec<_>>()));
    let result = &events.last().unwrap().1;
    assert_eq!((result["object"].as_str(), job(&service, path).await["result"] == *result), (Some("edit"), true));
    let after = self::events(&service.send(stream()).await);
    assert_eq!((names(&after), &after[0].1), (vec!["completed"], result));
    let bare = service.send(Request::get(path).header("accept", "image/png").body(Body::empty()).unwrap()).await;
    assert_eq!(bare.json()["code"], "not_acceptable");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_job_and_gives_the_same_bytes() {
    let service = Service::slow().await;
    let key = ("idempotency-key", "one");
    let seedless = json!({"source": {"prompt": "a cat", "steps": 4, "size": "64x64"}, "prompt": "a dog"});
    let first = tokio::spawn({
        let (service, body) = (service.clone(), seedless.clone());
        async move { service.post_with("/v1/edits", &body, &[key]).await }
    });
    until_running(&service).await;
    let second = service.post_with("/v1/edits", &seedless, &[key]).await;
    let first = first.await.unwrap();
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (200, ""));
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(second.body, first.body);

    let later = service.post_with("/v1/edits", &seedless, &[key]).await;
    assert_eq!((later.header("idempotent-replayed"), later.body == first.body), ("true", true));
    let as_job = service.post_with("/v1/edits", &seedless, &[key, ASYNC]).await;
    assert_eq!((as_job.status.as_u16(), as_job.header("idempotent-replayed")), (202, "true"));
    assert_eq!(as_job.json()["result"], first.json());
    let as_stream = service.post_with("/v1/edits", &seedless, &[key, ("accept", "text/event-stream")]).await;
    assert_eq!(as_stream.header("idempotent-replayed"), "true");
    assert_eq!(events(&as_stream).last().unwrap().1, first.json());
    for format in ["png", "webp"] {
        let bare = service.post_with("/v1/edits", &seedless, &[key, ("accept", &format!("image/{format}"))]).await;
        assert_eq!(bare.header("content-type"), format!("image/{format}"));
        assert_eq!(bare.header("x-reprompt-id"), first.json()["id"]);
        assert_eq!(pixels(&bare.body), image(&first.json(), "edit"));
    }

    for (path, body) in [("/v1/edits", with(seedless.clone(), "prompt", "a bird")), ("/v1/sessions", seedless.clone())]
    {
        let reused = service.post_with(path, &body, &[key]).await;
        assert_eq!((reused.status.as_u16(), &reused.json()["code"]), (422, &json!("idempotency_key_reused")));
    }
    let other = service.post_with("/v1/edits", &seedless, &[("idempotency-key", "two")]).await;
    assert_ne!(other.json()["seed"], first.json()["seed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_holds_for_sessions_whatever_became_of_them() {
    let service = Service::fake().await;
    let key = [("idempotency-key", "one")];
    let source = json!({"source": {"prompt": "a cat", "seed": 1, "steps": 3, "size": "64x64"}});
    let created = service.post_with("/v1/sessions", &source, &key).await;
    let again = service.post_with("/v1/sessions", &source, &key).await;
    assert_eq!((created.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!((again.header("location"), &again.body), (created.header("location"), &created.body));
    let session = created.header("location");
    let (path, key) = (format!("{session}/edits"), [("idempotency-key", "two")]);
    let edit = service.post_with(&path, &json!({"prompt": "a dog"}), &key).await;
    assert_eq!(edit.status, 200);
    assert_eq!(service.delete(session).await.status, 204);
    let again = service.post_with(&path, &json!({"prompt": "a dog"}), &key).await;
    assert_eq!((again.status.as_u16(), again.body == edit.body), (200, true));
    let unknown = service.post_with(&path, &json!({"prompt": "a dog"}), &[("idempotency-key", "three")]).await;
    assert_eq!(unknown.json()["code"], "session_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_a_key_goes_on_while_a_request_waits_and_is_run_again_if_it_was_canceled() {
    let service = Service::slow().await;
    let key = ("idempotency-key", "one");
    let send = || {
        let service = service.clone();
        tokio::spawn(async move { service.post_with("/v1/edits", &swap(1, 40), &[key]).await })
    };
    let first = send();
    until_running(&service).await;
    first.abort();
    until_canceled(&service).await;
    let jobs = service.get("/v1/jobs").await.json();
    let canceled = json!(["canceled", "disconnected"]);
    assert_eq!(json!([jobs["data"][0]["status"], jobs["data"][0]["cancel_reason"]]), canceled);

    let third = send();
    until_running(&service).await;
    let mut fourth = std::pin::pin!(service.send(post("/v1/edits", &swap(1, 40), &[key])));
    assert!(tokio::time::timeout(Duration::from_millis(1), &mut fourth).await.is_err(), "it waits for the third's");
    third.abort();
    assert_eq!(fourth.await.status, 200);
    let jobs = service.get("/v1/jobs").await.json();
    assert_eq!((jobs["data"].as_array().unwrap().len(), &jobs["data"][0]["status"]), (2, &json!("succeeded")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_job_outlives_its_waiters() {
    let service = Service::slow().await;
    let key = ("idempotency-key", "one");
    let waiting = service.clone();
    let plain = tokio::spawn(async move { waiting.post_with("/v1/edits", &swap(1, 8), &[key]).await });
    until_running(&service).await;
    let accepted = service.post_with("/v1/edits", &swap(1, 8), &[key, ASYNC]).await;
    plain.abort();
    let done = until_ended(&service, accepted.header("location")).await;
    assert_eq!(done["status"], "succeeded");
}
