//! How each kind of metric is created and registered, for the tables of [`crate::telemetry::metrics`].

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

use crate::telemetry::labels::{Label, LabeledMetric, SeriesVec};
use crate::telemetry::metrics::MetricsRegistry;

/// A metric that can be created and registered.
pub(crate) trait Metric: Sized {
    /// Creates it at zero and adds it to a registry.
    fn register(
        registry: &MetricsRegistry,
        name: &str,
        help: &str,
        buckets: &[&[f64]],
    ) -> Result<Self, prometheus::Error>;
}

pub(crate) fn kept<C: Collector + Clone + 'static>(
    registry: &MetricsRegistry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.inner().register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn histogram(opts: Opts, buckets: &[&[f64]]) -> HistogramOpts {
    HistogramOpts::from(opts).buckets(buckets.concat())
}

impl Metric for IntCounter {
    fn register(registry: &MetricsRegistry, name: &str, help: &str, _: &[&[f64]]) -> Result<Self, prometheus::Error> {
        kept(registry, Self::with_opts(registry.opts(name, help))?)
    }
}

impl Metric for IntGauge {
    fn register(registry: &MetricsRegistry, name: &str, help: &str, _: &[&[f64]]) -> Result<Self, prometheus::Error> {
        kept(registry, Self::with_opts(registry.opts(name, help))?)
    }
}

impl Metric for Gauge {
    fn register(registry: &MetricsRegistry, name: &str, help: &str, _: &[&[f64]]) -> Result<Self, prometheus::Error> {
        kept(registry, Self::with_opts(registry.opts(name, help))?)
    }
}

impl Metric for Histogram {
    fn register(
        registry: &MetricsRegistry,
        name: &str,
        help: &str,
        buckets: &[&[f64]],
    ) -> Result<Self, prometheus::Error> {
        kept(registry, Self::with_opts(histogram(registry.opts(name, help), buckets))?)
    }
}

/// A vector of series that can be created.
trait NewVec: SeriesVec + 'static {
    fn make(opts: Opts, buckets: &[&[f64]], label: &str) -> Result<Self, prometheus::Error>;
}

macro_rules! new_vec {
    ($($vec:ty),*) => {
        $(impl NewVec for $vec {
            fn make(opts: Opts, _: &[&[f64]], label: &str) -> Result<Self, prometheus::Error> {
                Self::new(opts, &[label])
            }
        })*
    };
}

new_vec!(IntCounterVec, IntGaugeVec, CounterVec);

impl NewVec for HistogramVec {
    fn make(opts: Opts, buckets: &[&[f64]], label: &str) -> Result<Self, prometheus::Error> {
        Self::new(histogram(opts, buckets), &[label])
    }
}

impl<V: NewVec, L: Label> Metric for LabeledMetric<V, L> {
    fn register(
        registry: &MetricsRegistry,
        name: &str,
        help: &str,
        buckets: &[&[f64]],
    ) -> Result<Self, prometheus::Error> {
        Ok(Self::new(kept(registry, V::make(registry.opts(name, help), buckets, L::NAME)?)?))
    }
}
