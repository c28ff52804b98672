//! `reprompt serve`: the HTTP service until it is shut down.
//!
//! Shutdown, on SIGTERM or ctrl-c:
//!
//! 1. The engine drains: readiness fails, new and queued jobs are refused, running jobs finish. The socket stays open,
//!    so that probes and clients get an answer. `drain_deadline` or a second signal aborts the running jobs.
//! 2. Results are written down and webhooks delivered, within the deadline.
//! 3. The socket is closed to new requests, and open responses are written to their end, for a few seconds at most.
//! 4. The process ends.
//!
//! A signal while the model is being loaded or warmed up ends the process at once: there are no jobs. A second signal, or
//! the deadline, ends it within 20 seconds, whatever the worker does. A signal after that ends it at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::Instant;

use crate::api;
use crate::api::operations::models::check_examples;
use crate::api::transport::connections;
use crate::api::transport::connections::ConnectionLimits;
use crate::api::transport::connections::Listener;
use crate::api::{ApiConfig, AppState};
use crate::cli::CliError;
use crate::cli::settings::{api_config, engine_config, engine_parts, model_files, prepare};
use crate::cli::signals::Signals;
use crate::config::{Settings, unknown_variables};
use crate::engine::{Engine, EngineConfig, Loaded, check_budgets, load};
use crate::telemetry;
use crate::telemetry::metrics::MetricsRegistry;

pub const EXAMPLES: &str = "\
Examples:
  reprompt serve --listen 127.0.0.1:8080
  reprompt serve --print-config";

pub const EXIT_CODES: &str = "\
Exit codes:
  0   shut down by SIGTERM or ctrl-c, even if jobs were aborted for it
  1   could not start, because of the settings, the model or the socket; the last line names the cause
  2   invalid command line
  70  the worker ended unexpectedly
  71  the device failed";

/// Connections to metrics and probes at once: some scrapers, and the platform.
const OPERATIONS_CONNECTIONS: usize = 64;
/// How long the remaining responses may take to be written once no job is left.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
/// How long tasks and the worker may take to end once jobs were aborted.
const ABORT_GRACE: Duration = Duration::from_secs(5);
/// Bounds the configured deadline, so that adding it to an instant cannot overflow.
const LONGEST_DRAIN: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Serves until shutdown. The socket is open while the model is being loaded, so that probes get an answer; a model
/// that cannot be loaded ends the process.
pub fn run(settings: &Settings) -> Result<(), CliError> {
    prepare();
    let _traces = telemetry::start_with_traces(settings.log_format, settings.otlp_endpoint.as_deref())?;
    tracing::info!(version = telemetry::VERSION, revision = telemetry::REVISION, "reprompt starts");
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
    let (engine, loaded) = start_engine(settings, &registry)?;
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
    let is_aborted = result.as_ref().is_ok_and(|ended| *ended == Ended::Aborted);
    end(runtime, state, if is_aborted { ABORT_GRACE } else { Duration::MAX });
    result.map(drop)
}

/// Ends all tasks and the worker, which may still write recordings. A signal, or the end of `grace`, leaves the rest to
/// the end of the process.
fn end(runtime: Runtime, state: Arc<AppState>, grace: Duration) {
    let (done, is_done) = oneshot::channel::<()>();
    let ending = std::thread::Builder::new().name("reprompt-ending".to_owned()).spawn(move || {
        // Tasks are dropped before the engine: they hold jobs, and dropping the engine waits for its jobs.
        drop(runtime);
        drop(state);
        let _ = done.send(());
    });
    let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Ok(_), Ok(waiting)) = (ending, waiting) else {
        return;
    };
    waiting.block_on(async {
        let Ok(mut signals) = Signals::catch() else {
            return;
        };
        tokio::select! {
            biased;
            _ = is_done => {}
            signal = signals.next() => tracing::warn!(signal, "the process ends at once"),
            () = tokio::time::sleep(grace) => tracing::warn!("the worker has not ended, the process ends without it"),
        }
    });
}

/// Starts the engine. A model is loaded once its examples and the byte budgets are checked too, so that a service that
/// could answer no ordinary request is never ready.
fn start_engine(settings: &Settings, registry: &MetricsRegistry) -> Result<(Engine, Loaded), CliError> {
    let (files, config) = (model_files(settings), engine_config(settings)?);
    let parts = engine_parts(registry, &config)?;
    let load = move |config: &EngineConfig| {
        let model = load(&files, config)?;
        check_examples(model.info())?;
        check_budgets(&*model, &config.sessions)?;
        Ok(model)
    };
    Engine::start_with(config, parts, load).map_err(CliError::io("cannot start the worker"))
}

