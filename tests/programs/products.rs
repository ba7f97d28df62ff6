//! One receiver for several products, and the sender that plays each of them.

use std::process::Command;

use harness::program::{From, Lines, Server, example, output, receiver, spawn};
use harness::{
    Callback,
    fake_api::{self, FakeApi},
    post_to,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::receiver_stores::{Database, Folder};

/// Every product in the order of the usage, with the stage and the results of what `send` sends
/// when it is told no stage.
fn products() -> Vec<(&'static str, &'static str, Value)> {
    let file = |name: &str| format!("https://files.example/{name}");
    vec![
        ("voice", "success", json!(["voice_1"])),
        ("voice-validate", "progress", json!([])),
        (
            "music",
            "success",
            json!([file("track-1.mp3"), file("track-2.mp3")]),
        ),
        ("lyrics", "success", json!([])),
        ("wav", "success", json!([file("track-1.wav")])),
        (
            "stems",
            "success",
            json!([file("vocals.mp3"), file("instrumental.mp3")]),
        ),
        ("midi", "success", json!([])),
        ("video", "success", json!([file("track-1.mp4")])),
        (
            "cover-image",
            "success",
            json!([file("cover-1.png"), file("cover-2.png")]),
        ),
        ("job", "success", json!([file("result-1.png")])),
        ("any", "success", json!([file("v.mp4")])),
    ]
}

fn receiver_of(products: &[&str], arguments: &[&str]) -> (Server, Lines) {
    let mut all = Vec::from(arguments);
    for product in products {
        all.extend(["--product", product]);
    }
    receiver(&all)
}

fn sender(server: &Server, product: &str, arguments: &[&str]) -> Command {
    let url = format!("http://{}/callbacks/suno/{product}", server.addr);
    let mut command = example("send");
    command.args(["--to", &url, "--backoff", "0.05"]);
    command.args(arguments);
    command
}

/// Sends a documented callback of `product` to its path, and it is received.
fn sent(server: &Server, product: &str, task: &str, arguments: &[&str]) {
    let mut command = sender(server, product, &["--product", product, "--task-id", task]);
    let output = output(command.args(arguments));
    assert!(output.status.success(), "{product}: {output:?}");
}

/// The stage and the provider's word for it, of everything that was handed over and not read.
fn rest(mut server: Server, lines: Lines) -> Vec<(String, String)> {
    assert!(server.terminate().success());
    let events = lines.rest().0;
    let events = events.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        (text("stage"), text("name"))
    });
    events.collect()
}

#[test]
fn every_product_hands_over_each_event_once_also_under_one_task_id() {
    let names: Vec<_> = products().into_iter().map(|(name, ..)| name).collect();
    let (server, mut lines) = receiver_of(&names, &[]);
    for (name, stage, results) in products() {
        sent(&server, name, "task", &["--times", "2", "--parallel", "3"]);
        let event = lines.next_event();
        assert_eq!(event["product"], name);
        assert_eq!(event["taskId"], "task");
        assert_eq!(event["stage"], stage, "{name}");
        assert_eq!(event["results"], results, "{name}");
    }
    assert_eq!(rest(server, lines), []);
}

#[test]
fn every_stage_that_send_knows_is_that_stage_to_the_receiver() {
    let failures = [
        ("voice", "fail"),
        ("voice-validate", "processing_validate_fail"),
        ("music", "error"),
        ("lyrics", "error"),
        ("wav", ""),
        ("stems", ""),
        ("midi", ""),
        ("video", ""),
        ("cover-image", ""),
        ("job", "fail"),
        ("any", ""),
    ];
    let names = failures.map(|(name, _)| name);
    let (server, mut lines) = receiver_of(&names, &[]);
    for (product, name) in failures {
        sent(&server, product, "task", &["--stage", "failure"]);
        let event = lines.next_event();
        assert_eq!(event["product"], product);
        assert_eq!(event["stage"], "failure", "{product}");
        assert_eq!(event["name"], name, "{product}");
        assert_eq!(event["results"], json!([]), "{product}");
    }
}

