//! How long a request may take: its body to arrive, its answer to come. How long its head may take is a matter of the
//! connection ([`crate::api::transport::connections`]).
//!
//! An answer has come when it begins: streams of events and jobs that are asked about later are not cut.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout};

use crate::api::guard::RequestRefusal;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;

/// How long requests may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// From a request's head to the end of its body.
    pub body: Duration,
    /// From a request's head to that of its answer; `None`: any time.
    pub answer: Option<Duration>,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self { body: Duration::from_secs(30), answer: Some(Duration::from_secs(60 * 60)) }
    }
}

/// When the body of a request has to be there; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct BodyDeadline(pub Instant);

/// Holds a request to the limits.
pub async fn within(State(state): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    let limits = state.guard.config.times;
    if let Some(deadline) = Instant::now().checked_add(limits.body) {
        request.extensions_mut().insert(BodyDeadline(deadline));
    }
    let answered = next.run(request);
    let Some(limit) = limits.answer else {
        return answered.await;
    };
    // What is given up here cancels its job, as a client that goes away does.
    timeout(limit, answered).await.unwrap_or_else(|_| {
        state.metrics.requests_refused.of(RequestRefusal::AnswerTimeout).inc();
        let detail = format!(
            "no answer is waited for longer than {}; Prefer: respond-async and \"stream\": true have no such limit",
            humantime::format_duration(limit)
        );
        Problem::new(Code::AnswerTimeout, detail).into_response()
    })
}
