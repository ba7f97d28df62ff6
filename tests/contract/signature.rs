//! What a signature must be, byte by byte.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use harness::{
    Callback, KEY,
    counting::counting,
    key,
    probe::{Probe, ProbeLayer, WallClock},
};
use http::{HeaderValue, Request};
use http_body_util::Full;
use serde::Deserialize;
use suno_callback::{
    InvalidEvent, InvalidKey, MemoryStore, Rejection, SigningKey, SunoCallbackLayer, TaskId, Times,
    UrlSecret,
};

#[derive(Clone, Deserialize)]
struct Vector {
    key: String,
    task_id: String,
    timestamp: String,
    signature: String,
}

fn vectors() -> Vec<Vector> {
    #[derive(Deserialize)]
    struct File {
        vectors: Vec<Vector>,
    }
    let file: File = serde_json::from_str(include_str!("../vectors.json")).unwrap();
    assert!(file.vectors.len() >= 8);
    file.vectors
}

impl Vector {
    fn seconds(&self) -> u64 {
        self.timestamp.parse().unwrap()
    }

    fn layer(&self) -> ProbeLayer {
        layer_of(SigningKey::new(&self.key).unwrap()).clock(WallClock::at(self.seconds()))
    }

    /// With a tolerance that lets every time pass, so that only the signature can refuse it.
    fn timeless(&self) -> Probe {
        let ages = Duration::from_secs(2_000_000_000_000);
        let times = Times {
            tolerance: ages,
            retain_progress: ages * 2,
            ..Times::default()
        };
        Probe::with(&self.layer().times(times).unwrap())
    }

    fn request(&self) -> Request<Full<Bytes>> {
        self.changed(self.task_id.as_bytes(), &self.timestamp, &self.signature)
    }

    /// A success with these bytes as the task id, in a JSON string wherever one can hold them.
    fn changed(
        &self,
        id: &[u8],
        timestamp: impl AsRef<[u8]>,
        signature: impl AsRef<[u8]>,
    ) -> Request<Full<Bytes>> {
        let id = match std::str::from_utf8(id) {
            Ok(text) => serde_json::to_vec(text).unwrap(),
            Err(_) => [b"\"", id, b"\""].concat(),
        };
        let head = br#"{"code":200,"data":{"voiceId":"v","status":"success","taskId":"#;
        let body = [&head[..], &id, b"}}"].concat();
        Request::post("/")
            .header(
                "x-webhook-timestamp",
                HeaderValue::from_bytes(timestamp.as_ref()).unwrap(),
            )
            .header(
                "x-webhook-signature",
                HeaderValue::from_bytes(signature.as_ref()).unwrap(),
            )
            .body(Full::from(body))
            .unwrap()
    }
}

fn layer_of(key: SigningKey) -> ProbeLayer {
    SunoCallbackLayer::new(key, counting(MemoryStore::default()))
}

/// Every string that differs from `good` in one byte.
fn one_byte_changes(good: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..good.len()).flat_map(move |place| {
        let others = (0..=255).filter(move |byte| *byte != good[place]);
        others.map(move |byte| {
            let mut changed = good.to_vec();
            changed[place] = byte;
            changed
        })
    })
}

fn refused(probe: &Probe, request: Request<Full<Bytes>>, why: Rejection) {
    let reply = probe.send(request).now_or_never().unwrap();
    reply.assert_refusal(why);
}

#[tokio::test]
async fn every_vector_verifies_and_is_made_by_sign() {
    for vector in vectors() {
        let key = SigningKey::new(&vector.key).unwrap();
        assert_eq!(
            key.sign(&vector.task_id, vector.seconds()),
            vector.signature
        );
        let probe = Probe::with(&vector.layer());
        probe.send(vector.request()).await.assert_accepted();
        assert_eq!(probe.seen.runs_of(&vector.task_id), 1);
    }
}

