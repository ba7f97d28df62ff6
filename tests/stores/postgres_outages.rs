//! PostgreSQL restarts, fails over, is forgotten by the network, and stands behind a pooler. Every
//! test has servers of its own.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use harness::{
    Callback, answer, key,
    proxy::Proxy,
    server::{PgBouncer, Postgres},
};
use http::{Request, StatusCode};
use http_body_util::Full;
use sqlx::{
    PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};
use suno_callback::{
    DedupStore, Delivery, SunoCallbackLayer, VoiceEvent,
    store::{Claim, Owner, PostgresStore, PostgresStoreError, SlotKey},
};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{interval, sleep, timeout},
};
use tower::{BoxError, Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

const WARM: u32 = 10;

/// Ten connections, none of which is tested before it is lent unless `tested`.
fn pool(options: PgConnectOptions, tested: bool) -> PgPool {
    PgPoolOptions::new()
        .max_connections(WARM)
        .test_before_acquire(tested)
        .connect_lazy_with(options)
}

fn at(url: &str) -> PgConnectOptions {
    url.parse().unwrap()
}

/// Until none is lent.
async fn idle(pool: &PgPool) {
    let is_idle = || pool.size() > 0 && pool.num_idle() == pool.size() as usize;
    harness::until("every connection is back in the pool", is_idle).await;
}

/// As many idle connections as the pool can have.
async fn warm(pool: &PgPool) {
    let mut all = Vec::new();
    for _ in 0..WARM {
        all.push(pool.acquire().await.unwrap());
    }
    drop(all);
    let end = Instant::now() + Duration::from_secs(20);
    while pool.num_idle() < WARM as usize {
        assert!(Instant::now() < end, "the pool must be full");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn migrated(pool: &PgPool) -> PostgresStore {
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    let effects = "CREATE TABLE IF NOT EXISTS effects (task_id text NOT NULL)";
    raw_sql(effects).execute(pool).await.unwrap();
    store
}

type Response = http::Response<suno_callback::ResponseBody<Full<Bytes>>>;
type Service = BoxCloneSyncService<Request<Full<Bytes>>, Response, BoxError>;

/// A handler that writes its effect and the record in one transaction.
fn receiver(store: PostgresStore, pool: PgPool) -> Service {
    let handler = service_fn(move |request: Request<Full<Bytes>>| {
        let pool = pool.clone();
        async move {
            let status = match effect(&pool, &request).await {
                Ok(()) => StatusCode::OK,
                Err(error) => {
                    println!("the handler failed: {error}");
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            };
            Ok::<_, BoxError>(answer(status))
        }
    });
    let layer = SunoCallbackLayer::new(key(), store);
    BoxCloneSyncService::new(layer.layer(handler))
}

async fn effect(pool: &PgPool, request: &Request<Full<Bytes>>) -> Result<(), BoxError> {
    let event: VoiceEvent = request.extensions().get().cloned().unwrap();
    let delivery: Delivery = request.extensions().get().cloned().unwrap();
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO effects VALUES ($1)")
        .bind(event.task_id().as_str())
        .persistent(false)
        .execute(&mut *tx)
        .await?;
    delivery.commit_in(&mut tx).await?;
    Ok(tx.commit().await?)
}

async fn effects(pool: &PgPool) -> HashMap<String, i64> {
    let count = "SELECT task_id, count(*) FROM effects GROUP BY task_id";
    let rows = raw_sql(count).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn send(service: &Service, task: &str) -> StatusCode {
    let request = Callback::success(task, "voice").request();
    service.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_first_try_is_200_though_every_pooled_connection_is_dead() {
    let mut server = Postgres::start();
    for tested in [true, false] {
        let pool = pool(at(&server.url()), tested);
        let service = receiver(migrated(&pool).await, pool.clone());
        warm(&pool).await;
        server = spawn_blocking(move || {
            server.restart_immediately(Duration::ZERO);
            server
        })
        .await
        .unwrap();
        assert_eq!(
            pool.num_idle(),
            WARM as usize,
            "they must be dead and pooled"
        );
        let task = format!("tested-{tested}");
        assert_eq!(send(&service, &task).await, StatusCode::OK, "{task}");
        assert_eq!(effects(&pool).await.get(&task), Some(&1));
    }
}

/// A NAT or a load balancer forgot them: they take everything and answer nothing.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_cost_no_event_its_first_try() {
    let server = Postgres::start();
    for tested in [true, false] {
        let proxy = Proxy::to(server.addr()).await;
        let pool = pool(at(&server.url()).port(proxy.addr().port()), tested);
        let service = receiver(migrated(&pool).await, pool.clone());
        warm(&pool).await;
        proxy.forget();
        let mut events = JoinSet::new();
        for number in 0..20 {
            let service = service.clone();
            events.spawn(async move { send(&service, &format!("{tested}-{number}")).await });
        }
        assert_eq!(events.join_all().await, [StatusCode::OK; 20], "{tested}");
        assert_eq!(send(&service, &format!("{tested}-after")).await, 200);
    }
    let pool = pool(at(&server.url()), true);
    let effects = effects(&pool).await;
    assert_eq!((effects.len(), effects.values().sum::<i64>()), (42, 42));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hung_operation_condemns_all_idle_connections() {
    let server = Postgres::start();
    let proxy = Proxy::to(server.addr()).await;
    let pool = pool(at(&server.url()).port(proxy.addr().port()), false);
    let store = migrated(&pool).await;
    warm(&pool).await;
    proxy.forget();
    let slot = SlotKey::from([1; 32]);
    // As the layer does, after the time of one operation.
    let hung = timeout(Duration::from_secs(1), store.peek(&slot)).await;
    assert!(hung.is_err(), "it must hang");
    assert_eq!(pool.size(), 0);
    let next = timeout(Duration::from_secs(10), store.peek(&slot)).await;
    assert_eq!(next.expect("a new connection").unwrap(), None);
}

/// The pool asks whatever it takes back whether it still lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_as_it_is_given_back_keeps_no_place_in_the_pool() {
    let server = Postgres::start();
    migrated(&pool(at(&server.url()), true)).await;
    let proxy = Arc::new(Proxy::to(server.addr()).await);
    let (line, given_back) = (Arc::clone(&proxy), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&given_back);
    let only_one = PgPoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .after_release(move |_, _| {
            if count.fetch_add(1, SeqCst) == 0 {
                line.forget();
            }
            Box::pin(async { Ok(true) })
        });
    let options = at(&server.url()).port(proxy.addr().port());
    let store = PostgresStore::new(only_one.connect_lazy_with(options));
    let slot = SlotKey::from([1; 32]);
    assert_eq!(store.peek(&slot).await.unwrap(), None);
    let next = timeout(Duration::from_secs(20), store.peek(&slot)).await;
    assert_eq!(next.expect("a new connection").unwrap(), None);
    assert!(given_back.load(SeqCst) > 0);
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_operation_closes_its_connection_and_spares_the_others() {
    let server = Postgres::start();
    let pool = pool(at(&server.url()), false);
    let store = migrated(&pool).await;
    warm(&pool).await;
    let mut lock = pool.begin().await.unwrap();
    raw_sql("LOCK TABLE suno_callback")
        .execute(&mut *lock)
        .await
        .unwrap();
    let slot = SlotKey::from([1; 32]);
    // A peer that hangs up at once.
    let dropped = timeout(Duration::from_millis(20), store.peek(&slot)).await;
    assert!(dropped.is_err(), "the table is locked");
    assert_eq!(pool.size(), WARM - 1);
    lock.rollback().await.unwrap();
    // Its server process waits for the lock no longer than an operation may take.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%suno_callback%' \
                   AND wait_event_type = 'Lock'";
    let end = Instant::now() + Duration::from_secs(20);
    while raw_sql(waiting)
        .fetch_one(&pool)
        .await
        .unwrap()
        .get::<i64, _>(0)
        > 0
    {
        assert!(Instant::now() < end, "a server process waits on");
    }
}

/// A primary, a replica that has everything that was acknowledged, and the name of the primary.
struct Cluster {
    old: Postgres,
    new: Postgres,
    name: Proxy,
}

impl Cluster {
    async fn start() -> Self {
        let (old, new) = spawn_blocking(|| {
            let old =
                Postgres::start_with(&["synchronous_standby_names=*", "synchronous_commit=local"]);
            let new = old.start_replica(&["synchronous_standby_names="]);
            (old, new)
        })
        .await
        .unwrap();
        let direct = pool(at(&old.url()), true);
        let end = Instant::now() + Duration::from_secs(30);
        let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        while raw_sql(synchronous)
            .fetch_one(&direct)
            .await
            .unwrap()
            .get::<i64, _>(0)
            == 0
        {
            assert!(Instant::now() < end, "the replica must stream");
            sleep(Duration::from_millis(20)).await;
        }
        let name = Proxy::to(old.addr()).await;
        Self { old, new, name }
    }

    fn options(&self) -> PgConnectOptions {
        let options = at(&self.old.url()).port(self.name.addr().port());
        // `local` on the server's line is for what the harness does itself.
        options.options([("synchronous_commit", "on")])
    }

    /// The old primary lives on, read-only.
    async fn end_old(&self) {
        let direct = pool(at(&self.old.url()), true);
        for change in [
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        ] {
            raw_sql(change).execute(&direct).await.unwrap();
        }
    }

    async fn fail_over(self) -> Self {
        self.end_old().await;
        let old = at(&self.old.url());
        let cluster = spawn_blocking(move || {
            self.new.promote();
            self.name.lead_to(self.new.addr());
            self
        })
        .await
        .unwrap();
        // What was written as the old primary became read-only waits there for a replica that it has
        // no longer; whoever moves a name ends such sessions.
        let waiting = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                       WHERE wait_event = 'SyncRep'";
        let direct = pool(old, true);
        for _ in 0..10 {
            raw_sql(waiting).execute(&direct).await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
        cluster
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_the_first_try_is_200_though_the_old_primary_lives_on_read_only() {
    let cluster = Cluster::start().await;
    let pool = pool(cluster.options(), true);
    let service = receiver(migrated(&pool).await, pool.clone());
    warm(&pool).await;
    assert_eq!(send(&service, "before").await, StatusCode::OK);
    let cluster = cluster.fail_over().await;
    assert_eq!(send(&service, "after").await, StatusCode::OK);
    assert_eq!(send(&service, "before").await, StatusCode::OK);
    let new = PgPool::connect(&cluster.new.url()).await.unwrap();
    let found = effects(&new).await;
    assert_eq!(
        (found.len(), found.values().sum::<i64>()),
        (2, 2),
        "{found:?}"
    );
}

/// As the provider sends: a first try and three more, which wait for the answer.
async fn provide(service: Service, task: String, refused: Arc<AtomicUsize>) -> bool {
    for attempt in 0..4 {
        if attempt > 0 {
            sleep(Duration::from_secs(1)).await;
        }
        let status = send(&service, &task).await;
        if status == StatusCode::OK {
            return true;
        }
        if attempt == 0 {
            refused.fetch_add(1, SeqCst);
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_under_50_events_a_second_loses_none() {
    let cluster = Cluster::start().await;
    let pool = pool(cluster.options(), true);
    let service = receiver(migrated(&pool).await, pool.clone());
    let refused = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn({
        let refused = Arc::clone(&refused);
        async move {
            let (mut events, mut pace) = (JoinSet::new(), interval(Duration::from_millis(20)));
            for number in 0..250 {
                pace.tick().await;
                let (service, refused) = (service.clone(), Arc::clone(&refused));
                let task = format!("task-{number}");
                events.spawn(async move { provide(service, task, refused).await });
            }
            events.join_all().await
        }
    });
    let direct = PgPool::connect(&cluster.old.url()).await.unwrap();
    while effects(&direct).await.len() < 50 {
        sleep(Duration::from_millis(20)).await;
    }
    let cluster = cluster.fail_over().await;
    let acknowledged = load.await.unwrap();
    let new = PgPool::connect(&cluster.new.url()).await.unwrap();
    let found = effects(&new).await;
    println!(
        "failover: {} of {} events at the new primary, {} first tries refused",
        found.len(),
        acknowledged.len(),
        refused.load(SeqCst)
    );
    assert!(acknowledged.iter().all(|&it| it), "an event was lost");
    assert_eq!(
        found.len(),
        acknowledged.len(),
        "an acknowledged event was lost"
    );
    assert!(found.values().all(|&count| count == 1), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_with_the_settings_that_the_documentation_names_all_is_well() {
    let server = Postgres::start();
    let strict = PgBouncer::start(&server, &[]);
    let refused = PostgresStore::new(pool(at(&strict.url()), true))
        .migrate()
        .await;
    let text = with_causes(&refused.unwrap_err());
    assert!(text.contains("extra_float_digits"), "{text}");

    // Either the pooler ignores it, or the client does not send it.
    let lenient = PgBouncer::start(&server, &["ignore_startup_parameters = extra_float_digits"]);
    for options in [
        at(&lenient.url()),
        at(&strict.url()).extra_float_digits(None),
    ] {
        let pool = pool(options, true);
        let store = migrated(&pool).await;
        store.check().await.unwrap();
        let service = receiver(store, pool.clone());
        let mut events = JoinSet::new();
        for number in 0..40 {
            let (service, port) = (service.clone(), pool.connect_options().get_port());
            events.spawn(async move { send(&service, &format!("{port}-{number}")).await });
        }
        assert_eq!(events.join_all().await, [StatusCode::OK; 40]);
    }
    let effects = effects(&pool(at(&server.url()), true)).await;
    assert_eq!((effects.len(), effects.values().sum::<i64>()), (80, 80));
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_a_standby_and_a_server_that_does_not_answer() {
    let cluster = Cluster::start().await;
    let pool = pool(cluster.options(), true);
    let (store, slot) = (migrated(&pool).await, SlotKey::from([1; 32]));
    store.check().await.unwrap();
    // A connection goes back to the pool behind the answer; one that falls silent on its way is
    // closed there, and the next check would open another.
    idle(&pool).await;
    cluster.name.lead_to(cluster.new.addr());
    cluster.name.forget();
    let silent = store.check().await.unwrap_err();
    assert!(matches!(silent, PostgresStoreError::NoAnswer), "{silent}");
    let standby = store.check().await.unwrap_err();
    assert!(standby.to_string().contains("standby"), "{standby}");
    let claim = store.claim(&slot, Owner::from([1; 16]), Duration::from_secs(5));
    let text = claim.await.unwrap_err().to_string();
    assert!(text.contains("read-only"), "{text}");
    cluster.name.lead_to(cluster.old.addr());
    store.check().await.unwrap();
    let claim = store.claim(&slot, Owner::from([1; 16]), Duration::from_secs(5));
    assert!(matches!(claim.await.unwrap(), Claim::Granted(_)));
}
