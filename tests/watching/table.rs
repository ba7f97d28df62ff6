//! The table in the documentation is what a recorder is told.

use std::collections::{BTreeMap, BTreeSet};

use crate::{counted, recorded::Recording};

const DOCUMENTATION: &str = include_str!("../../src/metrics/mod.rs");

/// A line of the table, but for its name.
#[derive(Debug, PartialEq)]
struct Line {
    kind: String,
    unit: String,
    labels: BTreeSet<String>,
    text: String,
}

/// What is documented, by name.
fn documented() -> BTreeMap<String, Line> {
    let rows = DOCUMENTATION
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `suno_"));
    rows.map(|row| {
        let cells: Vec<_> = row
            .trim_end_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let [name, kind, unit, labels, text] = cells[..] else {
            panic!("five cells: {row}");
        };
        let labels = labels
            .split_whitespace()
            .map(|it| it.trim_matches('`').into());
        let line = Line {
            kind: kind.into(),
            unit: unit.into(),
            labels: labels.collect(),
            text: text.into(),
        };
        (format!("suno_{}", name.trim_matches('`')), line)
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn the_table_says_what_is_counted_and_everything_in_it_is() {
    let mut recording = Recording::start();
    counted::everything(&mut recording).await;
    recording.look();
    let silent = recording.seen.iter().filter(|(_, seen)| !seen.has_counted);
    let silent: Vec<_> = silent.map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "the run brought none of {silent:?}");
    let counted: BTreeMap<_, _> = recording
        .seen
        .into_iter()
        .map(|(name, seen)| {
            let line = Line {
                kind: seen.kind.into(),
                unit: seen.unit.into(),
                labels: seen.labels,
                text: seen.text,
            };
            (name, line)
        })
        .collect();
    assert_eq!(counted, documented());
}

/// <https://prometheus.io/docs/practices/naming/>
#[test]
fn names_are_as_prometheus_wants_them() {
    for (name, line) in documented() {
        let ends = (name.ends_with("_total"), name.ends_with("_seconds"));
        let wanted = match line.kind.as_str() {
            "counter" => (true, false),
            "histogram" => (false, true),
            "gauge" => (false, false),
            other => panic!("{name} is a {other}"),
        };
        assert_eq!(ends, wanted, "{name}");
        assert_eq!(line.unit == "seconds", line.kind == "histogram", "{name}");
    }
}

/// The second table has every label of the first, and its words.
#[test]
fn every_label_is_documented() {
    let of_labels = DOCUMENTATION.split("//! | label | words |").nth(1).unwrap();
    for label in documented().into_values().flat_map(|line| line.labels) {
        assert!(of_labels.contains(&format!("| `{label}`")), "{label}");
    }
}
