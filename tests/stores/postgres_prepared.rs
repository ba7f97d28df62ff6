//! The store with prepared statements: where sessions keep them, and where somebody between does
//! not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use harness::{
    proxy::Proxy,
    server::{PgBouncer, Postgres},
};
use sqlx::{
    AssertSqlSafe, PgPool, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};
use suno_callback::{
    DedupStore,
    store::{Claim, Held, Owner, PostgresStore, Record, Settled, SlotKey},
    testkit,
};
use tokio::{task::JoinSet, time::sleep};

const LEASE: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);

async fn pool(url: &str, connections: u32) -> PgPool {
    let options: PgConnectOptions = url.parse().unwrap();
    let pool = PgPoolOptions::new().max_connections(connections);
    let options = options.extra_float_digits(None);
    pool.connect_with(options).await.unwrap()
}

async fn prepared(pool: &PgPool) -> PostgresStore {
    let table = format!("prepared_{:016x}", fastrand::u64(..));
    let store = PostgresStore::new(pool.clone()).prepared();
    let store = store.table(&table).unwrap();
    store.migrate().await.unwrap();
    store
}

/// Asks again where the server got no lock in time, as the layer does.
async fn claimed(store: &PostgresStore, slot: &SlotKey) -> Held {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match store.claim(slot, Owner::from([1; 16]), LEASE).await {
            Ok(Claim::Granted(held)) => return held,
            Ok(Claim::InFlight { remaining }) if Instant::now() < end => sleep(remaining).await,
            other => panic!("{other:?}"),
        }
    }
}

async fn handle(store: &PostgresStore) {
    let slot = slot();
    let held = claimed(store, &slot).await;
    let committed = store.commit(&slot, &held, &Record::EMPTY, HOUR).await;
    assert_eq!(committed.unwrap(), Settled::Applied);
}

/// So many at a time, again and again.
async fn handle_many(store: &PostgresStore) {
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                handle(&store).await;
            }
        });
    }
    tasks.join_all().await;
}

fn slot() -> SlotKey {
    SlotKey::from(std::array::from_fn(|_| fastrand::u8(..)))
}

