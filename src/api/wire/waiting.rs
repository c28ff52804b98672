//! The request headers that say how an answer is delivered, for the document.

use utoipa::IntoParams;

/// Request headers that say how the answer is delivered.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub struct WaitHeaders {
    /// `respond-async`: the response is `202` and an asynchronous job. Other preferences are ignored.
    #[param(rename = "Prefer", required = false, example = "respond-async")]
    prefer: String,
    /// 1 to 255 visible ASCII characters. Requests with the same key, path and body share one job, which runs once:
    /// later requests wait for it or get its response, marked `idempotent-replayed: true`. A job that was canceled, or
    /// failed with 429 or 5xx, frees its key.
    #[param(rename = "Idempotency-Key", required = false, pattern = "^[!-~]{1,255}$", example = "8e03978e-40d5-43dd")]
    idempotency_key: String,
    /// A duration such as `90`, `90s`, `1m30s` or `500ms`, at most a day, after which the job is canceled. It counts
    /// from the arrival of the request. If an idempotency key finds an existing job, it limits only how long this
    /// request waits.
    #[param(
        rename = "Cancel-After",
        required = false,
        pattern = "^(?=.*[1-9])([0-9]+|([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$",
        example = "1m30s"
    )]
    cancel_after: String,
}