#[test]
fn f53_every_one_byte_change_of_a_signature_is_refused() {
    let mut count = 0;
    for vector in vectors() {
        let probe = vector.timeless();
        for changed in one_byte_changes(vector.signature.as_bytes()) {
            if HeaderValue::from_bytes(&changed).is_err() {
                continue; // no request can carry it
            }
            let request = vector.changed(vector.task_id.as_bytes(), &vector.timestamp, &changed);
            let reply = probe.send(request).now_or_never().unwrap();
            assert!(matches!(
                reply.rejection,
                Some(Rejection::SignatureWrong | Rejection::SignatureMalformed)
            ));
            reply.assert_refused(http::StatusCode::UNAUTHORIZED);
            count += 1;
        }
        probe.assert_untouched();
    }
    assert!(count > 8 * 44 * 220, "{count}");
}

#[test]
fn every_one_byte_change_of_a_timestamp_is_refused() {
    let mut count = 0;
    for vector in vectors() {
        let probe = vector.timeless();
        for changed in one_byte_changes(vector.timestamp.as_bytes()) {
            if HeaderValue::from_bytes(&changed).is_err() {
                continue;
            }
            let is_number = changed.iter().all(u8::is_ascii_digit) && changed[0] != b'0';
            let why = match is_number {
                true => Rejection::SignatureWrong,
                false => Rejection::TimestampMalformed,
            };
            let request = vector.changed(vector.task_id.as_bytes(), &changed, &vector.signature);
            refused(&probe, request, why);
            count += 1;
        }
        probe.assert_untouched();
    }
    assert!(count > 8 * 10 * 220, "{count}");
}

#[test]
fn every_one_byte_change_of_a_task_id_is_refused() {
    let mut count = 0;
    for vector in vectors() {
        let probe = vector.timeless();
        for changed in one_byte_changes(vector.task_id.as_bytes()) {
            let why = match std::str::from_utf8(&changed) {
                Err(_) => InvalidEvent::NotJson.into(),
                Ok(id) if id.contains(char::is_control) => {
                    InvalidEvent::TaskIdOutsideGrammar.into()
                }
                Ok(_) => Rejection::SignatureWrong,
            };
            let request = vector.changed(&changed, &vector.timestamp, &vector.signature);
            refused(&probe, request, why);
            count += 1;
        }
        probe.assert_untouched();
    }
    assert!(count > 280 * 255, "{count}");
}

#[test]
fn a_byte_more_or_less_of_a_task_id_or_a_timestamp_is_refused() {
    for vector in vectors() {
        let probe = vector.timeless();
        let id = vector.task_id.as_str();
        let ids = [
            format!("{id}a"),
            format!("a{id}"),
            format!("{id}."),
            format!("{id} "),
        ];
        for id in &ids {
            let request = vector.changed(id.as_bytes(), &vector.timestamp, &vector.signature);
            let why = match id.len() <= TaskId::MAX_LEN {
                true => Rejection::SignatureWrong,
                false => InvalidEvent::TaskIdOutsideGrammar.into(),
            };
            refused(&probe, request, why);
        }
        for timestamp in [
            format!("{}0", vector.timestamp),
            vector.timestamp[1..].to_owned(),
        ] {
            let request = vector.changed(id.as_bytes(), &timestamp, &vector.signature);
            let why = match timestamp.starts_with('0') {
                true => Rejection::TimestampMalformed,
                false => Rejection::SignatureWrong,
            };
            refused(&probe, request, why);
        }
        probe.assert_untouched();
    }
}

#[test]
fn the_separator_cannot_be_moved() {
    // "a.1700000000" at 1700000001 is signed; no other split of the same text is accepted.
    let vector = vectors()
        .into_iter()
        .find(|it| it.task_id.contains('.'))
        .unwrap();
    let probe = vector.timeless();
    let split = vector.changed(b"a", "1700000000.1700000001", &vector.signature);
    refused(&probe, split, Rejection::TimestampMalformed);
    probe.assert_untouched();
}

