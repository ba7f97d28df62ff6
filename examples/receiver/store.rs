//! The store that the command line names. Each backend is there when its feature is.

use suno_callback::{AnyStore, MemoryStore};

use crate::BoxError;

pub async fn open(url: &str) -> Result<AnyStore, BoxError> {
    match url.split_once(':').map_or(url, |(scheme, _)| scheme) {
        "memory" => Ok(AnyStore::new(MemoryStore::default())),
        #[cfg(feature = "sqlite")]
        "sqlite" => sqlite(url.trim_start_matches("sqlite:")).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => postgres(url).await,
        #[cfg(feature = "redis")]
        "redis" | "rediss" => redis(url).await,
        other => Err(format!("{other:?} is no store of this build").into()),
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite(file: &str) -> Result<AnyStore, BoxError> {
    use suno_callback::store::SqliteStore;
    let options = SqliteStore::connect_options(file);
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(4);
    let store = SqliteStore::new(pool.connect_with(options).await?);
    store.migrate().await?;
    Ok(AnyStore::new(store))
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> Result<AnyStore, BoxError> {
    use suno_callback::store::PostgresStore;
    let store = PostgresStore::new(sqlx::PgPool::connect(url).await?);
    store.migrate().await?;
    Ok(AnyStore::new(store))
}

#[cfg(feature = "redis")]
async fn redis(url: &str) -> Result<AnyStore, BoxError> {
    use suno_callback::store::RedisStore;
    let client = redis::Client::open(url)?;
    let store = RedisStore::new(client.get_connection_manager().await?);
    let _ = store.check().await?; // which has logged what is dangerous about this server
    Ok(AnyStore::new(store))
}
