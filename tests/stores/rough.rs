//! Connections that break in every way between a receiver and its store.

use std::sync::Arc;

use fastrand::Rng;
use harness::counts::ROUGH;
use harness::rough::Rough;
use harness::server::Redis;
use harness::{Callback, Seen, ms, send};
use http::StatusCode;
use suno_callback::store::RedisStore;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::failover::{deliver, receiver};

/// How many events are on their way at once, each with a proxy of its own.
const AT_ONCE: usize = 500;

/// The longest that connections break. What is left of the first try is more than three seconds in
/// which new ones work.
const SPAN: u64 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn however_connections_to_redis_break_every_event_is_handled_once_and_done() {
    let server = Redis::start(&["--maxclients", "20000"]);
    let (seed, events) = (harness::seed(), ROUGH.get());
    let (mut calls, places) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for number in 0..events {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let (addr, direct) = (server.addr(), RedisStore::new(server.client()));
        calls.spawn(async move {
            let mut random = Rng::with_seed(seed.wrapping_add(number));
            let span = ms(random.u64(0..SPAN));
            let rough = Rough::to(addr, span, random).await;
            let url = format!("redis://{}/", rough.addr());
            let store = RedisStore::new(redis::Client::open(url).unwrap());
            let (seen, again) = (Seen::default(), Seen::default());
            let tries = deliver(&receiver(store, &seen), format!("task-{number}")).await;
            // Another replica, which may have to wait for a commit that is still under way.
            let callback = Callback::success(&format!("task-{number}"), "voice");
            let known = send(&receiver(direct, &again), &callback).await.status();
            drop(place);
            (number, tries, seen.len(), again.len(), known)
        });
    }
    let mut refused = 0;
    while let Some(call) = calls.join_next().await {
        let (number, tries, runs, again, known) = call.unwrap();
        assert!(tries.taken, "event {number} was refused four times");
        assert_eq!((runs, again), (1, 0), "runs of event {number}");
        assert_eq!(known, StatusCode::OK, "event {number} is not done");
        refused += usize::from(tries.refused > 0);
    }
    println!("{events} events, {refused} first tries refused");
}
