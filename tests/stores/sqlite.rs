//! The SQLite store on real files.

use std::{
    collections::HashSet,
    convert::Infallible,
    error::Error,
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use sqlx::{
    AssertSqlSafe, Sqlite, SqlitePool, Transaction,
    sqlite::{SqlitePoolOptions, SqliteSynchronous},
};
use suno_callback::{
    AnyStore, ResponseBody, SigningKey, SunoCallbackLayer, SystemClock, Times,
    store::{
        Claim, DedupStore, Held, Owner, Record, Settled, SlotKey, SqliteStore, SqliteStoreError,
    },
    testkit::{self, Callback, LawBroken},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};

const LEASE: Duration = Duration::from_secs(30);

/// A folder that goes away with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let name = format!(
            "suno-callback-{}-{}-{}",
            std::process::id(),
            since_1970.as_nanos(),
            COUNTER.fetch_add(1, Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("callbacks.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn pool(file: &Path) -> SqlitePool {
    // Parallel tests share two cores and one disk: more patience than a receiver should have.
    let options = SqliteStore::connect_options(file).busy_timeout(Duration::from_secs(20));
    let options = SqlitePoolOptions::new()
        .max_connections(8)
        .connect_with(options);
    options.await.unwrap()
}

async fn open(file: &Path) -> SqliteStore {
    let store = SqliteStore::new(pool(file).await);
    store.migrate().await.unwrap();
    store
}

fn slot(number: u8) -> SlotKey {
    SlotKey::from([number; 32])
}

fn owner(number: u32) -> Owner {
    Owner::from(u128::from(number).to_be_bytes())
}

async fn hold(store: &SqliteStore, slot: &SlotKey, who: u32) -> Held {
    match store.claim(slot, owner(who), LEASE).await.unwrap() {
        Claim::Granted(held) => held,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_store_keeps_every_law() -> Result<(), LawBroken> {
    let folder = Folder::new();
    testkit::all(&Arc::new(open(&folder.file()).await)).await
}

async fn is_done(service: &Receiver, task: &str) -> StatusCode {
    let callback = harness::Callback::success(task, "voice").request();
    service.clone().oneshot(callback).await.unwrap().status()
}

type Receiver =
    BoxCloneSyncService<Request<Full<Bytes>>, Response<ResponseBody<Full<Bytes>>>, BoxError>;

fn quick_receiver(store: SqliteStore) -> Receiver {
    let handler = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, BoxError>(harness::answer(StatusCode::OK))
    });
    // An operation that fails is tried for as long as there is time; that is another test's subject.
    let times = Times {
        reply_deadline: Duration::from_secs(6),
        lease: Duration::from_secs(1),
        heartbeat: Duration::from_millis(100),
        store_operation: Duration::from_millis(300),
        poll: Duration::from_millis(100),
        body: Duration::from_secs(1),
        confirm: Duration::from_secs(1),
        ..Times::default()
    };
    let layer = SunoCallbackLayer::new(harness::key(), store).times(times);
    BoxCloneSyncService::new(layer.unwrap().layer(handler))
}

#[tokio::test]
async fn a_file_that_was_deleted_or_replaced_is_an_error_and_one_warning() {
    for replace in [false, true] {
        let folder = Folder::new();
        let (file, away) = (folder.file(), folder.0.join("away.db"));
        let store = open(&file).await;
        let service = quick_receiver(store.clone());
        assert_eq!(is_done(&service, "before").await, StatusCode::OK);
        harness::logs::capture();
        std::fs::rename(&file, &away).unwrap();
        if replace {
            std::fs::copy(&away, &file).unwrap();
        }
        assert_eq!(
            is_done(&service, "lost").await,
            StatusCode::SERVICE_UNAVAILABLE
        );
        let refused = store.claim(&slot(1), owner(1), LEASE).await.unwrap_err();
        assert!(
            matches!(refused, SqliteStoreError::Replaced { .. }),
            "{refused}"
        );
        assert!(store.check().await.is_err() && store.migrate().await.is_err());
        assert_eq!(file.exists(), replace, "no file must be made in its place");
        let warned = harness::logs::lines();
        let warned = warned
            .iter()
            .filter(|line| line.contains("nothing is remembered"));
        assert_eq!(warned.count(), 1);

        std::fs::rename(&away, &file).unwrap();
        store.check().await.unwrap();
        assert_eq!(is_done(&service, "lost").await, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_wait_for_the_lock_follows_the_operation_and_not_the_pool() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    let held = hold(&store, &slot(1), 1).await;
    let writer = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    // The pool would wait for 20 s.
    let bound = Duration::from_secs(15);
    for operation in [250, 1000].map(Duration::from_millis) {
        store.set_operation_timeout(operation);
        let claim = timeout(bound, store.claim(&slot(2), owner(1), LEASE)).await;
        assert!(claim.expect("an end of the wait").is_err());
        let renew = timeout(bound, store.renew(&slot(1), &held, LEASE)).await;
        assert!(renew.expect("an end of the wait").is_err());
    }
    writer.rollback().await.unwrap();
    // The application's connections wait as it has set them up.
    let mut all = Vec::new();
    for _ in 0..8 {
        let mut connection = pool.acquire().await.unwrap();
        let wait = sqlx::query_scalar("PRAGMA busy_timeout");
        let wait: i64 = wait.fetch_one(&mut *connection).await.unwrap();
        assert_eq!(wait, 20_000);
        all.push(connection);
    }
}

#[tokio::test]
async fn an_operation_that_nobody_waits_for_takes_its_connection_with_it() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    let writer = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    drop(pool.acquire().await.unwrap());
    let end = Instant::now() + Duration::from_secs(20);
    while pool.num_idle() == 0 {
        assert!(Instant::now() < end, "a connection must be idle");
        sleep(Duration::from_millis(1)).await;
    }
    let before = pool.size();
    let first = slot(1);
    let claim = store.claim(&first, owner(1), LEASE);
    let dropped = timeout(Duration::from_millis(50), claim).await;
    assert!(dropped.is_err(), "the database is locked");
    assert_eq!(pool.size(), before - 1);
    writer.rollback().await.unwrap();
    hold(&store, &slot(2), 1).await;
}

#[tokio::test]
async fn a_check_names_a_missing_table_and_a_missing_folder() {
    let folder = Folder::new();
    let store = SqliteStore::new(pool(&folder.file()).await);
    let text = store.check().await.unwrap_err().to_string();
    assert!(text.contains("migrate"), "{text}");
    store.migrate().await.unwrap();
    store.check().await.unwrap();

    let missing = folder.0.join("missing");
    let options = SqliteStore::connect_options(missing.join("callbacks.db"));
    let store = SqliteStore::new(SqlitePoolOptions::new().connect_lazy_with(options));
    for text in [store.migrate().await, store.check().await] {
        let text = text.unwrap_err().to_string();
        assert!(text.ends_with(&missing.display().to_string()), "{text}");
    }
}

/// Runs a test of this program again, as somebody who is not root, with `SUNO_TEST_FILE` set.
fn again_as_nobody(test: &str, file: &Path) -> String {
    use std::os::unix::{fs::MetadataExt, process::CommandExt};
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]);
    child.env("SUNO_TEST_FILE", file).current_dir("/");
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        child.uid(65534).gid(65534);
    }
    let output = child.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_check_that_nobody_answers_ends_after_three_operations() {
    let folder = Folder::new();
    let options = SqliteStore::connect_options(folder.file());
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options).await.unwrap();
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    store.set_operation_timeout(Duration::from_millis(100));
    let _only = pool.acquire().await.unwrap();
    let refused = timeout(Duration::from_secs(10), store.check()).await;
    let refused = refused.expect("an end").unwrap_err();
    assert!(matches!(refused, SqliteStoreError::NoAnswer), "{refused}");
}

