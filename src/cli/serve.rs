//! `reprompt serve`: the HTTP service until it is told to end.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{CliError, engine_config, limit_threads, model_files};
use crate::api::{self, ApiConfig, AppState};
use crate::config::Settings;
use crate::engine::{Engine, EngineError, Loaded};
use crate::telemetry;

/// How long requests in flight may take to be answered when the service is told to end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

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
    let state = AppState::new(engine, ApiConfig::default()).map_err(CliError::io("cannot send webhooks"))?;
    let state = Arc::new(state);
    tracing::info!("listening on http://{address}");
    let (draining, begun) = oneshot::channel();
    let for_shutdown = Arc::clone(&state);
    let server = axum::serve(listener, api::router(Arc::clone(&state))).with_graceful_shutdown(async move {
        told_to_end().await;
        tracing::info!("shutting down: requests in flight are answered, new ones refused");
        for_shutdown.engine.drain();
        // The receiver is gone only when serving has ended for another reason.
        let _ = draining.send(());
    });
    tokio::select! {
        biased;
        ended = server.into_future() => ended.map_err(CliError::io("the server failed")),
        error = failure(loaded) => Err(error),
        () = state.engine.ended() => Err(EngineError::Stalled.into()),
        () = cut_short(begun) => {
            tracing::warn!("shutting down with requests unanswered");
            Ok(())
        }
    }
}

/// Waits for loading to fail; for ever if it does not.
async fn failure(loaded: Loaded) -> CliError {
    match loaded.await {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => std::future::pending().await,
    }
}

/// Once draining has begun: until its time is up, or a second signal comes.
async fn cut_short(begun: oneshot::Receiver<()>) {
    if begun.await.is_err() {
        return std::future::pending().await;
    }
    tokio::select! {
        () = tokio::time::sleep(DRAIN_DEADLINE) => {}
        () = told_to_end() => {}
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
