//! Problems: what went wrong, as `application/problem+json` (RFC 9457), with a stable code for programs.
//!
//! [`Code`] is the one table of codes, statuses and titles. A handler returns a [`Problem`]; the middleware in
//! [`crate::api::transport::request_id`] writes it out, so that every problem carries the id of its request.

pub mod dialect;
pub mod from_serde;

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::problem::dialect::Dialect;
use crate::diffusion::ModelError;
use crate::engine::{EngineError, PrepareError};
use crate::p2p::EditError;

macro_rules! codes {
    ($($name:ident, $code:literal, $status:ident, $title:literal;)*) => {
        /// Everything that can go wrong, with its code, its status and its title.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// What the code means, in one line.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    InvalidJson, "invalid_json", BAD_REQUEST, "The body is not JSON";
    InvalidHeader, "invalid_header", BAD_REQUEST, "A header has a value that it cannot have";
    UnknownField, "unknown_field", BAD_REQUEST, "The request has a field that this call does not know";
    Unauthorized, "unauthorized", UNAUTHORIZED, "The request has no API key that counts";
    NotFound, "not_found", NOT_FOUND, "There is nothing at this address";
    SessionNotFound, "session_not_found", NOT_FOUND, "There is no such session";
    ModelNotFound, "model_not_found", NOT_FOUND, "There is no such model";
    JobNotFound, "job_not_found", NOT_FOUND, "There is no such job";
    MethodNotAllowed, "method_not_allowed", METHOD_NOT_ALLOWED, "The address does not take this method";
    NotAcceptable, "not_acceptable", NOT_ACCEPTABLE, "The answer does not come in a media type that is accepted";
    RequestTimeout, "request_timeout", REQUEST_TIMEOUT, "The request did not arrive in time";
    JobCanceled, "job_canceled", CONFLICT, "The job was cancelled";
    BodyTooLarge, "body_too_large", PAYLOAD_TOO_LARGE, "The body is larger than this server takes";
    UnsupportedMediaType, "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body must be application/json";
    MissingField, "missing_field", UNPROCESSABLE_ENTITY, "A required field is missing";
    InvalidValue, "invalid_value", UNPROCESSABLE_ENTITY, "A field has a value that it cannot have";
    EmptyPrompt, "empty_prompt", UNPROCESSABLE_ENTITY, "A prompt has no words";
    PromptTooLong, "prompt_too_long", UNPROCESSABLE_ENTITY, "A prompt has more tokens than the model reads";
    UnsupportedSize, "unsupported_size", UNPROCESSABLE_ENTITY, "Images of this size cannot be made";
    SourceTooLarge, "source_too_large", UNPROCESSABLE_ENTITY, "The source's recording would not fit into memory";
    WordNotFound, "word_not_found", UNPROCESSABLE_ENTITY, "A word is not in the prompt";
    ReplaceWordCount, "replace_word_count", UNPROCESSABLE_ENTITY, "The prompts have different numbers of words";
    ReweightChangesPrompt, "reweight_changes_prompt", UNPROCESSABLE_ENTITY, "A reweighting keeps the source's prompt";
    InvalidWindow, "invalid_window", UNPROCESSABLE_ENTITY, "A window of steps is none";
    WindowSelectsNoStep, "window_selects_no_step", UNPROCESSABLE_ENTITY, "A window of steps selects no step";
    InvalidStrength, "invalid_strength", UNPROCESSABLE_ENTITY, "A strength is not a finite number";
    EqualizerNoEffect, "equalizer_no_effect", UNPROCESSABLE_ENTITY, "An equalizer would do nothing";
    LocalBlendNoWords, "local_blend_no_words", UNPROCESSABLE_ENTITY, "A local blend has no words";
    InvalidThreshold, "invalid_threshold", UNPROCESSABLE_ENTITY, "A threshold is out of range";
    InvalidStart, "invalid_start", UNPROCESSABLE_ENTITY, "A start is out of range";
    NoAttentionMaps, "no_attention_maps", UNPROCESSABLE_ENTITY, "The model keeps no attention maps";
    IdempotencyKeyReused, "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The key was given to another request";
    WebhookNotAllowed, "webhook_not_allowed", UNPROCESSABLE_ENTITY, "Webhooks do not go to this address";
    Diverged, "diverged", UNPROCESSABLE_ENTITY, "The image came out as no numbers";
    QueueFull, "queue_full", TOO_MANY_REQUESTS, "Too many jobs are waiting";
    RateLimited, "rate_limited", TOO_MANY_REQUESTS, "Too many requests have come from this caller";
    TooManyConcurrent, "too_many_concurrent", TOO_MANY_REQUESTS, "This caller has too many jobs";
    Internal, "internal_error", INTERNAL_SERVER_ERROR, "Something went wrong on this side";
    Loading, "loading", SERVICE_UNAVAILABLE, "The model is being loaded";
    Draining, "draining", SERVICE_UNAVAILABLE, "The server is about to end";
    WorkerStalled, "worker_stalled", SERVICE_UNAVAILABLE, "The worker does not answer";
    DeviceLost, "device_lost", SERVICE_UNAVAILABLE, "The device failed";
    AnswerTimeout, "answer_timeout", GATEWAY_TIMEOUT, "The answer took longer than this server waits";
    DeadlineExceeded, "deadline_exceeded", GATEWAY_TIMEOUT, "The job took longer than its request allowed";
}

/// When a client may try again while the model is being loaded.
const LOADING_RETRY: Duration = Duration::from_secs(1);

/// What went wrong with one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    code: Code,
    detail: String,
    param: Option<String>,
    retry_after: Option<Duration>,
}