#[tokio::test]
async fn a_file_beside_the_database_that_is_in_the_way_is_named() {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    if let Ok(file) = std::env::var("SUNO_TEST_FILE") {
        let options = SqliteStore::connect_options(&file);
        let store = SqliteStore::new(SqlitePoolOptions::new().connect_lazy_with(options));
        println!("migrate: {}", store.migrate().await.unwrap_err());
        println!("check: {}", store.check().await.unwrap_err());
        return;
    }
    let folder = Folder::new();
    let file = folder.file();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
    mode(&folder.0, 0o777).unwrap();
    let _open = open(&file).await;
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", file.display()));
    for in_the_way in ["", "-wal", "-shm"] {
        for suffix in ["", "-wal", "-shm"] {
            let others = if suffix == in_the_way { 0o000 } else { 0o666 };
            mode(&beside(suffix), others).unwrap();
        }
        let test = "sqlite::a_file_beside_the_database_that_is_in_the_way_is_named";
        let text = again_as_nobody(test, &file);
        for step in ["migrate", "check"] {
            let line = format!(
                "{step}: the SQLite store cannot use {}\n",
                beside(in_the_way).display()
            );
            assert!(text.contains(&line), "{in_the_way}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_type_erased_and_another_table_it_keeps_every_law() -> Result<(), LawBroken> {
    let folder = Folder::new();
    let store = SqliteStore::new(pool(&folder.file()).await)
        .table("voices_2")
        .unwrap();
    store.migrate().await.unwrap();
    testkit::all(&Arc::new(AnyStore::new(store))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_claims_over_two_pools_one_wins_each_slot() {
    let folder = Folder::new();
    let stores = [open(&folder.file()).await, open(&folder.file()).await];
    let mut claims = JoinSet::new();
    for number in 0..200 {
        for who in 0..64 {
            let store = stores[who as usize % 2].clone();
            claims.spawn(async move {
                let claim = store.claim(&slot(number), owner(who), LEASE).await.unwrap();
                (number, claim)
            });
        }
    }
    let mut winners = Vec::new();
    while let Some(claim) = claims.join_next().await {
        match claim.unwrap() {
            (number, Claim::Granted(held)) => {
                assert_eq!((held.fence(), held.attempt()), (1, 1));
                winners.push(number);
            }
            (_, Claim::InFlight { remaining }) => assert!(remaining <= LEASE),
            (number, done) => panic!("slot {number}: {done:?}"),
        }
    }
    let slots: HashSet<u8> = winners.iter().copied().collect();
    assert_eq!((winners.len(), slots.len()), (200, 200));
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let folder = Folder::new();
    let record = Record::try_from(&b"the first"[..]).unwrap();
    let before = open(&folder.file()).await;
    let done = hold(&before, &slot(1), 1).await;
    let day = Duration::from_secs(24 * 3600);
    let settled = before.commit(&slot(1), &done, &record, day).await.unwrap();
    assert_eq!(settled, Settled::Applied);
    let held = hold(&before, &slot(2), 2).await;
    let released = hold(&before, &slot(3), 3).await;
    let settled = before.release(&slot(3), &released).await.unwrap();
    assert_eq!(settled, Settled::Applied);
    drop(before);

    let after = open(&folder.file()).await;
    assert_eq!(after.peek(&slot(1)).await.unwrap(), Some(record));
    let stranger = after.claim(&slot(2), owner(9), LEASE).await.unwrap();
    assert!(matches!(stranger, Claim::InFlight { .. }), "{stranger:?}");
    assert_eq!(hold(&after, &slot(2), 2).await, held);
    let next = hold(&after, &slot(3), 9).await;
    assert_eq!((next.fence(), next.attempt()), (2, 2));
}

/// A table as it is without the constraints, as somebody else's migration tool might make it.
async fn lax(file: &Path) -> (SqlitePool, SqliteStore) {
    let pool = pool(file).await;
    sqlx::raw_sql(
        "CREATE TABLE suno_callback (
            slot PRIMARY KEY, state, owner, fence, attempt, lease_until, expires_at, record
         )",
    )
    .execute(&pool)
    .await
    .unwrap();
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    (pool, store)
}

#[tokio::test]
async fn garbage_in_any_field_is_an_error_and_never_a_free_slot() {
    let folder = Folder::new();
    let (pool, store) = lax(&folder.file()).await;
    let number = [
        "NULL",
        "'x'",
        "x'00'",
        "1.5",
        "-1",
        "9223372036854775807",
        "''",
    ];
    let bytes = [
        "NULL",
        "'sixteen letters!'",
        "7",
        "1.5",
        "zeroblob(15)",
        "zeroblob(65)",
    ];
    let numbers = ["state", "fence", "attempt", "lease_until", "expires_at"];
    let cases = numbers
        .iter()
        .flat_map(|column| number.map(|value| (*column, value)));
    let cases = cases.chain(bytes.iter().map(|value| ("owner", *value)));
    let cases = cases.chain(bytes.iter().map(|value| ("record", *value)));
    // What is odd for a number may be right for this one.
    let cases = cases.filter(|case| *case != ("record", "zeroblob(15)"));
    let far = ["lease_until", "expires_at"].map(|column| (column, "9223372036854775807"));
    for (column, value) in cases
        .filter(|case| !far.contains(case))
        .chain([("state", "3")])
    {
        for state in 0..=2_u8 {
            let at = slot(state);
            let held = hold(&store, &at, 1).await;
            let settled = match state {
                0 => store.release(&at, &held).await.unwrap(),
                1 => Settled::Applied,
                _ => store
                    .commit(&at, &held, &Record::EMPTY, LEASE)
                    .await
                    .unwrap(),
            };
            assert_eq!(settled, Settled::Applied);
            let garble =
                format!("UPDATE suno_callback SET {column} = {value} WHERE state = {state}");
            let garbled = sqlx::query(AssertSqlSafe(garble))
                .execute(&pool)
                .await
                .unwrap();
            assert_eq!(garbled.rows_affected(), 1);

            let case = format!("{column} = {value} in state {state}");
            let is_error = |what: &str, error: Option<SqliteStoreError>| {
                let unreadable = matches!(error, Some(SqliteStoreError::Unreadable));
                assert!(unreadable, "{what} with {case}: {error:?}");
            };
            is_error("peek", store.peek(&at).await.err());
            is_error("claim", store.claim(&at, owner(1), LEASE).await.err());
            is_error(
                "claim by another",
                store.claim(&at, owner(2), LEASE).await.err(),
            );
            is_error("renew", store.renew(&at, &held, LEASE).await.err());
            is_error(
                "commit",
                store.commit(&at, &held, &Record::EMPTY, LEASE).await.err(),
            );
            is_error("release", store.release(&at, &held).await.err());
            assert_eq!(store.sweep(100).await.unwrap(), 0, "{case}");
            sqlx::query("DELETE FROM suno_callback")
                .execute(&pool)
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn the_table_refuses_garbage() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    hold(&store, &slot(1), 1).await;
    for garble in [
        "state = 3",
        "fence = 0",
        "owner = x'00'",
        "record = 'text'",
        "attempt = -1",
    ] {
        let update = format!("UPDATE suno_callback SET {garble}");
        let refused = sqlx::query(AssertSqlSafe(update)).execute(&pool).await;
        assert!(refused.is_err(), "{garble}");
    }
}

#[tokio::test]
async fn a_table_of_another_version_is_refused() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    store.migrate().await.expect("a second time");
    let later = "UPDATE suno_callback_version SET version = 2";
    sqlx::query(later).execute(&pool).await.unwrap();
    let refused = store.migrate().await.expect_err("version 2");
    assert!(matches!(
        refused,
        SqliteStoreError::OtherVersion { found: 2 }
    ));
    let told = "the table of the SQLite store has version 2, this crate knows version 1";
    assert_eq!(refused.to_string(), told);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_refused() {
    let folder = Folder::new();
    open(&folder.file()).await;
    let options = SqliteStore::connect_options(folder.file()).read_only(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let refused = SqliteStore::new(pool)
        .migrate()
        .await
        .expect_err("read-only");
    let told = "the SQLite store cannot write to its database: it is read-only";
    assert_eq!(refused.to_string(), told);
}

#[tokio::test]
async fn a_database_that_would_forget_is_refused() {
    let memory = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let refused = SqliteStore::new(memory)
        .migrate()
        .await
        .expect_err("in memory");
    assert!(refused.to_string().contains("WAL"), "{refused}");

    let folder = Folder::new();
    let careless = SqliteStore::connect_options(folder.file());
    let careless = careless.synchronous(SqliteSynchronous::Normal);
    let pool = SqlitePool::connect_with(careless).await.unwrap();
    let refused = SqliteStore::new(pool)
        .migrate()
        .await
        .expect_err("synchronous");
    assert!(refused.to_string().contains("synchronous"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_can_migrate_at_the_same_time() {
    let folder = Folder::new();
    let mut starts = JoinSet::new();
    for _ in 0..8 {
        let file = folder.file();
        starts.spawn(async move { SqliteStore::new(pool(&file).await).migrate().await });
    }
    while let Some(start) = starts.join_next().await {
        start.unwrap().unwrap();
    }
}

/// A store whose connections find the file locked at once.
fn impatient(folder: &Folder) -> SqliteStore {
    let options = SqliteStore::connect_options(folder.file()).busy_timeout(Duration::ZERO);
    SqliteStore::new(SqlitePool::connect_lazy_with(options))
}

/// `step` ends no sooner than what is written meanwhile.
async fn waits_for(
    writing: Transaction<'_, Sqlite>,
    step: impl Future<Output = Result<(), SqliteStoreError>>,
) {
    let mut step = pin!(step);
    // By then SQLite itself has given up many times.
    let early = timeout(Duration::from_millis(300), &mut step).await;
    assert!(early.is_err(), "{early:?}");
    writing.commit().await.unwrap();
    step.await.unwrap();
}

/// Also one that writes for longer than SQLite itself waits, such as an application that migrates.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_another_that_writes() {
    let folder = Folder::new();
    let other = pool(&folder.file()).await;
    SqliteStore::new(other.clone()).migrate().await.unwrap();
    let writing = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    waits_for(writing, impatient(&folder).migrate()).await;
}

/// As for the moment in which another start switches a new file to WAL mode: nobody can read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_another_that_has_the_file_for_itself() {
    let folder = Folder::new();
    let other = pool(&folder.file()).await;
    let not_empty = "CREATE TABLE applications_own (id INTEGER)";
    sqlx::raw_sql(not_empty).execute(&other).await.unwrap();
    let writing = other.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    waits_for(writing, impatient(&folder).migrate()).await;
}

/// Many start at once on one file, and each checks it when it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_waits_for_another_that_writes_and_says_when_it_goes_on() {
    let folder = Folder::new();
    let other = pool(&folder.file()).await;
    SqliteStore::new(other.clone()).migrate().await.unwrap();
    let store = impatient(&folder);
    let writing = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    waits_for(writing, store.check()).await;
    let _writing = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    store.set_operation_timeout(Duration::from_millis(100));
    let error = store.check().await.expect_err("it is locked");
    let why = error.source().expect("a reason").to_string();
    assert!(why.contains("locked"), "{error}: {why}");
}

#[tokio::test]
async fn two_tables_in_one_file_know_nothing_of_each_other() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    let one = SqliteStore::new(pool.clone());
    let two = SqliteStore::new(pool).table("other").unwrap();
    one.migrate().await.unwrap();
    two.migrate().await.unwrap();
    hold(&one, &slot(1), 1).await;
    hold(&two, &slot(1), 2).await;
}

#[tokio::test]
async fn a_table_name_is_checked() {
    let folder = Folder::new();
    let store = SqliteStore::new(pool(&folder.file()).await);
    let long = "a".repeat(49);
    for name in [
        "", "a b", "a;drop", "1a", "_a", "Ä", "A", "a\"", "sqlite_a", &long,
    ] {
        assert!(store.clone().table(name).is_err(), "{name:?}");
    }
    for name in ["a", "voices_2", &long[1..]] {
        assert!(store.clone().table(name).is_ok(), "{name:?}");
    }
}

#[tokio::test]
async fn what_has_ended_is_swept_in_bounded_batches() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    for number in 0..10 {
        let held = hold(&store, &slot(number), 1).await;
        let retain = if number < 8 { Duration::ZERO } else { LEASE };
        let settled = store
            .commit(&slot(number), &held, &Record::EMPTY, retain)
            .await
            .unwrap();
        assert_eq!(settled, Settled::Applied);
    }
    assert_eq!(store.sweep(5).await.unwrap(), 5);
    assert_eq!(store.sweep(5).await.unwrap(), 3);
    assert_eq!(store.sweep(5).await.unwrap(), 0);
    assert!(store.peek(&slot(9)).await.unwrap().is_some());
}

async fn rows(pool: &SqlitePool) -> i64 {
    let rows = sqlx::query_scalar("SELECT count(*) FROM suno_callback");
    rows.fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_row_takes_what_the_documentation_says() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    SqliteStore::new(pool.clone()).migrate().await.unwrap();
    let rows = 20_000;
    // The owner and the record are as long as the layer's own, and every time has its eight bytes.
    let fill = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows}) \
         INSERT INTO suno_callback (slot, state, owner, fence, attempt, lease_until, expires_at, record) \
         SELECT randomblob(32), 2, randomblob(16), 1, 1, 1800000000000, 1800000000000 + n, randomblob(42) FROM n"
    );
    sqlx::query(AssertSqlSafe(fill))
        .execute(&pool)
        .await
        .unwrap();
    let pragma = async |name: &str| {
        let value = sqlx::query_scalar(AssertSqlSafe(format!("PRAGMA {name}")));
        value.fetch_one(&pool).await.unwrap()
    };
    let (pages, size): (i64, i64) = (pragma("page_count").await, pragma("page_size").await);
    let bytes = usize::try_from(pages * size / rows).unwrap();
    let page = include_str!("../../src/store/sqlite/mod.rs");
    harness::assert_some(bytes, page, "A row takes some ");
}

#[tokio::test]
async fn a_row_that_was_deleted_by_hand_is_a_slot_that_nobody_knows() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    for _ in 0..2 {
        let held = hold(&store, &slot(1), 1).await;
        assert_eq!((held.fence(), held.attempt()), (1, 1));
        let commit = store.commit(&slot(1), &held, &Record::EMPTY, LEASE).await;
        assert_eq!(commit.unwrap(), Settled::Applied);
        let delete = sqlx::query("DELETE FROM suno_callback");
        delete.execute(&pool).await.unwrap();
    }
}

/// The two ways to back it up that the documentation names: one that is whole, and one that is not.
#[tokio::test]
async fn a_backup_knows_what_was_done_and_a_copy_without_its_log_has_forgotten_it() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    let held = hold(&store, &slot(1), 1).await;
    let commit = store.commit(&slot(1), &held, &Record::EMPTY, LEASE).await;
    assert_eq!(commit.unwrap(), Settled::Applied);
    let (whole, copy) = (folder.0.join("whole.db"), folder.0.join("copy.db"));
    let backup = format!("VACUUM INTO '{}'", whole.display());
    sqlx::query(AssertSqlSafe(backup))
        .execute(&pool)
        .await
        .unwrap();
    std::fs::copy(folder.file(), &copy).unwrap();
    hold(&store, &slot(2), 1).await;
    for (file, knows) in [(whole, true), (copy, false)] {
        let restored = open(&file).await;
        let is_done = restored.peek(&slot(1)).await.unwrap().is_some();
        assert_eq!(is_done, knows, "{}", file.display());
        // What came later is handed over again.
        assert_eq!(hold(&restored, &slot(2), 2).await.fence(), 1);
    }
}

