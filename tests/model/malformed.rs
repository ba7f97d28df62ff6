//! Thousands of malformed requests, each with its one right answer: the handler is never called,
//! the store never touched, and nothing of the request comes back.
//!
//! `SEED=n` repeats a run.

use std::fmt;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::FutureExt;
use harness::{
    Callback,
    counts::MALFORMED,
    key,
    probe::{Probe, WallClock, layer},
    seed,
};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::Value;
use suno_callback::{InvalidEvent, Limits, Rejection, TaskId, VoiceEvent};

const NOW: u64 = 1_700_000_000;

/// Sends what must be refused, and counts it.
struct Judge {
    probe: Probe,
    count: usize,
}

impl Judge {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let probe = Probe::with(&layer().limits(limits).unwrap().clock(WallClock::at(NOW)));
        Self { probe, count: 0 }
    }

    fn refuses(&mut self, request: Request<Full<Bytes>>, why: Rejection, what: impl fmt::Debug) {
        let reply = self.probe.send(request).now_or_never().expect("no waiting");
        assert_eq!(reply.rejection, Some(why), "{what:?}");
        reply.assert_refusal(why);
        self.count += 1;
    }

    /// A body under a good head for the task `signed`.
    fn refuses_body(&mut self, signed: &str, body: impl Into<Vec<u8>>, why: Rejection) {
        let body = body.into();
        let what = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        self.refuses(under_a_good_head(signed, body), why, what);
    }

    fn done(self, at_least: usize) {
        self.probe.assert_untouched();
        println!("{} malformed requests were refused", self.count);
        assert!(self.count >= at_least, "{}", self.count);
    }
}

fn under_a_good_head(signed: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let callback = Callback::new(signed, "").signed_at(NOW);
    callback.request().map(|_| Full::new(body.into()))
}

fn rng() -> Rng {
    Rng::with_seed(seed())
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// Replaces what is no text, in another way than the layer does.
fn mended(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut mended = String::new();
    // Two backslashes are one in the text, and begin no escape.
    for (number, part) in text.split(r"\\").enumerate() {
        mended += if number > 0 { r"\\" } else { "" };
        let mut parts = part.split(r"\u");
        mended += parts.next().unwrap_or_default();
        let mut parts = parts.peekable();
        while let Some(part) = parts.next() {
            let of = |part: &str| u32::from_str_radix(part.get(..4)?, 16).ok();
            let next = parts.peek().and_then(|part| of(part));
            match (of(part), next) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) if part.len() == 4 => {
                    mended += &format!(r"\u{part}\u{}", parts.next().unwrap());
                }
                (Some(0xD800..=0xDFFF), _) => mended += &format!(r"\ufffd{}", &part[4..]),
                _ => mended += &format!(r"\u{part}"),
            }
        }
    }
    mended
}

/// What another reading of the same bytes finds; `None` for an event that is fine.
fn verdict(signed: &str, body: &[u8]) -> Option<Rejection> {
    let strict = serde_json::from_slice(body).ok();
    let is_damaged = strict.is_none();
    let read = strict.or_else(|| serde_json::from_str(&mended(body)).ok());
    let Some(Value::Object(top)) = read else {
        return Some(InvalidEvent::NotJson.into());
    };
    let data = top.get("data").unwrap_or(&Value::Null);
    let places = [
        data.get("taskId"),
        data.get("task_id"),
        top.get("taskId"),
        top.get("task_id"),
    ];
    let mut ids = places.into_iter().flatten().filter(|id| !id.is_null());
    let Some(id) = ids.next() else {
        return Some(InvalidEvent::NoTaskId.into());
    };
    let mut texts = places.into_iter().flatten().filter_map(Value::as_str);
    if is_damaged && texts.any(|id| id.contains('\u{fffd}')) {
        return Some(InvalidEvent::NotJson.into());
    }
    if ids.any(|other| other != id) {
        return Some(InvalidEvent::TaskIdsDiffer.into());
    }
    let fits = |id: &&str| (1..=256).contains(&id.len()) && !id.contains(char::is_control);
    match id.as_str().filter(fits) {
        None => Some(InvalidEvent::TaskIdOutsideGrammar.into()),
        Some(id) => (id != signed).then_some(Rejection::SignatureWrong),
    }
}

