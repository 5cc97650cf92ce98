//! Families of samples, made when somebody looks.
//!
//! The numbers live in atomics of ours and are put into Prometheus's form only for a scrape: so that nothing needs to be
//! kept in step with a registry, and removing a series is dropping what it counts.

use std::collections::HashMap;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// A family under construction.
#[derive(Debug)]
pub(super) struct Family(MetricFamily);

impl Family {
    /// A number that only rises.
    pub(super) fn counter(name: &str, help: &str) -> Self {
        Self::of(MetricType::COUNTER, name, help)
    }

    /// A number that rises and falls.
    pub(super) fn gauge(name: &str, help: &str) -> Self {
        Self::of(MetricType::GAUGE, name, help)
    }

    /// Counts by size.
    pub(super) fn histogram(name: &str, help: &str) -> Self {
        Self::of(MetricType::HISTOGRAM, name, help)
    }

    fn of(kind: MetricType, name: &str, help: &str) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.into());
        family.set_help(help.into());
        family.set_field_type(kind);
        Self(family)
    }

    /// Adds a sample of a counter or a gauge.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut metric = labelled(labels);
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
    }

    /// Adds a histogram.
    pub(super) fn add_histogram(&mut self, labels: &[(&str, &str)], histogram: Histogram) {
        let mut metric = labelled(labels);
        metric.set_histogram(histogram);
        self.0.mut_metric().push(metric);
    }

    /// With one sample.
    pub(super) fn with(mut self, labels: &[(&str, &str)], value: f64) -> Self {
        self.add(labels, value);
        self
    }
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.into());
        pair.set_value(value.into());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

/// What is asked at every scrape.
struct Source<F> {
    /// Names the whole: registering it twice is an error.
    desc: Desc,
    look: F,
}

impl<F: Fn() -> Vec<Family> + Send + Sync> Collector for Source<F> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.look)().into_iter().map(|family| family.0).collect()
    }
}

/// Has `look` asked at every scrape of `registry`, under a name of its own.
///
/// # Errors
/// If something of that name is registered there already.
pub(super) fn register(
    registry: &Registry,
    name: &str,
    look: impl Fn() -> Vec<Family> + Send + Sync + 'static,
) -> prometheus::Result<()> {
    let desc = Desc::new(name.into(), "a part of shardlift".into(), Vec::new(), HashMap::new())?;
    registry.register(Box::new(Source { desc, look }))
}

/// Which program this is.
pub(super) fn build_info() -> Family {
    Family::gauge("shardlift_build_info", "The running version").with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)
}
