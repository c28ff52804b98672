//! What each call may answer beside what it was asked for: its problems, by status and each with an example; and the
//! headers of its answers.

use serde_json::{Map, Value, json};

use crate::api::openapi::problems::{body, error};
use crate::api::openapi::{object, operations};
use crate::api::problem::Code;

/// What may be wrong with the body of a request, and with how it waits.
const BODY: &[Code] = &[
    Code::InvalidJson,
    Code::UnknownField,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::MissingField,
    Code::InvalidValue,
    Code::EmptyPrompt,
    Code::PromptTooLong,
];
const WAITING: &[Code] = &[
    Code::InvalidHeader,
    Code::NotAcceptable,
    Code::JobCanceled,
    Code::IdempotencyKeyReused,
    Code::WebhookNotAllowed,
    Code::DeadlineExceeded,
];
/// What may be wrong with an edit.
const EDIT: &[Code] = &[
    Code::WordNotFound,
    Code::ReplaceWordCount,
    Code::ReweightChangesPrompt,
    Code::InvalidWindow,
    Code::WindowSelectsNoStep,
    Code::InvalidStrength,
    Code::EqualizerNoEffect,
    Code::LocalBlendNoWords,
    Code::InvalidThreshold,
    Code::InvalidStart,
];
/// What may keep work from being done.
const WORK: &[Code] = &[
    Code::SourceTooLarge,
    Code::Diverged,
    Code::QueueFull,
    Code::TooManyConcurrent,
    Code::Loading,
    Code::Draining,
    Code::WorkerStalled,
    Code::DeviceLost,
    Code::AnswerTimeout,
];
/// What a server with keys or limits may say to every call that does anything.
const CALLER: &[Code] = &[Code::Unauthorized, Code::RateLimited];
/// Calls that need no key.
const OPEN: [&str; 3] = ["healthz", "readyz", "openapi"];
/// Headers that every answer has.
const REQUEST_ID: &str = "x-request-id";
const TRACEPARENT: &str = "traceparent";

/// The problems of an operation. Everything may go wrong on this side.
fn codes(operation: &str) -> Vec<Code> {
    let groups: &[&[Code]] = match operation {
        "create_edit" => &[BODY, WAITING, EDIT, WORK, &[Code::UnsupportedSize]],
        "create_session_edit" => &[BODY, WAITING, EDIT, WORK, &[Code::SessionNotFound]],
        "create_session" => &[BODY, WAITING, WORK, &[Code::UnsupportedSize]],
        "create_images" => &[BODY, WAITING, WORK, &[Code::UnsupportedSize, Code::ModelNotFound]],
        "align" => &[BODY, &[Code::ReplaceWordCount, Code::ReweightChangesPrompt, Code::Loading]],
        "list_sessions" | "list_models" => &[&[Code::Loading]],
        "get_session" => &[&[Code::SessionNotFound, Code::Loading]],
        "get_session_image" => &[WORK, &[Code::SessionNotFound, Code::NotAcceptable]],
        "get_session_attention" => &[
            WORK,
            &[Code::SessionNotFound, Code::NotAcceptable, Code::UnknownField, Code::MissingField, Code::InvalidValue],
            &[Code::WordNotFound, Code::NoAttentionMaps],
        ],
        "delete_session" => &[&[Code::SessionNotFound]],
        "get_job" => &[&[Code::JobNotFound, Code::NotAcceptable]],
        "delete_job" => &[&[Code::JobNotFound]],
        "get_model" => &[&[Code::ModelNotFound, Code::Loading]],
        "readyz" => &[&[Code::Loading, Code::Draining, Code::WorkerStalled, Code::DeviceLost]],
        _ => &[],
    };
    let mut codes: Vec<Code> = groups.concat();
    if !OPEN.contains(&operation) {
        codes.extend(CALLER);
    }
    codes.push(Code::Internal);
    codes
}