#[test]
fn f53_only_the_canonical_spelling_of_a_signature_is_accepted() {
    let vector = &vectors()[0];
    let probe = vector.timeless();
    let good = vector.signature.as_str();
    assert!(
        good.contains(['+', '/']),
        "the alphabets differ for this one"
    );
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, good).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut spellings = vec![
        good.trim_end_matches('=').to_owned(),
        good.replace('+', "-").replace('/', "_"),
        good.replace('+', "-")
            .replace('/', "_")
            .trim_end_matches('=')
            .to_owned(),
        format!("{good}="),
        format!("{good} "),
        format!(" {good}"),
        format!("{good},{good}"),
        format!("{good}, {good}"),
        format!("sha256={good}"),
        format!("v1,{good}"),
        format!("v1={good}"),
        format!("\"{good}\""),
        format!("Basic {good}"),
        good.replace('=', "%3D"),
        good.to_ascii_lowercase(),
        good.to_ascii_uppercase(),
        good.chars().rev().collect(),
        format!("{}\t{}", &good[..20], &good[20..]),
        format!("sha256={hex}"),
        hex.to_uppercase(),
        hex[..44].to_owned(),
        hex,
        String::new(),
        "=".repeat(44),
        "A".repeat(44),
        "A".repeat(43) + "=",
        "AAAA".repeat(10) + "A===",
    ];
    spellings.extend(twins(good));
    assert!(spellings.len() > 25);
    for spelling in spellings {
        let request = vector.changed(vector.task_id.as_bytes(), &vector.timestamp, &spelling);
        let reply = probe.send(request).now_or_never().unwrap();
        assert_eq!(reply.status, 401, "{spelling:?}");
    }
    probe.assert_untouched();
}

/// The three other strings that a lax decoder reads as the same 32 bytes.
fn twins(good: &str) -> Vec<String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let last = ALPHABET.find(&good[42..43]).unwrap();
    assert_eq!(last % 4, 0, "two bits are left over");
    let twin = |bits: usize| format!("{}{}=", &good[..42], &ALPHABET[last + bits..=last + bits]);
    (1..4).map(twin).collect()
}

#[tokio::test]
async fn f55_each_key_of_a_rotation_is_accepted_and_named() {
    let layer = layer_of(SigningKey::new("the new key").unwrap().labelled("2026-11"))
        .also_accept(SigningKey::new("the old key").unwrap().labelled("2026-05"))
        .also_accept(SigningKey::new("the older key").unwrap());
    let probe = Probe::with(&layer);
    for (key, label) in [
        ("the new key", "2026-11"),
        ("the old key", "2026-05"),
        // Nobody has named it.
        ("the older key", "default"),
    ] {
        let mut callback = Callback::success(&format!("task of {key}"), "voice");
        let seconds = callback.timestamp.parse().unwrap();
        callback.signature = SigningKey::new(key)
            .unwrap()
            .sign(&callback.task_id, seconds);
        probe.send(callback.request()).await.assert_accepted();
        let (_, delivery) = probe.seen.all().pop().unwrap();
        assert_eq!(delivery.key_label(), Some(label));
        assert_eq!(delivery.signed_at(), Some(seconds));
    }
    let foreign = Callback::success("task", "voice");
    let reply = probe.send(foreign.request()).await;
    reply.assert_refusal(Rejection::SignatureWrong);
    assert_eq!(probe.seen.len(), 3);
}

#[tokio::test]
async fn f55_no_callback_is_lost_while_keys_rotate() {
    // The provider changes its key somewhere in the middle; the receiver was told before.
    let layer = layer_of(SigningKey::new("the new key").unwrap())
        .also_accept(SigningKey::new("the old key").unwrap());
    let probe = Probe::with(&layer);
    for number in 0..200 {
        let key = if number < 100 || number % 3 == 0 {
            "the old key"
        } else {
            "the new key"
        };
        let mut callback = Callback::success(&format!("task {number}"), "voice");
        let seconds = callback.timestamp.parse().unwrap();
        callback.signature = SigningKey::new(key)
            .unwrap()
            .sign(&callback.task_id, seconds);
        probe.send(callback.request()).await.assert_accepted();
    }
}

