//! `reprompt serve`: the HTTP service until it is shut down.
//!
//! Shutdown, on SIGTERM or ctrl-c:
//!
//! 1. The engine drains: readiness fails, new and queued jobs are refused, running jobs finish. The socket stays open,
//!    so that probes and clients get an answer. `drain_deadline` or a second signal aborts the running jobs.
//! 2. The socket is closed to new requests, and open responses are written to their end, for a few seconds at most.
//! 3. The process ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinError;

use crate::api;
use crate::api::transport::connections;
use crate::api::transport::connections::ConnectionLimits;
use crate::api::transport::connections::Listener;
use crate::api::{ApiConfig, AppState};
use crate::cli::CliError;
use crate::cli::settings::{api_config, engine_config, model_files, prepare};
use crate::cli::signals::Signals;
use crate::config::{Settings, unknown_variables};
use crate::engine::{Engine, LoadError, Loaded};
use crate::telemetry;
use crate::telemetry::metrics::MetricsRegistry;

pub const EXAMPLES: &str = "\
Examples:
  reprompt serve --listen 127.0.0.1:8080
  reprompt serve --print-config";

pub const EXIT_CODES: &str = "\
Exit codes:
  0   shut down by SIGTERM or ctrl-c; also where work was aborted for it
  1   could not start: the configuration, the model or the socket; the last line says what
  2   the command line is at fault
  70  the worker ended by itself
  71  the device failed";

