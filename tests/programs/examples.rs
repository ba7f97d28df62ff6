//! Every example is run as a program, over real sockets.

use std::{io::Write, net::TcpStream, process::Command};

use harness::program::{
    From, Server, Stream, answer, ended, example, get, is_read, output, receiver, send, spawn,
};
use harness::{Callback, KEY, post, post_to};
use http::StatusCode;
use suno_callback::SigningKey;

#[test]
fn quickstart_comes_out_as_designed() {
    let output = output(&mut example("quickstart"));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{table}");
    assert_eq!(table.matches(" ok\n").count(), 17, "{table}");
    assert!(table.ends_with("all as designed\n"), "{table}");
}

#[tokio::test]
async fn what_quickstart_prints_to_be_sent_to_it_is_received() {
    let (_server, lines) = Server::start(example("quickstart").arg("--serve"), From::Stdout);
    let line = lines.stdout.wait_for("curl");
    let between = |before, after| {
        let (_, rest) = line.split_once(before).expect(before);
        rest.split_once(after).expect(after).0
    };
    // As a shell would make them.
    assert_eq!(between("printf '", "'"), "task-1.%s");
    let key = SigningKey::new(between("-hmac ", " ")).unwrap();
    let mut callback = Callback::new("task-1", between("-d '", "'"));
    callback.signature = key.sign("task-1", callback.timestamp.parse().unwrap());
    let (status, _) = post_to(between("curl -i ", " "), &callback).await;
    assert_eq!(status, StatusCode::OK);
}

