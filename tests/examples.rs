//! Every example is run as a program, over real sockets.
#![cfg(all(feature = "axum", feature = "tracing"))]

mod common;

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use common::{Callback, KEY, post};
use http::{StatusCode, Uri};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// The program that cargo built beside this test.
fn example(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop(); // this test
    path.pop(); // deps
    let mut command = Command::new(path.join("examples").join(name));
    command.env("SUNO_WEBHOOK_HMAC_KEY", KEY);
    command.env_remove("SUNO_WEBHOOK_HMAC_KEY_PREVIOUS");
    command.env_remove("RUST_LOG");
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("the example was built")
}

/// A program that serves; killed when the test is over.
struct Server {
    child: Child,
    addr: SocketAddr,
    path: String,
}

impl Server {
    /// Waits for the line that says where it listens, on `from`.
    fn start(command: &mut Command, from: From) -> (Self, Lines) {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example was built");
        let mut lines = Lines {
            stdout: BufReader::new(child.stdout.take().unwrap()),
            stderr: BufReader::new(child.stderr.take().unwrap()),
        };
        let mut line = String::new();
        match from {
            From::Stdout => lines.stdout.read_line(&mut line).unwrap(),
            From::Stderr => lines.stderr.read_line(&mut line).unwrap(),
        };
        let uri = line.trim().rsplit(' ').next().unwrap();
        let uri: Uri = uri
            .parse()
            .unwrap_or_else(|_| panic!("no address in {line:?}"));
        let addr = uri.authority().unwrap().as_str().parse().unwrap();
        let path = uri.path().to_owned();
        (Self { child, addr, path }, lines)
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.addr, self.path)
    }

    fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "SIGTERM did not end the receiver");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

enum From {
    Stdout,
    Stderr,
}

struct Lines {
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Lines {
    fn next_event(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON line: {line:?}"))
    }

    fn rest(mut self) -> (String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut err).unwrap();
        (out, err)
    }
}

fn receiver(arguments: &[&str]) -> (Server, Lines) {
    let mut command = example("receiver");
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    Server::start(&mut command, From::Stderr)
}

fn send(server: &Server, arguments: &[&str]) -> (bool, String) {
    let mut command = example("send");
    command
        .args(["--to", &server.url(), "--backoff", "0.05"])
        .args(arguments);
    let output = output(&mut command);
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), text)
}

#[test]
fn quickstart_comes_out_as_designed() {
    let output = output(&mut example("quickstart"));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{table}");
    assert_eq!(table.matches(" ok\n").count(), 11, "{table}");
    assert!(table.ends_with("all as designed\n"), "{table}");
}

