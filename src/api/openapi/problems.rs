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
            ("Cancel-After: expected a duration such as 90, 90s, 1m30s or 500ms, got \"soon\"", Some("Cancel-After"))
        }
        Code::Unauthorized => ("expected an API key, as Authorization: Bearer KEY or as x-api-key: KEY", None),
        Code::HostNotAllowed => (
            "expected a loopback host such as 127.0.0.1 or localhost, or one of allowed_hosts, got \"rebound.example\"",
            Some("Host"),
        ),
        Code::NotFound => ("unknown path; /openapi.json lists the paths of the API", None),
        Code::SessionNotFound => {
            ("no session ses_0: it never existed, was deleted or evicted, or has expired", Some("id"))
        }
        Code::ModelNotFound => ("unknown model \"another\"; expected \"reprompt-demo\"", Some("id")),
        Code::JobNotFound => ("no job job_0: it never existed, was deleted or evicted, or has expired", Some("id")),
        Code::MethodNotAllowed => ("this path does not allow this method; see the allow header", None),
        Code::NotAcceptable => (
            "expected one of text/event-stream, application/json, image/png, image/jpeg, image/webp in the accept header, got text/html",
            None,
        ),
        Code::RequestTimeout => ("the body did not arrive in time", None),
        Code::JobCanceled => ("the job was canceled by a DELETE request", None),
        Code::BodyTooLarge => ("expected a body of at most 1048576 bytes", None),
        Code::UnsupportedMediaType => ("expected content-type application/json, got text/plain", None),
        Code::MissingField => ("missing field `prompt`", Some("source.prompt")),
        Code::InvalidValue => (
            "expected an integer from 0 to 18446744073709551615, got -2; leave the seed out for a random one",
            Some("source.seed"),
        ),
        Code::EmptyPrompt => ("the prompt has no words", Some("prompt")),
        Code::PromptTooLong => ("the prompt has 90 tokens; the model reads at most 77", Some("prompt")),
        Code::UnsupportedSize => {
            ("unsupported size 100x100; expected sides that are multiples of 8 and at least 32", Some("source.size"))
        }
        Code::SourceTooLarge => {
            ("recording this source needs 1681408 bytes, but the service has a budget of 1000 bytes", Some("source"))
        }
        Code::WordNotFound => {
            ("the target prompt has no word \"dgo\"; its words are: a, dog, on, the, beach", Some("equalizer[0].word"))
        }
        Code::ReplaceWordCount => (
            "replace needs prompts with the same number of words; the source prompt has 5, the target prompt 6",
            Some("prompt"),
        ),
        Code::ReweightChangesPrompt => {
            ("reweight needs the source's prompt, but the target prompt has other tokens", Some("prompt"))
        }
        Code::InvalidWindow => {
            ("expected a window [low, high] with 0 <= low <= high <= 1, got [0.9, 0.1]", Some("cross_replace_steps"))
        }
        Code::WindowSelectsNoStep => {
            ("the window from 0.3 to 0.4 contains none of the 4 steps", Some("self_replace_steps"))
        }
        Code::InvalidStrength => ("expected a finite strength, got inf", Some("equalizer[0].strength")),
        Code::EqualizerNoEffect => (
            "the equalizer on \"dog\" has no effect: the word's cross-attention is injected at none of the 4 steps",
            Some("equalizer[0].word"),
        ),
        Code::LocalBlendNoWords => {
            ("the local blend has no words: none are given, and no words of the prompts differ", Some("local_blend"))
        }
        Code::InvalidThreshold => {
            ("expected a threshold of at least 0 and below 1, got 1", Some("local_blend.threshold"))
        }
        Code::InvalidStart => ("expected a start of at least 0 and below 1, got 1", Some("local_blend.start")),
        Code::NoAttentionMaps => ("the model has no cross-attention layers that heat maps are made from", None),
        Code::IdempotencyKeyReused => {
            ("this key was used for a request with another body or path", Some("Idempotency-Key"))
        }
        Code::WebhookNotAllowed => (
            "the service's configuration does not list this host, or lists it with another scheme or port",
            Some("webhook"),
        ),
        Code::Diverged => {
            ("the latents contain NaN or infinity: a strength or the guidance scale is far too high", None)
        }
        Code::QueueFull => ("the queue is full: 2 jobs are queued", None),
        Code::RateLimited => ("the limit of requests per minute and client is 2", None),
        Code::TooManyConcurrent => ("the limit of queued and running jobs per client is 1", None),
        Code::Internal => ("the job failed; the service's log has the cause under this request's id", None),
        Code::ModelNotFinite => ("the UNet computed NaN or infinity; the request is not the cause", None),
        Code::Loading => ("the model is loading", None),
        Code::Draining => ("the service is shutting down", None),
        Code::WorkerStalled => ("the worker does not respond", None),
        Code::DeviceLost => ("the device failed", None),
        Code::AnswerTimeout => {
            ("the response took longer than 150ms; Prefer: respond-async and \"stream\": true have no such limit", None)
        }
        Code::DeadlineExceeded => ("the job took longer than Cancel-After allows", None),
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
