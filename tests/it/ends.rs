//! Shutdown of the real binary: accepted jobs finish, new ones are refused, and the exit code says how it ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use reprompt::recordings::{Origin, Source};
use serde_json::{Value, json};

use crate::process::{PATIENCE, Process, eventually, reprompt};
use crate::support::{Service, copy};

/// A source that takes a while, as a request and as its session's path.
async fn slow_source(steps: usize) -> (Value, String) {
    let service = Service::fake().await;
    let source = Source { guidance_scale: 5.0, ..Source::new("a cat", Origin::Seed(1), steps, (128, 128)) };
    let id = source.session_id(&service.state.engine.model().unwrap().fingerprint);
    let body =
        json!({"source": {"prompt": "a cat", "seed": 1, "steps": steps, "guidance_scale": 5.0, "size": "128x128"}});
    (body, format!("/v1/sessions/{id}"))
}

/// Waits until the source's run has begun: only then is there a session to delete.
async fn begun(process: &Process, session: &str) {
    eventually("the job begins", || process.call("DELETE", session, None).is_ok_and(|(status, _)| status == 204)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_signal_it_finishes_its_jobs_refuses_new_ones_and_exits_with_0() {
    let (source, session) = slow_source(25).await;
    let mut process = Process::ready(&[]).await;
    let job = process.begin("POST", "/v1/sessions", source.clone());
    begun(&process, &session).await;
    process.signal("TERM");
    let mut refused = (0, Value::Null);
    eventually("readiness goes down", || {
        refused = process.call("GET", "/readyz", None).unwrap();
        refused.0 == 503
    })
    .await;
    assert_eq!(refused.1["code"], "draining");
    let (status, problem) = process.call("POST", "/v1/sessions", Some(&source)).unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("draining")));
    assert!(!job.is_finished(), "the job still runs");
    let (status, answer) = job.join().unwrap().unwrap();
    assert_eq!((status, &answer["object"]), (201, &json!("session")), "{answer}");
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("aborted"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_cuts_draining_short_and_logs_how_many_jobs_were_aborted() {
    let (source, session) = slow_source(400).await;
    let mut process = Process::ready(&["--drain-deadline", "50ms"]).await;
    let job = process.begin("POST", "/v1/sessions", source);
    begun(&process, &session).await;
    process.signal("INT");
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    let warning =
        log.lines().find(|line| line.contains("jobs are aborted")).unwrap_or_else(|| panic!("no warning: {log}"));
    assert!(warning.contains("WARN") && warning.contains("jobs=1") && warning.contains("deadline"), "{warning}");
    assert_eq!(job.join().unwrap().unwrap().1["code"], "draining", "the client gets an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_cuts_draining_short() {
    let (source, session) = slow_source(400).await;
    let mut process = Process::ready(&["--drain-deadline", "1h"]).await;
    let job = process.begin("POST", "/v1/sessions", source);
    begun(&process, &session).await;
    process.signal("TERM");
    eventually("readiness goes down", || process.call("GET", "/readyz", None).unwrap().0 == 503).await;
    process.signal("TERM");
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("jobs=1"), "{log}");
    assert_eq!(job.join().unwrap().unwrap().1["code"], "draining");
}

/// A receiver of one webhook: its origin, a message when the request is there, and what lets it answer.
fn receiver() -> (String, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let ((got, has_got), (answer, answers)) = (mpsc::channel(), mpsc::channel::<()>());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap());
        let mut length = 0;
        loop {
            let mut line = String::new();
            request.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        request.read_exact(&mut vec![0; length]).unwrap();
        got.send(()).unwrap();
        // A sender that is dropped is a test that has failed.
        if answers.recv().is_ok() {
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        }
    });
    (origin, has_got, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_being_delivered_is_waited_for() {
    let (origin, has_got, answer) = receiver();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHJhbmRvbSBrZXk=").unwrap();
    let secret = secret.path().to_str().unwrap();
    let mut process = Process::ready(&["--webhook-hosts", &origin, "--webhook-secret-file", secret]).await;
    let body = json!({"source": {"prompt": "a cat", "steps": 2, "size": "64x64"}, "webhook": format!("{origin}/hook")});
    let (status, head) = process.call_as("/v1/sessions", &body, &[("prefer", "respond-async")]);
    assert_eq!(status, 202, "{head:?}");
    has_got.recv_timeout(PATIENCE).expect("the webhook comes");
    process.signal("TERM");
    eventually("readiness goes down", || process.call("GET", "/readyz", None).unwrap().0 == 503).await;
    answer.send(()).unwrap();
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("a webhook was delivered") && !log.contains("undelivered"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_service_exits_at_once() {
    let mut process = Process::ready(&["--drain-deadline", "1h"]).await;
    process.signal("TERM");
    assert_eq!(process.ended().await.0, Some(0));
}

/// The weights of the UNet are followed by 2 TiB of nothing, which takes longer to read than this test waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_the_model_is_loading_ends_the_process_at_once() {
    let (_folder, model) = copy("tiny-sd1");
    let weights = model.join("unet/diffusion_pytorch_model.safetensors");
    std::fs::File::options().write(true).open(weights).unwrap().set_len(2 << 40).unwrap();
    for signal in ["TERM", "INT"] {
        let mut process = Process::start(&["--model", model.to_str().unwrap()]);
        eventually("it listens", || process.log().contains("listening on")).await;
        process.signal(signal);
        let (code, log) = process.ended().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("shutting down while the model is loading"), "{log}");
    }
}

#[test]
fn a_service_that_cannot_start_exits_with_1_and_says_why_and_a_wrong_flag_with_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    for (code, says, arguments) in [
        (1, "listen: cannot listen on 127.0.0.1:", ["--listen", &taken]),
        (1, "model: ", ["--model", "/there/is/nothing/here"]),
        (1, "model: ", ["--model", empty]),
        (1, "--max-batch-rows: unsupported value 1; ", ["--max-batch-rows", "1"]),
        (2, "--drain-deadlin", ["--drain-deadlin", "1s"]),
        (2, "expected a duration such as 24h", ["--drain-deadline", "soon"]),
    ] {
        let arguments = if arguments[0] == "--listen" {
            arguments.to_vec()
        } else {
            [&["--listen", "127.0.0.1:0"], &arguments[..]].concat()
        };
        let output = reprompt(&arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_idle_once_its_last_job_has_ended_however_it_did() {
    let service = Service::slow().await;
    let engine = &service.state.engine;
    tokio::time::timeout(PATIENCE, engine.idle()).await.expect("no job is submitted yet");
    let begin = |steps: u64| {
        let service = service.clone();
        let body = json!({"source": {"prompt": "a cat", "steps": steps, "size": "64x64"}});
        tokio::spawn(async move { service.post("/v1/sessions", &body).await.status })
    };
    let (answered, dropped) = (begin(2), begin(500));
    eventually("both are taken", || engine.unfinished() == 2).await;
    assert_eq!(answered.await.unwrap(), 201);
    eventually("the answered one has ended", || engine.unfinished() == 1).await;
    dropped.abort();
    tokio::time::timeout(PATIENCE, engine.idle()).await.expect("a job without a client ends");
}