#[tokio::test]
async fn the_hyper_example_serves_a_callback_without_a_framework() {
    let (server, mut lines) = Server::start(example("hyper").arg("127.0.0.1:0"), From::Stdout);
    let (status, _) = post(server.addr, &Callback::success("task-h", "voice_h")).await;
    assert_eq!(status, StatusCode::OK);
    let mut line = String::new();
    lines.stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "task-h has the voice voice_h\n");
    let forged = Callback::success("task-h", "voice_h").signed_at(1);
    assert_eq!(post(server.addr, &forged).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_tonic_example_serves_grpc_and_callbacks_on_one_port() {
    let (server, _lines) = Server::start(example("tonic").arg("127.0.0.1:0"), From::Stdout);
    let channel = tonic::transport::Endpoint::new(format!("http://{}", server.addr))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut health = HealthClient::new(channel);
    let question = HealthCheckRequest {
        service: "voice".into(),
    };
    let before = health.check(question.clone()).await;
    assert_eq!(before.unwrap_err().code(), tonic::Code::NotFound);

    let (ok, text) = send(
        &server_at(&server, "/callbacks/suno/voice"),
        &["--task-id", "t"],
    );
    assert!(ok, "{text}");
    let after = health.check(question).await.unwrap().into_inner();
    assert_eq!(after.status(), ServingStatus::Serving);
}

/// The same server under another path; it is not ended twice.
fn server_at(server: &Server, path: &str) -> std::mem::ManuallyDrop<Server> {
    std::mem::ManuallyDrop::new(Server {
        child: Command::new("true").spawn().unwrap(),
        addr: server.addr,
        path: path.into(),
    })
}

#[test]
fn the_receiver_prints_one_line_for_each_event_that_is_handed_over() {
    let (server, mut lines) = receiver(&[]);
    let sent = [
        "--task-id",
        "t-1",
        "--voice-id",
        "voice_9",
        "--times",
        "3",
        "--parallel",
        "4",
    ];
    let (ok, text) = send(&server, &sent);
    assert!(ok, "{text}");
    assert_eq!(text.matches("200 OK").count(), 12, "{text}");
    assert_eq!(
        lines.next_event(),
        serde_json::json!({
            "taskId": "t-1", "status": "success", "outcome": "ready", "voiceId": "voice_9",
            "validateInfo": null, "attempt": 1, "trust": "signed_id", "via": "callback",
        })
    );
    let (ok, _) = send(&server, &["--task-id", "t-2", "--status", "fail"]);
    assert!(ok);
    assert_eq!(
        lines.next_event()["outcome"],
        "failed",
        "nothing came in between"
    );
}

#[test]
fn the_receiver_refuses_what_send_forges() {
    let (server, lines) = receiver(&[]);
    let (ok, text) = send(&server, &["--forge"]);
    assert!(!ok);
    assert_eq!(
        text.matches("401 Unauthorized").count(),
        4,
        "one try and three retries: {text}"
    );
    let (ok, text) = send(&server, &["--stale"]);
    assert!(!ok);
    assert_eq!(text.matches("401 Unauthorized").count(), 4, "{text}");
    drop(server);
    let (out, err) = lines.rest();
    assert_eq!(out, "");
    assert!(
        err.contains("reason=stale by"),
        "the log says by how much: {err}"
    );
    assert!(!err.contains(KEY));
}

#[test]
fn a_retry_of_the_provider_reaches_a_handler_that_failed_first() {
    let (server, mut lines) = receiver(&["--fail-first", "2"]);
    let (ok, text) = send(&server, &["--task-id", "t"]);
    assert!(ok, "{text}");
    let attempts: Vec<_> = (0..3)
        .map(|_| lines.next_event()["attempt"].clone())
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
}

#[test]
fn the_previous_key_is_accepted_while_rotating() {
    let mut command = example("receiver");
    command.args(["--listen", "127.0.0.1:0"]);
    command.env("SUNO_WEBHOOK_HMAC_KEY", "a new key");
    command.env("SUNO_WEBHOOK_HMAC_KEY_PREVIOUS", KEY);
    let (server, lines) = Server::start(&mut command, From::Stderr);
    let (ok, text) = send(&server, &[]);
    assert!(ok, "{text}");
    drop(server);
    assert!(lines.rest().1.contains("key=\"previous\""));
}

#[test]
fn a_validation_is_received_with_its_phrase() {
    let (server, mut lines) = receiver(&["--kind", "validate", "--path", "/phrase"]);
    let (ok, text) = send(&server, &["--kind", "validate", "--voice-id", "sing it"]);
    assert!(ok, "{text}");
    let event = lines.next_event();
    assert_eq!(event["outcome"], "phrase_ready");
    assert_eq!(event["validateInfo"], "sing it");
}

#[test]
fn sigterm_lets_a_running_handler_finish() {
    let (mut server, mut lines) = receiver(&["--handler-delay", "1s"]);
    let url = server.url();
    let sender = std::thread::spawn(move || {
        let mut command = example("send");
        output(command.args(["--to", &url, "--task-id", "t"]))
    });
    assert_eq!(lines.next_event()["taskId"], "t", "the handler runs");
    assert!(server.terminate().success());
    assert!(
        sender.join().unwrap().status.success(),
        "its answer was 200"
    );
    let (out, err) = lines.rest();
    assert_eq!(out, "");
    assert!(err.ends_with("drained: 0 aborted, 0 unsettled\n"), "{err}");
}

#[test]
fn without_a_key_the_receiver_says_so_and_exits_2() {
    let mut command = example("receiver");
    let output = output(command.env_remove("SUNO_WEBHOOK_HMAC_KEY"));
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("SUNO_WEBHOOK_HMAC_KEY is not set"), "{text}");
}

#[test]
fn wrong_usage_is_explained_and_exits_2() {
    for arguments in [
        ["--nonsense", "1"],
        ["--handler-delay", "5"],
        ["--store", "tape:"],
        ["--lease", "12s"],
    ] {
        let mut command = example("receiver");
        let output = output(command.args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    assert_eq!(output(&mut example("send")).status.code(), Some(2));
}
