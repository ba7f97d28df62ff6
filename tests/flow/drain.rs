//! Shutdown in order: what runs ends or is ended, and nothing stays held.

use std::{
    convert::Infallible,
    future::{pending, ready},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use harness::{
    Callback, Receiver, Reply, Seen, assert_postponed,
    faulty::{Fault, Faults as _, Faulty, Op, Stranger},
    handling, key, logs, ms, ok_after, said, secs, send, slot_of, spawn_send, until,
};
use http::StatusCode;
use suno_callback::{
    Confirm, Confirmation, DedupStore, Disposition, Drain, MemoryStore, Rejection,
    SunoCallbackLayer, VoiceEvent, store::Claim,
};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower::{Layer, Service};

struct Setup {
    store: Faulty,
    stranger: Stranger,
    receiver: Receiver<Faulty>,
    drain: Drain,
    seen: Seen,
}

impl Setup {
    /// `work` is given the number of the attempt.
    fn new<F, W>(work: F) -> Self
    where
        F: Fn(u32) -> W + Clone + Send + Sync + 'static,
        W: Future<Output = StatusCode> + Send + 'static,
    {
        let (seen, store) = (Seen::default(), Faulty::default());
        let layer = SunoCallbackLayer::new(key(), store.clone());
        let work = move |delivery: suno_callback::Delivery| work(delivery.attempt());
        Self {
            stranger: Stranger::on(&store),
            store,
            drain: layer.drain(),
            receiver: layer.layer(handling(seen.clone(), work)),
            seen,
        }
    }

    fn spawn(&self, callback: &Callback) -> JoinHandle<Reply> {
        spawn_send(&self.receiver, callback)
    }

    async fn active(&self, count: usize) {
        let what = format!("{count} are active");
        until(&what, || self.drain.active() == count).await;
    }
}

fn task(n: usize) -> Callback {
    Callback::success(&format!("task-{n}"), "voice")
}

#[tokio::test(start_paused = true)]
async fn a_closed_layer_refuses_what_is_new_and_ends_what_runs() {
    let it = Setup::new(|_| ok_after(secs(2)));
    let (running, twin) = (it.spawn(&task(0)), it.spawn(&task(0)));
    it.active(2).await;
    it.drain.close();
    assert_postponed(&send(&it.receiver, &task(1)).await, Rejection::ShuttingDown);
    assert_postponed(&send(&it.receiver, &task(0)).await, Rejection::ShuttingDown);
    assert_eq!(it.store.count(Op::Claim), 1);
    assert_eq!(running.await.unwrap().status(), StatusCode::OK);
    assert_eq!(twin.await.unwrap().status(), StatusCode::OK);
    assert_eq!(it.seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_service_of_a_layer_is_closed_with_it() {
    let store = Faulty::default();
    let layer = SunoCallbackLayer::new(key(), store);
    let handler = handling(Seen::default(), |_| ok_after(secs(0)));
    let before = layer.layer(handler.clone());
    layer.clone().drain().close();
    for receiver in [before, layer.layer(handler)] {
        assert_postponed(&send(&receiver, &task(0)).await, Rejection::ShuttingDown);
    }
}

#[tokio::test(start_paused = true)]
async fn finish_returns_as_soon_as_nothing_is_active() {
    let it = Setup::new(|_| ok_after(secs(3)));
    let start = Instant::now();
    let drained = it.drain.finish(secs(10)).await;
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert_eq!(start.elapsed(), secs(0));

    let it = Setup::new(|_| ok_after(secs(3)));
    let running = it.spawn(&task(0));
    it.active(1).await;
    let start = Instant::now();
    let drained = it.drain.finish(secs(10)).await;
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert!(start.elapsed() <= secs(3), "{:?}", start.elapsed());
    assert_eq!(running.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn finish_waits_for_a_handler_whose_peer_has_gone() {
    let it = Setup::new(|_| ok_after(secs(8)));
    let callback = task(0);
    let running = it.spawn(&callback);
    it.active(1).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let drained = it.drain.finish(secs(10)).await;
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert!(it.stranger.peek(&slot_of(&callback).await).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_handlers_are_ended_and_counted_and_their_claims_are_free() {
    let it = Setup::new(|_| pending());
    let callbacks: Vec<_> = (0..5).map(task).collect();
    let running: Vec<_> = callbacks
        .iter()
        .map(|callback| it.spawn(callback))
        .collect();
    it.active(5).await;
    // Two of them have lost their peer.
    running[0].abort();
    running[1].abort();
    let start = Instant::now();
    let drained = it.drain.finish(secs(4)).await;
    assert_eq!((drained.aborted, drained.unsettled), (5, 0));
    assert!(start.elapsed() <= secs(4) + ms(10), "{:?}", start.elapsed());
    for reply in running.into_iter().skip(2) {
        assert_postponed(&reply.await.unwrap(), Rejection::Aborted);
    }
    for callback in &callbacks {
        it.stranger.hold(&slot_of(callback).await, secs(1)).await;
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ends_at_the_last_moment_is_committed_and_not_counted() {
    let it = Setup::new(|_| ok_after(ms(3999)));
    let callback = task(0);
    let running = it.spawn(&callback);
    tokio::task::yield_now().await;
    let drained = it.drain.finish(secs(4)).await;
    assert_eq!(drained.aborted, 0);
    assert_eq!(said(&running.await.unwrap()), Some(Disposition::Accepted));
    assert!(it.stranger.peek(&slot_of(&callback).await).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn f17_after_a_shutdown_with_a_hundred_running_handlers_every_event_is_done_or_free() {
    let mut rng = fastrand::Rng::with_seed(harness::seed());
    for round in 0..20 {
        let longest = rng.u64(1..12_000);
        let it = Setup::new(move |_| ok_after(ms(fastrand::u64(..longest))));
        if round % 2 == 0 {
            let delay = Fault::Slow(ms(rng.u64(1..400)));
            it.store.always_all(delay);
        }
        let callbacks: Vec<_> = (0..100).map(task).collect();
        let running: Vec<_> = callbacks
            .iter()
            .map(|callback| it.spawn(callback))
            .collect();
        sleep(ms(rng.u64(0..600))).await;
        for request in &running {
            if rng.u8(0..3) == 0 {
                request.abort();
            }
        }
        let drained = it.drain.finish(ms(rng.u64(0..8000))).await;
        assert_eq!(drained.unsettled, 0);
        assert_eq!(it.drain.active(), 0);
        it.store.heal();
        let mut done = 0;
        for (callback, request) in callbacks.iter().zip(running) {
            let answer = request.await;
            let is_done = it.stranger.peek(&slot_of(callback).await).await.is_some();
            if let Ok(answer) = &answer {
                assert_eq!(answer.status() == StatusCode::OK, is_done);
            }
            // One that was dropped during its claim costs a lease; nothing else does.
            let claim = it.stranger.claim(&slot_of(callback).await, secs(1)).await;
            let is_free = matches!(claim, Claim::Granted(_));
            let dropped_early = answer.is_err() && it.seen.runs_of(&callback.task_id) == 0;
            assert!(is_done || is_free || dropped_early, "{claim:?}");
            done += usize::from(is_done);
        }
        assert!(done + drained.aborted <= 100);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }
}

// Those who wait.

#[tokio::test(start_paused = true)]
async fn a_twin_that_waits_when_the_layer_closes_may_still_take_over() {
    let it = Setup::new(|attempt| async move {
        sleep(secs(1)).await;
        match attempt {
            1 => StatusCode::BAD_GATEWAY,
            _ => StatusCode::OK,
        }
    });
    let (first, twin) = (it.spawn(&task(0)), it.spawn(&task(0)));
    it.active(2).await;
    let drained = it.drain.finish(secs(10)).await;
    assert_eq!(drained.aborted, 0);
    assert_eq!(first.await.unwrap().status(), StatusCode::BAD_GATEWAY);
    assert_eq!(twin.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn twins_start_no_handler_after_the_end() {
    let it = Setup::new(|_| pending());
    let twins: Vec<_> = (0..20).map(|_| it.spawn(&task(0))).collect();
    it.active(20).await;
    let drained = it.drain.finish(secs(1)).await;
    assert_eq!((drained.aborted, drained.unsettled), (1, 0));
    assert_eq!(it.seen.len(), 1);
    let mut shut_out = 0;
    for twin in twins {
        let reply = twin.await.unwrap();
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        shut_out += usize::from(said(&reply) == Some(Rejection::ShuttingDown));
    }
    assert_eq!(shut_out, 19);
    it.stranger.hold(&slot_of(&task(0)).await, secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_another_process_is_postponed_at_the_end() {
    let it = Setup::new(|_| ok_after(secs(0)));
    it.stranger.hold(&slot_of(&task(0)).await, secs(60)).await;
    let waiting = it.spawn(&task(0));
    it.active(1).await;
    let start = Instant::now();
    let drained = it.drain.finish(secs(2)).await;
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert!(
        start.elapsed() <= secs(2) + ms(600),
        "{:?}",
        start.elapsed()
    );
    assert_postponed(&waiting.await.unwrap(), Rejection::ShuttingDown);
    assert_eq!(it.seen.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_granted_after_the_end_is_given_back_and_starts_nothing() {
    let it = Setup::new(|_| ok_after(secs(0)));
    it.store.always(Op::Claim, Fault::Slow(ms(900)));
    let claiming = it.spawn(&task(0));
    it.active(1).await;
    let drained = it.drain.finish(ms(100)).await;
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert_postponed(&claiming.await.unwrap(), Rejection::ShuttingDown);
    assert_eq!(it.seen.len(), 0);
    it.stranger.hold(&slot_of(&task(0)).await, secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_after_the_end_claims_nothing() {
    let it = Setup::new(|_| ok_after(secs(0)));
    let (mut sender, body) = http_body_util::channel::Channel::<bytes::Bytes>::new(1);
    let callback = task(0);
    let call = it.receiver.clone().call(callback.request().map(|_| body));
    let call = tokio::spawn(call);
    tokio::task::yield_now().await;
    it.drain.finish(secs(1)).await;
    sender.send_data(callback.body.into()).await.unwrap();
    drop(sender);
    assert_postponed(&call.await.unwrap().unwrap(), Rejection::ShuttingDown);
    assert_eq!((it.seen.len(), it.store.count(Op::Claim)), (0, 0));
}

// What is owed to the store.

#[tokio::test(start_paused = true)]
async fn finish_waits_for_deferred_commits() {
    let it = Setup::new(|_| ok_after(secs(0)));
    it.store.always(Op::Commit, Fault::Fail);
    let reply = it.spawn(&task(0));
    sleep(secs(5)).await;
    assert_eq!(
        it.drain.active(),
        1,
        "who waits for the commit is no second one"
    );
    let (store, drain) = (it.store.clone(), it.drain.clone());
    let finish = tokio::spawn(async move { drain.finish(secs(60)).await });
    sleep(secs(20)).await;
    assert!(!finish.is_finished());
    store.heal();
    let drained = finish.await.unwrap();
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert_eq!(
        said(&reply.await.unwrap()),
        Some(Disposition::CommitDeferred)
    );
    assert!(it.stranger.peek(&slot_of(&task(0)).await).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_deferred_commit_gets_one_last_try_at_the_end() {
    #[cfg(feature = "tracing")]
    harness::logs::capture();
    let it = Setup::new(|_| ok_after(secs(0)));
    it.store.always(Op::Commit, Fault::Fail);
    let reply = it.spawn(&task(0));
    sleep(secs(30)).await;
    assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    let commits = it.store.count(Op::Commit);
    let start = Instant::now();
    let drained = it.drain.finish(secs(0)).await;
    assert_eq!((drained.aborted, drained.unsettled), (0, 1));
    assert_eq!(start.elapsed(), secs(0));
    assert_eq!(it.store.count(Op::Commit), commits + 1);
    #[cfg(feature = "tracing")]
    assert!(harness::logs::say("could not be recorded"));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_does_not_take_is_counted_and_does_not_keep_the_process() {
    let it = Setup::new(|_| pending());
    it.store.always(Op::Release, Fault::Hang);
    let _running = it.spawn(&task(0));
    it.active(1).await;
    let start = Instant::now();
    let drained = it.drain.finish(secs(1)).await;
    assert_eq!(drained.aborted, 1);
    assert!(start.elapsed() <= secs(6) + ms(10), "{:?}", start.elapsed());
    let again = it.drain.finish(secs(0)).await;
    assert_eq!(again.aborted, 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_to_the_end_is_given_up_counted_and_logged() {
    logs::capture();
    let it = Setup::new(|_| ok_after(secs(0)));
    it.store.always(Op::Commit, Fault::Fail);
    let reply = it.spawn(&task(0));
    sleep(secs(14)).await;
    assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    assert!(!logs::say("could not be recorded"));
    let drained = it.drain.finish(secs(0)).await;
    assert_eq!((drained.aborted, drained.unsettled), (0, 1));
    assert!(logs::say("could not be recorded"));
}

#[tokio::test(start_paused = true)]
async fn a_second_finish_waits_for_what_the_first_has_left() {
    let it = Setup::new(|_| pending());
    it.store.always(Op::Release, Fault::Hang);
    let _running = it.spawn(&task(0));
    it.active(1).await;
    let first = it.drain.abort(ms(500)).await;
    assert_eq!((first.aborted, first.unsettled), (1, 1));
    it.store.heal();
    let second = it.drain.finish(secs(30)).await;
    assert_eq!((second.aborted, second.unsettled), (1, 0));
    it.stranger.hold(&slot_of(&task(0)).await, secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_finish_that_is_dropped_ends_nothing() {
    let it = Setup::new(|_| ok_after(secs(5)));
    let running = it.spawn(&task(0));
    it.active(1).await;
    assert!(
        tokio::time::timeout(secs(1), it.drain.finish(secs(2)))
            .await
            .is_err()
    );
    assert_eq!(running.await.unwrap().status(), StatusCode::OK);
    assert_postponed(&send(&it.receiver, &task(1)).await, Rejection::ShuttingDown);
}

// From the signal to the exit.

/// A server that a peer holds for ever, and that has the requests in itself.
async fn held<T>(requests: impl Future<Output = T>) -> Result<(), Infallible> {
    requests.await;
    pending().await
}

/// A server that ends when all is said.
async fn ending<T>(requests: impl Future<Output = T>) -> Result<(), Infallible> {
    requests.await;
    Ok(())
}

/// Sends it; the answer is kept where it can be seen when the server is gone.
fn sending(it: &Setup, callback: &Callback) -> (impl Future<Output = ()> + use<>, Answers) {
    let answers = Answers::default();
    let (receiver, callback, kept) = (it.receiver.clone(), callback.clone(), answers.clone());
    let send = async move {
        let reply = send(&receiver, &callback).await;
        kept.lock().unwrap().push(reply);
    };
    (send, answers)
}

type Answers = std::sync::Arc<std::sync::Mutex<Vec<Reply>>>;

#[tokio::test(start_paused = true)]
async fn a_server_that_a_peer_holds_is_left_at_the_bound() {
    for bound in [secs(25), secs(8), ms(100), secs(0)] {
        let it = Setup::new(|_| ok_after(secs(0)));
        let start = Instant::now();
        let drained = it.drain.serve(held(ready(())), sleep(secs(7)), bound);
        let drained = drained.await.unwrap();
        assert_eq!((drained.aborted, drained.unsettled), (0, 0));
        let took = start.elapsed() - secs(7);
        assert!(took <= bound + ms(10), "{took:?} of {bound:?}");
        assert_postponed(&send(&it.receiver, &task(0)).await, Rejection::ShuttingDown);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_bound_when_all_is_done() {
    for handler in [0, 4] {
        let it = Setup::new(move |_| ok_after(secs(handler)));
        let (request, answers) = sending(&it, &task(0));
        let start = Instant::now();
        let drained = it
            .drain
            .serve(ending(request), sleep(secs(1)), Drain::BOUND);
        let drained = drained.await.unwrap();
        assert_eq!((drained.aborted, drained.unsettled), (0, 0));
        assert!(start.elapsed() <= secs(handler) + ms(10));
        assert_eq!(answers.lock().unwrap()[0].status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_has_what_a_bound_leaves_it_and_is_aborted_released_and_answered_inside_it() {
    let cases = [
        (25, 20, Rejection::StillRunning), // as without a shutdown, at its deadline of 13 s
        (10, 7, Rejection::Aborted),
        (4, 3, Rejection::Aborted),
    ];
    for (bound, patience, answered) in cases {
        let it = Setup::new(|_| pending());
        let (detached, callback) = (task(0), task(1));
        let peer_has_gone = it.spawn(&detached);
        it.active(1).await;
        peer_has_gone.abort();
        let (request, answers) = sending(&it, &callback);
        let start = Instant::now();
        let drained = it.drain.serve(held(request), ready(()), secs(bound));
        let mut drained = pin!(drained);
        let early = tokio::time::timeout(secs(patience), drained.as_mut()).await;
        assert!(early.is_err() && it.drain.active() == 2);
        let drained = drained.await.unwrap();
        assert_eq!((drained.aborted, drained.unsettled), (2, 0));
        assert!(start.elapsed() <= secs(bound) + ms(10));
        assert_postponed(&answers.lock().unwrap()[0], answered);
        for callback in [&detached, &callback] {
            it.stranger.hold(&slot_of(callback).await, secs(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn twins_that_wait_are_answered_inside_the_bound() {
    let it = Setup::new(|_| pending());
    it.stranger.hold(&slot_of(&task(1)).await, secs(60)).await;
    let twins: Vec<_> = (0..6).map(|n| sending(&it, &task(n % 2))).collect();
    let (requests, answers): (Vec<_>, Vec<_>) = twins.into_iter().unzip();
    let requests = futures_util::future::join_all(requests);
    let drained = it.drain.serve(ending(requests), sleep(ms(10)), secs(8));
    let drained = drained.await.unwrap();
    assert_eq!((drained.aborted, drained.unsettled), (1, 0));
    for answer in answers {
        let status = answer.lock().unwrap()[0].status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(it.seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_provider_s_word_is_answered_when_all_has_to_end() {
    struct Silent;
    impl Confirm for Silent {
        async fn confirm(&self, _: &VoiceEvent) -> Confirmation {
            pending().await
        }
    }
    let layer = SunoCallbackLayer::new(key(), Faulty::default()).confirm(Silent);
    let receiver = layer.layer(handling(Seen::default(), |_| ok_after(secs(0))));
    let waiting = [task(0), task(0), task(1)].map(|task| spawn_send(&receiver, &task));
    let drain = layer.drain();
    until("all wait", || drain.active() == 3).await;
    let drained = drain.serve(ending(ready(())), ready(()), secs(1)).await;
    let drained = drained.unwrap();
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    for reply in waiting {
        let status = reply.await.unwrap().status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_nothing_does_not_keep_the_process_beyond_the_bound() {
    for (bound, most) in [(secs(25), secs(25)), (secs(2), secs(2)), (ms(0), ms(500))] {
        let it = Setup::new(|_| pending());
        it.store.always(Op::Release, Fault::Hang);
        let _running = it.spawn(&task(0));
        it.active(1).await;
        let start = Instant::now();
        let drained = it.drain.serve(held(ready(())), ready(()), bound);
        assert_eq!(drained.await.unwrap().aborted, 1);
        assert!(start.elapsed() <= most + ms(10), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_deferred_commit_gets_its_last_try_inside_the_bound() {
    let it = Setup::new(|_| ok_after(secs(0)));
    it.store.always(Op::Commit, Fault::Fail);
    let reply = it.spawn(&task(0));
    sleep(secs(30)).await;
    assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    let commits = it.store.count(Op::Commit);
    let store = it.store.clone();
    tokio::spawn(async move {
        sleep(secs(19)).await;
        store.heal();
    });
    let drained = it.drain.serve(held(ready(())), ready(()), Drain::BOUND);
    let drained = drained.await.unwrap();
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert!(it.store.count(Op::Commit) > commits);
    assert!(it.stranger.peek(&slot_of(&task(0)).await).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_ends_its_layer_too_and_its_error_is_told() {
    let it = Setup::new(|_| pending());
    let _running = it.spawn(&task(0));
    it.active(1).await;
    let failing = async { Err::<(), _>("no sockets any more") };
    let start = Instant::now();
    let served = it.drain.serve(failing, pending::<()>(), secs(8)).await;
    assert_eq!(served, Err("no sockets any more"));
    assert!(start.elapsed() <= secs(8));
    it.stranger.hold(&slot_of(&task(0)).await, secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_server_is_passed_on() {
    let drain = Setup::new(|_| pending()).drain;
    let panicking = async { panic!("of the server") };
    let served = tokio::spawn(async move {
        let panicking: std::pin::Pin<Box<dyn Future<Output = Result<(), Infallible>> + Send>> =
            Box::pin(panicking);
        drain.serve(panicking, pending::<()>(), secs(8)).await
    });
    let panic = served.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"of the server"));
}

#[tokio::test(start_paused = true)]
async fn a_serve_that_is_dropped_ends_nothing_and_what_runs_can_be_aborted_at_once() {
    let it = Setup::new(|_| pending());
    let _running = it.spawn(&task(0));
    it.active(1).await;
    let served = it.drain.serve(held(ready(())), sleep(secs(1)), secs(25));
    assert!(tokio::time::timeout(secs(5), served).await.is_err());
    assert_eq!(it.drain.active(), 1);
    assert!(it.drain.is_closed());
    let start = Instant::now();
    let drained = it.drain.abort(secs(1)).await;
    assert_eq!((drained.aborted, drained.unsettled), (1, 0));
    assert!(start.elapsed() <= ms(10));
    it.stranger.hold(&slot_of(&task(0)).await, secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_bound_without_an_end_waits_for_all_that_runs() {
    let it = Setup::new(|_| ok_after(secs(500)));
    let _running = it.spawn(&task(0));
    it.active(1).await;
    let drained = it.drain.serve(ending(ready(())), ready(()), Duration::MAX);
    let drained = drained.await.unwrap();
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert!(it.stranger.peek(&slot_of(&task(0)).await).await.is_some());
}

#[test]
fn where_a_runtime_ends_a_handler_is_gone_before_the_drain_hears_of_it() {
    gone_before_the_drain_hears_of_it(Faulty::default());
    gone_before_the_drain_hears_of_it(MemoryStore::default());
}

/// Notes how many are active when it is dropped.
struct Leaving(Drain, Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.1.store(self.0.active(), SeqCst);
    }
}

fn gone_before_the_drain_hears_of_it(store: impl DedupStore) {
    const RUNS: usize = usize::MAX;
    let layer = SunoCallbackLayer::new(key(), store);
    let (drain, active) = (layer.drain(), Arc::new(AtomicUsize::new(0)));
    let at_drop = Arc::clone(&active);
    let receiver = layer.layer(handling(Seen::default(), move |_| {
        at_drop.store(RUNS, SeqCst);
        let leaving = Leaving(drain.clone(), Arc::clone(&at_drop));
        async move {
            let _leaving = leaving;
            pending().await
        }
    }));
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        spawn_send(&receiver, &task(0));
        until("the handler runs", || active.load(SeqCst) == RUNS).await;
    });
    drop(runtime);
    assert_eq!(active.load(SeqCst), 1);
    assert_eq!(layer.drain().active(), 0);
}

#[tokio::test(start_paused = true)]
async fn layers_that_share_a_drain_end_together() {
    let work = |_| ok_after(secs(3));
    let first = SunoCallbackLayer::new(key(), Faulty::default());
    let second = SunoCallbackLayer::new(key(), Faulty::default()).with_drain(first.drain());
    let receivers = [
        first.layer(handling(Seen::default(), work)),
        second.layer(handling(Seen::default(), work)),
    ];
    let running = receivers
        .each_ref()
        .map(|receiver| spawn_send(receiver, &task(0)));
    let drain = first.drain();
    until("both are active", || drain.active() == 2).await;
    let closed = drain.closed();
    let drained = second.drain().finish(secs(10)).await;
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    closed.await;
    for reply in running {
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    }
    for receiver in &receivers {
        assert_postponed(&send(receiver, &task(1)).await, Rejection::ShuttingDown);
    }
}

// Beside axum.

#[cfg(feature = "axum")]
#[tokio::test]
async fn f17_axum_s_graceful_shutdown_leaves_a_handler_whose_peer_has_gone_and_finish_waits_for_it()
{
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use tokio::io::AsyncWriteExt;

    let ended = Arc::new(AtomicUsize::new(0));
    let go = Arc::new(tokio::sync::Semaphore::new(0));
    let (count, gate) = (Arc::clone(&ended), Arc::clone(&go));
    let layer = SunoCallbackLayer::new(key(), suno_callback::MemoryStore::default());
    let drain = layer.drain();
    let on_voice = move |_event: suno_callback::VoiceEvent| {
        let (count, gate) = (Arc::clone(&count), Arc::clone(&gate));
        async move {
            gate.acquire().await.unwrap().forget();
            count.fetch_add(1, SeqCst);
        }
    };
    let app = axum::Router::new().route("/", axum::routing::post(on_voice).layer(layer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let closing = drain.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stopped.await.unwrap();
        closing.close();
    });
    let server = tokio::spawn(server.into_future());
    let mut peer = tokio::net::TcpStream::connect(addr).await.unwrap();
    peer.write_all(&task(0).wire()).await.unwrap();
    until("the handler runs", || drain.active() == 1).await;
    drop(peer);
    stop.send(()).unwrap();
    tokio::time::timeout(secs(10), server)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    // The server is gone and the handler is not.
    assert_eq!((drain.active(), ended.load(SeqCst)), (1, 0));
    let finishing = drain.clone();
    let finish = tokio::spawn(async move { finishing.finish(secs(10)).await });
    go.add_permits(1);
    let drained = finish.await.unwrap();
    assert_eq!((drained.aborted, drained.unsettled), (0, 0));
    assert_eq!(ended.load(SeqCst), 1);
}

/// Peers that hold axum's graceful shutdown for ever, and a callback that is being handled.
#[cfg(feature = "axum")]
#[tokio::test(start_paused = true)]
async fn axum_is_left_at_the_bound_whatever_peers_have_sent_and_a_handler_s_peer_is_answered() {
    use axum::serve::ListenerExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let halves: [&[u8]; 3] = [
        b"POST / HTTP/1.1\r\nHost: a",
        b"P",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for half in halves {
        let layer = SunoCallbackLayer::new(key(), suno_callback::MemoryStore::default());
        let drain = layer.drain();
        let on_voice = async |_: suno_callback::VoiceEvent| pending::<()>().await;
        let app = axum::Router::new().route("/", axum::routing::post(on_voice).layer(layer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (accepted, mut count) = tokio::sync::watch::channel(0);
        let listener = listener.tap_io(move |_| accepted.send_modify(|count| *count += 1));
        let server = axum::serve(listener, app).with_graceful_shutdown(drain.closed());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = drain.clone();
        let serving = tokio::spawn(async move {
            let drained = serving.serve(server, stopped, Drain::BOUND).await;
            drained.unwrap()
        });
        let mut holding = tokio::net::TcpStream::connect(addr).await.unwrap();
        holding.write_all(half).await.unwrap();
        let mut peer = tokio::net::TcpStream::connect(addr).await.unwrap();
        peer.write_all(&task(0).wire()).await.unwrap();
        count.wait_for(|count| *count == 2).await.unwrap();
        until("the handler runs", || drain.active() == 1).await;

        let start = Instant::now();
        stop.send(()).unwrap();
        let drained = serving.await.unwrap();
        assert_eq!((drained.aborted, drained.unsettled), (1, 0));
        assert!(
            start.elapsed() <= Drain::BOUND + ms(10),
            "{:?}",
            start.elapsed()
        );
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
}
