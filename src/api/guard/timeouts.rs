//! How long a request may take: until its body has arrived, and until its response begins. How long its headers may take
//! is a limit of the connection ([`crate::api::transport::connections`]).
//!
//! A response that has begun is not cut off: streams of events may take any time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout};

use crate::api::guard::{Guard, RequestRefusal};
use crate::api::problem::{Code, Problem};

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// From the request's headers to the end of its body.
    pub body: Duration,
    /// From the request's headers to those of its response; `None`: any time.
    pub answer: Option<Duration>,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self { body: Duration::from_secs(30), answer: Some(Duration::from_secs(60 * 60)) }
    }
}

/// When the body of a request must have arrived; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct BodyDeadline(pub Instant);

/// Enforces the limits on a request.
pub async fn within(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let limits = guard.config.times;
    if let Some(deadline) = Instant::now().checked_add(limits.body) {
        request.extensions_mut().insert(BodyDeadline(deadline));
    }
    let answered = next.run(request);
    let Some(limit) = limits.answer else {
        return answered.await;
    };
    // Dropping the handler cancels its job, as a client that disconnects does.
    timeout(limit, answered).await.unwrap_or_else(|_| {
        guard.metrics.refused.with(RequestRefusal::AnswerTimeout).inc();
        let detail = format!(
            "the response took longer than {}; Prefer: respond-async and \"stream\": true have no such limit",
            humantime::format_duration(limit)
        );
        Problem::new(Code::AnswerTimeout, detail).into_response()
    })
}
