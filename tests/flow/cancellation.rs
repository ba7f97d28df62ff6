//! Whoever hangs up, whenever: a granted claim is handled and committed, and before that nothing is
//! held. The provider's retries are played; seeds are printed.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use harness::{
    Callback, Handler, Receiver, Reply, Seen, answer,
    counts::CANCELLATIONS,
    faulty::{Fault, Faults as _, Faulty, OPS, Op},
    handling, key, ms, said, seed, send, until,
};
use http::{Request, StatusCode};
use http_body_util::{Full, channel::Channel};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use socket2::SockRef;
use suno_callback::{DedupStore, Disposition, Drain, MemoryStore, SunoCallbackLayer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{Notify, Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};

/// How many tries the provider makes after the first.
const RETRIES: usize = 3;

/// Over a store that may answer late, or over one that always answers at once: that one is asked in
/// the request's own poll.
struct Setup<D> {
    faulty: Option<Faulty>,
    receiver: Receiver<D>,
    drain: Drain,
    seen: Seen,
}

trait Played: DedupStore {
    fn play(delay: Option<Fault>) -> (Self, Option<Faulty>)
    where
        Self: Sized;
}

impl Played for Faulty {
    fn play(delay: Option<Fault>) -> (Self, Option<Faulty>) {
        let store = Faulty::default();
        for op in OPS {
            store.always(op, delay.unwrap_or_default());
        }
        (store.clone(), Some(store))
    }
}

impl Played for MemoryStore {
    fn play(_: Option<Fault>) -> (Self, Option<Faulty>) {
        (Self::default(), None)
    }
}

impl<D: Played> Setup<D> {
    /// A handler that pends some times, and a store that answers late.
    fn new(store_delay: Option<Fault>, work: &'static [u64]) -> Self {
        let seen = Seen::default();
        let handler = handling(seen.clone(), move |delivery| async move {
            let slot = delivery.slot().as_bytes();
            for pause in work {
                sleep(ms(*pause * u64::from(slot[0] % 4 + 1))).await;
            }
            StatusCode::OK
        });
        Self::over(store_delay, handler, seen)
    }

    fn over(store_delay: Option<Fault>, handler: Handler, seen: Seen) -> Self {
        let (store, faulty) = D::play(store_delay);
        let layer = SunoCallbackLayer::new(key(), store);
        let drain = layer.drain();
        let receiver = layer.layer(handler);
        Self {
            faulty,
            receiver,
            drain,
            seen,
        }
    }

    /// Nothing is left: neither a task, nor a permit, nor an entry that a twin would wait for.
    async fn assert_clean(&self, handled: &[Callback]) {
        until("nothing is active", || self.drain.active() == 0).await;
        let metrics = Handle::current().metrics();
        until("no task is left", || metrics.num_alive_tasks() == 0).await;
        if let Some(store) = &self.faulty {
            store.heal();
        }
        let claims = || self.faulty.as_ref().map(|store| store.count(Op::Claim));
        for callback in handled {
            let (start, before) = (Instant::now(), claims());
            let reply = send(&self.receiver, callback).await;
            assert_eq!(said(&reply), Some(Disposition::Duplicate));
            assert_eq!(claims(), before.map(|it| it + 1), "a twin is left");
            assert!(start.elapsed() < ms(500));
        }
    }
}

/// Polls at most so many times, then drops.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // So that the next drop comes between two wake-ups too.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A request whose body comes in three pieces.
fn in_pieces(callback: &Callback) -> Request<Channel<Bytes>> {
    let (mut sender, body) = Channel::new(1);
    let bytes = Bytes::from(callback.body.clone());
    tokio::spawn(async move {
        for piece in [bytes.slice(..10), bytes.slice(10..50), bytes.slice(50..)] {
            sleep(ms(3)).await;
            if sender.send_data(piece).await.is_err() {
                return;
            }
        }
    });
    callback.request().map(|_| body)
}

// In process.

#[tokio::test(start_paused = true)]
async fn f09_a_drop_at_any_poll_leaves_the_event_done_and_handled_once() {
    let delays = [
        None,
        Some(Fault::Slow(ms(7))),
        Some(Fault::Late(ms(7))),
        Some(Fault::Slow(ms(900))),
        Some(Fault::Late(ms(900))),
    ];
    for delay in delays {
        drop_at_any_poll(Setup::<Faulty>::new(delay, &[1, 20, 600, 1])).await;
    }
    drop_at_any_poll(Setup::<MemoryStore>::new(None, &[1, 20, 600, 1])).await;
}

async fn drop_at_any_poll<D: Played>(it: Setup<D>) {
    let mut handled = Vec::new();
    for polls in 0.. {
        let callback = match polls % 2 {
            0 => Callback::success(&format!("task-{polls}"), "voice"),
            _ => Callback::failure(&format!("task-{polls}")),
        };
        let call = it.receiver.clone().call(in_pieces(&callback));
        let is_uncut = polled(polls, call).await.is_some();
        if !is_uncut {
            let reply = send(&it.receiver, &callback).await;
            assert_eq!(reply.status(), StatusCode::OK, "{polls}");
        }
        assert_eq!(it.seen.runs_of(&callback.task_id), 1, "{polls}");
        handled.push(callback);
        if is_uncut {
            assert!(polls >= 6, "{polls} polls are no path");
            break;
        }
    }
    it.assert_clean(&handled).await;
}

#[tokio::test(start_paused = true)]
async fn f09_a_drop_at_any_poll_of_a_failing_handler_frees_the_event() {
    drop_of_a_failing_handler::<Faulty>().await;
    drop_of_a_failing_handler::<MemoryStore>().await;
}

async fn drop_of_a_failing_handler<D: Played>() {
    for polls in 1..40 {
        let seen = Seen::default();
        let handler = handling(seen.clone(), |delivery| async move {
            sleep(ms(2)).await;
            match delivery.attempt() {
                1 => StatusCode::BAD_GATEWAY,
                _ => StatusCode::OK,
            }
        });
        let it = Setup::<D>::over(Some(Fault::Slow(ms(5))), handler, seen);
        let callback = Callback::success("task", "voice");
        let call = it.receiver.clone().call(in_pieces(&callback));
        let first = polled(polls, call).await;
        let mut last = None;
        for _ in 0..2 {
            let reply = send(&it.receiver, &callback).await;
            last = Some(reply.status());
        }
        assert_eq!(last, Some(StatusCode::OK), "{polls} {first:?}");
        it.assert_clean(&[callback]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_polled_once_for_each_poll_of_its_response() {
    polled_as_often::<Faulty>().await;
    polled_as_often::<MemoryStore>().await;
}

async fn polled_as_often<D: Played>() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let handler = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let counted = Arc::clone(&counted);
        poll_fn(move |_| match counted.fetch_add(1, SeqCst) {
            3 => Poll::Ready(Ok::<_, Infallible>(answer(StatusCode::OK))),
            _ => Poll::Pending,
        })
    });
    let layer = SunoCallbackLayer::new(key(), D::play(None).0);
    let request = Callback::success("task", "voice").request();
    let mut call = pin!(layer.layer(handler).call(request));
    for poll in 1..=4 {
        let is_ready = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
        assert_eq!((polls.load(SeqCst), is_ready), (poll, poll == 4));
    }
}

/// The ways in which a future is dropped without a socket.
async fn cut<D: Played>(
    way: u8,
    rng: &mut fastrand::Rng,
    it: &Setup<D>,
    callback: &Callback,
) -> Option<Reply> {
    let mut receiver = it.receiver.clone();
    let after = ms(rng.u64(0..60) * rng.u64(0..60));
    match way {
        0 => polled(rng.usize(0..14), receiver.call(in_pieces(callback))).await,
        1 => timeout(after, receiver.call(callback.request())).await.ok(),
        2 => {
            let outer = ServiceBuilder::new().timeout(after).service(receiver);
            outer.oneshot(callback.request()).await.ok().map(Ok)
        }
        3 => {
            let task = tokio::spawn(receiver.call(callback.request()));
            sleep(after).await;
            task.abort();
            task.await.ok()
        }
        4 => {
            let mut call = Box::pin(receiver.call(callback.request()));
            let polled = polled(rng.usize(1..10), &mut call).await;
            if polled.is_none() {
                let unwound = catch_unwind(AssertUnwindSafe(move || {
                    let _call = call;
                    std::panic::resume_unwind(Box::new("while unwinding"));
                }));
                assert!(unwound.is_err());
            }
            polled
        }
        // Where there is no runtime.
        _ => {
            let mut call = Box::pin(receiver.call(callback.request()));
            let polled = polled(rng.usize(1..10), &mut call).await;
            std::thread::spawn(move || drop(call)).join().unwrap();
            polled
        }
    }
    .map(Result::unwrap)
}

#[tokio::test(start_paused = true)]
async fn f09_random_cancellations_leave_every_event_done_and_handled_once() {
    let mut rng = fastrand::Rng::with_seed(seed());
    let mut cuts = 0;
    while cuts < CANCELLATIONS.get() {
        let delay = match rng.u8(0..3) {
            0 => None,
            1 => Some(Fault::Slow(ms(rng.u64(1..300)))),
            _ => Some(Fault::Late(ms(rng.u64(1..300)))),
        };
        // One that the rule of the times leaves room for, and one that outlasts every try.
        let work: &[u64] = match rng.u8(0..3) {
            0 => &[0, 1, 300, 15_000],
            _ => &[0, 1, 100, 600],
        };
        let in_time = work.iter().sum::<u64>() * 4 <= 3000;
        cuts += match delay {
            None if rng.bool() => {
                play(Setup::<MemoryStore>::new(None, work), &mut rng, in_time).await
            }
            delay => play(Setup::<Faulty>::new(delay, work), &mut rng, in_time).await,
        };
    }
    println!("{cuts} cancellations");
}

/// A hundred events, each cut short three times; how often one was.
async fn play<D: Played>(it: Setup<D>, rng: &mut fastrand::Rng, in_time: bool) -> u64 {
    let it = Arc::new(it);
    let mut cuts = 0;
    let mut events = JoinSet::new();
    for n in 0..100 {
        let (it, mut rng) = (Arc::clone(&it), rng.fork());
        events.spawn(async move {
            let callback = match rng.bool() {
                true => Callback::success(&format!("task-{n}"), "voice"),
                false => Callback::failure(&format!("task-{n}")),
            };
            let mut cuts = 0;
            for _ in 0..RETRIES {
                let way = rng.u8(0..6);
                match cut(way, &mut rng, &it, &callback).await {
                    None => cuts += 1,
                    Some(reply) => assert!(reply.status() == StatusCode::OK || !in_time),
                }
                sleep(ms([0, 1000, 15_000][rng.usize(0..3)])).await;
            }
            // The last try is left alone.
            let reply = send(&it.receiver, &callback).await;
            assert!(reply.status() == StatusCode::OK || !in_time);
            (callback, cuts)
        });
    }
    let events = events.join_all().await;
    let idle = || it.drain.active() == 0;
    timeout(ms(120_000), async {
        while !idle() {
            sleep(ms(100)).await;
        }
    })
    .await
    .unwrap();
    let mut handled = Vec::new();
    for (callback, count) in events {
        assert_eq!(it.seen.runs_of(&callback.task_id), 1);
        handled.push(callback);
        cuts += count;
    }
    it.assert_clean(&handled).await;
    cuts
}

#[tokio::test(start_paused = true)]
async fn f10_a_drop_after_any_prefix_of_the_body_claims_nothing() {
    let it = Setup::<Faulty>::new(None, &[]);
    let callback = Callback::success("task", "voice");
    for len in 0..=callback.body.len() {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        let mut call = Box::pin(it.receiver.clone().call(callback.request().map(|_| body)));
        assert!(polled(1, &mut call).await.is_none());
        let prefix = Bytes::from(callback.body[..len].to_owned());
        sender.send_data(prefix).await.unwrap();
        assert!(
            polled(2, timeout(ms(1), &mut call))
                .await
                .is_none_or(|it| it.is_err())
        );
        drop(call);
        assert_eq!(it.drain.active(), 0);
    }
    assert_eq!(it.seen.len(), 0);
    assert!(it.faulty.is_some_and(|store| store.calls().is_empty()));
}

// Over sockets.

/// A server that knows its connections.
struct Server {
    addr: SocketAddr,
    connections: Arc<Mutex<HashMap<SocketAddr, AbortHandle>>>,
    accepting: AbortHandle,
}

impl Server {
    async fn over<S>(service: S) -> Self
    where
        S: Service<Request<hyper::body::Incoming>, Response = Reply> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::<Mutex<HashMap<_, _>>>::default();
        let known = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service.clone());
                let connection = tokio::spawn(async move {
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                known
                    .lock()
                    .unwrap()
                    .insert(peer, connection.abort_handle());
            }
        });
        Self {
            addr,
            connections,
            accepting: accepting.abort_handle(),
        }
    }

    /// Waits for the connection to be accepted: one that is not would stay open for ever. What has
    /// ended is an earlier one, whose port came again.
    async fn abort(&self, peer: SocketAddr) {
        let known = || self.connections.lock().unwrap().get(&peer).cloned();
        loop {
            match known().filter(|connection| !connection.is_finished()) {
                Some(connection) => return connection.abort(),
                None => tokio::task::yield_now().await,
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Peer {
    Stays,
    Closes,
    HalfCloses,
    Resets,
    ResetsStream,
    /// An outer layer gives up.
    TimesOut,
    /// The connection's task is aborted.
    IsAborted,
}

impl Peer {
    const ALL: [Self; 7] = [
        Self::Stays,
        Self::Closes,
        Self::HalfCloses,
        Self::Resets,
        Self::ResetsStream,
        Self::TimesOut,
        Self::IsAborted,
    ];

    /// Sends one callback and leaves after `leave`. The outer layer of `impatient` has its own.
    async fn send(
        self,
        server: &Server,
        impatient: &Server,
        callback: &Callback,
        leave: impl Future<Output = ()>,
    ) {
        if self == Self::ResetsStream {
            return send_http2(server.addr, callback, leave).await;
        }
        let addr = match self {
            Self::TimesOut => impatient.addr,
            _ => server.addr,
        };
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(&callback.wire()).await.unwrap();
        match self {
            Self::Stays | Self::TimesOut => read_some(&mut stream).await,
            Self::Closes => {
                leave.await;
                stream.shutdown().await.unwrap();
            }
            Self::HalfCloses => {
                leave.await;
                stream.shutdown().await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            Self::Resets => {
                leave.await;
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
            Self::IsAborted => {
                leave.await;
                server.abort(stream.local_addr().unwrap()).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            Self::ResetsStream => {}
        }
    }
}

async fn read_some(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 1024]).await;
}

async fn send_http2(addr: SocketAddr, callback: &Callback, leave: impl Future<Output = ()>) {
    let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let http2 = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, connection) = http2.await.unwrap();
    let connection = tokio::spawn(connection);
    let request = callback.request_to(format!("http://{addr}/"));
    tokio::select! {
        _ = sender.send_request(request) => {}
        () = leave => {}
    }
    // The reset must leave before the connection does.
    let _ = sender.ready().await;
    drop(sender);
    let _ = connection.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f09_whoever_hangs_up_over_a_real_socket_the_event_ends_done_and_handled_once() {
    let mut rng = fastrand::Rng::with_seed(seed());
    let it = Setup::<Faulty>::new(None, &[0, 1, 1]);
    let impatient = ServiceBuilder::new()
        .timeout(ms(4))
        .service(it.receiver.clone());
    let server = Arc::new(Server::over(it.receiver.clone()).await);
    let impatient = Arc::new(Server::over(impatient).await);
    let mut callbacks = Vec::new();
    for round in 0..15 {
        let mut events = JoinSet::new();
        for n in 0..28 {
            let callback = Callback::success(&format!("task-{round}-{n}"), "voice");
            callbacks.push(callback.clone());
            let (server, impatient) = (Arc::clone(&server), Arc::clone(&impatient));
            let mut rng = rng.fork();
            events.spawn(async move {
                for _ in 0..RETRIES {
                    let peer = Peer::ALL[rng.usize(..Peer::ALL.len())];
                    let after = Duration::from_micros(rng.u64(0..9000));
                    peer.send(&server, &impatient, &callback, sleep(after))
                        .await;
                }
                let (status, _) = harness::post(server.addr, &callback).await;
                assert_eq!(status, StatusCode::OK);
            });
        }
        events.join_all().await;
    }
    for callback in &callbacks {
        assert_eq!(it.seen.runs_of(&callback.task_id), 1);
    }
    server.accepting.abort();
    impatient.accepting.abort();
    it.assert_clean(&callbacks).await;
}

/// The receiver under a layer that gives up when it is told.
fn impatient(
    receiver: Receiver<Faulty>,
    leave: Arc<Notify>,
) -> impl Service<
    Request<hyper::body::Incoming>,
    Response = Reply,
    Error = BoxError,
    Future = impl Future<Output = Result<Reply, BoxError>> + Send,
> + Clone
+ Send
+ 'static {
    tower::service_fn(move |request| {
        let (mut receiver, leave) = (receiver.clone(), Arc::clone(&leave));
        async move {
            tokio::select! {
                reply = receiver.call(request) => Ok(reply?),
                () = leave.notified() => Err("gave up".into()),
            }
        }
    })
}

/// The table of what hyper does to the handler of a peer that leaves: with the layer it always ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f09_each_way_to_leave_while_the_handler_runs_lets_it_end() {
    for peer in Peer::ALL {
        let (started, mut starts) = mpsc::unbounded_channel();
        let go = Arc::new(Semaphore::new(0));
        let seen = Seen::default();
        let gate = Arc::clone(&go);
        let handler = handling(seen.clone(), move |_| {
            let (started, gate) = (started.clone(), Arc::clone(&gate));
            async move {
                started.send(()).unwrap();
                gate.acquire().await.unwrap().forget();
                StatusCode::OK
            }
        });
        let it = Setup::<Faulty>::over(None, handler, seen);
        let leave = Arc::new(Notify::new());
        let impatient = impatient(it.receiver.clone(), Arc::clone(&leave));
        let impatient = Arc::new(Server::over(impatient).await);
        let server = Arc::new(Server::over(it.receiver.clone()).await);
        let callback = Callback::success("task", "voice");
        let client = tokio::spawn({
            let (server, callback) = (Arc::clone(&server), callback.clone());
            let (impatient, leave) = (Arc::clone(&impatient), Arc::clone(&leave));
            async move {
                let leave = leave.notified();
                peer.send(&server, &impatient, &callback, leave).await;
            }
        });
        starts.recv().await.unwrap();
        leave.notify_one();
        if peer != Peer::Stays {
            client.await.unwrap();
        }
        assert_eq!((it.seen.len(), it.drain.active()), (1, 1), "{peer:?}");
        go.add_permits(1);
        until("the handler has ended", || it.drain.active() == 0).await;
        server.accepting.abort();
        impatient.accepting.abort();
        it.assert_clean(&[callback]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f10_a_connection_that_ends_after_any_prefix_of_the_request_claims_nothing() {
    let it = Setup::<Faulty>::new(None, &[]);
    let server = Server::over(it.receiver.clone()).await;
    let wire = Callback::success("task", "voice").wire();
    for len in 0..wire.len() {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(&wire[..len]).await.unwrap();
        if len % 2 == 0 {
            SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    }
    server.accepting.abort();
    let metrics = Handle::current().metrics();
    until("all connections have ended", || {
        metrics.num_alive_tasks() == 0
    })
    .await;
    assert_eq!(it.seen.len(), 0);
    assert!(it.faulty.is_some_and(|store| store.calls().is_empty()));
}

// What the detached part needs.

#[tokio::test(start_paused = true)]
async fn an_answer_whose_reader_has_gone_is_dropped_and_nothing_else() {
    let seen = Seen::default();
    let inner = seen.clone();
    let handler = tower::service_fn(move |request: Request<Full<Bytes>>| {
        inner.push(&request);
        async {
            sleep(ms(10)).await;
            Ok::<_, Infallible>(answer(StatusCode::OK))
        }
    });
    let it = Setup::<Faulty>::over(None, Handler::new(handler), seen);
    let callback = Callback::success("task", "voice");
    let call = it.receiver.clone().call(callback.request());
    assert!(polled(1, call).await.is_none());
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
    it.assert_clean(&[callback]).await;
}
