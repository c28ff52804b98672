//! The headers of responses that clients may read: one table for the contract and for CORS.

/// Name, description and example of each.
pub(crate) const RESPONSE_HEADERS: [(&str, &str, &str); 27] = [
    (
        "x-request-id",
        "The request's id: the client's own if it sent a valid one.",
        "8f14e45f-ceea-467f-a8b1-0a3d2f6c9b11",
    ),
    (
        "traceparent",
        "The request's span of its trace (W3C Trace Context).",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("www-authenticate", "How to authenticate, if a key is required.", "Bearer realm=\"reprompt\""),
    ("ratelimit", "The client's remaining requests, if there is a limit.", "\"requests\";r=59;t=1"),
    ("ratelimit-policy", "The limit on the client's requests, if there is one.", "\"requests\";q=60;w=60"),
    ("location", "The path of the session or the job.", "/v1/sessions/ses_8b1a9953c4611296a827abf8c47804d7"),
    ("retry-after", "Seconds after which to retry.", "1"),
    ("preference-applied", "`respond-async`: the response is an asynchronous job.", "respond-async"),
    ("idempotent-replayed", "`true`: this is the response to an earlier request with the same key.", "true"),
    ("x-reprompt-id", "The response's `id`.", "edit_d3b07384d113edec49eaa6238ad5ff00"),
    ("x-reprompt-created", "Seconds since 1970.", "1790000000"),
    ("x-reprompt-model", "The model's name.", "reprompt-demo"),
    ("x-reprompt-session", "The session's id.", "ses_8b1a9953c4611296a827abf8c47804d7"),
    ("x-reprompt-recording", "`created`, `hit` or `replayed`.", "hit"),
    ("x-reprompt-seed", "The seed.", "3"),
    ("x-reprompt-size", "Width and height in pixels.", "128x128"),
    (
        "x-reprompt-edit-type",
        "The edit type that applies. For `auto`: the published type that it equals for these prompts, else `auto`.",
        "replace",
    ),
    ("x-reprompt-alignment", "`alignment` as JSON, if it fits (`x-reprompt-omitted`).", "[]"),
    ("x-reprompt-windows", "`windows` as JSON, if it fits.", "{}"),
    ("x-reprompt-warnings", "`warnings` as JSON, if it fits.", "[]"),
    (
        "x-reprompt-timings-ms",
        "`timings_ms` as JSON.",
        "{\"queue\":0.1,\"encode\":1.0,\"denoise\":800.0,\"decode\":20.0,\"total\":822.0}",
    ),
    (
        "x-reprompt-omitted",
        "Names of the headers that were left out, because all headers together would exceed 3500 bytes.",
        "x-reprompt-alignment",
    ),
    ("x-reprompt-word", "The word.", "cat"),
    ("x-reprompt-tokens", "Positions of the word's tokens, as JSON.", "[2]"),
    ("x-reprompt-step", "The step, counted from 0, or null.", "null"),
    ("x-reprompt-steps", "Steps of the source.", "20"),
    ("x-reprompt-max", "The attention at the brightest position.", "0.23"),
];
