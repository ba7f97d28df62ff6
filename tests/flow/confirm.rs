//! The step `confirm`: what the provider's record says replaces what a callback claims.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use harness::{
    Callback, Seen, accepting, answer,
    faulty::Faulty,
    key,
    provider::{Provider, Says},
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use suno_callback::{
    CallbackKind, Disposition, MemoryStore, Rejection, SunoCallbackLayer, Trust, Unconfirmed,
    UrlSecret, VoiceEvent, VoiceOutcome,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

fn layer(api: &Provider) -> SunoCallbackLayer<MemoryStore> {
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
    let api = Provider::that([Says::record(&Callback::success("t", "genuine"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    let response = send(&service, &Callback::success("t", "forged")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(voices(&seen), ["genuine"]);
    assert_eq!(seen.all()[0].1.trust(), Trust::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn the_record_wins_where_it_says_success_and_the_body_denied_it() {
    for forged in [Callback::failure("t"), Callback::success("t", "fail")] {
        let api = Provider::that([Says::Voice("genuine")]);
        let seen = Seen::default();
        let service = layer(&api).layer(accepting(seen.clone()));
        send(&service, &forged).await;
        assert_eq!(voices(&seen), ["genuine"]);
        // And the success that comes later is its duplicate, because it took the success's slot.
        let response = send(&service, &Callback::success("t", "genuine")).await;
        assert_eq!(disposition(&response), Some(Disposition::Duplicate));
        assert_eq!((seen.len(), api.asked()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_record_wins_where_it_says_fail_and_the_body_said_success() {
    let api = Provider::that([Says::record(&Callback::failure("t"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    send(&service, &Callback::success("t", "forged")).await;
    assert_eq!(voices(&seen), ["failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_forged_success_of_a_failed_task_takes_the_failure_s_slot() {
    let api = Provider::that([Says::record(&Callback::failure("t"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    send(&service, &Callback::success("t", "forged")).await;
    let response = send(&service, &Callback::failure("t")).await;
    assert_eq!(disposition(&response), Some(Disposition::Duplicate));
    tokio::time::advance(Duration::from_secs(2)).await;
    api.says(Says::Voice("genuine"));
    send(&service, &Callback::success("t", "genuine")).await;
    assert_eq!(voices(&seen), ["failed", "genuine"]);
}

#[tokio::test(start_paused = true)]
async fn an_unsigned_callback_becomes_as_good_as_the_record() {
    let secret = UrlSecret::new("0123456789abcdef").unwrap();
    let layer = SunoCallbackLayer::unsigned(secret, MemoryStore::default())
        .confirm(Provider::that([Says::Voice("genuine")]));
    let seen = Seen::default();
    let request = Callback::success("t", "forged").request_to("/?token=0123456789abcdef");
    let service = layer.layer(accepting(seen.clone()));
    service.oneshot(request).await.unwrap();
    assert_eq!(voices(&seen), ["genuine"]);
    assert_eq!(seen.all()[0].1.trust(), Trust::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn no_byte_of_a_forged_body_reaches_the_handler() {
    let record = Callback::success("t", "genuine");
    let api = Provider::that([Says::record(&record)]);
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
    let api = Provider::that([Says::Hangs]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    send(&service, &Callback::progress("t", "wait_processing")).await;
    send(&service, &Callback::phrase("t", "la la")).await;
    assert_eq!((seen.len(), api.asked()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_phrase_is_confirmed_where_that_is_wanted() {
    let record = Callback::phrase("t", "genuine");
    let api = Provider::that([Says::record_of(CallbackKind::Validate, &record)]);
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
    let api = Provider::that([
        Says::PENDING,
        Says::PENDING,
        Says::record(&Callback::success("t", "v")),
    ]);
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
async fn is_refused_and_reported(api: Provider, asked: usize) {
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
    let api = Provider::that([Says::UNAVAILABLE]);
    is_refused_and_reported(api, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_still_pending_at_the_budget_is_refused_and_reported() {
    let api = Provider::that([Says::PENDING]);
    is_refused_and_reported(api, 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_success_without_a_voice_id_that_the_record_repeats_is_handed_over() {
    // What was claimed, and how long the record has to fill in.
    for (claimed, questions) in [("", 2), ("fail", 2), ("v", 4)] {
        let api = Provider::that([Says::record(&Callback::success("t", ""))]);
        let seen = Seen::default();
        let service = layer(&api).layer(accepting(seen.clone()));
        let response = send(&service, &Callback::success("t", claimed)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let (event, delivery) = seen.all().remove(0);
        assert!(matches!(event.outcome(), VoiceOutcome::Inconsistent(_)));
        assert_eq!(delivery.trust(), Trust::Confirmed);
        assert_eq!(api.asked(), questions, "{claimed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fills_in_within_the_budget_is_waited_for() {
    let empty = || Says::record(&Callback::success("t", ""));
    let full = Says::record(&Callback::success("t", "v"));
    let api = Provider::that([empty(), empty(), full]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    send(&service, &Callback::success("t", "v")).await;
    assert_eq!(voices(&seen), ["v"]);
}

#[tokio::test(start_paused = true)]
async fn unknown_content_asks_once_and_is_delivered_as_such_where_the_record_does_not_decide() {
    let unknown = Callback::progress("t", "a status of tomorrow");
    for (says, outcome, trust, reports) in [
        (Says::Voice("v"), "ready", Trust::Confirmed, 0),
        (Says::PENDING, "unknown", Trust::SignedId, 1),
        (Says::UNAVAILABLE, "unknown", Trust::SignedId, 1),
        (Says::record(&unknown), "unknown", Trust::SignedId, 1),
    ] {
        let (api, seen) = (Provider::that([says]), Seen::default());
        let reported = Arc::new(AtomicUsize::new(0));
        let hook = Arc::clone(&reported);
        let layer = layer(&api).on_unconfirmed(move |_| {
            hook.fetch_add(1, SeqCst);
        });
        let service = layer.layer(accepting(seen.clone()));
        let response = send(&service, &unknown).await;
        assert_eq!(response.status(), StatusCode::OK);
        let (event, delivery) = seen.all().remove(0);
        assert_eq!(
            (event.outcome().as_str(), delivery.trust()),
            (outcome, trust)
        );
        assert_eq!((reported.load(SeqCst), seen.len()), (reports, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_phrase_is_confirmed_where_it_is_final() {
    let record = Callback::phrase("t", "genuine");
    let api = Provider::that([Says::record_of(CallbackKind::Validate, &record)]);
    let seen = Seen::default();
    let layer = layer(&api).kind(CallbackKind::Validate);
    let service = layer.layer(accepting(seen.clone()));
    send(&service, &Callback::phrase("t", "hostile")).await;
    let (event, _) = seen.all().remove(0);
    assert_eq!(event.outcome(), VoiceOutcome::PhraseReady("genuine"));
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_task_is_refused_and_reported() {
    is_refused_and_reported(
        Provider::that([Says::record(&Callback::success("other", "v"))]),
        4,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_record_of_the_other_kind_is_refused_and_reported() {
    let record = Says::record_of(CallbackKind::Validate, &Callback::success("t", "v"));
    is_refused_and_reported(Provider::that([record]), 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_phrase_in_the_record_of_a_claimed_success_is_refused_and_reported() {
    let record = Says::record(&Callback::phrase("t", "la la"));
    is_refused_and_reported(Provider::that([record]), 4).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_hangs_is_refused_and_reported() {
    is_refused_and_reported(Provider::that([Says::Hangs]), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_confirmer_that_panics_is_an_unreachable_api() {
    is_refused_and_reported(Provider::that([Says::Panics]), 2).await;
}

#[tokio::test(start_paused = true)]
async fn one_failed_question_does_not_cost_the_try() {
    let down = Says::UNAVAILABLE;
    let api = Provider::that([down, Says::record(&Callback::success("t", "v"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    let response = send(&service, &Callback::success("t", "v")).await;
    assert_eq!((response.status(), seen.len()), (StatusCode::OK, 1));
}

#[tokio::test(start_paused = true)]
async fn a_done_success_asks_nobody() {
    let api = Provider::that([Says::record(&Callback::success("t", "v"))]);
    let seen = Seen::default();
    let service = layer(&api).layer(accepting(seen.clone()));
    send(&service, &Callback::success("t", "v")).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    for (callback, how) in [
        (Callback::success("t", "v"), Disposition::Duplicate),
        (Callback::failure("t"), Disposition::Late),
        (Callback::success("t", "fail"), Disposition::Late),
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
        let api = Provider::that([Says::UNAVAILABLE]);
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
        api.says(Says::record(&record));
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
async fn without_a_confirmer_a_conflict_goes_to_the_hook_with_what_nothing_signed_can_say() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&reported);
    let secret = UrlSecret::new("0123456789abcdef").unwrap();
    let layer =
        SunoCallbackLayer::unsigned(secret, MemoryStore::default()).on_conflict(move |conflict| {
            let said = (conflict.same_header_pair, conflict.first_trust);
            hook.lock().unwrap().push(said);
        });
    let seen = Seen::default();
    let service = layer.layer(accepting(seen.clone()));
    for voice in ["one", "two"] {
        let request = Callback::success("t", voice).request_to("/?token=0123456789abcdef");
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(seen.len(), 1);
    assert_eq!(*reported.lock().unwrap(), [(None, Trust::Unsigned)]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_late_when_a_success_was_handled_while_the_provider_was_asked() {
    let two = Duration::from_secs(2);
    for (answer, unconfirmed) in [
        (Says::record(&Callback::failure("t")), Unconfirmed::Refuse),
        (Says::UNAVAILABLE, Unconfirmed::Deliver),
    ] {
        let (store, seen) = (Faulty::default(), Seen::default());
        let elsewhere = SunoCallbackLayer::new(key(), store.clone()).layer(accepting(seen.clone()));
        let layer = SunoCallbackLayer::new(key(), store)
            .confirm(Provider::that([answer.after(two)]))
            .unconfirmed(unconfirmed);
        let asking = layer.layer(accepting(seen.clone()));
        let (failure, success) = (Callback::failure("t"), Callback::success("t", "v"));
        let (failed, succeeded) = tokio::join!(send(&asking, &failure), async {
            tokio::time::sleep(two / 2).await;
            send(&elsewhere, &success).await
        });
        assert_eq!(disposition(&succeeded), Some(Disposition::Accepted));
        assert_eq!(disposition(&failed), Some(Disposition::Late));
        assert_eq!(voices(&seen), ["v"]);
    }
}
