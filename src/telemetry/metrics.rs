//! Tables of metrics: a struct of typed series for each module that has metrics.
//!
//! These modules own their tables and the enums that label them; this module makes and registers the series. The
//! registry is a parameter, so that several engines in one process (tests have many) do not mix. All series exist from
//! the start, at zero.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::{Encoder, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::telemetry::labels::LabeledMetric;

/// Buckets of durations, in seconds.
pub const SECONDS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
/// Buckets of row counts.
pub const ROWS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0];

/// One counter per label value.
pub type Counters<L> = LabeledMetric<IntCounterVec, L>;
/// One gauge per label value.
pub type Gauges<L> = LabeledMetric<IntGaugeVec, L>;
/// One histogram per label value.
pub type Histograms<L> = LabeledMetric<HistogramVec, L>;

/// Defines a struct of metrics, one field per metric.
macro_rules! metrics {
    ($(#[$struct_doc:meta])* $struct:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $name:literal, $help:literal $(, $buckets:expr)?;)* }) => {
        $(#[$struct_doc])*
        #[derive(Debug)]
        pub struct $struct {
            $(#[doc = $help] pub $field: $type,)*
        }

        impl $struct {
            /// Creates all metrics of the table at zero, and registers them.
            ///
            /// # Errors
            /// If the registry already has a metric of one of these names.
            pub fn register(registry: &$crate::telemetry::metrics::MetricsRegistry) -> Result<Self, prometheus::Error> {
                $(let $field = <$type as $crate::telemetry::register::Metric>::register(registry, $name, $help, &[$($buckets)?])?;)*
                Ok(Self { $($field,)* })
            }

            /// The names of all metrics of the table.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}
pub(crate) use metrics;

/// The registry of the metrics of a process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct MetricsRegistry {
    registry: Arc<Registry>,
    /// Labels that every metric gets which is registered through this handle.
    labels: HashMap<String, String>,
}

impl MetricsRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the metrics of this process (memory, file descriptors, CPU time), if the platform supports them.
    ///
    /// # Errors
    /// If they are already registered.
    pub fn with_process_metrics(self) -> Result<Self, prometheus::Error> {
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(self)
    }

    /// The same registry for the metrics of one of several alike: all that is registered through it has this label too.
    #[must_use]
    pub fn with_label(&self, name: &str, value: &str) -> Self {
        let mut labels = self.labels.clone();
        labels.insert(name.to_owned(), value.to_owned());
        Self { registry: Arc::clone(&self.registry), labels }
    }

    pub(crate) fn inner(&self) -> &Registry {
        &self.registry
    }

    /// Name, help and labels of a metric.
    pub(crate) fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_labels(self.labels.clone())
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "failed to encode the metrics");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}
