//! The step `confirm`: what the provider's record says replaces what a callback claims.

mod common;

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use common::{Callback, Seen, accepting, answer, key};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use suno_callback::{
    CallbackKind, Confirm, Confirmation, Disposition, Limits, MemoryStore, Rejection,
    SunoCallbackLayer, Trust, Unconfirmed, UrlSecret, VoiceEvent, VoiceOutcome,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

/// An API whose answers are scripted; the last one is repeated.
#[derive(Clone, Default)]
struct Api {
    answers: Arc<Mutex<Vec<Script>>>,
    asked: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum Script {
    Says(Confirmation),
    Hangs,
    Panics,
}

impl Api {
    fn new(answers: impl IntoIterator<Item = Script>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self {
            answers: Arc::new(Mutex::new(answers)),
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn next(&self) -> Script {
        let mut answers = self.answers.lock().unwrap();
        match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop().unwrap(),
        }
    }
}

impl Confirm for Api {
    async fn confirm(&self, _: &VoiceEvent) -> Confirmation {
        self.asked.fetch_add(1, SeqCst);
        match self.next() {
            Script::Says(confirmation) => confirmation,
            Script::Hangs => pending().await,
            Script::Panics => panic!("a broken confirmer"),
        }
    }
}

fn says(record: &Callback) -> Script {
    let record = VoiceEvent::from_record(CallbackKind::Generate, &record.body).unwrap();
    Script::Says(Confirmation::Confirmed(record))
}

fn layer(api: &Api) -> SunoCallbackLayer<MemoryStore> {
    SunoCallbackLayer::new(key(), MemoryStore::default()).confirm(api.clone())
}

async fn send<S, B>(service: &S, callback: &Callback) -> http::Response<B>
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: std::fmt::Debug,
{
    service.clone().oneshot(callback.request()).await.unwrap()
}

fn disposition<B>(response: &http::Response<B>) -> Option<Disposition> {
    response.extensions().get().copied()
}

fn rejection<B>(response: &http::Response<B>) -> Option<Rejection> {
    response.extensions().get().copied()
}

fn voices(seen: &Seen) -> Vec<String> {
    let all = seen.all();
    let voice = |(event, _): &(VoiceEvent, _)| match event.outcome() {
        VoiceOutcome::Ready(id) => id.to_string(),
        other => other.as_str().to_owned(),
    };
    all.iter().map(voice).collect()
}

#[tokio::test(start_paused = true)]
async fn the_record_wins_over_a_forged_voice() {
    let api = Api::new([says(&Callback::success("t", "genuine"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    let response = send(&service, &Callback::success("t", "forged")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(voices(&seen), ["genuine"]);
    assert_eq!(seen.all()[0].1.trust(), Trust::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn the_record_wins_where_it_says_success_and_the_body_said_fail() {
    let api = Api::new([says(&Callback::success("t", "genuine"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    send(&service, &Callback::failure("t")).await;
    assert_eq!(voices(&seen), ["genuine"]);
    // And the success that comes later is its duplicate, because it took the success's slot.
    let response = send(&service, &Callback::success("t", "genuine")).await;
    assert_eq!(disposition(&response), Some(Disposition::Duplicate));
    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_record_wins_where_it_says_fail_and_the_body_said_success() {
    let api = Api::new([says(&Callback::failure("t"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    send(&service, &Callback::success("t", "forged")).await;
    assert_eq!(voices(&seen), ["failed"]);
}

#[tokio::test(start_paused = true)]
async fn no_byte_of_a_forged_body_reaches_the_handler() {
    let record = Callback::success("t", "genuine");
    let api = Api::new([says(&record)]);
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let handler = tower::service_fn({
        let bodies = Arc::clone(&bodies);
        move |request: Request<Full<Bytes>>| {
            let bodies = Arc::clone(&bodies);
            async move {
                let length = request.headers().get("content-length").cloned();
                let body = request.into_body().collect().await?.to_bytes();
                bodies.lock().unwrap().push((length, body));
                Ok::<_, std::convert::Infallible>(answer(StatusCode::OK))
            }
        }
    });
    let mut forged = Callback::success("t", "forged<script>").request();
    forged
        .headers_mut()
        .insert("content-length", "999".parse().unwrap());
    layer(&api).layer(handler).oneshot(forged).await.unwrap();
    let bodies = bodies.lock().unwrap();
    let (length, body) = &bodies[0];
    assert_eq!(*body, record.body);
    let length = length.as_ref().unwrap().to_str().unwrap();
    assert_eq!(length, record.body.len().to_string());
}

#[tokio::test(start_paused = true)]
async fn progress_asks_nobody() {
    let api = Api::new([Script::Hangs]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    send(&service, &Callback::progress("t", "wait_processing")).await;
    send(&service, &Callback::phrase("t", "la la")).await;
    assert_eq!((seen.len(), api.asked()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_phrase_is_confirmed_where_that_is_wanted() {
    let record = Callback::phrase("t", "genuine").body;
    let record = VoiceEvent::from_record(CallbackKind::Validate, &record).unwrap();
    let api = Api::new([Script::Says(Confirmation::Confirmed(record))]);
    let seen = Seen::default();
    let layer = layer(&api).kind(CallbackKind::Validate).confirm_phrases();
    let service = layer.layer(accepting(seen.clone()));
    send(&service, &Callback::phrase("t", "hostile")).await;
    let all = seen.all();
    assert_eq!(all[0].0.outcome(), VoiceOutcome::PhraseReady("genuine"));
    assert_eq!(all[0].1.trust(), Trust::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_catches_up_within_the_budget_is_waited_for() {
    let pending = || Script::Says(Confirmation::Pending);
    let api = Api::new([pending(), pending(), says(&Callback::success("t", "v"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    let began = Instant::now();
    send(&service, &Callback::success("t", "v")).await;
    assert_eq!(voices(&seen), ["v"]);
    assert_eq!(api.asked(), 3);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(3));
}

/// What all kinds of "not known in time" have in common.
async fn is_refused_and_reported(api: Api, asked: usize) {
    let seen = Seen::default();
    let reported = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&reported);
    let layer = layer(&api).on_unconfirmed(move |event| {
        hook.lock().unwrap().push(event.task_id().to_string());
    });
    let service = layer.layer(accepting(seen.clone()));
    let began = Instant::now();
    let response = send(&service, &Callback::success("t", "v")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(rejection(&response), Some(Rejection::Unconfirmed));
    assert!(began.elapsed() <= Duration::from_millis(4_010));
    assert_eq!(*reported.lock().unwrap(), ["t"]);
    assert_eq!((seen.len(), api.asked()), (0, asked));
    // The same, where it is delivered all the same.
    let layer = layer.unconfirmed(Unconfirmed::Deliver);
    let service = layer.layer(accepting(seen.clone()));
    tokio::time::advance(Duration::from_secs(2)).await;
    let response = send(&service, &Callback::success("t", "v")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(seen.all()[0].1.trust(), Trust::SignedId);
    assert_eq!(reported.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_api_is_asked_twice_then_refused_and_reported() {
    let api = Api::new([Script::Says(Confirmation::Unavailable)]);
    is_refused_and_reported(api, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_still_pending_at_the_budget_is_refused_and_reported() {
    let api = Api::new([Script::Says(Confirmation::Pending)]);
    is_refused_and_reported(api, 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_success_without_a_voice_id_in_the_record_is_refused_and_reported() {
    is_refused_and_reported(Api::new([says(&Callback::success("t", ""))]), 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_task_is_refused_and_reported() {
    is_refused_and_reported(Api::new([says(&Callback::success("other", "v"))]), 4).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_hangs_is_refused_and_reported() {
    is_refused_and_reported(Api::new([Script::Hangs]), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_confirmer_that_panics_is_an_unreachable_api() {
    is_refused_and_reported(Api::new([Script::Panics]), 2).await;
}

#[tokio::test(start_paused = true)]
async fn one_failed_question_does_not_cost_the_try() {
    let down = Script::Says(Confirmation::Unavailable);
    let api = Api::new([down, says(&Callback::success("t", "v"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    let response = send(&service, &Callback::success("t", "v")).await;
    assert_eq!((response.status(), seen.len()), (StatusCode::OK, 1));
}

#[tokio::test(start_paused = true)]
async fn a_done_success_asks_nobody() {
    let api = Api::new([says(&Callback::success("t", "v"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    send(&service, &Callback::success("t", "v")).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    for (callback, how) in [
        (Callback::success("t", "v"), Disposition::Duplicate),
        (Callback::failure("t"), Disposition::Late),
        // What stands came from the record, so this can only be forged.
        (Callback::success("t", "forged"), Disposition::Late),
    ] {
        let response = send(&service, &callback).await;
        assert_eq!(disposition(&response), Some(how));
    }
    assert_eq!((seen.len(), api.asked()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_an_unconfirmed_success_is_settled_by_the_record() {
    for (record, second, conflicts) in [
        (Callback::success("t", "first"), "forged", 0),
        (Callback::success("t", "genuine"), "genuine", 1),
        (Callback::success("t", "genuine"), "forged", 1),
        (Callback::failure("t"), "second", 1),
    ] {
        let api = Api::new([Script::Says(Confirmation::Unavailable)]);
        let (seen, reported) = (Seen::default(), Arc::new(Mutex::new(Vec::new())));
        let hook = Arc::clone(&reported);
        let layer = layer(&api)
            .unconfirmed(Unconfirmed::Deliver)
            .on_conflict(move |conflict| {
                let voice = conflict.voice_id().map(ToString::to_string);
                hook.lock().unwrap().push((voice, conflict.first_trust));
            });
        let service = layer.layer(accepting(seen.clone()));
        send(&service, &Callback::success("t", "first")).await;
        tokio::time::advance(Duration::from_secs(2)).await;
        *api.answers.lock().unwrap() = vec![says(&record)];
        let response = send(&service, &Callback::success("t", second)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let reported = reported.lock().unwrap();
        assert_eq!((seen.len(), reported.len()), (1, conflicts), "{second}");
        for (voice, first_trust) in &*reported {
            // What is reported is the truth, never the forgery.
            assert!(matches!(voice.as_deref(), None | Some("genuine")));
            assert_eq!(*first_trust, Trust::SignedId);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_confirmer_a_conflict_goes_to_the_hook() {
    let reported = Arc::new(AtomicUsize::new(0));
    let hook = Arc::clone(&reported);
    let secret = UrlSecret::new("0123456789abcdef").unwrap();
    let layer =
        SunoCallbackLayer::unsigned(secret, MemoryStore::default()).on_conflict(move |_| {
            hook.fetch_add(1, SeqCst);
        });
    let seen = Seen::default();
    let service = layer.layer(accepting(seen.clone()));
    for voice in ["one", "two"] {
        let request = Callback::success("t", voice).request_to("/?token=0123456789abcdef");
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!((seen.len(), reported.load(SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_flood_under_one_header_pair_asks_once_a_second() {
    let api = Api::new([Script::Says(Confirmation::Pending)]);
    let seen = Seen::default();
    let limits = Limits {
        waiters_per_slot: 10_000,
        ..Limits::default()
    };
    let service = layer(&api).limits(limits).layer(accepting(seen.clone()));
    let began = Instant::now();
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..1_000 {
        let callback = Callback::success("t", &format!("forged-{n}"));
        let service = service.clone();
        flood.spawn(async move { send(&service, &callback).await.status() });
    }
    for status in flood.join_all().await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let seconds = began.elapsed().as_secs() as usize;
    assert!((1..=seconds + 1).contains(&api.asked()), "{}", api.asked());
    assert_eq!(seen.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn senders_who_hang_up_do_not_start_the_question_again() {
    let api = Api::new([Script::Hangs]);
    let service = layer(&api).layer(accepting(Seen::default()));
    for n in 0..1_000 {
        let callback = Callback::success("t", &format!("forged-{n}"));
        let sent = send(&service, &callback);
        let hung_up = tokio::time::timeout(Duration::from_millis(1), sent).await;
        assert!(hung_up.is_err());
    }
    // About two seconds: the budget of the first question is not even over.
    assert_eq!(api.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_serves_every_route_of_the_layer_for_a_second() {
    let api = Api::new([Script::Says(Confirmation::Unavailable)]);
    let layer = layer(&api).unconfirmed(Unconfirmed::Deliver);
    let one = layer.layer(accepting(Seen::default()));
    let other = layer.layer(accepting(Seen::default()));
    let (failure, success) = (Callback::failure("t"), Callback::success("t", "v"));
    tokio::join!(send(&one, &failure), send(&other, &success));
    assert_eq!(api.asked(), 2, "one question and its one repetition");
}

#[tokio::test(start_paused = true)]
async fn no_more_questions_are_open_than_the_limit() {
    let api = Api::new([Script::Hangs]);
    let limits = Limits {
        questions: 8,
        ..Limits::default()
    };
    let service = layer(&api).limits(limits).layer(accepting(Seen::default()));
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..100 {
        let callback = Callback::success(&format!("t-{n}"), "v");
        let service = service.clone();
        flood.spawn(async move { rejection(&send(&service, &callback).await) });
    }
    for rejection in flood.join_all().await {
        assert_eq!(rejection, Some(Rejection::Unconfirmed));
    }
    assert_eq!(api.asked(), 8);
}
