//! The rows that concern sockets, through a real hyper connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use suno_callback::Times;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use harness::{
    Callback, KEY,
    probe::{Probe, layer},
    serve,
};

/// One connection, written and read as bytes.
struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    /// Without the one line that the server adds and that changes by itself.
    fn without_date(&self) -> String {
        let lines = self.head.split("\r\n");
        lines
            .filter(|line| !line.starts_with("date:"))
            .collect::<Vec<_>>()
            .join("\n")
            + &self.body
    }
}

impl Wire {
    async fn to(probe: &Probe) -> Self {
        let stream = TcpStream::connect(serve(probe.service.clone()).await)
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let read = Vec::new();
        Self { stream, read }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next answer, an interim one too; `None` when the server hangs up instead.
    async fn answer(&mut self) -> Option<Answer> {
        timeout(Duration::from_secs(20), self.read_answer())
            .await
            .expect("an answer in time")
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let end = loop {
            match self.read.windows(4).position(|it| it == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.more().await?,
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |it| it.parse().unwrap());
        while self.read.len() < length {
            self.more().await?;
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        Some(Answer { head, body })
    }

    async fn more(&mut self) -> Option<()> {
        let count = self.stream.read_buf(&mut self.read).await.ok()?;
        (count > 0).then_some(())
    }
}

/// The head of a callback with these lines instead of its content length.
fn head(callback: &Callback, lines: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         x-webhook-timestamp: {}\r\nx-webhook-signature: {}\r\n{lines}\r\n",
        callback.timestamp, callback.signature,
    )
}

async fn exchange(probe: &Probe, bytes: impl AsRef<[u8]>) -> Answer {
    let mut wire = Wire::to(probe).await;
    wire.send(bytes).await;
    wire.answer().await.expect("an answer")
}

/// With a body time that keeps tests short.
fn impatient() -> Probe {
    let body = Duration::from_millis(200);
    Probe::with(
        &layer()
            .times(Times {
                body,
                ..Times::default()
            })
            .unwrap(),
    )
}

fn callback() -> Callback {
    Callback::success("t", "v")
}

#[tokio::test]
async fn a_callback_over_http_1_is_accepted_and_its_duplicate_too() {
    let probe = Probe::default();
    let mut wire = Wire::to(&probe).await;
    for body in ["handled", r#"{"status":"received"}"#] {
        wire.send(callback().wire()).await;
        let answer = wire.answer().await.unwrap();
        assert_eq!((answer.status(), answer.body.as_str()), (200, body));
    }
    // Two in one packet.
    wire.send([callback().wire(), Callback::failure("u").wire()].concat())
        .await;
    assert_eq!(
        wire.answer().await.unwrap().body,
        r#"{"status":"received"}"#
    );
    assert_eq!(wire.answer().await.unwrap().body, "handled");
    assert_eq!(probe.seen.len(), 2);
}

#[tokio::test]
async fn f60_a_content_length_of_64_tib_is_413_at_once() {
    let probe = Probe::default();
    let began = Instant::now();
    for length in [16_385_u64, 1 << 46, u64::MAX / 2] {
        let lines = format!("content-length: {length}\r\n");
        let answer = exchange(&probe, head(&callback(), &lines)).await;
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.body, r#"{"error":"payload too large"}"#);
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "nobody waits for the body"
    );
    probe.assert_untouched();
}

#[tokio::test]
async fn f60_a_body_that_stalls_on_a_socket_is_408_after_three_seconds() {
    let probe = Probe::default();
    let wire = callback().wire();
    let began = Instant::now();
    let answer = exchange(&probe, &wire[..wire.len() - 1]).await;
    assert_eq!(answer.status(), 408);
    let took = began.elapsed();
    assert!(
        (Duration::from_millis(2900)..Duration::from_secs(6)).contains(&took),
        "{took:?}"
    );
    probe.assert_untouched();
}

#[tokio::test]
async fn f60_a_content_length_that_lies_is_refused() {
    let probe = impatient();
    let body = callback().body;
    let more = head(
        &callback(),
        &format!("content-length: {}\r\n", body.len() + 1),
    );
    assert_eq!(exchange(&probe, more + &body).await.status(), 408);
    let less = head(
        &callback(),
        &format!("content-length: {}\r\n", body.len() - 1),
    );
    assert_eq!(exchange(&probe, less + &body).await.status(), 400);
    probe.assert_untouched();
}

#[tokio::test]
async fn f60_chunks_of_one_byte_are_put_together() {
    let probe = Probe::default();
    let body = callback().body;
    let chunks: String = body
        .chars()
        .map(|char| format!("1\r\n{char}\r\n"))
        .collect();
    let head = head(&callback(), "transfer-encoding: chunked\r\n");
    let mut wire = Wire::to(&probe).await;
    wire.send(&head).await;
    for part in chunks.as_bytes().chunks(100) {
        wire.send(part).await;
        tokio::task::yield_now().await;
    }
    wire.send("0\r\nx-webhook-signature: a trailer\r\n\r\n")
        .await;
    assert_eq!(wire.answer().await.unwrap().status(), 200);
    let (event, _) = probe.seen.all().pop().unwrap();
    assert_eq!(event.body(), body);
}

#[tokio::test]
async fn f60_chunks_beyond_the_limit_are_413() {
    let probe = Probe::default();
    let mut bytes = head(&callback(), "transfer-encoding: chunked\r\n");
    bytes += &"1\r\n \r\n".repeat(16 * 1024 + 1);
    assert_eq!(exchange(&probe, bytes).await.status(), 413);
    let huge = head(&callback(), "transfer-encoding: chunked\r\n") + "400000000000\r\n ";
    let answer = exchange(&impatient(), huge).await;
    assert!([408, 413].contains(&answer.status()), "{answer:?}");
    probe.assert_untouched();
}

#[tokio::test]
async fn a_broken_chunk_is_400() {
    let probe = Probe::default();
    for chunk in ["x\r\n", "-1\r\n", "1\r\n{}\r\n", "FFFFFFFFFFFFFFFFFF\r\n"] {
        let bytes = head(&callback(), "transfer-encoding: chunked\r\n") + chunk;
        assert_eq!(exchange(&probe, bytes).await.status(), 400, "{chunk:?}");
    }
    probe.assert_untouched();
}

#[tokio::test]
async fn f10_a_peer_that_half_closes_inside_the_body_is_not_handled() {
    let probe = Probe::default();
    let bytes = callback().wire();
    let body_at = bytes.len() - callback().body.len();
    for end in [body_at, body_at + 1, bytes.len() - 1] {
        let mut wire = Wire::to(&probe).await;
        wire.send(&bytes[..end]).await;
        wire.stream.shutdown().await.unwrap();
        // The server hangs up, with or without an answer; either way it is done with us.
        if let Some(answer) = wire.answer().await {
            assert_eq!(answer.status(), 400);
        }
    }
    probe.assert_untouched();
}

#[tokio::test]
async fn f60_expect_100_continue_is_answered_only_when_the_head_is_good() {
    let probe = Probe::default();
    let body = callback().body;
    let lines = format!("content-length: {}\r\nexpect: 100-continue\r\n", body.len());
    let mut wire = Wire::to(&probe).await;
    wire.send(head(&callback(), &lines)).await;
    assert_eq!(wire.answer().await.unwrap().status(), 100);
    wire.send(&body).await;
    assert_eq!(wire.answer().await.unwrap().status(), 200);

    let stale = Callback::success("u", "v").signed_at(1_000);
    let answer = exchange(&probe, head(&stale, &lines)).await;
    assert_eq!(answer.status(), 401, "no body was asked for");
    assert_eq!(probe.seen.len(), 1);
}

#[tokio::test]
async fn f68_http_1_0_follows_the_same_rules() {
    let probe = Probe::default();
    let old = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .unwrap()
            .replace("HTTP/1.1", "HTTP/1.0")
    };
    let answer = exchange(&probe, old(callback().wire())).await;
    assert_eq!((answer.status(), answer.body.as_str()), (200, "handled"));
    let stale = callback().signed_at(1_000);
    assert_eq!(exchange(&probe, old(stale.wire())).await.status(), 401);
    let get = old(callback().wire()).replacen("POST", "GET", 1);
    assert_eq!(exchange(&probe, get).await.status(), 405);
    assert_eq!(probe.seen.len(), 1);
}

#[tokio::test]
async fn f68_head_and_options_are_405_and_there_is_no_cors() {
    let probe = Probe::default();
    for method in ["OPTIONS", "HEAD", "GET", "PUT", "DELETE", "PATCH", "TRACE"] {
        let bytes = format!(
            "{method} / HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\n\
             access-control-request-method: POST\r\nconnection: close\r\n\r\n"
        );
        let mut wire = Wire::to(&probe).await;
        wire.send(bytes).await;
        let mut all = String::new();
        wire.stream.read_to_string(&mut all).await.unwrap();
        assert!(all.starts_with("HTTP/1.1 405 "), "{method}: {all}");
        assert!(all.contains("\r\nallow: POST\r\n"), "{all}");
        assert!(!all.contains("access-control"), "{all}");
        assert_eq!(all.ends_with("\r\n\r\n"), method == "HEAD", "{all}");
    }
    probe.assert_untouched();
}

#[tokio::test]
async fn f52_repeated_headers_are_400_over_http_1() {
    let probe = Probe::default();
    let extra = [
        format!("X-Webhook-Timestamp: {}\r\n", callback().timestamp),
        format!("X-WEBHOOK-SIGNATURE: {}\r\n", callback().signature),
        "x-webhook-signature: \r\n".to_owned(),
    ];
    for line in extra {
        let lines = format!("{line}content-length: {}\r\n", callback().body.len());
        let answer = exchange(&probe, head(&callback(), &lines) + &callback().body).await;
        assert_eq!(answer.status(), 400, "{line}");
    }
    probe.assert_untouched();
}

#[tokio::test]
async fn white_space_around_a_header_value_is_no_part_of_it() {
    let probe = Probe::default();
    let bytes = String::from_utf8(callback().wire()).unwrap();
    let spaced = bytes
        .replace("x-webhook-timestamp: ", "X-Webhook-Timestamp:")
        .replace("x-webhook-signature: ", "X-WEBHOOK-SIGNATURE: \t  ")
        .replace("=\r\n", "=  \t\r\n");
    assert_eq!(exchange(&probe, spaced).await.status(), 200);
}

#[tokio::test]
async fn f61_a_compressed_body_is_415() {
    let probe = Probe::default();
    let lines = "content-encoding: gzip\r\ncontent-length: 20\r\n";
    let bytes = [
        head(&callback(), lines).as_bytes(),
        &[0x1f, 0x8b, 8],
        &[0; 17],
    ]
    .concat();
    assert_eq!(exchange(&probe, bytes).await.status(), 415);
    probe.assert_untouched();
}

#[tokio::test]
async fn f63_refusals_of_a_signature_are_the_same_bytes_on_the_wire() {
    let probe = Probe::default();
    let callback = callback();
    let good = String::from_utf8(callback.wire()).unwrap();
    let wrong = Callback {
        task_id: "u".into(),
        ..callback.clone()
    }
    .signed_at(harness::unix_now());
    let mut refusals = vec![
        good.replace("x-webhook-timestamp", "x-other"),
        good.replace("x-webhook-signature", "x-other"),
        good.replace(&callback.timestamp, "0x17"),
        good.replace(&callback.signature, "c2ln"),
        String::from_utf8(callback.clone().signed_at(1_000).wire()).unwrap(),
        String::from_utf8(callback.clone().signed_at(99_999_999_999).wire()).unwrap(),
    ];
    refusals.push(good.replace(&callback.signature, &wrong.signature));
    let mut answers = Vec::new();
    for bytes in refusals {
        answers.push(exchange(&probe, bytes).await);
    }
    for answer in &answers {
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.without_date(), answers[0].without_date());
        assert!(!answer.head.contains(KEY));
    }
    probe.assert_untouched();
}

