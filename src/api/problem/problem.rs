//! A [`Problem`]: what went wrong with one request, independent of how it is rendered.

use std::time::Duration;

use axum::response::{IntoResponse, Response};

use crate::api::problem::Code;

/// What went wrong with one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    code: Code,
    detail: String,
    param: Option<String>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem; `detail` says what is wrong with this request: lower case, no final stop.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), param: None, retry_after: None }
    }

    /// An `internal_error`. The client sees `what`; the cause is logged.
    pub(crate) fn internal(what: &str, cause: &dyn std::error::Error) -> Self {
        tracing::error!(error = %cause, "{what}");
        Self::new(Code::Internal, what)
    }

    /// Names the field at fault by its path, such as `source.seed`.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Sets when the client may retry.
    #[must_use]
    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The path of the field at fault.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// What is wrong with this request.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// When the client may retry.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// A response without a body that carries the problem in its extensions. The outermost middleware
/// ([`crate::api::transport::request_id`]) renders it, with the id of the request.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
