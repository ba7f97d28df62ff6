//! Three servers as somebody has them, and the same with the layer: at most ten lines more, and a
//! callback reaches its handler once.

use std::process::Command;

use harness::{
    Callback, key, post_to,
    program::{From, Server, get, output, program},
};
use http::StatusCode;
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// What the README says of it.
const LINES: usize = 10;

const README: &str = include_str!("../../README.md");

/// Lines of `after` that are not in `before`, as `diff` counts them: an empty one too.
fn added(before: &str, after: &str) -> usize {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let mut common = vec![0; after.len() + 1];
    for line in before {
        let mut diagonal = 0;
        for (index, other) in after.iter().enumerate() {
            let above = common[index + 1];
            common[index + 1] = match line == *other {
                true => diagonal + 1,
                false => above.max(common[index]),
            };
            diagonal = above;
        }
    }
    after.len() - common[after.len()]
}

const SERVERS: [(&str, &str, &str); 3] = [
    (
        "axum",
        include_str!("axum/before.rs"),
        include_str!("axum/after.rs"),
    ),
    (
        "hyper",
        include_str!("hyper/before.rs"),
        include_str!("hyper/after.rs"),
    ),
    (
        "tonic",
        include_str!("tonic/before.rs"),
        include_str!("tonic/after.rs"),
    ),
];

#[test]
fn no_server_needs_more_than_ten_lines_for_it() {
    for (name, before, after) in SERVERS {
        let added = added(before, after);
        println!("{name}: {added} lines");
        assert!((1..=LINES).contains(&added), "{name}: {added} lines");
    }
}

/// Each line of the page in its place, and none left out.
#[test]
fn the_readme_shows_all_that_is_new() {
    let mut shown = README.split("```diff\n").skip(1);
    for (name, before, after) in &SERVERS[1..] {
        let shown = shown.next().expect(name);
        let shown = shown.split_once("```").expect("an end").0;
        let new: Vec<_> = shown
            .lines()
            .filter_map(|line| line.strip_prefix('+'))
            .collect();
        assert_eq!(new.len(), added(before, after), "{name}");
        let mut rest = after.lines();
        for line in shown.lines().filter(|line| !line.is_empty()) {
            let line = line[1..].trim_end();
            assert!(rest.any(|there| there == line), "{name}: {line:?}");
        }
    }
    assert_eq!(shown.next(), None);
}

#[test]
fn what_the_readme_signs_by_hand_is_good() {
    let line = README.lines().find(|line| line.contains("| openssl dgst "));
    let script = format!(
        "task=task-1 now=1764150000\n{}\nprintf %s \"$signature\"",
        line.unwrap()
    );
    let mut bash = program("bash");
    let signed = output(bash.args(["-c", &script]));
    let signed = String::from_utf8(signed.stdout).unwrap();
    assert_eq!(signed, key().sign("task-1", 1_764_150_000));
}

fn serve(path: &str) -> (Server, harness::program::Lines) {
    Server::start(&mut program(path), From::Stdout)
}

async fn sent(server: &Server, callback: &Callback) -> StatusCode {
    let url = format!("http://{}/callbacks/suno/voice", server.addr);
    post_to(&url, callback).await.0
}

/// That only the genuine one is handled, and once.
async fn a_genuine_one_twice_and_a_forged_one(server: &Server) {
    let genuine = Callback::success("task", "voice");
    let mut forged = Callback::success("forged", "voice");
    forged.signature = genuine.signature.clone();
    assert_eq!(sent(server, &forged).await, StatusCode::UNAUTHORIZED);
    assert_eq!(sent(server, &genuine).await, StatusCode::OK);
    assert_eq!(sent(server, &genuine).await, StatusCode::OK);
}

fn body(server: &Server, path: &str) -> String {
    let (status, body) = get(server.addr, path);
    assert_eq!(status, "200", "{path}");
    body
}

#[tokio::test]
async fn an_app_on_axum_saves_the_voice() {
    let (before, _lines) = serve(env!("CARGO_BIN_EXE_axum-before"));
    assert_eq!(body(&before, "/health"), "ok");
    let (after, _lines) = serve(env!("CARGO_BIN_EXE_axum-after"));
    assert_eq!(body(&after, "/health"), "ok");
    a_genuine_one_twice_and_a_forged_one(&after).await;
    assert_eq!(body(&after, "/voices/task"), "voice");
    assert_eq!(get(after.addr, "/voices/forged").0, "404");
}

#[tokio::test]
async fn an_app_on_hyper_notes_the_event_once() {
    let (before, _lines) = serve(env!("CARGO_BIN_EXE_hyper-before"));
    assert_eq!(body(&before, "/health"), "ok");
    let (after, _lines) = serve(env!("CARGO_BIN_EXE_hyper-after"));
    assert_eq!(body(&after, "/health"), "ok");
    a_genuine_one_twice_and_a_forged_one(&after).await;
    assert_eq!(body(&after, "/notes"), r#"task: Ready(VoiceId("voice"))"#);
}

async fn serves(server: &Server) -> ServingStatus {
    let url = format!("http://{}", server.addr);
    let channel = Endpoint::new(url).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let service = "singers".into();
    let answer = health.check(HealthCheckRequest { service }).await.unwrap();
    answer.into_inner().status()
}

#[tokio::test]
async fn a_server_on_tonic_prints_the_event_once() {
    let (before, _lines) = serve(env!("CARGO_BIN_EXE_tonic-before"));
    assert_eq!(serves(&before).await, ServingStatus::Serving);
    let (after, lines) = serve(env!("CARGO_BIN_EXE_tonic-after"));
    assert_eq!(serves(&after).await, ServingStatus::Serving);
    a_genuine_one_twice_and_a_forged_one(&after).await;
    after.signal("TERM");
    let said = lines.stdout.whole();
    let said: Vec<_> = said.lines().skip(1).collect();
    assert_eq!(said, [r#"task: Ready(VoiceId("voice"))"#]);
}

/// What `main` returns is all that somebody sees who has forgotten the key.
#[test]
fn without_a_key_each_ends_with_the_fix() {
    for path in [
        env!("CARGO_BIN_EXE_axum-after"),
        env!("CARGO_BIN_EXE_hyper-after"),
        env!("CARGO_BIN_EXE_tonic-after"),
    ] {
        assert_eq!(
            ends_with(program(path).env_remove("SUNO_WEBHOOK_HMAC_KEY")),
            "Error: SUNO_WEBHOOK_HMAC_KEY is not set; export it with the `webhookHmacKey` of the \
             account's settings page\n"
        );
    }
}

#[test]
fn with_a_key_in_quotes_it_ends_with_the_fix() {
    let mut program = program(env!("CARGO_BIN_EXE_axum-after"));
    assert_eq!(
        ends_with(program.env("SUNO_WEBHOOK_HMAC_KEY", "'the key of the settings page'")),
        "Error: the signing key stands in quotes, which env files keep; write it without them\n"
    );
}

fn ends_with(program: &mut Command) -> String {
    let output = program.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}
