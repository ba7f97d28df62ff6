//! The store on a real PostgreSQL. `. tests/servers.sh; servers_start` provides one.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use harness::proxy::Proxy;
use harness::{Callback, Seen, answer, counting::counting, key, logs};
use http::{Request, StatusCode};
use sqlx::{
    Acquire as _, AssertSqlSafe, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};
use suno_callback::{
    AnyStore, DedupStore, Delivery, Disposition, MemoryStore, SunoCallbackLayer, Times,
    store::{
        Claim, CommitError, Held, KEEP_FENCE, Owner, PostgresStore, PostgresStoreError, Record,
        Settled, SlotKey,
    },
    testkit::{self, Intercept, Intercepted, LawBroken, Operation},
};
use tokio::{
    sync::{Barrier, mpsc},
    task::JoinSet,
    time::timeout,
};
use tower::{BoxError, Layer, ServiceExt, service_fn};

const LEASE: Duration = Duration::from_secs(5);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

fn url() -> String {
    std::env::var("SUNO_TEST_POSTGRES").expect(
        "SUNO_TEST_POSTGRES must be the url of a PostgreSQL that tests may use; \
         `. tests/servers.sh; servers_start` starts one",
    )
}

fn options() -> PgConnectOptions {
    url().parse().unwrap()
}

async fn pool() -> PgPool {
    pool_with(options()).await
}

async fn pool_with(options: PgConnectOptions) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(12);
    pool.connect_with(options).await.unwrap()
}

/// A name that no other test has, also when they run again on the same server.
fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, SeqCst);
    format!(
        "{what}_{}_{count}",
        harness::unix_now() * 100_000 + u64::from(std::process::id())
    )
}

/// A store in a table of its own.
struct Fixture {
    store: PostgresStore,
    pool: PgPool,
    table: String,
}

impl Fixture {
    async fn new() -> Self {
        Self::on(pool().await).await
    }

    async fn on(pool: PgPool) -> Self {
        let table = unique("slots");
        let store = PostgresStore::new(pool.clone()).table(&table).unwrap();
        store.migrate().await.unwrap();
        Self { store, pool, table }
    }

    /// Runs SQL in which `TABLE` stands for the table.
    async fn run(&self, sql: &str) -> u64 {
        let sql = sql.replace("TABLE_", &self.table);
        let done = raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await;
        done.unwrap().rows_affected()
    }

    async fn text(&self, sql: &str) -> String {
        let sql = sql.replace("TABLE_", &self.table);
        let row = raw_sql(AssertSqlSafe(sql)).fetch_one(&self.pool).await;
        row.unwrap().get(0)
    }

    async fn rows(&self) -> i64 {
        let count = self.text("SELECT count(*)::text FROM TABLE_").await;
        count.parse().unwrap()
    }

    /// The table for effects of a handler.
    async fn effects(&self) -> Effects {
        self.run("CREATE TABLE IF NOT EXISTS TABLE__effects (task_id text NOT NULL)")
            .await;
        Effects {
            pool: self.pool.clone(),
            table: format!("{}_effects", self.table),
        }
    }
}

#[derive(Clone)]
struct Effects {
    pool: PgPool,
    table: String,
}

impl Effects {
    fn insert(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("INSERT INTO {} VALUES ('task')", self.table))
    }

    async fn count(&self) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {}", self.table));
        let row = raw_sql(sql).fetch_one(&self.pool).await.unwrap();
        row.get(0)
    }

    /// The effect and the record in one transaction.
    async fn commit(&self, delivery: &Delivery) -> Result<(), BoxError> {
        let mut tx = self.pool.begin().await?;
        raw_sql(self.insert()).execute(&mut *tx).await?;
        delivery.commit_in(&mut tx).await?;
        Ok(tx.commit().await?)
    }
}

fn slot() -> SlotKey {
    use std::hash::{BuildHasher, RandomState};
    let parts = [(); 4].map(|()| RandomState::new().hash_one(()).to_be_bytes());
    SlotKey::from(<[u8; 32]>::try_from(parts.concat()).unwrap())
}

fn owner(number: u8) -> Owner {
    Owner::from([number; 16])
}

fn record() -> Record {
    Record::try_from(&b"a record"[..]).unwrap()
}

fn granted(claim: Claim) -> Held {
    match claim {
        Claim::Granted(held) => held,
        other => panic!("{other:?}"),
    }
}

fn delivery(request: &Request<impl Sized>) -> Delivery {
    request.extensions().get().cloned().unwrap()
}

