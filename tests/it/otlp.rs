//! Spans arrive at a collector, in the trace that their request came from. With the feature `otlp` alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::process::Process;
use crate::waiting::swap;

/// Requests, each the line that it begins with and its body.
type Got = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A collector that keeps what it gets.
fn collector() -> (String, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, kept) = (listener.local_addr().unwrap(), Got::default());
    let got = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, got) = (stream.unwrap(), Arc::clone(&got));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut head: Vec<String> = Vec::new();
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if line == "\r\n" {
                            break;
                        }
                        head.push(line.trim().to_lowercase());
                    }
                    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
                    let mut body = vec![0; length.unwrap().parse().unwrap()];
                    reader.read_exact(&mut body).unwrap();
                    got.lock().unwrap().push((head[0].clone(), body));
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                }
            });
        }
    });
    (format!("http://{address}"), kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_the_parts_of_its_job_are_sent_to_the_collector() {
    let (endpoint, kept) = collector();
    let mut process = Process::ready(&["--otlp-endpoint", &endpoint]).await;
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let traceparent = format!("00-{trace}-{parent}-01");
    let (status, headers) = process.call_as("/v1/edits", &swap(1, 4), &[("traceparent", &traceparent)]);
    assert_eq!(status, 200);
    process.signal("TERM");
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    let kept = kept.lock().unwrap();
    assert!(kept.iter().all(|(request, _)| request == "post /v1/traces http/1.1"), "{:?}", kept[0].0);
    // Texts and ids stand in protobuf as they are.
    let all: Vec<u8> = kept.iter().flat_map(|(_, body)| body.clone()).collect();
    let holds = |bytes: &[u8]| all.windows(bytes.len()).any(|window| window == bytes);
    let id = |digits: &str| -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    };
    for name in ["reprompt", "POST /v1/edits", "job", "queue", "encode", "denoise", "decode", "step"] {
        assert!(holds(name.as_bytes()), "{name} was not sent");
    }
    assert!(holds(&id(trace)) && holds(&id(parent)), "the trace goes on");
    let traceparent = headers.iter().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
    assert_eq!(&traceparent[3..35], trace);
    assert!(holds(&id(&traceparent[36..52])), "the client gets the span that was exported");
}
