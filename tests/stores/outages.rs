//! Outages of every real store, in real time: how long it is away, at which moment of an event, in
//! which way, while a twin waits at another replica. `tests/model/outages.rs` plays the same in
//! virtual time.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use harness::{
    counts::OUTAGES,
    faulty::{FaultyOver, Line},
    ms,
    outages::{Outage, Table},
    server::{Postgres, Redis},
};
use sqlx::{postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use suno_callback::{
    DedupStore, MemoryStore, Times,
    store::{PostgresStore, RedisStore, SqliteStore},
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::sqlite::Folder;

/// How many events are on their way at once, each with two replicas of its own.
const AT_ONCE: usize = 200;

/// What a machine with other work may take from a lease, on top of the outage. The sharp bound is
/// shown in virtual time, where nothing takes any: here a store that answers late, or a thread that
/// gets no turn, makes an outage longer than it was played.
const MARGIN: Duration = ms(2000);

/// That no outage loses an event, and that none that is shorter than the lease less one operation by
/// a clear margin runs it twice. What the longer ones did is printed.
async fn no_outage_loses_an_event(what: &'static str, store: impl DedupStore) {
    let (mut outages, times) = (Outage::all(), Times::default());
    Rng::with_seed(harness::seed()).shuffle(&mut outages);
    outages.truncate(OUTAGES.size());
    let store = FaultyOver::new(store, Line::default());
    let (mut events, places) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for (number, outage) in outages.into_iter().enumerate() {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let store = store.clone();
        events.spawn(async move {
            let fate = outage.play(&store, &format!("task-{number}")).await;
            drop(place);
            (outage, fate)
        });
    }
    let (mut table, mut wrong) = (Table::default(), Vec::new());
    while let Some(event) = events.join_next().await {
        let (outage, fate) = event.unwrap();
        table.add(&outage, &fate);
        if fate.is_lost {
            wrong.push(format!("lost: {outage}"));
        }
        let is_short = fate.away + MARGIN <= times.lease - times.store_operation;
        if is_short && fate.runs > 1 {
            wrong.push(format!("ran {} times: {outage}", fate.runs));
        }
    }
    println!("{what}\n{table}");
    assert!(wrong.is_empty(), "{what}: {wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_outage_of_memory_loses_an_event() {
    no_outage_loses_an_event("memory", MemoryStore::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_outage_of_sqlite_loses_an_event() {
    let folder = Folder::new();
    let options = SqliteStore::connect_options(folder.file());
    let pool = SqlitePoolOptions::new().max_connections(8);
    let store = SqliteStore::new(pool.connect_with(options).await.unwrap());
    store.migrate().await.unwrap();
    no_outage_loses_an_event("SQLite", store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_outage_of_postgres_loses_an_event() {
    let server = Postgres::start();
    let pool = PgPoolOptions::new().max_connections(20);
    let store = PostgresStore::new(pool.connect(&server.url()).await.unwrap());
    store.migrate().await.unwrap();
    no_outage_loses_an_event("PostgreSQL", store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_outage_of_redis_loses_an_event() {
    let server = Redis::start(&[]);
    no_outage_loses_an_event("Redis", RedisStore::new(server.client())).await;
}