type Outgoing = BoxBody<Bytes, std::convert::Infallible>;

fn http_2() -> Client<hyper_util::client::legacy::connect::HttpConnector, Outgoing> {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

#[tokio::test]
async fn f68_http_2_follows_the_same_rules() {
    let probe = Probe::default();
    let uri = format!("http://{}/", serve(probe.service.clone()).await);
    let client = http_2();
    let mut get = callback().request_to(&uri);
    *get.method_mut() = Method::GET;
    let mut repeated = callback().request_to(&uri);
    let signature = repeated.headers()["x-webhook-signature"].clone();
    repeated
        .headers_mut()
        .append("x-webhook-signature", signature);
    let large = callback()
        .request_to(&uri)
        .map(|_| Full::from(vec![b' '; 20_000]));
    for (request, status) in [
        (callback().signed_at(1_000).request_to(&uri), 401),
        (get, 405),
        (repeated, 400),
        (large, 413),
        (callback().request_to(&uri), 200),
        (callback().request_to(&uri), 200),
    ] {
        let response = client.request(request.map(BodyExt::boxed)).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (status, Version::HTTP_2)
        );
    }
    assert_eq!(probe.seen.len(), 1);
}

#[tokio::test]
async fn f60_empty_frames_without_end_over_http_2_are_408() {
    let probe = impatient();
    let uri = format!("http://{}/", serve(probe.service.clone()).await);
    let frames = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((Ok(Frame::data(Bytes::new())), ()))
    });
    let body = BodyExt::boxed(StreamBody::new(frames));
    let request: Request<Outgoing> = callback().request_to(&uri).map(|_| body);
    let response = timeout(Duration::from_secs(10), http_2().request(request))
        .await
        .unwrap();
    assert_eq!(response.unwrap().status(), StatusCode::REQUEST_TIMEOUT);
    probe.assert_untouched();
}
