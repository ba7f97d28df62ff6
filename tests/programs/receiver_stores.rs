//! The receiver as a program, on each of the stores that outlive it.
//! `. tests/servers.sh; servers_start` provides the servers.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use harness::program::{From, Lines, PATIENCE, Server, Stream, ended, example, get, spawn};
use harness::server::Redis;
use harness::{Callback, slot_of};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, SqlitePool, query_as, raw_sql};
use suno_callback::{
    AnyStore,
    store::{Claim, DedupStore, Owner, PostgresStore, RedisStore, SqliteStore},
};

/// In every URL of a store here that has a password.
const PASSWORD: &str = "hunter2-of-the-store";

fn server_of_tests(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} must be set; `. tests/servers.sh; servers_start` does")
    })
}

/// A name that no other test has, also when they run again on the same server.
fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, SeqCst));
    format!("{what}_{}_{process}_{count}", harness::unix_now())
}

/// A folder that goes away with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(unique("suno-callback-receiver"));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn store(&self) -> String {
        format!("sqlite:{}", self.file().display())
    }

    fn file(&self) -> PathBuf {
        self.0.join("callbacks.db")
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A database of a test's own, on the server of the tests.
pub struct Database {
    pub url: String,
    name: String,
}

impl Database {
    pub async fn new() -> Self {
        let name = unique("receiver");
        Self::on_server(&format!("CREATE DATABASE {name}")).await;
        let server = server_of_tests("SUNO_TEST_POSTGRES");
        let (server, _) = server.rsplit_once('/').unwrap();
        let url = format!("{server}/{name}");
        Self { url, name }
    }

    async fn on_server(sql: &str) {
        let server = server_of_tests("SUNO_TEST_POSTGRES");
        let mut server = PgConnection::connect(&server).await.unwrap();
        let sql = AssertSqlSafe(sql.to_owned());
        raw_sql(sql).execute(&mut server).await.unwrap();
    }

    /// The database as another user sees it.
    fn url_of(&self, user: &str) -> String {
        let url = self.url.replace("//postgres@", &format!("//{user}@"));
        assert_ne!(url, self.url);
        url
    }

    async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let sql = AssertSqlSafe(sql.to_owned());
        raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// What handlers have written in their transactions, by task.
    pub async fn events(&self) -> Vec<(String, String, Option<String>)> {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let events = "SELECT task_id, status, voice_id FROM suno_voice_events ORDER BY task_id";
        let events = query_as(events).fetch_all(&mut connection).await;
        connection.close().await.unwrap();
        events.unwrap()
    }

    pub async fn remove(self) {
        Self::on_server(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

fn receiver(store: &str, arguments: &[&str]) -> (Server, Lines) {
    let mut command = example("receiver");
    command.args(["--listen", "127.0.0.1:0", "--store", store]);
    Server::start(command.args(arguments), From::Stderr)
}

fn sender(server: &Server, task: &str, arguments: &[&str]) -> Command {
    let mut command = example("send");
    command.args(["--to", &server.url(), "--backoff", "0.05"]);
    command.args(["--task-id", task]).args(arguments);
    command
}

fn assert_taken(sender: Child) {
    let output = sender.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
}

/// Ends the receiver and gives every event that it has handed over and nobody has read.
fn events(mut server: Server, lines: Lines) -> Vec<String> {
    assert!(server.terminate().success());
    lines.rest().0.lines().map(Into::into).collect()
}

fn each_event_is_handed_over_once_and_not_again_after_a_restart(store: &str) {
    let (first, first_lines) = receiver(store, &["--handler-delay", "100ms"]);
    let (second, second_lines) = receiver(store, &["--handler-delay", "100ms"]);
    let tasks: Vec<String> = (0..4).map(|_| unique("task")).collect();
    let mut senders = Vec::new();
    for task in &tasks {
        for server in [&first, &second] {
            let twins = ["--parallel", "4", "--times", "2"];
            senders.push(spawn(&mut sender(server, task, &twins)));
        }
    }
    senders.into_iter().for_each(assert_taken);
    let mut handed_over = events(first, first_lines);
    handed_over.extend(events(second, second_lines));
    for task in &tasks {
        let of_task = handed_over.iter().filter(|line| line.contains(task));
        assert_eq!(of_task.count(), 1, "{task} on {store}: {handed_over:?}");
    }

    let (third, lines) = receiver(store, &[]);
    for task in &tasks {
        assert_taken(spawn(&mut sender(&third, task, &[])));
    }
    assert_eq!(events(third, lines), [""; 0], "{store} has forgotten");
}

async fn sigterm_leaves_no_held_claim(store: &str, opened: AnyStore) {
    let arguments = ["--handler-delay", "10m", "--drain", "8s"];
    let (mut server, mut lines) = receiver(store, &arguments);
    let tasks: Vec<String> = (0..3).map(|_| unique("task")).collect();
    let senders: Vec<Child> = tasks
        .iter()
        .map(|task| spawn(&mut sender(&server, task, &[])))
        .collect();
    for _ in &tasks {
        lines.next_event(); // its handler runs
    }
    for task in &tasks {
        let claim = claim(&opened, task).await;
        assert!(matches!(claim, Claim::InFlight { .. }), "{claim:?}");
    }

    assert!(server.terminate().success());
    let log = lines.rest().1;
    assert!(log.contains("drained: 3 aborted, 0 unsettled\n"), "{log}");
    for task in &tasks {
        match claim(&opened, task).await {
            Claim::Granted(held) => assert_eq!(held.attempt(), 2, "{task} on {store}"),
            other => panic!("{task} on {store} is still claimed: {other:?}"),
        }
    }
    for mut sender in senders {
        let _ = sender.kill();
        let _ = sender.wait();
    }
}

/// Orchestrators kill half a minute after their signal.
#[test]
fn with_its_defaults_a_receiver_has_ended_25_s_after_its_signal_however_long_its_handler_takes() {
    let (mut server, mut lines) = receiver("memory", &["--handler-delay", "60s"]);
    let mut sender = spawn(&mut sender(&server, &unique("task"), &[]));
    lines.next_event(); // its handler runs
    let signal = Instant::now();
    assert!(server.terminate().success());
    let took = signal.elapsed();
    assert!(took <= Duration::from_secs(25), "{took:?}");
    let log = lines.rest().1;
    assert!(log.contains("drained: 1 aborted, 0 unsettled\n"), "{log}");
    let _ = sender.kill();
    let _ = sender.wait();
}

/// What a third process is told that wants to handle the task's success.
async fn claim(store: &AnyStore, task: &str) -> Claim {
    let slot = slot_of(&Callback::success(task, "voice_1")).await;
    let claim = store.claim(&slot, Owner::from([7; 16]), Duration::from_secs(5));
    claim.await.unwrap()
}

#[test]
fn on_sqlite_each_event_is_handed_over_once_and_not_again_after_a_restart() {
    let folder = Folder::new();
    each_event_is_handed_over_once_and_not_again_after_a_restart(&folder.store());
}

#[tokio::test]
async fn on_postgres_each_event_is_handed_over_once_and_not_again_after_a_restart() {
    let database = Database::new().await;
    each_event_is_handed_over_once_and_not_again_after_a_restart(&database.url);
    database.remove().await;
}

#[test]
fn on_redis_each_event_is_handed_over_once_and_not_again_after_a_restart() {
    let url = server_of_tests("SUNO_TEST_REDIS");
    each_event_is_handed_over_once_and_not_again_after_a_restart(&url);
}

#[tokio::test]
async fn on_sqlite_sigterm_leaves_no_held_claim() {
    let folder = Folder::new();
    let options = SqliteStore::connect_options(folder.file());
    let store = SqliteStore::new(SqlitePool::connect_with(options).await.unwrap());
    store.migrate().await.unwrap();
    sigterm_leaves_no_held_claim(&folder.store(), AnyStore::new(store)).await;
}

#[tokio::test]
async fn on_postgres_sigterm_leaves_no_held_claim() {
    let database = Database::new().await;
    let pool = PgPool::connect(&database.url).await.unwrap();
    let store = AnyStore::new(PostgresStore::new(pool.clone()));
    sigterm_leaves_no_held_claim(&database.url, store).await;
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn on_redis_sigterm_leaves_no_held_claim() {
    let url = server_of_tests("SUNO_TEST_REDIS");
    let client = redis::Client::open(url.as_str()).unwrap();
    sigterm_leaves_no_held_claim(&url, AnyStore::new(RedisStore::new(client))).await;
}

/// Starts a receiver that cannot start. Nothing is served, and it says why, soon, and without the
/// password, however much it logs. What it says is somewhere in its log: a store's own threads may
/// have a word after it.
fn refusal(store: &str, reasons: &[&str]) {
    let mut command = example("receiver");
    command.args(["--listen", "127.0.0.1:0", "--store", store]);
    command.env("RUST_LOG", "trace");
    let mut receiver = spawn(&mut command);
    let log = Stream::new(receiver.stderr.take().unwrap());
    let status = ended(&mut receiver);
    let _ = receiver.kill(); // which has ended, unless it serves
    receiver.wait().unwrap();
    let log = log.whole();
    assert_eq!(status.and_then(|it| it.code()), Some(2), "{log}");
    assert!(!log.contains("listening on"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
    let tells = |line: &str| reasons.iter().all(|reason| line.contains(reason));
    let telling = log.lines().filter(|line| tells(line)).count();
    assert_eq!(telling, 1, "one line tells {reasons:?}: {log}");
}

/// An address that refuses connections for as long as its socket is held: nobody else gets it.
fn refusing() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let place = socket.local_addr().unwrap();
    (socket, place)
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let (_socket, place) = refusing();
    let reached = format!("cannot reach PostgreSQL at {place}: ");
    let store = format!("postgres://voice:{PASSWORD}@{place}/db");
    refusal(&store, &[&reached, "refused"]);
    let reached = format!("cannot reach Redis at {place}: ");
    let store = format!("redis://voice:{PASSWORD}@{place}/");
    refusal(&store, &[&reached, "refused"]);
}

#[test]
fn a_server_that_never_answers_does_not_hold_the_start_up_for_long() {
    // Nobody accepts, so its connections are open and silent.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = silent.local_addr().unwrap();
    let store = format!("postgres://voice:{PASSWORD}@{place}/db");
    refusal(&store, &[&format!("cannot reach PostgreSQL at {place}")]);
    let store = format!("redis://voice:{PASSWORD}@{place}/");
    refusal(&store, &[&format!("cannot reach Redis at {place}")]);
}

#[tokio::test]
async fn a_postgres_that_refuses_is_told_without_its_password() {
    let database = Database::new().await;
    let nobody = database.url_of(&format!("nobody:{PASSWORD}"));
    refusal(&nobody, &["role \"nobody\" does not exist"]);
    database.remove().await;
}

#[tokio::test]
async fn a_postgres_table_of_another_version_is_not_touched() {
    let database = Database::new().await;
    let table = "CREATE TABLE suno_callback (slot bytea PRIMARY KEY); \
                 COMMENT ON TABLE suno_callback IS 'suno-callback slots, version 7'";
    database.run(table).await;
    let expected = "the table of the PostgreSQL store says \"suno-callback slots, version 7\"";
    refusal(&database.url, &[expected]);
    database.remove().await;
}

/// The table is there, and everything of it can be read.
#[tokio::test]
async fn a_postgres_role_that_may_not_write_is_refused_at_the_start() {
    let database = Database::new().await;
    let (server, lines) = receiver(&database.url, &[]);
    assert_eq!(events(server, lines), [""; 0]);
    let role = unique("reader");
    let reader =
        format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}");
    database.run(&reader).await;
    let lacks = "lacks INSERT, UPDATE, DELETE on its table";
    refusal(&database.url_of(&role), &["cannot use", &role, lacks]);
    database
        .run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
    database.remove().await;
}

#[tokio::test]
async fn a_postgres_that_is_read_only_is_refused_at_the_start() {
    let database = Database::new().await;
    let (server, lines) = receiver(&database.url, &[]);
    assert_eq!(events(server, lines), [""; 0]);
    let (name, read_only) = (&database.name, "default_transaction_read_only = on");
    database
        .run(&format!("ALTER DATABASE {name} SET {read_only}"))
        .await;
    refusal(
        &database.url,
        &["cannot use", "default_transaction_read_only"],
    );
    database.remove().await;
}

#[test]
fn a_redis_that_wants_a_password_or_is_a_replica_is_refused_at_the_start() {
    let locked = Redis::start(&["--requirepass", PASSWORD]);
    let url = format!("redis://127.0.0.1:{}/", locked.port());
    refusal(&url, &["cannot", "wants a password"]);
    let (_socket, nowhere) = refusing();
    let port = nowhere.port().to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    let url = format!("redis://127.0.0.1:{}/", replica.port());
    refusal(&url, &["cannot", "replica"]);
}

#[tokio::test]
async fn an_sqlite_file_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    let (server, lines) = receiver(&folder.store(), &[]);
    assert_eq!(events(server, lines), [""; 0]);
    let pool = SqlitePool::connect_with(SqliteStore::connect_options(folder.file()));
    let pool = pool.await.unwrap();
    let checkpoint = raw_sql("PRAGMA wal_checkpoint(TRUNCATE)");
    checkpoint.execute(&pool).await.unwrap();
    pool.close().await;
    // To SQLite, a file of a write version that it does not know is read-only for everybody, root
    // included.
    let mut bytes = fs::read(folder.file()).unwrap();
    bytes[18] = 3;
    fs::write(folder.file(), bytes).unwrap();
    refusal(&folder.store(), &["cannot", "callbacks.db", "read-only"]);

    let nowhere = format!("sqlite:{}/nowhere/c.db", folder.0.display());
    refusal(&nowhere, &["cannot use", "nowhere/c.db"]);
}

#[test]
fn a_redis_that_may_evict_is_a_warning_and_served() {
    let server = Redis::start(&["--maxmemory-policy", "allkeys-lru"]);
    let url = format!("redis://127.0.0.1:{}/", server.port());
    let (receiver, lines) = receiver(&url, &[]);
    let warning = lines.stderr.wait_for("allkeys-lru");
    assert!(warning.contains("WARN"), "{warning}");
    let task = unique("task");
    assert_taken(spawn(&mut sender(&receiver, &task, &[])));
    assert_eq!(events(receiver, lines).len(), 1);
}

#[test]
fn a_receiver_is_ready_while_its_store_is_and_alive_all_the_time() {
    let mut server = Redis::start(&[]);
    let url = format!("redis://127.0.0.1:{}/", server.port());
    let (receiver, lines) = receiver(&url, &[]);
    let live = || assert_eq!(get(receiver.addr, "/healthz").0, "200");
    let becomes = |status: &str| {
        let end = Instant::now() + PATIENCE;
        loop {
            let (found, text) = get(receiver.addr, "/readyz");
            live();
            if found == status {
                return text;
            }
            assert!(Instant::now() < end, "/readyz is {found}: {text}");
            thread::sleep(Duration::from_millis(20));
        }
    };
    becomes("200");
    server.kill();
    assert!(becomes("503").contains("cannot use the store: "));
    server.restart();
    becomes("200");
    assert_eq!(events(receiver, lines), [""; 0]);
}

#[test]
fn an_unknown_scheme_is_refused_with_those_that_are_known() {
    for store in [
        format!("mysql://voice:{PASSWORD}@127.0.0.1/db"),
        format!("{PASSWORD}@127.0.0.1"),
    ] {
        let known = ["memory", "sqlite:FILE", "postgres://...", "redis://..."];
        refusal(&store, &known);
    }
}

#[test]
fn a_url_that_is_none_is_refused_without_its_password() {
    let store = format!("postgres://voice:{PASSWORD}@[half/db");
    refusal(&store, &["cannot read the URL of --store"]);
    let store = format!("redis://voice:{PASSWORD}@:port/");
    refusal(&store, &["Redis URL"]);
}
