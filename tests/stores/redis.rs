//! The store on a real Redis. `. tests/servers.sh; servers_start` provides one.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use harness::proxy::Proxy;
use harness::server::Redis;
use harness::{Callback, Seen, answer, key};
use http::StatusCode;
use redis::{AsyncCommands, Client, aio::MultiplexedConnection};
use suno_callback::{
    AnyStore, DedupStore, SunoCallbackLayer, Times,
    store::{
        Claim, Eviction, Held, KEEP_FENCE, Owner, Record, RedisStore, RedisStoreError, Settled,
        SlotKey,
    },
    testkit::{self, LawBroken},
};
use tokio::{sync::Barrier, task::JoinSet};
use tower::{BoxError, Layer, ServiceExt, service_fn};

const LEASE: Duration = Duration::from_secs(5);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn client() -> Client {
    let url = std::env::var("SUNO_TEST_REDIS").expect(
        "SUNO_TEST_REDIS must be the url of a Redis that tests may use; \
         `. tests/servers.sh; servers_start` starts one",
    );
    Client::open(url).unwrap()
}

/// A store under a prefix of its own.
struct Fixture {
    store: RedisStore,
    raw: MultiplexedConnection,
    prefix: String,
}

impl Fixture {
    async fn new() -> Self {
        let raw = client().get_multiplexed_async_connection().await.unwrap();
        let prefix = unique();
        Self {
            store: RedisStore::new(client()).prefix(&prefix),
            raw,
            prefix,
        }
    }

    fn key(&self, slot: &SlotKey) -> String {
        let hex: String = slot
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{}{hex}", self.prefix)
    }

    async fn set(&self, slot: &SlotKey, field: &str, value: &[u8]) {
        let () = self
            .raw
            .clone()
            .hset(self.key(slot), field, value)
            .await
            .unwrap();
    }

    async fn dump(&self, slot: &SlotKey) -> Vec<u8> {
        let mut dump = redis::cmd("DUMP");
        let mut raw = self.raw.clone();
        dump.arg(self.key(slot))
            .query_async(&mut raw)
            .await
            .unwrap()
    }
}

