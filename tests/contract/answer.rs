//! What the handler answers, what the store says, and what the provider gets.

use std::{
    convert::Infallible,
    future::{Ready, pending},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use suno_callback::{
    Conflict, Delivery, Disposition, Limits, Rejection, SunoCallbackLayer, Times, Trust, Via,
    VoiceEvent,
    store::{Claim, DedupStore, MemoryStore, Owner, Settled, SlotKey},
    testkit::{Intercept, Intercepted, Operation},
};
use tokio::{sync::Semaphore, time::Instant};
use tower::{BoxError, Layer, Service, ServiceExt};

use harness::{
    Callback, Seen, accepting, answer,
    counting::Operations,
    key,
    probe::{Probe, Reply, WallClock, layer},
    secs,
};

#[tokio::test]
async fn an_accepted_event_is_claimed_handled_and_committed_once() {
    let probe = Probe::default();
    probe
        .send(Callback::success("t", "v").request())
        .await
        .assert_accepted();
    let once = Operations {
        claims: 1,
        commits: 1,
        ..Operations::default()
    };
    assert_eq!(probe.store.now(), once);
    let (event, delivery) = probe.seen.all().pop().unwrap();
    assert_eq!(*event.task_id(), "t");
    assert_eq!((delivery.attempt(), delivery.fence()), (1, 1));
    assert_eq!(
        (delivery.trust(), delivery.via()),
        (Trust::SignedId, Via::Callback)
    );
    assert_eq!(delivery.key_label(), Some("default"));
}

#[tokio::test]
async fn f6_every_status_of_a_handler_is_answered_as_designed() {
    let mut count = 0;
    for code in 100..=999 {
        let status = StatusCode::from_u16(code).unwrap();
        let probe = Probe::answering(&layer(), move |_| {
            let mut response = answer(status);
            response
                .headers_mut()
                .insert("x-handler", HeaderValue::from_static("kept"));
            Ok(response)
        });
        let callback = Callback::success("t", "v");
        let reply = probe.send(callback.request()).await;
        let (expected, disposition) = match code {
            200..=299 => (200, Disposition::Accepted),
            100..=199 | 300..=399 => (500, Disposition::HandlerFailed),
            _ => (code, Disposition::HandlerFailed),
        };
        assert_eq!(reply.status, expected, "{code}");
        assert_eq!(reply.disposition, Some(disposition), "{code}");
        assert_eq!(reply.rejection, None);
        assert_eq!(
            (&reply.body[..], reply.header("x-handler")),
            (&b"handled"[..], Some("kept"))
        );

        // Done for good after a success, free at once after anything else.
        probe.send(callback.request()).await;
        let attempts: Vec<u32> = probe
            .seen
            .all()
            .iter()
            .map(|(_, it)| it.attempt())
            .collect();
        let (runs, settled) = match disposition {
            Disposition::Accepted => (vec![1], (1, 0)),
            _ => (vec![1, 2], (0, 2)),
        };
        assert_eq!(attempts, runs, "{code}");
        let store = probe.store.now();
        assert_eq!((store.commits, store.releases), settled, "{code}");
        count += 1;
    }
    assert_eq!(count, 900);
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_passed_on_and_its_claim_released() {
    let probe = Probe::answering(&layer(), |_| Err("the database is away".into()));
    let callback = Callback::success("t", "v");
    for attempt in 1..=3 {
        let error = probe.try_send(callback.request()).await.unwrap_err();
        assert_eq!(error.to_string(), "the database is away");
        let (_, delivery) = probe.seen.all().pop().unwrap();
        assert_eq!(delivery.attempt(), attempt);
    }
    let thrice = Operations {
        claims: 3,
        releases: 3,
        ..Operations::default()
    };
    assert_eq!(probe.store.now(), thrice);
}

#[tokio::test]
async fn f7_a_panic_of_the_handler_is_500_and_its_claim_released() {
    let probe = Probe::answering(&layer(), |_| panic!("a secret of the handler"));
    for runs in 1..=2 {
        let reply = probe.send(Callback::success("t", "v").request()).await;
        reply.assert_refusal(Rejection::Panicked);
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!((probe.seen.len(), probe.store.now().releases), (runs, runs));
    }
}

#[tokio::test]
async fn f65_a_thousand_replays_are_answered_and_not_handled() {
    let probe = Probe::default();
    let callback = Callback::success("t", "v");
    probe.send(callback.request()).await.assert_accepted();
    for _ in 0..1000 {
        let reply = probe.send(callback.request()).await;
        reply.assert_received(Disposition::Duplicate);
    }
    assert_eq!(probe.seen.len(), 1);
}

#[tokio::test]
async fn after_a_success_the_rest_of_the_task_is_late() {
    let probe = Probe::default();
    probe
        .send(Callback::success("t", "v").request())
        .await
        .assert_accepted();
    let before = probe.store.now();
    let odd = Callback::new(
        "t",
        r#"{"code":200,"data":{"taskId":"t","status":"success"}}"#,
    );
    let late = [
        Callback::failure("t"),
        Callback::progress("t", "wait_processing"),
        Callback::progress("t", "never seen"),
        Callback::phrase("t", "sing this"),
        odd,
    ];
    for callback in &late {
        probe
            .send(callback.request())
            .await
            .assert_received(Disposition::Late);
    }
    assert_eq!(probe.seen.len(), 1);
    let expected = Operations {
        peeks: before.peeks + late.len(),
        ..before
    };
    assert_eq!(
        probe.store.now(),
        expected,
        "looked at, and nothing claimed"
    );
    probe
        .send(Callback::failure("another").request())
        .await
        .assert_accepted();
}

type Conflicts = Arc<Mutex<Vec<Conflict>>>;

fn with_hook() -> (Probe, Conflicts) {
    let conflicts = Conflicts::default();
    let hook = Arc::clone(&conflicts);
    let layer = layer().on_conflict(move |it| hook.lock().unwrap().push(it.clone()));
    (Probe::with(&layer), conflicts)
}

#[tokio::test]
async fn f48_a_second_voice_is_a_conflict_that_the_hook_hears_of_and_the_first_stands() {
    let (probe, conflicts) = with_hook();
    let first = Callback::success("t", "first");
    let signed_at = first.timestamp.parse::<u64>().unwrap();
    probe.send(first.request()).await.assert_accepted();
    for (seconds, same_pair) in [(signed_at, true), (signed_at - 1, false)] {
        let second = Callback::success("t", "second").signed_at(seconds);
        let reply = probe.send(second.request()).await;
        reply.assert_received(Disposition::Conflict);
        let conflict = conflicts.lock().unwrap().pop().unwrap();
        assert_eq!(*conflict.task_id(), "t");
        assert_eq!(conflict.voice_id().unwrap(), "second");
        assert_eq!(conflict.same_header_pair, Some(same_pair));
        assert_eq!(conflict.first_trust, Trust::SignedId);
    }
    probe
        .send(first.request())
        .await
        .assert_received(Disposition::Duplicate);
    assert_eq!((probe.seen.len(), conflicts.lock().unwrap().len()), (1, 0));
}

#[tokio::test]
async fn f66_a_header_pair_with_other_bodies_gains_nothing_unseen() {
    // Whoever saw one pair may send any body for its task: each forgery against the genuine one.
    let forgeries = [
        Callback::failure("t"),
        Callback::progress("t", "wait_processing"),
        Callback::phrase("t", "something rude"),
        Callback::new(
            "t",
            r#"{"code":200,"data":{"taskId":"t","status":"success","voiceId":"fail"}}"#,
        ),
    ];
    let genuine = Callback::success("t", "v");
    let seconds = genuine.timestamp.parse().unwrap();
    for forged in forgeries.map(|it| it.signed_at(seconds)) {
        let (probe, _) = with_hook();
        probe.send(forged.request()).await.assert_accepted();
        // Nothing that came before swallows the success ...
        probe.send(genuine.request()).await.assert_accepted();
        // ... and nothing after it undoes it.
        probe
            .send(forged.request())
            .await
            .assert_received(Disposition::Late);
    }
    // A forged success that is first stands, and the genuine one is reported.
    let (probe, conflicts) = with_hook();
    let forged = Callback::success("t", "of the attacker").signed_at(seconds);
    probe.send(forged.request()).await.assert_accepted();
    probe
        .send(genuine.request())
        .await
        .assert_received(Disposition::Conflict);
    assert_eq!(conflicts.lock().unwrap()[0].same_header_pair, Some(true));
    // For another task the pair is worth nothing.
    let mut other = Callback::success("u", "v");
    (other.timestamp, other.signature) = (genuine.timestamp, genuine.signature);
    let reply = probe.send(other.request()).await;
    reply.assert_refusal(Rejection::SignatureWrong);
}

#[tokio::test]
async fn a_hook_that_panics_changes_no_answer() {
    let layer = layer().on_conflict(|_| panic!("in the hook"));
    let probe = Probe::with(&layer);
    probe
        .send(Callback::success("t", "first").request())
        .await
        .assert_accepted();
    let reply = probe.send(Callback::success("t", "second").request()).await;
    reply.assert_received(Disposition::Conflict);
}

/// A handler that waits for a permit, so that a test decides when it ends.
fn held(layer: &harness::probe::ProbeLayer) -> (Probe, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let probe = Probe::calling(layer, move |_| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await?.forget();
            Ok(answer(StatusCode::OK))
        }
    });
    (probe, gate)
}

