//! What happens, and how it is counted.

use harness::{
    Callback, Handler, Receiver, Seen,
    faulty::{Fault, Faults as _, Faulty, Op, Stranger},
    handling, key, ms, ok_after,
    provider::{Provider, Says},
    secs, send, slot_of, spawn_send, until,
};
use http::StatusCode;
use suno_callback::{
    Confirmation, DedupStore, MemoryStore, Reconciler, SunoCallbackLayer, TaskId, reconcile::Pace,
};
use tokio::time::{advance, sleep};
use tower::Layer;

use crate::recorded::Recording;

fn voices<D: DedupStore>(store: D, handler: Handler) -> Receiver<D> {
    SunoCallbackLayer::new(key(), store).layer(handler)
}

fn ready(status: StatusCode) -> Handler {
    handling(Seen::default(), move |_| async move { status })
}

fn success() -> Callback {
    Callback::success("task", "voice")
}

/// What a receiver has on a good day, and on most of its bad ones. Ends with everything settled.
pub async fn everything(recording: &mut Recording) {
    answers().await;
    stops().await;
    store_that_panics().await;
    claim_that_is_lost().await;
    commit_that_is_given_up(recording).await;
    twins(recording).await;
    questions(recording).await;
}

/// Accepted, a duplicate, late, refused, failed.
async fn answers() {
    let receiver = voices(MemoryStore::default(), ready(StatusCode::OK));
    send(&receiver, &success()).await;
    send(&receiver, &success()).await;
    send(&receiver, &Callback::failure("task")).await;
    send(&receiver, &success().signed_at(1)).await;
    send(&receiver, &Callback::new("task", "{")).await;
    let failing = voices(MemoryStore::default(), ready(StatusCode::BAD_GATEWAY));
    send(&failing, &success()).await;
}

/// A handler that panics, and one that blocks its thread.
async fn stops() {
    let panicking = handling(Seen::default(), |_| async { panic!("a rotten handler") });
    send(&voices(MemoryStore::default(), panicking), &success()).await;
    let blocking = handling(Seen::default(), |_| async {
        advance(ms(4500)).await;
        ok_after(ms(1)).await
    });
    send(&voices(MemoryStore::default(), blocking), &success()).await;
}

/// Each operation fails once, hangs once and panics once.
async fn store_that_panics() {
    let store = Faulty::default();
    let handler = handling(Seen::default(), |_| ok_after(secs(3)));
    for op in [Op::Peek, Op::Claim, Op::Renew, Op::Commit] {
        store.next(op, [Fault::Panic, Fault::Fail, Fault::Hang]);
    }
    let receiver = voices(store.clone(), handler);
    send(&receiver, &success()).await;
    send(&receiver, &Callback::failure("task")).await;
    store.always_all(Fault::Fail);
    send(&receiver, &Callback::success("another", "voice")).await;
    sleep(secs(60)).await;
    let store = Faulty::default();
    store.next(Op::Release, [Fault::Panic, Fault::Fail, Fault::Hang]);
    send(&voices(store, ready(StatusCode::BAD_GATEWAY)), &success()).await;
    sleep(secs(60)).await;
}

/// Somebody else takes over from a process that was paused, and a heartbeat hears of it.
async fn claim_that_is_lost() {
    let store = Faulty::default();
    let (stranger, slot) = (Stranger::on(&store), slot_of(&success()).await);
    let handler = handling(Seen::default(), move |_| {
        let (stranger, slot) = (stranger.clone(), slot);
        async move {
            advance(secs(6)).await;
            stranger.hold(&slot, secs(5)).await;
            ok_after(secs(4)).await
        }
    });
    send(&voices(store, handler), &success()).await;
}

/// A store that goes away for good after the claim.
async fn commit_that_is_given_up(recording: &mut Recording) {
    let store = Faulty::default();
    store.always(Op::Commit, Fault::Fail);
    send(&voices(store, ready(StatusCode::OK)), &success()).await;
    assert_eq!(recording.count("commits_deferred", ""), 1.0);
    sleep(secs(700)).await;
    assert_eq!(recording.count("commits_deferred", ""), 0.0);
}