fn documents() -> Vec<(&'static str, String)> {
    let bodies = [
        Callback::success("task-1", "voice_1"),
        Callback::failure("task-1"),
        Callback::progress("task-1", "wait_processing"),
        Callback::phrase("task-1", "la la la"),
    ];
    let mut all: Vec<_> = bodies.map(|it| ("task-1", it.body)).into();
    all.push((
        "é-🎤",
        r#"{"taskId":"\u00e9-\ud83c\udfa4","data":{"task_id":"é-🎤","x":[1,{"y":-0.5e+3}]}}"#
            .into(),
    ));
    all
}

/// One part of a head: a value, or what a bad one is refused with.
type Part<T> = (T, Option<Rejection>);

fn part<T: Copy>(rng: &mut Rng, good: &[T], bad: &[T], why: Rejection) -> Part<T> {
    match rng.u8(..6) {
        0 => (pick(rng, bad), Some(why)),
        _ => (pick(rng, good), None),
    }
}

fn junk(rng: &mut Rng) -> Vec<u8> {
    let allowed = |byte: &u8| *byte == b'\t' || *byte >= 0x20 && *byte != 0x7F;
    let len = rng.usize(..80);
    std::iter::repeat_with(|| rng.u8(..))
        .filter(allowed)
        .take(len)
        .collect()
}

/// The values of one signature header, and what they are refused with at the two places where the
/// gate looks: how many there are, and what they say.
fn values(
    rng: &mut Rng,
    good: Vec<u8>,
    malformed: impl Fn(&mut Rng) -> Vec<u8>,
    why: Rejection,
) -> (Vec<Vec<u8>>, Option<Rejection>, Option<Rejection>) {
    match rng.u8(..12) {
        0 => (vec![], Some(Rejection::HeaderMissing), None),
        1 => (
            vec![good; rng.usize(2..5)],
            Some(Rejection::HeaderRepeated),
            None,
        ),
        2 => (
            vec![malformed(rng), good],
            Some(Rejection::HeaderRepeated),
            None,
        ),
        3 => (vec![malformed(rng)], None, Some(why)),
        _ => (vec![good], None, None),
    }
}

fn bad_timestamp(rng: &mut Rng) -> Vec<u8> {
    let known: [&[u8]; 10] = [
        b"",
        b"+1700000000",
        b"-1",
        b"01700000000",
        b"1700000000000",
        b"1.7e9",
        b"0x65",
        b" ",
        b"\xEF\xBC\x91",
        b"1700000000,1700000000",
    ];
    match rng.bool() {
        true => pick(rng, &known).to_vec(),
        false => [&junk(rng)[..], b"!"].concat(),
    }
}

fn bad_signature(rng: &mut Rng) -> Vec<u8> {
    let good = key().sign("task-1", NOW).into_bytes();
    match rng.u8(..4) {
        0 => good[..rng.usize(..44)].to_vec(),
        1 => [&good[..], b"="].concat(),
        2 => [b"sha256=", &good[..]].concat(),
        _ => [&junk(rng)[..], b"!"].concat(),
    }
}

