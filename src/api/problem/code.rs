//! The table of problems: the stable code, the HTTP status and the title of each.

use axum::http::StatusCode;

macro_rules! codes {
    ($($name:ident, $code:literal, $status:ident, $title:literal;)*) => {
        /// What can go wrong with a request.
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
    InvalidJson, "invalid_json", BAD_REQUEST, "Request body is not a JSON object";
    InvalidHeader, "invalid_header", BAD_REQUEST, "Invalid header value";
    UnknownField, "unknown_field", BAD_REQUEST, "Unknown field";
    Unauthorized, "unauthorized", UNAUTHORIZED, "Missing or invalid API key";
    HostNotAllowed, "host_not_allowed", FORBIDDEN, "Host not allowed";
    NotFound, "not_found", NOT_FOUND, "Path not found";
    SessionNotFound, "session_not_found", NOT_FOUND, "Session not found";
    ModelNotFound, "model_not_found", NOT_FOUND, "Model not found";
    JobNotFound, "job_not_found", NOT_FOUND, "Job not found";
    MethodNotAllowed, "method_not_allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    NotAcceptable, "not_acceptable", NOT_ACCEPTABLE, "None of the accepted media types is available";
    RequestTimeout, "request_timeout", REQUEST_TIMEOUT, "Request body did not arrive in time";
    JobCanceled, "job_canceled", CONFLICT, "Job canceled";
    BodyTooLarge, "body_too_large", PAYLOAD_TOO_LARGE, "Request body too large";
    UnsupportedMediaType, "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "Request body must be application/json";
    MissingField, "missing_field", UNPROCESSABLE_ENTITY, "Missing required field";
    InvalidValue, "invalid_value", UNPROCESSABLE_ENTITY, "Invalid field value";
    EmptyPrompt, "empty_prompt", UNPROCESSABLE_ENTITY, "Empty prompt";
    PromptTooLong, "prompt_too_long", UNPROCESSABLE_ENTITY, "Prompt too long";
    UnsupportedSize, "unsupported_size", UNPROCESSABLE_ENTITY, "Unsupported image size";
    SourceTooLarge, "source_too_large", UNPROCESSABLE_ENTITY, "Source too large to record";
    WordNotFound, "word_not_found", UNPROCESSABLE_ENTITY, "Word not found in the prompt";
    ReplaceWordCount, "replace_word_count", UNPROCESSABLE_ENTITY, "Prompts have different numbers of words";
    ReweightChangesPrompt, "reweight_changes_prompt", UNPROCESSABLE_ENTITY, "Reweight needs the source's prompt";
    InvalidWindow, "invalid_window", UNPROCESSABLE_ENTITY, "Invalid step window";
    WindowSelectsNoStep, "window_selects_no_step", UNPROCESSABLE_ENTITY, "Step window contains no step";
    InvalidStrength, "invalid_strength", UNPROCESSABLE_ENTITY, "Strength is not a finite number";
    EqualizerNoEffect, "equalizer_no_effect", UNPROCESSABLE_ENTITY, "Equalizer has no effect";
    LocalBlendNoWords, "local_blend_no_words", UNPROCESSABLE_ENTITY, "Local blend has no words";
    InvalidThreshold, "invalid_threshold", UNPROCESSABLE_ENTITY, "Threshold out of range";
    InvalidStart, "invalid_start", UNPROCESSABLE_ENTITY, "Start out of range";
    NoAttentionMaps, "no_attention_maps", UNPROCESSABLE_ENTITY, "Model has no attention maps";
    IdempotencyKeyReused, "idempotency_key_reused", UNPROCESSABLE_ENTITY, "Idempotency key reused for another request";
    WebhookNotAllowed, "webhook_not_allowed", UNPROCESSABLE_ENTITY, "Webhook URL not allowed";
    Diverged, "diverged", UNPROCESSABLE_ENTITY, "Result contains NaN or infinity";
    QueueFull, "queue_full", TOO_MANY_REQUESTS, "Queue is full";
    RateLimited, "rate_limited", TOO_MANY_REQUESTS, "Rate limit exceeded";
    TooManyConcurrent, "too_many_concurrent", TOO_MANY_REQUESTS, "Too many concurrent jobs";
    Internal, "internal_error", INTERNAL_SERVER_ERROR, "Internal error";
    ModelNotFinite, "model_not_finite", INTERNAL_SERVER_ERROR, "Model computes NaN or infinity";
    Loading, "loading", SERVICE_UNAVAILABLE, "Model is loading";
    Draining, "draining", SERVICE_UNAVAILABLE, "Service is shutting down";
    WorkerStalled, "worker_stalled", SERVICE_UNAVAILABLE, "Worker does not respond";
    DeviceLost, "device_lost", SERVICE_UNAVAILABLE, "Device failed";
    AnswerTimeout, "answer_timeout", GATEWAY_TIMEOUT, "Response took too long";
    DeadlineExceeded, "deadline_exceeded", GATEWAY_TIMEOUT, "Cancel-After deadline exceeded";
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