#[test]
fn a_line_of_another_product_has_the_fields_of_a_voices_line() {
    let (server, mut lines) = receiver_of(&["music"], &[]);
    sent(&server, "music", "task", &["--stage", "first"]);
    let expected = json!({
        "product": "music", "taskId": "task", "stage": "progress", "name": "first", "results": [],
        "status": "first", "outcome": "progress", "voiceId": null, "validateInfo": null,
        "attempt": 1, "trust": "signed_id", "via": "callback",
    });
    assert_eq!(lines.next_event(), expected);
}

#[test]
fn a_receiver_says_each_of_its_addresses_in_the_order_of_its_options() {
    let (server, lines) = receiver_of(&["wav:/a/wav", "music", "voice:/v"], &[]);
    let address = format!("listening on http://{}", server.addr);
    lines.stderr.wait_for("/v");
    drop(server);
    let log = lines.rest().1;
    let said: Vec<_> = log
        .lines()
        .filter_map(|it| it.strip_prefix(&address))
        .collect();
    assert_eq!(said, ["/a/wav", "/callbacks/suno/music", "/v"]);
}

#[test]
fn what_comes_after_the_end_of_music_is_late_and_what_comes_before_it_is_not() {
    let (server, lines) = receiver_of(&["music", "voice"], &[]);
    for stage in ["complete", "first", "text"] {
        sent(&server, "music", "backwards", &["--stage", stage]);
    }
    sent(
        &server,
        "voice",
        "backwards",
        &["--stage", "wait_processing"],
    );
    for stage in ["first", "text", "complete", "error"] {
        sent(&server, "music", "mixed", &["--stage", stage]);
    }
    let expected = [
        ("success", "complete"),
        ("progress", "wait_processing"),
        ("progress", "first"),
        ("progress", "text"),
        ("success", "complete"),
    ];
    let expected = expected.map(|(stage, name)| (stage.to_owned(), name.to_owned()));
    assert_eq!(rest(server, lines), expected);
}

#[test]
fn a_receiver_that_starts_again_on_sqlite_knows_the_events_of_every_product() {
    let folder = Folder::new();
    let names: Vec<_> = products().into_iter().map(|(name, ..)| name).collect();
    let store = folder.store();
    let (server, lines) = receiver_of(&names, &["--store", &store]);
    for name in &names {
        sent(&server, name, "task", &[]);
    }
    assert_eq!(rest(server, lines).len(), names.len());

    let (server, lines) = receiver_of(&names, &["--store", &store]);
    for name in &names {
        sent(&server, name, "task", &[]);
    }
    assert_eq!(rest(server, lines), []);

    let other = ["--store", &store, "--namespace", "other"];
    let (server, lines) = receiver_of(&names, &other);
    for name in &names {
        sent(&server, name, "task", &[]);
    }
    assert_eq!(rest(server, lines).len(), names.len());
}

#[test]
fn the_content_of_another_product_is_unknown_and_the_log_says_whose_it_is() {
    let (server, mut lines) = receiver_of(&["wav", "music", "voice"], &[]);
    for (to, of, said) in [
        ("wav", "music", "music"),
        ("music", "stems", "stems"),
        ("voice", "midi", "midi"),
    ] {
        let mut command = sender(&server, to, &["--product", of, "--task-id", to]);
        assert!(output(&mut command).status.success());
        let event = lines.next_event();
        assert_eq!(
            (&event["product"], &event["stage"]),
            (&to.into(), &"unknown".into())
        );
        let log = lines.stderr.wait_for(&format!("task_id=\"{to}\""));
        assert!(log.to_lowercase().contains(said), "{log}");
    }
}