/// Headers of answers: name, what it says, an example.
const HEADERS: [(&str, &str, &str); 26] = [
    (
        REQUEST_ID,
        "The request's id: the client's own if it sent a sensible one.",
        "8f14e45f-ceea-467f-a8b1-0a3d2f6c9b11",
    ),
    (
        TRACEPARENT,
        "The request's span of its trace (W3C Trace Context).",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("www-authenticate", "How to authenticate, where a key is wanted.", "Bearer realm=\"reprompt\""),
    ("ratelimit", "What is left to the caller, where requests are limited.", "\"requests\";r=59;t=1"),
    ("ratelimit-policy", "What the caller may do, where requests are limited.", "\"requests\";q=60;w=60"),
    ("location", "Where the session or the job is.", "/v1/sessions/ses_8b1a9953c4611296a827abf8c47804d7"),
    ("retry-after", "Seconds after which it is worth trying again.", "1"),
    ("preference-applied", "`respond-async`: the answer is a job.", "respond-async"),
    ("idempotent-replayed", "`true`: an earlier request with the same key made this answer.", "true"),
    ("x-reprompt-id", "The answer's `id`.", "edit_d3b07384d113edec49eaa6238ad5ff00"),
    ("x-reprompt-created", "Seconds since 1970.", "1790000000"),
    ("x-reprompt-model", "The model's name.", "reprompt-demo"),
    ("x-reprompt-session", "The session's id.", "ses_8b1a9953c4611296a827abf8c47804d7"),
    ("x-reprompt-recording", "`created`, `hit` or `replayed`.", "hit"),
    ("x-reprompt-seed", "The seed.", "3"),
    ("x-reprompt-size", "Width and height in pixels.", "128x128"),
    ("x-reprompt-edit-type", "What the edit type came down to.", "replace"),
    ("x-reprompt-alignment", "`alignment` as JSON, where it is short enough for a header.", "[]"),
    ("x-reprompt-windows", "`windows` as JSON, where it is short enough.", "{}"),
    ("x-reprompt-warnings", "`warnings` as JSON, where it is short enough.", "[]"),
    (
        "x-reprompt-timings-ms",
        "`timings_ms` as JSON.",
        "{\"queue\":0.1,\"encode\":1.0,\"denoise\":800.0,\"decode\":20.0,\"total\":822.0}",
    ),
    ("x-reprompt-word", "The word.", "cat"),
    ("x-reprompt-tokens", "Positions of the word's tokens, as JSON.", "[2]"),
    ("x-reprompt-step", "The step, from 0, or null.", "null"),
    ("x-reprompt-steps", "Steps of the source.", "20"),
    ("x-reprompt-max", "What the hottest place stands for.", "0.23"),
];

/// Headers of an operation's answers that have an image in them.
fn image_headers(operation: &str) -> &'static [&'static str] {
    const SESSION: &[&str] = &["model", "session", "recording", "seed", "size", "warnings", "timings-ms"];
    match operation {
        "create_edit" | "create_session_edit" => &[
            "id",
            "created",
            "model",
            "session",
            "recording",
            "seed",
            "size",
            "edit-type",
            "alignment",
            "windows",
            "warnings",
            "timings-ms",
        ],
        "create_session" => SESSION,
        "create_images" => &["id", "model", "session", "recording", "seed", "size", "warnings", "timings-ms"],
        "get_session_attention" => &["session", "word", "tokens", "step", "steps", "max"],
        _ => &[],
    }
}