#[test]
fn the_reconcile_example_comes_out_right() {
    let output = output(&mut example("reconcile"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.ends_with("all came out right\n"), "{said}");
}

#[tokio::test]
async fn the_hyper_example_serves_a_callback_without_a_framework() {
    let (server, mut lines) = Server::start(example("hyper").arg("127.0.0.1:0"), From::Stdout);
    let (status, _) = post(server.addr, &Callback::success("task-h", "voice_h")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(lines.stdout.next_line().contains("listening"));
    assert_eq!(lines.stdout.next_line(), "task-h has the voice voice_h\n");
    let forged = Callback::success("task-h", "voice_h").signed_at(1);
    assert_eq!(post(server.addr, &forged).await.0, StatusCode::UNAUTHORIZED);
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
            "product": "voice", "stage": "success", "name": "success", "results": ["voice_9"],
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
    let sender = spawn(example("send").args(["--to", &url, "--task-id", "t"]));
    assert_eq!(lines.next_event()["taskId"], "t", "the handler runs");
    assert!(server.terminate().success());
    let sent = sender.wait_with_output().unwrap();
    assert!(sent.status.success(), "its answer was 200");
    let (out, err) = lines.rest();
    assert_eq!(out, "");
    for line in [
        "listening on ",
        "draining\n",
        "drained: 0 aborted, 0 unsettled\n",
    ] {
        assert_eq!(err.matches(line).count(), 1, "{line:?} in {err}");
    }
}

/// What peers send who then neither go on nor go.
const HALVES: [&[u8]; 5] = [
    b"",
    b"P",
    b"POST /callbacks/suno/voice HTTP/1.1\r\nHost: a",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /callbacks/suno/voice HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
];

/// Opens a connection for each; the server has read all of it.
fn halves(server: &Server) -> Vec<TcpStream> {
    let open = |half: &[u8]| {
        let mut peer = TcpStream::connect(server.addr).unwrap();
        peer.write_all(half).unwrap();
        is_read(&peer);
        peer
    };
    HALVES.map(open).into()
}

#[test]
fn peers_that_sent_half_of_something_do_not_hold_a_receiver_that_was_told_to_end() {
    let (mut server, lines) = receiver(&["--drain", "2s"]);
    let peers = halves(&server);
    assert!(server.terminate().success());
    drop(peers);
    let log = lines.rest().1;
    assert!(log.contains("drained: 0 aborted, 0 unsettled\n"), "{log}");
}

#[test]
fn handlers_are_aborted_and_their_claims_released_although_peers_hold_the_server() {
    let (mut server, mut lines) = receiver(&["--handler-delay", "10m", "--drain", "4s"]);
    let peers = halves(&server);
    let mut sender = spawn(example("send").args(["--to", &server.url()]));
    lines.next_event();
    assert!(server.terminate().success());
    drop(peers);
    let log = lines.rest().1;
    assert!(log.contains("drained: 1 aborted, 0 unsettled\n"), "{log}");
    sender.kill().unwrap();
    sender.wait().unwrap();
}

#[test]
fn a_second_sigterm_or_a_sigint_ends_the_receiver_at_once() {
    for (first, second) in [(Some("TERM"), "TERM"), (Some("TERM"), "INT"), (None, "INT")] {
        let arguments = ["--handler-delay", "10m", "--drain", "10m"];
        let (mut server, mut lines) = receiver(&arguments);
        let peers = halves(&server);
        let mut sender = spawn(example("send").args(["--to", &server.url()]));
        lines.next_event();
        if let Some(first) = first {
            server.signal(first);
            lines.stderr.wait_for("draining");
        }
        server.signal(second);
        assert!(server.ended().success(), "{first:?}, {second}");
        drop(peers);
        let log = lines.rest().1;
        assert!(log.contains("drained: 1 aborted, 0 unsettled\n"), "{log}");
        sender.kill().unwrap();
        sender.wait().unwrap();
    }
}

#[test]
fn the_hyper_example_ends_at_sigterm_although_a_peer_has_sent_one_byte() {
    let (mut server, lines) = Server::start(example("hyper").arg("127.0.0.1:0"), From::Stdout);
    let mut peer = TcpStream::connect(server.addr).unwrap();
    peer.write_all(b"P").unwrap();
    is_read(&peer);
    assert!(server.terminate().success());
    let said = lines.rest().0;
    let drained = "Drained { aborted: 0, unsettled: 0 }";
    assert!(said.contains(drained), "{said}");
}

#[test]
fn probes_tell_that_the_receiver_lives_and_is_ready() {
    let (mut server, lines) = receiver(&["--drain", "4s"]);
    assert_eq!(
        get(server.addr, "/healthz"),
        ("200".into(), "live\n".into())
    );
    assert_eq!(
        get(server.addr, "/readyz"),
        ("200".into(), "ready\n".into())
    );
    let mut probe = TcpStream::connect(server.addr).unwrap();
    probe.write_all(b"GET /readyz HTTP/1.1\r\n").unwrap();
    is_read(&probe);
    server.signal("TERM");
    lines.stderr.wait_for("draining");
    probe.write_all(b"Host: receiver\r\n\r\n").unwrap();
    assert_eq!(answer(probe), ("503".into(), "draining\n".into()));
    assert!(server.ended().success());
}

#[test]
fn a_program_ends_with_the_test_that_started_it() {
    let receiver = example("receiver");
    let mut test = Command::new("sh");
    test.args(["-c", r#""$@" & wait"#, "test"]);
    test.arg(receiver.get_program()).args(receiver.get_args());
    test.args(["--listen", "127.0.0.1:0"]);
    test.env("SUNO_WEBHOOK_HMAC_KEY", KEY);
    let mut test = spawn(&mut test);
    let log = Stream::new(test.stderr.take().unwrap());
    log.wait_for("listening on ");
    test.kill().unwrap();
    assert!(ended(&mut test).is_some());
    log.whole(); // which it is when nobody is left who could write to it
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
        ["--path", "voice"],
        ["--path", "/{voice}"],
        ["--path", "/readyz"],
    ] {
        let mut command = example("receiver");
        let output = output(command.args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    assert_eq!(output(&mut example("send")).status.code(), Some(2));
}

mod confirming {
    use std::process::Command;

    use harness::{
        Callback,
        fake_api::{self, FakeApi},
        post,
        program::{From, Lines, Server, example, output},
    };
    use http::StatusCode;

    fn receiver(base_url: &str) -> Command {
        let mut command = example("receiver");
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--path",
            "/",
            "--confirm",
            base_url,
        ]);
        command.env("SUNO_API_KEY", fake_api::API_KEY);
        command
    }

    async fn start(api: &FakeApi) -> (Server, Lines) {
        Server::start(&mut receiver(&api.serve().await), From::Stderr)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_receiver_that_confirms_hands_over_the_record_and_not_the_claim() {
        let api = FakeApi::default();
        api.succeed("task", "voice_of_the_record");
        let (server, mut lines) = start(&api).await;
        let forged = Callback::success("task", "voice_of_a_forger");
        assert_eq!(post(server.addr, &forged).await.0, StatusCode::OK);
        let event = lines.next_event();
        assert_eq!(event["voiceId"], "voice_of_the_record");
        assert_eq!(event["trust"], "confirmed");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_could_not_be_confirmed_is_polled_until_the_record_is_there() {
        let api = FakeApi::default();
        api.progress("task", "wait_processing");
        let (server, mut lines) = start(&api).await;
        let early = Callback::success("task", "voice");
        let (status, _) = post(server.addr, &early).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        api.succeed("task", "voice");
        let event = lines.next_event();
        assert_eq!(
            (&event["voiceId"], &event["via"]),
            (&"voice".into(), &"poll".into())
        );
        assert_eq!(
            post(server.addr, &early).await.0,
            StatusCode::OK,
            "its duplicate"
        );
    }

    #[test]
    fn without_an_api_key_a_receiver_that_confirms_says_so_and_exits_2() {
        let mut command = receiver("http://127.0.0.1:1");
        let output = output(command.env_remove("SUNO_API_KEY"));
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("SUNO_API_KEY is not set"), "{text}");
    }
}
