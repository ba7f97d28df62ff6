//! What the head alone decides.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use suno_callback::{
    Clock, MemoryStore, Rejection, SunoCallbackLayer, Times, Trust, UrlSecret, VoiceEvent,
};
use tower::{Layer, ServiceExt};

use harness::{
    Callback, Seen, accepting, key,
    probe::{Probe, Reply, WallClock, layer},
    seed,
};

const NOW: u64 = 1_700_000_000;

/// A body that must not be looked at.
struct Untouchable;

impl Body for Untouchable {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        panic!("the body was polled")
    }

    fn is_end_stream(&self) -> bool {
        panic!("the body was looked at")
    }

    fn size_hint(&self) -> SizeHint {
        panic!("the body was measured")
    }
}

fn good() -> Request<Full<Bytes>> {
    Callback::success("t", "v").signed_at(NOW).request()
}

fn with(name: &'static str, value: impl AsRef<[u8]>) -> Request<Full<Bytes>> {
    let mut request = good();
    let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
    request.headers_mut().insert(name, value);
    request
}

fn probe() -> Probe {
    Probe::with(&layer().clock(WallClock::at(NOW)))
}

async fn refusal(request: Request<Full<Bytes>>) -> Reply {
    let probe = probe();
    let reply = probe.send(request.map(|_| Untouchable)).await;
    probe.assert_untouched();
    reply
}

async fn refused(request: Request<Full<Bytes>>, why: Rejection) {
    refusal(request).await.assert_refusal(why);
}

#[tokio::test]
async fn a_good_head_is_accepted() {
    let probe = probe();
    probe.send(good()).await.assert_accepted();
    assert_eq!(probe.seen.len(), 1);
}

#[tokio::test]
async fn f51_anything_but_post_is_405_and_says_what_is_allowed() {
    let names = "GET HEAD PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY post Post POSTX PROPFIND";
    for name in names.split(' ') {
        let mut request = good();
        *request.method_mut() = Method::from_bytes(name.as_bytes()).unwrap();
        let reply = refusal(request).await;
        reply.assert_refusal(Rejection::Method);
        assert_eq!(reply.header("allow"), Some("POST"), "{name}");
    }
}

#[tokio::test]
async fn f51_json_of_any_kind_or_no_content_type_is_accepted() {
    let mut request = good();
    request.headers_mut().remove("content-type");
    probe().send(request).await.assert_accepted();
    for value in [
        "application/json",
        "APPLICATION/JSON",
        "Application/Json; Charset=UTF-8",
        "application/json;charset=latin1",
        "application/json ; charset=\"utf-8\"; boundary=;;",
        "application/problem+json",
        "application/vnd.kie.v1+JSON;v=2",
        "application/cloudevents+json",
    ] {
        probe()
            .send(with("content-type", value))
            .await
            .assert_accepted();
    }
}

#[tokio::test]
async fn f51_any_other_content_type_is_415() {
    for value in [
        "",
        ";",
        "json",
        "+json",
        "/+json",
        "application/",
        "application/jso",
        "application/json5",
        "application/jsonx",
        "application/x-json",
        "application/json-seq",
        "application/json, text/plain",
        "text/plain, application/vnd.a+json",
        "text/plain",
        "text/json",
        "text/plain; a=application/json",
        "text/plain;+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a+json",
        "multipart/form-data boundary/a+json",
        "application/vnd.a+json+xml",
        "application / json",
        "a/b/c+json",
    ] {
        refused(with("content-type", value), Rejection::ContentType).await;
    }
    refused(with("content-type", [0xFF; 16]), Rejection::ContentType).await;
    let mut twice = good();
    twice
        .headers_mut()
        .append("content-type", HeaderValue::from_static("text/plain"));
    refused(twice, Rejection::ContentType).await;
}

