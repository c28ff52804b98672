//! An example of every problem: what a test of every code gets from the service.

use serde_json::{Map, Value, json};

use crate::api::operations::edits::request::EditRequest;
use crate::api::problem::{Code, OpenAiError, Problem, ProblemBody};

/// The request's id in examples.
const REQUEST_ID: &str = "8f14e45f-ceea-467f-a8b1-0a3d2f6c9b11";

/// The problem of an edit with a misspelt field, which lists all fields of the call.
fn unknown_field() -> Problem {
    let body =
        Map::from_iter([("source".to_owned(), json!({"prompt": "a cat"})), ("localblend".to_owned(), true.into())]);
    EditRequest::read(&body).err().unwrap_or_else(|| Problem::new(Code::UnknownField, "unknown field `localblend`"))
}

/// What is wrong, and with what field; `None` for an unknown field.
fn example(code: Code) -> Option<(&'static str, Option<&'static str>)> {
    Some(match code {
        Code::UnknownField => return None,
        Code::InvalidJson => ("the body is not JSON: EOF while parsing a value at line 1 column 10", None),
        Code::InvalidHeader => {
            ("Cancel-After: \"soon\" is not a duration such as 90, 90s, 1m30s or 500ms", Some("Cancel-After"))
        }
        Code::Unauthorized => ("expected an API key, as Authorization: Bearer KEY or as x-api-key: KEY", None),
        Code::NotFound => ("there is nothing at this address; /openapi.json lists all addresses", None),
        Code::SessionNotFound => ("session ses_0 does not exist or was evicted", Some("id")),
        Code::ModelNotFound => ("unknown model \"another\"; expected \"reprompt-demo\"", Some("id")),
        Code::JobNotFound => ("job job_0 does not exist, has expired or was evicted", Some("id")),
        Code::MethodNotAllowed => ("this address does not allow this method; see the allow header", None),
        Code::NotAcceptable => (
            "unsupported media type text/html; expected one of text/event-stream, application/json, image/png, image/jpeg, image/webp",
            None,
        ),
        Code::RequestTimeout => ("the body did not arrive in time", None),
        Code::JobCanceled => ("the job was cancelled by a DELETE request", None),
        Code::BodyTooLarge => ("a body may have at most 1048576 bytes", None),
        Code::UnsupportedMediaType => ("unsupported content-type text/plain; expected application/json", None),
        Code::MissingField => ("missing field `prompt`", Some("source.prompt")),
        Code::InvalidValue => ("expected a non-negative integer, got -2", Some("source.seed")),
        Code::EmptyPrompt => ("the prompt has no words", Some("prompt")),
        Code::PromptTooLong => ("the prompt has 90 tokens, the model reads at most 77", Some("prompt")),
        Code::UnsupportedSize => {
            ("unsupported size 100x100; sides are multiples of 8, at least 32", Some("source.size"))
        }
        Code::SourceTooLarge => {
            ("the recording of this source takes 1681408 bytes, the budget for all recordings is 1000", Some("source"))
        }
        Code::WordNotFound => {
            ("the prompt has no word \"dgo\"; its words are: a, dog, on, the, beach", Some("equalizer[0].word"))
        }
        Code::ReplaceWordCount => (
            "replace needs prompts of equally many words, but the source prompt has 5 and the prompt 6",
            Some("prompt"),
        ),
        Code::ReweightChangesPrompt => {
            ("reweight keeps the prompt, but the tokens of the prompt differ from the source prompt's", Some("prompt"))
        }
        Code::InvalidWindow => ("a window needs 0 <= low <= high <= 1, not [0.9, 0.1]", Some("cross_replace_steps")),
        Code::WindowSelectsNoStep => {
            ("the window from 0.3 to 0.4 selects none of the 4 steps", Some("self_replace_steps"))
        }
        Code::InvalidStrength => {
            ("the strength of an equalizer must be a finite number, not inf", Some("equalizer[0].strength"))
        }
        Code::EqualizerNoEffect => (
            "the equalizer on \"dog\" does nothing: at none of the 4 steps are the word's attention maps injected",
            Some("equalizer[0].word"),
        ),
        Code::LocalBlendNoWords => {
            ("the local blend has no words: none are given, and no words of the prompts differ", Some("local_blend"))
        }
        Code::InvalidThreshold => {
            ("the threshold of a local blend must be at least 0 and below 1, not 1", Some("local_blend.threshold"))
        }
        Code::InvalidStart => {
            ("the start of a local blend must be at least 0 and below 1, not 1", Some("local_blend.start"))
        }
        Code::NoAttentionMaps => ("the model has no cross-attention whose maps are kept", None),
        Code::IdempotencyKeyReused => {
            ("the key was used for a request with another body or at another address", Some("Idempotency-Key"))
        }
        Code::WebhookNotAllowed => (
            "the host is not among those that the server's configuration permits, or the URL is not https",
            Some("webhook"),
        ),
        Code::Diverged => {
            ("the latents contain NaN or infinity: a strength or the guidance scale is far too high", None)
        }
        Code::QueueFull => ("the queue is full, 2 jobs wait", None),
        Code::RateLimited => ("a caller may make at most 2 requests a minute", None),
        Code::TooManyConcurrent => ("a caller may have at most 1 jobs queued and running", None),
        Code::Internal => ("the job failed; the server's log says more under this request's id", None),
        Code::Loading => ("the model is being loaded", None),
        Code::Draining => ("the server is shutting down", None),
        Code::WorkerStalled => ("the worker does not respond", None),
        Code::DeviceLost => ("the device failed", None),
        Code::AnswerTimeout => {
            ("the response took longer than 150ms; Prefer: respond-async and \"stream\": true have no such limit", None)
        }
        Code::DeadlineExceeded => ("the job did not finish within Cancel-After", None),
    })
}

fn problem(code: Code) -> Problem {
    let Some((detail, param)) = example(code) else {
        return unknown_field();
    };
    let problem = Problem::new(code, detail);
    match param {
        Some(param) => problem.at(param),
        None => problem,
    }
}

/// The problem as it is written out.
pub(crate) fn body(code: Code) -> Value {
    json!(ProblemBody::new(&problem(code), REQUEST_ID))
}

/// The same as the OpenAI API says it.
pub(crate) fn error(code: Code) -> Value {
    json!(OpenAiError::new(&problem(code)))
}
