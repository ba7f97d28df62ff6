//! The rules and the dashboard of `deploy`, on a real Prometheus.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use harness::{
    Callback, post_to,
    program::{From, Lines, Server, program},
    server::Redis,
};
use serde_json::Value;

use crate::{
    prometheus::{Prometheus, promtool},
    scraped::receiver,
};

const RULES: &str = include_str!("../deploy/alerts.yml");
const DASHBOARD: &str = include_str!("../deploy/dashboard.json");
const TABLE: &str = include_str!("../../../src/metrics/mod.rs");

/// The rules with seconds for minutes.
fn hasty_rules() -> String {
    let mut rules = String::new();
    let mut last = ' ';
    for char in RULES.chars() {
        rules.push(if last.is_ascii_digit() && char == 'm' {
            's'
        } else {
            char
        });
        last = char;
    }
    assert!(
        rules.contains("[10s]") && rules.contains("for: 2s"),
        "{rules}"
    );
    rules
}

#[test]
fn promtool_finds_no_fault_in_the_rules() {
    let (is_good, said) = promtool(&["check", "rules", "--lint-fatal", "alerts.yml"]);
    assert!(is_good && said.contains("5 rules found"), "{said}");
}

#[test]
fn in_promtool_s_own_time_the_rules_fire_when_they_must_and_on_no_good_day() {
    let (is_good, said) = promtool(&["test", "rules", "alerts.test.yml"]);
    assert!(is_good, "{said}");
}

/// A receiver that is in trouble, and the one that is not.
struct Job {
    server: Server,
    _lines: Lines,
}

impl Job {
    fn start(arguments: &[&str]) -> Self {
        let (server, _lines) = receiver(&[&["--path", "/"], arguments].concat());
        Self { server, _lines }
    }

    fn with_another_key() -> Self {
        let mut command = program(env!("CARGO_BIN_EXE_receiver"));
        command.args(["--listen", "127.0.0.1:0", "--path", "/"]);
        command.env("SUNO_WEBHOOK_HMAC_KEY", "the key of somebody else");
        let (server, _lines) = Server::start(&mut command, From::Stderr);
        Self { server, _lines }
    }

    /// Sends an event from time to time, until it is dropped.
    fn keep_sending(&self, task: &'static str) -> Sending {
        let url = self.server.url();
        Sending(tokio::spawn(async move {
            for number in 0.. {
                let callback = Callback::success(&format!("{task}-{number}"), "voice");
                let url = url.clone();
                tokio::spawn(async move { post_to(&url, &callback).await });
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }))
    }
}

struct Sending(tokio::task::JoinHandle<()>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_fires_for_its_fault_and_none_on_a_good_run() {
    let redis = Redis::start(&[]);
    let store = format!("redis://{}/", redis.addr());
    let jobs = BTreeMap::from([
        ("good", Job::start(&[])),
        ("key", Job::with_another_key()),
        ("fails", Job::start(&["--fail-first", "9"])),
        ("slow", Job::start(&["--handler-delay", "20s"])),
        (
            "store",
            Job::start(&["--store", &store, "--handler-delay", "1s"]),
        ),
    ]);
    let addrs = jobs
        .iter()
        .map(|(name, job)| (*name, job.server.addr))
        .collect();
    let prometheus = Prometheus::start(&addrs, &hasty_rules());
    prometheus.wait("a look at all of them", || {
        let seen = prometheus.query("count(up == 1)");
        (seen.first()?["value"][1] == "5").then_some(())
    });
    let mut sending: Vec<_> = jobs.values().map(|job| job.keep_sending("task")).collect();
    // The store goes away while handlers run on it.
    let stored =
        r#"suno_callback_store_operations_total{job="store",operation="commit",outcome="ok"} > 0"#;
    prometheus.wait("a commit", || prometheus.query(stored).pop());
    redis.pause(); // its port stays its own
    let each_for_its_fault = BTreeSet::from(
        [
            ("SunoSignatureWrong", "key"),
            ("SunoHandlerFails", "fails"),
            ("SunoStoreAway", "store"),
            ("SunoHandledTwice", "store"),
            ("SunoHandlerSlow", "slow"),
        ]
        .map(|(alert, job)| (alert.to_owned(), job.to_owned())),
    );
    // One may be over when the next begins.
    prometheus.wait("all of them", || {
        prometheus
            .fired()
            .is_superset(&each_for_its_fault)
            .then_some(())
    });
    assert_eq!(prometheus.fired(), each_for_its_fault);
    sending.clear();
}

/// That a query of the dashboard is one, and is answered where something has happened.
#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_the_dashboard_shows_what_a_receiver_counts() {
    let job = Job::start(&[]);
    let prometheus =
        Prometheus::start(&BTreeMap::from([("good", job.server.addr)]), &hasty_rules());
    let url = job.server.url();
    assert_eq!(
        post_to(&url, &Callback::success("task", "voice")).await.0,
        200
    );
    prometheus.wait("two looks", || {
        prometheus.query("count_over_time(up[1m]) > 2").pop()
    });
    let expressions = expressions();
    assert!(expressions.len() >= 20, "{expressions:?}");
    for expression in expressions {
        let expression = expression.replace("$job", ".*").replace("$product", ".*");
        // What is zero is left out of some, so that they show what is.
        let bare = expression
            .replace("$__rate_interval", "1m")
            .replace(" > 0", "");
        let series = prometheus.query(&bare);
        assert!(!series.is_empty(), "nothing comes of {bare}");
    }
}

fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|it| it["targets"].as_array().unwrap());
    targets
        .map(|it| it["expr"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn rules_and_dashboard_name_what_there_is_and_the_dashboard_all_of_it() {
    let rows = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `suno_callback_"));
    let known: Vec<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert!(known.len() > 15, "{known:?}");
    let shown = expressions().join(" ");
    for text in [RULES, &shown] {
        let named = text.split("suno_callback_").skip(1);
        for named in named {
            let end = named.find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
            let name = &named[..end.unwrap_or(named.len())];
            let base = ["_bucket", "_count"]
                .iter()
                .find_map(|it| name.strip_suffix(it));
            assert!(
                known.contains(&base.unwrap_or(name)),
                "suno_callback_{name} is none"
            );
        }
    }
    for name in known {
        assert!(shown.contains(name), "suno_callback_{name} is in no panel");
    }
}