fn why_not(key: impl AsRef<[u8]>) -> Option<InvalidKey> {
    SigningKey::new(key).err()
}

#[test]
fn f54_a_key_that_everybody_knows_is_refused() {
    for nothing in ["", " ", "\r\n", " \t\r\n", "\u{feff}", "\u{feff}\n"] {
        assert_eq!(why_not(nothing), Some(InvalidKey::Empty), "{nothing:?}");
        assert_eq!(SigningKey::trimmed(nothing).err(), Some(InvalidKey::Empty));
    }
    // HMAC fills a short key up with zeros, so these are the empty key under another name.
    for zeros in [1, 2, 32, 63, 64] {
        assert_eq!(why_not(vec![0; zeros]), Some(InvalidKey::Empty), "{zeros}");
    }
}

#[test]
fn f54_a_key_that_can_be_guessed_is_refused() {
    for short in ["k", "1234567", "éé-", "secret", "abc\0\0\0\0\0\0"] {
        assert_eq!(why_not(short), Some(InvalidKey::TooShort), "{short:?}");
        let trimmed = SigningKey::trimmed(format!(" {short}\n")).err();
        assert_eq!(trimmed, Some(InvalidKey::TooShort));
    }
    for long in ["12345678", "é-é-é-", KEY, "key with blanks \n within"] {
        assert_eq!(why_not(long), None, "{long:?}");
    }
    assert_eq!(why_not([0xF0; 8]), None, "bytes will do");
}

#[test]
fn f54_a_key_in_quotes_is_refused() {
    for (open, close) in [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('\u{201c}', '\u{201d}'),
        ('\u{201e}', '\u{201c}'),
        ('\u{2018}', '\u{2019}'),
        ('\u{ab}', '\u{bb}'),
    ] {
        for inner in [KEY, "", "k"] {
            let quoted = format!("{open}{inner}{close}");
            assert_eq!(why_not(&quoted), Some(InvalidKey::Quoted), "{quoted}");
            let trimmed = SigningKey::trimmed(format!("\u{feff}{quoted}\n")).err();
            assert_eq!(trimmed, Some(InvalidKey::Quoted), "{quoted}");
        }
    }
    for key in ["\"quote-at-one-end", "it's-one-key", "a\"b\"c\"d\"e"] {
        assert_eq!(why_not(key), None, "{key}");
    }
}

#[test]
fn f54_what_stands_around_a_key_is_refused_unless_it_is_trimmed() {
    let plain = SigningKey::new(KEY).unwrap().sign("t", 1_700_000_000);
    for blank in [
        "\r\n",
        "\n",
        " ",
        "\t",
        "\u{a0}",
        "\u{feff}",
        "\u{200b}",
        "\u{feff} \n",
    ] {
        for around in [
            format!("{KEY}{blank}"),
            format!("{blank}{KEY}"),
            format!("{blank}{KEY}{blank}"),
        ] {
            assert_eq!(why_not(&around), Some(InvalidKey::Blank), "{around:?}");
            let trimmed = SigningKey::trimmed(&around).unwrap();
            assert_eq!(trimmed.sign("t", 1_700_000_000), plain, "{around:?}");
        }
    }
    let utf_16: Vec<u8> = "\u{feff}a key of sixteen"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(why_not(&utf_16), Some(InvalidKey::Blank));
    assert_eq!(SigningKey::trimmed(&utf_16).err(), Some(InvalidKey::Blank));
}

#[test]
fn the_refusal_of_a_key_says_what_to_do() {
    for (why, fix) in [
        (InvalidKey::Empty, "environment variable"),
        (InvalidKey::Blank, "`SigningKey::trimmed`"),
        (InvalidKey::Quoted, "without them"),
        (InvalidKey::TooShort, "the whole `webhookHmacKey`"),
    ] {
        assert!(why.to_string().contains(fix), "{why}");
    }
}