#[tokio::test]
async fn claims_sweep_by_themselves() {
    let folder = Folder::new();
    let pool = pool(&folder.file()).await;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    let ended = hold(&store, &slot(1), 1).await;
    let settled = store
        .commit(&slot(1), &ended, &Record::EMPTY, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(settled, Settled::Applied);
    // Every 64th claim does, and nothing else.
    for who in 0..63 {
        assert_eq!(rows(&pool).await, if who == 0 { 1 } else { 2 });
        let held = hold(&store, &slot(2), who).await;
        let settled = store.release(&slot(2), &held).await.unwrap();
        assert_eq!(settled, Settled::Applied);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let rows = rows(&pool).await;
        if rows == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{rows} rows");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_locked_database_is_an_error_that_passes() {
    let folder = Folder::new();
    let store = open(&folder.file()).await;
    let options = SqliteStore::connect_options(folder.file());
    let impatient = SqlitePool::connect_with(options.busy_timeout(Duration::ZERO))
        .await
        .unwrap();
    let impatient = SqliteStore::new(impatient);
    let other = pool(&folder.file()).await;
    let writer = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let busy = impatient
        .claim(&slot(1), owner(1), LEASE)
        .await
        .expect_err("locked");
    assert!(
        busy.source().unwrap().to_string().contains("locked"),
        "{busy:?}"
    );
    assert_eq!(
        store.peek(&slot(1)).await.unwrap(),
        None,
        "readers do not wait"
    );
    writer.rollback().await.unwrap();
    hold(&impatient, &slot(1), 1).await;
}

/// A receiver's handler that counts, behind the layer on this store.
fn receiver(
    store: SqliteStore,
    runs: &Arc<AtomicU32>,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<ResponseBody<Full<Bytes>>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let key = SigningKey::new("the key of the settings page").unwrap();
    let runs = Arc::clone(runs);
    SunoCallbackLayer::new(key, store).layer(tower::service_fn(move |_| {
        runs.fetch_add(1, Relaxed);
        async { Ok(Response::new(Full::new(Bytes::new()))) }
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twins_at_two_receivers_run_the_handler_once_and_so_does_a_restart() {
    let folder = Folder::new();
    let (runs, key) = (
        Arc::new(AtomicU32::new(0)),
        SigningKey::new("the key of the settings page").unwrap(),
    );
    let callback = Callback::success("task-1", "voice-1");
    let receivers = [
        receiver(open(&folder.file()).await, &runs),
        receiver(open(&folder.file()).await, &runs),
    ];
    let mut twins = JoinSet::new();
    for number in 0..64 {
        let request = callback.signed(&key, &SystemClock);
        twins.spawn(receivers[number % 2].clone().oneshot(request));
    }
    for answer in twins.join_all().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(runs.load(Relaxed), 1);
    drop(receivers);

    let restarted = receiver(open(&folder.file()).await, &runs);
    let request = callback.signed(&key, &SystemClock);
    assert_eq!(restarted.oneshot(request).await.unwrap().status(), 200);
    assert_eq!(runs.load(Relaxed), 1);
}
