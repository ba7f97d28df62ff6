//! 500 genuine callbacks at once, with `confirm` as the documentation shows it and the client's own
//! rate: each event is delivered once, by a try or by a poll, within the time that the README says, and
//! the rate is kept. `--nocapture` prints how many needed the poll.

use std::{sync::Arc, time::Duration};

use harness::fake_api::{API_KEY, FakeApi, Reply};
use harness::{Callback, Seen, accepting, key, ms, post, secs, serve, until};
use http::StatusCode;
use suno_callback::{
    MemoryStore, SunoCallbackLayer, Via, VoiceClient,
    client::{ApiKey, Pace},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt};

const TASKS: usize = 500;
/// The client's default.
const RATE: usize = 5;

/// The pauses before the provider's three further tries.
const PAUSES: [Duration; 3] = [secs(5), secs(15), secs(30)];

struct Burst {
    api: FakeApi,
    seen: Seen,
    layer: SunoCallbackLayer<MemoryStore>,
}

impl Burst {
    fn new() -> Self {
        let api = FakeApi::default();
        (0..TASKS).for_each(|n| api.succeed(&id(n), "voice"));
        let client = VoiceClient::new(api.clone(), ApiKey::new(API_KEY).unwrap());
        Self {
            api,
            seen: Seen::default(),
            layer: SunoCallbackLayer::new(key(), MemoryStore::default()).confirm(client),
        }
    }

    /// One callback with the provider's tries; whether one of them was answered with 200.
    fn send(&self, callback: Callback) -> impl Future<Output = bool> + Send + 'static {
        let service = self.layer.layer(accepting(self.seen.clone()));
        async move {
            for pause in PAUSES.into_iter().map(Some).chain([None]) {
                let sent = service.clone().oneshot(callback.request());
                if sent.await.unwrap().status() == StatusCode::OK {
                    return true;
                }
                if let Some(pause) = pause {
                    sleep(pause).await;
                }
            }
            false
        }
    }

    /// All at once, until each event is delivered; prints what happened.
    async fn play(&self, name: &str, bound: Duration) {
        let began = Instant::now();
        let mut all = JoinSet::new();
        for n in 0..TASKS {
            all.spawn(self.send(Callback::success(&id(n), "voice")));
        }
        let accepted = all.join_all().await.into_iter().filter(|it| *it).count();
        while self.seen.len() < TASKS && began.elapsed() < bound {
            sleep(ms(100)).await;
        }
        let took = began.elapsed();
        let seen = self.seen.all();
        let by = |via| seen.iter().filter(|(_, it)| it.via() == via).count();
        println!(
            "{name}: {} by a try, {} by a poll, {accepted} answered 200, {} questions, {took:?}",
            by(Via::Callback),
            by(Via::Poll),
            self.api.count(),
        );
        assert_eq!(seen.len(), TASKS, "each event once, within {bound:?}");
        for n in 0..TASKS {
            assert_eq!(self.seen.runs_of(&id(n)), 1, "{n}");
        }
        self.assert_the_rate_was_kept();
    }

    fn assert_the_rate_was_kept(&self) {
        let times: Vec<_> = self.api.requests().iter().map(|it| it.at).collect();
        for window in times.windows(RATE + 1) {
            assert!(window[RATE] - window[0] >= secs(1));
        }
    }
}

fn id(n: usize) -> String {
    format!("genuine-{n}")
}

/// 500 questions at the rate, and what they cost beside: pauses before polls, repeated questions.
const ENOUGH: Duration = secs((TASKS / RATE) as u64 + 60);

#[tokio::test(start_paused = true)]
async fn five_hundred_at_once_are_each_delivered_once() {
    Burst::new().play("500 at once", secs(2 * 60)).await;
}

#[tokio::test(start_paused = true)]
async fn five_hundred_with_a_429_of_five_minutes_in_the_middle_are_each_delivered_once() {
    let burst = Burst::new();
    let api = burst.api.clone();
    let refusing = tokio::spawn(async move {
        sleep(secs(2)).await;
        api.break_down(Reply::new(429, "").retry_after("300"));
        let asked = api.count();
        until("one is refused", || api.count() > asked).await;
        api.recover();
    });
    burst.play("with a 429 of 300 s", secs(7 * 60)).await;
    refusing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn five_hundred_beside_64_captured_pairs_are_each_delivered_once() {
    let burst = Arc::new(Burst::new());
    let mut flood = JoinSet::new();
    for n in 0..64 {
        let captured = format!("captured-{n}");
        burst.api.progress(&captured, "wait_processing");
        let burst = Arc::clone(&burst);
        flood.spawn(async move {
            let service = burst.layer.layer(accepting(burst.seen.clone()));
            loop {
                let forged = Callback::success(&captured, "forged").request();
                let answered = service.clone().oneshot(forged).await.unwrap();
                assert_eq!(answered.status(), StatusCode::SERVICE_UNAVAILABLE);
                sleep(ms(10)).await;
            }
        });
    }
    sleep(secs(30)).await;
    // At the worst an eighth of the turns is theirs, and half of the polls' quarter.
    burst.play("beside 64 captured pairs", 2 * ENOUGH).await;
    flood.abort_all();
}

#[tokio::test]
async fn over_real_sockets_what_no_try_could_confirm_is_delivered_by_a_poll() {
    let api = FakeApi::default();
    (0..30).for_each(|n| api.succeed(&id(n), "voice"));
    api.break_down(Reply::new(503, "maintenance"));
    let client = VoiceClient::https(ApiKey::new(API_KEY).unwrap()).unwrap();
    let client = client.base_url(&api.serve().await).unwrap();
    let pace = Pace {
        shortest: ms(100),
        longest: secs(1),
        ..Pace::default()
    };
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
        .confirm(client.rate(100, secs(1)))
        .keeping(pace)
        .unwrap();
    let seen = Seen::default();
    let addr = serve(layer.layer(accepting(seen.clone()))).await;
    let mut all = JoinSet::new();
    for n in 0..30 {
        all.spawn(async move { post(addr, &Callback::success(&id(n), "voice")).await.0 });
    }
    for status in all.join_all().await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(seen.len(), 0);
    api.recover();
    until("all are delivered", || seen.len() == 30).await;
    assert!(seen.all().iter().all(|(_, it)| it.via() == Via::Poll));
}
