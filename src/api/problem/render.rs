//! The two renderings of a problem: `application/problem+json` (RFC 9457), and the error object of the OpenAI API.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::problem::Problem;
use crate::api::wire::ErrorTypeSchema;

/// Whose shapes the errors and events of a call have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// This service's own.
    #[default]
    Own,
    /// The OpenAI API's.
    OpenAi,
}

/// A problem as RFC 9457 has it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Names the kind of problem: `urn:reprompt:problem:` and the code.
    #[schema(example = "urn:reprompt:problem:word_not_found")]
    pub r#type: String,
    /// What the code means, in one line.
    #[schema(example = "Word not found in the prompt")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What is wrong with this request.
    #[schema(example = "the target prompt has no word \"dgo\"; its words are: a, dog, on, grass")]
    pub detail: String,
    /// A stable name for programs.
    #[schema(example = "word_not_found")]
    pub code: String,
    /// The path of the field at fault, if there is one.
    #[schema(example = "equalizer[0].word")]
    pub param: Option<String>,
    /// The request's id, as in the `x-request-id` header.
    pub request_id: String,
}

/// An error as in the OpenAI API.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAiError {
    /// What went wrong.
    pub error: OpenAiErrorBody,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAiErrorBody {
    /// What is wrong with this request.
    #[schema(
        example = "expected an integer from 0 to 18446744073709551615, got a string; leave the seed out for a random one"
    )]
    pub message: String,
    /// The kind of error.
    #[schema(value_type = ErrorTypeSchema)]
    pub r#type: &'static str,
    /// The path of the field at fault, if there is one.
    #[schema(example = "seed")]
    pub param: Option<String>,
    /// A stable name for programs.
    #[schema(example = "invalid_value")]
    pub code: &'static str,
}

impl ProblemBody {
    /// The problem of the request with this id.
    pub(crate) fn new(problem: &Problem, request_id: &str) -> Self {
        let code = problem.code();
        Self {
            r#type: format!("urn:reprompt:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status().as_u16(),
            detail: problem.detail().to_owned(),
            code: code.as_str().to_owned(),
            param: problem.param().map(str::to_owned),
            request_id: request_id.to_owned(),
        }
    }
}

impl OpenAiError {
    /// The same problem as an error of the OpenAI API.
    pub(crate) fn new(problem: &Problem) -> Self {
        let r#type = match problem.code().status() {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let (message, param) = (problem.detail().to_owned(), problem.param().map(str::to_owned));
        Self { error: OpenAiErrorBody { message, r#type, param, code: problem.code().as_str() } }
    }
}

/// The response to the request with this id.
pub(crate) fn render(problem: &Problem, request_id: &str, dialect: Dialect) -> Response {
    const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
    let status = problem.code().status();
    let mut response = match dialect {
        Dialect::Own => {
            let body = Json(ProblemBody::new(problem, request_id));
            (status, [(header::CONTENT_TYPE, PROBLEM)], body).into_response()
        }
        Dialect::OpenAi => (status, Json(OpenAiError::new(problem))).into_response(),
    };
    if let Some(after) = problem.retry_after() {
        // Rounded up: a client that comes back too early is refused again.
        let seconds = HeaderValue::from(after.as_secs_f64().ceil() as u64);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Code;
    use serde_json::json;

    #[test]
    fn the_kind_of_an_error_follows_from_its_status() {
        for (code, kind) in [
            (Code::InvalidValue, "invalid_request_error"),
            (Code::ModelNotFound, "invalid_request_error"),
            (Code::QueueFull, "rate_limit_error"),
            (Code::Internal, "server_error"),
            (Code::Loading, "server_error"),
        ] {
            let rendered = json!(OpenAiError::new(&Problem::new(code, "a detail").at("n")));
            let expected = json!({"message": "a detail", "type": kind, "param": "n", "code": code.as_str()});
            assert_eq!(rendered, json!({"error": expected}));
        }
    }
}
