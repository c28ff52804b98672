//! Metrics whose label is an enum: every series exists from the start, and an unknown label value cannot be expressed.

use std::marker::PhantomData;

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

/// The values of a label.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// All values.
    const ALL: &'static [Self];

    /// The value as exported.
    fn as_str(self) -> &'static str;
}

/// Defines an enum that is a label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident as $label:literal { $($(#[$value_doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$value_doc])* $value,)* }

        impl $name {
            /// The name in responses and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }

        impl $crate::telemetry::labels::Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn as_str(self) -> &'static str {
                self.as_str()
            }
        }
    };
}
pub(crate) use label;

/// A metric with one series for each value of `L`.
#[derive(Debug, Clone)]
pub struct LabeledMetric<V, L> {
    series: V,
    label: PhantomData<fn(L)>,
}

/// A vector of prometheus series with one label.
pub trait SeriesVec: Collector + Clone {
    /// One series.
    type Series;

    /// The series of a label's value; created if missing.
    fn series(&self, label: &str) -> Self::Series;
}

macro_rules! series_vec {
    ($($vec:ty => $series:ty;)*) => {
        $(impl SeriesVec for $vec {
            type Series = $series;

            fn series(&self, label: &str) -> Self::Series {
                self.with_label_values(&[label])
            }
        })*
    };
}

series_vec! {
    IntCounterVec => prometheus::IntCounter;
    IntGaugeVec => prometheus::IntGauge;
    GaugeVec => prometheus::Gauge;
    HistogramVec => prometheus::Histogram;
    prometheus::CounterVec => prometheus::Counter;
}

impl<V: SeriesVec, L: Label> LabeledMetric<V, L> {
    /// A metric of this vector, with all its series created.
    pub fn new(series: V) -> Self {
        for label in L::ALL {
            series.series(label.as_str());
        }
        Self { series, label: PhantomData }
    }

    /// The series of a label value.
    pub fn with(&self, label: L) -> V::Series {
        self.series.series(label.as_str())
    }
}