#[tokio::test]
async fn f61_an_encoded_body_is_415() {
    for value in [
        "gzip",
        "GZIP",
        "br",
        "deflate",
        "zstd",
        "compress",
        "x-gzip",
        "",
        "identity, gzip",
        "aws-chunked",
    ] {
        refused(with("content-encoding", value), Rejection::ContentEncoding).await;
    }
    let mut twice = with("content-encoding", "identity");
    twice
        .headers_mut()
        .append("content-encoding", HeaderValue::from_static("gzip"));
    refused(twice, Rejection::ContentEncoding).await;
    for value in ["identity", "IDENTITY"] {
        probe()
            .send(with("content-encoding", value))
            .await
            .assert_accepted();
    }
}

#[tokio::test]
async fn f52_a_missing_or_malformed_header_is_401() {
    for name in ["x-webhook-timestamp", "x-webhook-signature"] {
        let mut missing = good();
        missing.headers_mut().remove(name);
        refused(missing, Rejection::HeaderMissing).await;
    }
    let junk: [&[u8]; 6] = [b"", b" ", b"\t", b"\xFF\xFE", "é".as_bytes(), b"null"];
    for value in junk {
        refused(
            with("x-webhook-timestamp", value),
            Rejection::TimestampMalformed,
        )
        .await;
        refused(
            with("x-webhook-signature", value),
            Rejection::SignatureMalformed,
        )
        .await;
    }
}

