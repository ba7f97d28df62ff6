//! How long everything takes, in paused time: the deadline, the lease, the store's budget, and what
//! goes on after the answer.

use std::{
    future::pending,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use harness::{
    Callback, Handler, Receiver, Reply, Seen, answer, assert_postponed,
    faulty::{Fault, Faults as _, Faulty, Op, Stranger},
    handling, key, ms, ok_after, said, secs, send, slot_of, until,
};
use http::{Request, StatusCode};
use suno_callback::{
    Disposition, Drain, Limits, Rejection, SunoCallbackLayer, Times,
    store::{Claim, Record, Settled, SlotKey},
};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service};

/// A receiver over a store with a script, and what there is to look at.
struct Setup {
    store: Faulty,
    stranger: Stranger,
    receiver: Receiver<Faulty>,
    drain: Drain,
    seen: Seen,
    callback: Callback,
    slot: SlotKey,
}

impl Setup {
    async fn new<F, W>(work: F) -> Self
    where
        F: Fn(u32) -> W + Clone + Send + Sync + 'static,
        W: Future<Output = StatusCode> + Send + 'static,
    {
        Self::with(work, |layer| layer).await
    }

    /// `work` is given the number of the attempt.
    async fn with<F, W>(
        work: F,
        build: impl FnOnce(SunoCallbackLayer<Faulty>) -> SunoCallbackLayer<Faulty>,
    ) -> Self
    where
        F: Fn(u32) -> W + Clone + Send + Sync + 'static,
        W: Future<Output = StatusCode> + Send + 'static,
    {
        let seen = Seen::default();
        let handler = handling(seen.clone(), move |delivery| work(delivery.attempt()));
        Self::over(handler, seen, build).await
    }

    async fn over(
        handler: Handler,
        seen: Seen,
        build: impl FnOnce(SunoCallbackLayer<Faulty>) -> SunoCallbackLayer<Faulty>,
    ) -> Self {
        let store = Faulty::default();
        let layer = build(SunoCallbackLayer::new(key(), store.clone()));
        let callback = Callback::success("task", "voice");
        Self {
            stranger: Stranger::on(&store),
            store,
            drain: layer.drain(),
            receiver: layer.layer(handler),
            seen,
            slot: slot_of(&callback).await,
            callback,
        }
    }

    async fn send(&self) -> Reply {
        send(&self.receiver, &self.callback).await
    }

    /// Sends, and says how long the answer took.
    async fn timed(&self) -> (Reply, Duration) {
        let start = Instant::now();
        let reply = self.send().await;
        (reply, start.elapsed())
    }

    fn send_later(&self, after: Duration) -> tokio::task::JoinHandle<(Reply, Duration)> {
        let (receiver, callback) = (self.receiver.clone(), self.callback.clone());
        tokio::spawn(async move {
            sleep(after).await;
            let start = Instant::now();
            let reply = send(&receiver, &callback).await;
            (reply, start.elapsed())
        })
    }

    async fn idle(&self) {
        until("nothing is active", || self.drain.active() == 0).await;
    }
}

fn assert_received(reply: &Reply, how: Disposition) {
    assert_eq!(said(reply), Some(how));
    assert_eq!(reply.status(), StatusCode::OK);
}

fn assert_about(time: Duration, expected: Duration) {
    let slack = ms(20);
    let fits = time + slack >= expected && time <= expected + slack;
    assert!(fits, "{time:?} instead of {expected:?}");
}

// The answer's deadline.

