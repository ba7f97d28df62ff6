//! The handles of the facade.

pub(super) use ::metrics::{Counter, Gauge, Histogram};
pub(super) use std::sync::Arc as Shared;

use ::metrics::{Key, Label, Level, Metadata, Unit, with_recorder};
use tokio::time::Instant;

use super::catalogue::{Kind, Metric};

static METADATA: Metadata<'static> = Metadata::new("suno_callback", Level::INFO, None);

/// A name and its word.
pub(super) type Labels<'a> = &'a [(&'static str, &'static str)];

pub(super) fn counter(metric: &Metric, labels: Labels<'_>) -> Counter {
    with_recorder(|it| it.register_counter(&key(metric, labels), &METADATA))
}

pub(super) fn gauge(metric: &Metric) -> Gauge {
    with_recorder(|it| it.register_gauge(&key(metric, &[]), &METADATA))
}

pub(super) fn histogram(metric: &Metric, labels: Labels<'_>) -> Histogram {
    with_recorder(|it| it.register_histogram(&key(metric, labels), &METADATA))
}

fn key(metric: &Metric, labels: Labels<'_>) -> Key {
    let labels = labels.iter();
    let labels = labels.map(|(name, word)| Label::from_static_parts(name, word));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

pub(super) fn describe(metric: &Metric) {
    let (name, text) = (metric.name.into(), metric.text.into());
    with_recorder(|it| match metric.kind {
        Kind::Counter => it.describe_counter(name, None, text),
        Kind::Gauge => it.describe_gauge(name, None, text),
        Kind::Histogram => it.describe_histogram(name, Some(Unit::Seconds), text),
    });
}

/// What was taken from the clock.
pub(super) type Moment = Instant;

/// A look of its own: where nothing is measured, nothing is looked at.
pub(super) fn now() -> Moment {
    Instant::now()
}

pub(super) fn at(instant: Instant) -> Moment {
    instant
}

pub(super) fn record(histogram: &Histogram, from: Instant, to: Moment) {
    histogram.record(to.saturating_duration_since(from).as_secs_f64());
}
