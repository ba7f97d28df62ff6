//! What the kit gives to the tests of a handler.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use suno_callback::{
    Clock, MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent, VoiceOutcome,
    testkit::{Callback, ManualClock},
};
use tower::{Layer, ServiceExt};

/// Everything that JSON wants escaped, and some that it does not.
const ODD: &str = "a\"b\\c/d é 声 \u{1F3B5} <&> ' {}";

async fn deliver(callback: &Callback) -> VoiceEvent {
    let key = SigningKey::new("the key of the settings page").unwrap();
    let clock = ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_670_760));
    let seen = Arc::new(Mutex::new(None));
    let handler = tower::service_fn({
        let seen = Arc::clone(&seen);
        move |request: Request<Full<Bytes>>| {
            *seen.lock().unwrap() = request.extensions().get::<VoiceEvent>().cloned();
            async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))) }
        }
    });
    let layer = SunoCallbackLayer::new(key.clone(), MemoryStore::default()).clock(clock.clone());
    let request = callback.signed(&key, &clock);
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    seen.lock().unwrap().take().expect("an event")
}

#[tokio::test]
async fn every_text_arrives_as_it_was_given() {
    let success = deliver(&Callback::success(ODD, "voice-\"1\"")).await;
    assert_eq!(success.task_id(), ODD);
    let VoiceOutcome::Ready(voice) = success.outcome() else {
        panic!("not ready: {success:?}");
    };
    assert_eq!(voice.as_str(), "voice-\"1\"");

    let failure = deliver(&Callback::failure(ODD, "no\n\u{0}\"voice\"")).await;
    let VoiceOutcome::Failed(failure) = failure.outcome() else {
        panic!("not failed: {failure:?}");
    };
    assert_eq!(failure.error_message(), Some("no\n\u{0}\"voice\""));

    let phrase = deliver(&Callback::phrase(ODD, "say \"\\\"")).await;
    let VoiceOutcome::PhraseReady(phrase) = phrase.outcome() else {
        panic!("no phrase: {phrase:?}");
    };
    assert_eq!(phrase, "say \"\\\"");

    let progress = deliver(&Callback::progress(ODD, "wait_processing")).await;
    assert!(
        matches!(progress.outcome(), VoiceOutcome::Pending),
        "{progress:?}"
    );
}

#[test]
fn clones_of_a_manual_clock_show_one_time() {
    let clock = ManualClock::new(SystemTime::UNIX_EPOCH);
    let same = clock.clone();
    clock.advance(Duration::from_secs(7));
    assert_eq!(same.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(7));
    same.set(SystemTime::UNIX_EPOCH);
    assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), SystemTime::UNIX_EPOCH, "there is no such time");
}

#[test]
fn a_clock_before_1970_signs_as_1970() {
    let clock = ManualClock::new(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
    let key = SigningKey::new("the key of the settings page").unwrap();
    let request = Callback::progress("task", "x").signed(&key, &clock);
    assert_eq!(request.headers()["x-webhook-timestamp"], "0");
    assert_eq!(
        request.headers()["x-webhook-signature"],
        key.sign("task", 0).as_str()
    );
}