/// Connections to metrics and probes at once: some scrapers, and the platform.
const OPERATIONS_CONNECTIONS: usize = 64;
/// How long the remaining responses may take to be written once no job is left.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// Serves until shutdown. The socket is open while the model is being loaded, so that probes get an answer; a model
/// that cannot be loaded ends the process.
pub fn run(settings: &Settings) -> Result<(), CliError> {
    prepare();
    let _traces = telemetry::start_with_traces(settings.log_format, settings.otlp_endpoint.as_deref())?;
    unknown_variables().iter().for_each(|unknown| tracing::warn!("{unknown}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::io("cannot start the runtime"))?;
    let listen = |key: &str, address: SocketAddr| {
        let listening = runtime.block_on(TcpListener::bind(address));
        listening.map_err(CliError::io(format!("{key}: cannot listen on {address}")))
    };
    let listener = listen("listen", settings.listen)?;
    let operations = settings.metrics_listen.map(|address| listen("metrics_listen", address)).transpose()?;
    let registry = MetricsRegistry::new().with_process_metrics().map_err(std::io::Error::other);
    let registry = registry.map_err(CliError::io("cannot register metrics"))?;
    let (engine, loaded) = Engine::start(model_files(settings), engine_config(settings)?, &registry)
        .map_err(CliError::io("cannot start the worker"))?;
    let config = api_config(settings)?;
    log_access(settings, &config);
    let state = {
        // The state spawns tasks on this runtime.
        let _entered = runtime.enter();
        Arc::new(AppState::new(engine, config, registry).map_err(CliError::io("cannot send webhooks"))?)
    };
    let result = runtime.block_on(async {
        if let Some(listener) = operations {
            log_address("metrics on", &listener)?;
            tokio::spawn(serve_operations(listener, Arc::clone(&state), settings.header_timeout));
        }
        serve(listener, &state, loaded, settings).await
    });
    // Tasks are dropped before the engine: they hold jobs, and dropping the engine waits for its jobs.
    drop(runtime);
    result
}

/// Logs who may call the service.
fn log_access(settings: &Settings, config: &ApiConfig) {
    match &config.guard.keys {
        Some(keys) => {
            let (file, ring) = (keys.path().display(), keys.ring());
            tracing::info!(%file, keys = ring.len(), "calls need an API key");
            for line in ring.short_keys() {
                tracing::warn!(%file, line, "an API key is short enough to be guessed");
            }
        }
        None if settings.listen.ip().to_canonical().is_loopback() => {
            tracing::info!("no API keys: only this machine may call");
        }
        None => tracing::warn!("insecure, and no API keys: every client that reaches this address may call"),
    }
}

/// Logs an address that is listened on.
fn log_address(what: &str, listener: &TcpListener) -> Result<(), CliError> {
    let address = listener.local_addr().map_err(CliError::io("listen"))?;
    tracing::info!("{what} http://{address}");
    Ok(())
}

/// Serves metrics and probes until the process ends, also while the service drains.
async fn serve_operations(listener: TcpListener, state: Arc<AppState>, head: Duration) {
    let open = state.metrics.connections.of(Listener::Metrics);
    let limits = ConnectionLimits { connections: OPERATIONS_CONNECTIONS, head };
    connections::serve(listener, api::metrics_router(state), limits, open, std::future::pending()).await;
}

/// Serves the API until shutdown or failure.
async fn serve(
    listener: TcpListener,
    state: &Arc<AppState>,
    loaded: Loaded,
    settings: &Settings,
) -> Result<(), CliError> {
    let mut signals = Signals::catch().map_err(CliError::io("signals cannot be caught"))?;
    log_address("listening on", &listener)?;
    let (close, closed) = oneshot::channel::<()>();
    let limits = ConnectionLimits { connections: settings.max_connections, head: settings.header_timeout };
    let metrics = &state.metrics;
    metrics.connections_limit.set(i64::try_from(limits.connections).unwrap_or(i64::MAX));
    let (router, open) = (api::router(Arc::clone(state)), metrics.connections.of(Listener::Api));
    let mut server = tokio::spawn(connections::serve(listener, router, limits, open, async {
        // A dropped sender closes the socket too.
        let _ = closed.await;
    }));
    tokio::select! {
        biased;
        error = failure(loaded, &state.engine) => return Err(error),
        ended = &mut server => return Err(server_failure(ended)),
        drained = drain_on_signal(&mut signals, &state.engine, settings.drain_deadline) => {
            if drained == Drained::CutShort {
                state.engine.abort();
                // Clients get their error once the step in progress is done.
                let _ = tokio::time::timeout(ANSWER_GRACE, state.engine.idle()).await;
            }
        }
    }
    // Jobs without an open request may have a webhook to send, or a result to be written down.
    let _ = tokio::time::timeout(ANSWER_GRACE, state.jobs.idle()).await;
    drop(close);
    tokio::select! {
        _ = &mut server => tracing::info!("all responses are written"),
        () = tokio::time::sleep(ANSWER_GRACE) => tracing::warn!("not all responses were read to their end"),
        signal = signals.next() => tracing::warn!(signal, "not all responses were read to their end"),
    }
    Ok(())
}

/// How draining ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drained {
    /// No job is left.
    Idle,
    /// Running jobs are to be aborted.
    CutShort,
}

/// Waits for a signal, then drains the engine until no job is left, the deadline passes or a second signal comes.
async fn drain_on_signal(signals: &mut Signals, engine: &Engine, deadline: Duration) -> Drained {
    let signal = signals.next().await;
    engine.drain();
    tracing::info!(
        signal,
        jobs = engine.unfinished(),
        "shutting down: running jobs finish, queued and new jobs are refused"
    );
    let why = tokio::select! {
        biased;
        () = engine.idle() => return Drained::Idle,
        () = tokio::time::sleep(deadline) => "the deadline has passed",
        _ = signals.next() => "a second signal",
    };
    tracing::warn!(jobs = engine.unfinished(), why, "shutting down: running jobs are aborted");
    Drained::CutShort
}

/// Waits for a failure that ends the service: a model that cannot be loaded, an invalid example in its profile, a
/// worker that has ended.
async fn failure(loaded: Loaded, engine: &Engine) -> CliError {
    if let Ok(Err(error)) = loaded.await {
        return error.into();
    }
    if let Err(error) = api::operations::models::check_examples(engine) {
        return LoadError::from(error).into();
    }
    engine.ended().await;
    engine.failure().into()
}

fn server_failure(ended: Result<(), JoinError>) -> CliError {
    let source = ended.err().map_or_else(|| std::io::Error::other("it ended by itself"), std::io::Error::other);
    CliError::Io { what: "the server failed".to_owned(), source }
}