fn sending(probe: &Probe, callback: &Callback) -> tokio::task::JoinHandle<Reply> {
    let (probe, request) = (probe.clone(), callback.request());
    tokio::spawn(async move { probe.send(request).await })
}

#[tokio::test(start_paused = true)]
async fn f8_a_handler_past_the_deadline_is_503_and_its_commit_counts() {
    let (probe, gate) = held(&layer());
    let callback = Callback::success("t", "v");
    let began = Instant::now();
    let reply = probe.send(callback.request()).await;
    reply.assert_refusal(Rejection::StillRunning);
    assert_eq!(began.elapsed().as_secs(), 13);
    assert!(probe.store.now().renewals >= 8, "{:?}", probe.store.now());
    gate.add_permits(1);
    let twin = probe.send(callback.request()).await;
    twin.assert_received(Disposition::Duplicate);
    assert_eq!((probe.seen.len(), probe.store.now().commits), (1, 1));
}

#[test]
fn times_that_no_clock_can_count_to_are_refused_before_a_request_meets_them() {
    let default = Times::default;
    let endless = [
        Times {
            detached: Duration::MAX,
            ..default()
        },
        Times {
            reply_deadline: Duration::MAX,
            ..default()
        },
        Times {
            tolerance: Duration::MAX,
            retain_progress: Duration::MAX,
            retain_outcome: Some(Duration::from_secs(1)),
            ..default()
        },
    ];
    for times in endless {
        assert!(times.check().is_err(), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_times_work() {
    let year = Duration::from_secs(365 * 24 * 3600);
    let times = Times {
        detached: year,
        reply_deadline: year,
        ..Times::default()
    };
    let (probe, gate) = held(&layer().times(times).unwrap());
    let first = sending(&probe, &Callback::success("t", "v"));
    tokio::time::sleep(Duration::from_secs(100)).await;
    gate.add_permits(1);
    first.await.unwrap().assert_accepted();
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_is_never_ready_is_503() {
    #[derive(Clone)]
    struct NeverReady;
    impl Service<Request<Full<Bytes>>> for NeverReady {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Pending
        }

        fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
            panic!("called though it was not ready")
        }
    }
    let layer = layer();
    let began = Instant::now();
    let request = Callback::success("t", "v").request();
    let response = layer.layer(NeverReady).oneshot(request).await.unwrap();
    Reply::of(response)
        .await
        .assert_refusal(Rejection::StillRunning);
    assert_eq!(began.elapsed().as_secs(), 13);
    let store = layer.store().interceptor().now();
    assert_eq!((store.claims, store.commits, store.releases), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_twin_waits_and_shares_the_success() {
    let (probe, gate) = held(&layer());
    let callback = Callback::success("t", "v");
    let first = sending(&probe, &callback);
    let twins: Vec<_> = (0..5).map(|_| sending(&probe, &callback)).collect();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!first.is_finished() && twins.iter().all(|twin| !twin.is_finished()));
    gate.add_permits(1);
    first.await.unwrap().assert_accepted();
    for twin in twins {
        twin.await.unwrap().assert_received(Disposition::Duplicate);
    }
    assert_eq!((probe.seen.len(), probe.store.now().claims), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_twin_of_a_handler_that_fails_takes_over() {
    let failures = Arc::new(Mutex::new(1));
    let probe = Probe::calling(&layer(), move |_| {
        let failures = Arc::clone(&failures);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut left = failures.lock().unwrap();
            let status = if *left > 0 {
                StatusCode::BAD_GATEWAY
            } else {
                StatusCode::OK
            };
            *left = i32::max(*left - 1, 0);
            Ok(answer(status))
        }
    });
    let callback = Callback::success("t", "v");
    let both = [sending(&probe, &callback), sending(&probe, &callback)];
    let mut statuses = Vec::new();
    for sent in both {
        statuses.push(sent.await.unwrap().status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502], "nobody borrows another's failure");
    let attempts: Vec<u32> = probe
        .seen
        .all()
        .iter()
        .map(|(_, it)| it.attempt())
        .collect();
    assert_eq!(attempts, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_waited_in_vain_is_503_at_its_deadline() {
    let (probe, _gate) = held(&layer());
    let callback = Callback::success("t", "v");
    let first = sending(&probe, &callback);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let reply = probe.send(callback.request()).await;
    reply.assert_refusal(Rejection::StillInFlight);
    assert_eq!(began.elapsed().as_secs(), 13);
    assert_eq!(probe.seen.len(), 1);
    first.await.unwrap().assert_refusal(Rejection::StillRunning);
}

#[tokio::test(start_paused = true)]
async fn f19_a_flood_of_twins_is_503_at_once_above_the_limit() {
    let limits = [
        Limits {
            waiters_per_slot: 3,
            ..Limits::default()
        },
        Limits {
            waiters: 3,
            ..Limits::default()
        },
    ];
    for limits in limits {
        let (probe, gate) = held(&layer().limits(limits).unwrap());
        let callback = Callback::success("t", "v");
        let waiting: Vec<_> = (0..4).map(|_| sending(&probe, &callback)).collect();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let began = Instant::now();
        for _ in 0..100 {
            let reply = probe.send(callback.request()).await;
            reply.assert_refusal(Rejection::TooManyWaiters);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        gate.add_permits(1);
        for sent in waiting {
            assert_eq!(sent.await.unwrap().status, StatusCode::OK);
        }
        assert_eq!(probe.seen.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn f44_a_success_does_not_wait_for_progress_that_is_still_handled() {
    let (probe, gate) = held(&layer());
    let progress = sending(&probe, &Callback::progress("t", "wait_processing"));
    let phrase = sending(&probe, &Callback::phrase("t", "sing"));
    let failure = sending(&probe, &Callback::failure("t"));
    let success = sending(&probe, &Callback::success("t", "v"));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(probe.seen.len(), 4, "all at the same time");
    gate.add_permits(4);
    for sent in [progress, phrase, failure, success] {
        sent.await.unwrap().assert_accepted();
    }
}

#[tokio::test(start_paused = true)]
async fn f37_a_step_of_the_wall_clock_moves_no_lease() {
    const NOW: u64 = 1_700_000_000;
    let clock = WallClock::at(NOW);
    let (probe, gate) = held(&layer().clock(clock.clone()));
    let first = sending(&probe, &Callback::success("t", "v").signed_at(NOW));
    let mut twins = Vec::new();
    for now in [NOW + 3600, NOW - 3600, NOW + 86_400, 1_000, NOW] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        clock.set(now);
        twins.push(sending(&probe, &Callback::success("t", "v").signed_at(now)));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(probe.seen.len(), 1, "the holder keeps its claim");
    gate.add_permits(1);
    first.await.unwrap().assert_accepted();
    for twin in twins {
        twin.await.unwrap().assert_received(Disposition::Duplicate);
    }
    for now in [NOW + 3600, 1_000] {
        clock.set(now);
        let twin = Callback::success("t", "v").signed_at(now);
        probe
            .send(twin.request())
            .await
            .assert_received(Disposition::Duplicate);
    }
    assert_eq!(probe.seen.len(), 1);
}

#[tokio::test]
async fn f38_a_lease_that_ends_absurdly_late_counts_as_ended() {
    let store = MemoryStore::default();
    let (slot, day) = (SlotKey::from([1; 32]), Duration::from_secs(86_400));
    let Claim::Granted(first) = store.claim(&slot, Owner::from([1; 16]), day).await.unwrap() else {
        panic!("it was free");
    };
    let lease = Duration::from_secs(5);
    let Claim::Granted(second) = store
        .claim(&slot, Owner::from([2; 16]), lease)
        .await
        .unwrap()
    else {
        panic!("a lease of a day locks the slot");
    };
    assert!(second.fence() > first.fence());
    assert_eq!(
        store.renew(&slot, &first, lease).await.unwrap(),
        Settled::Lost
    );
}

/// Claims nothing, and hangs where it would have to end what it never began.
struct Away;

impl Intercept for Away {
    async fn intercept<T: Send + 'static>(
        &self,
        operation: Operation,
        _: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> Result<T, BoxError> {
        match operation {
            Operation::Peek | Operation::Claim => Err("away".into()),
            _ => pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f20_without_its_store_the_layer_is_closed() {
    let seen = Seen::default();
    let store = Intercepted::new(MemoryStore::default(), Away);
    let service = SunoCallbackLayer::new(key(), store).layer(accepting(seen.clone()));
    for callback in [Callback::success("t", "v"), Callback::failure("t")] {
        let response = service.clone().oneshot(callback.request()).await.unwrap();
        let reply = Reply::of(response).await;
        reply.assert_refusal(Rejection::StoreUnavailable);
        assert_eq!(reply.header("retry-after"), Some("5"));
    }
    assert_eq!(seen.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn f36_a_memory_store_whose_entries_are_all_held_is_503_until_one_is_done() {
    let store = MemoryStore::with_capacity(1);
    let handler = tower::service_fn(async |request: Request<Full<Bytes>>| {
        let event: &VoiceEvent = request.extensions().get().unwrap();
        if event.task_id() == "first" {
            tokio::time::sleep(secs(30)).await;
        }
        Ok::<_, Infallible>(answer(StatusCode::OK))
    });
    let service = SunoCallbackLayer::new(key(), store).layer(handler);
    let send = async |task| {
        let request = Callback::success(task, "v").request();
        Reply::of(service.clone().oneshot(request).await.unwrap()).await
    };
    let first = send("first").await;
    first.assert_refusal(Rejection::StillRunning);
    let second = send("second").await;
    second.assert_refusal(Rejection::StoreUnavailable);
    tokio::time::sleep(secs(10)).await;
    send("second").await.assert_accepted();
}

#[tokio::test]
async fn the_handler_s_request_carries_event_and_delivery_and_nothing_is_left_for_a_refusal() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let probe = Probe::answering(&layer(), move |request| {
        let event = request.extensions().get::<VoiceEvent>().is_some();
        let delivery = request.extensions().get::<Delivery>().is_some();
        sender.send((event, delivery)).unwrap();
        Ok(answer(StatusCode::OK))
    });
    probe
        .send(Callback::success("t", "v").request())
        .await
        .assert_accepted();
    assert_eq!(receiver.try_recv(), Ok((true, true)));
}
