//! A store that answers at once, and what it may say then.

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use harness::{Callback, Handler, Seen, accepting, counting::counting, key, said, send, slot_of};
use http::StatusCode;
use suno_callback::{
    Disposition, MemoryStore, Rejection, SunoCallbackLayer,
    store::{Claim, DedupStore, Owner},
    testkit::{Intercept, Intercepted, Operation},
};
use tokio::time::Instant;
use tower::{BoxError, Layer};

/// Fails, at once, the first operation of each kind.
struct FailsFirst {
    with: Failure,
    claims: AtomicUsize,
    commits: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Failure {
    Error,
    Panic,
}

impl Intercept for FailsFirst {
    const ANSWERS_AT_ONCE: bool = true;

    async fn intercept<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> Result<T, BoxError> {
        let before = match operation {
            Operation::Claim => self.claims.fetch_add(1, SeqCst),
            Operation::Commit => self.commits.fetch_add(1, SeqCst),
            _ => 1,
        };
        match (before, self.with) {
            (0, Failure::Error) => Err("it is away".into()),
            (0, Failure::Panic) => panic!("it is broken"),
            _ => work.await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_at_once_is_asked_again_and_the_handler_runs_once() {
    for with in [Failure::Error, Failure::Panic] {
        let (claims, commits) = Default::default();
        let interceptor = FailsFirst {
            with,
            claims,
            commits,
        };
        let store = Intercepted::new(MemoryStore::default(), interceptor);
        let (seen, callback) = (Seen::default(), Callback::success("task", "voice"));
        let layer = SunoCallbackLayer::new(key(), store.clone());
        let receiver = layer.layer(Handler::new(accepting(seen.clone())));
        let reply = send(&receiver, &callback).await;
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(said(&reply), Some(Disposition::Accepted));
        let asked = store.interceptor();
        assert!(asked.claims.load(SeqCst) > 1 && asked.commits.load(SeqCst) > 1);
        let again = send(&receiver, &callback).await;
        assert_eq!(said(&again), Some(Disposition::Duplicate));
        assert_eq!(seen.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_another_process_holds_is_waited_for() {
    const LEASE: Duration = Duration::from_secs(1);
    let store = counting(MemoryStore::default());
    let callback = Callback::success("task", "voice");
    let (slot, other) = (slot_of(&callback).await, Owner::from([7; 16]));
    let held = store.inner().claim(&slot, other, LEASE).await.unwrap();
    assert!(matches!(held, Claim::Granted(_)));
    let seen = Seen::default();
    let layer = SunoCallbackLayer::new(key(), store);
    let receiver = layer.layer(Handler::new(accepting(seen.clone())));
    let began = Instant::now();
    let reply = send(&receiver, &callback).await;
    assert_eq!((reply.status(), seen.len()), (StatusCode::OK, 1));
    assert!(began.elapsed() >= LEASE);
}

/// Each has a store of its own, so only what the outer one says in the extensions tells.
#[tokio::test(start_paused = true)]
async fn a_layer_around_another_with_a_store_of_its_own_is_the_same_mistake() {
    let seen = Seen::default();
    let layer = || SunoCallbackLayer::new(key(), MemoryStore::default());
    let inner = layer().layer(Handler::new(accepting(seen.clone())));
    let mut outer = layer().layer(inner);
    let callback = Callback::success("task", "voice");
    let reply = tower::Service::call(&mut outer, callback.request()).await;
    let why = reply.unwrap().extensions().get().copied();
    assert_eq!((why, seen.len()), (Some(Rejection::MountedTwice), 0));
}
