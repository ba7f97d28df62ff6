//! A recorder for one test, and what it was told.

use std::collections::{BTreeMap, BTreeSet};

use metrics::Unit;
use metrics_util::{
    MetricKind,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};

/// Counts for the thread of this test alone, until it is dropped.
pub struct Recording {
    snapshotter: Snapshotter,
    _installed: metrics::LocalRecorderGuard<'static>,
    pub seen: BTreeMap<String, Seen>,
}

/// One metric, over all of its labels.
#[derive(Default)]
pub struct Seen {
    pub kind: &'static str,
    pub unit: &'static str,
    pub text: String,
    pub labels: BTreeSet<String>,
    /// How much each series has counted, as `word word`; of a gauge how much it is now.
    pub series: BTreeMap<String, f64>,
    /// Whether anything was ever counted.
    pub has_counted: bool,
}

impl Recording {
    pub fn start() -> Self {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        // A test has one, and ends with it.
        let recorder: &'static DebuggingRecorder = Box::leak(Box::new(recorder));
        Self {
            snapshotter,
            _installed: metrics::set_default_local_recorder(recorder),
            seen: BTreeMap::new(),
        }
    }

    /// Adds what was counted since the last look, which has set everything to zero, gauges too.
    pub fn look(&mut self) {
        for (key, unit, text, value) in self.snapshotter.snapshot().into_vec() {
            let (kind, key) = key.into_parts();
            let seen = self.seen.entry(key.name().to_owned()).or_default();
            seen.kind = match kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            seen.unit = match unit {
                Some(Unit::Seconds) => "seconds",
                None => "",
                Some(other) => panic!("{other:?}"),
            };
            seen.text = text.map(|text| text.to_string()).unwrap_or_default();
            seen.labels
                .extend(key.labels().map(|label| label.key().to_owned()));
            let words: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
            let much = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(level) => level.into_inner(),
                DebugValue::Histogram(values) => values.len() as f64,
            };
            seen.has_counted |= much > 0.0;
            *seen.series.entry(words.join(" ")).or_default() += much;
        }
    }

    /// How much a series has counted. It must be there.
    pub fn count(&mut self, name: &str, words: &str) -> f64 {
        self.look();
        let seen = &self.seen[&format!("suno_callback_{name}")];
        let there = || seen.series.keys().collect::<Vec<_>>();
        *seen
            .series
            .get(words)
            .unwrap_or_else(|| panic!("{words} is none of {:?}", there()))
    }
}