#[tokio::test(start_paused = true)]
async fn f08_a_handler_past_the_deadline_runs_on_and_its_commit_counts() {
    let it = Setup::new(|_| ok_after(secs(20))).await;
    let (reply, took) = it.timed().await;
    assert_postponed(&reply, Rejection::StillRunning);
    assert_about(took, secs(13));
    assert_eq!(it.drain.active(), 1);
    assert_eq!(it.stranger.peek(&it.slot).await, None);
    sleep(ms(7100)).await;
    assert_eq!(it.drain.active(), 0);
    assert!(it.stranger.peek(&it.slot).await.is_some());
    assert_received(&it.send().await, Disposition::Duplicate);
    assert_eq!(it.seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn f18_a_service_that_is_not_ready_at_the_deadline_is_called_later_and_its_commit_counts() {
    #[derive(Clone)]
    struct Slow(Seen, Instant);
    impl Service<Request<http_body_util::Full<bytes::Bytes>>> for Slow {
        type Response = http::Response<http_body_util::Full<bytes::Bytes>>;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
        fn poll_ready(
            &mut self,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            let left = self.1.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return std::task::Poll::Ready(Ok(()));
            }
            let waker = cx.waker().clone();
            tokio::spawn(async move {
                sleep(left).await;
                waker.wake();
            });
            std::task::Poll::Pending
        }
        fn call(&mut self, request: Request<http_body_util::Full<bytes::Bytes>>) -> Self::Future {
            self.0.push(&request);
            std::future::ready(Ok(answer(StatusCode::OK)))
        }
    }
    let seen = Seen::default();
    let slow = Slow(seen.clone(), Instant::now() + secs(20));
    let it = Setup::over(Handler::new(slow), seen, |layer| layer).await;
    let (reply, took) = it.timed().await;
    assert_postponed(&reply, Rejection::StillRunning);
    assert_about(took, secs(13));
    assert_eq!(it.seen.len(), 0);
    it.idle().await;
    assert_eq!(it.seen.len(), 1);
    assert_received(&it.send().await, Disposition::Duplicate);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_at_the_deadline_is_the_answer() {
    let it = Setup::new(|_| ok_after(secs(13))).await;
    let (reply, took) = it.timed().await;
    assert_received(&reply, Disposition::Accepted);
    assert_about(took, secs(13));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_refused_after_three_seconds_and_nothing_is_claimed() {
    let it = Setup::new(|_| ok_after(secs(0))).await;
    let (_sender, body) = http_body_util::channel::Channel::<bytes::Bytes>::new(1);
    let request = it.callback.request().map(|_| body);
    let start = Instant::now();
    let reply = it.receiver.clone().call(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::REQUEST_TIMEOUT);
    assert_about(start.elapsed(), secs(3));
    assert!(it.store.calls().is_empty());
}

// Twins.

#[tokio::test(start_paused = true)]
async fn f02_a_retry_while_the_first_still_runs_waits_for_its_outcome() {
    let it = Setup::new(|_| ok_after(secs(17))).await;
    let retry = it.send_later(secs(15));
    assert_postponed(&it.send().await, Rejection::StillRunning);
    let (reply, took) = retry.await.unwrap();
    assert_received(&reply, Disposition::Duplicate);
    assert_about(took, secs(2));
    assert_eq!(it.seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn f04_a_twin_takes_over_when_the_first_fails() {
    let it = Setup::new(|attempt| async move {
        sleep(secs(2)).await;
        match attempt {
            1 => StatusCode::BAD_GATEWAY,
            _ => StatusCode::OK,
        }
    })
    .await;
    let twin = it.send_later(secs(1));
    let first = it.send().await;
    assert_eq!(first.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(said(&first), Some(Disposition::HandlerFailed));
    let (reply, took) = twin.await.unwrap();
    assert_received(&reply, Disposition::Accepted);
    assert_about(took, secs(3));
    assert_eq!(it.seen.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn f04_an_error_gives_the_claim_back_so_that_the_next_try_runs_at_once() {
    for errors in 0..=3 {
        let it = Setup::new(move |attempt| async move {
            match attempt <= errors {
                true => StatusCode::INTERNAL_SERVER_ERROR,
                false => StatusCode::OK,
            }
        })
        .await;
        let start = Instant::now();
        for _ in 0..errors {
            assert_eq!(it.send().await.status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
        assert_received(&it.send().await, Disposition::Accepted);
        assert_eq!(it.seen.len(), errors as usize + 1);
        assert_about(start.elapsed(), secs(0));
    }
}

#[tokio::test(start_paused = true)]
async fn f05_a_refusal_of_the_handler_is_its_answer_and_is_no_end_of_the_event() {
    for code in 400..500 {
        let status = StatusCode::from_u16(code).unwrap();
        let it = Setup::new(move |attempt| async move {
            match attempt {
                1 => status,
                _ => StatusCode::OK,
            }
        })
        .await;
        assert_eq!(it.send().await.status(), status);
        assert_received(&it.send().await, Disposition::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn f06_every_success_is_answered_with_exactly_200_and_no_redirect_leaves() {
    for code in 200..600 {
        let status = StatusCode::from_u16(code).unwrap();
        let it = Setup::new(move |_| async move { status }).await;
        let reply = it.send().await.status();
        match code {
            200..300 => assert_eq!(reply, StatusCode::OK),
            300..400 => assert_eq!(reply, StatusCode::INTERNAL_SERVER_ERROR),
            _ => assert_eq!(reply, status),
        }
        let is_done = it.stranger.peek(&it.slot).await.is_some();
        assert_eq!(is_done, status.is_success(), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_twin_is_postponed_at_its_own_deadline() {
    let it = Setup::new(|_| ok_after(secs(60))).await;
    let twin = it.send_later(secs(5));
    assert_postponed(&it.send().await, Rejection::StillRunning);
    let (reply, took) = twin.await.unwrap();
    assert_postponed(&reply, Rejection::StillInFlight);
    assert_about(took, secs(13));
}

#[tokio::test(start_paused = true)]
async fn f11_of_many_that_wait_one_takes_over_and_the_others_wait_again() {
    let running = Arc::new(AtomicUsize::new(0));
    let together = Arc::new(AtomicBool::new(false));
    let (runs, both) = (running.clone(), together.clone());
    let it = Setup::new(move |attempt| {
        let (runs, both) = (runs.clone(), both.clone());
        async move {
            both.fetch_or(runs.fetch_add(1, SeqCst) > 0, SeqCst);
            sleep(secs(1)).await;
            runs.fetch_sub(1, SeqCst);
            match attempt {
                1..=3 => StatusCode::BAD_GATEWAY,
                _ => StatusCode::OK,
            }
        }
    })
    .await;
    let twins: Vec<_> = (0..64).map(|n| it.send_later(ms(n))).collect();
    let mut failed = 0;
    for twin in twins {
        let (reply, took) = twin.await.unwrap();
        assert!(took < secs(5), "{took:?}");
        failed += usize::from(reply.status() != StatusCode::OK);
    }
    assert_eq!((failed, it.seen.len()), (3, 4));
    assert!(!together.load(SeqCst));
}

// The lease.

#[tokio::test(start_paused = true)]
async fn a_running_handler_is_never_free_for_another_claimant() {
    let it = Setup::new(|_| ok_after(secs(60))).await;
    let first = it.send_later(secs(0));
    sleep(ms(100)).await;
    let start = Instant::now();
    while start.elapsed() < ms(59_800) {
        assert!(it.stranger.sees_it_held(&it.slot).await);
        sleep(ms(100)).await;
    }
    first.await.unwrap();
    it.idle().await;
    let renewed: Vec<_> = it.store.calls();
    let renewed: Vec<_> = renewed.iter().filter(|call| call.op == Op::Renew).collect();
    assert_eq!(renewed.len(), 85, "one every 0.7 s for 60 s");
    for pair in renewed.windows(2) {
        assert_about(pair[1].at - pair[0].at, ms(700));
    }
}

#[tokio::test(start_paused = true)]
async fn f22_renewals_that_fail_or_hang_do_not_stop_the_handler() {
    for fault in [Fault::Fail, Fault::Hang, Fault::LoseAnswer] {
        let it = Setup::new(|_| ok_after(secs(12))).await;
        it.store.always(Op::Renew, fault);
        let (reply, took) = it.timed().await;
        assert_received(&reply, Disposition::Accepted);
        assert_about(took, secs(12));
        assert!(it.store.count(Op::Renew) >= 4, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_busy_and_never_idle_is_renewed_and_can_be_ended() {
    /// Takes all of its task's budget in every poll, and a tenth of a second.
    async fn busy(mut polls: u32) -> StatusCode {
        std::future::poll_fn(move |cx| {
            while pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
            let _ = pin!(tokio::time::advance(ms(100))).poll(cx);
            polls -= 1;
            match polls {
                0 => std::task::Poll::Ready(StatusCode::OK),
                _ => std::task::Poll::Pending,
            }
        })
        .await
    }
    let it = Setup::new(|_| busy(120)).await;
    assert_received(&it.send().await, Disposition::Accepted);
    assert!(
        it.store.count(Op::Renew) >= 13,
        "{}",
        it.store.count(Op::Renew)
    );

    let it = Setup::new(|_| busy(100_000)).await;
    let running = it.send_later(secs(0));
    while it.drain.active() == 0 {
        tokio::task::yield_now().await;
    }
    it.drain.finish(secs(3)).await;
    assert_postponed(&running.await.unwrap().0, Rejection::Aborted);
}

#[tokio::test(start_paused = true)]
async fn one_renewal_that_hangs_does_not_cost_the_lease() {
    let it = Setup::new(|_| ok_after(secs(9))).await;
    it.store.next(Op::Renew, [Fault::Hang]);
    let first = it.send_later(secs(0));
    sleep(ms(50)).await;
    for _ in 0..80 {
        assert!(it.stranger.sees_it_held(&it.slot).await);
        sleep(ms(100)).await;
    }
    assert_received(&first.await.unwrap().0, Disposition::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_is_ended_ten_minutes_after_the_answer_and_its_claim_is_free() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = dropped.clone();
    harness::logs::capture();
    let it = Setup::new(move |_| {
        let dropped = Dropped(flag.clone());
        async move {
            let _dropped = dropped;
            pending().await
        }
    })
    .await;
    assert_postponed(&it.send().await, Rejection::StillRunning);
    sleep(secs(600) - ms(50)).await;
    assert!(!dropped.load(SeqCst));
    assert!(it.stranger.sees_it_held(&it.slot).await);
    sleep(ms(100)).await;
    assert!(dropped.load(SeqCst));
    assert!(harness::logs::say("stopped=ran_too_long"));
    assert_eq!(it.drain.active(), 0);
    it.stranger.hold(&it.slot, secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_not_cut_while_its_peer_waits_however_short_a_detached_one_may_be() {
    let times = Times {
        detached: secs(1),
        ..Times::default()
    };
    let it = Setup::with(|_| ok_after(secs(12)), |it| it.times(times).unwrap()).await;
    let (reply, took) = it.timed().await;
    assert_received(&reply, Disposition::Accepted);
    assert_about(took, secs(12));
}

#[tokio::test(start_paused = true)]
async fn a_detached_handler_has_its_time_from_the_drop_or_the_answer_on() {
    for (peer_stays, answered) in [(secs(2), secs(2)), (secs(60), secs(13))] {
        for (handled, is_cut) in [(ms(4900), false), (ms(5100), true)] {
            let times = Times {
                detached: secs(5),
                ..Times::default()
            };
            let work = move |_| ok_after(answered + handled);
            let it = Setup::with(work, |it| it.times(times).unwrap()).await;
            let _ = tokio::time::timeout(peer_stays, it.send()).await;
            it.idle().await;
            let is_done = it.stranger.peek(&it.slot).await.is_some();
            assert_eq!(is_done, !is_cut, "{answered:?} + {handled:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_or_a_commit_that_fails_is_repeated_within_150_ms_while_the_lease_lives() {
    for op in [Op::Renew, Op::Commit] {
        let handled = if op == Op::Renew { secs(6) } else { secs(1) };
        let it = Setup::new(move |_| ok_after(handled)).await;
        it.store.always(Op::Renew, Fault::Fail);
        it.store.always(op, Fault::Fail);
        let first = it.send_later(secs(0));
        sleep(ms(4950)).await;
        let calls = it.store.calls();
        let times: Vec<_> = calls
            .iter()
            .filter(|it| it.op == op)
            .map(|it| it.at)
            .collect();
        for pair in times.windows(2) {
            assert!(
                pair[1] - pair[0] <= ms(151),
                "{op:?} {:?}",
                pair[1] - pair[0]
            );
        }
        assert!(times.last().unwrap().elapsed() <= ms(151), "{op:?}");
        it.store.heal();
        assert_received(&first.await.unwrap().0, Disposition::Accepted);
        it.idle().await;
    }
}

/// The pauses between the calls of these operations.
fn pauses(store: &Faulty, ops: &[Op]) -> Vec<Duration> {
    let calls = store.calls();
    let times: Vec<_> = calls.iter().filter(|it| ops.contains(&it.op)).collect();
    let pauses = times.windows(2).map(|pair| pair[1].at - pair[0].at);
    pauses.collect()
}

#[tokio::test(start_paused = true)]
async fn of_a_short_lease_it_is_a_32nd_and_beside_what_hangs_another_starts_each_quarter() {
    let short = Times {
        lease: secs(2),
        heartbeat: ms(500),
        store_operation: ms(400),
        ..Times::default()
    };
    for (times, fault, first, then) in [
        (short.clone(), Fault::Fail, ms(63), ms(63)),
        (short, Fault::Hang, ms(401), ms(101)),
        (Times::default(), Fault::Hang, ms(1001), ms(251)),
    ] {
        let build = |it: SunoCallbackLayer<_>| it.times(times.clone()).unwrap();
        let it = Setup::with(|_| ok_after(secs(6)), build).await;
        it.store.always(Op::Renew, fault);
        let reply = it.send_later(secs(0));
        sleep(times.lease - ms(50)).await;
        let pauses = pauses(&it.store, &[Op::Renew]);
        assert!(pauses.len() > 5 && pauses[0] <= first, "{pauses:?}");
        assert!(pauses[1..].iter().all(|it| *it <= then), "{pauses:?}");
        it.store.heal();
        assert_received(&reply.await.unwrap().0, Disposition::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn the_pauses_before_a_store_or_a_claim_is_looked_at_grow_from_a_fifth_of_the_longest() {
    for is_away in [true, false] {
        let it = Setup::new(|_| ok_after(secs(0))).await;
        let why = match is_away {
            true => {
                it.store.always_all(Fault::Fail);
                Rejection::StoreUnavailable
            }
            false => {
                it.stranger.hold(&it.slot, secs(60)).await;
                Rejection::StillInFlight
            }
        };
        assert_postponed(&it.send().await, why);
        let pauses = pauses(&it.store, &[Op::Peek, Op::Claim]);
        // The jitter shortens each by up to a quarter, and the last one ends with the time.
        let longest = [100, 200, 400].into_iter().chain(std::iter::repeat(500));
        for (pause, longest) in pauses[..pauses.len() - 1].iter().zip(longest) {
            let fits = ms(longest) * 3 / 4 <= *pause && *pause <= ms(longest + 1);
            assert!(fits, "{pauses:?}");
        }
        assert!(pauses.len() > 10, "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_until_a_deferred_commit_is_in() {
    for fault in [Fault::Fail, Fault::Hang] {
        let it = Setup::new(|_| ok_after(secs(1))).await;
        it.store.always(Op::Commit, fault);
        let first = it.send_later(secs(0));
        sleep(ms(100)).await;
        for _ in 0..900 {
            assert!(it.stranger.sees_it_held(&it.slot).await, "{fault:?}");
            sleep(ms(100)).await;
        }
        let asked = it.store.calls().len();
        // A renewal and a commit for each pause, of three quarters of a beat at least.
        assert!(asked < 360, "in time, and not in haste: {asked}");
        it.store.heal();
        assert_received(&first.await.unwrap().0, Disposition::CommitDeferred);
        it.idle().await;
        assert!(it.stranger.peek(&it.slot).await.is_some());
    }
}

// What the handler hears of its claim.

/// Handles one event while renewals meet `fault` from the first second to the ninth, and says when
/// the handler heard that its claim was not sure, and whether it was at the end.
async fn heard(fault: Fault, is_taken: bool) -> (Option<Duration>, bool) {
    let heard = Arc::new(std::sync::Mutex::new((None, false)));
    let (seen, note) = (Seen::default(), heard.clone());
    let start = Instant::now();
    let handler = handling(seen.clone(), move |delivery| {
        let note = note.clone();
        async move {
            assert!(delivery.holds_claim());
            let lost = tokio::time::timeout(secs(12), delivery.claim_lost()).await;
            let lost = lost.ok().map(|()| start.elapsed());
            assert_eq!(delivery.holds_claim(), lost.is_none());
            sleep(secs(12).saturating_sub(start.elapsed())).await;
            *note.lock().unwrap() = (lost, delivery.holds_claim());
            StatusCode::OK
        }
    });
    let it = Setup::over(handler, seen, |it| it).await;
    let sent = it.send_later(secs(0));
    sleep(secs(1)).await;
    it.store.always(Op::Renew, fault);
    sleep(secs(6)).await;
    if is_taken {
        it.stranger.hold(&it.slot, secs(60)).await;
    }
    sleep(secs(2)).await;
    it.store.heal();
    sent.await.unwrap();
    *heard.lock().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_handler_hears_when_its_lease_runs_out_and_when_it_is_renewed_after_all() {
    assert_eq!(heard(Fault::None, false).await, (None, true));
    for fault in [Fault::Fail, Fault::Hang] {
        let (lost, is_sure) = heard(fault, false).await;
        assert_about(lost.expect("heard"), ms(5_700));
        assert!(is_sure, "nobody took it");
        let (lost, is_sure) = heard(fault, true).await;
        assert_about(lost.expect("heard"), ms(5_700));
        assert!(!is_sure, "somebody took it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_hears_that_another_holds_its_claim_when_the_store_says_so() {
    let heard = Arc::new(std::sync::Mutex::new(None));
    let (seen, note) = (Seen::default(), heard.clone());
    let handler = handling(seen.clone(), move |delivery| {
        let note = note.clone();
        async move {
            delivery.claim_lost().await;
            *note.lock().unwrap() = Some(Instant::now());
            StatusCode::BAD_GATEWAY
        }
    });
    let it = Setup::over(handler, seen, |it| it).await;
    let start = Instant::now();
    let sent = it.send_later(secs(0));
    sleep(secs(1)).await;
    // As if this process had been taken for dead.
    let held = *it.seen.all()[0].1.held();
    assert_eq!(it.stranger.release(&it.slot, &held).await, Settled::Applied);
    it.stranger.hold(&it.slot, secs(60)).await;
    sent.await.unwrap();
    assert_about(heard.lock().unwrap().unwrap() - start, ms(1400));
}

/// Also when the store is away for a moment just as the heartbeat asks whose record that is.
#[tokio::test(start_paused = true)]
async fn a_handler_that_has_committed_itself_keeps_its_claim() {
    for fault in [Fault::None, Fault::Fail, Fault::Hang, Fault::LoseAnswer] {
        let it = Setup::new(|_| ok_after(secs(8))).await;
        let sent = it.send_later(secs(0));
        sleep(secs(1)).await;
        let delivery = it.seen.all()[0].1.clone();
        let committed = it
            .stranger
            .commit(&it.slot, delivery.held(), delivery.record());
        assert_eq!(committed.await, Settled::Applied);
        it.store.next(Op::Commit, [fault; 3]);
        let lost = tokio::time::timeout(ms(6900), delivery.claim_lost()).await;
        assert!(lost.is_err() && delivery.holds_claim(), "{fault:?}");
        assert_received(&sent.await.unwrap().0, Disposition::Accepted);
    }
}

/// Whoever handled the same event committed the same record, and yet it was not this handler.
#[tokio::test(start_paused = true)]
async fn a_handler_whose_heir_is_done_hears_that_its_claim_was_lost() {
    let it = Setup::new(|_| ok_after(secs(8))).await;
    let sent = it.send_later(secs(0));
    sleep(secs(1)).await;
    let delivery = it.seen.all()[0].1.clone();
    let ours = *delivery.held();
    assert_eq!(it.stranger.release(&it.slot, &ours).await, Settled::Applied);
    let theirs = it.stranger.hold(&it.slot, secs(60)).await;
    let committed = it
        .stranger
        .commit(&it.slot, &theirs, delivery.record())
        .await;
    assert_eq!(committed, Settled::Applied);
    let heard = tokio::time::timeout(secs(2), delivery.claim_lost()).await;
    assert!(heard.is_ok() && !delivery.holds_claim());
    assert_received(&sent.await.unwrap().0, Disposition::ClaimLost);
}

#[tokio::test(start_paused = true)]
async fn f12_a_request_that_waits_takes_over_from_a_holder_that_died() {
    let it = Setup::new(|_| ok_after(secs(3))).await;
    it.stranger.hold(&it.slot, secs(5)).await;
    let (reply, took) = it.timed().await;
    assert_received(&reply, Disposition::Accepted);
    assert!(took - secs(3) <= secs(5) + ms(500) + secs(1), "{took:?}");
    assert_eq!(it.seen.all()[0].1.attempt(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_another_process_is_answered_by_its_record() {
    let it = Setup::new(|_| ok_after(secs(0))).await;
    let record = record_of(&it.callback).await;
    let held = it.stranger.hold(&it.slot, secs(5)).await;
    let waiting = it.send_later(secs(0));
    sleep(secs(3)).await;
    assert_eq!(
        it.stranger.commit(&it.slot, &held, &record).await,
        Settled::Applied
    );
    let (reply, took) = waiting.await.unwrap();
    assert_received(&reply, Disposition::Duplicate);
    assert!(took <= ms(3500), "{took:?}");
    assert_eq!(it.seen.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_another_process_is_postponed_at_its_deadline() {
    let it = Setup::new(|_| ok_after(secs(0))).await;
    it.stranger.hold(&it.slot, secs(60)).await;
    let (reply, took) = it.timed().await;
    assert_postponed(&reply, Rejection::StillInFlight);
    assert_about(took, secs(13));
    let claims = it.store.count(Op::Claim);
    assert!((24..60).contains(&claims), "{claims} looks in 13 s");
}

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn f16_a_handler_that_blocks_its_thread_is_renewed_as_soon_as_it_lets_go_and_is_logged() {
    harness::logs::capture();
    // `advance` moves the clock within one poll: the thread was blocked for so long.
    let it = Setup::new(|_| async {
        tokio::time::advance(ms(4500)).await;
        ok_after(ms(1)).await
    })
    .await;
    let start = Instant::now();
    assert_received(&it.send().await, Disposition::Accepted);
    let calls = it.store.calls();
    let renewed = calls.iter().find(|call| call.op == Op::Renew);
    assert_about(renewed.expect("a renewal").at - start, ms(4500));
    assert!(harness::logs::say("a heartbeat was late"));
}

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn f16_a_heartbeat_that_is_late_in_the_middle_is_logged_and_one_in_time_is_not() {
    for (blocked, is_late) in [(secs(1), false), (secs(10), true)] {
        harness::logs::capture();
        let it = Setup::new(move |_| async move {
            sleep(ms(1)).await;
            tokio::time::advance(blocked).await;
            ok_after(secs(2)).await
        })
        .await;
        assert_received(&it.send().await, Disposition::Accepted);
        assert_eq!(harness::logs::say("a heartbeat was late"), is_late);
    }
}

// The store at the claim.

#[tokio::test(start_paused = true)]
async fn f20_an_outage_of_eight_seconds_at_the_claim_costs_no_try() {
    for fault in [
        Fault::Fail,
        Fault::Hang,
        Fault::Late(secs(2)),
        Fault::LoseAnswer,
    ] {
        for away in (0..=8).map(secs) {
            // All that the rule leaves for the handler.
            let it = Setup::new(|_| ok_after(secs(3))).await;
            it.store.always_all(fault);
            let sent = it.send_later(secs(0));
            sleep(away).await;
            it.store.heal();
            let (reply, took) = sent.await.unwrap();
            assert_received(&reply, Disposition::Accepted);
            assert!(took < secs(13), "{fault:?} for {away:?}: {took:?}");
            assert_eq!(it.seen.len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f20_a_store_that_stays_away_is_asked_for_as_long_as_the_handler_has_its_share() {
    for (fault, latest) in [
        (Fault::Fail, secs(9)),
        (Fault::Hang, secs(10)),
        (Fault::Late(secs(2)), secs(10)),
    ] {
        for op in [Op::Peek, Op::Claim] {
            let it = Setup::new(|_| ok_after(secs(0))).await;
            it.store.always_all(fault);
            let event = match op {
                Op::Peek => Callback::failure("task"),
                _ => it.callback.clone(),
            };
            let start = Instant::now();
            let reply = send(&it.receiver, &event).await;
            assert_postponed(&reply, Rejection::StoreUnavailable);
            assert_about(start.elapsed(), latest);
            let calls = it.store.calls();
            assert!(calls.iter().any(|call| call.op == op));
            assert!(calls.len() >= 8, "{fault:?} {op:?}");
            assert_eq!((it.seen.len(), it.drain.active()), (0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f20_twins_profit_from_the_patience_of_the_first() {
    let it = Setup::new(|_| ok_after(secs(1))).await;
    it.store.always_all(Fault::Fail);
    let twins: Vec<_> = (0..64).map(|n| it.send_later(ms(n * 100))).collect();
    sleep(secs(7)).await;
    let asked = it.store.count(Op::Claim) + it.store.count(Op::Peek);
    assert!(asked < 30, "one asks for all, and not {asked} times");
    it.store.heal();
    for twin in twins {
        assert_eq!(twin.await.unwrap().0.status(), StatusCode::OK);
    }
    assert_eq!(it.seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn f20_a_hiccup_of_the_store_costs_no_try() {
    for faults in [
        [Fault::Fail, Fault::Fail],
        [Fault::Hang, Fault::Fail],
        [Fault::Hang, Fault::Hang],
    ] {
        let it = Setup::new(|_| ok_after(secs(0))).await;
        it.store.next(Op::Claim, faults);
        assert_received(&it.send().await, Disposition::Accepted);
        assert_eq!(it.seen.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn f21_a_claim_whose_answer_is_lost_is_granted_again_to_its_owner() {
    for fault in [Fault::LoseAnswer, Fault::HangApplied, Fault::Slow(ms(1100))] {
        let it = Setup::new(|_| ok_after(secs(0))).await;
        it.store.next(Op::Claim, [fault, fault]);
        let (reply, took) = it.timed().await;
        assert_received(&reply, Disposition::Accepted);
        assert!(took < secs(3), "{took:?}");
        assert_eq!(it.seen.len(), 1);
        assert_eq!(it.seen.all()[0].1.attempt(), 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn store_retries_end_at_the_deadline() {
    let it = Setup::new(|_| ok_after(secs(0))).await;
    it.stranger.hold(&it.slot, secs(12)).await;
    let waiting = it.send_later(secs(0));
    sleep(secs(11)).await;
    it.store.always(Op::Claim, Fault::Hang);
    let (reply, took) = waiting.await.unwrap();
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(took <= secs(13) + ms(5), "{took:?}");
    assert_eq!(it.seen.len(), 0);
}

// The store at the commit.

#[tokio::test(start_paused = true)]
async fn f24_a_commit_whose_answer_is_lost_is_repeated() {
    for fault in [Fault::LoseAnswer, Fault::HangApplied] {
        let it = Setup::new(|_| ok_after(secs(0))).await;
        it.store.next(Op::Commit, [fault]);
        let (reply, took) = it.timed().await;
        assert_received(&reply, Disposition::Accepted);
        assert!(took < ms(1500), "{took:?}");
        assert_eq!(it.store.count(Op::Commit), 2);
        assert_received(&it.send().await, Disposition::Duplicate);
        assert_eq!((it.seen.len(), it.drain.active()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn f23_a_commit_that_fails_is_answered_200_and_retried_while_callers_here_get_200() {
    for fault in [Fault::Fail, Fault::Hang] {
        let it = Setup::new(|_| ok_after(secs(1))).await;
        it.store.always(Op::Commit, fault);
        let (reply, took) = it.timed().await;
        assert_received(&reply, Disposition::CommitDeferred);
        assert_about(took, secs(13));
        for minute in 0..8 {
            let start = Instant::now();
            assert_received(&it.send().await, Disposition::Duplicate);
            assert_about(start.elapsed(), secs(0));
            let other = Callback::success("task", "another voice");
            let reply = send(&it.receiver, &other).await;
            assert_received(&reply, Disposition::Conflict);
            let late = send(&it.receiver, &Callback::failure("task")).await;
            assert_received(&late, Disposition::Late);
            assert_eq!(it.stranger.peek(&it.slot).await, None, "{minute}");
            sleep(secs(60)).await;
        }
        assert_eq!(it.drain.active(), 1);
        it.store.heal();
        sleep(secs(6)).await;
        assert!(it.stranger.peek(&it.slot).await.is_some());
        assert_eq!((it.seen.len(), it.drain.active()), (1, 0));
        // The local entry is gone: this one asks the store.
        let claims = it.store.count(Op::Claim);
        assert_received(&it.send().await, Disposition::Duplicate);
        assert_eq!(it.store.count(Op::Claim), claims + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn f23_twins_of_an_event_whose_commit_fails_are_answered_at_once() {
    let it = Setup::new(|_| ok_after(secs(1))).await;
    it.store.always(Op::Commit, Fault::Fail);
    let twin = it.send_later(ms(500));
    it.send_later(secs(0)).await.unwrap();
    let (reply, took) = twin.await.unwrap();
    assert_received(&reply, Disposition::Duplicate);
    assert_about(took, ms(500));
}

#[tokio::test(start_paused = true)]
async fn f23_a_commit_that_never_succeeds_is_given_up_after_ten_minutes() {
    let it = Setup::new(|_| ok_after(secs(0))).await;
    it.store.always(Op::Commit, Fault::Fail);
    assert_received(&it.send().await, Disposition::CommitDeferred);
    sleep(secs(600 - 14)).await;
    assert_eq!(it.drain.active(), 1);
    sleep(secs(7)).await;
    assert_eq!(it.drain.active(), 0);
    it.store.heal();
    assert_received(&it.send().await, Disposition::Accepted);
    assert_eq!(it.seen.len(), 2);
    assert_eq!(it.seen.all()[1].1.attempt(), 2);
}

#[tokio::test(start_paused = true)]
async fn f23_entries_of_failed_commits_are_bounded() {
    let it = Setup::with(
        |_| ok_after(secs(0)),
        |layer| {
            let limits = Limits {
                deferred_commits: 3,
                ..Limits::default()
            };
            layer.limits(limits).unwrap()
        },
    )
    .await;
    it.store.always(Op::Commit, Fault::Fail);
    let tasks: Vec<_> = (0..10)
        .map(|n| Callback::success(&format!("task-{n}"), "voice"))
        .collect();
    for callback in &tasks {
        let (receiver, callback) = (it.receiver.clone(), callback.clone());
        tokio::spawn(async move { send(&receiver, &callback).await });
    }
    sleep(secs(14)).await;
    assert_eq!(it.drain.active(), 3);
    assert_eq!(it.seen.len(), 10);
    it.store.heal();
    it.idle().await;
}

#[tokio::test(start_paused = true)]
async fn f23_above_the_bound_a_commit_is_retried_while_its_answer_is_awaited() {
    let none = |layer: SunoCallbackLayer<_>| {
        let limits = Limits {
            deferred_commits: 0,
            ..Limits::default()
        };
        layer.limits(limits).unwrap()
    };
    // Attached, and detached since its deadline.
    for handled in [secs(0), secs(20)] {
        let it = Setup::with(move |_| ok_after(handled), none).await;
        it.store.next(Op::Commit, [Fault::Fail, Fault::Fail]);
        it.send().await;
        it.idle().await;
        assert_eq!(it.store.count(Op::Commit), 3);
        assert_received(&it.send().await, Disposition::Duplicate);
        assert_eq!(it.seen.len(), 1);
    }
    let it = Setup::with(|_| ok_after(secs(0)), none).await;
    it.store.always(Op::Commit, Fault::Fail);
    let (reply, took) = it.timed().await;
    assert_received(&reply, Disposition::CommitDeferred);
    assert!(took <= secs(13) + ms(5), "{took:?}");
    assert!(it.store.count(Op::Commit) > 3);
    sleep(secs(5)).await;
    assert_eq!(it.drain.active(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_success_whose_commit_hangs_is_200_at_the_deadline() {
    for handled in [secs(12), ms(12_990), ms(12_999)] {
        let it = Setup::new(move |_| ok_after(handled)).await;
        it.store.always(Op::Commit, Fault::Hang);
        let (reply, took) = it.timed().await;
        assert_received(&reply, Disposition::CommitDeferred);
        assert!(took <= secs(13) + ms(5), "{took:?}");
        it.store.heal();
        it.idle().await;
        assert!(it.stranger.peek(&it.slot).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_handler_whose_commit_fails_is_committed_later() {
    let it = Setup::new(|_| ok_after(secs(20))).await;
    it.store.always(Op::Commit, Fault::Fail);
    assert_postponed(&it.send().await, Rejection::StillRunning);
    sleep(secs(60)).await;
    assert_received(&it.send().await, Disposition::Duplicate);
    it.store.heal();
    it.idle().await;
    assert!(it.stranger.peek(&it.slot).await.is_some());
    assert_eq!(it.seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn f26_when_the_claim_was_lost_meanwhile_the_other_s_record_stands() {
    let it = Setup::new(|_| ok_after(secs(10))).await;
    it.store.always(Op::Renew, Fault::Fail);
    let first = it.send_later(secs(0));
    sleep(secs(6)).await;
    let held = it.stranger.hold(&it.slot, secs(5)).await;
    let theirs = record_of(&Callback::success("task", "their voice")).await;
    let settled = it.stranger.commit(&it.slot, &held, &theirs).await;
    assert_eq!(settled, Settled::Applied);
    assert_received(&first.await.unwrap().0, Disposition::ClaimLost);
    assert_eq!(it.stranger.peek(&it.slot).await, Some(theirs));
    assert_received(&it.send().await, Disposition::Conflict);
}

#[tokio::test(start_paused = true)]
async fn f15_a_holder_that_lost_its_claim_does_not_free_the_new_one() {
    let it = Setup::new(|_| async {
        sleep(secs(10)).await;
        StatusCode::BAD_GATEWAY
    })
    .await;
    it.store.always(Op::Renew, Fault::Fail);
    let first = it.send_later(secs(0));
    sleep(secs(6)).await;
    let held = it.stranger.hold(&it.slot, secs(30)).await;
    assert_eq!(held.fence(), 2);
    let status = first.await.unwrap().0.status();
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let again = it.stranger.claim(&it.slot, secs(30)).await;
    assert_eq!(again, Claim::Granted(held));
}

#[tokio::test(start_paused = true)]
async fn f23_a_deferred_commit_of_a_lost_claim_is_given_up_at_once() {
    let it = Setup::new(|_| ok_after(secs(0))).await;
    it.store.always(Op::Commit, Fault::Fail);
    it.store.always(Op::Renew, Fault::Fail);
    let first = it.send_later(secs(0));
    sleep(secs(6)).await;
    it.stranger.hold(&it.slot, secs(30)).await;
    it.store.heal();
    let (reply, _) = first.await.unwrap();
    assert_received(&reply, Disposition::ClaimLost);
    assert_eq!(it.drain.active(), 0);
}

// The store at the release.

#[tokio::test(start_paused = true)]
async fn f25_a_release_that_fails_never_delays_the_answer_past_the_deadline() {
    for fault in [Fault::Fail, Fault::Hang] {
        for handled in [secs(0), secs(11), ms(12_500), ms(12_999)] {
            let it = Setup::new(move |_| async move {
                sleep(handled).await;
                StatusCode::IM_A_TEAPOT
            })
            .await;
            it.store.always(Op::Release, fault);
            let (reply, took) = it.timed().await;
            assert_eq!(reply.status(), StatusCode::IM_A_TEAPOT);
            let latest = secs(13).min(handled + secs(5)) + ms(5);
            assert!(took <= latest, "{fault:?} {handled:?} {took:?}");
            it.idle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f25_an_event_whose_release_failed_is_free_after_its_lease() {
    let it = Setup::new(|attempt| async move {
        match attempt {
            1 => StatusCode::BAD_GATEWAY,
            _ => StatusCode::OK,
        }
    })
    .await;
    it.store.always(Op::Release, Fault::Fail);
    assert_eq!(it.send().await.status(), StatusCode::BAD_GATEWAY);
    let (reply, took) = it.timed().await;
    assert_received(&reply, Disposition::Accepted);
    assert!(took <= secs(6), "{took:?}");
}

// Clocks.

/// The record that the layer would keep for `callback`.
async fn record_of(callback: &Callback) -> Record {
    let it = Setup::new(|_| ok_after(secs(0))).await;
    send(&it.receiver, callback).await;
    *it.seen.all()[0].1.record()
}

#[tokio::test(start_paused = true)]
async fn f37_steps_of_the_wall_clock_touch_neither_leases_nor_deadlines() {
    use std::sync::atomic::AtomicI64;
    #[derive(Clone)]
    struct Stepping(Arc<AtomicI64>);
    impl suno_callback::Clock for Stepping {
        fn now(&self) -> std::time::SystemTime {
            let by = self.0.load(SeqCst);
            let now = std::time::SystemTime::now();
            match u64::try_from(by) {
                Ok(by) => now + secs(by),
                Err(_) => now - secs(by.unsigned_abs()),
            }
        }
    }
    for step in [-3600, 3600] {
        let clock = Stepping(Arc::default());
        let wall = clock.clone();
        let it = Setup::with(|_| ok_after(secs(20)), |layer| layer.clock(wall)).await;
        let first = it.send_later(secs(0));
        sleep(secs(1)).await;
        clock.0.store(step, SeqCst);
        for _ in 0..180 {
            assert!(it.stranger.sees_it_held(&it.slot).await);
            sleep(ms(100)).await;
        }
        let (reply, took) = first.await.unwrap();
        assert_postponed(&reply, Rejection::StillRunning);
        assert_about(took, secs(13));
        clock.0.store(0, SeqCst);
        it.idle().await;
        assert_received(&it.send().await, Disposition::Duplicate);
    }
}

#[tokio::test(start_paused = true)]
async fn f38_a_lease_that_seems_to_last_for_hours_counts_as_ended() {
    let it = Setup::new(|_| ok_after(secs(0))).await;
    it.stranger.hold(&it.slot, secs(2 * 3600)).await;
    let (reply, took) = it.timed().await;
    assert_received(&reply, Disposition::Accepted);
    assert_about(took, secs(0));
    assert_eq!(it.seen.all()[0].1.attempt(), 2);
}

#[tokio::test(start_paused = true)]
async fn f46_progress_is_remembered_for_a_quarter_of_an_hour_and_an_outcome_for_a_day() {
    let it = Setup::new(|_| ok_after(secs(0))).await;
    let progress = Callback::progress("task", "wait_processing");
    let outcome = Callback::failure("task");
    for callback in [&progress, &outcome] {
        assert_received(&send(&it.receiver, callback).await, Disposition::Accepted);
    }
    sleep(secs(15 * 60 - 1)).await;
    for callback in [&progress, &outcome] {
        assert_received(&send(&it.receiver, callback).await, Disposition::Duplicate);
    }
    sleep(secs(2)).await;
    assert_received(&send(&it.receiver, &progress).await, Disposition::Accepted);
    assert_received(&send(&it.receiver, &outcome).await, Disposition::Duplicate);
    sleep(secs(24 * 3600)).await;
    assert_received(&send(&it.receiver, &outcome).await, Disposition::Accepted);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_outlives_every_header_pair_that_could_bring_it_again() {
    // Memory keeps an outcome for 24 hours where nobody says how long.
    let day = secs(24 * 3600);
    let times = Times {
        tolerance: day,
        retain_progress: 2 * day,
        ..Times::default()
    };
    let it = Setup::with(|_| ok_after(secs(0)), |it| it.times(times).unwrap()).await;
    assert_received(&it.send().await, Disposition::Accepted);
    sleep(2 * day).await;
    assert_received(&it.send().await, Disposition::Duplicate);
    assert_eq!(it.seen.all()[0].1.retain(), 2 * day + secs(3600));
}

// The knobs.

#[test]
fn times_that_do_not_go_together_are_refused() {
    fn with(change: impl FnOnce(&mut Times)) -> Times {
        let mut times = Times::default();
        change(&mut times);
        times
    }
    let refused = [
        // lease + poll + claim + 3 s + commit = deadline
        with(|it| it.reply_deadline = ms(10_500)),
        with(|it| it.lease = ms(7_500)),
        with(|it| it.poll = secs(3)),
        with(|it| it.store_operation = ms(2_250)),
        with(|it| it.body = secs(13)),
        // A question that outlasts the lease counts in its place.
        with(|it| it.confirm = ms(7_500)),
        with(|it| (it.lease, it.reply_deadline) = (secs(61), secs(90))),
        // Twice heartbeat + operation beyond the lease.
        with(|it| it.heartbeat = ms(1_501)),
        with(|it| it.store_operation = ms(1_801)),
        with(|it| it.retain_progress = secs(599)),
        with(|it| it.retain_outcome = Some(secs(600 + 3599))),
        with(|it| it.reply_deadline = Duration::ZERO),
        with(|it| it.detached = Duration::ZERO),
        with(|it| it.retain_progress = Duration::ZERO),
        // Sums that no clock can hold.
        with(|it| it.reply_deadline = Duration::MAX),
        with(|it| it.detached = Duration::MAX),
        with(|it| {
            it.tolerance = Duration::MAX;
            it.retain_outcome = Some(Duration::MAX - secs(1));
        }),
    ];
    for times in refused {
        assert!(times.check().is_err(), "{times:?}");
    }
    let accepted = [
        with(|it| it.reply_deadline = ms(10_501)),
        with(|it| it.confirm = ms(7_499)),
        with(|it| it.heartbeat = ms(1_500)),
        with(|it| it.tolerance = Duration::ZERO),
        with(|it| it.retain_outcome = Some(Duration::MAX)),
        with(|it| it.detached = secs(30 * 24 * 3600)),
    ];
    for times in accepted {
        assert_eq!(times.check(), Ok(()), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_times_that_are_accepted_work() {
    let month = secs(30 * 24 * 3600);
    let times = Times {
        reply_deadline: month,
        detached: month,
        confirm: secs(4),
        retain_outcome: Some(Duration::MAX),
        ..Times::default()
    };
    let it = Setup::with(|_| ok_after(secs(100)), |layer| layer.times(times).unwrap()).await;
    it.store.next(Op::Commit, [Fault::Fail]);
    assert_received(&it.send().await, Disposition::Accepted);
    assert_received(&it.send().await, Disposition::Duplicate);
}
