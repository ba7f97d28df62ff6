//! What the kit gives to the tests of a handler.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use harness::counting::counting;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use suno_callback::{
    AnyStore, Clock, DedupStore, MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent,
    VoiceOutcome,
    store::{Claim, Owner, Record, Settled, SlotKey},
    testkit::{Callback, Intercept, Intercepted, ManualClock, Operation},
};
use tower::{BoxError, Layer, ServiceExt};

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

/// Notes what it is asked for, and drops the work when it is told to.
#[derive(Default)]
struct Noting {
    asked: Mutex<Vec<Operation>>,
    drops: AtomicBool,
}

impl Intercept for Noting {
    async fn intercept<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> Result<T, BoxError> {
        self.asked.lock().unwrap().push(operation);
        match self.drops.load(SeqCst) {
            true => Err("dropped".into()),
            false => work.await,
        }
    }
}

#[tokio::test]
async fn an_interceptor_is_asked_for_each_operation_by_its_name_and_once() {
    let store = Intercepted::new(MemoryStore::default(), Noting::default());
    let (slot, owner, second) = (
        SlotKey::from([1; 32]),
        Owner::from([2; 16]),
        Duration::from_secs(1),
    );
    let Claim::Granted(held) = store.claim(&slot, owner, second).await.unwrap() else {
        panic!("nobody else is here");
    };
    assert_eq!(
        store.renew(&slot, &held, second).await.unwrap(),
        Settled::Applied
    );
    let record = Record::EMPTY;
    let committed = store.commit(&slot, &held, &record, second).await;
    assert_eq!(committed.unwrap(), Settled::Applied);
    assert_eq!(store.peek(&slot).await.unwrap(), Some(record));
    assert_eq!(store.release(&slot, &held).await.unwrap(), Settled::Lost);
    store.check().await.unwrap();
    assert_eq!(
        *store.interceptor().asked.lock().unwrap(),
        [
            Operation::Claim,
            Operation::Renew,
            Operation::Commit,
            Operation::Peek,
            Operation::Release,
            Operation::Check,
        ]
    );
}

#[tokio::test]
async fn work_that_an_interceptor_drops_was_never_done() {
    let store = Intercepted::new(MemoryStore::default(), Noting::default());
    let (slot, second) = (SlotKey::from([1; 32]), Duration::from_secs(1));
    store.interceptor().drops.store(true, SeqCst);
    for number in 0..2 {
        let owner = Owner::from([number; 16]);
        assert!(store.claim(&slot, owner, second).await.is_err());
        assert!(store.inner().is_empty(), "claim {number}");
    }
    assert!(store.check().await.is_err());
    // Another interceptor before the same store.
    let other = store.with(Noting::default());
    let claim = other.claim(&slot, Owner::from([9; 16]), second).await;
    assert!(matches!(claim.unwrap(), Claim::Granted(held) if held.fence() == 1));
    assert_eq!(store.inner().len(), 1);
}

#[test]
fn what_else_a_store_says_is_said_through_an_interceptor_too() {
    fn answers_at_once<D: DedupStore>(_: &D) -> bool {
        D::ANSWERS_AT_ONCE
    }
    let store = Intercepted::new(MemoryStore::default(), Noting::default());
    assert_eq!(store.retention(), MemoryStore::default().retention());
    assert!(store.as_any().is::<MemoryStore>());
    // Only of one that says so itself: most make a store slow.
    assert!(!answers_at_once(&store));
    assert!(answers_at_once(&counting(MemoryStore::default())));
    assert!(!answers_at_once(&counting(AnyStore::new(store))));
}