/// Logs who may call the service.
fn log_access(settings: &Settings, config: &ApiConfig) {
    match &config.guard.keys {
        Some(keys) => {
            let (file, ring) = (keys.path().display(), keys.ring());
            tracing::info!(%file, keys = ring.len(), "requests need an API key");
            keys.warn_of_weak_keys();
        }
        None if settings.listen.ip().to_canonical().is_loopback() => {
            tracing::info!("no API keys: only clients on this machine can connect, and no web page of another site");
        }
        None => tracing::warn!("insecure, and no API keys: any client that can reach this address can use the service"),
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
    let open = state.metrics.connections.with(Listener::Metrics);
    let limits = ConnectionLimits { connections: OPERATIONS_CONNECTIONS, head };
    connections::serve(listener, api::metrics_router(state), limits, open, std::future::pending()).await;
}

/// Serves the API until shutdown or failure.
async fn serve(
    listener: TcpListener,
    state: &Arc<AppState>,
    loaded: Loaded,
    settings: &Settings,
) -> Result<Ended, CliError> {
    let mut signals = Signals::catch().map_err(CliError::io("cannot catch signals"))?;
    log_address("listening on", &listener)?;
    let (close, closed) = oneshot::channel::<()>();
    let limits = ConnectionLimits { connections: settings.max_connections, head: settings.header_timeout };
    let metrics = &state.metrics;
    metrics.connections_limit.set(i64::try_from(limits.connections).unwrap_or(i64::MAX));
    let (router, open) = (api::router(Arc::clone(state)), metrics.connections.with(Listener::Api));
    let mut server = tokio::spawn(connections::serve(listener, router, limits, open, async {
        // A dropped sender closes the socket too.
        let _ = closed.await;
    }));
    let mut how = Ended::Drained;
    let limit = tokio::select! {
        biased;
        error = failure(loaded, &state.engine) => return Err(error),
        ended = &mut server => return Err(server_failure(ended)),
        drained = drain_on_signal(&mut signals, &state.engine, settings.drain_deadline) => match drained {
            Drained::Loading => {
                state.engine.abandon();
                return Ok(Ended::Drained);
            }
            Drained::Idle { limit } => limit.max(Instant::now() + ANSWER_GRACE),
            Drained::CutShort => {
                how = Ended::Aborted;
                state.engine.abort();
                // Clients get their error once the step in progress is done.
                if tokio::time::timeout(ANSWER_GRACE, state.engine.idle()).await.is_err() {
                    tracing::warn!("the step in progress takes too long, the process ends without it");
                    state.engine.abandon();
                }
                Instant::now() + ANSWER_GRACE
            }
        }
    };
    // Jobs without an open request may have a result to be written down, and a webhook to be sent.
    let undelivered = tokio::select! {
        biased;
        pending = state.finish(limit) => pending,
        _ = signals.next() => state.finish(Instant::now() + ANSWER_GRACE).await,
    };
    if undelivered > 0 {
        tracing::warn!(webhooks = undelivered, "shutting down with webhooks undelivered");
    }
    drop(close);
    tokio::select! {
        _ = &mut server => tracing::info!("all responses were written"),
        () = tokio::time::sleep(ANSWER_GRACE) => tracing::warn!("some responses were not read to the end"),
        signal = signals.next() => tracing::warn!(signal, "some responses were not read to the end"),
    }
    Ok(how)
}

/// How the service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// All jobs have finished.
    Drained,
    /// Jobs were aborted.
    Aborted,
}

/// How draining ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drained {
    /// The model is not loaded yet, so there is nothing to finish.
    Loading,
    /// No job is left, before the deadline.
    Idle {
        /// The deadline.
        limit: Instant,
    },
    /// Running jobs are to be aborted.
    CutShort,
}

/// Waits for a signal, then drains the engine until no job is left, the deadline passes or a second signal comes.
async fn drain_on_signal(signals: &mut Signals, engine: &Engine, deadline: Duration) -> Drained {
    let signal = signals.next().await;
    let limit = Instant::now() + deadline.min(LONGEST_DRAIN);
    engine.drain();
    if engine.loaded().is_err() {
        tracing::info!(signal, "shutting down while the model is loading");
        return Drained::Loading;
    }
    tracing::info!(
        signal,
        jobs = engine.unfinished(),
        "shutting down: running jobs are finished, queued and new jobs are refused"
    );
    let why = tokio::select! {
        biased;
        () = engine.idle() => return Drained::Idle { limit },
        () = tokio::time::sleep_until(limit) => "drain_deadline has passed",
        _ = signals.next() => "a second signal",
    };
    tracing::warn!(jobs = engine.unfinished(), why, "shutting down before all jobs have finished: jobs are aborted");
    Drained::CutShort
}

/// Waits for a failure that ends the service: a model that cannot be loaded (its examples included), or a worker that
/// has ended.
async fn failure(loaded: Loaded, engine: &Engine) -> CliError {
    if let Ok(Err(error)) = loaded.await {
        return error.into();
    }
    engine.ended().await;
    engine.failure().into()
}

fn server_failure(ended: Result<(), JoinError>) -> CliError {
    let source = ended.err().map_or_else(|| std::io::Error::other("it ended unexpectedly"), std::io::Error::other);
    CliError::Io { what: "the server failed".to_owned(), source }
}
