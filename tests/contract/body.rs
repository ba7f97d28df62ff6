//! Bodies that are too large, too slow, broken, or in odd pieces.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody, channel::Channel};
use suno_callback::{InvalidEvent, Limits, Rejection};
use tokio::time::Instant;

use harness::{
    Callback, answer,
    probe::{Probe, layer},
};

const LIMIT: usize = 16 * 1024;

/// A good callback of exactly `len` bytes.
fn of_len(len: usize) -> Callback {
    let mut callback = Callback::success("t", "v");
    callback.body = format!("{:len$}", callback.body);
    assert_eq!(callback.body.len(), len);
    callback
}

fn in_frames(
    callback: &Callback,
    size: usize,
) -> Request<impl Body<Data = Bytes, Error = Infallible> + use<>> {
    let body = Bytes::from(callback.body.clone());
    let frames: Vec<_> = body
        .chunks(size)
        .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    callback
        .request()
        .map(|_| StreamBody::new(stream::iter(frames)))
}

/// Gives `frame` for ever, without ever being pending.
struct Endless(Bytes);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(self.0.clone()))))
    }
}

/// Says how long it is, and must not be read.
struct Declared(u64);

impl Body for Declared {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read")
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn f60_a_body_of_the_limit_is_read_and_one_byte_more_is_413() {
    for size in [1, 7, 1000, LIMIT - 1, LIMIT, LIMIT + 1] {
        let probe = Probe::default();
        let request = in_frames(&of_len(LIMIT), size);
        probe.send(request).await.assert_accepted();

        let probe = Probe::default();
        let request = in_frames(&of_len(LIMIT + 1), size);
        probe
            .send(request)
            .await
            .assert_refusal(Rejection::BodyTooLarge);
        probe.assert_untouched();
    }
}

#[tokio::test]
async fn f60_a_declared_length_above_the_limit_is_413_without_reading() {
    for length in [LIMIT as u64 + 1, 1 << 32, 1 << 46, u64::MAX] {
        let probe = Probe::default();
        let request = Callback::success("t", "v")
            .request()
            .map(|_| Declared(length));
        probe
            .send(request)
            .await
            .assert_refusal(Rejection::BodyTooLarge);
        probe.assert_untouched();
    }
}

#[tokio::test]
async fn the_body_limit_is_a_knob() {
    let callback = Callback::success("t", "v");
    let limit = callback.body.len();
    let layer = |body| {
        let limits = Limits {
            body,
            ..Limits::default()
        };
        layer().limits(limits).unwrap()
    };
    let probe = Probe::with(&layer(Some(limit)));
    probe.send(callback.request()).await.assert_accepted();
    let probe = Probe::with(&layer(Some(limit - 1)));
    probe
        .send(callback.request())
        .await
        .assert_refusal(Rejection::BodyTooLarge);
}

#[tokio::test]
async fn f60_a_stream_without_end_is_413() {
    for size in [1, 100, LIMIT, 10 * LIMIT] {
        let probe = Probe::default();
        let frame = Bytes::from(vec![b' '; size]);
        let request = Callback::success("t", "v")
            .request()
            .map(|_| Endless(frame));
        probe
            .send(request)
            .await
            .assert_refusal(Rejection::BodyTooLarge);
        probe.assert_untouched();
    }
}

#[tokio::test]
async fn f60_the_handler_gets_the_exact_bytes_whatever_the_frames() {
    let mut callback = Callback::success("t", "v");
    callback.body = format!(
        "\r\n\t {}  \n",
        callback.body.replace("taskId", r"task\u0049d")
    );
    for size in 1..=callback.body.len() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let probe = Probe::answering(&layer(), move |request| {
            let body = request.into_body().collect().now_or_never().unwrap();
            sender.send(body.unwrap().to_bytes()).unwrap();
            Ok(answer(http::StatusCode::OK))
        });
        probe
            .send(in_frames(&callback, size))
            .await
            .assert_accepted();
        assert_eq!(receiver.try_recv().unwrap(), callback.body);
        let (event, _) = probe.seen.all().pop().unwrap();
        assert_eq!(event.body(), callback.body);
    }
}