/// A prefix that no other test has, also when they run again on the same server.
fn unique() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("test:{:016x}:", RandomState::new().hash_one(()))
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

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_every_law() -> Result<(), LawBroken> {
    testkit::all(&Arc::new(Fixture::new().await.store)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_connections_of_the_application_and_an_erased_type_it_keeps_every_law()
-> Result<(), LawBroken> {
    let client = client();
    let store = RedisStore::new(move || {
        let client = client.clone();
        async move { client.get_multiplexed_async_connection().await }
    });
    let store = store.prefix(unique());
    testkit::all(&Arc::new(AnyStore::new(store))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_tasks_one_is_granted_each_of_100_slots() {
    let fixture = Fixture::new().await;
    for _ in 0..100 {
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

/// What this library never writes, in every field; `None` removes it.
const GARBAGE: &[(&str, Option<&[u8]>)] = &[
    ("s", Some(b"3")),
    ("s", Some(b"")),
    ("s", Some(b"01")),
    ("s", Some(b"\xff")),
    ("s", None),
    ("s", Some(b"2")), // done without a record
    ("o", Some(b"")),
    ("o", Some(b"15 bytes, short")),
    ("o", Some(b"17 bytes, too big")),
    ("o", None),
    ("f", Some(b"")),
    ("f", Some(b"-1")),
    ("f", Some(b"1.5")),
    ("f", Some(b"one")),
    ("f", Some(b"99999999999999999999")),
    ("f", None),
    ("a", Some(b"-1")),
    ("a", Some(b"4294967296")),
    ("a", Some(b"99999999999")),
    ("a", Some(b"x")),
    ("a", None),
    ("l", Some(b"nan")),
    ("l", Some(b"1e300")),
    ("l", Some(b"-5")),
    ("l", Some(b"9999999999999999")),
    ("l", None),
    ("r", Some(b"a record while held")),
];

async fn is_unreadable(fixture: &Fixture, slot: &SlotKey, held: &Held, what: &str) {
    let store = &fixture.store;
    let before = fixture.dump(slot).await;
    let refused = |done: Result<(), RedisStoreError>, step: &str| {
        let refused = matches!(done, Err(RedisStoreError::Unreadable));
        assert!(refused, "{step} of {what}: {done:?}");
    };
    refused(store.peek(slot).await.map(drop), "peek");
    refused(store.claim(slot, owner(1), LEASE).await.map(drop), "claim");
    refused(store.claim(slot, owner(2), LEASE).await.map(drop), "claim");
    refused(store.renew(slot, held, LEASE).await.map(drop), "renew");
    let commit = store.commit(slot, held, &record(), WEEK).await;
    refused(commit.map(drop), "commit");
    refused(store.release(slot, held).await.map(drop), "release");
    assert_eq!(fixture.dump(slot).await, before, "{what}");
}

#[tokio::test]
async fn garbage_in_any_field_is_an_error_and_never_a_free_slot() {
    let fixture = Fixture::new().await;
    for (field, garbage) in GARBAGE {
        // A lease that has ended must not make it free either.
        for lease in [LEASE, Duration::ZERO] {
            let slot = slot();
            let held = granted(fixture.store.claim(&slot, owner(1), lease).await.unwrap());
            match garbage {
                Some(bytes) => fixture.set(&slot, field, bytes).await,
                None => {
                    let () = fixture
                        .raw
                        .clone()
                        .hdel(fixture.key(&slot), field)
                        .await
                        .unwrap();
                }
            }
            is_unreadable(&fixture, &slot, &held, &format!("{field} {garbage:?}")).await;
        }
    }
}

#[tokio::test]
async fn a_key_of_somebody_else_is_an_error() {
    let fixture = Fixture::new().await;
    let held = Held::new(owner(1), 1, 1);
    let (text, hash, long) = (slot(), slot(), slot());
    let () = fixture
        .raw
        .clone()
        .set(fixture.key(&text), "text")
        .await
        .unwrap();
    is_unreadable(&fixture, &text, &held, "a string").await;
    fixture.set(&hash, "other", b"field").await;
    is_unreadable(&fixture, &hash, &held, "a hash").await;
    let held = granted(fixture.store.claim(&long, owner(1), LEASE).await.unwrap());
    let commit = fixture.store.commit(&long, &held, &record(), WEEK).await;
    assert_eq!(commit.unwrap(), Settled::Applied);
    fixture.set(&long, "r", &[7; 65]).await;
    is_unreadable(&fixture, &long, &held, "a record of 65 bytes").await;
}

#[tokio::test]
async fn a_large_fence_is_exact_and_one_at_its_end_is_an_error() {
    let fixture = Fixture::new().await;
    let slot = slot();
    granted(
        fixture
            .store
            .claim(&slot, owner(1), Duration::ZERO)
            .await
            .unwrap(),
    );
    tokio::time::sleep(Duration::from_millis(2)).await;
    fixture.set(&slot, "f", b"9223372036854775805").await;
    let held = granted(fixture.store.claim(&slot, owner(2), LEASE).await.unwrap());
    assert_eq!(held.fence(), 9_223_372_036_854_775_806);
    let released = fixture.store.release(&slot, &held).await;
    assert_eq!(released.unwrap(), Settled::Applied);
    fixture.set(&slot, "f", b"9223372036854775807").await;
    let before = fixture.dump(&slot).await;
    let claim = fixture.store.claim(&slot, owner(3), LEASE).await;
    assert!(
        matches!(claim, Err(RedisStoreError::Server(_))),
        "{claim:?}"
    );
    assert_eq!(fixture.dump(&slot).await, before);
}

#[tokio::test]
async fn leases_that_no_clock_can_mean_have_ended() {
    let fixture = Fixture::new().await;
    let now: (u64, u64) = redis::cmd("TIME")
        .query_async(&mut fixture.raw.clone())
        .await
        .unwrap();
    for lease in [0, now.0 * 1000 + 70_000, 999_999_999_999_999] {
        let slot = slot();
        let first = granted(fixture.store.claim(&slot, owner(1), LEASE).await.unwrap());
        fixture.set(&slot, "l", lease.to_string().as_bytes()).await;
        let second = granted(fixture.store.claim(&slot, owner(2), LEASE).await.unwrap());
        assert!(second.fence() > first.fence(), "{lease}");
    }
}

#[tokio::test]
async fn an_open_slot_is_kept_for_an_hour_and_a_done_one_for_its_retention() {
    let fixture = Fixture::new().await;
    let (store, slot) = (&fixture.store, slot());
    let mut raw = fixture.raw.clone();
    let key = fixture.key(&slot);
    let is_about = |left: i64, span: Duration| {
        let left = Duration::from_millis(left.try_into().unwrap());
        assert!(
            left <= span && span - left < Duration::from_secs(5),
            "{left:?}"
        );
    };
    let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    is_about(raw.pttl(&key).await.unwrap(), KEEP_FENCE);
    for step in ["renew", "release"] {
        let () = raw.expire(&key, 60).await.unwrap();
        let settled = match step {
            "renew" => store.renew(&slot, &held, LEASE).await,
            _ => store.release(&slot, &held).await,
        };
        assert_eq!(settled.unwrap(), Settled::Applied);
        is_about(raw.pttl(&key).await.unwrap(), KEEP_FENCE);
    }
    let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    let committed = store
        .commit(&slot, &held, &record(), store.retention())
        .await;
    assert_eq!(committed.unwrap(), Settled::Applied);
    is_about(raw.pttl(&key).await.unwrap(), WEEK);
}

#[tokio::test]
async fn a_key_takes_what_the_documentation_says() {
    const KEYS: usize = 2_000;
    let server = Redis::start(&[]);
    let store = RedisStore::new(server.client());
    let mut raw = server
        .client()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let mut used = async || {
        let mut info = redis::cmd("INFO");
        let info: String = info.arg("memory").query_async(&mut raw).await.unwrap();
        let used = info.lines().find_map(|it| it.strip_prefix("used_memory:"));
        used.unwrap().parse::<usize>().unwrap()
    };
    // As long as the layer's own.
    let record = Record::try_from(&[7; 42][..]).unwrap();
    let done = async || {
        let slot = slot();
        let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
        let committed = store.commit(&slot, &held, &record, WEEK).await;
        assert_eq!(committed.unwrap(), Settled::Applied);
    };
    // The scripts and the connections take their room once.
    done().await;
    let before = used().await;
    for _ in 0..KEYS {
        done().await;
    }
    let bytes = (used().await - before) / KEYS;
    let page = include_str!("../../src/store/redis/mod.rs");
    harness::assert_some(bytes, page, "A key takes some ");
}

#[tokio::test]
async fn a_key_that_was_deleted_by_hand_is_a_slot_that_nobody_knows() {
    let fixture = Fixture::new().await;
    let (store, slot) = (&fixture.store, slot());
    for _ in 0..2 {
        let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
        assert_eq!((held.fence(), held.attempt()), (1, 1));
        let committed = store.commit(&slot, &held, &record(), WEEK).await;
        assert_eq!(committed.unwrap(), Settled::Applied);
        let deleted: u32 = fixture.raw.clone().del(fixture.key(&slot)).await.unwrap();
        assert_eq!(deleted, 1);
    }
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = Redis::start(&[]);
    let raw = server
        .client()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let (store, slot) = (RedisStore::new(server.client()), slot());
    let flush = || async {
        let mut flush = redis::cmd("SCRIPT");
        let () = flush
            .arg("FLUSH")
            .query_async(&mut raw.clone())
            .await
            .unwrap();
    };
    flush().await;
    assert_eq!(store.peek(&slot).await.unwrap(), None);
    flush().await;
    let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    flush().await;
    assert_eq!(
        store.renew(&slot, &held, LEASE).await.unwrap(),
        Settled::Applied
    );
    flush().await;
    assert_eq!(store.release(&slot, &held).await.unwrap(), Settled::Applied);
    let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    flush().await;
    let commit = store.commit(&slot, &held, &record(), WEEK).await;
    assert_eq!(commit.unwrap(), Settled::Applied);
    flush().await;
    assert_eq!(store.peek(&slot).await.unwrap(), Some(record()));
}

#[tokio::test]
async fn a_server_that_may_evict_is_told_at_the_start() {
    let eviction = |arguments: &'static [&'static str]| async move {
        let server = Redis::start(arguments);
        let store = RedisStore::new(server.client());
        store.check().await.unwrap(); // a warning, and no reason to refuse
        store.eviction().await.unwrap()
    };
    assert_eq!(
        eviction(&["--maxmemory-policy", "noeviction"]).await,
        Eviction::Never
    );
    let lru = eviction(&["--maxmemory-policy", "allkeys-lru"]).await;
    assert_eq!(lru, Eviction::Possible("allkeys-lru".into()));
    // As managed services do it.
    assert_eq!(
        eviction(&["--rename-command", "CONFIG", ""]).await,
        Eviction::Unknown
    );
    let acl = [
        "--user", "default", "on", "nopass", "~*", "+@all", "-config",
    ];
    let server = Redis::start(&acl);
    let store = RedisStore::new(server.client());
    assert_eq!(store.eviction().await.unwrap(), Eviction::Unknown);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let server = Redis::start(&[]);
    let store = RedisStore::new(server.client());
    store.check().await.unwrap();
    drop(server);
    let check = store.check().await;
    assert!(
        matches!(check, Err(RedisStoreError::Server(_))),
        "{check:?}"
    );
    assert!(store.claim(&slot(), owner(1), LEASE).await.is_err());
}

#[tokio::test]
async fn a_full_server_refuses_a_claim_and_changes_nothing() {
    let server = Redis::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let mut raw = server
        .client()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let store = RedisStore::new(server.client());
    let claim = store.claim(&slot(), owner(1), LEASE).await;
    assert!(
        matches!(claim, Err(RedisStoreError::Server(_))),
        "{claim:?}"
    );
    let keys: usize = redis::cmd("DBSIZE").query_async(&mut raw).await.unwrap();
    assert_eq!(keys, 0);
}

#[tokio::test]
async fn with_an_append_only_file_a_killed_server_forgets_nothing_it_has_synced() {
    let mut server = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = RedisStore::new(server.client());
    let (done, open) = (slot(), slot());
    let held = granted(store.claim(&done, owner(1), LEASE).await.unwrap());
    let commit = store.commit(&done, &held, &record(), WEEK).await;
    assert_eq!(commit.unwrap(), Settled::Applied);
    let held = granted(
        store
            .claim(&open, owner(1), Duration::from_secs(60))
            .await
            .unwrap(),
    );
    server.kill();
    server.restart();
    until_it_answers(&store).await;
    let claim = store.claim(&done, owner(2), LEASE).await.unwrap();
    assert_eq!(claim, Claim::Done(record()));
    let claim = store.claim(&open, owner(2), LEASE).await.unwrap();
    assert!(matches!(claim, Claim::InFlight { .. }), "{claim:?}");
    let renewed = store.renew(&open, &held, LEASE).await.unwrap();
    assert_eq!(renewed, Settled::Applied);
}

#[tokio::test]
async fn a_server_that_forgot_everything_reports_every_claim_as_lost() {
    let mut server = Redis::start(&[]);
    let store = RedisStore::new(server.client());
    let slot = slot();
    let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    server.kill();
    server.restart();
    until_it_answers(&store).await;
    assert_eq!(
        store.renew(&slot, &held, LEASE).await.unwrap(),
        Settled::Lost
    );
    let commit = store.commit(&slot, &held, &record(), WEEK).await;
    assert_eq!(commit.unwrap(), Settled::Lost);
    assert_eq!(store.release(&slot, &held).await.unwrap(), Settled::Lost);
    granted(store.claim(&slot, owner(2), LEASE).await.unwrap());
}

async fn until_it_answers(store: &impl DedupStore) {
    let end = Instant::now() + Duration::from_secs(20);
    while store.peek(&slot()).await.is_err() {
        assert!(Instant::now() < end, "the server must come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A store behind a proxy.
async fn behind_a_proxy() -> (RedisStore, Proxy) {
    let redis::ConnectionAddr::Tcp(_, port) = client().get_connection_info().addr().clone() else {
        panic!("tests need a TCP address");
    };
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let store = named(&proxy).prefix(unique());
    // So that every script is known, and one request is one step.
    let slot = slot();
    let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    let _ = store.renew(&slot, &held, LEASE).await.unwrap();
    let _ = store.release(&slot, &held).await.unwrap();
    let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    let _ = store.commit(&slot, &held, &record(), WEEK).await.unwrap();
    (store, proxy)
}

/// A store whose server has the proxy for a name.
fn named(proxy: &Proxy) -> RedisStore {
    RedisStore::new(Client::open(format!("redis://{}/", proxy.addr())).unwrap())
}

#[tokio::test]
async fn a_step_whose_answer_was_lost_has_happened_and_can_be_repeated() {
    let (store, proxy) = behind_a_proxy().await;
    let slot = slot();
    proxy.lose_answer("EVALSHA", 0);
    assert!(store.claim(&slot, owner(1), LEASE).await.is_err());
    let other = store.claim(&slot, owner(2), LEASE).await.unwrap();
    assert!(matches!(other, Claim::InFlight { .. }), "{other:?}");
    let held = granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    assert_eq!((held.fence(), held.attempt()), (1, 1));
    proxy.lose_answer("EVALSHA", 0);
    assert!(store.commit(&slot, &held, &record(), WEEK).await.is_err());
    assert_eq!(store.peek(&slot).await.unwrap(), Some(record()));
    let again = store.commit(&slot, &held, &record(), WEEK).await;
    assert_eq!(again.unwrap(), Settled::Applied);
    assert_eq!(proxy.lost(), 2);
}

#[tokio::test]
async fn lost_answers_cost_the_layer_nothing() {
    // A success is claimed, renewed once, and committed or released.
    for (step, passed, succeeds) in [
        ("claim", 0, true),
        ("renew", 1, true),
        ("commit", 2, true),
        ("release", 2, false),
    ] {
        let (store, proxy) = behind_a_proxy().await;
        let seen = Seen::default();
        let tries = Arc::new(AtomicU32::new(0));
        let handler = {
            let seen = seen.clone();
            service_fn(move |request| {
                seen.push(&request);
                let first = tries.fetch_add(1, SeqCst) == 0;
                async move {
                    if first {
                        // Longer than one beat, shorter than two.
                        tokio::time::sleep(Duration::from_millis(1200)).await;
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
            heartbeat: Duration::from_millis(800),
            ..Times::default()
        };
        let layer = SunoCallbackLayer::new(key(), store).times(times).unwrap();
        let service = layer.layer(handler);
        let callback = Callback::success("task", "voice");
        proxy.lose_answer("EVALSHA", passed);
        let response = service.clone().oneshot(callback.request()).await.unwrap();
        assert_eq!(response.status().is_success(), succeeds, "{step}");
        assert_eq!(proxy.lost(), 1, "{step}");
        let response = service.oneshot(callback.request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{step}");
        assert_eq!(seen.len(), if succeeds { 1 } else { 2 }, "{step}");
        let attempts: Vec<u32> = seen.all().iter().map(|(_, it)| it.attempt()).collect();
        assert_eq!(attempts, &[1, 2][..seen.len()], "{step}");
    }
}

#[tokio::test]
async fn a_duplicate_beside_a_running_handler_of_another_replica_waits_for_it() {
    harness::assert_replicas_share(&Fixture::new().await.store).await;
}

/// Whatever `check` says, with its causes.
async fn refusal(store: &RedisStore) -> String {
    let error = store.check().await.expect_err("it must be refused");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_check_says_what_the_server_lacks() {
    for (arguments, lack) in [
        (&["--requirepass", "secret"][..], "wants a password"),
        (
            &["--min-replicas-to-write", "1"],
            "fewer good replicas than its min-replicas-to-write",
        ),
        (&["--maxmemory", "1"], "memory is full"),
        (&["--replicaof", "127.0.0.1 1"], "is a replica"),
        (
            &[
                "--replicaof",
                "127.0.0.1 1",
                "--replica-serve-stale-data",
                "no",
            ],
            "has lost its primary",
        ),
    ] {
        let server = Redis::start(arguments);
        let told = refusal(&RedisStore::new(server.client())).await;
        assert!(told.contains(lack), "{arguments:?}: {told}");
    }
    // With a port of its own for its bus: the default is anybody's.
    let server = Redis::start_node(&[]);
    let told = refusal(&RedisStore::new(server.client())).await;
    assert!(told.contains("Cluster is down"), "{told}");
}

#[tokio::test]
async fn a_check_says_that_the_password_is_wrong_and_not_which() {
    let server = Redis::start(&["--requirepass", "secret"]);
    let url = format!("redis://:hunter2@{}/", server.addr());
    let told = refusal(&RedisStore::new(Client::open(url).unwrap())).await;
    assert!(
        told.contains("does not take this user and password"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn a_check_says_that_the_server_cannot_write_to_its_disk() {
    let server = Redis::start(&["--save", "3600 1"]);
    let store = RedisStore::new(server.client());
    store.check().await.unwrap();
    // A directory in the place of its file.
    std::fs::create_dir(server.dir().join("dump.rdb")).unwrap();
    let _: String = server.ask("BGSAVE");
    let end = Instant::now() + Duration::from_secs(20);
    while !server
        .ask::<String>("INFO persistence")
        .contains("rdb_last_bgsave_status:err")
    {
        assert!(Instant::now() < end, "the server must fail to save");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let told = refusal(&store).await;
    assert!(told.contains("cannot write its data to disk"), "{told}");
    // As soon as it can, the same store can be used again.
    std::fs::remove_dir(server.dir().join("dump.rdb")).unwrap();
    let _: String = server.ask("CONFIG SET stop-writes-on-bgsave-error no");
    store.check().await.unwrap();
}

/// What a step needs, and what `CONFIG` is good for.
const RIGHTS: [&str; 9] = [
    "evalsha", "eval", "time", "exists", "hget", "hmget", "hset", "hincrby", "pexpire",
];

#[tokio::test]
async fn a_check_names_every_command_that_the_acl_lacks() {
    for lacking in RIGHTS {
        let rights: Vec<String> = RIGHTS
            .iter()
            .filter(|right| **right != lacking)
            .map(|right| format!("+{right}"))
            .collect();
        let mut acl = vec!["--user", "default", "on", "nopass", "~suno-callback:*"];
        acl.extend(rights.iter().map(String::as_str));
        let server = Redis::start(&acl);
        let told = refusal(&RedisStore::new(server.client())).await;
        // Without the long list of all that it needs.
        let told = told.replace("+evalsha +eval +time", "").to_lowercase();
        let told = told.replace("+exists +hget +hmget +hset +hincrby +pexpire", "");
        assert!(told.contains(lacking), "{lacking}: {told}");
    }
}

#[tokio::test]
async fn the_rights_that_the_documentation_names_suffice() {
    let page = include_str!("../../src/store/redis/mod.rs").replace("\n///", "");
    let (_, named) = page.split_once("`~suno-callback:*` and `").unwrap();
    let (named, _) = named.split_once('`').unwrap();
    let rights = RIGHTS.map(|right| format!("+{right}"));
    assert!(named.split_whitespace().eq(&rights), "{named}");
    let mut acl = vec!["--user", "default", "on", "nopass", "~suno-callback:*"];
    acl.extend(rights.iter().map(String::as_str));
    let server = Redis::start(&acl);
    let store = RedisStore::new(server.client());
    store.check().await.unwrap();
    let held = granted(store.claim(&slot(), owner(1), LEASE).await.unwrap());
    assert_eq!(held.fence(), 1);
    let told = refusal(&store.prefix("voices:")).await;
    assert!(told.contains("it needs the keys of the prefix"), "{told}");
}

#[tokio::test]
async fn connections_that_swallow_everything_cost_the_first_event_no_try() {
    let (store, proxy) = behind_a_proxy().await;
    let seen = Seen::default();
    let service = SunoCallbackLayer::new(key(), store).layer(harness::accepting(seen.clone()));
    let first = Callback::success("first", "voice");
    let response = service.clone().oneshot(first.request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    for round in 0..2 {
        proxy.forget();
        let mut tries = JoinSet::new();
        for number in 0..20 {
            let task = format!("task-{round}-{number}");
            let request = Callback::success(&task, "voice").request();
            tries.spawn(service.clone().oneshot(request));
        }
        for response in tries.join_all().await {
            assert_eq!(response.unwrap().status(), StatusCode::OK);
        }
    }
    assert_eq!(seen.len(), 41);
    assert_eq!(proxy.accepted(), 3, "one new connection each time");
}

#[tokio::test]
async fn an_operation_that_was_dropped_takes_its_connection_with_it() {
    let (store, proxy) = behind_a_proxy().await;
    proxy.forget();
    let slot = slot();
    let hopeless = store.claim(&slot, owner(1), LEASE);
    let hopeless = tokio::time::timeout(Duration::from_millis(100), hopeless);
    hopeless.await.expect_err("nothing answers here");
    granted(store.claim(&slot, owner(1), LEASE).await.unwrap());
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn an_operation_that_nobody_bounds_ends_when_the_layer_would_have_dropped_it() {
    let (store, proxy) = behind_a_proxy().await;
    store.set_operation_timeout(Duration::from_millis(200));
    proxy.forget();
    let claim = store.claim(&slot(), owner(1), LEASE).await;
    assert!(
        matches!(&claim, Err(RedisStoreError::Server(error)) if error.is_timeout()),
        "{claim:?}"
    );
    granted(store.claim(&slot(), owner(1), LEASE).await.unwrap());
}

/// A server of which nothing but its name is known: it takes connections, and nothing more.
async fn silence() -> (SocketAddr, tokio::net::TcpListener) {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    (silent.local_addr().unwrap(), silent)
}

#[tokio::test]
async fn however_many_wait_one_attempt_is_made_at_a_time_and_nobody_waits_longer_than_it() {
    let (addr, _silent) = silence().await;
    let server = Redis::start(&[]);
    let proxy = Proxy::to(addr).await;
    let store = named(&proxy);
    store.set_operation_timeout(Duration::from_millis(300));
    let mut waiting = JoinSet::new();
    let mut come = |many| {
        for _ in 0..many {
            let store = store.clone();
            waiting.spawn(async move { store.peek(&slot()).await });
        }
    };
    come(100);
    harness::until("the attempt is under way", || proxy.accepted() == 1).await;
    proxy.lead_to(server.addr());
    come(100); // in the middle of it: they wait no longer than it lasts
    for peek in waiting.join_all().await {
        assert!(
            matches!(&peek, Err(RedisStoreError::Server(error)) if error.is_timeout()),
            "{peek:?}"
        );
    }
    assert_eq!(proxy.accepted(), 1);
    // And then the name leads elsewhere.
    store.check().await.unwrap();
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn refused_attempts_keep_a_pause_between_them_and_the_next_one_that_can_succeed_does() {
    let mut server = Redis::start(&[]);
    let proxy = Proxy::to(server.addr()).await;
    let store = named(&proxy);
    store.check().await.unwrap();
    server.kill();
    let began = Instant::now();
    let mut waiting = JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        waiting.spawn(async move {
            while began.elapsed() < Duration::from_millis(500) {
                assert!(store.peek(&slot()).await.is_err());
            }
        });
    }
    waiting.join_all().await;
    let attempts = proxy.accepted() - 1;
    let most = began.elapsed().as_millis() / 50 + 2;
    assert!((2..=most as usize).contains(&attempts), "{attempts}");
    server.restart();
    until_it_answers(&store).await;
}

/// A primary and its replica behind a name that leads to the first of them.
async fn pair(start: fn(&[&str]) -> Redis) -> (Redis, Redis, Proxy) {
    let (first, second) = (start(&[]), start(&[]));
    second.follow(&first);
    let proxy = Proxy::to(first.addr()).await;
    (first, second, proxy)
}

/// The replica is promoted, the old primary lives on as its replica, and the name moves.
fn swap(old: &Redis, new: &Redis, proxy: &Proxy) {
    let () = new.ask("REPLICAOF NO ONE");
    let () = old.ask(&format!("REPLICAOF 127.0.0.1 {}", new.port()));
    proxy.lead_to(new.addr());
}

async fn a_failover_costs_the_next_event_no_try(start: fn(&[&str]) -> Redis) {
    let (first, second, proxy) = pair(start).await;
    let seen = Seen::default();
    let layer = SunoCallbackLayer::new(key(), named(&proxy));
    let service = layer.layer(harness::accepting(seen.clone()));
    for (number, (old, new)) in [(&first, &second), (&second, &first)]
        .into_iter()
        .enumerate()
    {
        let before = Callback::success(&format!("before-{number}"), "voice");
        let response = service.clone().oneshot(before.request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        new.follow(old);
        swap(old, new, &proxy);
        for callback in [
            Callback::success(&format!("after-{number}"), "voice"),
            before,
        ] {
            let response = service.clone().oneshot(callback.request()).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
    assert_eq!(seen.len(), 4, "what was replicated is not handled again");
    let old = refusal(&RedisStore::new(second.client())).await;
    assert!(old.contains("is a replica"), "{old}");
}

#[tokio::test]
async fn a_replica_that_was_promoted_is_found_with_the_next_event() {
    a_failover_costs_the_next_event_no_try(Redis::start).await;
}

#[tokio::test]
async fn a_valkey_that_was_promoted_is_found_with_the_next_event() {
    a_failover_costs_the_next_event_no_try(Redis::start_valkey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_valkey_it_keeps_every_law() -> Result<(), LawBroken> {
    let server = Redis::start_valkey(&[]);
    let store = Arc::new(RedisStore::new(server.client()));
    store.check().await.unwrap();
    testkit::all(&store).await
}

#[test]
fn a_connection_whose_runtime_has_ended_is_replaced() {
    let server = Redis::start(&[]);
    let store = RedisStore::new(server.client());
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            // The first may find the connection of the runtime before.
            let _ = store.peek(&slot()).await;
            store.check().await.unwrap();
        });
    }
}
