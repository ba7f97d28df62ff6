//! The receiver in front of an app that is another program.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Child,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use harness::{
    Callback,
    fake_api::{self, FakeApi},
    post_to,
    program::{From, Lines, PATIENCE, Server, example, output, receiver, spawn},
    vacant::Vacant,
};
use http::StatusCode;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::receiver_stores::Folder;

/// An app behind a socket. What it is asked is answered by the test.
struct App {
    addr: SocketAddr,
    asked: Receiver<Asked>,
}

/// One request as it came.
struct Asked {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    peer: TcpStream,
}

impl App {
    fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let addr = listener.local_addr().unwrap();
        let (told, asked) = channel();
        thread::spawn(move || {
            // Somebody else who looked for a server at this port has nothing to say.
            let peers = listener.incoming().map(Result::unwrap);
            for peer in peers.filter(|peer| peer.peek(&mut [0]).is_ok_and(|read| read > 0)) {
                if told.send(Asked::read(peer)).is_err() {
                    return;
                }
            }
        });
        Self { addr, asked }
    }

    fn url(&self) -> String {
        url_at(self.addr)
    }

    fn next(&self) -> Asked {
        self.asked.recv_timeout(PATIENCE).expect("a request")
    }

    /// Answers the next request, and says what it was.
    fn answer(&self, status: &str) -> Asked {
        let mut asked = self.next();
        asked.answer(status);
        asked
    }

    fn is_asked_no_more(&self) -> bool {
        self.asked.try_recv().is_err()
    }
}

impl Asked {
    fn read(peer: TcpStream) -> Self {
        let mut reader = BufReader::new(peer);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.strip_suffix("\r\n").unwrap() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let headers: Vec<_> = lines[1..].iter().map(|it| field(it)).collect();
        let count = headers.len();
        let headers = BTreeMap::from_iter(headers);
        assert_eq!(headers.len(), count, "each once: {lines:?}");
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        Self {
            line: lines.swap_remove(0),
            headers,
            body,
            peer: reader.into_inner(),
        }
    }

    fn answer(&mut self, status: &str) {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: 9\r\nX-Of-The-App: 1\r\nConnection: close\r\n\r\nits words"
        );
        self.peer.write_all(answer.as_bytes()).unwrap();
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap();
    (name.to_owned(), value.to_owned())
}

fn url_at(app: SocketAddr) -> String {
    format!("http://{app}/suno?from=receiver")
}

fn forwarding(app: &App, arguments: &[&str]) -> (Server, Lines) {
    let url = app.url();
    receiver(&[&["--forward", &url], arguments].concat())
}

/// A sender that plays the provider, while the test is the app.
fn sending(server: &Server, product: &str, arguments: &[&str]) -> Child {
    let url = format!("http://{}/callbacks/suno/{product}", server.addr);
    let mut command = example("send");
    command.args(["--to", &url, "--backoff", "0.05"]);
    spawn(command.args(arguments))
}