#[tokio::test]
async fn f60_empty_frames_and_trailers_change_nothing() {
    let callback = Callback::success("t", "v");
    let (first, second) = callback.body.split_at(50);
    let data = |text: &str| Ok::<_, Infallible>(Frame::data(Bytes::from(text.to_owned())));
    let mut trailers = http::HeaderMap::new();
    trailers.insert(
        "x-webhook-signature",
        http::HeaderValue::from_static("garbage"),
    );
    let frames = [
        data(""),
        data(first),
        data(""),
        data(second),
        data(""),
        Ok(Frame::trailers(trailers)),
    ];
    let probe = Probe::default();
    let body = StreamBody::new(stream::iter(frames));
    probe
        .send(callback.request().map(|_| body))
        .await
        .assert_accepted();
}

#[tokio::test]
async fn f60_a_body_that_breaks_off_is_400() {
    let callback = Callback::success("t", "v");
    for end in 0..=callback.body.len() {
        let part = Bytes::from(callback.body[..end].to_owned());
        let frames = [Ok(Frame::data(part)), Err("connection reset")];
        let probe = Probe::default();
        let body = StreamBody::new(stream::iter(frames));
        let reply = probe.send(callback.request().map(|_| body)).await;
        reply.assert_refusal(Rejection::BodyBroken);
        probe.assert_untouched();
    }
}

#[tokio::test(start_paused = true)]
async fn f60_a_body_that_stalls_is_408_after_three_seconds() {
    let probe = Probe::default();
    let (mut sender, body) = Channel::<Bytes>::new(8);
    sender.send_data(Bytes::from_static(b"{")).await.unwrap();
    let began = Instant::now();
    let reply = probe
        .send(Callback::success("t", "v").request().map(|_| body))
        .await;
    reply.assert_refusal(Rejection::BodyTooSlow);
    assert_eq!(began.elapsed().as_secs(), 3);
    probe.assert_untouched();
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn f60_a_byte_a_second_is_408_after_three_seconds() {
    let probe = Probe::default();
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let drip = tokio::spawn(async move {
        while sender.send_data(Bytes::from_static(b" ")).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let began = Instant::now();
    let reply = probe
        .send(Callback::success("t", "v").request().map(|_| body))
        .await;
    reply.assert_refusal(Rejection::BodyTooSlow);
    assert_eq!(began.elapsed().as_secs(), 3);
    probe.assert_untouched();
    drip.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_complete_just_in_time_is_accepted() {
    let probe = Probe::default();
    let callback = Callback::success("t", "v");
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let request = callback.request().map(|_| body);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(2990)).await;
        sender.send_data(Bytes::from(callback.body)).await.unwrap();
    });
    probe.send(request).await.assert_accepted();
}

#[tokio::test(start_paused = true)]
async fn f60_empty_frames_without_end_are_408_and_let_others_run() {
    let probe = Probe::default();
    let request = Callback::success("t", "v")
        .request()
        .map(|_| Endless(Bytes::new()));
    let sent = tokio::spawn({
        let probe = probe.clone();
        async move { probe.send(request).await }
    });
    // This runs at all only because the other task yields.
    let began = Instant::now();
    while !sent.is_finished() {
        assert!(began.elapsed() < Duration::from_secs(4));
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    sent.await.unwrap().assert_refusal(Rejection::BodyTooSlow);
    probe.assert_untouched();
}

#[tokio::test]
async fn f10_a_peer_that_goes_while_it_sends_leaves_nothing_behind() {
    let callback = Callback::success("t", "v");
    let probe = Probe::default();
    for end in 0..callback.body.len() {
        let (mut sender, body) = Channel::<Bytes>::new(2);
        let part = Bytes::from(callback.body[..end].to_owned());
        sender.send_data(part).await.unwrap();
        let mut sent = Box::pin(probe.send(callback.request().map(|_| body)));
        assert!((&mut sent).now_or_never().is_none());
        drop(sent);
    }
    probe.assert_untouched();
    probe.send(callback.request()).await.assert_accepted();
}

#[tokio::test]
async fn an_empty_body_is_no_event() {
    let probe = Probe::default();
    let request = Callback::success("t", "v")
        .request()
        .map(|_| Full::<Bytes>::default());
    let reply = probe.send(request).await;
    reply.assert_refusal(InvalidEvent::NotJson.into());
    probe.assert_untouched();
}
