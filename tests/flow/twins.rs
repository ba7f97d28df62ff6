//! Many requests for one event: one runs, the others wait and share, and nobody holds what the
//! handler needs.

use std::{
    collections::HashSet,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use harness::{
    Callback, Handler, Receiver, Reply, Seen, answer,
    counts::TWINS,
    faulty::{Faults as _, Faulty, Op},
    handling, key, ms, said, secs, send, spawn_send, until,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use suno_callback::{
    Disposition, Limits, MemoryStore, Rejection, SunoCallbackLayer, SunoCallbackService,
};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::{JoinSet, yield_now},
    time::{Instant, advance, sleep, timeout},
};
use tower::{Layer, Service, ServiceExt, buffer::Buffer, limit::ConcurrencyLimit};

fn task(n: usize) -> Callback {
    Callback::success(&format!("task-{n}"), "voice")
}

/// A handler that ends when it is told to.
fn gated(seen: &Seen) -> (Handler, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let handler = handling(seen.clone(), move |_| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            StatusCode::OK
        }
    });
    (handler, gate)
}

fn everything_waits() -> Limits {
    Limits {
        waiters_per_slot: 2000,
        ..Limits::default()
    }
}

// How often the handler runs.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_sixty_four_twins_of_each_task_run_one_handler() {
    let seen = Seen::default();
    let handler = handling(seen.clone(), |_| async {
        for _ in 0..10 {
            yield_now().await;
        }
        StatusCode::OK
    });
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let receiver = layer.layer(handler);
    let next = Arc::new(AtomicUsize::new(0));
    let mut lanes = JoinSet::new();
    for _ in 0..32 {
        let (receiver, next) = (receiver.clone(), Arc::clone(&next));
        lanes.spawn(async move {
            loop {
                let n = next.fetch_add(1, SeqCst);
                if n >= TWINS.size() {
                    return;
                }
                let callback = task(n);
                let twins: Vec<_> = (0..64).map(|_| spawn_send(&receiver, &callback)).collect();
                for twin in twins {
                    assert_eq!(twin.await.unwrap().status(), StatusCode::OK);
                }
            }
        });
    }
    lanes.join_all().await;
    assert_eq!(seen.len(), TWINS.size());
    let tasks: HashSet<_> = seen
        .all()
        .iter()
        .map(|(event, _)| event.task_id().to_string())
        .collect();
    assert_eq!(tasks.len(), TWINS.size());
    assert_eq!(layer.drain().active(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_twins_over_real_connections_run_one_handler_for_each_task() {
    let seen = Seen::default();
    let handler = handling(seen.clone(), |_| async {
        sleep(Duration::from_millis(1)).await;
        StatusCode::OK
    });
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let addr = harness::serve(layer.layer(handler)).await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    for round in 0..10 {
        let mut twins = JoinSet::new();
        for n in 0..8 {
            let callback = task(round * 8 + n);
            for _ in 0..32 {
                let request = callback.request_to(format!("http://{addr}/"));
                twins.spawn(client.request(request));
            }
        }
        for reply in twins.join_all().await {
            assert_eq!(reply.unwrap().status(), StatusCode::OK);
        }
    }
    assert_eq!(seen.len(), 80);
}

#[tokio::test(start_paused = true)]
async fn f01_two_processes_on_one_store_run_one_handler_for_each_task() {
    let (seen, store) = (Seen::default(), Faulty::default());
    let handler = handling(seen.clone(), |_| async {
        sleep(secs(2)).await;
        StatusCode::OK
    });
    let processes: Vec<_> = (0..3)
        .map(|_| SunoCallbackLayer::new(key(), store.another_line()).layer(handler.clone()))
        .collect();
    let mut twins = Vec::new();
    for n in 0..50 {
        for m in 0..24 {
            twins.push(spawn_send(&processes[(n + m) % 3], &task(n)));
        }
    }
    let start = Instant::now();
    for twin in twins {
        assert_eq!(twin.await.unwrap().status(), StatusCode::OK);
    }
    assert!(start.elapsed() <= secs(3), "{:?}", start.elapsed());
    assert_eq!(seen.len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f03_a_proxy_that_replays_the_request_to_another_replica_runs_no_second_handler() {
    let (seen, store) = (Seen::default(), Faulty::default());
    let handler = handling(seen.clone(), |_| async {
        sleep(Duration::from_millis(20)).await;
        StatusCode::OK
    });
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let layer = SunoCallbackLayer::new(key(), store.another_line());
        replicas.push(harness::serve(layer.layer(handler.clone())).await);
    }
    for n in 0..20 {
        let callback = task(n);
        let first = harness::post(replicas[n % 2], &callback);
        let replay = harness::post(replicas[(n + 1) % 2], &callback);
        let (first, replay) = tokio::join!(first, replay);
        assert_eq!((first.0, replay.0), (StatusCode::OK, StatusCode::OK));
    }
    assert_eq!(seen.len(), 20);
}

/// A lease that nobody can renew says nothing within a process: who handles is known before the
/// handler is called.
#[tokio::test(start_paused = true)]
async fn f16_no_twin_runs_while_the_handler_blocks_its_thread_for_longer_than_its_lease() {
    type Twin = Pin<Box<dyn Future<Output = Reply> + Send>>;
    let (seen, twin) = (Seen::default(), Arc::new(Mutex::new(None::<Twin>)));
    let receiver = Arc::new(Mutex::new(None::<Receiver<MemoryStore>>));
    let (within, parked) = (Arc::clone(&receiver), Arc::clone(&twin));
    let handler = handling(seen.clone(), move |_| {
        let (receiver, parked) = (within.lock().unwrap().take(), Arc::clone(&parked));
        async move {
            let Some(receiver) = receiver else {
                return StatusCode::OK;
            };
            // The clock moves within one poll: the thread was blocked for so long.
            assert!(advance(secs(6)).now_or_never().is_none());
            let mut twin: Twin = Box::pin(async move { send(&receiver, &task(0)).await });
            assert!(twin.as_mut().now_or_never().is_none(), "it waits");
            *parked.lock().unwrap() = Some(twin);
            StatusCode::OK
        }
    });
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default()).layer(handler);
    *receiver.lock().unwrap() = Some(layer.clone());
    let first = send(&layer, &task(0)).await;
    let twin = twin.lock().unwrap().take().expect("a twin");
    assert_eq!(said(&first), Some(Disposition::Accepted));
    assert_eq!(said(&twin.await), Some(Disposition::Duplicate));
    assert_eq!(seen.len(), 1);
}

// How they wait.

#[tokio::test(start_paused = true)]
async fn waiters_do_nothing_in_the_store_and_are_woken_at_once() {
    let (seen, store) = (Seen::default(), Faulty::default());
    let (handler, gate) = gated(&seen);
    let receiver = SunoCallbackLayer::new(key(), store.clone()).layer(handler);
    let twins: Vec<_> = (0..65).map(|_| spawn_send(&receiver, &task(0))).collect();
    sleep(ms(500)).await;
    let start = Instant::now();
    gate.add_permits(1);
    let mut accepted = 0;
    for twin in twins {
        let reply = twin.await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        accepted += usize::from(said(&reply) == Some(Disposition::Accepted));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!((accepted, seen.len()), (1, 1));
    let ops: Vec<_> = store.calls().iter().map(|call| call.op).collect();
    assert_eq!(ops, [Op::Claim, Op::Commit]);
}

#[tokio::test(start_paused = true)]
async fn twins_at_different_services_of_one_layer_wait_for_each_other() {
    let (seen, store) = (Seen::default(), Faulty::default());
    let (handler, gate) = gated(&seen);
    let layer = SunoCallbackLayer::new(key(), store.clone());
    let services = [layer.layer(handler.clone()), layer.clone().layer(handler)];
    let twins: Vec<_> = (0..10)
        .map(|n| spawn_send(&services[n % 2], &task(0)))
        .collect();
    until("all wait", || layer.drain().active() == 10).await;
    gate.add_permits(1);
    for twin in twins {
        assert_eq!(twin.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!((seen.len(), store.count(Op::Claim)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_layer_whose_limits_were_changed_keeps_a_table_of_its_own() {
    let (seen, store) = (Seen::default(), Faulty::default());
    let (handler, gate) = gated(&seen);
    let layer = SunoCallbackLayer::new(key(), store.clone());
    let changed = layer.clone().limits(Limits::default()).unwrap();
    let receivers = [&layer, &layer, &changed].map(|it| it.layer(handler.clone()));
    let mut sent = Vec::new();
    for (receiver, asked) in receivers.iter().zip([1, 1, 2]) {
        sent.push(spawn_send(receiver, &task(0)));
        let count = sent.len();
        until("it waits", || layer.drain().active() == count).await;
        assert_eq!(store.count(Op::Claim), asked);
    }
    gate.add_permits(1);
    for reply in sent {
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn f19_a_flood_of_duplicates_parks_sixty_four_and_postpones_the_rest_at_once() {
    let (seen, store) = (Seen::default(), Faulty::default());
    let (handler, gate) = gated(&seen);
    let layer = SunoCallbackLayer::new(key(), store.clone());
    let receiver = layer.layer(handler);
    let waiting: Vec<_> = (0..65).map(|_| spawn_send(&receiver, &task(0))).collect();
    until("all wait", || layer.drain().active() == 65).await;
    let start = Instant::now();
    for _ in 0..10_000 {
        let reply = send(&receiver, &task(0)).await;
        assert_eq!(said(&reply), Some(Rejection::TooManyWaiters));
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(reply.headers().contains_key("retry-after"));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(layer.drain().active(), 65);
    assert_eq!(store.count(Op::Claim), 1);
    gate.add_permits(1);
    for twin in waiting {
        assert_eq!(twin.await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn f19_a_waiter_that_leaves_gives_its_place_back() {
    let seen = Seen::default();
    let (handler, gate) = gated(&seen);
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let receiver = layer.layer(handler);
    let waiting: Vec<_> = (0..65).map(|_| spawn_send(&receiver, &task(0))).collect();
    until("all wait", || layer.drain().active() == 65).await;
    waiting[64].abort();
    until("one has left", || layer.drain().active() == 64).await;
    let last = spawn_send(&receiver, &task(0));
    until("it waits", || layer.drain().active() == 65).await;
    let reply = send(&receiver, &task(0)).await;
    assert_eq!(said(&reply), Some(Rejection::TooManyWaiters));
    gate.add_permits(1);
    assert_eq!(last.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn f19_at_most_four_thousand_and_ninety_six_wait_for_anything() {
    let seen = Seen::default();
    let (handler, gate) = gated(&seen);
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let receiver = layer.layer(handler);
    let mut waiting = Vec::new();
    for n in 0..64 {
        waiting.extend((0..65).map(|_| spawn_send(&receiver, &task(n))));
    }
    waiting.push(spawn_send(&receiver, &task(64)));
    until("all wait", || layer.drain().active() == 64 * 65 + 1).await;
    let reply = send(&receiver, &task(64)).await;
    assert_eq!(said(&reply), Some(Rejection::TooManyWaiters));
    gate.add_permits(65);
    for twin in waiting {
        assert_eq!(twin.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(seen.len(), 65);
    // All places are back.
    gate.add_permits(1);
    let again: Vec<_> = (0..65).map(|_| spawn_send(&receiver, &task(65))).collect();
    for twin in again {
        assert_eq!(twin.await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn f19_both_bounds_are_knobs() {
    for (limits, fit) in [
        (
            Limits {
                waiters_per_slot: 3,
                ..Limits::default()
            },
            3,
        ),
        (
            Limits {
                waiters: 2,
                ..Limits::default()
            },
            2,
        ),
        (
            Limits {
                waiters_per_slot: 1,
                ..Limits::default()
            },
            1,
        ),
    ] {
        let seen = Seen::default();
        let (handler, gate) = gated(&seen);
        let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
            .limits(limits)
            .unwrap();
        let receiver = layer.layer(handler);
        let all: Vec<_> = (0..10).map(|_| spawn_send(&receiver, &task(0))).collect();
        sleep(secs(1)).await;
        assert_eq!(layer.drain().active(), fit + 1);
        gate.add_permits(1);
        let mut refused = 0;
        for twin in all {
            refused += usize::from(said(&twin.await.unwrap()) == Some(Rejection::TooManyWaiters));
        }
        assert_eq!(refused, 10 - fit - 1);
    }
}

#[tokio::test(start_paused = true)]
async fn f44_a_success_does_not_wait_for_what_else_of_its_task_is_running() {
    let seen = Seen::default();
    let inner = seen.clone();
    let handler = Handler::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        inner.push(&request);
        let event: suno_callback::VoiceEvent = request.extensions().get().cloned().unwrap();
        async move {
            if event.voice_id().is_none() {
                sleep(secs(10)).await;
            }
            Ok(answer(StatusCode::OK))
        }
    }));
    let receiver = SunoCallbackLayer::new(key(), MemoryStore::default()).layer(handler);
    let slow = [
        Callback::progress("task-0", "wait_processing"),
        Callback::phrase("task-0", "sing"),
        Callback::failure("task-0"),
    ];
    let slow: Vec<_> = slow.iter().map(|it| spawn_send(&receiver, it)).collect();
    sleep(secs(1)).await;
    let start = Instant::now();
    let reply = send(&receiver, &task(0)).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
    assert_eq!(start.elapsed(), Duration::ZERO);
    for other in slow {
        assert_eq!(said(&other.await.unwrap()), Some(Disposition::Accepted));
    }
    assert_eq!(seen.len(), 4);
}

// What the inner service is.

/// A thousand requests for a few tasks; all must be 200, and one handler runs for each task.
async fn storm<S, D>(receiver: SunoCallbackService<S, D>, tasks: usize)
where
    SunoCallbackService<S, D>:
        Service<Request<Full<Bytes>>, Response = Reply> + Clone + Send + 'static,
    <SunoCallbackService<S, D> as Service<Request<Full<Bytes>>>>::Future: Send,
    <SunoCallbackService<S, D> as Service<Request<Full<Bytes>>>>::Error: std::fmt::Debug + Send,
    S: Send,
    D: Send,
{
    let mut twins = JoinSet::new();
    for n in 0..1000 {
        twins.spawn(receiver.clone().oneshot(task(n % tasks).request()));
    }
    let replies = timeout(secs(60), twins.join_all()).await;
    for reply in replies.expect("a deadlock") {
        assert_eq!(reply.unwrap().status(), StatusCode::OK);
    }
}

async fn working(
    seen: Seen,
    request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    seen.push(&request);
    for _ in 0..5 {
        yield_now().await;
    }
    Ok(answer(StatusCode::OK))
}

fn worker(seen: &Seen) -> Handler {
    let seen = seen.clone();
    Handler::new(tower::service_fn(move |request| {
        working(seen.clone(), request)
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f18_a_thousand_duplicates_over_a_limit_of_one_neither_deadlock_nor_keep_its_permit() {
    for tasks in [1, 20] {
        let seen = Seen::default();
        let permits = Arc::new(Semaphore::new(1));
        let limited = ConcurrencyLimit::with_semaphore(worker(&seen), Arc::clone(&permits));
        let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
            .limits(everything_waits())
            .unwrap();
        storm(layer.layer(limited), tasks).await;
        assert_eq!(seen.len(), tasks);
        assert_eq!(permits.available_permits(), 1);
        assert_eq!(layer.drain().active(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn f18_a_duplicate_holds_no_permit_and_waits_for_none() {
    let seen = Seen::default();
    let (handler, gate) = gated(&seen);
    let permits = Arc::new(Semaphore::new(1));
    let limited = ConcurrencyLimit::with_semaphore(handler, Arc::clone(&permits));
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let mut receiver = layer.layer(limited);
    gate.add_permits(1);
    receiver.call(task(0).request()).await.unwrap();
    let running = tokio::spawn(receiver.call(task(1).request()));
    let twin = tokio::spawn(receiver.call(task(1).request()));
    until("one runs and one waits", || layer.drain().active() == 2).await;
    assert_eq!(permits.available_permits(), 0);
    let start = Instant::now();
    let reply = receiver.call(task(0).request()).await.unwrap();
    assert_eq!(said(&reply), Some(Disposition::Duplicate));
    assert_eq!(start.elapsed(), Duration::ZERO);
    gate.add_permits(1);
    for reply in [running, twin] {
        assert_eq!(reply.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!((permits.available_permits(), seen.len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f18_a_thousand_duplicates_over_a_buffer_do_not_deadlock() {
    for tasks in [1, 20] {
        let seen = Seen::default();
        let buffer = Buffer::new(ConcurrencyLimit::new(worker(&seen), 1), 1);
        let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
            .limits(everything_waits())
            .unwrap();
        storm(layer.layer(buffer), tasks).await;
        assert_eq!(seen.len(), tasks);
        assert_eq!(layer.drain().active(), 0);
    }
}

/// A service whose readiness is its own and not its clones', and that insists on it.
struct Strict {
    instances: Arc<Instances>,
    id: usize,
    polls: usize,
    seen: Seen,
}

#[derive(Default)]
struct Instances {
    next: AtomicUsize,
    ready: Mutex<HashSet<usize>>,
    wasted: AtomicUsize,
}

impl Strict {
    fn new(instances: &Arc<Instances>, seen: &Seen) -> Self {
        Self {
            id: instances.next.fetch_add(1, SeqCst),
            instances: Arc::clone(instances),
            polls: 0,
            seen: seen.clone(),
        }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::new(&self.instances, &self.seen)
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        let wasted = self.instances.ready.lock().unwrap().remove(&self.id);
        self.instances.wasted.fetch_add(usize::from(wasted), SeqCst);
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polls += 1;
        if self.polls < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.instances.ready.lock().unwrap().insert(self.id);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let was_ready = self.instances.ready.lock().unwrap().remove(&self.id);
        assert!(was_ready, "called without readiness");
        Box::pin(working(self.seen.clone(), request))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f18_the_instance_that_was_made_ready_is_the_one_that_is_called() {
    for tasks in [1, 20, 1000] {
        let (seen, instances) = (Seen::default(), Arc::new(Instances::default()));
        let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
            .limits(everything_waits())
            .unwrap();
        storm(layer.layer(Strict::new(&instances, &seen)), tasks).await;
        assert_eq!(seen.len(), tasks);
        assert_eq!(
            instances.wasted.load(SeqCst),
            0,
            "readiness was acquired for nothing"
        );
        assert!(instances.ready.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn no_task_is_left_after_a_storm() {
    let seen = Seen::default();
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
        .limits(everything_waits())
        .unwrap();
    storm(layer.layer(worker(&seen)), 10).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}
