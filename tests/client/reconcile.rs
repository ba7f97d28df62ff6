//! Callback and poll together deliver once, also when the provider has stopped calling.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use harness::fake_api::{API_KEY, FakeApi, Reply};
use harness::{Callback, Seen, accepting, answer, key, post, serve, until};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use suno_callback::{
    CallbackKind, Confirm, Confirmation, Disposition, MemoryStore, Reconciler, SunoCallbackLayer,
    SunoCallbackService, TaskId, Trust, Unconfirmed, UrlSecret, Via, VoiceClient, VoiceEvent,
    VoiceOutcome,
    client::{ApiKey, Pace, Unsettled, Watched, Watchlist},
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant, advance, timeout},
};
use tower::{Layer, ServiceExt, util::BoxCloneService};

type Handler =
    BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, std::convert::Infallible>;
type Mounted = SunoCallbackService<Handler, MemoryStore>;

fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

fn client(api: &FakeApi) -> VoiceClient<FakeApi> {
    VoiceClient::new(api.clone(), ApiKey::new(API_KEY).unwrap()).rate(100, Duration::from_secs(1))
}

fn layer() -> SunoCallbackLayer<MemoryStore> {
    SunoCallbackLayer::new(key(), MemoryStore::default())
}

/// A mounted service and the reconciler over it, running.
struct Rig {
    api: FakeApi,
    layer: SunoCallbackLayer<MemoryStore>,
    service: Mounted,
    watchlist: Watchlist,
    running: JoinHandle<()>,
}

impl Rig {
    fn new(layer: SunoCallbackLayer<MemoryStore>, handler: Handler) -> Self {
        Self::paced(layer, handler, Pace::default())
    }

    fn paced(layer: SunoCallbackLayer<MemoryStore>, handler: Handler, pace: Pace) -> Self {
        let api = FakeApi::default();
        let service = layer.layer(handler);
        let reconciler =
            Reconciler::new(client(&api), service.clone()).watching(Watchlist::new(pace).unwrap());
        let watchlist = reconciler.watchlist();
        let running = tokio::spawn(reconciler.run());
        Self {
            api,
            layer,
            service,
            watchlist,
            running,
        }
    }

    async fn receive(&self, callback: &Callback) -> Response<()> {
        let response = self.service.clone().oneshot(callback.request());
        response.await.unwrap().map(drop)
    }
}

fn noting(seen: &Seen) -> Handler {
    BoxCloneService::new(accepting(seen.clone()))
}

/// Answers with these statuses in turn, then with 200.
fn answering(seen: &Seen, statuses: &[u16]) -> Handler {
    let seen = seen.clone();
    let statuses = statuses.iter().map(|it| StatusCode::from_u16(*it).unwrap());
    let statuses: Mutex<Vec<_>> = Mutex::new(statuses.rev().collect());
    let statuses = Arc::new(statuses);
    BoxCloneService::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        seen.push(&request);
        let status = statuses.lock().unwrap().pop().unwrap_or(StatusCode::OK);
        async move { Ok(answer(status)) }
    }))
}

fn disposition<B>(response: &Response<B>) -> Option<Disposition> {
    response.extensions().get().copied()
}