#[tokio::test]
async fn f52_a_repeated_header_is_400_even_when_both_values_are_the_same() {
    for name in ["x-webhook-timestamp", "x-webhook-signature"] {
        for second in [None, Some("1700000000"), Some("")] {
            let mut request = good();
            let first = request.headers()[name].clone();
            let second = second.map_or(first, HeaderValue::from_static);
            request.headers_mut().append(name, second);
            refused(request, Rejection::HeaderRepeated).await;
        }
        // Two in one value are no repetition, only garbage.
        let joined = format!("{0},{0}", good().headers()[name].to_str().unwrap());
        assert_eq!(
            refusal(with(name, joined)).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
}

#[tokio::test]
async fn f40_only_canonical_seconds_are_a_timestamp() {
    let mut spellings: Vec<String> = [
        "+1700000000",
        "-1700000000",
        "-0",
        "+0",
        "00",
        "01700000000",
        " 1700000000",
        "1700000000 ",
        "1700000000.0",
        "1700000000.",
        ".1700000000",
        "1.7e9",
        "17e8",
        "1e9",
        "1_700_000_000",
        "1,700,000,000",
        "0x6553f100",
        "0b1",
        "1700000000000",
        "1000000000000",
        "1700000000L",
        "1700000000s",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744075409551616",
        "NaN",
        "inf",
        "Infinity",
        "true",
        "null",
        "undefined",
        "",
        "\"1700000000\"",
        "[1700000000]",
        "2023-11-14T22:13:20Z",
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "1700000000,1700000000",
        "1700000000;1700000000",
        "1700000000\t",
        "１７００００００００",
        "١٧٠٠٠٠٠٠٠٠",
        "1700000000\u{a0}",
        "²",
        "৭",
    ]
    .map(str::to_owned)
    .to_vec();
    for byte in (b' '..=b'~').filter(|byte| !byte.is_ascii_digit()) {
        let char = char::from(byte);
        spellings.extend([
            format!("{char}1700000000"),
            format!("1700000000{char}"),
            format!("17000{char}0000"),
        ]);
    }
    assert!(spellings.len() > 200);
    for spelling in spellings {
        let reply = refusal(with("x-webhook-timestamp", &spelling)).await;
        assert_eq!(
            reply.rejection,
            Some(Rejection::TimestampMalformed),
            "{spelling:?}"
        );
    }
}

#[tokio::test]
async fn f40_the_timestamp_grammar_is_the_documented_one() {
    let mut random = fastrand::Rng::with_seed(seed());
    for _ in 0..2_000 {
        let length = random.usize(..15);
        let text: String = (0..length)
            .map(|_| char::from(*random.choice(b"0012345678999+-. e").unwrap()))
            .collect();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = text == "0" || !text.is_empty() && digits && !text.starts_with('0');
        let valid = canonical && text.len() <= 12;
        // With the same signature a time that is valid is stale, early, or the signed one.
        let reply =
            futures_util::FutureExt::now_or_never(refusal(with("x-webhook-timestamp", &text)));
        let malformed = reply.map(|it| it.rejection) == Some(Some(Rejection::TimestampMalformed));
        assert_eq!(malformed, !valid, "{text:?}");
    }
}

#[tokio::test]
async fn f39_an_authentic_signature_is_good_for_300_seconds_both_ways() {
    for offset in [-300, -299, -1, 0, 1, 299, 300] {
        let callback = Callback::success("t", "v").signed_at(NOW.saturating_add_signed(offset));
        probe().send(callback.request()).await.assert_accepted();
    }
    for (seconds, why) in [
        (NOW - 301, Rejection::Stale { late_by: 1 }),
        (NOW - 3600, Rejection::Stale { late_by: 3300 }),
        (0, Rejection::Stale { late_by: NOW - 300 }),
        (NOW + 301, Rejection::FromTheFuture { early_by: 1 }),
        (
            999_999_999_999,
            Rejection::FromTheFuture {
                early_by: 999_999_999_999 - NOW - 300,
            },
        ),
    ] {
        refused(
            Callback::success("t", "v").signed_at(seconds).request(),
            why,
        )
        .await;
    }
}

#[tokio::test]
async fn f39_the_tolerance_is_a_knob() {
    let times = Times {
        tolerance: Duration::ZERO,
        ..Times::default()
    };
    let probe = Probe::with(&layer().clock(WallClock::at(NOW)).times(times).unwrap());
    let late = Callback::success("t", "v").signed_at(NOW - 1);
    let reply = probe.send(late.request()).await;
    reply.assert_refusal(Rejection::Stale { late_by: 1 });
    probe.send(good()).await.assert_accepted();
}

#[tokio::test]
async fn f41_a_clock_before_1970_is_503_and_no_panic() {
    struct Broken(Duration);
    impl Clock for Broken {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH - self.0
        }
    }
    for before in [
        Duration::from_nanos(1),
        Duration::from_secs(1),
        Duration::from_secs(1 << 40),
    ] {
        let probe = Probe::with(&layer().clock(Broken(before)));
        let reply = probe.send(good().map(|_| Untouchable)).await;
        reply.assert_refusal(Rejection::ClockUnusable);
        assert_eq!(reply.header("retry-after"), Some("5"));
        probe.assert_untouched();
    }
}

#[tokio::test]
async fn f63_every_refusal_of_a_signature_looks_the_same() {
    let mut forged = Callback::success("t", "v").signed_at(NOW);
    forged.signature = key().sign("another task", NOW);
    let wrong = probe().send(forged.request()).await;
    wrong.assert_refusal(Rejection::SignatureWrong);
    let mut all = vec![wrong];
    for name in ["x-webhook-timestamp", "x-webhook-signature"] {
        let mut missing = good();
        missing.headers_mut().remove(name);
        all.push(refusal(missing).await);
        all.push(refusal(with(name, "garbage")).await);
    }
    for seconds in [NOW - 301, 0, NOW + 301] {
        let callback = Callback::success("t", "v").signed_at(seconds);
        all.push(refusal(callback.request()).await);
    }
    let secret = UrlSecret::new("0123456789abcdef").unwrap();
    let unsigned = SunoCallbackLayer::unsigned(secret, MemoryStore::default());
    let service = unsigned.layer(accepting(Seen::default()));
    let response = service.oneshot(good()).await.unwrap();
    all.push(Reply::of(response).await);

    assert_eq!(all.len(), 9);
    let reasons: std::collections::HashSet<_> = all.iter().map(|it| it.rejection).collect();
    assert!(reasons.len() >= 7, "they differ inside: {reasons:?}");
    for reply in &all {
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            format!("{:?}", reply.headers),
            format!("{:?}", all[0].headers)
        );
        assert_eq!(reply.body, all[0].body);
    }
}

