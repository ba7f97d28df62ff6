//! That a step is one round trip: counted between a store and its server.

use std::{net::SocketAddr, time::Duration};

use harness::proxy::Proxy;
use redis::IntoConnectionInfo;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use suno_callback::{
    DedupStore,
    store::{Claim, Held, Owner, PostgresStore, Record, RedisStore, Settled, SlotKey},
};
use tokio::{task::JoinSet, time::timeout};

const LEASE: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);

/// What the pool of sqlx asks each connection that it takes back: `Sync`.
const QUESTION: &[u8] = b"S\0\0\0\x04";

const STEPS: usize = 9;

/// Every step, those that are refused among them.
async fn every_step<D: DedupStore<Error: std::fmt::Debug>>(store: &D) {
    let record = Record::try_from(&b"a record"[..]).unwrap();
    let (slot, other) = (slot(), Owner::from([2; 16]));
    let held = claimed(store, &slot).await;
    let taken = store.claim(&slot, other, LEASE).await.unwrap();
    assert!(matches!(taken, Claim::InFlight { .. }), "{taken:?}");
    let renewed = store.renew(&slot, &held, LEASE).await.unwrap();
    let committed = store.commit(&slot, &held, &record, HOUR).await.unwrap();
    let late = store.release(&slot, &held).await.unwrap();
    assert_eq!(
        (renewed, committed, late),
        (Settled::Applied, Settled::Applied, Settled::Lost)
    );
    let done = store.claim(&slot, other, LEASE).await.unwrap();
    assert_eq!(done, Claim::Done(record));
    assert_eq!(store.peek(&slot).await.unwrap(), Some(record));
    let slot = self::slot();
    let held = claimed(store, &slot).await;
    let released = store.release(&slot, &held).await.unwrap();
    assert_eq!(released, Settled::Applied);
}

async fn claimed<D: DedupStore<Error: std::fmt::Debug>>(store: &D, slot: &SlotKey) -> Held {
    match store.claim(slot, Owner::from([1; 16]), LEASE).await {
        Ok(Claim::Granted(held)) => held,
        other => panic!("{other:?}"),
    }
}

fn slot() -> SlotKey {
    SlotKey::from(std::array::from_fn(|_| fastrand::u8(..)))
}

/// With one connection, so that nothing else is said meanwhile.
async fn postgres_behind_a_proxy() -> (PostgresStore, Proxy) {
    let url = std::env::var("SUNO_TEST_POSTGRES").expect("SUNO_TEST_POSTGRES, a PostgreSQL");
    let options: PgConnectOptions = url.parse().unwrap();
    let server = SocketAddr::from(([127, 0, 0, 1], options.get_port()));
    let proxy = Proxy::to(server).await;
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.test_before_acquire(false);
    let pool = pool.connect_with(options.port(proxy.addr().port())).await;
    let table = format!("trips_{:016x}", fastrand::u64(..));
    let store = PostgresStore::new(pool.unwrap()).table(&table).unwrap();
    store.migrate().await.unwrap();
    (store, proxy)
}

/// The messages of every step, each in a turn of its own.
async fn messages(store: &PostgresStore, proxy: &Proxy) -> Vec<String> {
    let before = proxy.turns().count();
    every_step(store).await;
    let mut turns = proxy.turns().since(before);
    turns.retain(|turn| turn != QUESTION);
    let message = |turn: Vec<u8>| {
        let (kind, rest) = turn.split_first().unwrap();
        let length = u32::from_be_bytes(*rest.first_chunk().unwrap());
        assert_eq!((*kind, length as usize), (b'Q', rest.len()));
        String::from_utf8(rest[4..].to_vec()).unwrap()
    };
    turns.into_iter().map(message).collect()
}

#[tokio::test]
async fn every_step_on_postgres_is_one_message_and_one_round_trip() {
    let (store, proxy) = postgres_behind_a_proxy().await;
    let messages = messages(&store, &proxy).await;
    assert_eq!(messages.len(), STEPS, "{messages:#?}");
    for word in ["PREPARE", "EXECUTE"] {
        assert!(!messages.iter().any(|it| it.contains(word)), "{word}");
    }
}

#[tokio::test]
async fn every_prepared_step_is_one_message_and_one_round_trip_but_the_first_of_a_session() {
    let (store, proxy) = postgres_behind_a_proxy().await;
    let store = store.prepared();
    let first = messages(&store, &proxy).await;
    assert_eq!(first.len(), STEPS + 1, "{first:#?}");
    assert_eq!(first[1].matches("PREPARE ").count(), 5);
    let next = messages(&store, &proxy).await;
    assert_eq!(next.len(), STEPS, "{next:#?}");
    for message in first.iter().skip(2).chain(&next) {
        assert!(message.contains("EXECUTE suno_callback_look_"), "{message}");
        assert!(!message.contains("PREPARE "), "{message}");
    }
}

async fn redis_behind_a_proxy() -> (RedisStore, Proxy) {
    let url = std::env::var("SUNO_TEST_REDIS").expect("SUNO_TEST_REDIS, a Redis");
    let info = url.into_connection_info().unwrap();
    let redis::ConnectionAddr::Tcp(_, port) = info.addr() else {
        panic!("an address");
    };
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], *port))).await;
    let client = redis::Client::open(format!("redis://{}/", proxy.addr())).unwrap();
    let store = RedisStore::new(client).prefix(format!("trips:{:016x}:", fastrand::u64(..)));
    // The server learns the scripts, where it does not know them.
    every_step(&store).await;
    (store, proxy)
}

const BY_HASH: &[u8] = b"$7\r\nEVALSHA\r\n";

fn commands(turn: &[u8]) -> usize {
    turn.windows(BY_HASH.len())
        .filter(|part| *part == BY_HASH)
        .count()
}

#[tokio::test]
async fn every_step_on_redis_is_one_command_and_one_round_trip() {
    let (store, proxy) = redis_behind_a_proxy().await;
    let before = proxy.turns().count();
    every_step(&store).await;
    let turns = proxy.turns().since(before);
    assert_eq!(turns.len(), STEPS);
    for turn in turns {
        let others = turn
            .split(|byte| *byte == b'\n')
            .filter(|line| line.starts_with(b"*"));
        assert_eq!((commands(&turn), others.count()), (1, 1));
    }
}

#[tokio::test]
async fn steps_that_come_together_share_a_round_trip_to_redis() {
    const CALLERS: usize = 64;
    let (store, proxy) = redis_behind_a_proxy().await;
    store.set_operation_timeout(Duration::from_secs(60));
    let before = proxy.turns().count();
    proxy.hold_answers(true);
    let mut claims = JoinSet::new();
    for _ in 0..CALLERS {
        let store = store.clone();
        claims.spawn(async move { claimed(&store, &slot()).await });
    }
    // All are on their way before the first is answered.
    let all = proxy.turns().until(before, BY_HASH, CALLERS);
    timeout(Duration::from_secs(30), all)
        .await
        .expect("nobody may wait for another");
    proxy.hold_answers(false);
    claims.join_all().await;
    let turns = proxy.turns().since(before);
    assert_eq!((turns.len(), commands(&turns.concat())), (1, CALLERS));
    assert_eq!(proxy.accepted(), 1);
}