/// What the sender says when it has ended.
fn sent(sender: Child) -> (bool, String) {
    let output = sender.wait_with_output().unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

/// What the app is asked when `body` comes for a product.
fn forwarded(product: &str, body: &str) -> Asked {
    let folder = Folder::new();
    let file = folder.write("body", body);
    let app = App::start();
    let (server, _lines) = forwarding(&app, &["--product", product]);
    let sender = sending(&server, product, &["--fixture", &file]);
    let asked = app.answer("200 OK");
    assert!(sent(sender).0);
    asked
}

/// A name that no header may have as it is.
const HOSTILE_NAME: &str = "100%\r\nx-injected: 1 ☂";

/// What is said of the first track of `t-1`.
const FACTS: [(&str, &str); 9] = [
    ("content-type", "application/json"),
    ("x-suno-task-id", "t-1"),
    ("x-suno-product", "music"),
    ("x-suno-stage", "progress"),
    ("x-suno-name", "first"),
    ("x-suno-attempt", "1"),
    ("x-suno-fence", "1"),
    ("x-suno-trust", "signed_id"),
    ("x-suno-via", "callback"),
];

#[test]
fn an_event_is_forwarded_once_with_its_exact_bytes_and_its_facts_and_nothing_else() {
    let folder = Folder::new();
    let body = " {\"data\" : {\"task_id\":\"t-1\",\"callbackType\":\"first\",\n \"data\":[{\"id\":\"a\",\
                \"title\":\"K\u{fc}ste \\ud83c\\udf0a\",\"audio_url\":\"https://files.example/a.mp3\"}]},\"code\":200}\r\n";
    let file = folder.write("body", body);
    let app = App::start();
    let (mut server, mut lines) = forwarding(&app, &["--product", "music"]);
    let fixture = ["--fixture", &file, "--times", "2", "--parallel", "3"];
    let sender = sending(&server, "music", &fixture);
    let asked = app.answer("204 No Content");
    let (ok, said) = sent(sender);
    assert!(ok, "{said}");
    assert_eq!(said.matches("200 OK").count(), 6, "{said}");

    assert_eq!(asked.line, "POST /suno?from=receiver HTTP/1.1");
    assert_eq!(asked.body, body.as_bytes());
    let mut headers = asked.headers;
    let key = headers.remove("idempotency-key").unwrap();
    assert!(
        key.len() == 64 && key.bytes().all(|it| it.is_ascii_hexdigit()),
        "{key}"
    );
    let (host, length) = (app.addr.to_string(), body.len().to_string());
    let sent = [("host", host), ("content-length", length)];
    let sent = sent.map(|(name, value)| (name.to_owned(), value));
    let facts = FACTS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(headers, BTreeMap::from_iter(facts.into_iter().chain(sent)));

    assert_eq!(lines.next_event()["taskId"], "t-1");
    assert!(server.terminate().success());
    assert_eq!(lines.rest().0, "");
    assert!(app.is_asked_no_more());
}

#[test]
fn what_the_app_failed_at_comes_again_with_the_same_key_and_the_next_attempt() {
    let app = App::start();
    let (server, mut lines) = forwarding(&app, &[]);
    let sender = sending(&server, "voice", &["--task-id", "t"]);
    let [first, second, third] =
        ["500 Down", "503 Busy", "200 OK"].map(|status| app.answer(status).headers);
    assert!(sent(sender).0);
    for (attempt, headers) in [(1, &first), (2, &second), (3, &third)] {
        assert_eq!(headers["x-suno-attempt"], attempt.to_string());
        assert_eq!(headers["idempotency-key"], first["idempotency-key"]);
        assert_eq!(lines.next_event()["attempt"], attempt);
    }
    let fence = |of: &BTreeMap<String, String>| of["x-suno-fence"].parse::<i64>().unwrap();
    assert!(fence(&first) < fence(&second) && fence(&second) < fence(&third));
    assert_eq!(first["x-suno-outcome"], "ready");

    let sender = sending(&server, "voice", &["--task-id", "t", "--status", "fail"]);
    assert!(
        sent(sender).0,
        "late, so the app is not asked and 200 is said"
    );
    let sender = sending(&server, "voice", &["--task-id", "other"]);
    let other = app.answer("200 OK").headers;
    assert_ne!(other["idempotency-key"], first["idempotency-key"]);
    assert!(sent(sender).0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_answered_by_the_status_of_the_app_and_hears_nothing_else_of_it() {
    let app = App::start();
    let (server, _lines) = forwarding(&app, &["--path", "/"]);
    let url = server.url();
    for (said, answered) in [
        ("200 OK", 200),
        ("201 Created", 200),
        ("302 Found", 500),
        ("404 Not Found", 404),
        ("422 Odd", 422),
        ("500 Down", 500),
    ] {
        let callback = Callback::success(said, "voice");
        let (url, app) = (url.clone(), &app);
        let post = tokio::spawn(async move { post_to(&url, &callback).await });
        tokio::task::block_in_place(|| app.answer(said));
        let (status, body) = post.await.unwrap();
        assert_eq!(status.as_u16(), answered, "{said}");
        assert_eq!(body, "", "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_down_costs_a_try_and_no_event() {
    let down = Vacant::reserve();
    let (server, lines) = receiver(&["--path", "/", "--forward", &url_at(down.addr())]);
    let (url, callback) = (server.url(), Callback::success("task", "voice"));
    let refused = post_to(&url, &callback).await.0;
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
    lines.stderr.wait_for("the app has not answered");

    let up = App::on(down.listen());
    let hung_up = tokio::spawn({
        let (url, callback) = (url.clone(), callback.clone());
        async move { post_to(&url, &callback).await.0 }
    });
    tokio::task::block_in_place(|| drop(up.next())); // it dies before it has answered
    assert_eq!(hung_up.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);

    let received = tokio::spawn(async move { post_to(&url, &callback).await.0 });
    let asked = tokio::task::block_in_place(|| up.answer("200 OK"));
    assert_eq!(received.await.unwrap(), StatusCode::OK);
    assert_eq!(asked.headers["x-suno-attempt"], "3");
}

/// Its machine drops what it is sent: nobody takes a connection off the queue, and the queue is full.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_cannot_be_reached_is_given_up_on_before_the_provider_gives_up() {
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    deaf.bind(&any.into()).unwrap();
    deaf.listen(0).unwrap();
    let addr = deaf.local_addr().unwrap().as_socket().unwrap();
    let moment = Duration::from_millis(300);
    let mut queue = Vec::new();
    while let Ok(peer) = TcpStream::connect_timeout(&addr, moment) {
        queue.push(peer);
    }
    let url = format!("http://{addr}/");
    let (server, lines) = receiver(&["--path", "/", "--forward", &url]);
    let callback = Callback::success("task", "voice");
    let (status, said) = post_to(&server.url(), &callback).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(said, "", "no word of the layer, whose deadline comes later");
    let log = lines.stderr.wait_for("the app has not answered");
    assert!(log.contains("timed out"), "{log}");
}

#[test]
fn hostile_texts_arrive_encoded_in_headers_and_as_they_are_in_the_body() {
    let task = "zur K\u{fc}ste 100%\u{2028}";
    let body = json!({"code": 200, "data": {"task_id": task, "callbackType": HOSTILE_NAME}});
    let asked = forwarded("music", &body.to_string());
    let task_id = "zur%20K%C3%BCste%20100%25%E2%80%A8";
    assert_eq!(asked.headers["x-suno-task-id"], task_id);
    let name = "100%25%0D%0Ax-injected:%201%20%E2%98%82";
    assert_eq!(asked.headers["x-suno-name"], name);
    assert_eq!(asked.headers["x-suno-stage"], "unknown");
    assert_eq!(asked.body, body.to_string().as_bytes());
}

#[test]
fn a_long_name_is_cut_in_its_header_and_the_longest_id_is_not() {
    let (task, name) = ("\u{fc}".repeat(128), format!("a{}", "\u{fc}".repeat(4000)));
    let body = json!({"code": 200, "data": {"task_id": task, "callbackType": name}});
    let asked = forwarded("music", &body.to_string());
    assert_eq!(asked.headers["x-suno-task-id"], "%C3%BC".repeat(128));
    let whole_characters = format!("a{}", "%C3%BC".repeat(127));
    assert_eq!(asked.headers["x-suno-name"], whole_characters);
}

#[test]
fn every_product_is_forwarded_with_its_name_also_under_one_task_id() {
    let app = App::start();
    let products = ["voice", "voice-validate", "music", "midi", "job", "any"];
    let arguments = products.map(|product| ["--product", product]).concat();
    let (server, _lines) = forwarding(&app, &arguments);
    let mut keys = Vec::new();
    for product in products {
        let arguments = ["--product", product, "--task-id", "t"];
        let sender = sending(&server, product, &arguments);
        let headers = app.answer("200 OK").headers;
        assert!(sent(sender).0, "{product}");
        assert_eq!(headers["x-suno-product"], product);
        let outcome = headers.get("x-suno-outcome").map(String::as_str);
        let of_voices = match product {
            "voice" => Some("ready"),
            "voice-validate" => Some("phrase_ready"),
            _ => None,
        };
        assert_eq!(outcome, of_voices, "{product}");
        keys.push(headers["idempotency-key"].clone());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), products.len());
}

/// More than the two megabytes that axum's own extractors take.
#[test]
fn a_body_of_four_megabytes_is_forwarded_whole() {
    let data = "x".repeat(4_000_000);
    let body = json!({"code": 200, "data": {"taskId": "t", "odd": data}}).to_string();
    let asked = forwarded("any", &body);
    assert!(asked.body == body.as_bytes());
}

#[test]
fn sigterm_waits_for_an_app_that_is_at_work() {
    let app = App::start();
    let (mut server, lines) = forwarding(&app, &[]);
    let sender = sending(&server, "voice", &[]);
    let mut asked = app.next();
    server.signal("TERM");
    lines.stderr.wait_for("draining");
    asked.answer("200 OK");
    let (ok, said) = sent(sender);
    assert!(ok, "{said}");
    assert!(server.ended().success());
    let log = lines.rest().1;
    assert!(log.contains("drained: 0 aborted, 0 unsettled\n"), "{log}");
}

/// In real time, because that is what the provider has: its patience, and the receiver's.
#[test]
fn an_app_that_takes_longer_than_the_provider_waits_is_asked_once_and_its_answer_counts() {
    let app = App::start();
    let (server, lines) = forwarding(&app, &[]);
    let sender = sending(&server, "voice", &[]);
    let mut asked = app.next();
    lines.stderr.wait_for("still_running");
    asked.answer("200 OK");
    let (ok, said) = sent(sender);
    assert!(ok && said.contains("503"), "{said}");
    assert!(app.is_asked_no_more());
}

#[test]
fn an_app_that_does_not_end_is_hung_up_on_at_the_bound_and_the_event_comes_again() {
    let folder = Folder::new();
    let store = folder.store();
    let arguments = ["--store", &store, "--drain", "4s"];
    let app = App::start();
    let (mut server, lines) = forwarding(&app, &arguments);
    let mut sender = sending(&server, "voice", &["--task-id", "t"]);
    let mut asked = app.next();
    assert!(server.terminate().success());
    let log = lines.rest().1;
    assert!(log.contains("drained: 1 aborted, 0 unsettled\n"), "{log}");
    assert_eq!(
        asked.peer.read(&mut [0]).unwrap_or(0),
        0,
        "the connection is closed"
    );
    sender.kill().unwrap();
    sender.wait().unwrap();

    let (server, _lines) = forwarding(&app, &arguments);
    let sender = sending(&server, "voice", &["--task-id", "t"]);
    let again = app.answer("200 OK");
    assert!(sent(sender).0);
    assert_eq!(again.headers["x-suno-attempt"], "2");
    assert_eq!(
        again.headers["idempotency-key"],
        asked.headers["idempotency-key"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_is_forwarded_as_the_record_also_when_a_poll_has_found_it() {
    let (api, app) = (FakeApi::default(), App::start());
    api.succeed("asked", "voice_of_the_record");
    api.progress("polled", "wait_processing");
    let (base, forward) = (api.serve().await, app.url());
    let mut command = example("receiver");
    command.args(["--listen", "127.0.0.1:0", "--path", "/"]);
    command.args(["--confirm", &base, "--forward", &forward]);
    command.env("SUNO_API_KEY", fake_api::API_KEY);
    let (server, _lines) = Server::start(&mut command, From::Stderr);
    let url = server.url();

    let forged = Callback::success("asked", "voice_of_a_forger");
    let post = tokio::spawn({
        let url = url.clone();
        async move { post_to(&url, &forged).await.0 }
    });
    let asked = tokio::task::block_in_place(|| app.answer("200 OK"));
    assert_eq!(post.await.unwrap(), StatusCode::OK);
    let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body["data"]["voiceId"], "voice_of_the_record");
    assert_eq!(asked.headers["x-suno-trust"], "confirmed");
    assert_eq!(asked.headers["x-suno-via"], "callback");

    let early = Callback::success("polled", "voice");
    let postponed = post_to(&url, &early).await.0;
    assert_eq!(postponed, StatusCode::SERVICE_UNAVAILABLE);
    api.succeed("polled", "voice");
    let polled = tokio::task::block_in_place(|| app.answer("200 OK"));
    assert_eq!(polled.headers["x-suno-task-id"], "polled");
    assert_eq!(polled.headers["x-suno-via"], "poll");
    assert_eq!(polled.line, "POST /suno?from=receiver HTTP/1.1");
}

#[test]
fn what_cannot_be_forwarded_to_is_refused_with_the_fix() {
    let good = ["--forward", "http://127.0.0.1:3000/suno"];
    let with = |more: &[&'static str]| [&good, more].concat();
    for (arguments, fix) in [
        (vec!["--forward", "https://app.example/"], "http:// alone"),
        (vec!["--forward", "127.0.0.1:3000"], "http://127.0.0.1:3000"),
        (vec!["--forward", "/suno"], "starts with http://"),
        (vec!["--forward", "http://"], "no URL"),
        (vec!["--forward", "http://u:p@app/"], "leave out the user"),
        (vec!["--forward", "http://app/#x"], "leave out #"),
        (with(&["--fail-first", "1"]), "leave one of the two out"),
        (
            with(&["--handler-delay", "1s"]),
            "--handler-delay is for the receiver's own",
        ),
        (with(&["--in-transaction"]), "with --forward the app does"),
    ] {
        let output = output(example("receiver").args(&arguments));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        let line = said.lines().next().unwrap();
        assert!(line.contains(fix), "{fix:?} is not in {line:?}");
    }
}

const UNIT: &str = include_str!("../../examples/receiver/deploy/suno-receiver.service");
const CONTAINERFILE: &str = include_str!("../../examples/receiver/deploy/Containerfile");

/// Starts the receiver with the command line of a deployment, whose folder and port are the test's.
fn deployed(arguments: &[&str], folder: (&str, &Folder)) -> (Server, Lines) {
    let (theirs, ours) = (folder.0, folder.1.path(""));
    let mut command = example("receiver");
    command.args(arguments.iter().map(|it| it.replace(theirs, &ours)));
    command.args(["--listen", "127.0.0.1:0"]);
    Server::start(&mut command, From::Stderr)
}

#[test]
fn the_unit_file_starts_a_receiver() {
    let command = UNIT.lines().find_map(|it| it.strip_prefix("ExecStart="));
    let command: Vec<_> = command.unwrap().split(' ').collect();
    assert_eq!(command[0], "/usr/local/bin/receiver");
    let folder = Folder::new();
    let (mut server, lines) = deployed(&command[1..], ("%S/suno-receiver/", &folder));
    lines.stderr.wait_for("/callbacks/suno/music");
    assert!(server.terminate().success());
}

#[test]
fn the_containerfile_starts_a_receiver() {
    let words = |instruction: &str| -> Vec<String> {
        let line = CONTAINERFILE
            .lines()
            .find_map(|it| it.strip_prefix(instruction));
        serde_json::from_str(line.unwrap()).unwrap()
    };
    let (entry, command) = (words("ENTRYPOINT "), words("CMD "));
    assert_eq!(entry, ["receiver", "--listen", "0.0.0.0:8080"]);
    let arguments: Vec<_> = command.iter().map(String::as_str).collect();
    let folder = Folder::new();
    let (mut server, _lines) = deployed(&arguments, ("/data/", &folder));
    assert!(server.terminate().success());
}

/// What the sources include and where the workspace has members: the build sees nothing else.
#[test]
fn the_containerfile_copies_all_that_the_build_reads() {
    let copied: BTreeSet<_> = CONTAINERFILE
        .lines()
        .take_while(|line| !line.starts_with("RUN "))
        .filter_map(|line| line.strip_prefix("COPY "))
        .flat_map(str::split_whitespace)
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1;
    let members = members.split_once(']').unwrap().0.split('"').skip(1);
    let members = members
        .step_by(2)
        .map(|it| root.join(it).join("Cargo.toml"));
    let read: Vec<_> = members.chain(included(&root.join("src"))).collect();
    for path in &read {
        let path = fs::canonicalize(path).unwrap();
        let top = path.strip_prefix(root).unwrap().iter().next().unwrap();
        let top = top.to_str().unwrap();
        assert!(copied.contains(top), "{}", path.display());
    }
    let docs = root.join("docs");
    assert!(
        read.iter()
            .any(|it| fs::canonicalize(it).unwrap().starts_with(&docs))
    );
}

/// The files that the sources of a folder include.
fn included(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(included(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let names = source.split("include_str!(\"").skip(1);
            let names = names.map(|rest| rest.split_once('"').unwrap().0);
            found.extend(names.map(|name| folder.join(name)));
        }
    }
    found
}