#[test]
fn f54_a_nul_after_a_key_is_the_same_key() {
    // A property of HMAC, kept here so that nobody counts on the opposite.
    let plain = SigningKey::new(KEY).unwrap().sign("t", 1);
    let nul = SigningKey::new(format!("{KEY}\0")).unwrap().sign("t", 1);
    assert_eq!(plain, nul);
}

#[tokio::test]
async fn a_signature_over_a_missing_id_is_never_accepted() {
    let probe = Probe::default();
    let now = harness::unix_now();
    for signed in ["undefined", "null", "", "None", "nil", "[object Object]"] {
        for body in [
            r#"{"code":200,"data":{"status":"success","voiceId":"v"}}"#,
            r#"{"code":200,"data":{"taskId":null,"status":"success","voiceId":"v"}}"#,
            r#"{"code":200,"taskId":null,"task_id":null,"data":null}"#,
            r#"{"code":200,"data":{"taskId":"","status":"success","voiceId":"v"}}"#,
            r#"{"code":200,"data":{"taskId":{},"status":"success","voiceId":"v"}}"#,
        ] {
            let mut callback = Callback::new(signed, body);
            callback.signature = key().sign(signed, now);
            callback.timestamp = now.to_string();
            probe
                .send(callback.request())
                .await
                .assert_refused(http::StatusCode::BAD_REQUEST);
        }
    }
    probe.assert_untouched();
}

#[tokio::test]
async fn the_provider_s_published_sample_verifies_under_no_guessable_key() {
    let sample = "KxDlpbbq0GDOKqm0+FuJpJWTzY8baHSjhEt4kwElqQI=";
    for key in [
        "webhookHmacKey",
        "your-webhook-hmac-key",
        "xxx_key_xxx",
        KEY,
    ] {
        let key = SigningKey::new(key).unwrap();
        assert_ne!(
            key.sign("ee9c2715375b7837f8bb51d641ff5863", 1_769_670_760),
            sample
        );
    }
}

#[tokio::test]
async fn f64_no_debug_output_shows_a_key_or_a_signature() {
    let secret = "s3cr3t-key-of-the-account-page";
    let url_secret = "url-secret-0123456789";
    let key = SigningKey::new(secret).unwrap().labelled("label");
    let seconds = harness::unix_now();
    let signature = key.sign("t", seconds);
    let layer = layer_of(key.clone()).also_accept(SigningKey::new("another-secret-key").unwrap());
    let unsigned =
        SunoCallbackLayer::unsigned(UrlSecret::new(url_secret).unwrap(), MemoryStore::default());
    let probe = Probe::with(&layer);
    let mut callback = Callback::success("t", "v");
    (callback.timestamp, callback.signature) = (seconds.to_string(), signature.clone());
    let mut service = probe.service.clone();
    let future = tower::Service::call(&mut service, callback.request());
    let shown_future = format!("{future:?} {future:#?}");
    let response = future.await.unwrap();
    let (event, delivery) = probe.seen.all().pop().unwrap();
    let shown = [
        format!("{key:?} {key:#?} {layer:?} {layer:#?} {unsigned:?} {unsigned:#?}"),
        format!("{:?} {:#?} {shown_future}", probe.service, probe.service),
        format!(
            "{event:?} {delivery:?} {:?} {:?}",
            event.outcome(),
            delivery.held()
        ),
        format!(
            "{:?} {:?} {:?}",
            response,
            layer.drain(),
            UrlSecret::new(url_secret)
        ),
        format!(
            "{:?} {:?}",
            SigningKey::new(""),
            UrlSecret::new("short-secret")
        ),
    ]
    .concat();
    let bytes = |text: &str| format!("{:?}", text.as_bytes());
    for hidden in [
        secret,
        "another-secret-key",
        url_secret,
        "short-secret",
        &signature,
    ] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
        assert!(
            !shown.contains(&bytes(hidden)[1..20]),
            "bytes of {hidden} in {shown}"
        );
    }
    assert!(
        shown.contains("label"),
        "the test looks at the right thing: {shown}"
    );
}
