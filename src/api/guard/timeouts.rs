//! Time limits of a request: until its body has arrived, and until its response begins. The time of its headers is a
//! limit of the connection ([`crate::api::transport::connections`]).
//!
//! A response that has begun is not cut off: a stream of events may take any time. The body's limit is a deadline that
//! [`crate::api::transport::body`] enforces while it reads.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout};

use crate::api::guard::{Guard, RequestRefusal};
use crate::api::problem::{Code, Problem};

/// Time limits of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// From the request's headers to the end of its body.
    pub body: Duration,
    /// From the request's headers to those of its response; `None`: no limit.
    pub answer: Option<Duration>,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self { body: Duration::from_secs(30), answer: Some(Duration::from_secs(60 * 60)) }
    }
}

/// When the body of a request must have arrived; an extension of every request behind the guard.
#[derive(Debug, Clone, Copy)]
pub struct BodyDeadline(pub Instant);

/// Sets the deadline of the body, and enforces the limit on the response.
pub async fn within(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let limits = guard.config.times;
    if let Some(deadline) = Instant::now().checked_add(limits.body) {
        request.extensions_mut().insert(BodyDeadline(deadline));
    }
    let answered = next.run(request);
    let Some(limit) = limits.answer else {
        return answered.await;
    };
    // Dropping the handler cancels its job, as if the client had disconnected.
    timeout(limit, answered).await.unwrap_or_else(|_| {
        guard.metrics.refused.with(RequestRefusal::AnswerTimeout).inc();
        let detail = format!(
            "the response took longer than {}; Prefer: respond-async and \"stream\": true have no such limit",
            humantime::format_duration(limit)
        );
        Problem::new(Code::AnswerTimeout, detail).into_response()
    })
}