/// Adds problems and headers to all operations, and what they refer to.
pub(crate) fn complete(document: &mut Value) {
    for operation in operations(document) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let responses = object(&mut operation["responses"]);
        for (status, response) in problems(&id) {
            responses.insert(status, response);
        }
        for (status, response) in responses.iter_mut() {
            let has_image = response["content"].get("image/png").is_some();
            let headers = object(&mut response["headers"]);
            for name in headers_of(&id, status, has_image) {
                headers.insert(name.clone(), json!({"$ref": format!("#/components/headers/{name}")}));
            }
        }
    }
    let components = object(&mut document["components"]);
    let header = |(name, description, example): (&str, &str, &str)| {
        (name.to_owned(), json!({"description": description, "schema": {"type": "string"}, "example": example}))
    };
    components.insert("headers".to_owned(), Map::from_iter(HEADERS.map(header)).into());
    let examples =
        Code::ALL.iter().map(|code| (code.as_str().to_owned(), json!({"summary": code.title(), "value": body(*code)})));
    components.insert("examples".to_owned(), Map::from_iter(examples).into());
    let names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    components["schemas"]["ProblemBody"]["properties"]["code"]["enum"] = json!(names);
    components["schemas"]["OpenAiErrorBody"]["properties"]["code"]["enum"] = json!(names);
}

/// The responses of an operation's problems, by status.
fn problems(operation: &str) -> Map<String, Value> {
    let codes = codes(operation);
    let mut responses = Map::new();
    for status in codes.iter().map(|code| code.status()) {
        let of_status = || codes.iter().filter(|code| code.status() == status);
        let titles: Vec<_> = of_status().map(|code| code.title()).collect();
        let content = if operation == "create_images" {
            let examples = of_status()
                .map(|code| (code.as_str().to_owned(), json!({"summary": code.title(), "value": error(*code)})));
            json!({"application/json": {
                "schema": {"$ref": "#/components/schemas/OpenAiError"}, "examples": Map::from_iter(examples)
            }})
        } else {
            let examples = of_status().map(|code| {
                (code.as_str().to_owned(), json!({"$ref": format!("#/components/examples/{}", code.as_str())}))
            });
            json!({"application/problem+json": {
                "schema": {"$ref": "#/components/schemas/ProblemBody"}, "examples": Map::from_iter(examples)
            }})
        };
        responses.insert(status.as_str().to_owned(), json!({"description": titles.join("; "), "content": content}));
    }
    responses
}

fn headers_of(operation: &str, status: &str, has_image: bool) -> Vec<String> {
    let mut headers = vec![REQUEST_ID.to_owned(), TRACEPARENT.to_owned()];
    let is_waited_for = operation.starts_with("create_");
    let mut add = |is_there: bool, name: &str| headers.extend(is_there.then(|| name.to_owned()));
    add(status == "401", "www-authenticate");
    let is_counted = !OPEN.contains(&operation);
    add(is_counted, "ratelimit");
    add(is_counted, "ratelimit-policy");
    add(status == "202" || (operation == "create_session" && status.starts_with('2')), "location");
    add(status == "202", "preference-applied");
    add(is_waited_for && status.starts_with('2'), "idempotent-replayed");
    add(matches!(status, "429" | "503"), "retry-after");
    if has_image {
        headers.extend(image_headers(operation).iter().map(|name| format!("x-reprompt-{name}")));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::guard::cors::EXPOSED;
    use crate::api::guard::rate::{RATE_LIMIT, RATE_LIMIT_POLICY};
    use crate::api::openapi::json;

    #[test]
    fn every_code_but_those_of_addresses_belongs_to_a_call() {
        let mut document = json();
        let mut told: Vec<Code> = Vec::new();
        for operation in operations(&mut document) {
            told.extend(codes(operation["operationId"].as_str().unwrap()));
        }
        let untold: Vec<_> = Code::ALL.iter().filter(|code| !told.contains(code)).collect();
        assert_eq!(untold, [&Code::NotFound, &Code::MethodNotAllowed]);
    }

    #[test]
    fn pages_of_other_origins_may_read_all_of_them() {
        for (name, _, _) in HEADERS {
            let is_exposed =
                EXPOSED.contains(&name) || [RATE_LIMIT.as_str(), RATE_LIMIT_POLICY.as_str()].contains(&name);
            assert!(is_exposed, "{name}");
        }
    }

    #[test]
    fn headers_of_answers_are_documented() {
        for operation in operations(&mut json()) {
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["headers"].get(REQUEST_ID).is_some(), "{status} of {}", operation["operationId"]);
            }
        }
    }
}
