//! One receiver for several products, and the sender that plays each of them.

mod handed_over;
mod shared;
mod usage;

use std::process::Command;

use harness::program::{Lines, Server, example, output, receiver};
use serde_json::{Value, json};

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

fn text_of(task: &str) -> String {
    format!(r#"{{"code":200,"data":{{"callbackType":"text","task_id":"{task}","data":[]}}}}"#)
}