fn status_of(done: Result<(), BoxError>) -> StatusCode {
    match done {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Polls until the condition holds.
async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_every_law() -> Result<(), LawBroken> {
    testkit::all(&Arc::new(Fixture::new().await.store)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_erased_type_it_keeps_every_law() -> Result<(), LawBroken> {
    testkit::all(&Arc::new(AnyStore::new(Fixture::new().await.store))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_defaults_of_a_session_do_not_matter() -> Result<(), LawBroken> {
    let odd = options().options([
        ("default_transaction_isolation", "serializable"),
        ("standard_conforming_strings", "off"),
        ("bytea_output", "escape"),
        ("intervalstyle", "sql_standard"),
        ("timezone", "Asia/Kathmandu"),
    ]);
    testkit::all(&Arc::new(Fixture::on(pool_with(odd).await).await.store)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_tasks_one_is_granted_each_of_50_slots() {
    let fixture = Fixture::new().await;
    for _ in 0..50 {
        let (slot, start) = (slot(), Arc::new(Barrier::new(64)));
        let mut tasks = JoinSet::new();
        for number in 0..64 {
            let (store, start) = (fixture.store.clone(), Arc::clone(&start));
            tasks.spawn(async move {
                start.wait().await;
                store.claim(&slot, owner(number), LEASE).await.unwrap()
            });
        }
        let claims = tasks.join_all().await;
        let winners = claims
            .iter()
            .filter(|claim| matches!(claim, Claim::Granted(_)));
        assert_eq!(winners.count(), 1);
    }
}

/// Of a clock that moves on by 0.1 s at each look, so that every lease ends between two of them.
#[tokio::test]
async fn a_lease_that_ends_while_its_row_is_read_is_no_broken_row() {
    let schema = unique("clock");
    let hasty = format!(
        "CREATE SCHEMA {schema}; CREATE SEQUENCE {schema}.looks; \
         CREATE FUNCTION {schema}.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS \
         $$ SELECT timestamptz '2026-11-27' + nextval('{schema}.looks') * interval '0.1 s' $$"
    );
    raw_sql(AssertSqlSafe(hasty))
        .execute(&pool().await)
        .await
        .unwrap();
    let path = format!("{schema}, pg_catalog, public");
    let pool = pool_with(options().options([("search_path", path)])).await;
    let fixture = Fixture::on(pool).await;
    let mut in_flight = 0;
    for lease in (1..=50).map(|n| Duration::from_millis(n * 100)) {
        let slot = slot();
        granted(fixture.store.claim(&slot, owner(1), lease).await.unwrap());
        match fixture.store.claim(&slot, owner(2), LEASE).await.unwrap() {
            Claim::InFlight { remaining } => {
                assert!(remaining < lease, "{remaining:?} of {lease:?}");
                in_flight += 1;
            }
            claim => drop(granted(claim)),
        }
    }
    assert!((1..50).contains(&in_flight), "{in_flight}");
}

#[tokio::test]
async fn a_claim_of_a_held_slot_writes_nothing_and_waits_for_no_lock() {
    let fixture = Fixture::new().await;
    let slot = slot();
    granted(fixture.store.claim(&slot, owner(1), LEASE).await.unwrap());
    // Who wrote the row, and who locked it last.
    let touched = "SELECT xmin::text || ' ' || xmax::text FROM TABLE_";
    let before = fixture.text(touched).await;
    let claim = fixture.store.claim(&slot, owner(2), LEASE).await.unwrap();
    assert!(matches!(claim, Claim::InFlight { .. }));
    assert_eq!(fixture.text(touched).await, before);
    let mut tx = fixture.pool.begin().await.unwrap();
    let lock = format!("SELECT FROM {} FOR UPDATE", fixture.table);
    raw_sql(AssertSqlSafe(lock))
        .execute(&mut *tx)
        .await
        .unwrap();
    for _ in 0..10 {
        let claim = fixture.store.claim(&slot, owner(2), LEASE);
        let claim = timeout(Duration::from_secs(1), claim).await;
        let Claim::InFlight { remaining } = claim.expect("no wait for the lock").unwrap() else {
            panic!("it is held");
        };
        assert!(
            remaining <= LEASE && remaining > Duration::from_secs(1),
            "{remaining:?}"
        );
    }
}

#[tokio::test]
async fn an_ended_lease_on_a_locked_row_is_in_flight_until_the_lock_is_gone() {
    let fixture = Fixture::new().await;
    let slot = slot();
    let first = granted(
        fixture
            .store
            .claim(&slot, owner(1), Duration::ZERO)
            .await
            .unwrap(),
    );
    let mut tx = fixture.pool.begin().await.unwrap();
    let lock = format!("SELECT FROM {} FOR UPDATE", fixture.table);
    raw_sql(AssertSqlSafe(lock))
        .execute(&mut *tx)
        .await
        .unwrap();

    let claim = fixture.store.claim(&slot, owner(2), LEASE);
    let claim = timeout(Duration::from_secs(1), claim).await;
    let Claim::InFlight { remaining } = claim.expect("a short wait").unwrap() else {
        panic!("the row is locked");
    };
    assert!(
        remaining > Duration::ZERO,
        "polling at full speed is no use"
    );
    let renewal = fixture.store.renew(&slot, &first, LEASE);
    let renewal = timeout(Duration::from_secs(1), renewal).await;
    assert_eq!(renewal.expect("a short wait").unwrap(), Settled::Applied);
    let stranger = Held::new(owner(3), first.fence(), 1);
    let renewal = fixture.store.renew(&slot, &stranger, LEASE).await;
    assert_eq!(renewal.unwrap(), Settled::Lost);

    tx.rollback().await.unwrap();
    let second = granted(fixture.store.claim(&slot, owner(2), LEASE).await.unwrap());
    assert!(second.fence() > first.fence());
}

#[tokio::test]
async fn a_locked_row_that_is_done_is_done() {
    let fixture = Fixture::new().await;
    let slot = slot();
    let held = granted(fixture.store.claim(&slot, owner(1), LEASE).await.unwrap());
    let commit = fixture.store.commit(&slot, &held, &record(), MONTH).await;
    assert_eq!(commit.unwrap(), Settled::Applied);
    let mut tx = fixture.pool.begin().await.unwrap();
    let lock = format!("SELECT FROM {} FOR UPDATE", fixture.table);
    raw_sql(AssertSqlSafe(lock))
        .execute(&mut *tx)
        .await
        .unwrap();
    let claim = fixture.store.claim(&slot, owner(2), LEASE).await.unwrap();
    assert_eq!(claim, Claim::Done(record()));
}

#[tokio::test]
async fn leases_that_no_clock_can_mean_have_ended() {
    let fixture = Fixture::new().await;
    for lease in [
        "'infinity'",
        "'-infinity'",
        "now() + interval '61 s'",
        "now() + interval '9 h'",
    ] {
        let slot = slot();
        let first = granted(fixture.store.claim(&slot, owner(1), LEASE).await.unwrap());
        fixture
            .run(&format!("UPDATE TABLE_ SET lease_until = {lease}"))
            .await;
        let second = granted(fixture.store.claim(&slot, owner(2), LEASE).await.unwrap());
        assert!(second.fence() > first.fence(), "{lease}");
        assert_eq!(second.attempt(), 2, "{lease}");
    }
}

/// What this library never writes, in every column.
const GARBAGE: &[&str] = &[
    "state = 3",
    "state = -1",
    "state = NULL",
    "owner = ''",
    "owner = decode(repeat('01', 15), 'hex')",
    "owner = decode(repeat('01', 17), 'hex')",
    "owner = NULL",
    "fence = 0",
    "fence = -1",
    "fence = NULL",
    "attempt = 0",
    "attempt = -1",
    "attempt = NULL",
    "lease_until = NULL",
    "expires_at = NULL",
    "state = 2, record = NULL",
    "state = 2, record = decode(repeat('01', 65), 'hex')",
    "state = 1, record = 'x'",
    "state = 0, record = 'x'",
];

#[tokio::test]
async fn garbage_in_any_column_is_an_error_and_never_a_free_slot() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    for column in [
        "state",
        "owner",
        "fence",
        "attempt",
        "lease_until",
        "expires_at",
    ] {
        let drop = format!("ALTER TABLE TABLE_ ALTER {column} DROP NOT NULL");
        fixture.run(&drop).await;
    }
    for garbage in GARBAGE {
        // A lease or a retention that has ended must not make it free either.
        for ended in [None, Some("lease_until"), Some("expires_at")] {
            let also = match ended {
                Some(column) if garbage.contains(column) => continue,
                Some(column) => format!(", {column} = '2000-01-01'"),
                None => String::new(),
            };
            fixture.run("DELETE FROM TABLE_").await;
            let slot = slot();
            let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
            fixture
                .run(&format!("UPDATE TABLE_ SET {garbage}{also}"))
                .await;
            let before = fixture.text("SELECT t::text FROM TABLE_ t").await;
            let is_refused = |done: Result<(), PostgresStoreError>, what: &str| {
                let refused = matches!(done, Err(PostgresStoreError::Unreadable));
                assert!(refused, "{what} of {garbage}: {done:?}");
            };
            is_refused(store.peek(&slot).await.map(drop), "peek");
            is_refused(store.claim(&slot, owner(1), LEASE).await.map(drop), "claim");
            is_refused(store.claim(&slot, owner(2), LEASE).await.map(drop), "claim");
            is_refused(store.renew(&slot, &held, LEASE).await.map(drop), "renew");
            let commit = store.commit(&slot, &held, &record(), MONTH).await;
            is_refused(commit.map(drop), "commit");
            is_refused(store.release(&slot, &held).await.map(drop), "release");
            assert_eq!(store.sweep(100).await.unwrap(), 0, "{garbage}");
            assert_eq!(fixture.text("SELECT t::text FROM TABLE_ t").await, before);
        }
    }
}

#[tokio::test]
async fn a_fence_at_its_end_is_an_error() {
    let fixture = Fixture::new().await;
    let slot = slot();
    granted(
        fixture
            .store
            .claim(&slot, owner(1), Duration::ZERO)
            .await
            .unwrap(),
    );
    fixture
        .run("UPDATE TABLE_ SET fence = 9223372036854775807")
        .await;
    let claim = fixture.store.claim(&slot, owner(2), LEASE).await;
    assert!(
        matches!(claim, Err(PostgresStoreError::Database(_))),
        "{claim:?}"
    );
}

#[tokio::test]
async fn an_attempt_stays_at_its_end() {
    let fixture = Fixture::new().await;
    let slot = slot();
    granted(
        fixture
            .store
            .claim(&slot, owner(1), Duration::ZERO)
            .await
            .unwrap(),
    );
    fixture.run("UPDATE TABLE_ SET attempt = 2147483647").await;
    let held = granted(fixture.store.claim(&slot, owner(2), LEASE).await.unwrap());
    assert_eq!(held.attempt(), 2_147_483_647);
}

#[tokio::test]
async fn a_table_with_other_types_is_an_error() {
    for change in [
        "ALTER state TYPE text",
        "ALTER owner TYPE text USING 'x'",
        "ALTER fence TYPE numeric",
        "ALTER attempt TYPE text",
        "ALTER lease_until TYPE text",
        "ALTER record TYPE text USING 'x'",
        "DROP COLUMN attempt",
    ] {
        let fixture = Fixture::new().await;
        let slot = slot();
        let held = granted(fixture.store.claim(&slot, owner(1), LEASE).await.unwrap());
        fixture.run(&format!("ALTER TABLE TABLE_ {change}")).await;
        let store = &fixture.store;
        assert!(store.peek(&slot).await.is_err(), "{change}");
        assert!(
            store.claim(&slot, owner(2), LEASE).await.is_err(),
            "{change}"
        );
        let commit = store.commit(&slot, &held, &record(), MONTH).await;
        assert!(commit.is_err(), "{change}");
    }
}

#[tokio::test]
async fn migrations_of_replicas_that_start_together_agree() {
    for isolation in ["read committed", "repeatable read", "serializable"] {
        let options = options().options([("default_transaction_isolation", isolation)]);
        let (pool, table) = (pool_with(options).await, unique("slots"));
        let mut replicas = JoinSet::new();
        for _ in 0..16 {
            let store = PostgresStore::new(pool.clone()).table(&table).unwrap();
            replicas.spawn(async move { store.migrate().await });
        }
        for migrated in replicas.join_all().await {
            migrated.unwrap();
        }
        let store = PostgresStore::new(pool).table(&table).unwrap();
        store.check().await.unwrap();
    }
}

#[tokio::test]
async fn a_table_can_be_in_a_schema() {
    let (pool, schema) = (pool().await, unique("callbacks"));
    let create = AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
    raw_sql(create).execute(&pool).await.unwrap();
    let store = PostgresStore::new(pool)
        .table(&format!("{schema}.slots"))
        .unwrap();
    store.migrate().await.unwrap();
    store.check().await.unwrap();
    granted(store.claim(&slot(), owner(1), LEASE).await.unwrap());
}

#[tokio::test]
async fn a_table_that_is_missing_or_of_another_version_is_refused_with_a_clear_text() {
    let fixture = Fixture::new().await;
    fixture
        .run("COMMENT ON TABLE TABLE_ IS 'suno-callback slots, version 2'")
        .await;
    for checked in [fixture.store.check().await, fixture.store.migrate().await] {
        let text = checked.unwrap_err().to_string();
        assert!(
            text.contains("version 1") && text.contains("version 2"),
            "{text}"
        );
    }
    fixture.run("COMMENT ON TABLE TABLE_ IS NULL").await;
    let text = fixture.store.migrate().await.unwrap_err().to_string();
    assert!(text.contains("somebody else's"), "{text}");
    fixture.run("DROP TABLE TABLE_").await;
    let missing = fixture.store.check().await.unwrap_err();
    assert!(missing.to_string().contains("migrate"), "{missing}");
}

/// A pool of a role of its own, which may log in and use the schema.
async fn role(fixture: &Fixture, settings: &str) -> (PgPool, String) {
    let role = unique("role");
    fixture.run(&format!("CREATE ROLE {role} LOGIN")).await;
    if !settings.is_empty() {
        fixture.run(&format!("ALTER ROLE {role} {settings}")).await;
    }
    (pool_with(options().username(&role)).await, role)
}

#[tokio::test]
async fn a_check_names_the_rights_that_the_role_lacks() {
    let fixture = Fixture::new().await;
    let (pool, role) = role(&fixture, "").await;
    let store = PostgresStore::new(pool).table(&fixture.table).unwrap();
    for (grant, missing) in [
        ("", Some("SELECT, INSERT, UPDATE, DELETE")),
        ("SELECT, INSERT", Some("UPDATE, DELETE")),
        ("UPDATE", Some("DELETE")),
        ("DELETE", None),
    ] {
        if !grant.is_empty() {
            fixture
                .run(&format!("GRANT {grant} ON TABLE_ TO {role}"))
                .await;
        }
        let checked = AnyStore::new(store.clone()).check().await;
        match missing {
            Some(missing) => {
                let text = checked.unwrap_err().to_string();
                assert!(text.contains(&format!("lacks {missing} on")), "{text}");
                assert!(text.contains(&role), "{text}");
            }
            None => checked.unwrap(),
        }
    }
    fixture
        .run(&format!("REVOKE UPDATE ON TABLE_ FROM {role}"))
        .await;
    let claim = store.claim(&slot(), owner(1), LEASE).await.unwrap_err();
    assert!(claim.to_string().contains("lacks a right"), "{claim}");
}

#[tokio::test]
async fn a_check_names_the_schema_that_the_role_may_not_use() {
    let fixture = Fixture::new().await;
    let (pool, role) = role(&fixture, "").await;
    let schema = unique("schema");
    let name = format!("{schema}.slots");
    fixture.run(&format!("CREATE SCHEMA {schema}")).await;
    let ours = PostgresStore::new(fixture.pool.clone()).table(&name);
    ours.unwrap().migrate().await.unwrap();
    fixture.run(&format!("GRANT ALL ON {name} TO {role}")).await;
    let theirs = PostgresStore::new(pool).table(&name).unwrap();
    let refused = theirs.check().await.unwrap_err();
    assert!(refused.to_string().contains("lacks a right"), "{refused}");
    let source = refused.source().unwrap().to_string();
    assert!(source.contains(&schema), "{source}");
    fixture
        .run(&format!("GRANT USAGE ON SCHEMA {schema} TO {role}"))
        .await;
    theirs.check().await.unwrap();
}

#[tokio::test]
async fn a_check_names_a_read_only_default() {
    let fixture = Fixture::new().await;
    let (pool, role) = role(&fixture, "SET default_transaction_read_only = on").await;
    fixture.run(&format!("GRANT ALL ON TABLE_ TO {role}")).await;
    let store = PostgresStore::new(pool).table(&fixture.table).unwrap();
    let refused = store.check().await.unwrap_err().to_string();
    assert!(
        refused.contains("default_transaction_read_only"),
        "{refused}"
    );
    let claim = store.claim(&slot(), owner(1), LEASE).await.unwrap_err();
    assert!(claim.to_string().contains("read-only"), "{claim}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_checks_at_once_neither_fail_nor_fill_the_table() {
    let fixture = Fixture::new().await;
    for _ in 0..10 {
        let mut probes = JoinSet::new();
        for _ in 0..12 {
            let store = fixture.store.clone();
            probes.spawn(async move { store.check().await });
        }
        for checked in probes.join_all().await {
            checked.unwrap();
        }
    }
    assert_eq!(fixture.rows().await, 1);
}

#[tokio::test]
async fn the_waits_in_the_sql_follow_the_operation_and_cost_no_connection() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    // The server itself would wait for ever.
    let bound = Duration::from_secs(20);
    for operation in [300, 1000, 2000].map(Duration::from_millis) {
        store.set_operation_timeout(operation);
        let slot = slot();
        let held = granted(store.claim(&slot, owner(1), Duration::ZERO).await.unwrap());
        let mut tx = fixture.pool.begin().await.unwrap();
        let lock = format!("SELECT FROM {} FOR UPDATE", fixture.table);
        raw_sql(AssertSqlSafe(lock))
            .execute(&mut *tx)
            .await
            .unwrap();
        let size = fixture.pool.size();
        let record = record();
        let steps = tokio::join!(
            timeout(bound, store.claim(&slot, owner(2), LEASE)),
            timeout(bound, store.renew(&slot, &held, LEASE)),
            timeout(bound, store.commit(&slot, &held, &record, MONTH)),
            timeout(bound, store.release(&slot, &held)),
        );
        let in_time = "an end of the wait";
        assert!(matches!(
            steps.0.expect(in_time),
            Ok(Claim::InFlight { .. })
        ));
        assert_eq!(steps.1.expect(in_time).unwrap(), Settled::Applied);
        assert!(steps.2.expect(in_time).is_err());
        assert!(steps.3.expect(in_time).is_err());
        assert!(fixture.pool.size() >= size, "no connection was lost for it");
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let nowhere = PgConnectOptions::new().host("127.0.0.1").port(1);
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(2));
    let store = PostgresStore::new(pool.connect_lazy_with(nowhere));
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, PostgresStoreError::Database(_)), "{error}");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn what_has_expired_is_swept_in_bounded_batches() {
    let fixture = Fixture::new().await;
    let kept = slot();
    granted(fixture.store.claim(&kept, owner(1), LEASE).await.unwrap());
    fixture
        .run(
            "INSERT INTO TABLE_ SELECT sha256(n::text::bytea), 2, decode(repeat('01', 16), 'hex'), \
             1, 1, now(), 'x', now() - interval '1 s' FROM generate_series(1, 1500) AS n",
        )
        .await;
    assert_eq!(fixture.store.sweep(100).await.unwrap(), 100);
    // Every 128th claim does it too, and nothing else.
    let mut claims = 1;
    for (sweeps, left) in [(1, 401), (2, 1)] {
        let before = fixture.rows().await;
        while claims < sweeps * 128 - 1 {
            let claim = fixture.store.claim(&kept, owner(1), LEASE).await.unwrap();
            granted(claim);
            claims += 1;
        }
        assert_eq!(fixture.rows().await, before);
        granted(fixture.store.claim(&kept, owner(1), LEASE).await.unwrap());
        claims += 1;
        until("expired rows must be swept", || async {
            fixture.rows().await == left
        })
        .await;
    }
}

/// None of its updates is a cheap one (HOT), because all of them move the row in the index that a
/// sweep goes by.
#[tokio::test]
async fn an_event_leaves_a_dead_row_version_for_each_renewal_and_one_for_its_commit() {
    const EVENTS: i64 = 60;
    // The figures are those of a session, and told late where nothing is done in it.
    let pool = PgPoolOptions::new().max_connections(1);
    let fixture = Fixture::on(pool.connect_with(options()).await.unwrap()).await;
    fixture
        .run("ALTER TABLE TABLE_ SET (autovacuum_enabled = off)")
        .await;
    let play = async |renewals| {
        let slot = slot();
        let held = granted(fixture.store.claim(&slot, owner(1), LEASE).await.unwrap());
        for _ in 0..renewals {
            let renewed = fixture.store.renew(&slot, &held, LEASE).await;
            assert_eq!(renewed.unwrap(), Settled::Applied);
        }
        let twin = fixture.store.claim(&slot, owner(2), LEASE).await;
        assert!(matches!(twin, Ok(Claim::InFlight { .. })), "{twin:?}");
        let done = fixture.store.commit(&slot, &held, &record(), MONTH).await;
        assert_eq!(done.unwrap(), Settled::Applied);
        let late = fixture.store.claim(&slot, owner(2), LEASE).await;
        assert!(matches!(late, Ok(Claim::Done(_))), "{late:?}");
    };
    for event in 0..EVENTS {
        play(event % 2).await;
    }
    let told = "SELECT concat_ws(' ', n_tup_ins, n_tup_upd, n_tup_hot_upd, n_dead_tup) \
                FROM pg_stat_user_tables WHERE relid = 'TABLE_'::regclass";
    let versions = EVENTS + EVENTS / 2;
    let expected = format!("{EVENTS} {versions} 0 {versions}");
    until("the server must tell of all", || async {
        fixture
            .text(told)
            .await
            .starts_with(&format!("{EVENTS} {versions}"))
    })
    .await;
    assert_eq!(fixture.text(told).await, expected);

    // A vacuum makes room of them, as soon as nobody's transaction is older.
    let size = "SELECT pg_relation_size('TABLE_')::text";
    let before = fixture.text(size).await;
    until("they must be collected", || async {
        fixture.run("VACUUM TABLE_").await;
        fixture.text(told).await == format!("{EVENTS} {versions} 0 0")
    })
    .await;
    for _ in 0..EVENTS / 2 {
        play(0).await;
    }
    assert_eq!(fixture.text(size).await, before);
}

#[tokio::test]
async fn a_sweep_reads_what_has_expired_and_not_the_whole_table() {
    // The figures are those of a session, and told late where nothing is done in it.
    let pool = PgPoolOptions::new().max_connections(1);
    let fixture = Fixture::on(pool.connect_with(options()).await.unwrap()).await;
    fixture
        .run(
            "INSERT INTO TABLE_ SELECT sha256(n::text::bytea), 2, decode(repeat('01', 16), 'hex'), \
             1, 1, now(), 'x', now() + (n - 9.5) * interval '1 hour' \
             FROM generate_series(0, 20000) AS n; ANALYZE TABLE_",
        )
        .await;
    assert_eq!(fixture.store.sweep(1000).await.unwrap(), 10);
    let told = async |figure| {
        let sql = format!(
            "SELECT ({figure})::text FROM pg_stat_user_tables WHERE relid = 'TABLE_'::regclass"
        );
        fixture.text(&sql).await
    };
    until("the server must tell of it", || async {
        told("n_tup_del").await == "10"
    })
    .await;
    // Each is found by one index and taken by another.
    let read = told("seq_tup_read + idx_tup_fetch").await;
    assert!(read.parse::<u32>().unwrap() <= 40, "{read}");
}

#[tokio::test]
async fn a_row_takes_what_the_documentation_says() {
    let fixture = Fixture::new().await;
    let rows = 20_000;
    fixture
        .run(&format!(
            "INSERT INTO TABLE_ SELECT sha256(n::text::bytea), 2, decode(repeat('01', 16), 'hex'), \
             1, 1, now(), decode(repeat('07', 42), 'hex'), now() + n * interval '1 s' \
             FROM generate_series(1, {rows}) AS n",
        ))
        .await;
    let bytes = fixture.text("SELECT pg_total_relation_size('TABLE_')::text");
    let bytes = bytes.await.parse::<usize>().unwrap() / rows;
    let page = include_str!("../../src/store/postgres/mod.rs");
    harness::assert_some(bytes, page, "A row takes some ");
}

#[tokio::test]
async fn a_row_that_was_deleted_by_hand_is_a_slot_that_nobody_knows() {
    let (fixture, slot) = (Fixture::new().await, slot());
    for _ in 0..2 {
        let held = granted(fixture.store.claim(&slot, owner(1), LEASE).await.unwrap());
        assert_eq!((held.fence(), held.attempt()), (1, 1));
        let commit = fixture.store.commit(&slot, &held, &record(), MONTH).await;
        assert_eq!(commit.unwrap(), Settled::Applied);
        assert_eq!(fixture.run("DELETE FROM TABLE_").await, 1);
    }
}

#[tokio::test]
async fn an_open_slot_is_kept_for_an_hour_and_a_done_one_for_its_retention() {
    let fixture = Fixture::new().await;
    let slot = slot();
    let left = "SELECT round(extract(epoch FROM expires_at - clock_timestamp()))::text FROM TABLE_";
    let is_about = |left: String, span: Duration| {
        let left: u64 = left.parse().unwrap();
        assert!(span.as_secs() - left <= 5, "{left}");
    };
    let held = granted(fixture.store.claim(&slot, owner(1), LEASE).await.unwrap());
    is_about(fixture.text(left).await, KEEP_FENCE);
    for step in ["renew", "release"] {
        fixture
            .run("UPDATE TABLE_ SET expires_at = now() + interval '1 minute'")
            .await;
        let settled = match step {
            "renew" => fixture.store.renew(&slot, &held, LEASE).await,
            _ => fixture.store.release(&slot, &held).await,
        };
        assert_eq!(settled.unwrap(), Settled::Applied);
        is_about(fixture.text(left).await, KEEP_FENCE);
    }
    let held = granted(fixture.store.claim(&slot, owner(1), LEASE).await.unwrap());
    let commit = fixture.store.commit(&slot, &held, &record(), MONTH).await;
    assert_eq!(commit.unwrap(), Settled::Applied);
    is_about(fixture.text(left).await, MONTH);
}

#[tokio::test]
async fn an_effect_and_its_record_are_one_transaction() {
    let fixture = Fixture::new().await;
    let effects = fixture.effects().await;
    let handler = {
        let effects = effects.clone();
        service_fn(move |request| {
            let (effects, delivery) = (effects.clone(), delivery(&request));
            async move { Ok::<_, BoxError>(answer(status_of(effects.commit(&delivery).await))) }
        })
    };
    for store in [
        AnyStore::new(fixture.store.clone()),
        AnyStore::new(AnyStore::new(fixture.store.clone())),
    ] {
        let service = SunoCallbackLayer::new(key(), store).layer(handler.clone());
        for _ in 0..2 {
            let request = Callback::success("task", "voice").request();
            let response = service.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
    assert_eq!(effects.count().await, 1);
    assert_eq!(fixture.text("SELECT state::text FROM TABLE_").await, "2");
}

#[tokio::test]
async fn a_handler_that_fails_after_the_record_leaves_neither_effect_nor_record() {
    let fixture = Fixture::new().await;
    let effects = fixture.effects().await;
    let tries = Arc::new(AtomicU32::new(0));
    let handler = {
        let effects = effects.clone();
        service_fn(move |request| {
            let (effects, delivery, tries) =
                (effects.clone(), delivery(&request), Arc::clone(&tries));
            async move {
                if tries.fetch_add(1, SeqCst) > 0 {
                    return Ok::<_, BoxError>(answer(status_of(effects.commit(&delivery).await)));
                }
                let mut tx = effects.pool.begin().await?;
                raw_sql(effects.insert()).execute(&mut *tx).await?;
                delivery.commit_in(&mut tx).await?;
                Ok(answer(StatusCode::BAD_GATEWAY))
            }
        })
    };
    let service = SunoCallbackLayer::new(key(), fixture.store.clone()).layer(handler);
    let callback = Callback::success("task", "voice");
    let response = service.clone().oneshot(callback.request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(effects.count().await, 0);
    let response = service.oneshot(callback.request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(effects.count().await, 1);
}

/// Runs one handler for one event and gives back what it said.
async fn handled<F>(
    store: impl DedupStore,
    handler: impl Fn(Delivery) -> F + Clone + Send + 'static,
) -> StatusCode
where
    F: Future<Output = ()> + Send + 'static,
{
    let handler = service_fn(move |request| {
        let done = handler(delivery(&request));
        async move {
            done.await;
            Ok::<_, BoxError>(answer(StatusCode::OK))
        }
    });
    let service = SunoCallbackLayer::new(key(), store).layer(handler);
    let request = Callback::success("task", "voice").request();
    service.oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_handler_that_says_ok_without_having_committed_is_recorded_as_done() {
    let fixture = Arc::new(Fixture::new().await);
    let effects = fixture.effects().await;
    let status = handled(fixture.store.clone(), {
        let effects = effects.clone();
        move |delivery| {
            let effects = effects.clone();
            async move {
                let mut tx = effects.pool.begin().await.unwrap();
                raw_sql(effects.insert()).execute(&mut *tx).await.unwrap();
                delivery.commit_in(&mut tx).await.unwrap();
                tx.rollback().await.unwrap();
            }
        }
    });
    assert_eq!(status.await, StatusCode::OK);
    assert_eq!(effects.count().await, 0);
    assert_eq!(fixture.text("SELECT state::text FROM TABLE_").await, "2");
}

#[tokio::test]
async fn a_transaction_whose_claim_was_lost_cannot_be_committed() {
    let fixture = Arc::new(Fixture::new().await);
    let effects = fixture.effects().await;
    let status = handled(fixture.store.clone(), {
        let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
        move |delivery| {
            let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
            async move {
                fixture
                    .run("UPDATE TABLE_ SET owner = decode(repeat('07', 16), 'hex'), fence = fence + 1")
                    .await;
                let mut tx = fixture.pool.begin().await.unwrap();
                raw_sql(effects.insert()).execute(&mut *tx).await.unwrap();
                let lost = delivery.commit_in(&mut tx).await;
                assert!(matches!(lost, Err(CommitError::Lost)), "{lost:?}");
                // A handler that does not care:
                assert!(raw_sql(effects.insert()).execute(&mut *tx).await.is_err());
                let _ = tx.commit().await;
            }
        }
    });
    assert_eq!(status.await, StatusCode::OK);
    assert_eq!(effects.count().await, 0);
    assert_eq!(fixture.text("SELECT state::text FROM TABLE_").await, "1");
}

#[tokio::test]
async fn a_delivery_is_committed_in_one_transaction_only() {
    let fixture = Arc::new(Fixture::new().await);
    let effects = fixture.effects().await;
    let status = handled(fixture.store.clone(), {
        let effects = effects.clone();
        move |delivery| {
            let effects = effects.clone();
            async move {
                effects.commit(&delivery).await.unwrap();
                let again = effects.commit(&delivery).await.unwrap_err();
                let again = again.downcast::<CommitError>().unwrap();
                assert!(matches!(*again, CommitError::Repeated), "{again}");
            }
        }
    });
    assert_eq!(status.await, StatusCode::OK);
    assert_eq!(effects.count().await, 1);
}

#[tokio::test]
async fn in_a_nested_transaction_the_record_goes_the_way_of_the_outermost() {
    for (depth, inner_ends, outer_commits) in [
        (1, true, true),
        (1, false, true),
        (1, true, false),
        (3, true, true),
        (3, false, true),
        (3, false, false),
    ] {
        let fixture = Arc::new(Fixture::new().await);
        let effects = fixture.effects().await;
        let _ = handled(fixture.store.clone(), {
            let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
            move |delivery| {
                let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
                async move {
                    let mut outer = fixture.pool.begin().await.unwrap();
                    raw_sql(effects.insert())
                        .execute(&mut *outer)
                        .await
                        .unwrap();
                    nest(&mut outer, depth, inner_ends, &delivery).await;
                    match outer_commits {
                        true => outer.commit().await.unwrap(),
                        false => outer.rollback().await.unwrap(),
                    }
                    let state = fixture.text("SELECT state::text FROM TABLE_").await;
                    let expected = if outer_commits { "2" } else { "1" };
                    assert_eq!(state, expected, "{depth} {inner_ends}");
                }
            }
        })
        .await;
        let expected = i64::from(outer_commits);
        assert_eq!(effects.count().await, expected, "{depth} {inner_ends}");
    }
}

/// Commits the record in so many transactions within `outer`, which are then committed or dropped.
async fn nest(outer: &mut sqlx::PgConnection, depth: u32, commits: bool, delivery: &Delivery) {
    let mut inner = outer.begin().await.unwrap();
    match depth {
        1 => delivery.commit_in(&mut inner).await.unwrap(),
        _ => Box::pin(nest(&mut inner, depth - 1, commits, delivery)).await,
    }
    match commits {
        true => inner.commit().await.unwrap(),
        false => drop(inner),
    }
}

#[tokio::test]
async fn a_nested_transaction_that_cannot_commit_the_record_takes_the_outer_one_with_it() {
    for steal in [
        "UPDATE TABLE_ SET owner = decode(repeat('07', 16), 'hex'), fence = fence + 1",
        "ALTER TABLE TABLE_ ALTER fence TYPE text",
    ] {
        let fixture = Arc::new(Fixture::new().await);
        let effects = fixture.effects().await;
        let _ = handled(fixture.store.clone(), {
            let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
            move |delivery| {
                let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
                async move {
                    fixture.run(steal).await;
                    let mut outer = fixture.pool.begin().await.unwrap();
                    raw_sql(effects.insert())
                        .execute(&mut *outer)
                        .await
                        .unwrap();
                    let mut inner = outer.begin().await.unwrap();
                    assert!(delivery.commit_in(&mut inner).await.is_err());
                    drop(inner);
                    // A handler that does not care:
                    assert!(
                        raw_sql(effects.insert())
                            .execute(&mut *outer)
                            .await
                            .is_err()
                    );
                    assert!(outer.commit().await.is_err(), "{steal}");
                }
            }
        })
        .await;
        assert_eq!(effects.count().await, 0, "{steal}");
    }
}

#[tokio::test]
async fn a_savepoint_that_the_handler_made_by_hand_is_refused_too() {
    let fixture = Arc::new(Fixture::new().await);
    let effects = fixture.effects().await;
    let _ = handled(fixture.store.clone(), {
        let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
        move |delivery| {
            let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
            async move {
                let mut tx = fixture.pool.begin().await.unwrap();
                raw_sql(effects.insert()).execute(&mut *tx).await.unwrap();
                raw_sql("SAVEPOINT mine").execute(&mut *tx).await.unwrap();
                let refused = delivery.commit_in(&mut tx).await.unwrap_err();
                assert!(matches!(refused, CommitError::Savepoint), "{refused}");
                assert!(raw_sql("ROLLBACK TO mine").execute(&mut *tx).await.is_err());
                assert!(tx.commit().await.is_err());
            }
        }
    })
    .await;
    assert_eq!(effects.count().await, 0);
}

#[tokio::test]
async fn a_handler_may_use_savepoints_before_it_commits_the_record() {
    let fixture = Arc::new(Fixture::new().await);
    let effects = fixture.effects().await;
    let status = handled(fixture.store.clone(), {
        let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
        move |delivery| {
            let (fixture, effects) = (Arc::clone(&fixture), effects.clone());
            async move {
                let mut tx = fixture.pool.begin().await.unwrap();
                for commit in [true, false] {
                    let mut inner = tx.begin().await.unwrap();
                    raw_sql(effects.insert())
                        .execute(&mut *inner)
                        .await
                        .unwrap();
                    match commit {
                        true => inner.commit().await.unwrap(),
                        false => inner.rollback().await.unwrap(),
                    }
                }
                delivery.commit_in(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
            }
        }
    });
    assert_eq!(status.await, StatusCode::OK);
    assert_eq!(effects.count().await, 1);
}

#[tokio::test]
async fn a_transaction_on_another_database_is_refused_by_that_name() {
    let fixture = Arc::new(Fixture::new().await);
    let name = unique("other");
    fixture.run(&format!("CREATE DATABASE {name}")).await;
    let other = pool_with(options().database(&name)).await;
    // Without the table, and with it.
    for with_table in [false, true] {
        if with_table {
            let store = PostgresStore::new(other.clone()).table(&fixture.table);
            store.unwrap().migrate().await.unwrap();
        }
        fixture.run("DELETE FROM TABLE_").await;
        let other = other.clone();
        let _ = handled(fixture.store.clone(), move |delivery| {
            let other = other.clone();
            async move {
                let mut tx = other.begin().await.unwrap();
                let refused = delivery.commit_in(&mut tx).await.unwrap_err();
                assert!(matches!(refused, CommitError::OtherDatabase), "{refused}");
                assert!(refused.to_string().contains("database"), "{refused}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_transaction_that_commits_a_record_is_bounded() {
    let fixture = Arc::new(Fixture::new().await);
    let bounds = Arc::new(std::sync::Mutex::new(Vec::new()));
    let status = handled(fixture.store.clone(), {
        let (fixture, bounds) = (Arc::clone(&fixture), Arc::clone(&bounds));
        move |delivery| {
            let (fixture, bounds) = (Arc::clone(&fixture), Arc::clone(&bounds));
            async move {
                let mut tx = fixture.pool.begin().await.unwrap();
                let own = raw_sql("SET LOCAL lock_timeout = '2s'");
                own.execute(&mut *tx).await.unwrap();
                delivery.commit_in(&mut tx).await.unwrap();
                for bound in ["lock_timeout", "idle_in_transaction_session_timeout"] {
                    let show = AssertSqlSafe(format!("SHOW {bound}"));
                    let row = raw_sql(show).fetch_one(&mut *tx).await.unwrap();
                    bounds.lock().unwrap().push(row.get::<String, _>(0));
                }
                tx.commit().await.unwrap();
            }
        }
    });
    assert_eq!(status.await, StatusCode::OK);
    assert_eq!(*bounds.lock().unwrap(), ["2s", "5s"]);
    let after = fixture.text("SELECT current_setting('idle_in_transaction_session_timeout')");
    assert_eq!(after.await, "0");
}

#[tokio::test]
async fn at_repeatable_read_the_record_comes_first() {
    let fixture = Arc::new(Fixture::new().await);
    let status = handled(fixture.store.clone(), {
        let fixture = Arc::clone(&fixture);
        move |delivery| {
            let fixture = Arc::clone(&fixture);
            async move {
                let (slot, held) = (delivery.slot(), delivery.held());
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
                // Late: a heartbeat has come after the transaction's first look at the database.
                let mut tx = fixture.pool.begin_with(begin).await.unwrap();
                raw_sql("SELECT 1").execute(&mut *tx).await.unwrap();
                let _ = fixture.store.renew(slot, held, LEASE).await.unwrap();
                let late = delivery.commit_in(&mut tx).await;
                assert!(matches!(late, Err(CommitError::Store(_))), "{late:?}");
                tx.rollback().await.unwrap();
                // First: heartbeats before do not matter, and those after are skipped.
                let mut tx = fixture.pool.begin_with(begin).await.unwrap();
                let _ = fixture.store.renew(slot, held, LEASE).await.unwrap();
                delivery.commit_in(&mut tx).await.unwrap();
                let beat = fixture.store.renew(slot, held, LEASE).await;
                assert_eq!(beat.unwrap(), Settled::Applied);
                tx.commit().await.unwrap();
            }
        }
    });
    assert_eq!(status.await, StatusCode::OK);
    assert_eq!(fixture.text("SELECT state::text FROM TABLE_").await, "2");
}

/// Runs a handler whose claim is renewed often, and gives back what became of it and whether it was
/// said that the claim was lost.
async fn watched<F>(
    store: &PostgresStore,
    handler: impl Fn(Delivery) -> F + Clone + Send + 'static,
) -> (Option<Disposition>, bool)
where
    F: Future<Output = ()> + Send + 'static,
{
    let handler = service_fn(move |request| {
        let done = handler(delivery(&request));
        async move {
            done.await;
            Ok::<_, BoxError>(answer(StatusCode::OK))
        }
    });
    // A busy server has long to answer.
    let times = Times {
        lease: LEASE,
        heartbeat: Duration::from_millis(300),
        store_operation: Duration::from_secs(2),
        ..Times::default()
    };
    let layer = SunoCallbackLayer::new(key(), store.clone())
        .times(times)
        .unwrap();
    logs::capture();
    let request = Callback::success("task", "voice").request();
    let reply = layer.layer(handler).oneshot(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let disposition = reply.extensions().get().copied();
    (disposition, logs::say("the claim was lost"))
}

#[tokio::test]
async fn a_handler_that_works_on_after_its_own_commit_keeps_its_claim() {
    let fixture = Fixture::new().await;
    let effects = fixture.effects().await;
    let (disposition, is_said) = watched(&fixture.store, {
        let effects = effects.clone();
        move |delivery| {
            let effects = effects.clone();
            async move {
                effects.commit(&delivery).await.unwrap();
                // For longer than a lease that nobody renews, because there is none any more.
                let work = LEASE + Duration::from_millis(500);
                let lost = timeout(work, delivery.claim_lost()).await;
                assert!(lost.is_err() && delivery.holds_claim());
            }
        }
    })
    .await;
    assert_eq!((disposition, is_said), (Some(Disposition::Accepted), false));
    assert_eq!(effects.count().await, 1);
}

/// The record is the one that the handler itself would have written.
#[tokio::test]
async fn a_handler_whose_event_another_replica_has_done_hears_that_its_claim_was_lost() {
    let fixture = Fixture::new().await;
    let (disposition, _) = watched(&fixture.store, {
        let replica = fixture.store.clone();
        move |delivery| {
            let replica = replica.clone();
            async move {
                let (slot, record) = (delivery.slot(), delivery.record());
                let lapsed = replica.release(slot, delivery.held()).await;
                assert_eq!(lapsed.unwrap(), Settled::Applied);
                let heir = granted(replica.claim(slot, owner(7), LEASE).await.unwrap());
                let done = replica.commit(slot, &heir, record, MONTH).await;
                assert_eq!(done.unwrap(), Settled::Applied);
                delivery.claim_lost().await;
                assert!(!delivery.holds_claim());
                // By a renewal, and not by the end of the lease, which nobody would have reported.
                assert!(logs::say("the claim was lost"));
            }
        }
    })
    .await;
    assert_eq!(disposition, Some(Disposition::ClaimLost));
}

#[tokio::test]
async fn only_a_layer_on_postgres_knows_where_the_record_goes() {
    let fixture = Arc::new(Fixture::new().await);
    let status = handled(MemoryStore::default(), {
        let fixture = Arc::clone(&fixture);
        move |delivery| {
            let fixture = Arc::clone(&fixture);
            async move {
                let mut tx = fixture.pool.begin().await.unwrap();
                let refused = delivery.commit_in(&mut tx).await;
                assert!(matches!(refused, Err(CommitError::NoLedger)), "{refused:?}");
            }
        }
    });
    assert_eq!(status.await, StatusCode::OK);
}

/// A process that is paused: its heartbeats go nowhere.
struct Paused;

impl Intercept for Paused {
    async fn intercept<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> Result<T, BoxError> {
        match operation {
            Operation::Renew => std::future::pending().await,
            _ => work.await,
        }
    }
}

#[tokio::test]
async fn a_store_around_one_on_postgres_leads_to_its_records() {
    let fixture = Arc::new(Fixture::new().await);
    let around = AnyStore::new(counting(AnyStore::new(fixture.store.clone())));
    let status = handled(around, {
        let fixture = Arc::clone(&fixture);
        move |delivery| {
            let fixture = Arc::clone(&fixture);
            async move {
                let mut tx = fixture.pool.begin().await.unwrap();
                delivery.commit_in(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
                let state = fixture.text("SELECT state::text FROM TABLE_").await;
                assert_eq!(state, "2");
            }
        }
    });
    assert_eq!(status.await, StatusCode::OK);
}

#[tokio::test]
async fn a_wrapped_store_commits_in_a_transaction_by_its_own_name() {
    let fixture = Arc::new(Fixture::new().await);
    let wrapped = counting(fixture.store.clone());
    let status = handled(wrapped, {
        let fixture = Arc::clone(&fixture);
        move |delivery| {
            let fixture = Arc::clone(&fixture);
            async move {
                let mut tx = fixture.pool.begin().await.unwrap();
                fixture.store.commit_in(&mut tx, &delivery).await.unwrap();
                tx.commit().await.unwrap();
                let state = fixture.text("SELECT state::text FROM TABLE_").await;
                assert_eq!(state, "2");
            }
        }
    });
    assert_eq!(status.await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_paused_in_its_transaction_blocks_no_retry() {
    let fixture = Fixture::new().await;
    let effects = fixture.effects().await;
    let (paused, mut is_paused) = mpsc::channel(1);
    let (resumed, resume) = mpsc::channel(1);
    let resume = Arc::new(tokio::sync::Mutex::new(resume));
    let (ended, mut has_ended) = mpsc::channel(1);
    let times = Times {
        lease: Duration::from_millis(1500),
        heartbeat: Duration::from_millis(250),
        store_operation: Duration::from_millis(500),
        ..Times::default()
    };

    // Its process is as good as stopped: no heartbeat gets through, and the transaction is idle.
    let zombie = {
        let (store, effects) = (fixture.store.clone(), effects.clone());
        service_fn(move |request| {
            let (store, effects) = (store.clone(), effects.clone());
            let delivery = delivery(&request);
            let (paused, ended, resume) = (paused.clone(), ended.clone(), Arc::clone(&resume));
            async move {
                let mut tx = effects.pool.begin().await.unwrap();
                raw_sql(effects.insert()).execute(&mut *tx).await.unwrap();
                store.commit_in(&mut tx, &delivery).await.unwrap();
                paused.send(()).await.unwrap();
                resume.lock().await.recv().await.unwrap();
                ended.send(tx.commit().await.is_err()).await.unwrap();
                Ok::<_, BoxError>(answer(StatusCode::OK))
            }
        })
    };
    let store = Intercepted::new(fixture.store.clone(), Paused);
    let layer = SunoCallbackLayer::new(key(), store);
    let zombie = layer.times(times.clone()).unwrap().layer(zombie);
    let callback = Callback::success("task", "voice");
    let first = tokio::spawn(zombie.oneshot(callback.request()));
    is_paused.recv().await.unwrap();

    let successor = {
        let effects = effects.clone();
        service_fn(move |request| {
            let (effects, delivery) = (effects.clone(), delivery(&request));
            async move {
                assert_eq!(delivery.attempt(), 2);
                Ok::<_, BoxError>(answer(status_of(effects.commit(&delivery).await)))
            }
        })
    };
    let replica = PostgresStore::new(pool().await)
        .table(&fixture.table)
        .unwrap();
    let layer = SunoCallbackLayer::new(key(), replica).times(times).unwrap();
    let began = Instant::now();
    let response = layer
        .layer(successor)
        .oneshot(callback.request())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let waited = began.elapsed();
    assert!(
        waited > Duration::from_secs(3),
        "the lock must have been waited for: {waited:?}"
    );

    resumed.send(()).await.unwrap();
    assert!(
        has_ended.recv().await.unwrap(),
        "the zombie's commit must fail"
    );
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(effects.count().await, 1);
}

/// A store behind a proxy that loses answers, and the same one without.
async fn behind_a_proxy() -> (Fixture, Proxy) {
    let options = options();
    let server: SocketAddr = format!("127.0.0.1:{}", options.get_port()).parse().unwrap();
    let proxy = Proxy::to(server).await;
    let pool = pool_with(options.port(proxy.addr().port())).await;
    (Fixture::on(pool).await, proxy)
}

const CLAIM: &str = "INSERT INTO";
const RENEW: &str = "SET lease_until";
const COMMIT: &str = "SET state = 2";
const RELEASE: &str = "SET state = 0";

#[tokio::test]
async fn a_step_whose_answer_was_lost_has_happened_and_is_repeated_by_the_store() {
    let (fixture, proxy) = behind_a_proxy().await;
    let (store, slot) = (&fixture.store, slot());
    proxy.lose_answer(CLAIM, 0);
    let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    assert_eq!((held.fence(), held.attempt()), (1, 1));
    let other = store.claim(&slot, owner(2), LEASE).await.unwrap();
    assert!(matches!(other, Claim::InFlight { .. }), "{other:?}");
    proxy.lose_answer(COMMIT, 0);
    let commit = store.commit(&slot, &held, &record(), MONTH).await;
    assert_eq!(commit.unwrap(), Settled::Applied);
    assert_eq!(store.peek(&slot).await.unwrap(), Some(record()));
    assert_eq!(proxy.lost(), 2);
}

#[tokio::test]
async fn lost_answers_cost_the_layer_nothing() {
    for (step, succeeds) in [
        (CLAIM, true),
        (COMMIT, true),
        (RENEW, true),
        (RELEASE, false),
    ] {
        let (fixture, proxy) = behind_a_proxy().await;
        let seen = Seen::default();
        let tries = Arc::new(AtomicU32::new(0));
        let handler = {
            let seen = seen.clone();
            service_fn(move |request| {
                seen.push(&request);
                let first = tries.fetch_add(1, SeqCst) == 0;
                async move {
                    if step == RENEW {
                        tokio::time::sleep(Duration::from_millis(900)).await;
                    }
                    let fails = first && !succeeds;
                    let status = if fails {
                        StatusCode::BAD_GATEWAY
                    } else {
                        StatusCode::OK
                    };
                    Ok::<_, BoxError>(answer(status))
                }
            })
        };
        let times = Times {
            heartbeat: Duration::from_millis(300),
            ..Times::default()
        };
        let layer = SunoCallbackLayer::new(key(), fixture.store.clone());
        let service = layer.times(times).unwrap().layer(handler);
        let callback = Callback::success("task", "voice");
        proxy.lose_answer(step, 0);
        let response = service.clone().oneshot(callback.request()).await.unwrap();
        assert_eq!(response.status().is_success(), succeeds, "{step}");
        assert_eq!(proxy.lost(), 1, "{step}");
        let response = service.oneshot(callback.request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{step}");
        assert_eq!(seen.len(), if succeeds { 1 } else { 2 }, "{step}");
        let attempts: Vec<u32> = seen.all().iter().map(|(_, it)| it.attempt()).collect();
        assert_eq!(attempts, &[1, 2][..seen.len()], "{step}");
        assert_eq!(
            fixture.text("SELECT state::text FROM TABLE_").await,
            "2",
            "{step}"
        );
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_handler_s_own_commit_leaves_one_effect() {
    let (fixture, proxy) = behind_a_proxy().await;
    let effects = fixture.effects().await;
    let handler = {
        let effects = effects.clone();
        service_fn(move |request| {
            let (effects, delivery) = (effects.clone(), delivery(&request));
            async move { Ok::<_, BoxError>(answer(status_of(effects.commit(&delivery).await))) }
        })
    };
    let service = SunoCallbackLayer::new(key(), fixture.store.clone()).layer(handler);
    let callback = Callback::success("task", "voice");
    proxy.lose_answer("COMMIT\0", 0);
    let response = service.clone().oneshot(callback.request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let response = service.oneshot(callback.request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(proxy.lost(), 1);
    assert_eq!(effects.count().await, 1);
}

#[tokio::test]
async fn a_duplicate_beside_a_running_handler_of_another_replica_waits_for_it() {
    harness::assert_replicas_share(&Fixture::new().await.store).await;
}
