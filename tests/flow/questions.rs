//! The step `confirm`: who asks the provider, how often, and for how long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use harness::{
    Callback, Receiver, Reply, Seen, assert_postponed, handling, key, ms,
    provider::{Provider, Says},
    said, secs, send, spawn_send, until,
};
use http::StatusCode;
use suno_callback::{
    Disposition, Drain, Limits, MemoryStore, Rejection, SunoCallbackLayer, Times, Unconfirmed,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tower::Layer;

struct Setup {
    provider: Provider,
    receiver: Receiver<MemoryStore>,
    drain: Drain,
    seen: Seen,
    unconfirmed: Arc<AtomicUsize>,
}

impl Setup {
    fn new<const N: usize>(answers: [Says; N]) -> Self {
        Self::with(answers, StatusCode::OK, |layer| layer)
    }

    fn with<const N: usize>(
        answers: [Says; N],
        status: StatusCode,
        build: impl FnOnce(SunoCallbackLayer<MemoryStore>) -> SunoCallbackLayer<MemoryStore>,
    ) -> Self {
        let (seen, provider) = (Seen::default(), Provider::that(answers));
        let unconfirmed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&unconfirmed);
        let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
        let layer = layer.confirm(provider.clone()).on_unconfirmed(move |_| {
            count.fetch_add(1, SeqCst);
        });
        let layer = build(layer);
        Self {
            provider,
            drain: layer.drain(),
            receiver: layer.layer(handling(seen.clone(), move |_| async move { status })),
            seen,
            unconfirmed,
        }
    }

    async fn send(&self, callback: &Callback) -> Reply {
        send(&self.receiver, callback).await
    }

    async fn timed(&self, callback: &Callback) -> (Reply, Duration) {
        let start = Instant::now();
        let reply = self.send(callback).await;
        (reply, start.elapsed())
    }

    fn spawn(&self, callback: &Callback) -> JoinHandle<Reply> {
        spawn_send(&self.receiver, callback)
    }

    /// That no question is left behind.
    async fn assert_none_is_open(&self) {
        until("no question is open", || self.provider.open() == 0).await;
        assert_eq!(self.drain.active(), 0);
    }
}

fn success() -> Callback {
    Callback::success("task", "voice")
}

fn failure() -> Callback {
    Callback::failure("task")
}

fn inconsistent() -> Callback {
    Callback::success("task", "fail")
}

// How often.

