//! How each kind of metric is created and registered, for the tables of [`crate::telemetry::metrics`].

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::telemetry::labels::{Family, Label, SeriesVec};

/// A metric that can be created and registered.
pub(crate) trait Metric: Sized {
    /// Creates it at zero and adds it to a registry.
    fn register(registry: &Registry, name: &str, help: &str, buckets: &[&[f64]]) -> Result<Self, prometheus::Error>;
}

pub(crate) fn kept<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn histogram(name: &str, help: &str, buckets: &[&[f64]]) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(buckets.concat())
}

impl Metric for IntCounter {
    fn register(registry: &Registry, name: &str, help: &str, _: &[&[f64]]) -> Result<Self, prometheus::Error> {
        kept(registry, Self::new(name, help)?)
    }
}

impl Metric for IntGauge {
    fn register(registry: &Registry, name: &str, help: &str, _: &[&[f64]]) -> Result<Self, prometheus::Error> {
        kept(registry, Self::new(name, help)?)
    }
}

impl Metric for Gauge {
    fn register(registry: &Registry, name: &str, help: &str, _: &[&[f64]]) -> Result<Self, prometheus::Error> {
        kept(registry, Self::new(name, help)?)
    }
}

impl Metric for Histogram {
    fn register(registry: &Registry, name: &str, help: &str, buckets: &[&[f64]]) -> Result<Self, prometheus::Error> {
        kept(registry, Self::with_opts(histogram(name, help, buckets))?)
    }
}

/// A vector of series that can be created.
trait NewVec: SeriesVec + 'static {
    fn make(name: &str, help: &str, buckets: &[&[f64]], label: &str) -> Result<Self, prometheus::Error>;
}

macro_rules! new_vec {
    ($($vec:ty),*) => {
        $(impl NewVec for $vec {
            fn make(name: &str, help: &str, _: &[&[f64]], label: &str) -> Result<Self, prometheus::Error> {
                Self::new(Opts::new(name, help), &[label])
            }
        })*
    };
}

new_vec!(IntCounterVec, IntGaugeVec, CounterVec);

impl NewVec for HistogramVec {
    fn make(name: &str, help: &str, buckets: &[&[f64]], label: &str) -> Result<Self, prometheus::Error> {
        Self::new(histogram(name, help, buckets), &[label])
    }
}

impl<V: NewVec, L: Label> Metric for Family<V, L> {
    fn register(registry: &Registry, name: &str, help: &str, buckets: &[&[f64]]) -> Result<Self, prometheus::Error> {
        Ok(Self::new(kept(registry, V::make(name, help, buckets, L::NAME)?)?))
    }
}
