//! The store that the command line names. Each backend is there when its feature is.
//!
//! Whatever is wrong with it is said soon, and before anything is served. A message says where the
//! server is, and nothing else of the URL: there is a password in it.

use std::error::Error;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::time::Duration;

use suno_callback::{AnyStore, MemoryStore, store::DedupStore};

use crate::error::{BoxError, chain};

/// How long a server may take for the first connection.
#[cfg(feature = "postgres")]
const REACH: Duration = Duration::from_secs(4);

/// How long somebody waits for a connection. sqlx would wait 30 s, the layer gives up after one.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const ACQUIRE: Duration = Duration::from_secs(2);

/// Opens the store and tries whether it can do what a callback needs.
pub async fn open(url: &str) -> Result<AnyStore, BoxError> {
    let store = by_scheme(url).await?;
    check(&store).await?;
    Ok(store)
}

pub async fn check(store: &AnyStore) -> Result<(), BoxError> {
    let checked = store.check().await;
    checked.map_err(|error| format!("cannot use the store: {}", chain(&*error)).into())
}

async fn by_scheme(url: &str) -> Result<AnyStore, BoxError> {
    match url.split_once(':').map_or(url, |(scheme, _)| scheme) {
        "memory" => Ok(AnyStore::new(MemoryStore::default())),
        #[cfg(feature = "sqlite")]
        "sqlite" => sqlite(url.trim_start_matches("sqlite:")).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => postgres(url).await,
        #[cfg(feature = "redis")]
        "redis" => redis(url).await,
        _ => Err(format!(
            "--store names no store of this build, which has {}",
            known()
        )
        .into()),
    }
}

fn known() -> String {
    let mut known = vec!["memory"];
    known.extend(cfg!(feature = "sqlite").then_some("sqlite:FILE"));
    known.extend(cfg!(feature = "postgres").then_some("postgres://..."));
    known.extend(cfg!(feature = "redis").then_some("redis://..."));
    known.join(", ")
}

#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "redis")),
    expect(dead_code)
)]
fn cannot<E: Error + 'static>(what: String) -> impl FnOnce(E) -> BoxError {
    move |error| format!("cannot {what}: {}", chain(&error)).into()
}

#[cfg(feature = "sqlite")]
async fn sqlite(file: &str) -> Result<AnyStore, BoxError> {
    use suno_callback::store::SqliteStore;
    let options = SqliteStore::connect_options(file);
    let pool = sqlx::sqlite::SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(ACQUIRE);
    let store = SqliteStore::new(pool.connect_lazy_with(options));
    let ready = store.migrate().await;
    ready.map_err(cannot(format!("use {file:?}")))?;
    Ok(AnyStore::new(store))
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> Result<AnyStore, BoxError> {
    use suno_callback::store::PostgresStore;
    let store = PostgresStore::new(postgres_pool(url).await?);
    let ready = store.migrate().await;
    ready.map_err(cannot("use the PostgreSQL database".into()))?;
    Ok(AnyStore::new(store))
}

#[cfg(feature = "postgres")]
pub async fn postgres_pool(url: &str) -> Result<sqlx::PgPool, BoxError> {
    use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
    let options = url.parse::<PgConnectOptions>();
    let options = options.map_err(cannot("read the URL of --store".into()))?;
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let reach = format!("reach PostgreSQL at {place}");
    // Once by hand: a pool goes on until its time is over, and then does not say what was wrong.
    let reached = tokio::time::timeout(REACH, options.connect()).await;
    let reached = reached.map_err(cannot(reach.clone()))?;
    let reached = reached.map_err(cannot(reach))?;
    reached.close().await?;
    let pool = sqlx::postgres::PgPoolOptions::new().acquire_timeout(ACQUIRE);
    Ok(pool.test_before_acquire(false).connect_lazy_with(options))
}

#[cfg(feature = "redis")]
async fn redis(url: &str) -> Result<AnyStore, BoxError> {
    use suno_callback::{DedupStore, store::RedisStore};
    let client = redis::Client::open(url)?;
    let place = client.get_connection_info().addr().to_string();
    let store = RedisStore::new(client);
    // It says what is missing, and logs what is dangerous about this server.
    let checked = store.check().await;
    checked.map_err(cannot(format!("reach Redis at {place}")))?;
    Ok(AnyStore::new(store))
}
