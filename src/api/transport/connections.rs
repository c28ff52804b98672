//! Connections: a limited number, each with a time limit for request headers.
//!
//! Contract: clients beyond the limit wait in the backlog of the socket. A connection is closed when the headers of a
//! request do not arrive in time, counted from its beginning or from the previous response. On shutdown, no more
//! requests are accepted, and serving ends when all responses are written.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

use crate::api::transport::unreadable::Explained;
use crate::telemetry::labels::label;

label! {
    /// The listeners of a process.
    Listener as "listener" {
        /// The API.
        Api = "api",
        /// Metrics and probes, where they have an address of their own.
        Metrics = "metrics",
    }
}

/// The most bytes of request headers, on top of what hyper reads ahead.
const MAX_HEADERS: usize = 64 * 1024;

/// Limits of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// The most open connections.
    pub connections: usize,
    /// How long request headers may take, the pause before them included.
    pub head: Duration,
}

/// Serves until `close` resolves and all requests received before are answered. `open` counts connections.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    open: IntGauge,
    close: impl Future<Output = ()>,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let (graceful, mut close) = (GracefulShutdown::new(), pin!(close));
    loop {
        let next = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            Some((permit, axum::serve::Listener::accept(&mut listener).await))
        };
        let (permit, (stream, peer)) = tokio::select! {
            biased;
            () = &mut close => break,
            Some(next) = next => next,
            else => break,
        };
        let connection = Connection { stream, peer, _open: OpenConnection::new(open.clone(), permit) };
        tokio::spawn(connection.serve(router.clone(), limits.head, graceful.watcher()));
    }
    drop(listener);
    graceful.shutdown().await;
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    _open: OpenConnection,
}

impl Connection {
    async fn serve(self, router: Router, head: Duration, graceful: Watcher) {
        // Events are small and must not be delayed.
        let _ = self.stream.set_nodelay(true);
        let peer = self.peer;
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .max_buf_size(MAX_HEADERS)
            .serve_connection(TokioIo::new(Explained::new(self.stream)), service);
        if let Err(error) = graceful.watch(connection).await {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
    }
}

/// A connection's permit, counted while it is held.
struct OpenConnection {
    open: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl OpenConnection {
    fn new(open: IntGauge, permit: OwnedSemaphorePermit) -> Self {
        open.inc();
        Self { open, _permit: permit }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Calls of `/slow` on their way: each reports that it was received, and is answered once it is released.
    static RECEIVED: Semaphore = Semaphore::const_new(0);
    static RELEASED: Semaphore = Semaphore::const_new(0);

    /// A server that holds `/slow` until it is released and answers everything else at once.
    async fn server(connections: usize, head: Duration) -> (SocketAddr, IntGauge, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, open) = (listener.local_addr().unwrap(), IntGauge::new("open", "open").unwrap());
        let (close, closed) = oneshot::channel::<()>();
        let slow = || async {
            RECEIVED.add_permits(1);
            RELEASED.acquire().await.unwrap().forget();
            "slow"
        };
        let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
        let router = Router::new().route("/slow", get(slow)).route("/peer", get(peer));
        let limits = ConnectionLimits { connections, head };
        let served = tokio::spawn(serve(listener, router, limits, open.clone(), async {
            let _ = closed.await;
        }));
        (address, open, close, served)
    }

    async fn ask(stream: &mut TcpStream, path: &str) {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut bytes = vec![0; 4096];
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await.expect("an answer comes").unwrap();
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }

    #[tokio::test]
    async fn a_request_that_is_not_http_is_answered_with_a_problem() {
        let (address, _open, _close, _) = server(8, PATIENCE).await;
        let long = "a".repeat(700_000);
        let many = (0..101).map(|at| format!("x-{at}: a\r\n")).collect::<String>();
        for (request, status, code) in [
            ("GARBAGE\r\n\r\n".to_owned(), 400, "bad_request"),
            ("GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n".to_owned(), 400, "bad_request"),
            ("GET / HTTP/7.1\r\nhost: a\r\n\r\n".to_owned(), 400, "bad_request"),
            (format!("GET / HTTP/1.1\r\nhost: a\r\nx-long: {long}\r\n\r\n"), 431, "headers_too_large"),
            (format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"), 431, "headers_too_large"),
            (format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", &long[..65_534]), 414, "uri_too_long"),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The server may close the connection before it has read all.
            let _ = stream.write_all(request.as_bytes()).await;
            let answer = answer(&mut stream).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let shown = &request[..request.len().min(40)];
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {head}");
            assert!(head.contains("content-type: application/problem+json"), "{shown}: {head}");
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{shown}");
        }
    }

    #[tokio::test]
    async fn headers_that_do_not_arrive_and_long_pauses_close_the_connection() {
        let (address, open, _close, _) = server(8, Duration::from_millis(100)).await;
        for begin in ["", "GET /peer HTTP/1.1\r\nhost: a\r\nx-slow:", "GET /peer HTTP/1.1\r\nhost: a\r\n\r\n"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begin.as_bytes()).await.unwrap();
            let (local, mut rest) = (stream.local_addr().unwrap(), String::new());
            timeout(PATIENCE, stream.read_to_string(&mut rest)).await.expect("it is closed").unwrap();
            assert_eq!(rest.contains(&local.to_string()), begin.ends_with("\r\n\r\n"), "{rest}");
        }
        let closed = async {
            while open.get() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, closed).await.expect("no connection is counted");
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_waits_until_another_closes() {
        let (address, open, _close, _) = server(1, PATIENCE).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        ask(&mut first, "/peer").await;
        assert!(answer(&mut first).await.contains("200 OK"));
        let mut second = TcpStream::connect(address).await.unwrap();
        ask(&mut second, "/peer").await;
        let mut byte = [0];
        assert!(timeout(Duration::from_millis(100), second.read(&mut byte)).await.is_err(), "it is not served yet");
        assert_eq!(open.get(), 1);
        drop(first);
        assert!(answer(&mut second).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn shutdown_answers_open_requests() {
        let (address, _open, close, served) = server(8, PATIENCE).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        ask(&mut stream, "/slow").await;
        timeout(PATIENCE, RECEIVED.acquire()).await.expect("the call is received").unwrap().forget();
        drop(close);
        // The listener is closed first: by then the server knows that it is to end.
        let refused = async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, refused).await.expect("no more connections");
        assert!(!served.is_finished(), "it waits for the open request");
        RELEASED.add_permits(1);
        let mut rest = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut rest)).await.expect("it is closed").unwrap();
        assert!(rest.contains("200 OK") && rest.ends_with("slow"), "{rest}");
        timeout(PATIENCE, served).await.expect("nothing is left to wait for").unwrap();
    }
}