/// A head and a body put together at random, and the first thing that is wrong with them.
fn random_request(rng: &mut Rng) -> (Request<Full<Bytes>>, Option<Rejection>) {
    let (method, bad_method) = part(
        rng,
        &["POST"],
        &[
            "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "post", "PO$T",
        ],
        Rejection::Method,
    );
    let (content_type, bad_type) = part(
        rng,
        &[
            None,
            Some("application/json"),
            Some("Application/JSON;charset=utf-8"),
            Some("a/b+json"),
        ],
        &[
            Some(""),
            Some("text/html"),
            Some("multipart/form-data"),
            Some("json"),
            Some("application/jsonp"),
        ],
        Rejection::ContentType,
    );
    let (encoding, bad_encoding) = part(
        rng,
        &[None, Some("identity")],
        &[Some("gzip"), Some("br"), Some("identity, br"), Some("")],
        Rejection::ContentEncoding,
    );
    let (seconds, off) = part(
        rng,
        &[0, -300, 300, 17],
        &[-301, 301, -100_000, 1 << 36],
        Rejection::Method,
    );
    let seconds = NOW.saturating_add_signed(seconds);
    let off = off.map(|_| match seconds < NOW {
        true => Rejection::Stale {
            late_by: NOW - seconds - 300,
        },
        false => Rejection::FromTheFuture {
            early_by: seconds - NOW - 300,
        },
    });
    let signed = pick(rng, &["task-1", "task-1", "task-2"]);
    let (timestamps, count_1, form_1) = values(
        rng,
        seconds.to_string().into(),
        bad_timestamp,
        Rejection::TimestampMalformed,
    );
    let (signatures, count_2, form_2) = values(
        rng,
        key().sign(signed, seconds).into(),
        bad_signature,
        Rejection::SignatureMalformed,
    );
    let body = match rng.u8(..6) {
        0 => vec![b' '; rng.usize(16_385..40_000)],
        1 => junk(rng),
        2 => pick(
            rng,
            &["", "{}", "[]", r#"{"taskId":7}"#, r#"{"taskId":""}"#],
        )
        .into(),
        _ => Callback::success("task-1", "v").body.into_bytes(),
    };
    let too_large = (body.len() > 16_384).then_some(Rejection::BodyTooLarge);
    let wrong = [
        bad_method,
        bad_type,
        bad_encoding,
        count_1,
        count_2,
        form_1,
        form_2,
        off,
        too_large,
    ];
    let why = wrong
        .into_iter()
        .flatten()
        .next()
        .or_else(|| verdict(signed, &body));

    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = pick(rng, &["/", "/a?token=x", "http://h/%00?%0d%0a", "*"])
        .parse()
        .unwrap();
    let headers = request.headers_mut();
    for (name, value) in [
        ("content-type", content_type),
        ("content-encoding", encoding),
    ] {
        value.map(|value| headers.insert(name, HeaderValue::from_static(value)));
    }
    for (name, values) in [
        ("x-webhook-timestamp", timestamps),
        ("x-webhook-signature", signatures),
    ] {
        for value in values {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(&value).unwrap(),
            );
        }
    }
    for number in 0..rng.usize(..4) {
        let name = HeaderName::from_bytes(format!("x-noise-{number}").as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(&junk(rng)).unwrap());
    }
    (request, why)
}

#[test]
fn f62_random_requests_are_refused_for_the_first_thing_wrong() {
    let (mut rng, mut judge) = (rng(), Judge::new());
    while judge.count < MALFORMED.size() {
        let (request, why) = random_request(&mut rng);
        if let Some(why) = why {
            let what = format!("{request:?}");
            judge.refuses(request, why, what);
        }
    }
    judge.done(MALFORMED.size());
}

#[test]
fn a_body_cut_off_at_any_byte_is_400() {
    let mut judge = Judge::new();
    for (signed, body) in documents() {
        for end in 0..body.len() {
            judge.refuses_body(
                signed,
                &body.as_bytes()[..end],
                InvalidEvent::NotJson.into(),
            );
        }
    }
    judge.done(500);
}

#[test]
fn f58_any_other_byte_anywhere_in_a_body_is_judged_as_a_second_parser_judges_it() {
    let mut judge = Judge::new();
    let mut fine = 0;
    for (signed, body) in documents().into_iter().skip(3) {
        let body = body.into_bytes();
        for place in 0..body.len() {
            for byte in (0..=255).filter(|byte| *byte != body[place]) {
                let mut changed = body.clone();
                changed[place] = byte;
                match verdict(signed, &changed) {
                    Some(why) => judge.refuses_body(signed, changed, why),
                    None => fine += 1,
                }
            }
        }
    }
    assert!(fine > 1_000, "other letters in a message, say: {fine}");
    judge.done(30_000);
}

