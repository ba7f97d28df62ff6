//! PostgreSQL fails over: a synchronous replica is promoted, the name follows, and the old primary
//! lives on read-only. Every test has servers of its own.

use std::time::{Duration, Instant};

use harness::{
    Receiver, Seen, key,
    proxy::Proxy,
    server::{PgBouncer, Postgres},
};
use http::StatusCode;
use sqlx::{PgPool, Row, postgres::PgConnectOptions, raw_sql};
use suno_callback::{
    DedupStore, SunoCallbackLayer,
    store::{Claim, Owner, PostgresStore, PostgresStoreError, SlotKey},
};
use tokio::{
    runtime::Handle,
    task::{JoinSet, spawn_blocking},
    time::sleep,
};
use tower::Layer;

use crate::failover::{self, Outcome};
use crate::postgres_outages::{
    at, committing, effects, idle, migrated, pool, receiver, send, warm,
};

/// How many a PgBouncer of the harness has with its server, at most.
const SESSIONS: u32 = 5;

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
        // `local` on the server's line is for what had to be written before.
        let durable = "ALTER ROLE postgres SET synchronous_commit = on";
        raw_sql(durable).execute(&direct).await.unwrap();
        let name = Proxy::to(old.addr()).await;
        Self { old, new, name }
    }

    fn options(&self) -> PgConnectOptions {
        at(&self.old.url()).port(self.name.addr().port())
    }

    /// A pooler in front of the name.
    fn pooler(&self) -> PgBouncer {
        let known = "ignore_startup_parameters = extra_float_digits";
        PgBouncer::start(self.name.addr(), &[known])
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

/// Sends 50 events a second before, through and after it.
async fn fails_over_under_load(
    cluster: Cluster,
    receiver: Receiver<PostgresStore>,
    seen: Seen,
) -> (Outcome, Cluster) {
    let runtime = Handle::current();
    let faults = move |load: &failover::Load| {
        load.goes_on();
        let cluster = load.during(|| runtime.block_on(cluster.fail_over()));
        load.goes_on();
        cluster
    };
    failover::load(receiver, seen, faults).await
}

/// Effect and record are one transaction of the handler's, which may fail and be tried again.
async fn commits_each_event_once(what: &str, cluster: Cluster, options: PgConnectOptions) {
    let (pool, seen) = (pool(options, true), Seen::default());
    let store = migrated(&pool).await;
    let handler = committing(pool.clone(), seen.clone());
    let receiver = SunoCallbackLayer::new(key(), store.clone()).layer(handler);
    let (outcome, cluster) = fails_over_under_load(cluster, receiver, seen).await;
    assert_eq!(outcome.loses_nothing(what, store).await, 0);
    let found = effects(&PgPool::connect(&cluster.new.url()).await.unwrap()).await;
    assert_eq!(found.len(), outcome.tasks().count(), "effects of {what}");
    for task in outcome.tasks() {
        assert_eq!(found.get(task), Some(&1), "effects of {task}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_under_50_events_a_second_loses_none() {
    let cluster = Cluster::start().await;
    let options = cluster.options();
    commits_each_event_once("postgres", cluster, options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_behind_pgbouncer_loses_no_event_that_its_handler_commits() {
    let cluster = Cluster::start().await;
    let pooler = cluster.pooler();
    let what = "pgbouncer, commit_in";
    commits_each_event_once(what, cluster, at(&pooler.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_behind_pgbouncer_runs_each_event_once_that_the_layer_commits() {
    let cluster = Cluster::start().await;
    let pooler = cluster.pooler();
    let (store, seen) = (
        migrated(&pool(at(&pooler.url()), true)).await,
        Seen::default(),
    );
    let receiver = failover::receiver(store.clone(), &seen);
    let (outcome, _cluster) = fails_over_under_load(cluster, receiver, seen).await;
    assert_eq!(outcome.loses_nothing("pgbouncer", store).await, 0);
    for task in outcome.tasks() {
        assert_eq!(outcome.runs_of(task), 1, "runs of {task}");
    }
}

/// As many sessions of a pooler as it may have are with the server of now, and idle.
async fn fill(pool: &PgPool) {
    let mut sessions = JoinSet::new();
    for _ in 0..SESSIONS {
        let pool = pool.clone();
        sessions.spawn(async move { raw_sql("SELECT pg_sleep(0.2)").execute(&pool).await });
    }
    assert!(sessions.join_all().await.iter().all(Result::is_ok));
    idle(pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_the_first_try_is_200_though_a_pooler_has_sessions_with_the_old_primary() {
    let cluster = Cluster::start().await;
    let pooler = cluster.pooler();
    let (pool, seen) = (pool(at(&pooler.url()), true), Seen::default());
    let receiver = failover::receiver(migrated(&pool).await, &seen);
    fill(&pool).await;
    let _cluster = cluster.fail_over().await;
    assert_eq!(send(&receiver, "after").await, StatusCode::OK);
    assert_eq!(seen.len(), 1);
}

/// A probe may be all that asks, because it says that nobody else should.
#[tokio::test(flavor = "multi_thread")]
async fn checks_alone_find_the_new_primary_also_behind_a_pooler() {
    let cluster = Cluster::start().await;
    let pooler = cluster.pooler();
    let pools = [cluster.options(), at(&pooler.url())];
    let [direct, pooled] = pools.map(|options| pool(options, true));
    let stores = [migrated(&direct).await, migrated(&pooled).await];
    fill(&direct).await;
    fill(&pooled).await;
    // A pool opens another where one that was lent is not back yet; a pooler keeps to its bound.
    let sessions = [direct.size(), SESSIONS];
    let _cluster = cluster.fail_over().await;
    for (store, sessions) in stores.into_iter().zip(sessions) {
        // A session whose end is not answered in time is met again.
        store.set_operation_timeout(Duration::from_secs(30));
        let mut failed = 0;
        while let Err(error) = store.check().await {
            assert!(failed < sessions, "check {failed} of {sessions}: {error}");
            failed += 1;
        }
        assert!(failed > 0, "no session was with the old primary");
    }
}

/// On one thread a connection is back in its pool no sooner than whoever had it waits for something
/// else, so that an end that is sent over another meets another session.
#[tokio::test]
async fn a_check_ends_the_very_session_that_cannot_write() {
    let cluster = Cluster::start().await;
    let pool = pool(cluster.options(), true);
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    idle(&pool).await;
    assert_eq!(pool.size(), 1);
    let _cluster = cluster.fail_over().await;
    store.set_operation_timeout(Duration::from_secs(30));
    let error = store.check().await.unwrap_err();
    let is_read_only = matches!(error, PostgresStoreError::ReadOnly { standby: false });
    assert!(is_read_only, "{error}");
    store.check().await.unwrap();
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
