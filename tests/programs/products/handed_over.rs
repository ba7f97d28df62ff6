//! What each product's handler is given, and what it is not.

use harness::program::output;
use harness::{Callback, post_to};
use http::StatusCode;
use serde_json::json;

use super::{products, receiver_of, rest, sender, sent, text_of};
use crate::receiver_stores::Folder;

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
        "product": "music", "taskId": "task", "stage": "progress", "name": "first",
        "results": ["https://files.example/track-1.mp3"],
        "status": "first", "outcome": "progress", "voiceId": null, "validateInfo": null,
        "attempt": 1, "trust": "signed_id", "via": "callback",
    });
    assert_eq!(lines.next_event(), expected);
}

#[test]
fn the_line_of_the_readme_is_what_is_printed() {
    let (server, mut lines) = receiver_of(&["music"], &[]);
    sent(&server, "music", "task-1", &["--stage", "complete"]);
    let printed = lines.next_event().to_string();
    let readme = include_str!("../../../README.md");
    assert!(readme.lines().any(|line| line == printed), "{printed}");
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
