//! What a request costs in allocations and in questions to the store: counts, because they do not
//! depend on the machine.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use harness::{
    Callback,
    counting::{Operations, counting},
    key,
};
use http::{Request, Response};
use http_body_util::Full;
use suno_callback::{
    AnyStore, DedupStore, MemoryStore, SunoCallbackLayer, SunoCallbackService,
    store::{Claim, Owner, Record, SlotKey},
};
use tower::{Layer, Service, util::service_fn};

type Handler = tower::util::ServiceFn<
    fn(Request<Full<Bytes>>) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>,
>;

fn over<D: DedupStore>(store: D) -> SunoCallbackService<Handler, D> {
    SunoCallbackLayer::new(key(), store).layer(service_fn(
        (|_| std::future::ready(Ok(Response::new(Full::default())))) as fn(_) -> _,
    ))
}

fn service() -> SunoCallbackService<Handler, MemoryStore> {
    let mut service = over(MemoryStore::default());
    // The maps have grown.
    for number in 0..512 {
        call(
            &mut service,
            Callback::success(&format!("warm-{number}"), "voice").request(),
        );
    }
    service
}

/// Nothing here waits, so one poll is the whole of it.
fn call<D: DedupStore>(
    service: &mut SunoCallbackService<Handler, D>,
    request: Request<Full<Bytes>>,
) {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(_)) => {}
        Poll::Pending => panic!("a handler that is ready made its caller wait"),
    }
}

/// The allocations of one request; the smallest of some, because a map may just grow.
fn allocations(
    service: &mut SunoCallbackService<Handler, MemoryStore>,
    request: impl Fn(usize) -> Request<Full<Bytes>>,
) -> u64 {
    let counts = (0..32).map(|number| {
        let request = request(number);
        allocation_counter::measure(|| call(service, request)).count_total
    });
    counts.min().unwrap()
}

#[test]
fn an_accepted_event_and_its_duplicate_cost_a_fixed_number_of_allocations() {
    let mut service = service();
    let fresh = |number| Callback::success(&format!("task-{number}"), "voice").request();
    assert_eq!(allocations(&mut service, fresh), 11);
    assert_eq!(allocations(&mut service, fresh), 7, "duplicates");
}

#[test]
fn a_refusal_from_the_head_allocates_for_its_reply_alone() {
    let mut service = service();
    let stale = |_| Callback::success("task", "voice").signed_at(1).request();
    let malformed = |_| {
        let mut callback = Callback::success("task", "voice");
        callback.signature = "x".repeat(10_000);
        callback.request()
    };
    let oversized = |_| {
        Callback::new("task", " ".repeat(100_000))
            .signed_at(1)
            .request()
    };
    // Its header map (2) and its extensions (3); nothing for what was sent.
    assert_eq!(allocations(&mut service, stale), 5);
    assert_eq!(allocations(&mut service, malformed), 5);
    assert_eq!(allocations(&mut service, oversized), 5);
}

