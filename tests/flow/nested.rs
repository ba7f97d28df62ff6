//! A layer around a layer: a request that would wait for itself is answered at once, and the log
//! names the mistake.

use harness::{Callback, Handler, Seen, accepting, key, said};
use http::StatusCode;
use suno_callback::{MemoryStore, Rejection, SunoCallbackLayer, store::AnyStore};
use tokio::time::Instant;
use tower::{Layer, Service};

/// The status and reason of a success through `inner` within `outer`, and how often it was handled.
async fn send_through(
    outer: &SunoCallbackLayer<AnyStore>,
    inner: &SunoCallbackLayer<AnyStore>,
) -> (StatusCode, Option<Rejection>, usize) {
    let seen = Seen::default();
    let inner = inner.layer(Handler::new(accepting(seen.clone())));
    let mut service = outer.layer(inner);
    let start = Instant::now();
    let callback = Callback::success("task", "voice");
    let reply = service.call(callback.request()).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 0, "it waited");
    let why = reply.extensions().get().copied();
    (reply.status(), why, seen.len())
}

#[tokio::test(start_paused = true)]
async fn a_layer_on_a_route_and_again_on_its_router_is_an_error_at_once_that_names_the_mistake() {
    let store = AnyStore::new(MemoryStore::default());
    let layer = || SunoCallbackLayer::new(key(), store.clone());
    let (one, other) = (layer(), layer());
    for inner in [&one, &one.clone(), &other] {
        harness::logs::capture();
        let (status, why, handled) = send_through(&one, inner).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!((why, handled), (Some(Rejection::MountedTwice), 0));
        assert!(harness::logs::say("the layer is mounted twice"));
    }
}

#[tokio::test(start_paused = true)]
async fn layers_with_two_namespaces_may_be_nested() {
    let store = AnyStore::new(MemoryStore::default());
    let outer = SunoCallbackLayer::new(key(), store.clone());
    let inner = SunoCallbackLayer::new(key(), store).namespace("within");
    let (status, why, handled) = send_through(&outer, &inner).await;
    assert_eq!((status, why, handled), (StatusCode::OK, None, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_the_claim_after_the_mistake_is_free() {
    let layer = SunoCallbackLayer::new(key(), AnyStore::new(MemoryStore::default()));
    send_through(&layer, &layer).await;
    let seen = Seen::default();
    let right = layer.layer(Handler::new(accepting(seen.clone())));
    let reply = harness::send(&right, &Callback::success("task", "voice")).await;
    assert_eq!(said::<Rejection>(&reply), None);
    assert_eq!((reply.status(), seen.len()), (StatusCode::OK, 1));
}