#[test]
fn a_byte_too_many_anywhere_in_a_body_is_judged_as_a_second_parser_judges_it() {
    let mut judge = Judge::new();
    for (signed, body) in documents() {
        for place in 0..=body.len() {
            for byte in [
                0, 0x1F, b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b'0', b'-', b'x', 0x7F,
                0x80, 0xC0, 0xED, 0xF5, 0xFF,
            ] {
                let mut changed = body.clone().into_bytes();
                changed.insert(place, byte);
                if let Some(why) = verdict(signed, &changed) {
                    judge.refuses_body(signed, changed, why);
                }
            }
        }
    }
    judge.done(5_000);
}

/// What no JSON value looks like.
const NO_VALUES: &[&str] = &[
    "",
    " ",
    "nul",
    "nulll",
    "NULL",
    "None",
    "tru",
    "True",
    "falsee",
    "undefined",
    "NaN",
    "Infinity",
    "-Infinity",
    "+1",
    "++1",
    "-",
    "--1",
    "01",
    "-01",
    "00",
    "0x1F",
    "0b1",
    "0o7",
    "1.",
    ".5",
    "-.5",
    "1.e3",
    "1e",
    "1e+",
    "1e-",
    "1E",
    "1eE2",
    "1.2.3",
    "1_000",
    "1,000,",
    "1 000",
    "1f",
    "1n",
    "１",
    "٣",
    "$1",
    "#",
    "'t'",
    "\"",
    "\"a",
    "a\"",
    "\"a\"b\"",
    "\"\\\"",
    "\"\\x41\"",
    "\"\\a\"",
    "\"\\'\"",
    "\"\\0\"",
    "\"\\u\"",
    "\"\\u1\"",
    "\"\\u12\"",
    "\"\\u123\"",
    "\"\\u123g\"",
    "\"\\U0041\"",
    "\"\\u{41}\"",
    "\"\u{0}\"",
    "\"\u{1}\"",
    "\"\t\"",
    "\"\n\"",
    "\"\r\"",
    "\"\u{1f}\"",
    "`t`",
    "“t”",
    "[",
    "]",
    "[[",
    "[]]",
    "[1",
    "[1,",
    "[,]",
    "[1,,2]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1:2]",
    "[\"a\":1]",
    "(1)",
    "<1>",
    "{",
    "}",
    "{{}}",
    "{}}",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{:1}",
    "{1:1}",
    "{a:1}",
    "{'a':1}",
    "{null:1}",
    "{\"a\":1,}",
    "{,\"a\":1}",
    "{\"a\":1,,\"b\":2}",
    "{\"a\":1 \"b\":2}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{\"a\":1;\"b\":2}",
    "{\"a\":[}",
    "[{]}",
    "{[1]}",
    "//x",
    "/**/",
    "1//x",
    "1/*x*/",
    "\u{feff}1",
    "\u{a0}1",
    "\u{2028}",
    "\u{b}1",
    "\u{c}1",
    "!",
    "@",
    "*",
    "&a",
    "!!str t",
    "- a",
    "%7B%7D",
    "<?xml?>",
    "a=b",
    "1;",
    "1)",
    "1]",
    "1}",
    "\"a\"\"b\"",
    "1 1",
    "true false",
    "null,null,",
];

/// Texts with half a character in them, and numbers that no float holds.
const DAMAGED: &[&[u8]] = &[
    br#""\ud800""#,
    br#""\udfff""#,
    br#""\ud800\ud800""#,
    br#""\ud800x""#,
    br#""\ud800\n""#,
    br#""\ud83d\u0041""#,
    br#""\udfa4\ud83c""#,
    b"\"\xff\"",
    b"\"\xc3\"",
    b"\"t\xf0\x9f\x8e\"",
    b"\"\xed\xa0\xbd\"",
    b"\"\x80t\"",
];

