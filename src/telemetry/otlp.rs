//! Export of spans to a collector by OTLP over HTTP, with the feature `otlp`.
//!
//! Spans cover requests, and the queueing, encoding, denoising (an event per step) and decoding of each job,
//! independent of `RUST_LOG`. A separate thread batches them, and drops them if the collector does not keep up.
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER` and `OTEL_BSP_…` apply.

use axum::http::HeaderValue;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::telemetry::TracesError;
use crate::telemetry::trace_context::TraceContext;

/// The filter of exported spans: this crate up to debug level, and warnings of other crates.
pub const FILTER: &str = "warn,reprompt=debug";

/// Exports spans until it is dropped; the drop exports the remaining ones.
#[derive(Debug)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// An exporter to a collector such as `http://127.0.0.1:4318`. Must not be called within a runtime.
    ///
    /// # Errors
    /// If the HTTP client or the exporter cannot be created.
    pub fn new(endpoint: &str) -> Result<Self, TracesError> {
        let failed = |error: &dyn std::fmt::Display| TracesError(error.to_string());
        crate::telemetry::tls::install_provider();
        let client = reqwest::blocking::Client::builder().no_proxy();
        // Load certificates only if they are needed.
        let client = if endpoint.starts_with("https:") { client } else { client.tls_certs_only([]) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client.build().map_err(|error| failed(&error))?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()
            .map_err(|error| failed(&error))?;
        let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => resource,
            None => resource.with_service_name("reprompt"),
        };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build());
        Ok(Self(provider.build()))
    }

    /// The tracer that creates spans.
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer("reprompt")
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // There is no caller to return an error to.
        let _ = self.0.shutdown();
    }
}

/// Makes a span part of the caller's trace, and returns its context in that trace; `None` if nothing is exported.
pub fn adopt(span: &Span, from: Option<&TraceContext>) -> Option<TraceContext> {
    if let Some(from) = from {
        let state = from.state.as_ref().and_then(|state| state.to_str().ok()?.parse::<TraceState>().ok());
        let (trace, parent) =
            (TraceId::from_bytes(from.trace.to_be_bytes()), SpanId::from_bytes(from.span.to_be_bytes()));
        let remote = SpanContext::new(trace, parent, TraceFlags::new(from.flags), true, state.unwrap_or_default());
        // A span that is not recorded has no parent.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    own.is_valid().then(|| TraceContext {
        trace: u128::from_be_bytes(own.trace_id().to_bytes()),
        span: u64::from_be_bytes(own.span_id().to_bytes()),
        flags: own.trace_flags().to_u8(),
        state: HeaderValue::from_str(&own.trace_state().header()).ok().filter(|state| !state.is_empty()),
    })
}
