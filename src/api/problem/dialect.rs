//! What the calls of the OpenAI API have of their own: the error object, and the events of a stream.
//!
//! The table of problems is the same as everywhere; here stands how one of them is said.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::api::problem::Problem;
use crate::api::wire::{OpenAiError, OpenAiErrorBody, PartialImageEvent};
use crate::media::{Image, OutputFormat};

/// The one quality there is, by the name of the OpenAI API for the model's own choice.
pub const QUALITY: &str = "auto";
/// The one background there is.
pub const BACKGROUND: &str = "opaque";
/// The event of a preview.
pub const PARTIAL_IMAGE: &str = "image_generation.partial_image";
/// The event of the answer.
pub const COMPLETED: &str = "image_generation.completed";

/// Whose shapes a call's errors and events have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// This service's own.
    Own,
    /// Those of the OpenAI API.
    OpenAi,
}

impl Dialect {
    /// The dialect of the calls at an address.
    pub fn of(path: &str) -> Self {
        if path.starts_with("/v1/images/") { Self::OpenAi } else { Self::Own }
    }
}

/// A problem as the OpenAI API says it.
pub fn error(problem: &Problem) -> OpenAiError {
    let r#type = match problem.code().status() {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    let (message, param) = (problem.detail().to_owned(), problem.param().map(str::to_owned));
    OpenAiError { error: OpenAiErrorBody { message, r#type, param, code: problem.code().as_str() } }
}

/// The response that says so.
pub fn error_response(problem: &Problem) -> Response {
    (problem.code().status(), Json(error(problem))).into_response()
}

/// The event of a preview, the file as base64.
pub fn partial_image(
    image: &Image,
    format: OutputFormat,
    b64_json: String,
    at: u64,
    index: usize,
) -> PartialImageEvent {
    PartialImageEvent {
        r#type: PARTIAL_IMAGE,
        b64_json,
        created_at: at,
        size: format!("{}x{}", image.width, image.height),
        quality: QUALITY,
        background: BACKGROUND,
        output_format: format.as_str(),
        partial_image_index: index,
    }
}

/// The event of an answer of one image, from the answer itself: the image's fields beside the others.
///
/// # Errors
/// None that can happen: the answer is JSON.
pub fn completed(answer: &str) -> serde_json::Result<Value> {
    let mut event: Map<String, Value> = serde_json::from_str(answer)?;
    let image = event.remove("data").and_then(|data| data.as_array().and_then(|images| images.first().cloned()));
    if let Some(Value::Object(image)) = image {
        event.extend(image);
    }
    let created = event.remove("created");
    event.extend(created.map(|created| ("created_at".to_owned(), created)));
    event.insert("type".to_owned(), COMPLETED.into());
    Ok(event.into())
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
            let said = json!(error(&Problem::new(code, "so it is").at("n")));
            let wanted = json!({"message": "so it is", "type": kind, "param": "n", "code": code.as_str()});
            assert_eq!(said, json!({"error": wanted}));
        }
    }

    #[test]
    fn an_answer_of_one_image_becomes_an_event() {
        let answer = json!({"created": 5, "size": "8x8", "data": [{"b64_json": "AA==", "seed": 7}]});
        let event = completed(&answer.to_string()).unwrap();
        let wanted = json!({"type": COMPLETED, "created_at": 5, "size": "8x8", "b64_json": "AA==", "seed": 7});
        assert_eq!(event, wanted);
    }
}