#[tokio::test]
async fn without_signatures_the_url_must_carry_the_secret_exactly_once() {
    let secret = "0123456789abcdef-._~";
    let layer =
        SunoCallbackLayer::unsigned(UrlSecret::new(secret).unwrap(), MemoryStore::default());
    let seen = Seen::default();
    let service = layer.layer(accepting(seen.clone()));
    let plain = |uri: &str| {
        let body = Callback::success(uri.get(..40).unwrap_or(uri), "v").body;
        Request::post(uri).body(Full::<Bytes>::from(body)).unwrap()
    };
    for uri in [
        "/".to_owned(),
        "/?".into(),
        "/?token".into(),
        "/?token=".into(),
        format!("/?token={}", &secret[..19]),
        format!("/?token={secret}x"),
        format!("/?token={secret}%00"),
        format!("/?token={}", secret.to_uppercase()),
        format!("/?token=%30{}", &secret[1..]),
        format!("/?token={secret}&token={secret}"),
        format!("/?token=wrong&token={secret}"),
        format!("/?Token={secret}"),
        format!("/?xtoken={secret}"),
        format!("/?a=b;token={secret}"),
        format!("/{secret}"),
        format!("/token={secret}"),
    ] {
        let request = plain(&uri).map(|_| Untouchable);
        let response = service.clone().oneshot(request).await.unwrap();
        Reply::of(response)
            .await
            .assert_refusal(Rejection::UrlSecretWrong);
    }
    assert_eq!(seen.len(), 0);
    for uri in [
        format!("/?token={secret}"),
        format!("/cb?id=7&token={secret}&step=2"),
    ] {
        let response = service.clone().oneshot(plain(&uri)).await.unwrap();
        Reply::of(response).await.assert_accepted();
    }
    // Signature headers are not looked at, not even broken ones.
    let mut request = good();
    *request.uri_mut() = format!("/?token={secret}").parse().unwrap();
    request
        .headers_mut()
        .append("x-webhook-signature", HeaderValue::from_static("garbage"));
    let response = service.clone().oneshot(request).await.unwrap();
    Reply::of(response).await.assert_accepted();
    for (_, delivery) in seen.all() {
        assert_eq!(delivery.trust(), Trust::Unsigned);
        assert_eq!((delivery.key_label(), delivery.signed_at()), (None, None));
    }
}

#[tokio::test]
async fn a_key_lets_nobody_in_where_the_url_must_carry_the_secret() {
    let secret = UrlSecret::new("0123456789abcdef").unwrap();
    let layer = SunoCallbackLayer::unsigned(secret, MemoryStore::default()).also_accept(key());
    let service = layer.layer(accepting(Seen::default()));
    let response = service.oneshot(good()).await.unwrap();
    let reply = Reply::of(response).await;
    reply.assert_refusal(Rejection::UrlSecretWrong);
}

#[tokio::test]
async fn a_closed_drain_refuses_before_anything_else() {
    let layer = layer();
    let probe = Probe::with(&layer);
    layer.drain().close();
    for method in [Method::POST, Method::GET] {
        let mut request = good().map(|_| Untouchable);
        *request.method_mut() = method;
        let reply = probe.send(request).await;
        reply.assert_refusal(Rejection::ShuttingDown);
        assert_eq!(reply.header("retry-after"), Some("5"));
    }
    probe.assert_untouched();
}