/// Whoever has no key chooses what is read of him.
#[test]
fn a_body_that_nobody_signed_is_neither_copied_nor_mended() {
    let mut service = service();
    let filled = |[begin, item, end]: [&str; 3]| {
        let items = item.repeat(16_000 / item.len());
        let items = items.strip_suffix(',').unwrap_or(&items);
        [begin, items, end].concat()
    };
    for parts in [
        ["{", r#""a":1,"#, "}"],
        ["{", r#""\n":1,"#, "}"],
        ["{", r#""\ud83c":1,"#, "}"],
        [r#"{"data":{"#, r#""a":1,"#, r#"},"code":1e999}"#],
        ["{", r#""data":{},"#, "}"],
        ["{", r#""taskId":"t","#, "}"],
        [r#"{"code":["#, "1e999,", "]}"],
        [r#"{"x":""#, r"\ud83c", r#""}"#],
        ["\u{feff}{", r#""a":1,"#, "}"],
        ["{", r#""a":1,"#, "]"],
        ["{\n", r#""\ud83c":1,"#, "]"],
    ] {
        let body = filled(parts);
        let callback = Callback::new("another task", body);
        let cost = allocation_counter::measure(|| call(&mut service, callback.request()));
        // The request's own, and the reply's.
        assert!(cost.count_total < 24, "{parts:?}: {}", cost.count_total);
        let made = allocation_counter::measure(|| drop(callback.request()));
        let more = cost.bytes_total - made.bytes_total;
        assert!(more < 4_096, "{parts:?}: {more} bytes");
    }
}

#[test]
fn a_large_body_that_is_no_text_is_not_copied_where_nobody_signed_it() {
    let mut service = service();
    let junk = [0xff; 16_000];
    for begin in [
        "{\"taskId\":\"task\",\"x\":\"",
        "{\"taskId\":\"\u{e9}\",\"x\":\"",
        "{\"x\":\"",
    ] {
        let body = [begin.as_bytes(), &junk, b"\"}"].concat();
        let body = Bytes::from(body);
        let request = || {
            let request = Callback::new("another task", "").request();
            request.map(|_| Full::new(body.clone()))
        };
        let cost = allocation_counter::measure(|| call(&mut service, request()));
        let made = allocation_counter::measure(|| drop(request()));
        let more = cost.bytes_total - made.bytes_total;
        assert!(more < 4_096, "{begin}: {more} bytes");
    }
}

#[test]
fn an_accepted_event_asks_the_store_twice_its_duplicate_once_and_a_refusal_never() {
    let store = counting(MemoryStore::default());
    let counts = Arc::clone(store.interceptor());
    let mut service = over(store);
    let mut asked = |callback: Callback| {
        call(&mut service, callback.request());
        counts.now()
    };
    let all = |claims, commits| Operations {
        claims,
        commits,
        ..Operations::default()
    };
    let callback = || Callback::success("task", "voice");
    assert_eq!(asked(callback()), all(1, 1));
    assert_eq!(asked(callback()), all(2, 1), "duplicate");
    assert_eq!(asked(callback().signed_at(1)), all(2, 1), "stale");
    let mut forged = callback();
    forged.signature = Callback::success("another", "voice").signature;
    assert_eq!(asked(forged), all(2, 1), "wrong signature");
    assert_eq!(asked(Callback::new("task", "{")), all(2, 1), "not JSON");
    let late = Callback::failure("task");
    let looked = Operations {
        peeks: 1,
        ..all(2, 1)
    };
    assert_eq!(asked(late), looked, "late");
}

/// The allocations of each operation of a store, in the order of a slot's life.
fn allocations_of(store: &impl DedupStore) -> [u64; 6] {
    fn measured<T>(operation: impl Future<Output = T>, into: &mut Option<T>) {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(operation).poll(&mut context) {
            Poll::Ready(answer) => *into = Some(answer),
            Poll::Pending => panic!("it made its caller wait"),
        }
    }
    let (slot, owner) = (SlotKey::from([7; 32]), Owner::from([7; 16]));
    let (lease, record) = (Duration::from_secs(5), Record::EMPTY);
    let mut granted = None;
    measured(store.claim(&slot, owner, lease), &mut granted);
    let Some(Ok(Claim::Granted(held))) = granted else {
        panic!("it is free")
    };
    macro_rules! count {
        ($operation:expr) => {
            allocation_counter::measure(|| measured($operation, &mut None)).count_total
        };
    }
    // It claims a slot by chance, and the first one in a shard makes that grow.
    let checks = (0..512).map(|_| count!(store.check()));
    let check = checks.min().unwrap();
    [
        count!(store.claim(&slot, owner, lease)),
        count!(store.renew(&slot, &held, lease)),
        count!(store.release(&slot, &held)),
        count!(store.peek(&slot)),
        count!(store.commit(&slot, &held, &record, lease)),
        check,
    ]
}

#[test]
fn a_store_with_an_erased_type_costs_one_allocation_more_an_operation() {
    let plain = allocations_of(&MemoryStore::default());
    let erased = allocations_of(&AnyStore::new(MemoryStore::default()));
    assert_eq!(erased, plain.map(|count| count + 1));
}

#[test]
fn a_handler_that_is_ready_at_once_needs_no_runtime() {
    // Neither a timer nor a task: both would panic here.
    assert!(tokio::runtime::Handle::try_current().is_err());
    call(&mut service(), Callback::success("task", "voice").request());
}