const BEYOND: &[&str] = &["1e999", "-1e999", "1e99999999999999999999", "9.9e400"];

/// What is a value, and no task id.
const NO_IDS: &[&str] = &[
    "0",
    "1",
    "-1",
    "1.5",
    "1e3",
    "9223372036854775807",
    "18446744073709551615",
    "340282366920938463463374607431768211456",
    "true",
    "false",
    "\"\"",
    "[]",
    "{}",
    "[\"t\"]",
    "{\"t\":\"t\"}",
    "[[[[[[]]]]]]",
    "\"\\u0000\"",
    "\"t\\n\"",
    "\"\\u001b[31mt\"",
    "\"t\\u007f\"",
    "\"\\u0085t\"",
    "\"\u{85}\"",
    "\"\u{9f}t\"",
];

const CONTEXTS: &[&str] = &[
    "%",
    r#"{"taskId":%}"#,
    r#"{"taskId":"t","code":%}"#,
    r#"{"taskId":"t","task_id":%,"code":1}"#,
    r#"{"taskId":"t","data":%}"#,
    r#"{"data":{"taskId":%}}"#,
    r#"{"data":{"taskId":"t","status":%}}"#,
    r#"{"data":{"taskId":"t","voiceId":%,"status":"success"}}"#,
    r#"{"data":{"taskId":"t","validateInfo":%}}"#,
    r#"{"data":{"taskId":"t","errorCode":%}}"#,
    r#"{"data":{"taskId":"t","errorMessage":%}}"#,
    r#"{"data":{"taskId":"t"},"code":%}"#,
];

#[test]
fn f58_what_is_no_json_value_is_400_wherever_it_stands() {
    let mut judge = Judge::new();
    for context in CONTEXTS {
        for value in NO_VALUES {
            let body = context.replace('%', value);
            let why = verdict("t", body.as_bytes());
            assert_eq!(why, Some(InvalidEvent::NotJson.into()), "{body}");
            judge.refuses_body("t", body, InvalidEvent::NotJson.into());
        }
    }
    judge.done(1_500);
}

#[test]
fn f58_what_no_field_needs_is_checked_too() {
    let mut judge = Judge::new();
    for context in [
        r#"{"taskId":"t","x":%}"#,
        r#"{"data":{"taskId":"t","x":[%]}}"#,
        r#"{"x":{"y":%},"taskId":"t"}"#,
    ] {
        for value in NO_VALUES {
            let body = context.replace('%', value);
            if verdict("t", body.as_bytes()).is_some() {
                judge.refuses_body("t", body, InvalidEvent::NotJson.into());
            }
        }
    }
    judge.done(300);
}

#[test]
fn f56_what_is_no_task_id_is_400_in_each_of_the_four_places() {
    let mut judge = Judge::new();
    let long = format!("\"{}\"", "x".repeat(257));
    let escaped = format!("\"{}\"", "\\u0041".repeat(257));
    for value in NO_IDS.iter().copied().chain([long.as_str(), &escaped]) {
        for context in [
            r#"{"taskId":%}"#,
            r#"{"task_id":%}"#,
            r#"{"data":{"taskId":%}}"#,
            r#"{"data":{"task_id":%}}"#,
            r#"{"taskId":%,"task_id":%,"data":{"taskId":%,"task_id":%}}"#,
        ] {
            let why = InvalidEvent::TaskIdOutsideGrammar.into();
            judge.refuses_body("t", context.replace('%', value), why);
        }
        for context in [
            r#"{"taskId":"t","task_id":%}"#,
            r#"{"task_id":%,"data":{"taskId":"t"}}"#,
        ] {
            judge.refuses_body(
                "t",
                context.replace('%', value),
                InvalidEvent::TaskIdsDiffer.into(),
            );
        }
    }
    judge.done(150);
}

