//! `explain` on each of the usual mistakes.

use base64::{Engine, engine::general_purpose::STANDARD};
use harness::{
    Callback, KEY,
    program::{example, output},
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::receiver_stores::Folder;

const SIGNED_AT: u64 = 1_764_150_000;
const TASK: &str = "ee9c2715375b7837f8bb51d641ff5863";

/// A request as somebody has caught it.
#[derive(Clone)]
struct Capture {
    first: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    key: String,
    previous: Option<String>,
    arguments: Vec<String>,
}

fn tag(key: &str, text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Capture {
    /// What the provider sends, twelve seconds after it was signed.
    fn genuine() -> Self {
        Self::of(Callback::success(TASK, "voice_9").body)
    }

    fn of(body: String) -> Self {
        let capture = Self {
            first: "POST /callbacks/suno/voice?token=hunter2 HTTP/1.1".into(),
            headers: vec![
                ("Content-Type", "application/json".into()),
                ("X-Webhook-Timestamp", SIGNED_AT.to_string()),
                ("X-Webhook-Signature", String::new()),
            ],
            body,
            key: KEY.into(),
            previous: None,
            arguments: vec![],
        };
        capture
            .at(SIGNED_AT + 12)
            .signed(&format!("{TASK}.{SIGNED_AT}"))
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.and(name, value)
    }

    fn and(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    /// Signed over another text.
    fn signed(self, text: &str) -> Self {
        self.signed_with(KEY, text)
    }

    fn signed_with(self, key: &str, text: &str) -> Self {
        let signature = STANDARD.encode(tag(key, text));
        self.with("X-Webhook-Signature", signature)
    }

    /// With another spelling of the right signature.
    fn spelled(self, spell: impl Fn(&[u8]) -> String) -> Self {
        let right = tag(KEY, &format!("{TASK}.{SIGNED_AT}"));
        self.with("X-Webhook-Signature", spell(&right))
    }

    fn first(mut self, line: &str) -> Self {
        self.first = line.into();
        self
    }

    fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    fn at(mut self, at: u64) -> Self {
        self.arguments.retain(|it| !it.starts_with("--at"));
        self.arguments.push(format!("--at={at}"));
        self
    }

    fn product(mut self, product: &str) -> Self {
        self.arguments.push(format!("--product={product}"));
        self
    }

    fn head(&self) -> String {
        let lines = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("{}\r\n{}\r\n", self.first, lines.collect::<String>())
    }

    fn explained(&self) -> (i32, String) {
        let folder = Folder::new();
        let (head, body) = (
            folder.write("head", &self.head()),
            folder.write("body", &self.body),
        );
        self.said(&["--headers", &head, "--body", &body])
    }

    /// The exit code and what is said: nothing secret, whatever it is about.
    fn said(&self, files: &[&str]) -> (i32, String) {
        let mut command = example("explain");
        command.args(files).args(&self.arguments);
        command.env("SUNO_WEBHOOK_HMAC_KEY", &self.key);
        if let Some(previous) = &self.previous {
            command.env("SUNO_WEBHOOK_HMAC_KEY_PREVIOUS", previous);
        }
        let output = output(&mut command);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let right = tag(KEY, &format!("{TASK}.{SIGNED_AT}"));
        let (base64, sent) = (STANDARD.encode(right), self.value("X-Webhook-Signature"));
        for secret in [KEY, &base64[..20], &hex(&right)[..20], "hunter2"] {
            assert!(!said.contains(secret), "{secret:?} in {said}");
        }
        assert!(
            sent.len() < 20 || !said.contains(&sent[..20]),
            "{sent:?} in {said}"
        );
        (output.status.code().unwrap(), said)
    }

    fn value(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// That it is refused for `verdict`, and the cause is said in these words.
    fn is_refused(&self, verdict: &str, why: &str) {
        let (code, said) = self.explained();
        assert!(
            said.ends_with(&format!("verdict: refused: {verdict}\n")),
            "{said}"
        );
        assert!(said.contains(why), "{why:?} is not in {said}");
        assert_eq!(code, 1);
    }

    fn is_accepted(&self, saying: &str) {
        let (code, said) = self.explained();
        assert!(said.ends_with("verdict: accepted\n"), "{said}");
        assert!(said.contains(saying), "{saying:?} is not in {said}");
        assert_eq!(code, 0);
    }
}

#[test]
fn a_genuine_request_is_accepted_step_by_step() {
    let (code, said) = Capture::genuine().explained();
    let expected = format!(
        "\
ok  key           it can be one
ok  method        POST /callbacks/suno/voice
ok  content type  application/json
ok  encoding      none
ok  headers       x-webhook-timestamp: 1, x-webhook-signature: 1
ok  timestamp     1764150000
ok  signature     44 characters
ok  freshness     signed 12 s before 1764150012; 300 s are allowed
ok  size          155 bytes; voice takes 16384
ok  json          an object with 3 keys
ok  id            data.taskId: \"{TASK}\"
ok  signed        over \"{TASK}.1764150000\", with the current key
ok  content       success \"success\", results: 1
verdict: accepted
"
    );
    assert_eq!(said, expected);
    assert_eq!(code, 0);
}

#[test]
fn the_example_of_the_readme_is_what_is_said() {
    let readme = include_str!("../../README.md");
    let (_, said) = Capture::genuine().spelled(hex).explained();
    assert!(readme.contains(&format!("```text\n{said}```")), "{said}");
}

#[test]
fn what_is_wrong_with_a_head_is_named() {
    let it = Capture::genuine;
    it().first("GET /callbacks/suno/voice HTTP/1.1")
        .is_refused("405 method", "redirect");
    it().with("Content-Type", "application/x-www-form-urlencoded")
        .is_refused("415 content_type", "a form");
    it().and("Content-Type", "text/plain")
        .is_refused("415 content_type", "more than one type");
    it().and("Content-Encoding", "gzip")
        .is_refused("415 content_encoding", "compresses requests");
    it().without("X-Webhook-Signature")
        .is_refused("401 header_missing", "x-webhook-signature is missing");
    it().without("X-Webhook-Signature")
        .without("X-Webhook-Timestamp")
        .is_refused("401 header_missing", "enable the webhook key");
    it().and("X-Webhook-Timestamp", "1764150000")
        .is_refused("400 header_repeated", "a gateway adds");
    it().at(SIGNED_AT + 320)
        .is_refused("401 stale by 20 s", "not stamped anew");
    it().at(SIGNED_AT + 7200)
        .is_refused("401 stale by 6900 s", "local time for UTC");
    it().at(SIGNED_AT - 301)
        .is_refused("401 from the future by 1 s", "clock is behind");
}

#[test]
fn the_genuine_one_of_two_headers_is_found_wherever_it_stands() {
    let it = Capture::genuine();
    let (time, signature) = (
        it.value("X-Webhook-Timestamp"),
        it.value("X-Webhook-Signature"),
    );
    let odd = STANDARD.encode([7; 32]);
    for [first, second] in [[&odd, &signature], [&signature, &odd]] {
        let twice = it.clone().with("X-Webhook-Signature", first.as_str());
        let twice = twice.and("X-Webhook-Signature", second.as_str());
        twice.is_refused("400 header_repeated", "ok  content       ");
    }
    let twice = it.with("X-Webhook-Timestamp", "1764150001");
    let twice = twice.and("X-Webhook-Timestamp", time);
    twice.is_refused("400 header_repeated", "ok  content       ");
}

#[test]
fn a_timestamp_in_another_form_is_named_and_the_rest_is_looked_at() {
    for (time, why) in [
        ("1764150000123", "13 digits are milliseconds"),
        ("1764150000123456", "microseconds"),
        ("\"1764150000\"", "in quotes"),
        ("1764150000.5", "a fraction of a second"),
        ("01764150000", "zeros before it"),
        ("1764150000, 1764150000", "a gateway joined them"),
        ("2025-11-26T09:40:00Z", "a date"),
    ] {
        let it = Capture::genuine().with("X-Webhook-Timestamp", time);
        it.is_refused("401 timestamp_malformed", why);
    }
    let both = Capture::genuine()
        .with("X-Webhook-Timestamp", "1764150000123")
        .signed(&format!("{TASK}.1764150000123"));
    both.is_refused(
        "401 timestamp_malformed",
        "made over the time as the header has it",
    );
    let (time, signature) = (
        Capture::genuine().value("X-Webhook-Timestamp"),
        Capture::genuine().value("X-Webhook-Signature"),
    );
    let exchanged = Capture::genuine()
        .with("X-Webhook-Timestamp", signature)
        .with("X-Webhook-Signature", time);
    exchanged.is_refused("401 timestamp_malformed", "the two headers are exchanged");
}

/// One whose base64 has both letters that differ between the two alphabets, and its bytes.
fn with_both_letters() -> (Capture, [u8; 32]) {
    let tag = |at: u64| tag(KEY, &format!("{TASK}.{at}"));
    let at = (SIGNED_AT..).find(|at| {
        let text = STANDARD.encode(tag(*at));
        text.contains('+') && text.contains('/')
    });
    let at = at.unwrap();
    let it = Capture::genuine().with("X-Webhook-Timestamp", at.to_string());
    (it.at(at), tag(at))
}

#[test]
fn a_signature_in_another_form_is_named_and_verified_all_the_same() {
    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
    type Spelling = (fn(&[u8]) -> String, &'static str);
    let spellings: [Spelling; 7] = [
        (hex, "hexadecimal instead of base64"),
        (
            |tag| hex(tag).to_uppercase(),
            "hexadecimal instead of base64",
        ),
        (|tag| URL_SAFE.encode(tag), "base64url instead of base64"),
        (
            |tag| URL_SAFE_NO_PAD.encode(tag),
            "base64url instead of base64",
        ),
        (
            |tag| format!("sha256={}", hex(tag)),
            "with a prefix, hexadecimal",
        ),
        (|tag| format!("\"{}\"", STANDARD.encode(tag)), "in quotes"),
        (
            |tag| STANDARD.encode(hex(tag)),
            "base64 of hexadecimal digits",
        ),
    ];
    let (it, right) = with_both_letters();
    for (spell, why) in spellings {
        let it = it.clone().with("X-Webhook-Signature", spell(&right));
        it.is_refused("401 signature_malformed", why);
        it.is_refused("401 signature_malformed", "ok  signed");
    }
    let blanks = STANDARD.encode(right).replace('+', " ");
    let it = it.with("X-Webhook-Signature", blanks);
    it.is_refused("401 signature_malformed", "decoded to blanks");
}

#[test]
fn what_follows_a_signature_that_cannot_be_read_is_not_judged() {
    let it = Capture::genuine().spelled(|tag| STANDARD.encode(&tag[..20]));
    it.is_refused("401 signature_malformed", "as long as SHA-1");
    it.is_refused("401 signature_malformed", "--  signed");
}

#[test]
fn a_signature_over_another_text_is_named() {
    let it = Capture::genuine;
    let (body, time) = (it().body, SIGNED_AT);
    let pretty = serde_json::from_str::<serde_json::Value>(&body).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap();
    for (text, why) in [
        (body.clone(), "made over the body"),
        (format!("{body}.{time}"), "made over the body"),
        (format!("{time}.{body}"), "made over the body"),
        (
            format!("voice_9.{time}"),
            "made for the text at data.voiceId",
        ),
        (TASK.into(), "over the id alone"),
        (format!("{TASK}{time}"), "without the dot"),
        (format!("{time}.{TASK}"), "the id comes first"),
        (format!("{TASK}.{time}\n"), "as `echo` adds it"),
        (format!("{TASK}.{time}417"), "made over milliseconds"),
        (format!("undefined.{time}"), "for \"undefined\""),
        (format!(".{time}"), "for an empty id"),
        (
            format!("{}.{time}", TASK.to_uppercase()),
            "in capital letters",
        ),
    ] {
        it().signed(&text).is_refused("401 signature_wrong", why);
        it().signed(&text)
            .is_refused("401 signature_wrong", "ok  content       ");
    }
    // What another made of the body before it came here.
    it().body(pretty)
        .signed(&body)
        .is_refused("401 signature_wrong", "no key of the environment");
    it().signed("odd").is_refused(
        "401 signature_wrong",
        "no key of the environment has made it",
    );
}

#[test]
fn a_key_that_is_read_wrongly_is_named() {
    let it = Capture::genuine;
    let text = format!("{TASK}.{SIGNED_AT}");
    let no_receiver = "no receiver starts with this key";
    it().key(format!("\"{KEY}\""))
        .is_refused(no_receiver, "stands in quotes");
    it().key(format!("'{KEY}'\n"))
        .is_refused(no_receiver, "ok  signed");
    it().key(format!("{KEY}\n"))
        .is_accepted("`SigningKey::new` refuses them");
    for (made, how) in [
        (format!("{KEY}\n"), "with a line break behind it"),
        (format!("{KEY} "), "with a blank behind it"),
        (format!("\"{KEY}\""), "with the quotes around it"),
        (KEY.to_uppercase(), "in capital letters"),
        (format!("\u{feff}{KEY}"), "with a byte order mark"),
    ] {
        let why = format!("made with the key {how}");
        it().signed_with(&made, &text)
            .is_refused("401 signature_wrong", &why);
    }
    let other = it().signed_with("the key of another account", &text);
    other.is_refused("401 signature_wrong", "take the key of the settings page");
    let rotated = Capture {
        previous: Some(KEY.into()),
        ..it().key("a new key of the page")
    };
    rotated.is_accepted("with the previous key");
}

#[test]
fn a_body_that_a_proxy_has_changed_is_named() {
    let it = Capture::genuine;
    let body = it().body;
    let cut = &body[..90];
    it().body(cut)
        .and("Content-Length", body.len().to_string())
        .is_refused(
            "400 not_json",
            "content-length says 155 bytes and these are 90",
        );
    it().body(cut).is_refused("400 not_json", "cut off");
    it().body("").is_refused("400 not_json", "empty");
    it().body("<html>").is_refused("400 not_json", "HTML");
    it().body(format!("[{body}]"))
        .is_refused("400 not_json", "a list");
    it().body(json!(body).to_string())
        .is_refused("400 not_json", "encoded the JSON once more");
}

#[test]
fn an_id_that_a_proxy_has_changed_is_named_with_what_was_signed() {
    let it = Capture::genuine;
    let body = it().body;
    let wrapped = json!({"payload": serde_json::from_str::<serde_json::Value>(&body).unwrap()});
    it().body(wrapped.to_string())
        .is_refused("400 no_task_id", "a proxy or a queue has wrapped the body; the signature is for the text at payload.data.taskId");
    it().body(json!({"odd": TASK}).to_string()).is_refused(
        "400 no_task_id",
        "another sender; the signature is for the text at odd",
    );
    let two = body.replacen('{', r#"{"taskId":"another","#, 1);
    it().body(&two).is_refused(
        "400 task_ids_differ",
        "the signature is for the text at data.taskId",
    );
    let changed = body.replace(TASK, &format!(" {TASK} "));
    it().body(changed)
        .is_refused("401 signature_wrong", "a proxy has changed the id");
    let number = body.replace(&format!("\"{TASK}\""), "17");
    it().body(number)
        .is_refused("400 task_id_outside_grammar", "data.taskId is no text");
}

#[test]
fn what_changes_no_id_is_no_fault() {
    let it = Capture::genuine;
    let body = it().body;
    for harmless in [
        body.replace(",\"msg\"", " ,\n\"msg\""),
        format!("\u{feff}{body}"),
        body.replace("voice_9", "\\ud83c"),
    ] {
        it().body(harmless)
            .is_accepted(&format!("\"{TASK}\"\nok  signed"));
    }
}

#[test]
fn another_products_route_is_named() {
    let link = "https://files.example/a.mp3";
    let music = |padding: usize| {
        json!({"code": 200, "data": {"callbackType": "complete", "task_id": TASK, "data": [
            {"id": "a", "title": "x".repeat(padding), "audio_url": link},
        ]}})
        .to_string()
    };
    let it = Capture::of(music(1));
    it.clone()
        .product("music")
        .is_accepted("success \"complete\", results: 1");
    it.product("wav").is_accepted("it is content of music");
    let large = Capture::of(music(20_000));
    large.is_refused("413 body_too_large", "it is a callback of music");
    large.is_refused("413 body_too_large", "ok  content       success");
    let it = Capture::genuine().first("POST /callbacks/suno/music HTTP/2");
    it.is_accepted("say --product music");
}

#[test]
fn all_faults_are_named_and_the_verdict_is_the_first() {
    let it = Capture::genuine()
        .first("GET /")
        .with("Content-Type", "text/plain")
        .signed(&format!("voice_9.{SIGNED_AT}"))
        .at(SIGNED_AT + 1000);
    let (code, said) = it.explained();
    let marks: Vec<_> = said.lines().filter(|it| it.starts_with("NO")).collect();
    let steps = ["method", "content type", "freshness", "signed"];
    assert_eq!(marks.len(), steps.len(), "{said}");
    for (mark, step) in marks.iter().zip(steps) {
        assert!(mark.starts_with(&format!("NO  {step}")), "{said}");
    }
    assert!(said.ends_with("verdict: refused: 405 method\n"), "{said}");
    assert_eq!(code, 1);
}

#[test]
fn without_a_time_it_is_judged_as_if_it_came_now() {
    let mut it = Capture::genuine();
    it.arguments.clear();
    let (code, said) = it.explained();
    assert!(said.contains("say with --at when it came"), "{said}");
    assert_eq!(code, 1);
}

#[test]
fn what_curl_prints_is_read_with_the_command_or_the_body_beside_it() {
    let (it, folder) = (Capture::genuine(), Folder::new());
    let head = it.head().replace("\r\n", "\n");
    let sent: String = head.lines().map(|line| format!("> {line}\n")).collect();
    let printed =
        format!("*   Trying 127.0.0.1:8080...\n{sent}< HTTP/1.1 401 Unauthorized\n< date: x\n");
    let (body, alone) = (
        folder.write("body", &it.body),
        folder.write("alone", &printed),
    );
    let command = format!(
        "$ curl -v -X POST http://127.0.0.1/ \\\n  -H 'a: b' -d '{}'\n",
        it.body
    );
    let whole = folder.write("whole", &(command + &printed));
    for files in [
        &["--curl", &alone, "--body", &body][..],
        &["--curl", &whole],
    ] {
        let (code, said) = it.said(files);
        assert!(said.ends_with("verdict: accepted\n"), "{said}");
        assert_eq!(code, 0);
    }
    let (code, said) = it.said(&["--curl", &alone]);
    assert!(
        said.starts_with("curl -v prints no body: give it with --body"),
        "{said}"
    );
    assert_eq!(code, 2);
    let (code, said) = it.said(&["--curl", &body, "--body", &body]);
    assert!(said.contains("call curl with -v"), "{said}");
    assert_eq!(code, 2);
}

#[test]
fn wrong_usage_names_the_fix_and_exits_2() {
    let (it, folder) = (Capture::genuine(), Folder::new());
    let (head, body) = (
        folder.write("head", &it.head()),
        folder.write("body", &it.body),
    );
    let answer = folder.write("answer", "HTTP/1.1 401 Unauthorized\nDate: x\n");
    let nowhere = folder.path("nowhere");
    let both = ["--headers", &head, "--body", &body];
    let with = |more: &[&'static str]| [&both[..], more].concat();
    for (files, fix) in [
        (vec![], "give either --headers or --curl"),
        (vec!["--headers", &head], "--body is missing"),
        (vec!["--headers", &nowhere, "--body", &body], "cannot read"),
        (
            vec!["--headers", &answer, "--body", &body],
            "an answer; the request",
        ),
        (
            vec!["--headers", &body, "--body", &body],
            "line 1 of the head",
        ),
        (
            with(&["--product", "tape"]),
            "there are voice, voice-validate, music",
        ),
        (with(&["--at", "yesterday"]), "Unix seconds"),
    ] {
        let (code, said) = it.said(&files);
        assert!(said.contains(fix), "{fix:?} is not in {said}");
        assert_eq!(code, 2, "{files:?}");
    }
    let (code, said) = it.clone().key("").said(&both);
    assert!(said.contains("SUNO_WEBHOOK_HMAC_KEY is not set"), "{said}");
    assert_eq!(code, 2);
    let (code, said) = it.key("short").said(&both);
    assert!(said.contains("shorter than 8 bytes"), "{said}");
    assert_eq!(code, 2);
}