/// A problem as it is written out.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Names the kind of problem: `urn:reprompt:problem:` and the code.
    #[schema(example = "urn:reprompt:problem:word_not_found")]
    pub r#type: String,
    /// What the code means, in one line.
    #[schema(example = "A word is not in the prompt")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What is wrong with this request.
    #[schema(example = "the prompt has no word \"dgo\"; its words are: a, dog, on, grass")]
    pub detail: String,
    /// A stable name for programs.
    #[schema(example = "word_not_found")]
    pub code: String,
    /// The path of the field that is at fault, where one is.
    #[schema(example = "equalizer[0].word")]
    pub param: Option<String>,
    /// The request's id, as in the `x-request-id` header.
    pub request_id: String,
}

impl Problem {
    /// A problem with what is wrong in this case.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), param: None, retry_after: None }
    }

    /// Names the field at fault by its path, such as `source.seed`.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Tells when to come back.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
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

    /// What is wrong in this case.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Puts a prefix before the field's path: a problem of `prompt` within `source` is one of `source.prompt`.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        if let (Some(param), false) = (&self.param, prefix.is_empty()) {
            self.param = Some(format!("{prefix}.{param}"));
        }
        self
    }

    /// As it is written out, with the id of its request.
    pub fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            r#type: format!("urn:reprompt:problem:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str().to_owned(),
            param: self.param.clone(),
            request_id: request_id.to_owned(),
        }
    }

    /// The response, with the id of its request.
    pub fn render(&self, request_id: &str, dialect: Dialect) -> Response {
        const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
        let mut response = match dialect {
            Dialect::OpenAi => dialect::error_response(self),
            Dialect::Own => {
                let body = axum::Json(self.body(request_id));
                (self.code.status(), [(header::CONTENT_TYPE, PROBLEM)], body).into_response()
            }
        };
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            // Rounded up: a client that comes back too early is refused again.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs_f64().ceil() as u64));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        match error {
            EngineError::Loading => Self::new(Code::Loading, detail).retry_after(LOADING_RETRY),
            EngineError::Draining => Self::new(Code::Draining, detail).retry_after(LOADING_RETRY),
            EngineError::Stalled => Self::new(Code::WorkerStalled, detail),
            EngineError::DeviceLost => Self::new(Code::DeviceLost, detail),
            EngineError::QueueFull { retry_after, .. } => Self::new(Code::QueueFull, detail).retry_after(retry_after),
            EngineError::SourceTooLarge { .. } => Self::new(Code::SourceTooLarge, detail),
            EngineError::Diverged => Self::new(Code::Diverged, detail),
            EngineError::Failed(_) => {
                tracing::error!(%error, "a job failed");
                Self::new(Code::Internal, "the job failed; the server's log says more under this request's id")
            }
        }
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        let code = match error {
            EditError::WordNotFound { .. } => Code::WordNotFound,
            EditError::PromptTooLong { .. } => Code::PromptTooLong,
            EditError::ReplaceWordCount { .. } => Code::ReplaceWordCount,
            EditError::ReweightChangesPrompt => Code::ReweightChangesPrompt,
            EditError::InvalidWindow { .. } => Code::InvalidWindow,
            EditError::WindowSelectsNoStep { .. } => Code::WindowSelectsNoStep,
            EditError::InvalidStrength { .. } => Code::InvalidStrength,
            EditError::EqualizerNoEffect { .. } => Code::EqualizerNoEffect,
            EditError::LocalBlendNoWords => Code::LocalBlendNoWords,
            EditError::InvalidThreshold { .. } => Code::InvalidThreshold,
            EditError::InvalidStart { .. } => Code::InvalidStart,
        };
        Self::new(code, error.to_string()).at(error.param())
    }
}

impl From<PrepareError> for Problem {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Edit(error) => error.into(),
            PrepareError::Prompt { param, error } => prompt_problem(&error, param),
        }
    }
}

/// What is wrong with the prompt in the field `param`.
pub fn prompt_problem(error: &ModelError, param: &str) -> Problem {
    match error {
        ModelError::PromptTooLong { .. } => Problem::new(Code::PromptTooLong, error.to_string()).at(param),
        _ => {
            tracing::error!(%error, "a prompt could not be tokenized");
            Problem::new(Code::InvalidValue, "the prompt cannot be tokenized").at(param)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn codes_are_unique() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