/// Each way to write `key` in which some of its characters are escapes.
fn spellings(key: &str) -> impl Iterator<Item = String> {
    (0..1_u32 << key.len()).map(move |mask| {
        let spell = |(at, char): (usize, char)| match mask >> at & 1 {
            0 => char.to_string(),
            _ => format!("\\u{:04x}", u32::from(char)),
        };
        key.chars().enumerate().map(spell).collect()
    })
}

#[test]
fn f57_a_repeated_key_is_400_in_every_spelling_of_it() {
    let mut judge = Judge::new();
    for (key, context) in [
        ("taskId", r#"{"taskId":"t","%":"t"}"#),
        ("taskId", r#"{"%":"u","taskId":"t"}"#),
        ("task_id", r#"{"task_id":"t","%":"t"}"#),
        ("taskId", r#"{"data":{"taskId":"t","%":null}}"#),
        ("task_id", r#"{"data":{"%":1,"task_id":"t"}}"#),
        ("data", r#"{"data":{"taskId":"t"},"%":{}}"#),
        ("data", r#"{"%":0,"data":{"taskId":"t"}}"#),
    ] {
        for spelling in spellings(key) {
            let body = context.replace('%', &spelling);
            judge.refuses_body("t", body, InvalidEvent::RepeatedKey.into());
        }
    }
    judge.done(400);
}

#[test]
fn token_soup_is_judged_as_a_second_parser_judges_it() {
    const TOKENS: &[&str] = &[
        "{",
        "}",
        "{",
        "}",
        "[",
        "]",
        ",",
        ",",
        ":",
        ":",
        ":",
        "\"taskId\"",
        "\"task_id\"",
        "\"data\"",
        "\"code\"",
        "\"t\"",
        "\"t\"",
        "\"u\"",
        "null",
        "true",
        "200",
        "-1.5e3",
        " ",
        "\n",
        "\"\\u0074\"",
        "\"",
        "\\",
        "x",
    ];
    let (mut rng, mut judge) = (rng(), Judge::new());
    while judge.count < MALFORMED.size() {
        let len = rng.usize(1..14);
        let mut soup: String = (0..len).map(|_| pick(&mut rng, TOKENS)).collect();
        if rng.bool() {
            soup = format!(r#"{{"taskId":"t","data":{{"x":1{soup}}}}}"#);
        }
        let repeats = |key: &str| soup.matches(key).count() > 1;
        if ["\"taskId\"", "\"task_id\"", "\"data\""]
            .into_iter()
            .any(repeats)
        {
            continue; // the second parser would not see it
        }
        if let Some(why) = verdict("t", soup.as_bytes()) {
            judge.refuses_body("t", soup, why);
        }
    }
    judge.done(MALFORMED.size());
}

#[test]
fn f59_nesting_without_end_is_400_and_takes_no_stack() {
    let limits = Limits {
        body: Some(2 << 20),
        ..Limits::default()
    };
    let deep = move || {
        let mut judge = Judge::with(limits);
        for depth in [100, 129, 1_000, 100_000] {
            for open in ["[", "{\"a\":", "[{\"a\":", "{\"data\":", "{\"taskId\":"] {
                for context in [
                    "%",
                    r#"{"taskId":"t","x":%"#,
                    r#"{"taskId":"t","data":%"#,
                    r#"{"data":{"taskId":"t","status":%"#,
                    r#"{"taskId":%"#,
                ] {
                    let body = context.replace('%', &open.repeat(depth));
                    judge.refuses_body("t", body, InvalidEvent::NotJson.into());
                }
            }
            // Closed again it is JSON, and still no id.
            let closed = format!(r#"{{"taskId":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
            judge.refuses_body("t", closed, InvalidEvent::TaskIdOutsideGrammar.into());
        }
        judge.done(100);
    };
    let thread = std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(deep);
    thread.unwrap().join().unwrap();
}

#[test]
fn f59_deep_nesting_where_nobody_looks_is_an_event() {
    let deep = || {
        let nested = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        for context in [
            r#"{"taskId":"t","x":%}"#,
            r#"{"taskId":"t","data":%}"#,
            r#"{"taskId":"t","code":%}"#,
            r#"{"data":{"taskId":"t","status":%}}"#,
            r#"{"data":{"taskId":"t","voiceId":{"a":%}}}"#,
        ] {
            let event = VoiceEvent::parse(Default::default(), context.replace('%', &nested));
            assert_eq!(event.unwrap().task_id(), &TaskId::new("t").unwrap());
        }
    };
    let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(deep);
    thread.unwrap().join().unwrap();
}

fn with_value(context: &str, value: &[u8]) -> Vec<u8> {
    let (before, after) = context.split_once('%').unwrap();
    [before.as_bytes(), value, after.as_bytes()].concat()
}

#[test]
fn f58_damage_is_400_in_an_id_and_an_event_wherever_else_it_stands() {
    let judge = Judge::new();
    let long = "9".repeat(400);
    let beyond = BEYOND.iter().copied().chain([long.as_str()]);
    let values: Vec<_> = beyond
        .map(str::as_bytes)
        .chain(DAMAGED.iter().copied())
        .collect();
    for value in values {
        for context in [
            r#"{"taskId":%}"#,
            r#"{"data":{"task_id":%}}"#,
            r#"{"taskId":"t","data":{"taskId":%}}"#,
            r#"{"taskId":"t","code":1"%"}"#,
        ] {
            let body = with_value(context, value);
            let reply = judge
                .probe
                .send(under_a_good_head("t", body))
                .now_or_never()
                .unwrap();
            assert_eq!(
                reply.status,
                400,
                "{context} {}",
                String::from_utf8_lossy(value)
            );
        }
        for context in [
            r#"{"taskId":"t","code":%}"#,
            r#"{"taskId":"t","msg":%}"#,
            r#"{"taskId":"t","data":%}"#,
            r#"{"data":{"taskId":"t","status":%}}"#,
            r#"{"data":{"taskId":"t","voiceId":%}}"#,
            r#"{"data":{"taskId":"t","validateInfo":%}}"#,
            r#"{"data":{"taskId":"t","errorCode":%}}"#,
            r#"{"data":{"taskId":"t","errorMessage":%}}"#,
            r#"{"data":{"taskId":"t","x":[{"y":%}]}}"#,
        ] {
            let body = with_value(context, value);
            let event = VoiceEvent::parse(Default::default(), &body);
            assert_eq!(event.unwrap().task_id(), "t", "{context}");
        }
    }
    judge.probe.assert_untouched();
}

#[test]
fn bodies_of_other_formats_and_other_encodings_are_400() {
    let json = Callback::success("t", "v").body;
    let utf_16: Vec<u8> = json.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf_16_be: Vec<u8> = json.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let utf_32: Vec<u8> = json
        .chars()
        .flat_map(|char| u32::from(char).to_le_bytes())
        .collect();
    let mut judge = Judge::new();
    for body in [
        utf_16.clone(),
        utf_16_be,
        utf_32,
        [&[0xFF, 0xFE], &utf_16[..]].concat(),
        [&[0xEF, 0xBB, 0xBF, 0xEF, 0xBB, 0xBF], json.as_bytes()].concat(),
        [json.as_bytes(), b"\0"].concat(),
        [json.as_bytes(), json.as_bytes()].concat(),
        [json.as_bytes(), b"\n", json.as_bytes()].concat(),
        serde_json::to_vec(&json).unwrap(),
        format!("[{json}]").into(),
        format!("callback({json})").into(),
        format!(")]}}',\n{json}").into(),
        format!("data: {json}\n\n").into(),
        format!("payload={json}").into(),
        format!("\u{1e}{json}").into(),
        vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0],
        vec![0xa1, 0x66, b't', b'a', b's', b'k', b'I', b'd', 0x61, b't'],
        vec![0; 1000],
        vec![0xFF; 1000],
    ] {
        judge.refuses_body("t", body, InvalidEvent::NotJson.into());
    }
    judge.done(19);
}
