//! Requests that cannot be read as HTTP: hyper answers them itself, without a body and before any layer of the router.
//!
//! Contract: [`Explained`] is a connection on which hyper's own responses are replaced by problem documents with the
//! same status, a request id and a code of [`UNREADABLE`]. It recognizes them by their form: the head of a response
//! with one of these statuses, no body and no `x-request-id`, which every response of the router has. All other bytes
//! pass unchanged.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use uuid::Uuid;

use crate::api::problem::ProblemBody;

/// Status, code, title and detail of each.
pub(crate) const UNREADABLE: [(u16, &str, &str, &str); 3] = [
    (400, "bad_request", "Bad Request", "the request is not valid HTTP/1.1"),
    (414, "uri_too_long", "URI too long", "the path and query are too long; expected less than 64 kB"),
    (
        431,
        "headers_too_large",
        "Request headers too large",
        "the request headers are too large; expected at most 100 headers and less than 64 kB",
    ),
];

/// How long the rest of a request is discarded after its response.
const LINGER: Duration = Duration::from_secs(2);
/// How much of it is discarded.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;

/// A connection that explains hyper's own responses.
#[derive(Debug)]
pub(crate) struct Explained<T> {
    io: T,
    state: State,
}

/// What is done in place of writing a response of hyper.
#[derive(Debug)]
enum State {
    /// Nothing: bytes pass unchanged.
    Passing,
    /// Another response is written; so many of its bytes are written already.
    Writing(Vec<u8>, usize),
    /// The response is written, and the rest of the request is discarded. A connection that is closed before all of it
    /// is read is reset, and the client may lose the response.
    Lingering { end: Pin<Box<Sleep>>, discarded: usize },
}

impl<T> Explained<T> {
    /// The same connection, explained.
    pub(crate) fn new(io: T) -> Self {
        Self { io, state: State::Passing }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Explained<T> {
    /// Continues what is done in place of a write, to its end.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Passing => return Poll::Ready(Ok(())),
                State::Writing(response, written) => match response.get(*written..).filter(|rest| !rest.is_empty()) {
                    Some(rest) => match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        more => *written += more,
                    },
                    None => {
                        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                        self.state = State::Lingering { end: Box::pin(sleep(LINGER)), discarded: 0 };
                    }
                },
                State::Lingering { end, discarded } => {
                    let (mut bytes, mut is_over) = ([0; 8192], end.as_mut().poll(cx).is_ready());
                    if !is_over {
                        let mut buffer = ReadBuf::new(&mut bytes);
                        let is_lost = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)).is_err();
                        *discarded += buffer.filled().len();
                        is_over = is_lost || buffer.filled().is_empty() || *discarded > MAX_DISCARDED;
                    }
                    if is_over {
                        self.state = State::Passing;
                    }
                }
            }
        }
    }
}

/// The problem document in place of a response; `None` if the response is not hyper's own.
fn explain(response: &[u8]) -> Option<Vec<u8>> {
    let response = std::str::from_utf8(response).ok()?;
    let (status_line, headers) = response.strip_suffix("\r\n\r\n")?.split_once("\r\n")?;
    let status = status_line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let (_, code, title, detail) = UNREADABLE.into_iter().find(|(known, ..)| *known == status)?;
    let (empty, others): (Vec<_>, Vec<_>) = headers.split("\r\n").partition(|line| *line == "content-length: 0");
    let has_id = others.iter().any(|line| line.is_empty() || line.starts_with("x-request-id:"));
    if empty.is_empty() || has_id {
        return None;
    }
    let request_id = Uuid::new_v4().to_string();
    let problem = ProblemBody {
        r#type: format!("urn:reprompt:problem:{code}"),
        title: title.to_owned(),
        status,
        detail: detail.to_owned(),
        code: code.to_owned(),
        param: None,
        request_id: request_id.clone(),
    };
    let body = serde_json::to_string(&problem).ok()?;
    let others: String = others.iter().map(|line| format!("{line}\r\n")).collect();
    let close = if others.contains("connection:") { "" } else { "connection: close\r\n" };
    let head = format!(
        "{status_line}\r\n{others}{close}content-type: application/problem+json\r\ncontent-length: {}\r\n\
         x-request-id: {request_id}\r\n\r\n",
        body.len()
    );
    tracing::info!(status, code, request_id, "a request could not be read");
    Some((head + &body).into_bytes())
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Explained<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let State::Passing = self.state {
            let Some(response) = explain(bytes) else {
                return Pin::new(&mut self.io).poll_write(cx, bytes);
            };
            self.state = State::Writing(response, 0);
        }
        ready!(self.poll_instead(cx))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // hyper writes a response without a body as one slice.
        match slices {
            [head] => self.poll_write(cx, head),
            several => Pin::new(&mut self.io).poll_write_vectored(cx, several),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Explained<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const HYPERS: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: now\r\n\r\n";

    #[test]
    fn only_responses_of_hyper_are_replaced() {
        assert!(explain(HYPERS).is_some());
        for other in [
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-request-id: a\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nmore",
            "event: step\ndata: HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            "",
        ] {
            assert_eq!(explain(other.as_bytes()), None, "{other}");
        }
    }

    #[tokio::test]
    async fn the_replacement_is_written_in_full_however_little_is_taken_at_once() {
        let (mut client, server) = tokio::io::duplex(7);
        let written = tokio::spawn(async move {
            let mut connection = Explained::new(server);
            connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            connection.write_all(HYPERS).await.unwrap();
        });
        client.write_all(b"re").await.unwrap();
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        // The server reads on until the client has sent everything.
        client.write_all(b"st of the request").await.unwrap();
        assert!(!written.is_finished());
        drop(client);
        written.await.unwrap();
        let response = all.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\ndate: now\r\nconnection: close\r\n"));
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&431.into(), &"headers_too_large".into()));
        assert!(head.contains(&format!("x-request-id: {}", problem["request_id"].as_str().unwrap())));
    }
}