/// Three requests for one event that takes its time.
async fn twins(recording: &mut Recording) {
    let handler = handling(Seen::default(), |_| ok_after(secs(2)));
    let receiver = voices(MemoryStore::default(), handler);
    let sent = [0; 3].map(|_| spawn_send(&receiver, &success()));
    sleep(secs(1)).await;
    assert_eq!(recording.count("requests_waiting", ""), 2.0);
    for reply in sent {
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(recording.count("requests_waiting", ""), 0.0);
}

/// A provider that is away: what it could not confirm is asked on about, as far as there is room.
async fn questions(recording: &mut Recording) {
    let provider = Provider::that([Says::This(Confirmation::Unavailable)]);
    let pace = Pace {
        tasks: 1,
        ..Pace::default()
    };
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let layer = layer.confirm(provider.clone()).keeping(pace).unwrap();
    let receiver = layer.layer(ready(StatusCode::OK));
    let (kept, not_kept) = (success(), Callback::success("another", "voice"));
    send(&receiver, &kept).await;
    send(&receiver, &not_kept).await;
    assert_eq!(recording.count("watches", ""), 1.0);

    provider.says(Says::record(&kept));
    let reconciler = Reconciler::new(provider.clone(), layer.layer(ready(StatusCode::OK)));
    let watch = reconciler.watch(&TaskId::new("task").unwrap());
    let reconciling = tokio::spawn(reconciler.run());
    assert!(watch.await.is_delivered());
    sleep(secs(60)).await;
    layer.drain().close();
    reconciling.await.unwrap();
    assert_eq!(recording.count("watches", ""), 0.0);
}

#[tokio::test(start_paused = true)]
async fn an_event_counts_once_by_what_became_of_it() {
    let mut it = Recording::start();
    answers().await;
    let mut counts = |words| it.count("events_total", &format!("voice {words}"));
    assert_eq!(counts("success accepted"), 1.0);
    assert_eq!(counts("success duplicate"), 1.0);
    assert_eq!(counts("failure late"), 1.0);
    assert_eq!(counts("success handler_failed"), 1.0);
    assert_eq!(
        counts("failure accepted"),
        0.0,
        "registered, and never counted"
    );
    assert_eq!(it.count("refused_total", "voice stale"), 1.0);
    assert_eq!(it.count("refused_total", "voice not_json"), 1.0);
    assert_eq!(it.count("refused_total", "voice signature_wrong"), 0.0);
    // 2 handled, 2 received; a refusal has no time.
    assert_eq!(it.count("handled_seconds", "voice"), 2.0);
    assert_eq!(it.count("waited_seconds", "voice handled"), 2.0);
    assert_eq!(it.count("waited_seconds", "voice received"), 2.0);
    assert_eq!(it.count("waited_seconds", "voice postponed"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn an_operation_counts_once_whatever_became_of_it() {
    let mut it = Recording::start();
    let store = Faulty::default();
    store.next(Op::Claim, [Fault::Fail, Fault::Panic, Fault::Hang]);
    let receiver = voices(store.clone(), ready(StatusCode::OK));
    assert_eq!(send(&receiver, &success()).await.status(), StatusCode::OK);
    for outcome in ["ok", "failed", "panicked", "abandoned"] {
        let words = format!("claim {outcome}");
        assert_eq!(it.count("store_operations_total", &words), 1.0, "{words}");
    }
    assert_eq!(it.count("store_operations_total", "commit ok"), 1.0);
    assert_eq!(it.count("store_operation_seconds", "claim"), 4.0);
    assert_eq!(store.count(Op::Claim), 4);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlives_its_deadline_is_postponed_and_then_counted() {
    let mut it = Recording::start();
    let handler = handling(Seen::default(), |_| ok_after(secs(20)));
    let receiver = voices(MemoryStore::default(), handler);
    let reply = send(&receiver, &success()).await;
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(it.count("postponed_total", "voice still_running"), 1.0);
    assert_eq!(it.count("events_total", "voice success accepted"), 0.0);
    sleep(secs(10)).await;
    assert_eq!(it.count("events_total", "voice success accepted"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_question_counts_once_with_its_answer() {
    let mut it = Recording::start();
    let provider = Provider::that([Says::This(Confirmation::Pending), Says::record(&success())]);
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default()).confirm(provider.clone());
    let receiver = layer.layer(ready(StatusCode::OK));
    assert_eq!(send(&receiver, &success()).await.status(), StatusCode::OK);
    until("it is settled", || provider.open() == 0).await;
    assert_eq!(provider.asked(), 2);
    assert_eq!(it.count("questions_total", "voice callback pending"), 1.0);
    assert_eq!(it.count("questions_total", "voice callback confirmed"), 1.0);
}

/// Hostile text gets into no label, and no label grows with what is sent.
#[tokio::test(start_paused = true)]
async fn nothing_from_the_network_gets_into_a_label() {
    let mut it = Recording::start();
    let receiver = voices(MemoryStore::default(), ready(StatusCode::OK));
    send(&receiver, &Callback::progress("task", "wait_processing")).await;
    it.look();
    let series = |it: &Recording| {
        it.seen
            .values()
            .map(|seen| seen.series.len())
            .sum::<usize>()
    };
    let before = series(&it);
    for number in 0..50 {
        let (task, text) = (format!("task-{number}"), format!("hostile-{number}"));
        for callback in [
            Callback::progress(&task, &text),
            Callback::success(&task, &text),
            Callback::new(&task, &*text),
            Callback::new(&text, Callback::success(&task, &text).body),
        ] {
            send(&receiver, &callback).await;
        }
    }
    it.look();
    assert_eq!(series(&it), before);
    let all = it.seen.values().flat_map(|seen| seen.series.keys());
    let hostile: Vec<_> = all.filter(|words| words.contains("hostile")).collect();
    assert!(hostile.is_empty(), "{hostile:?}");
}
