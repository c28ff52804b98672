//! Observability: log lines, for people or as JSON ([`json`]), [`metrics`], and traces ([`trace_context`], `otlp`).
//! `RUST_LOG` filters the log lines.

pub(crate) mod json;
pub mod labels;
mod log_format;
pub mod metrics;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
pub(crate) mod register;
pub(crate) mod tls;
pub(crate) mod trace_context;

use std::io::{self, IsTerminal};
use std::time::Duration;

use tracing::Span;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::telemetry::json::JsonLines;
pub(crate) use crate::telemetry::log_format::LogFormat;
use crate::telemetry::trace_context::TraceContext;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision of its sources: a commit, with `-dirty` if files differed from it, or `unknown`.
pub const REVISION: &str = env!("BUILD_REVISION");

/// The default filter of log lines.
const SERVICE: &str = "info";

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Exports traces, if configured, until it is dropped.
#[derive(Debug)]
pub struct Traces {
    #[cfg(feature = "otlp")]
    _exporter: Option<otlp::Exporter>,
}

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
#[error("otlp_endpoint: {0}")]
pub struct TracesError(String);

/// Starts logging to standard error; `default` is the filter if `RUST_LOG` is not set.
pub fn start(format: LogFormat, default: &str) {
    start_with(format, default, None);
}

/// Starts logging, and exporting traces to a collector.
///
/// # Errors
/// If the exporter cannot be created.
#[cfg(feature = "otlp")]
pub fn start_with_traces(format: LogFormat, collector: Option<&str>) -> Result<Traces, TracesError> {
    let exporter = collector.map(otlp::Exporter::new).transpose()?;
    let layer = exporter.as_ref().map(|exporter| {
        let layer = tracing_opentelemetry::layer().with_tracer(exporter.tracer());
        layer.with_filter(EnvFilter::new(otlp::FILTER)).boxed()
    });
    start_with(format, SERVICE, layer);
    Ok(Traces { _exporter: exporter })
}

/// Starts logging; this build exports no traces and accepts no collector in its configuration.
///
/// # Errors
/// None.
#[cfg(not(feature = "otlp"))]
pub fn start_with_traces(format: LogFormat, _: Option<&str>) -> Result<Traces, TracesError> {
    start_with(format, SERVICE, None);
    Ok(Traces {})
}

fn start_with(format: LogFormat, default: &str, more: Option<BoxedLayer>) {
    // An empty variable is one that is not set.
    let given = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|given| !given.is_empty());
    let parsed = given.as_deref().map(EnvFilter::try_new).transpose();
    let (filter, invalid) = match parsed {
        Ok(filter) => (filter.unwrap_or_else(|| EnvFilter::new(default)), None),
        Err(error) => (EnvFilter::new(default), Some(error)),
    };
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_timer(SystemTime);
    let lines: BoxedLayer = match format {
        LogFormat::Pretty => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(JsonLines).with_filter(filter).boxed(),
    };
    // Only tests start logging twice in a process; the first format stays.
    let _ =
        tracing_subscriber::registry().with([Some(lines), more].into_iter().flatten().collect::<Vec<_>>()).try_init();
    if let Some(error) = invalid {
        tracing::warn!(%error, "RUST_LOG: expected a filter such as info,reprompt::engine=debug; the default applies");
    }
}

/// A duration for a log line: milliseconds, with one digit after the point.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// Makes the span of a request part of the caller's trace, or of a new one, and returns its context in that trace.
pub fn begin_trace(span: &Span, from: Option<&TraceContext>) -> TraceContext {
    let context = sent(span, from).unwrap_or_else(|| from.map_or_else(TraceContext::root, TraceContext::child));
    span.record("trace_id", context.trace_id());
    context
}

#[cfg(feature = "otlp")]
use crate::telemetry::otlp::adopt as sent;

/// Without an exporter, spans have no context of their own.
#[cfg(not(feature = "otlp"))]
fn sent(_: &Span, _: Option<&TraceContext>) -> Option<TraceContext> {
    None
}
