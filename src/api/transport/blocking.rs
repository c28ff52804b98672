//! Blocking work, off the threads of the async runtime.

use crate::api::problem::Problem;

/// Does work on a thread for blocking work; dropping the future does not stop it.
///
/// # Errors
/// Those of the work; `internal_error` where it panics.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Problem::internal("the request failed; the service's log has the cause", &error)))
}