#[tokio::test]
async fn f62_the_first_check_that_fails_gives_the_answer() {
    // Bad in everything; each step mends what was refused, and the next check refuses.
    let mut request = Request::get("/").body(()).unwrap();
    let headers = request.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    type Mend = fn(&mut Request<()>);
    let set = |request: &mut Request<()>, name: &'static str, value: &'static str| {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    };
    let _ = set;
    let steps: [(Rejection, Mend); 9] = [
        (Rejection::Method, |it| *it.method_mut() = Method::POST),
        (Rejection::ContentType, |it| {
            drop(it.headers_mut().remove("content-type"))
        }),
        (Rejection::ContentEncoding, |it| {
            it.headers_mut().remove("content-encoding");
        }),
        (Rejection::HeaderMissing, |it| {
            for value in ["x", "y"] {
                it.headers_mut()
                    .append("x-webhook-timestamp", HeaderValue::from_static(value));
            }
        }),
        (Rejection::HeaderRepeated, |it| {
            it.headers_mut()
                .insert("x-webhook-timestamp", HeaderValue::from_static("x"));
        }),
        (Rejection::HeaderMissing, |it| {
            for value in ["x", "y"] {
                it.headers_mut()
                    .append("x-webhook-signature", HeaderValue::from_static(value));
            }
        }),
        (Rejection::HeaderRepeated, |it| {
            it.headers_mut()
                .insert("x-webhook-signature", HeaderValue::from_static("x"));
        }),
        (Rejection::TimestampMalformed, |it| {
            it.headers_mut()
                .insert("x-webhook-timestamp", HeaderValue::from_static("1"));
        }),
        (Rejection::SignatureMalformed, |it| {
            let signature = HeaderValue::from_str(&"A".repeat(43)).unwrap();
            it.headers_mut().insert("x-webhook-signature", signature);
        }),
    ];
    for (why, mend) in steps {
        refused(request.clone().map(|()| Full::default()), why).await;
        mend(&mut request);
    }
    let signature = format!("{}=", "A".repeat(43));
    let signature = HeaderValue::from_str(&signature).unwrap();
    request
        .headers_mut()
        .insert("x-webhook-signature", signature);
    let stale = Rejection::Stale { late_by: NOW - 301 };
    refused(request.clone().map(|()| Full::default()), stale).await;
    let now = HeaderValue::from_static("1700000000");
    request.headers_mut().insert("x-webhook-timestamp", now);
    let probe = probe();
    for (body, why) in [
        (" ".repeat(16_385), Rejection::BodyTooLarge),
        ("{".into(), suno_callback::InvalidEvent::NotJson.into()),
        ("{}".into(), suno_callback::InvalidEvent::NoTaskId.into()),
        (r#"{"taskId":"t"}"#.into(), Rejection::SignatureWrong),
    ] {
        let request = request.clone().map(|()| Full::<Bytes>::from(body));
        probe.send(request).await.assert_refusal(why);
    }
    probe.assert_untouched();
}

#[tokio::test]
async fn what_the_head_holds_besides_reaches_the_handler() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let probe = Probe::answering(&layer(), move |request| {
        sender.send(request.into_parts().0).unwrap();
        Ok(harness::answer(StatusCode::OK))
    });
    let mut request = Callback::success("t", "v").request_to("/cb/7?cloneId=3&step=voice");
    request
        .headers_mut()
        .insert("x-request-id", HeaderValue::from_static("r-1"));
    request.extensions_mut().insert("of a layer outside");
    *request.version_mut() = http::Version::HTTP_2;
    probe.send(request).await.assert_accepted();
    let head = receiver.try_recv().unwrap();
    assert_eq!(head.uri, "/cb/7?cloneId=3&step=voice");
    assert_eq!(head.method, Method::POST);
    assert_eq!(head.version, http::Version::HTTP_2);
    assert_eq!(head.headers["x-request-id"], "r-1");
    assert_eq!(head.extensions.get(), Some(&"of a layer outside"));
    assert!(head.extensions.get::<VoiceEvent>().is_some());
}