#[tokio::test(start_paused = true)]
async fn everybody_who_waits_shares_one_question() {
    let answer = Says::Voice("voice").after(secs(1));
    let it = Setup::new([answer]);
    let claims = [success(), failure(), inconsistent()];
    let all: Vec<_> = (0..60).map(|n| it.spawn(&claims[n % 3])).collect();
    for request in all {
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!((it.provider.asked(), it.seen.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_used_again_for_a_second_and_no_longer() {
    // A handler that fails, so that nothing is done.
    let it = Setup::with([Says::Voice("voice")], StatusCode::BAD_GATEWAY, |layer| {
        layer
    });
    for (pause, asked) in [(0, 1), (400, 1), (599, 1), (1, 2), (999, 2), (1, 3)] {
        sleep(ms(pause)).await;
        let reply = it.send(&success()).await;
        assert_eq!(said(&reply), Some(Disposition::HandlerFailed));
        assert_eq!(it.provider.asked(), asked, "after {pause} ms more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_counts_from_the_answer_and_not_from_the_question() {
    let answer = Says::Voice("voice").after(secs(3));
    let it = Setup::with([answer], StatusCode::BAD_GATEWAY, |layer| layer);
    it.send(&success()).await;
    sleep(ms(900)).await;
    let (_, took) = it.timed(&success()).await;
    assert_eq!((took, it.provider.asked()), (secs(0), 1));
}

#[tokio::test(start_paused = true)]
async fn each_task_has_a_question_of_its_own() {
    let it = Setup::new([Says::Voice("voice").after(secs(1))]);
    let start = Instant::now();
    let all: Vec<_> = (0..10)
        .map(|n| it.spawn(&Callback::success(&format!("task-{n}"), "voice")))
        .collect();
    for request in all {
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!((it.provider.asked(), it.seen.len()), (10, 10));
    assert!(start.elapsed() < ms(1050));
}

#[tokio::test(start_paused = true)]
async fn open_questions_are_bounded_and_others_wait_for_their_turn() {
    let limits = Limits {
        questions: 3,
        ..Limits::default()
    };
    let answer = Says::Voice("voice").after(ms(1_500));
    let it = Setup::with([answer], StatusCode::OK, |layer| {
        layer.limits(limits).unwrap()
    });
    let all: Vec<_> = (0..10)
        .map(|n| it.spawn(&Callback::success(&format!("task-{n}"), "voice")))
        .collect();
    let mut refused = 0;
    for request in all {
        let reply = request.await.unwrap();
        refused += usize::from(said(&reply) == Some(Rejection::Unconfirmed));
    }
    // Three at 1.5 s and three at 3 s; what had no turn by 4 s is asked on about.
    assert_eq!((refused, it.provider.most()), (4, 3));
    assert_eq!(it.unconfirmed.load(SeqCst), 4);
    until("the others are delivered too", || it.seen.len() == 10).await;
    let callback = Callback::success("task-9", "voice");
    let reply = it.send(&callback).await;
    assert_eq!(said(&reply), Some(Disposition::Duplicate));
}

#[tokio::test(start_paused = true)]
async fn pending_tasks_leave_places_to_those_that_were_not_asked_about() {
    let limits = Limits {
        questions: 8,
        ..Limits::default()
    };
    // Every answer takes a second of the four, so that places are what is scarce: the genuine ones
    // need three seconds with six places and then eight, and all four if they start with none.
    let pending = Says::PENDING.after(ms(1_000));
    let it = Setup::with([pending], StatusCode::OK, |layer| {
        layer
            .limits(limits)
            .unwrap()
            .unconfirmed(Unconfirmed::Refuse)
    });
    let captured = |n: usize| it.spawn(&Callback::success(&format!("captured-{n}"), "forged"));
    for first in (0..64).step_by(8) {
        for request in (first..first + 8).map(captured).collect::<Vec<_>>() {
            let reply = request.await.unwrap();
            assert_eq!(said(&reply), Some(Rejection::Unconfirmed));
        }
    }
    sleep(secs(8)).await; // until no question is open
    let flooding: Vec<_> = (0..64).map(captured).collect();
    it.provider.says(Says::Voice("voice").after(ms(1_000)));
    let genuine: Vec<_> = (0..20)
        .map(|n| it.spawn(&Callback::success(&format!("genuine-{n}"), "voice")))
        .collect();
    for request in genuine {
        let reply = request.await.unwrap();
        assert_eq!(said(&reply), Some(Disposition::Accepted));
    }
    flooding.into_iter().for_each(|request| request.abort());
}

#[tokio::test(start_paused = true)]
async fn a_flood_under_one_header_pair_asks_once_a_second() {
    let limits = Limits {
        waiters_per_slot: 10_000,
        ..Limits::default()
    };
    let it = Setup::with([Says::PENDING], StatusCode::OK, |layer| {
        layer.limits(limits).unwrap()
    });
    let began = Instant::now();
    let flood = (0..1_000).map(|n| it.spawn(&Callback::success("task", &format!("forged-{n}"))));
    for forged in flood.collect::<Vec<_>>() {
        let status = forged.await.unwrap().status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let (asked, seconds) = (it.provider.asked(), began.elapsed().as_secs() as usize);
    assert!((1..=seconds + 1).contains(&asked), "{asked}");
    assert_eq!(it.seen.len(), 0);
}

/// Sends all, and says how many were answered 200 and how many were refused at once as too many.
async fn crowd(it: &Setup, callbacks: impl Iterator<Item = Callback>) -> (usize, usize) {
    let began = Instant::now();
    let all: Vec<_> = callbacks.map(|callback| it.spawn(&callback)).collect();
    let (mut answered, mut refused) = (0, 0);
    for request in all {
        let reply = request.await.unwrap();
        match said(&reply) {
            Some(Rejection::TooManyWaiters) => refused += 1,
            _ => answered += usize::from(reply.status() == StatusCode::OK),
        }
    }
    assert!(began.elapsed() < secs(3));
    (answered, refused)
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_the_word_on_one_task_are_bounded() {
    let limits = Limits {
        waiters_per_slot: 8,
        ..Limits::default()
    };
    let slow = || Says::Voice("voice").after(secs(1));
    let it = Setup::with([Says::PENDING, slow()], StatusCode::OK, |layer| {
        layer.limits(limits).unwrap()
    });
    // They wait through two questions and a pause.
    let flood = (0..100).map(|n| Callback::success("task", &format!("voice-{n}")));
    assert_eq!(crowd(&it, flood).await, (8, 92));
    let next = (0..8).map(|n| Callback::success("another", &format!("voice-{n}")));
    assert_eq!(crowd(&it, next).await, (8, 0), "the places are back");
    it.assert_none_is_open().await;
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_any_word_are_bounded() {
    let limits = Limits {
        waiters: 10,
        ..Limits::default()
    };
    let it = Setup::with(
        [Says::Voice("voice").after(secs(1))],
        StatusCode::OK,
        |layer| layer.limits(limits).unwrap(),
    );
    let tasks = || (0..30).map(|n| Callback::success(&format!("task-{n}"), "voice"));
    assert_eq!(crowd(&it, tasks()).await, (10, 20));
    assert_eq!(it.provider.asked(), 10);
    assert_eq!(
        crowd(&it, tasks().take(20)).await,
        (20, 0),
        "the places are back"
    );
    it.assert_none_is_open().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_serves_every_route_of_the_layer() {
    let provider = Provider::that([Says::UNAVAILABLE]);
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
        .confirm(provider.clone())
        .unconfirmed(Unconfirmed::Deliver);
    let route = || layer.layer(handling(Seen::default(), |_| async { StatusCode::OK }));
    let (one, other) = (route(), route());
    let (failure, success) = (failure(), success());
    tokio::join!(send(&one, &failure), send(&other, &success));
    assert_eq!(provider.asked(), 2, "one question and its one repetition");
}

// For how long.

#[tokio::test(start_paused = true)]
async fn how_long_to_ask_is_a_knob() {
    let times = Times {
        confirm: secs(2),
        ..Times::default()
    };
    for (times, wait) in [(Times::default(), secs(4)), (times, secs(2))] {
        let it = Setup::with([Says::Hangs], StatusCode::OK, |layer| {
            layer.times(times).unwrap()
        });
        let (reply, took) = it.timed(&success()).await;
        assert_postponed(&reply, Rejection::Unconfirmed);
        assert!(took >= wait && took < wait + ms(10), "{took:?}");
        assert_eq!(it.unconfirmed.load(SeqCst), 1);
        it.assert_none_is_open().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_outlives_the_one_who_asked_and_answers_all_who_wait() {
    let it = Setup::new([Says::Voice("voice").after(secs(2))]);
    let first = it.spawn(&success());
    sleep(ms(100)).await;
    let second = it.spawn(&success());
    sleep(ms(900)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let start = Instant::now();
    assert_eq!(said(&second.await.unwrap()), Some(Disposition::Accepted));
    assert!(start.elapsed() < ms(1010), "{:?}", start.elapsed());
    assert_eq!((it.provider.asked(), it.seen.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn senders_who_hang_up_do_not_start_the_question_again() {
    let it = Setup::new([Says::Hangs]);
    for n in 0..1_000 {
        let callback = Callback::success("task", &format!("forged-{n}"));
        let hung_up = timeout(ms(1), it.send(&callback)).await;
        assert!(hung_up.is_err());
    }
    // About two seconds: the time for the first question is not even over.
    assert_eq!(it.provider.asked(), 1);
    it.assert_none_is_open().await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hung_is_asked_anew_by_the_next_try() {
    let it = Setup::new([Says::Hangs, Says::Voice("voice")]);
    let reply = it.send(&success()).await;
    assert_eq!(said(&reply), Some(Rejection::Unconfirmed));
    let (reply, took) = it.timed(&success()).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
    assert!(took <= secs(1) + ms(10), "{took:?}");
    assert_eq!(it.provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_gives_its_place_back() {
    let limits = Limits {
        questions: 1,
        ..Limits::default()
    };
    let it = Setup::with([Says::Panics, Says::Voice("voice")], StatusCode::OK, |it| {
        it.limits(limits).unwrap()
    });
    let (reply, took) = it.timed(&success()).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
    assert!(took >= secs(1) && took <= secs(1) + ms(10), "{took:?}");
    it.assert_none_is_open().await;
}
