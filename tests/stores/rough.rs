//! Connections that break in every way between a receiver and its store.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fastrand::Rng;
use harness::counts::ROUGH;
use harness::rough::Rough;
use harness::server::{PgBouncer, Postgres, Redis};
use harness::{Callback, Seen, ms, secs, send};
use http::StatusCode;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use suno_callback::{
    DedupStore,
    store::{PostgresStore, RedisStore},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::failover::{Tries, deliver, every, receiver};

/// The longest that connections break. What is left of the first try is more than three seconds in
/// which new ones work.
const SPAN: u64 = 5_000;

/// How often an event comes: all at once they would wait for this machine and not for connections.
const PACE: Duration = ms(30);

/// A store that is reached in two ways.
struct Reached<D> {
    /// At most so many events are on their way, each with a proxy of its own.
    at_once: usize,
    /// Where the proxies lead, in turn.
    servers: Vec<SocketAddr>,
    /// What another replica has, for which nothing breaks.
    direct: D,
    /// For an event of this number.
    through: fn(SocketAddr, u64) -> D,
}

/// What became of one event.
#[derive(Debug)]
struct Fate {
    number: u64,
    tries: Tries,
    runs: usize,
    /// How often it was handled when it came again, and what was answered then.
    again: usize,
    known: StatusCode,
}

impl<D: DedupStore + Clone> Reached<D> {
    async fn every_event_is_handled_once_and_done(self) {
        let (seed, events) = (harness::seed(), ROUGH.get());
        let reached = Arc::new(self);
        let (mut calls, places) = (JoinSet::new(), Arc::new(Semaphore::new(reached.at_once)));
        let mut pace = every(PACE);
        for number in 0..events {
            pace.tick().await;
            let place = Arc::clone(&places).acquire_owned().await.unwrap();
            let (reached, seed) = (Arc::clone(&reached), seed.wrapping_add(number));
            calls.spawn(async move {
                let fate = reached.play(number, Rng::with_seed(seed)).await;
                drop(place);
                fate
            });
        }
        let mut refused = 0;
        while let Some(call) = calls.join_next().await {
            let fate = call.unwrap();
            let number = fate.number;
            assert!(fate.tries.taken, "event {number} was refused four times");
            assert_eq!((fate.runs, fate.again), (1, 0), "event {number}: {fate:?}");
            assert_eq!(fate.known, StatusCode::OK, "event {number} is not done");
            refused += usize::from(fate.tries.refused > 0);
        }
        println!("{events} events, {refused} first tries refused");
    }

    async fn play(&self, number: u64, mut random: Rng) -> Fate {
        let (task, span) = (format!("task-{number}"), ms(random.u64(0..SPAN)));
        let server = self.servers[number as usize % self.servers.len()];
        let rough = Rough::to(server, span, random).await;
        let store = (self.through)(rough.addr(), number);
        let (seen, again) = (Seen::default(), Seen::default());
        let (_, no_outages) = watch::channel(false);
        let tries = deliver(&receiver(store, &seen), task.clone(), no_outages).await;
        // Another replica, which may have to wait for a commit that is still under way.
        let callback = Callback::success(&task, "voice");
        let known = send(&receiver(self.direct.clone(), &again), &callback).await;
        Fate {
            number,
            tries,
            runs: seen.len(),
            again: again.len(),
            known: known.status(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_connections_to_redis_break_every_event_is_handled_once_and_done() {
    let server = Redis::start(&["--maxclients", "20000"]);
    let reached = Reached {
        at_once: 500,
        servers: vec![server.addr()],
        direct: RedisStore::new(server.client()),
        through: |addr, _| {
            let url = format!("redis://{addr}/");
            RedisStore::new(redis::Client::open(url).unwrap())
        },
    };
    reached.every_event_is_handled_once_and_done().await;
}

/// A pool of `size` connections, which are tested before they are lent or not.
fn postgres(addr: SocketAddr, size: u32, tested: bool) -> PostgresStore {
    let options = PgConnectOptions::new_without_pgpass();
    let options = options.host("127.0.0.1").port(addr.port());
    let options = options.username("postgres").database("postgres");
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .test_before_acquire(tested)
        // As the documentation of the store advises.
        .acquire_timeout(secs(2));
    PostgresStore::new(pool.connect_lazy_with(options))
}

/// A connection costs the server a process, and hundreds that break at a time cost so many that all
/// would wait for this machine. So a pooler is in front of it for three of four events, and few of
/// them come at a time: those that hang in a transaction keep one of its sessions each, and others
/// would wait for what breaks there.
#[tokio::test(flavor = "multi_thread")]
async fn however_connections_to_postgres_break_every_event_is_handled_once_and_done() {
    let server = Postgres::start_with(&["max_connections=500"]);
    let pooler = PgBouncer::start(
        server.addr(),
        &[
            "ignore_startup_parameters = extra_float_digits",
            "max_client_conn = 2000",
            "default_pool_size = 20",
        ],
    );
    let direct = postgres(server.addr(), 10, true);
    direct.migrate().await.unwrap();
    let reached = Reached {
        at_once: 60,
        servers: vec![server.addr(), pooler.addr(), pooler.addr(), pooler.addr()],
        direct,
        through: |addr, number| {
            let size = [1, 2, 3][number as usize % 3];
            postgres(addr, size, (number / 4).is_multiple_of(2))
        },
    };
    reached.every_event_is_handled_once_and_done().await;
}
