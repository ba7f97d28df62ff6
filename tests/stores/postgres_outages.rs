//! PostgreSQL restarts, is forgotten by the network, and stands behind a pooler. Every test has servers
//! of its own.

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
    Callback, Handler, Receiver, Seen, answer, handling, key,
    proxy::Proxy,
    server::{PgBouncer, Postgres},
    spawn_send,
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
    store::{PostgresStore, SlotKey},
};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};
use tower::{BoxError, Layer, ServiceExt, service_fn};

const WARM: u32 = 10;

/// Ten connections, none of which is tested before it is lent unless `tested`.
pub fn pool(options: PgConnectOptions, tested: bool) -> PgPool {
    PgPoolOptions::new()
        .max_connections(WARM)
        .test_before_acquire(tested)
        .connect_lazy_with(options)
}

pub fn at(url: &str) -> PgConnectOptions {
    url.parse().unwrap()
}

/// Until none is lent.
pub async fn idle(pool: &PgPool) {
    let is_idle = || pool.size() > 0 && pool.num_idle() == pool.size() as usize;
    harness::until("every connection is back in the pool", is_idle).await;
}

/// As many idle connections as the pool can have.
pub async fn warm(pool: &PgPool) {
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

pub async fn migrated(pool: &PgPool) -> PostgresStore {
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    let effects = "CREATE TABLE IF NOT EXISTS effects (task_id text NOT NULL)";
    raw_sql(effects).execute(pool).await.unwrap();
    store
}

/// A handler that writes its effect and the record in one transaction.
pub fn committing(pool: PgPool, seen: Seen) -> Handler {
    Handler::new(service_fn(move |request: Request<Full<Bytes>>| {
        seen.push(&request);
        let pool = pool.clone();
        async move {
            let status = match effect(&pool, &request).await {
                Ok(()) => StatusCode::OK,
                Err(error) => {
                    println!("the handler failed: {error}");
                    StatusCode::SERVICE_UNAVAILABLE
                }
            };
            Ok(answer(status))
        }
    }))
}

pub fn receiver(store: PostgresStore, pool: PgPool) -> Receiver<PostgresStore> {
    SunoCallbackLayer::new(key(), store).layer(committing(pool, Seen::default()))
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

pub async fn effects(pool: &PgPool) -> HashMap<String, i64> {
    let count = "SELECT task_id, count(*) FROM effects GROUP BY task_id";
    let rows = raw_sql(count).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

pub async fn send(service: &Receiver<PostgresStore>, task: &str) -> StatusCode {
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

/// At the worst moment for half of them, whose handlers end while nothing can be written. A twin of
/// each event waits at another replica for its chance.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_within_a_lease_lets_no_event_run_twice() {
    const EVENTS: usize = 12;
    let server = Postgres::start();
    let pools = [(); 2].map(|()| pool(at(&server.url()), true));
    let seen = Seen::default();
    let (early, late) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let mut replicas = Vec::new();
    for pool in &pools {
        let ends = [Arc::clone(&early), Arc::clone(&late)];
        let begun = Arc::new(AtomicUsize::new(0));
        let handler = handling(seen.clone(), move |_| {
            let end = Arc::clone(&ends[begun.fetch_add(1, SeqCst) % 2]);
            async move {
                let _ = end.acquire().await; // closed when they may end
                StatusCode::OK
            }
        });
        let store = migrated(pool).await;
        replicas.push(SunoCallbackLayer::new(key(), store).layer(handler));
    }
    let events = (0..EVENTS).map(|number| Callback::success(&format!("task-{number}"), "voice"));
    let events: Vec<_> = events.collect();
    let sent = |replica: usize| events.iter().map(move |it| (replica, it));
    let spawn = |(replica, event): (usize, &Callback)| spawn_send(&replicas[replica], event);
    let mut replies: Vec<_> = sent(0).map(spawn).collect();
    harness::until("all are being handled", || seen.len() == EVENTS).await;
    let mut lock = PgPool::connect(&server.url())
        .await
        .unwrap()
        .begin()
        .await
        .unwrap();
    let locking = raw_sql("LOCK TABLE suno_callback").execute(&mut *lock);
    locking.await.unwrap();
    replies.extend(sent(1).map(spawn));
    early.close();
    sleep(Duration::from_millis(3500)).await;
    lock.rollback().await.unwrap();
    late.close();
    for reply in replies {
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(seen.len(), EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_with_the_settings_that_the_documentation_names_all_is_well() {
    let server = Postgres::start();
    let strict = PgBouncer::start(server.addr(), &[]);
    let refused = PostgresStore::new(pool(at(&strict.url()), true))
        .migrate()
        .await;
    let text = with_causes(&refused.unwrap_err());
    assert!(text.contains("extra_float_digits"), "{text}");

    // Either the pooler ignores it, or the client does not send it.
    let lenient = PgBouncer::start(
        server.addr(),
        &["ignore_startup_parameters = extra_float_digits"],
    );
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
