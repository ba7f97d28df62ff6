//! What the products of one receiver share: its address, store, drain, client and transaction.

use harness::fake_api::{self, FakeApi};
use harness::program::{From, Server, example, spawn};
use serde_json::{Value, json};

use super::{products, receiver_of, rest, sender, sent};
use crate::receiver_stores::{Database, Folder};

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
