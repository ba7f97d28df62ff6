//! What a newcomer meets on the way to the first event, in full: each text names the fix.

use std::time::Duration;

use axum::{Router, routing::post};
use bytes::Bytes;
use harness::{
    Callback, KEY,
    faulty::{Fault, Faults as _, Faulty, Op},
    handling, key, logs,
    provider::Provider,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use suno_callback::{
    InvalidKey, Limits, MemoryStore, SigningKey, SunoCallbackLayer, Times, UrlSecret, VoiceEvent,
    product::{Music, MusicEvent},
    reconcile::Pace,
};
use tower::{Layer, ServiceExt};

async fn on_voice(_: VoiceEvent) {}

async fn on_music(_: MusicEvent) {}

/// The one answer of an app, and its text.
async fn answered(app: Router, callback: &Callback) -> (StatusCode, String) {
    let response = app.oneshot(callback.request_to("/voice")).await.unwrap();
    let status = response.status();
    let body: Bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// What the log says of a callback, but for times and the task.
async fn logged<S, B>(service: S, callback: &Callback) -> Vec<String>
where
    S: tower::Service<Request<http_body_util::Full<Bytes>>, Response = http::Response<B>>,
    S::Error: std::fmt::Debug,
{
    logs::capture();
    service.oneshot(callback.request()).await.unwrap();
    let without_times = |line: &String| {
        let words = line.split(' ').filter(|word| !word.starts_with("waited="));
        words.collect::<Vec<_>>().join(" ")
    };
    logs::lines().iter().map(without_times).collect()
}

/// `main` and `unwrap` print the `Debug` of an error.
#[test]
fn what_main_prints_is_the_text() {
    fn is_the_text(error: impl std::error::Error) {
        assert_eq!(format!("{error:?}"), error.to_string());
    }
    is_the_text(InvalidKey::NotSet);
    is_the_text(SigningKey::new("").unwrap_err());
    is_the_text(UrlSecret::new("short").unwrap_err());
    let limits = Limits {
        waiters: 0,
        ..Limits::default()
    };
    is_the_text(limits.check().unwrap_err());
    let times = Times {
        lease: Duration::ZERO,
        ..Times::default()
    };
    is_the_text(times.check().unwrap_err());
    let pace = Pace {
        tasks: 0,
        ..Pace::default()
    };
    is_the_text(pace.check().unwrap_err());
}

#[test]
fn no_key_or_one_that_was_copied_wrongly() {
    for (key, text) in [
        (
            "",
            "the signing key is empty; is its environment variable set?",
        ),
        (
            "\"test-webhook-hmac-key\"",
            "the signing key stands in quotes, which env files keep; write it without them",
        ),
        (
            "test",
            "the signing key is shorter than 8 bytes and can be guessed; take the whole \
             `webhookHmacKey` of the account's settings page",
        ),
    ] {
        assert_eq!(SigningKey::new(key).unwrap_err().to_string(), text);
    }
    let blank = SigningKey::new(format!("{KEY}\n"));
    assert_eq!(
        blank.unwrap_err().to_string(),
        "the signing key has a blank, a line break or a byte order mark at one end; read it with \
         `SigningKey::trimmed`, or save it without, as UTF-8"
    );
    assert_eq!(SigningKey::trimmed(" \n").unwrap_err(), InvalidKey::Empty);
}

#[tokio::test]
async fn another_key() {
    let key = SigningKey::new("the key of somebody else").unwrap();
    let layer = SunoCallbackLayer::new(key, MemoryStore::default());
    let service = layer.layer(harness::accepting(Default::default()));
    let lines = logged(service, &Callback::success("t", "v")).await;
    assert_eq!(
        lines,
        [
            "WARN suno_callback message=refused status=401 reason=signature_wrong hint=another key, or another \
          account's callback? Take the whole key of the settings page of the account that submits \
          the tasks"
        ]
    );
}

const NO_LAYER: &str = "no such event in this request: mount the route with \
    `post(handler).layer(SunoCallbackLayer::new(..))`, and with `.receives(..)` where the handler \
    takes the event of another product; what is added to a `Router` with `layer` holds for the routes \
    before it";

#[tokio::test]
async fn no_layer_or_one_in_the_wrong_place_or_for_another_product() {
    let layer = || SunoCallbackLayer::new(key(), MemoryStore::default());
    let callback = Callback::success("t", "v");
    for app in [
        Router::new().route("/voice", post(on_voice)),
        Router::new().layer(layer()).route("/voice", post(on_voice)),
        Router::new().route("/voice", post(on_music).layer(layer())),
    ] {
        let (status, text) = answered(app, &callback).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(text, NO_LAYER);
    }
}

#[test]
#[should_panic = "`receives` comes before `confirm`, `on_unconfirmed` and `on_conflict`"]
fn the_product_after_what_speaks_of_its_events() {
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let _ = layer.confirm(Provider::that([])).receives(Music);
}

#[tokio::test]
async fn the_layer_twice() {
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let inner = layer.layer(harness::accepting(Default::default()));
    let outer = layer.layer(tower::service_fn(move |request| {
        let inner = inner.clone();
        async move { inner.oneshot(request).await }
    }));
    let lines = logged(outer, &Callback::success("t", "v")).await;
    assert_eq!(
        lines[0],
        "ERROR suno_callback message=the layer is mounted twice: a request came through \
         one layer into another that handles the same events; mount it on the route or on its router, \
         not on both, or give each a namespace task_id=\"t\""
    );
}

#[tokio::test]
async fn the_route_of_another_product() {
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let service = layer.layer(harness::accepting(Default::default()));
    let body = r#"{"code":200,"data":{"task_id":"t","audioWavUrl":"https://files.example/t.wav"}}"#;
    let lines = logged(service, &Callback::new("t", body)).await;
    let hint = " hint=content of WAV: is the URL of another product's route? ";
    assert!(lines[0].contains(hint), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away() {
    let store = Faulty::default();
    store.always(Op::Claim, Fault::Fail);
    let handler = handling(Default::default(), |_| async { StatusCode::OK });
    let service = SunoCallbackLayer::new(key(), store).layer(handler);
    let lines = logged(service, &Callback::success("t", "v")).await;
    assert_eq!(
        lines[0],
        "WARN suno_callback message=the store failed operation=claim error=\"injected\""
    );
    assert_eq!(
        lines.last().unwrap(),
        "WARN suno_callback message=postponed task_id=\"t\" product=voice stage=success trust=signed_id key=default \
         hint=`the store failed` says why; so does its `check`, which a readiness probe can ask \
         status=503 reason=store_unavailable"
    );
}