#[test]
fn any_product_takes_everything_and_tells_two_contents_of_one_task_apart() {
    let (server, mut lines) = receiver_of(&["any"], &[]);
    for (name, stage, _) in products() {
        let mut command = sender(&server, "any", &["--product", name, "--task-id", name]);
        assert!(output(&mut command).status.success());
        let event = lines.next_event();
        assert_eq!(
            (&event["product"], &event["taskId"]),
            (&"any".into(), &name.into())
        );
        assert_eq!(event["stage"], stage, "{name}");
    }
    let folder = Folder::new();
    for resolution in ["hd", "4k"] {
        let link = format!("https://files.example/{resolution}.mp4");
        let body = json!({"code": 200, "data": {"taskId": "t", "info": {"resultUrls": [link]}}});
        let file = folder.write(resolution, &body.to_string());
        let fixture = ["--fixture", &file, "--times", "2"];
        assert!(
            output(&mut sender(&server, "any", &fixture))
                .status
                .success()
        );
        assert_eq!(lines.next_event()["results"], json!([link]));
    }
    assert_eq!(rest(server, lines), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_above_the_limit_of_its_product_is_413_where_another_product_takes_it() {
    let (server, lines) = receiver_of(&["wav", "music"], &[]);
    let text = text_of("task");
    let padding = " ".repeat(16 * 1024 + 1 - text.len());
    let callback = Callback::new("task", text + &padding);
    let url = |product| format!("http://{}/callbacks/suno/{product}", server.addr);
    let (wav, music) = (url("wav"), url("music"));
    let (answered, _) = post_to(&wav, &callback).await;
    assert_eq!(answered, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(post_to(&music, &callback).await.0, StatusCode::OK);
    assert_eq!(rest(server, lines), [("progress".into(), "text".into())]);
}

#[test]
fn one_drain_ends_the_handlers_of_every_product() {
    let names = ["voice", "music", "any"];
    let arguments = ["--handler-delay", "10m", "--drain", "4s"];
    let (mut server, mut lines) = receiver_of(&names, &arguments);
    let senders = names.map(|name| spawn(&mut sender(&server, name, &["--product", name])));
    for _ in names {
        lines.next_event(); // its handler runs
    }
    assert!(server.terminate().success());
    let log = lines.rest().1;
    assert!(log.contains("drained: 3 aborted, 0 unsettled\n"), "{log}");
    for mut sender in senders {
        sender.kill().unwrap();
        sender.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_product_is_confirmed_by_its_own_record_and_any_by_none() {
    let api = FakeApi::default();
    let link = "https://files.example/of-the-record.wav";
    let flagged = |response: Value| json!({"code": 200, "msg": "success", "data": response});
    let wav = json!({"taskId": "wav", "successFlag": "SUCCESS", "response": {"audioWavUrl": link}});
    api.set("wav", flagged(wav).to_string());
    api.succeed("voice", "voice_of_the_record");
    let base = api.serve().await;
    let mut command = example("receiver");
    command.args(["--listen", "127.0.0.1:0", "--confirm", &base]);
    for product in ["voice", "wav", "any"] {
        command.args(["--product", product]);
    }
    command.env("SUNO_API_KEY", fake_api::API_KEY);
    let (server, mut lines) = Server::start(&mut command, From::Stderr);

    for (product, result) in [("voice", "voice_of_the_record"), ("wav", link)] {
        sent(&server, product, product, &[]);
        let event = lines.next_event();
        assert_eq!(event["results"], json!([result]));
        assert_eq!(event["trust"], "confirmed");
    }
    sent(&server, "any", "any", &[]);
    assert_eq!(lines.next_event()["trust"], "signed_id");
    let asked: Vec<_> = api.requests().into_iter().map(|it| it.path).collect();
    let expected = ["/api/v1/voice/record-info", "/api/v1/wav/record-info"];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn an_event_of_every_product_is_written_in_one_transaction_with_its_record() {
    let database = Database::new().await;
    let names = ["voice", "voice-validate", "music", "midi"];
    let arguments = ["--store", &database.url, "--in-transaction"];
    let (server, lines) = receiver_of(&names, &arguments);
    for name in names {
        sent(&server, name, name, &["--times", "2"]);
    }
    assert_eq!(rest(server, lines).len(), names.len());
    let rows = database.events().await;
    let row = |task: &str, status: &str, result: Option<&str>| {
        (
            task.to_owned(),
            status.to_owned(),
            result.map(str::to_owned),
        )
    };
    let expected = [
        row("midi", "complete", None),
        row(
            "music",
            "complete",
            Some("https://files.example/track-1.mp3"),
        ),
        row("voice", "success", Some("voice_1")),
        row("voice-validate", "wait_validating", None),
    ];
    assert_eq!(rows, expected);
    database.remove().await;
}

mod usage {
    use super::*;

    /// That `command` is refused as wrong usage, and says why.
    fn refused(command: &mut Command, why: &str) {
        let output = output(command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let line = said.lines().next().unwrap();
        assert!(line.contains(why), "{why:?} is not in {line:?}");
    }

    const KNOWN: &str = "voice, voice-validate, music, lyrics, wav, stems, midi, video, \
                         cover-image, job, any";

    #[test]
    fn a_receiver_refuses_products_that_it_cannot_serve() {
        let music = ["--product", "music"];
        for (arguments, why) in [
            (&["--product", "tape"][..], KNOWN),
            (&["--product", ""], KNOWN),
            (&["--product", "music:"], "is no path"),
            (&["--product", "music:music"], "is no path"),
            (&["--product", "music:/readyz"], "is a probe's path"),
            (
                &["--product", "music:/a", "--product", "wav:/a"],
                "/a is the path of two",
            ),
            (
                &["--product", "music", "--product", "music:/b"],
                "music is there twice",
            ),
            (
                &[&music[..], &["--path", "/a"]].concat(),
                "--product NAME:PATH",
            ),
            (
                &[&music[..], &["--kind", "generate"]].concat(),
                "voice or voice-validate",
            ),
        ] {
            refused(example("receiver").args(arguments), why);
        }
    }

    #[test]
    fn a_sender_refuses_what_it_has_no_body_for() {
        let folder = Folder::new();
        let file = folder.write("text", &text_of("t"));
        let (no_json, nowhere) = (folder.write("odd", "odd"), folder.path("nowhere"));
        for (arguments, why) in [
            (&["--product", "tape"][..], KNOWN),
            (
                &["--product", "music", "--stage", "verse"],
                "complete, first, text, error",
            ),
            (&["--stage", "first"], "--stage needs --product"),
            (
                &["--product", "music", "--status", "fail"],
                "do not go with --product",
            ),
            (&["--fixture", &file, "--voice-id", "v"], "do not go with"),
            (&["--fixture", &nowhere], "cannot read"),
            (&["--fixture", &no_json], "needs a --task-id"),
            (
                &["--fixture", &no_json, "--product", "wav"],
                "is no callback",
            ),
            (
                &[
                    "--fixture",
                    &file,
                    "--product",
                    "music",
                    "--stage",
                    "complete",
                ],
                "is no complete of music, but progress \"text\"",
            ),
        ] {
            let mut command = example("send");
            refused(
                command
                    .args(["--to", "http://127.0.0.1:1/"])
                    .args(arguments),
                why,
            );
        }
    }
}

fn text_of(task: &str) -> String {
    format!(r#"{{"code":200,"data":{{"callbackType":"text","task_id":"{task}","data":[]}}}}"#)
}

#[test]
fn a_fixture_is_sent_as_it_is_and_signed_for_the_task_in_it() {
    let folder = Folder::new();
    let file = folder.write("text", &text_of("of the file"));
    let (server, mut lines) = receiver_of(&["music"], &[]);
    for fixture in [
        &["--fixture", &file][..],
        &["--fixture", &file, "--product", "music", "--stage", "text"],
        &[
            "--fixture",
            &file,
            "--product",
            "music",
            "--stage",
            "progress",
        ],
    ] {
        let output = output(&mut sender(&server, "music", fixture));
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(lines.next_event()["taskId"], "of the file");
    let other = ["--fixture", &file, "--task-id", "another"];
    let output = output(&mut sender(&server, "music", &other));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.matches("401 Unauthorized").count(), 4, "{said}");
    assert_eq!(rest(server, lines), []);
}