async fn texts(pool: &PgPool, sql: &str) -> Vec<String> {
    let sql = AssertSqlSafe(String::from(sql));
    let rows = raw_sql(sql).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_with_prepared_statements_keeps_every_law() -> Result<(), testkit::LawBroken> {
    let server = Postgres::start();
    let pool = pool(&server.url(), 12).await;
    testkit::all(&Arc::new(prepared(&pool).await)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_defaults_of_a_session_do_not_matter_to_it() -> Result<(), testkit::LawBroken> {
    let server = Postgres::start();
    let options: PgConnectOptions = server.url().parse().unwrap();
    let odd = [
        ("default_transaction_isolation", "serializable"),
        ("standard_conforming_strings", "off"),
        ("bytea_output", "escape"),
        ("plan_cache_mode", "force_custom_plan"),
    ];
    let pool = PgPoolOptions::new().max_connections(12);
    let pool = pool.connect_with(options.options(odd)).await.unwrap();
    testkit::all(&Arc::new(prepared(&pool).await)).await
}

/// Five sessions, which twelve connections are lent by turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_every_law_behind_a_pooler_that_changes_sessions() -> Result<(), testkit::LawBroken>
{
    let server = Postgres::start();
    let pooler = PgBouncer::start(server.addr(), &[]);
    let pool = pool(&pooler.url(), 12).await;
    testkit::all(&Arc::new(prepared(&pool).await)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn behind_a_pooler_that_changes_sessions_each_event_is_handled() {
    let server = Postgres::start();
    let pooler = PgBouncer::start(server.addr(), &[]);
    let pool = pool(&pooler.url(), 12).await;
    let stores = [prepared(&pool).await, prepared(&pool).await];
    for store in &stores {
        handle_many(store).await;
    }
}

/// Then a step is one message again, of plain text.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_whose_statements_are_taken_away_gives_them_up() {
    let server = Postgres::start();
    let taking = [
        "server_reset_query = DISCARD ALL",
        "server_reset_query_always = 1",
    ];
    let pooler = PgBouncer::start(server.addr(), &taking);
    let proxy = Proxy::to(pooler.addr()).await;
    let url = format!("postgres://postgres@{}/postgres", proxy.addr());
    let pool = pool(&url, 2).await;
    let store = prepared(&pool).await;
    let before = proxy.turns().count();
    // Each step meets a session that knows nothing: four of them are enough for a pool of two.
    for _ in 0..3 {
        handle(&store).await;
    }
    let spoken = |since| {
        let turns = proxy.turns().since(since);
        String::from_utf8_lossy(&turns.concat()).into_owned()
    };
    assert_eq!(
        spoken(before)
            .matches("PREPARE suno_callback_claim_")
            .count(),
        4
    );
    let before = proxy.turns().count();
    handle_many(&store).await;
    let spoken = spoken(before);
    assert!(spoken.contains("INSERT INTO") && !spoken.contains("EXECUTE"));
}

/// A row that is locked is found out within the same bounds.
#[tokio::test]
async fn a_prepared_claim_waits_no_longer_for_a_locked_row_than_a_plain_one() {
    let server = Postgres::start();
    let pool = pool(&server.url(), 4).await;
    let store = prepared(&pool).await;
    store.set_operation_timeout(Duration::from_secs(4));
    let slot = slot();
    let held = claimed(&store, &slot).await;
    let mut transaction = pool.begin().await.unwrap();
    let [table] = &texts(&pool, "SELECT relname::text FROM pg_stat_user_tables").await[..] else {
        panic!("one table");
    };
    let lock = format!("SELECT FROM {table} FOR UPDATE");
    let lock = raw_sql(AssertSqlSafe(lock))
        .execute(&mut *transaction)
        .await;
    lock.unwrap();
    let same = store.claim(&slot, held.owner(), LEASE).await.unwrap();
    assert!(matches!(same, Claim::InFlight { .. }), "{same:?}");
    let renewed = store.renew(&slot, &held, LEASE).await.unwrap();
    assert_eq!(renewed, Settled::Applied);
}

/// The plan is made while the table is so small that to read all of it seems cheaper.
#[tokio::test]
async fn a_plan_that_is_kept_never_reads_the_whole_table() {
    let server = Postgres::start();
    let pool = pool(&server.url(), 1).await;
    let store = prepared(&pool).await;
    handle(&store).await;
    let [table] = &texts(&pool, "SELECT relname::text FROM pg_stat_user_tables").await[..] else {
        panic!("one table");
    };
    texts(&pool, &format!("VACUUM ANALYZE {table}")).await;
    let slot = slot();
    for _ in 0..20 {
        let held = claimed(&store, &slot).await;
        let renewed = store.renew(&slot, &held, LEASE).await.unwrap();
        let released = store.release(&slot, &held).await.unwrap();
        assert_eq!((renewed, released), (Settled::Applied, Settled::Applied));
        handle(&store).await;
    }
    let kept = "SELECT name FROM pg_prepared_statements WHERE generic_plans > 0";
    let kept = texts(&pool, kept).await;
    assert_eq!(kept.len(), 5, "{kept:?}");
    for name in kept {
        let hex = |times| format!("decode(repeat('01', {times}), 'hex')");
        let (slot, owner, hour) = (hex(32), hex(16), "interval '1 hour'");
        let values = match name.split('_').nth(2) {
            Some("look") => slot,
            Some("claim") => format!("{slot}, {owner}, {hour}"),
            Some("renew") => format!("{slot}, {owner}, 1, {hour}"),
            Some("commit") => format!("{slot}, {owner}, 1, {slot}, {hour}"),
            _ => format!("{slot}, {owner}, 1"),
        };
        let plan = texts(&pool, &format!("EXPLAIN EXECUTE {name} ({values})")).await;
        let plan = plan.join("\n");
        assert!(
            plan.contains("Index") && !plan.contains("Seq Scan"),
            "{plan}"
        );
    }
}
