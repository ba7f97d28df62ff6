//! What `GET /metrics` says.

use std::io::Write;

use harness::{
    Callback, post_to,
    program::{From, Server, get, program},
};
use http::StatusCode;

pub fn receiver(arguments: &[&str]) -> (Server, harness::program::Lines) {
    let mut command = program(env!("CARGO_BIN_EXE_receiver"));
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    Server::start(&mut command, From::Stderr)
}

#[tokio::test]
async fn what_a_receiver_counts_is_as_prometheus_reads_it() {
    let (server, _lines) = receiver(&["--product", "music", "--product", "voice:/"]);
    let at = format!("http://{}/", server.addr);
    let scrape = || get(server.addr, "/metrics");
    let (status, before) = scrape();
    assert_eq!(status, "200");
    let zero = r#"suno_callback_refused_total{product="music",reason="signature_wrong"} 0"#;
    assert!(
        before.contains(zero),
        "there before anything happens: {before}"
    );

    let callback = Callback::success("task-in-no-label", "voice");
    for _ in 0..2 {
        assert_eq!(post_to(&at, &callback).await.0, StatusCode::OK);
    }
    let forged = callback.clone().signed_at(1);
    assert_eq!(post_to(&at, &forged).await.0, StatusCode::UNAUTHORIZED);
    let (_, after) = scrape();
    for line in [
        r#"suno_callback_events_total{product="voice",stage="success",disposition="accepted"} 1"#,
        r#"suno_callback_events_total{product="voice",stage="success",disposition="duplicate"} 1"#,
        r#"suno_callback_refused_total{product="voice",reason="stale"} 1"#,
        r#"suno_callback_handled_seconds_bucket{product="voice",le="13"} 1"#,
        r#"suno_callback_store_operations_total{operation="commit",outcome="ok"} 1"#,
        "# TYPE suno_callback_events_total counter",
        "# TYPE suno_callback_handled_seconds histogram",
        "# TYPE suno_callback_requests_waiting gauge",
    ] {
        assert!(after.lines().any(|it| it == line), "{line} in {after}");
    }
    assert!(!after.contains("task-in-no-label"), "{after}");
    assert_is_linted(&after);
}

/// By Prometheus itself.
fn assert_is_linted(text: &str) {
    let mut promtool = std::process::Command::new("promtool");
    promtool
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped());
    let piped = promtool
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = piped.spawn().expect("promtool, of Debian's prometheus");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}
