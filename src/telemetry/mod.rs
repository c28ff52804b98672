//! What can be seen of the service from outside: log lines, for people or as JSON ([`json`]), [`metrics`], and traces
//! ([`trace_context`], `otlp`). `RUST_LOG` filters the lines; without it the service tells of what it does.

pub mod json;
pub mod labels;
mod log_format;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub(crate) mod register;
pub mod trace_context;

use std::io::{self, IsTerminal};

use tracing::Span;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::telemetry::json::JsonLines;
pub use crate::telemetry::log_format::LogFormat;
use crate::telemetry::trace_context::TraceContext;

/// What the service tells of.
const SERVICE: &str = "info";

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Sends traces, where any are sent, for as long as it lives.
#[derive(Debug)]
pub struct Traces {
    #[cfg(feature = "otlp")]
    _exporter: Option<otlp::Exporter>,
}

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
#[error("otlp_endpoint: {0}")]
pub struct TracesError(String);

/// Starts logging to standard error; `default` is the filter where `RUST_LOG` says nothing.
pub fn start(format: LogFormat, default: &str) {
    start_with(format, default, None);
}

/// Starts logging, and sending traces to a collector.
///
/// # Errors
/// Where this machine cannot send.
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

/// Starts logging; this build sends no traces, and its configuration takes no collector.
///
/// # Errors
/// None.
#[cfg(not(feature = "otlp"))]
pub fn start_with_traces(format: LogFormat, _: Option<&str>) -> Result<Traces, TracesError> {
    start_with(format, SERVICE, None);
    Ok(Traces {})
}

fn start_with(format: LogFormat, default: &str, more: Option<BoxedLayer>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_timer(SystemTime);
    let lines: BoxedLayer = match format {
        LogFormat::Pretty => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(JsonLines).with_filter(filter).boxed(),
    };
    // A second start, in one process, would be a test's; the first one's format stays.
    let _ =
        tracing_subscriber::registry().with([Some(lines), more].into_iter().flatten().collect::<Vec<_>>()).try_init();
}

/// Makes the span of a request part of the trace that it comes from, or of a new one, and tells what it is there.
pub fn begin_trace(span: &Span, from: Option<&TraceContext>) -> TraceContext {
    let context = sent(span, from).unwrap_or_else(|| from.map_or_else(TraceContext::root, TraceContext::child));
    span.record("trace_id", context.trace_id());
    context
}

#[cfg(feature = "otlp")]
use crate::telemetry::otlp::adopt as sent;

/// Without a collector a span is nobody's but ours.
#[cfg(not(feature = "otlp"))]
fn sent(_: &Span, _: Option<&TraceContext>) -> Option<TraceContext> {
    None
}