#[tokio::test(start_paused = true)]
async fn a_lost_callback_is_delivered_by_a_poll_and_its_late_twin_is_a_duplicate() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    let watch = rig.watchlist.watch(&task("t"));
    advance(Duration::from_secs(40)).await;
    rig.api.succeed("t", "v");
    assert!(matches!(watch.await, Watched::Delivered(event) if event.task_id() == "t"));
    let (event, delivery) = seen.all().remove(0);
    assert!(matches!(event.outcome(), VoiceOutcome::Ready(id) if *id == "v"));
    assert_eq!(
        (delivery.via(), delivery.trust()),
        (Via::Poll, Trust::Confirmed)
    );
    assert_eq!((delivery.key_label(), delivery.signed_at()), (None, None));
    let response = rig.receive(&Callback::success("t", "v")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(disposition(&response), Some(Disposition::Duplicate));
    assert_eq!(seen.len(), 1);
    assert!(rig.watchlist.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_handler_sees_a_post_with_the_record_as_json() {
    let (sender, mut requests) = mpsc::unbounded_channel();
    let handler = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let sender = sender.clone();
        async move {
            sender.send(request).unwrap();
            Ok(answer(StatusCode::OK))
        }
    });
    let rig = Rig::new(layer(), BoxCloneService::new(handler));
    rig.api.succeed("t", "v");
    drop(rig.watchlist.watch(&task("t")));
    let request = requests.recv().await.unwrap();
    assert_eq!(
        (request.method(), request.uri().path()),
        (&Method::POST, "/")
    );
    assert_eq!(request.headers()["content-type"], "application/json");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["data"]["voiceId"], "v");
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_was_first_ends_the_watch_as_already_delivered() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    let watch = rig.watchlist.watch(&task("t"));
    rig.api.fail("t");
    assert_eq!(
        rig.receive(&Callback::failure("t")).await.status(),
        StatusCode::OK
    );
    assert!(matches!(watch.await, Watched::AlreadyDelivered(_)));
    assert_eq!(seen.len(), 1);
    assert_eq!(seen.all()[0].1.via(), Via::Callback);
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_the_callback_that_is_running() {
    let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = tower::service_fn({
        let (started, finish, runs) = (started.clone(), finish.clone(), runs.clone());
        move |_: Request<Full<Bytes>>| {
            let (started, finish) = (started.clone(), finish.clone());
            runs.fetch_add(1, SeqCst);
            async move {
                started.notify_one();
                finish.notified().await;
                Ok(answer(StatusCode::OK))
            }
        }
    });
    let rig = Rig::new(layer(), BoxCloneService::new(handler));
    rig.api.succeed("t", "v");
    let watch = rig.watchlist.watch(&task("t"));
    let callback = Callback::success("t", "v");
    let called = rig.receive(&callback);
    let whole = async {
        started.notified().await;
        advance(Duration::from_secs(8)).await;
        finish.notify_one();
    };
    let (response, ()) = tokio::join!(called, whole);
    assert_eq!(response.status(), StatusCode::OK);
    assert!(matches!(watch.await, Watched::AlreadyDelivered(_)));
    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn no_reply_deadline_cuts_the_handler_of_a_poll() {
    let handler = tower::service_fn(|_: Request<Full<Bytes>>| async {
        tokio::time::sleep(Duration::from_secs(120)).await;
        Ok(answer(StatusCode::OK))
    });
    let rig = Rig::new(layer(), BoxCloneService::new(handler));
    rig.api.succeed("t", "v");
    let began = Instant::now();
    let watched = rig.watchlist.watch(&task("t")).await;
    assert!(matches!(watched, Watched::Delivered(_)));
    assert!(began.elapsed() >= Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_is_tried_again_until_it_succeeds() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), answering(&seen, &[500, 302, 404]));
    rig.api.succeed("t", "v");
    let watched = rig.watchlist.watch(&task("t")).await;
    assert!(matches!(watched, Watched::Delivered(_)));
    let attempts: Vec<_> = seen.all().iter().map(|(_, it)| it.attempt()).collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn each_end_without_an_outcome_says_why() {
    let pace = || Pace {
        patience: Duration::from_secs(60),
        ..Pace::default()
    };
    let began = Instant::now();
    for (setup, expected) in [
        ((|_| {}) as fn(&FakeApi), Unsettled::Pending),
        (
            |api| api.progress("t", "wait_validating"),
            Unsettled::Pending,
        ),
        (
            |api| api.break_down(Reply::new(503, "")),
            Unsettled::Unreachable,
        ),
        (|api| api.hang(), Unsettled::Unreachable),
        (|api| api.fail("t"), Unsettled::NotAccepted),
    ] {
        let began = Instant::now();
        let seen = Seen::default();
        let rig = Rig::paced(layer(), answering(&seen, &[500; 99]), pace());
        setup(&rig.api);
        let watched = rig.watchlist.watch(&task("t")).await;
        assert!(
            matches!(watched, Watched::Expired(why) if why == expected),
            "{watched:?} {expected:?}"
        );
        // The last question comes at the deadline; a hanging one takes ten seconds more.
        assert!((60..=80).contains(&began.elapsed().as_secs()));
        assert!(rig.watchlist.is_empty());
    }
    assert!(began.elapsed() >= Duration::from_secs(5 * 60));
}

#[tokio::test(start_paused = true)]
async fn the_pauses_grow_from_3_to_30_seconds() {
    let rig = Rig::new(layer(), noting(&Seen::default()));
    let watch = rig.watchlist.watch(&task("t"));
    let began = Instant::now();
    assert!(timeout(Duration::from_secs(300), watch).await.is_err());
    let mut times = vec![began];
    times.extend(rig.api.requests().iter().map(|it| it.at));
    let pauses: Vec<_> = times.windows(2).map(|it| it[1] - it[0]).collect();
    assert!(pauses.len() >= 9, "{pauses:?}");
    for pause in &pauses {
        let bounds = Duration::from_secs(3)..=Duration::from_millis(30_100);
        assert!(bounds.contains(pause), "{pauses:?}");
    }
    assert!(pauses.last() > pauses.first(), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_watch_survives_an_api_that_is_down() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    rig.api.break_down(Reply::new(502, "<html>"));
    rig.api.succeed("t", "v");
    let mut watch = rig.watchlist.watch(&task("t"));
    assert!(timeout(Duration::from_secs(600), &mut watch).await.is_err());
    rig.api.recover();
    assert!(watch.await.is_delivered());
    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_429_holds_every_watch_back() {
    let rig = Rig::new(layer(), noting(&Seen::default()));
    for n in 0..50 {
        drop(rig.watchlist.watch(&task(&n.to_string())));
    }
    rig.api.break_down(Reply::new(429, "").retry_after("60"));
    advance(Duration::from_secs(4)).await;
    let wait = async {
        while rig.api.count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(1), wait).await.unwrap();
    let asked = rig.api.count();
    tokio::time::sleep(Duration::from_secs(50)).await;
    // At most what had its turn before the first answer was in.
    assert!(rig.api.count() <= asked + 1, "{} {asked}", rig.api.count());
}

#[tokio::test(start_paused = true)]
async fn watching_a_task_twice_is_one_watch() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    let first = rig.watchlist.watch(&task("t"));
    for _ in 0..10_000 {
        drop(rig.watchlist.watch(&task("t")));
    }
    let second = rig.watchlist.watch(&task("t"));
    assert_eq!(rig.watchlist.len(), 1);
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    assert_eq!(rig.api.count(), 1);
    rig.api.succeed("t", "v");
    assert!(first.await.is_delivered() && second.await.is_delivered());
    assert_eq!((rig.api.count(), seen.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn no_more_tasks_are_watched_than_the_limit() {
    let pace = Pace {
        tasks: 2,
        ..Pace::default()
    };
    let rig = Rig::paced(layer(), noting(&Seen::default()), pace);
    let _one = rig.watchlist.watch(&task("1"));
    let _two = rig.watchlist.watch(&task("2"));
    assert!(matches!(
        rig.watchlist.watch(&task("3")).await,
        Watched::Refused
    ));
    assert_eq!(rig.watchlist.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_accepted_pace_watches() {
    let (least, year) = (
        Duration::from_millis(1),
        Duration::from_secs(365 * 24 * 3600),
    );
    for (shortest, longest, patience) in [
        (least, least, least),
        (least, least, year),
        (least, year, year),
        (year, year, year),
    ] {
        let pace = Pace {
            shortest,
            longest,
            patience,
            tasks: 10_000_000,
            at_once: 65_536,
        };
        let rig = Rig::paced(layer(), noting(&Seen::default()), pace);
        rig.api.succeed("t", "v");
        let watch = rig.watchlist.watch(&task("t"));
        let watched = timeout(Duration::from_secs(2), watch).await;
        let is_delivered = watched.is_ok_and(|it| it.is_delivered());
        assert_eq!(is_delivered, shortest == least);
    }
}

#[tokio::test(start_paused = true)]
async fn many_tasks_are_taken_over_a_few_at_a_time() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    let taken = Arc::new(AtomicUsize::new(0));
    let tasks = (0..1_000).map(|n| {
        // What was taken and has not ended is never more than ten.
        let ended = seen.len();
        assert!(taken.fetch_add(1, SeqCst) < ended + 10);
        rig.api.succeed(&n.to_string(), "v");
        task(&n.to_string())
    });
    let mut delivered = 0;
    rig.watchlist
        .watch_all(tasks, 10, |_, watched| {
            assert!(matches!(watched, Watched::Delivered(_)));
            delivered += 1;
        })
        .await;
    assert_eq!((delivered, seen.len()), (1_000, 1_000));
    assert_eq!(rig.api.count(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn who_stops_taking_over_takes_no_more_and_what_was_taken_stays_watched() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    let taken = AtomicUsize::new(0);
    let tasks = (0..100).map(|n| {
        taken.fetch_add(1, SeqCst);
        task(&n.to_string())
    });
    let taking = rig.watchlist.watch_all(tasks, 10, |_, _| {});
    // The first question about each comes at once.
    assert!(timeout(Duration::from_secs(1), taking).await.is_err());
    assert_eq!((taken.load(SeqCst), rig.api.count()), (10, 10));
    assert_eq!(rig.watchlist.len(), 10);
    (0..100).for_each(|n| rig.api.succeed(&n.to_string(), "v"));
    while !rig.watchlist.is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((taken.load(SeqCst), seen.len()), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_nobody_awaits_goes_on() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    drop(rig.watchlist.watch(&task("t")));
    rig.api.succeed("t", "v");
    until("it is delivered", || seen.len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_somebody_watches_is_left_to_it() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    let watch = rig.watchlist.watch(&task("t"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = Reconciler::new(client(&rig.api), rig.service.clone());
    let second = second.watching(rig.watchlist.clone());
    timeout(Duration::from_millis(1), second.run())
        .await
        .unwrap();
    rig.api.succeed("t", "v");
    assert!(matches!(watch.await, Watched::Delivered(_)));
}

/// Knows what it was asked with, and for how long.
#[derive(Clone, Default)]
struct OfOnesOwn {
    asked: Arc<Mutex<Vec<VoiceEvent>>>,
    waited: Arc<Mutex<Vec<Duration>>>,
    hangs: bool,
}

impl Confirm for OfOnesOwn {
    async fn confirm(&self, reported: &VoiceEvent) -> Confirmation {
        struct Waiting<'a>(&'a Mutex<Vec<Duration>>, Instant);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.lock().unwrap().push(self.1.elapsed());
            }
        }
        self.asked.lock().unwrap().push(reported.clone());
        let _waiting = Waiting(&self.waited, Instant::now());
        if self.hangs {
            pending::<()>().await;
        }
        let body = Callback::success(reported.task_id().as_str(), "v").body;
        let record = VoiceEvent::from_record(reported.kind(), reported.task_id(), body);
        Confirmation::Confirmed(record.unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmer_of_ones_own_is_asked_by_a_poll_with_an_event_that_claims_nothing() {
    let (seen, own) = (Seen::default(), OfOnesOwn::default());
    let service = layer().layer(noting(&seen));
    let reconciler = Reconciler::new(own.clone(), service);
    let watch = reconciler.watch(&task("t"));
    tokio::spawn(reconciler.run());
    assert!(matches!(watch.await, Watched::Delivered(_)));
    let asked = own.asked.lock().unwrap();
    assert_eq!((asked.len(), seen.len()), (1, 1));
    assert_eq!(asked[0].task_id(), "t");
    assert_eq!(asked[0].outcome(), VoiceOutcome::Unknown);
    assert_eq!((asked[0].voice_id(), asked[0].code()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_question_of_a_poll_that_hangs_is_given_up_after_30_seconds_and_asked_again() {
    let own = OfOnesOwn {
        hangs: true,
        ..OfOnesOwn::default()
    };
    let service = layer().layer(noting(&Seen::default()));
    let reconciler = Reconciler::new(own.clone(), service);
    let watch = reconciler.watch(&task("t"));
    tokio::spawn(reconciler.run());
    assert!(timeout(Duration::from_secs(300), watch).await.is_err());
    let waited = own.waited.lock().unwrap();
    assert!(waited.len() > 3, "{waited:?}");
    assert!(waited.iter().all(|it| it.as_secs() == 30), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_drain_ends_the_reconciler_and_every_watch() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    rig.api.succeed("t", "v");
    let watch = rig.watchlist.watch(&task("t"));
    rig.layer.drain().close();
    assert!(matches!(watch.await, Watched::Stopped));
    rig.running.await.unwrap();
    assert!(matches!(
        rig.watchlist.watch(&task("u")).await,
        Watched::Stopped
    ));
    assert_eq!((seen.len(), rig.api.count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_handler_of_a_poll() {
    let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = tower::service_fn({
        let (started, finish) = (started.clone(), finish.clone());
        move |_: Request<Full<Bytes>>| {
            let (started, finish) = (started.clone(), finish.clone());
            async move {
                started.notify_one();
                finish.notified().await;
                Ok(answer(StatusCode::OK))
            }
        }
    });
    let rig = Rig::new(layer(), BoxCloneService::new(handler));
    rig.api.succeed("t", "v");
    let watch = rig.watchlist.watch(&task("t"));
    started.notified().await;
    let drain = rig.layer.drain();
    let drained = tokio::spawn(async move { drain.finish(Duration::from_secs(60)).await });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!drained.is_finished());
    finish.notify_one();
    let drained = drained.await.unwrap();
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert!(matches!(watch.await, Watched::Delivered(_)));
    rig.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_handler_of_a_poll_at_its_deadline() {
    let started = Arc::new(Notify::new());
    let handler = tower::service_fn({
        let started = started.clone();
        move |_: Request<Full<Bytes>>| {
            started.notify_one();
            pending()
        }
    });
    let rig = Rig::new(layer(), BoxCloneService::new(handler));
    rig.api.succeed("t", "v");
    let watch = rig.watchlist.watch(&task("t"));
    started.notified().await;
    let drained = rig.layer.drain().finish(Duration::from_secs(1)).await;
    assert_eq!((drained.aborted, drained.unsettled), (1, 0));
    assert!(matches!(watch.await, Watched::Stopped));
    rig.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reconciler_that_is_dropped_stops_its_watches_and_its_handler_goes_on() {
    let (started, finish, ended) = (
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
    );
    let handler = tower::service_fn({
        let (started, finish, ended) = (started.clone(), finish.clone(), ended.clone());
        move |_: Request<Full<Bytes>>| {
            let (started, finish, ended) = (started.clone(), finish.clone(), ended.clone());
            async move {
                started.notify_one();
                finish.notified().await;
                ended.notify_one();
                Ok(answer(StatusCode::OK))
            }
        }
    });
    let rig = Rig::new(layer(), BoxCloneService::new(handler));
    rig.api.succeed("t", "v");
    let (running, queued) = (
        rig.watchlist.watch(&task("t")),
        rig.watchlist.watch(&task("u")),
    );
    started.notified().await;
    rig.running.abort();
    assert!(matches!(running.await, Watched::Stopped));
    assert!(matches!(queued.await, Watched::Stopped));
    finish.notify_one();
    ended.notified().await;
    let response = rig.receive(&Callback::success("t", "v")).await;
    assert_eq!(disposition(&response), Some(Disposition::Duplicate));
}

#[tokio::test(start_paused = true)]
async fn the_kind_of_the_layer_chooses_the_endpoint() {
    let seen = Seen::default();
    let rig = Rig::new(layer().kind(CallbackKind::Validate), noting(&seen));
    rig.api.phrase("t", "la la");
    assert!(rig.watchlist.watch(&task("t")).await.is_delivered());
    assert!(rig.api.requests()[0].path.ends_with("validate-info"));
    let all = seen.all();
    assert_eq!(all[0].0.outcome(), VoiceOutcome::PhraseReady("la la"));
    let response = rig.receive(&Callback::phrase("t", "la la")).await;
    assert_eq!(disposition(&response), Some(Disposition::Duplicate));
}

/// That the task is handed over by a poll and not by any of its four tries.
async fn is_kept_and_delivered_by_a_poll(layer: SunoCallbackLayer<MemoryStore>, api: &FakeApi) {
    let seen = Seen::default();
    let service = layer.layer(accepting(seen.clone()));
    for _ in 0..4 {
        let request = Callback::success("t", "v").request();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(seen.len(), 0);
    api.succeed("t", "v");
    api.recover();
    until("the poll delivers", || seen.len() == 1).await;
    let (_, delivery) = seen.all().remove(0);
    assert_eq!(
        (delivery.via(), delivery.trust()),
        (Via::Poll, Trust::Confirmed)
    );
    // The provider's last try comes late, and nobody asks any more.
    let request = Callback::success("t", "v").request();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(disposition(&response), Some(Disposition::Duplicate));
    let asked = api.count();
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    assert_eq!((seen.len(), api.count()), (1, asked));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_confirmed_is_asked_on_about_and_delivered_without_any_wiring() {
    let api = FakeApi::default();
    api.break_down(Reply::new(500, ""));
    is_kept_and_delivered_by_a_poll(layer().confirm(client(&api)), &api).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_pending_at_every_try_is_delivered_when_the_record_is_ready() {
    let api = FakeApi::default();
    api.progress("t", "wait_processing");
    is_kept_and_delivered_by_a_poll(layer().confirm(client(&api)), &api).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_callback_delivers_after_all_is_not_asked_about_any_more() {
    let api = FakeApi::default();
    let seen = Seen::default();
    let service = layer().confirm(client(&api)).layer(accepting(seen.clone()));
    let send = |callback: Callback| service.clone().oneshot(callback.request());
    let response = send(Callback::success("t", "v")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    api.succeed("t", "v");
    let response = send(Callback::success("t", "v")).await.unwrap();
    assert_eq!(disposition(&response), Some(Disposition::Accepted));
    let asked = api.count();
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    assert_eq!((seen.len(), api.count()), (1, asked));
}

/// What `first` says is handed over at once, and `then` by a poll.
async fn is_handed_over_and_asked_on_about(
    record: &str,
    first: &Callback,
    outcome: &str,
    then: fn(&FakeApi),
) {
    let (api, seen) = (FakeApi::default(), Seen::default());
    api.set("t", record.into());
    let service = layer().confirm(client(&api)).layer(accepting(seen.clone()));
    let response = service.clone().oneshot(first.request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    then(&api);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let outcomes = seen.all();
    let outcomes: Vec<_> = outcomes.iter().map(|it| it.0.outcome().as_str()).collect();
    assert_eq!(outcomes, [outcome, "ready"]);
    // And nobody asks any more.
    let asked = api.count();
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    assert_eq!((api.count(), seen.len()), (asked, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_over_without_an_outcome_is_asked_on_about() {
    let ready = |api: &FakeApi| api.succeed("t", "v");
    let unknown = Callback::new("t", r#"{"code":200,"data":{"taskId":"t","voiceId":"v"}}"#);
    let pending = r#"{"code":200,"msg":"success","data":null}"#;
    is_handed_over_and_asked_on_about(pending, &unknown, "unknown", ready).await;
    let empty = Callback::success("t", "");
    let record = empty.body.clone();
    is_handed_over_and_asked_on_about(&record, &empty, "inconsistent", ready).await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_keeps_is_told_to_the_hook_alone() {
    let api = FakeApi::default();
    let seen = Seen::default();
    let layer = layer()
        .confirm(client(&api))
        .unconfirmed(Unconfirmed::Refuse);
    let service = layer.layer(accepting(seen.clone()));
    let request = Callback::success("t", "v").request();
    service.oneshot(request).await.unwrap();
    api.succeed("t", "v");
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    assert_eq!(seen.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drained_layer_asks_on_about_nothing() {
    let api = FakeApi::default();
    let seen = Seen::default();
    let layer = layer().confirm(client(&api));
    let service = layer.layer(accepting(seen.clone()));
    let request = Callback::success("t", "v").request();
    service.oneshot(request).await.unwrap();
    layer.drain().finish(Duration::from_secs(1)).await;
    let asked = api.count();
    api.succeed("t", "v");
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    assert_eq!((seen.len(), api.count()), (0, asked));
}

#[tokio::test(start_paused = true)]
async fn no_more_is_kept_than_the_pace_allows_and_the_log_says_so() {
    harness::logs::capture();
    let api = FakeApi::default();
    let seen = Seen::default();
    let pace = Pace {
        tasks: 10,
        ..Pace::default()
    };
    let layer = layer().confirm(client(&api)).keeping(pace).unwrap();
    let service = layer.layer(accepting(seen.clone()));
    let tasks = (0..30).map(|n| format!("t-{n}"));
    let sent = tasks.clone().map(|id| {
        let request = Callback::success(&id, "v").request();
        service.clone().oneshot(request)
    });
    for response in futures_util::future::join_all(sent).await {
        let status = response.unwrap().status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let lines = harness::logs::lines();
    let not_kept = lines.iter().filter(|line| line.contains("is not kept"));
    assert_eq!(not_kept.count(), 20);
    tasks.for_each(|id| api.succeed(&id, "v"));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(seen.len(), 10);
}

/// A forged success is handled by a layer without a confirmer, then the task is watched.
async fn watch_after_a_forged_success(record: impl FnOnce(&FakeApi)) -> (Watched, usize, usize) {
    let (seen, conflicts) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
    let hook = Arc::clone(&conflicts);
    let layer = layer().on_conflict(move |conflict| {
        assert_eq!(conflict.first_trust, Trust::SignedId);
        hook.fetch_add(1, SeqCst);
    });
    let rig = Rig::new(layer, noting(&seen));
    let response = rig.receive(&Callback::success("t", "forged")).await;
    assert_eq!(disposition(&response), Some(Disposition::Accepted));
    record(&rig.api);
    let watched = rig.watchlist.watch(&task("t")).await;
    (watched, seen.len(), conflicts.load(SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_record_that_contradicts_what_was_handed_over_is_a_conflict_and_reaches_the_hook() {
    for record in [(|api| api.succeed("t", "genuine")) as fn(&FakeApi), |api| {
        api.fail("t")
    }] {
        let (watched, runs, conflicts) = watch_after_a_forged_success(record).await;
        assert!(matches!(watched, Watched::Conflict(_)), "{watched:?}");
        assert!(!watched.is_delivered());
        assert_eq!((runs, conflicts), (1, 1));
    }
    let same = |api: &FakeApi| api.succeed("t", "forged");
    let (watched, runs, conflicts) = watch_after_a_forged_success(same).await;
    assert!(matches!(watched, Watched::AlreadyDelivered(_)));
    assert_eq!((runs, conflicts), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_a_confirmed_success_is_late() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    rig.api.succeed("t", "v");
    let first = rig.watchlist.watch(&task("t")).await;
    assert!(matches!(first, Watched::Delivered(_)));
    rig.api.fail("t");
    let second = rig.watchlist.watch(&task("t")).await;
    assert!(matches!(second, Watched::Late(_)), "{second:?}");
    assert!(!second.is_delivered());
    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_over_without_a_result_is_told_to_the_handler() {
    for voice in ["", "fail"] {
        let seen = Seen::default();
        let rig = Rig::new(layer(), noting(&seen));
        rig.api.succeed("t", voice);
        let began = Instant::now();
        let watched = rig.watchlist.watch(&task("t")).await;
        assert!(matches!(watched, Watched::Delivered(_)), "{watched:?}");
        assert!(began.elapsed() < Duration::from_secs(60));
        let (event, delivery) = seen.all().remove(0);
        assert!(matches!(event.outcome(), VoiceOutcome::Inconsistent(_)));
        assert_eq!(delivery.trust(), Trust::Confirmed);
        assert_eq!(rig.api.count(), 3, "it had time to fill in");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fills_in_is_delivered_as_what_it_becomes() {
    let seen = Seen::default();
    let rig = Rig::new(layer(), noting(&seen));
    rig.api.succeed("t", "");
    let watch = rig.watchlist.watch(&task("t"));
    until("two questions", || rig.api.count() == 2).await;
    rig.api.succeed("t", "v");
    assert!(watch.await.is_delivered());
    let (event, _) = seen.all().remove(0);
    assert!(matches!(event.outcome(), VoiceOutcome::Ready(id) if *id == "v"));
    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn handlers_that_hang_hold_no_place_of_the_questions() {
    let handler = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        let event: &VoiceEvent = request.extensions().get().unwrap();
        if event.task_id().as_str().starts_with("hangs") {
            pending::<()>().await;
        }
        Ok(answer(StatusCode::OK))
    });
    let pace = Pace {
        at_once: 4,
        ..Pace::default()
    };
    let rig = Rig::paced(layer(), BoxCloneService::new(handler), pace);
    let hanging = (0..200).map(|n| format!("hangs-{n}"));
    for id in hanging.clone() {
        rig.api.succeed(&id, "v");
        drop(rig.watchlist.watch(&task(&id)));
    }
    until("all hang", || rig.layer.drain().active() == 200).await;
    rig.api.succeed("t", "v");
    let began = Instant::now();
    assert!(rig.watchlist.watch(&task("t")).await.is_delivered());
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Five questions a second, as by default.
fn slow_rig(seen: &Seen, pace: Pace) -> (FakeApi, Watchlist) {
    let api = FakeApi::default();
    let client = VoiceClient::new(api.clone(), ApiKey::new(API_KEY).unwrap());
    let reconciler = Reconciler::new(client, layer().layer(noting(seen)));
    let reconciler = reconciler.watching(Watchlist::new(pace).unwrap());
    let watchlist = reconciler.watchlist();
    tokio::spawn(reconciler.run());
    (api, watchlist)
}

#[tokio::test(start_paused = true)]
async fn a_finished_task_behind_30_000_pending_ones_is_delivered_within_seconds() {
    let seen = Seen::default();
    let (api, watchlist) = slow_rig(&seen, Pace::default());
    for n in 0..30_000 {
        drop(watchlist.watch(&task(&n.to_string())));
    }
    for asked_before in [false, true] {
        let id = format!("finished-{asked_before}");
        api.succeed(&id, "v");
        let began = Instant::now();
        assert!(watchlist.watch(&task(&id)).await.is_delivered());
        // The first pause of at most 4 s, and then at most four turns.
        assert!(
            began.elapsed() < Duration::from_secs(6),
            "{:?}",
            began.elapsed()
        );
        tokio::time::sleep(Duration::from_secs(1_000)).await;
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_rate_cannot_ask_about_in_time_is_told_in_time() {
    let pace = Pace {
        patience: Duration::from_secs(60),
        ..Pace::default()
    };
    let seen = Seen::default();
    let (_api, watchlist) = slow_rig(&seen, pace);
    let began = Instant::now();
    let watches: Vec<_> = (0..1_000)
        .map(|n| watchlist.watch(&task(&n.to_string())))
        .collect();
    let (mut pending, mut not_asked) = (0, 0);
    for watch in watches {
        match watch.await {
            Watched::Expired(Unsettled::Pending) => pending += 1,
            Watched::Expired(Unsettled::NotAsked) => not_asked += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        began.elapsed() <= Duration::from_secs(91),
        "{:?}",
        began.elapsed()
    );
    // 86 seconds of five questions, most of them first ones.
    assert!(pending >= 200 && not_asked >= 500, "{pending} {not_asked}");
}

/// sunoapi.org: no signature, `errorCode` 0 on success, code 400 on failure.
#[tokio::test(start_paused = true)]
async fn an_unsigned_provider_is_trustworthy_with_a_confirmer() {
    let (ready, failed) = (
        r#"{"code":200,"msg":"success","data":{"taskId":"t","voiceId":"forged","status":"success","errorCode":0,"errorMessage":""}}"#,
        r#"{"code":400,"msg":"failed","data":{"taskId":"f","voiceId":"","status":"fail","errorCode":500,"errorMessage":"no singing"}}"#,
    );
    let api = FakeApi::default();
    api.succeed("t", "genuine");
    api.fail("f");
    let client = client(&api)
        .base_url(suno_callback::client::SUNOAPI_ORG)
        .unwrap();
    let secret = UrlSecret::new("0123456789abcdef").unwrap();
    let layer = SunoCallbackLayer::unsigned(secret, MemoryStore::default()).confirm(client);
    let seen = Seen::default();
    let service = layer.layer(accepting(seen.clone()));
    let send = |uri: &'static str, body: &'static str| {
        let request = Request::post(uri).header("content-type", "application/json");
        let request = request.body(Full::<Bytes>::from(body)).unwrap();
        let service = service.clone();
        async move { service.oneshot(request).await.unwrap().status() }
    };
    assert_eq!(
        send("/?token=wrong-wrong-wrong", ready).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(api.count(), 0);
    assert_eq!(
        send("/?token=0123456789abcdef", ready).await,
        StatusCode::OK
    );
    assert_eq!(
        send("/?token=0123456789abcdef", failed).await,
        StatusCode::OK
    );
    assert_eq!(
        send("/?token=0123456789abcdef", ready).await,
        StatusCode::OK
    );
    let all = seen.all();
    assert_eq!(all.len(), 2);
    assert!(matches!(all[0].0.outcome(), VoiceOutcome::Ready(id) if *id == "genuine"));
    assert!(matches!(all[1].0.outcome(), VoiceOutcome::Failed(_)));
    assert!(all.iter().all(|(_, it)| it.trust() == Trust::Confirmed));
}

#[tokio::test]
async fn over_real_sockets_callback_and_poll_deliver_once() {
    let api = FakeApi::default();
    let client = VoiceClient::https(ApiKey::new(API_KEY).unwrap()).unwrap();
    let client = client
        .base_url(&api.serve().await)
        .unwrap()
        .rate(1_000, Duration::from_secs(1));
    let layer = layer().confirm(client.clone());
    let seen = Seen::default();
    let service = layer.layer(accepting(seen.clone()));
    let pace = Pace {
        shortest: Duration::from_millis(20),
        longest: Duration::from_millis(100),
        patience: Duration::from_secs(30),
        ..Pace::default()
    };
    let reconciler =
        Reconciler::new(client, service.clone()).watching(Watchlist::new(pace).unwrap());
    let watchlist = reconciler.watchlist();
    let running = tokio::spawn(reconciler.run());
    let addr = serve(service).await;
    let mut watches = Vec::new();
    for n in 0..40 {
        let id = format!("task-{n}");
        watches.push(watchlist.watch(&task(&id)));
        api.succeed(&id, "voice");
        // Half of the callbacks are lost, a quarter are forged, some come twice.
        for round in 0..n % 4 {
            let voice = if n % 4 == 3 { "forged" } else { "voice" };
            let (status, _) = post(addr, &Callback::success(&id, voice)).await;
            assert_eq!(status, StatusCode::OK, "{n} {round}");
        }
    }
    for watch in watches {
        let watched = timeout(Duration::from_secs(20), watch).await.unwrap();
        assert!(watched.is_delivered(), "{watched:?}");
    }
    assert_eq!(seen.len(), 40);
    for (event, delivery) in seen.all() {
        assert_eq!(seen.runs_of(event.task_id().as_str()), 1);
        assert_eq!(event.voice_id().unwrap(), &"voice");
        assert_eq!(delivery.trust(), Trust::Confirmed);
    }
    layer.drain().close();
    timeout(Duration::from_secs(5), running)
        .await
        .unwrap()
        .unwrap();
}
