//! A panic anywhere in the application's code is answered with 500, frees the claim, and hurts
//! nobody else.

use std::{
    convert::Infallible,
    future::{pending, poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use harness::{
    Callback, Handler, Receiver, Seen, answer,
    faulty::{Fault, Faults as _, Faulty, OPS},
    handling, key, said, secs, send, until,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use suno_callback::{
    Confirm, Confirmation, Disposition, Drain, MemoryStore, Rejection, SunoCallbackLayer,
    VoiceEvent,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
    time::sleep,
};
use tower::{Layer, Service};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Clone,
    Readiness,
    LaterReadiness,
    Call,
    FirstPoll,
    LaterPoll,
    DropOfFuture,
    DropOfService,
    PollAndDrop,
    NestedTask,
}

impl Place {
    const ALL: [Self; 10] = [
        Self::Clone,
        Self::Readiness,
        Self::LaterReadiness,
        Self::Call,
        Self::FirstPoll,
        Self::LaterPoll,
        Self::DropOfFuture,
        Self::DropOfService,
        Self::PollAndDrop,
        Self::NestedTask,
    ];
}

/// A service that panics in one place, for the first so many events.
struct Bomb {
    place: Place,
    left: Arc<AtomicUsize>,
    seen: Seen,
    /// Ready, called and polled within the first poll of all.
    is_prompt: bool,
    was_polled: bool,
    was_called: bool,
}

impl Bomb {
    fn new(place: Place, times: usize, seen: Seen) -> Self {
        Self {
            place,
            left: Arc::new(AtomicUsize::new(times)),
            seen,
            is_prompt: false,
            was_polled: false,
            was_called: false,
        }
    }

    fn prompt(mut self, is_prompt: bool) -> Self {
        self.is_prompt = is_prompt;
        self
    }

    fn at(&self, place: Place) {
        explode(self.place == place, &self.left);
    }
}

fn explode(is_here: bool, left: &AtomicUsize) {
    let fewer = |left: usize| left.checked_sub(1);
    if is_here && left.fetch_update(SeqCst, SeqCst, fewer).is_ok() {
        panic!("a bomb");
    }
}

impl Clone for Bomb {
    fn clone(&self) -> Self {
        self.at(Place::Clone);
        Self {
            place: self.place,
            left: Arc::clone(&self.left),
            seen: self.seen.clone(),
            is_prompt: self.is_prompt,
            was_polled: false,
            was_called: false,
        }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.was_called {
            self.at(Place::DropOfService);
        }
    }
}

impl Service<Request<Full<Bytes>>> for Bomb {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Fuse;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.at(Place::Readiness);
        if !self.was_polled && !self.is_prompt {
            self.was_polled = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.at(Place::LaterReadiness);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Fuse {
        self.was_called = true;
        self.at(Place::Call);
        self.seen.push(&request);
        Fuse {
            place: self.place,
            left: Arc::clone(&self.left),
            // The third is the last.
            polls: if self.is_prompt { 2 } else { 0 },
            nested: None,
        }
    }
}

struct Fuse {
    place: Place,
    left: Arc<AtomicUsize>,
    polls: usize,
    nested: Option<tokio::task::JoinHandle<()>>,
}

impl Future for Fuse {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        explode(self.place == Place::FirstPoll, &self.left);
        let is_later = self.polls == 3;
        let in_poll = matches!(self.place, Place::LaterPoll | Place::PollAndDrop);
        explode(is_later && in_poll, &self.left);
        if self.place == Place::NestedTask {
            let left = Arc::clone(&self.left);
            let nested = self
                .nested
                .get_or_insert_with(|| tokio::spawn(async move { explode(true, &left) }));
            return Pin::new(nested).poll(cx).map(|joined| {
                joined.unwrap();
                Ok(answer(StatusCode::OK))
            });
        }
        if is_later {
            return Poll::Ready(Ok(answer(StatusCode::OK)));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let in_drop = matches!(self.place, Place::DropOfFuture | Place::PollAndDrop);
        if !std::thread::panicking() {
            explode(in_drop, &self.left);
        }
    }
}

struct Setup {
    layer: SunoCallbackLayer<MemoryStore>,
    drain: Drain,
}

impl Setup {
    fn new() -> Self {
        let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
        let drain = layer.drain();
        Self { layer, drain }
    }

    fn over(
        &self,
        bomb: Bomb,
    ) -> impl Service<Request<Full<Bytes>>, Response = harness::Reply, Error = Infallible> + Clone
    {
        self.layer.layer(bomb)
    }

    fn assert_clean(&self) {
        assert_eq!(self.drain.active(), 0);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn f07_a_panic_anywhere_is_500_and_the_next_try_runs_at_once() {
    for (place, is_prompt) in Place::ALL
        .into_iter()
        .flat_map(|it| [(it, false), (it, true)])
    {
        let (it, seen) = (Setup::new(), Seen::default());
        // The double one goes off twice for one event.
        let times = if place == Place::PollAndDrop { 2 } else { 1 };
        let bomb = Bomb::new(place, times, seen.clone());
        let mut receiver = it.over(bomb.prompt(is_prompt));
        let callback = Callback::success("task", "voice");
        let reply = receiver.call(callback.request()).await.unwrap();
        assert_eq!(
            reply.status(),
            StatusCode::INTERNAL_SERVER_ERROR,
            "{place:?}"
        );
        assert_eq!(said(&reply), Some(Rejection::Panicked), "{place:?}");
        let start = tokio::time::Instant::now();
        let reply = receiver.call(callback.request()).await.unwrap();
        assert_eq!(said(&reply), Some(Disposition::Accepted), "{place:?}");
        assert_eq!(start.elapsed(), Duration::ZERO, "{place:?}");
        assert_eq!(seen.all().last().unwrap().1.attempt(), 2, "{place:?}");
        it.assert_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn f07_a_panic_after_the_peer_has_gone_frees_the_event_too() {
    for place in Place::ALL {
        let (it, seen) = (Setup::new(), Seen::default());
        let times = if place == Place::PollAndDrop { 2 } else { 1 };
        let mut receiver = it.over(Bomb::new(place, times, seen.clone()));
        let callback = Callback::success("task", "voice");
        {
            let mut call = std::pin::pin!(receiver.call(callback.request()));
            let once = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending()));
            let is_pending = once.await;
            assert!(
                is_pending || matches!(place, Place::Clone | Place::Readiness),
                "{place:?}"
            );
        }
        until("the handler has ended", || it.drain.active() == 0).await;
        let reply = receiver.call(callback.request()).await.unwrap();
        assert_eq!(said(&reply), Some(Disposition::Accepted), "{place:?}");
        it.assert_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn f07_twins_take_over_from_a_handler_that_panics() {
    for place in Place::ALL {
        let (it, seen) = (Setup::new(), Seen::default());
        let times = if place == Place::PollAndDrop { 2 } else { 1 };
        let receiver = it.over(Bomb::new(place, times, seen.clone()));
        let callback = Callback::success("task", "voice");
        let twins = (0..8).map(|_| receiver.clone().call(callback.request()));
        let replies = futures_util::future::join_all(twins).await;
        let statuses = replies.into_iter().map(|reply| reply.unwrap().status());
        let failed = statuses.filter(|status| *status != StatusCode::OK).count();
        assert_eq!(failed, 1, "{place:?}");
        it.assert_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_handler_makes_none() {
    struct Counted(Arc<AtomicUsize>);
    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, SeqCst);
            Self(Arc::clone(&self.0))
        }
    }
    let clones = Arc::new(AtomicUsize::new(0));
    let counted = Counted(Arc::clone(&clones));
    let it = Setup::new();
    let mut receiver = it
        .layer
        .layer(tower::service_fn(move |_: Request<Full<Bytes>>| {
            let _ = &counted;
            async { Ok::<_, Infallible>(answer(StatusCode::OK)) }
        }));
    let genuine = Callback::success("task", "voice");
    let mut forged = genuine.request();
    let another = Callback::success("another", "voice").request();
    *forged.headers_mut() = another.headers().clone();
    let reply = receiver.clone().call(genuine.request()).await.unwrap();
    assert_eq!(
        (said(&reply), clones.swap(0, SeqCst)),
        (Some(Disposition::Accepted), 1)
    );
    let reply = receiver.clone().call(genuine.request()).await.unwrap();
    assert_eq!(said(&reply), Some(Disposition::Duplicate));
    let reply = receiver.clone().call(forged).await.unwrap();
    assert_eq!(said(&reply), Some(Rejection::SignatureWrong));
    drop(receiver.call(genuine.request()));
    assert_eq!(clones.load(SeqCst), 0);
    it.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_a_handler_that_is_aborted_is_caught() {
    struct Stuck(Arc<AtomicUsize>);
    impl Drop for Stuck {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
            panic!("a bomb");
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let flag = Arc::clone(&drops);
    let handler = Handler::new(tower::service_fn(move |_: Request<Full<Bytes>>| {
        let stuck = Stuck(Arc::clone(&flag));
        async move {
            let _stuck = stuck;
            std::future::pending().await
        }
    }));
    let it = Setup::new();
    let receiver = it.layer.layer(handler);
    let call = tokio::spawn(async move { send(&receiver, &Callback::success("t", "v")).await });
    until("it runs", || it.drain.active() == 1).await;
    let drained = it.drain.finish(Duration::ZERO).await;
    assert_eq!((drained.aborted, drained.unsettled), (1, 0));
    let reply = call.await.unwrap();
    assert_eq!(said(&reply), Some(Rejection::Aborted));
    assert_eq!(drops.load(SeqCst), 1);
}

#[tokio::test]
async fn f07_the_connection_of_a_handler_that_panics_lives_on() {
    let it = Setup::new();
    let bomb = Bomb::new(Place::LaterPoll, 1, Seen::default());
    let addr = harness::serve(it.layer.layer(bomb)).await;
    let wire = Callback::success("task", "voice").wire();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    for expected in ["HTTP/1.1 500", "HTTP/1.1 200"] {
        stream.write_all(&wire).await.unwrap();
        let mut head = vec![0; 1024];
        let len = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..len]).into_owned();
        assert!(head.starts_with(expected), "{head}");
    }
}

// Hooks.

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_conflict_hook_is_caught() {
    let seen = Seen::default();
    let layer =
        SunoCallbackLayer::new(key(), MemoryStore::default()).on_conflict(|_| panic!("a bomb"));
    let receiver: Receiver<_> = layer.layer(Handler::new(harness::accepting(seen.clone())));
    send(&receiver, &Callback::success("task", "voice")).await;
    let reply = send(&receiver, &Callback::success("task", "another")).await;
    assert_eq!(said(&reply), Some(Disposition::Conflict));
    assert_eq!((seen.len(), layer.drain().active()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_hook_for_what_is_unconfirmed_is_caught() {
    struct Away;
    impl Confirm for Away {
        async fn confirm(&self, _: &VoiceEvent) -> Confirmation {
            Confirmation::Unavailable
        }
    }
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
        .confirm(Away)
        .on_unconfirmed(|_| panic!("a bomb"));
    let receiver: Receiver<_> = layer.layer(Handler::new(harness::accepting(Seen::default())));
    let reply = send(&receiver, &Callback::success("task", "voice")).await;
    assert_eq!(said(&reply), Some(Rejection::Unconfirmed));
    assert_eq!(layer.drain().active(), 0);
}

// What is not the handler's.

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_once_is_one_that_fails_once() {
    for op in OPS {
        let (seen, store) = (Seen::default(), Faulty::default());
        let handler = handling(seen.clone(), |delivery| async move {
            sleep(Duration::from_secs(2)).await;
            match delivery.attempt() {
                1 => StatusCode::BAD_GATEWAY,
                _ => StatusCode::OK,
            }
        });
        let layer = SunoCallbackLayer::new(key(), store.clone());
        let receiver: Receiver<_> = layer.layer(handler);
        store.next(op, [Fault::Panic]);
        for how in [
            Disposition::HandlerFailed,
            Disposition::Accepted,
            Disposition::Duplicate,
        ] {
            let reply = send(&receiver, &Callback::failure("task")).await;
            assert_eq!(said(&reply), Some(how), "{op:?}");
        }
        let panics = store.calls().into_iter();
        let panics = panics.filter(|call| call.fault == Fault::Panic).count();
        assert_eq!((seen.len(), panics), (2, 1), "{op:?}");
        assert_eq!(layer.drain().active(), 0);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_again_and_again_leaves_nothing_behind() {
    let (seen, store) = (Seen::default(), Faulty::default());
    let layer = SunoCallbackLayer::new(key(), store.clone());
    let receiver: Receiver<_> = layer.layer(Handler::new(harness::accepting(seen.clone())));
    store.always_all(Fault::Panic);
    for callback in [
        Callback::success("task", "voice"),
        Callback::failure("task"),
    ] {
        let reply = send(&receiver, &callback).await;
        assert_eq!(said(&reply), Some(Rejection::StoreUnavailable));
    }
    assert_eq!((layer.drain().active(), seen.len()), (0, 0));
    store.heal();
    let reply = send(&receiver, &Callback::success("task", "voice")).await;
    assert_eq!(said(&reply), Some(Disposition::Accepted));
}

#[test]
fn what_has_to_wait_panics_outside_of_a_runtime_and_what_need_not_does_not() {
    let layer = || SunoCallbackLayer::new(key(), MemoryStore::default());
    let poll = |work: Handler| {
        let call = layer()
            .layer(work)
            .call(Callback::success("t", "v").request());
        catch_unwind(AssertUnwindSafe(|| call.now_or_never().map(Result::unwrap)))
    };
    let at_once = handling(Seen::default(), |_| ready(StatusCode::OK));
    assert_eq!(poll(at_once).unwrap().unwrap().status(), StatusCode::OK);
    assert!(poll(handling(Seen::default(), |_| pending())).is_err());
    let served = || {
        let server = ready(Ok::<(), Infallible>(()));
        let drain = layer().drain();
        let served = drain.serve(server, pending::<()>(), secs(1));
        served.now_or_never();
    };
    assert!(catch_unwind(served).is_err());
}
