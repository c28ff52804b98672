//! `reprompt serve`: the HTTP service until it is told to end.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, engine_config, limit_threads, model_files};
use crate::api::{self, AppState};
use crate::config::Settings;
use crate::engine::{Engine, Loaded};
use crate::telemetry;

/// Serves. The socket is open while the model is being loaded, so that probes find it; a model that cannot be loaded
/// ends the process.
pub fn run(settings: &Settings) -> Result<(), CliError> {
    limit_threads(settings);
    telemetry::start(settings.log_format, "info");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::io("cannot start the runtime"))?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: &Settings) -> Result<(), CliError> {
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(CliError::io(format!("listen: cannot listen on {}", settings.listen)))?;
    let address = listener.local_addr().map_err(CliError::io("listen"))?;
    let (engine, loaded) = Engine::start(model_files(settings), engine_config(settings))
        .map_err(CliError::io("cannot start the worker"))?;
    let state = Arc::new(AppState { engine });
    tracing::info!("listening on http://{address}");
    let for_shutdown = Arc::clone(&state);
    let server = axum::serve(listener, api::router(state)).with_graceful_shutdown(async move {
        told_to_end().await;
        tracing::info!("shutting down: requests in flight are answered, new ones refused");
        for_shutdown.engine.drain();
    });
    tokio::select! {
        ended = server.into_future() => ended.map_err(CliError::io("the server failed")),
        error = failure(loaded) => Err(error),
    }
}

/// Waits for loading to fail; for ever if it does not.
async fn failure(loaded: Loaded) -> CliError {
    match loaded.await {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => std::future::pending().await,
    }
}

async fn told_to_end() {
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be caught");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
