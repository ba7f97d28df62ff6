//! The database: events, jobs and what came of them are in one.

use std::time::Duration;

use apalis::prelude::TaskBuilder;
use apalis_postgres::PostgresStorage;
use apalis_sqlite::SqliteStorage;
use sqlx::{PgPool, SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use suno_callback::{
    AnyStore, Delivery,
    store::{PostgresStore, SqliteStore},
};

use crate::{
    BoxError,
    job::{Download, QUEUE},
};

/// How long somebody waits for a connection: less than the provider waits for an answer.
const ACQUIRE: Duration = Duration::from_secs(2);

/// How long a file that another process writes is waited for: longer than a callback would, because a
/// worker ends at an error of its queue.
const BUSY: Duration = Duration::from_secs(5);

/// What was downloaded. A job that runs twice writes nothing twice.
const DOWNLOADS: &str = "CREATE TABLE IF NOT EXISTS downloads \
    (job text NOT NULL, link text NOT NULL, size bigint NOT NULL, PRIMARY KEY (job, link))";

#[derive(Clone)]
pub enum Database {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Database {
    /// Opens it, and makes the tables that are missing. On PostgreSQL any number of processes may do
    /// so at once; on SQLite, let the first one be ready before the second is started.
    pub async fn open(url: &str) -> Result<Self, BoxError> {
        match url.strip_prefix("sqlite:") {
            Some(file) => Self::open_sqlite(file).await,
            None => Self::open_postgres(url).await,
        }
    }

    async fn open_postgres(url: &str) -> Result<Self, BoxError> {
        let pool = PgPoolOptions::new().acquire_timeout(ACQUIRE);
        let pool = pool.connect(url).await?;
        PostgresStorage::setup(&pool).await?;
        let mut tx = pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('downloads'))")
            .execute(&mut *tx)
            .await?;
        sqlx::query(DOWNLOADS).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Self::Postgres(pool))
    }

    /// Without `SqliteStorage::setup`, which turns `synchronous` off: a job would not survive a
    /// power cut that its event survives.
    async fn open_sqlite(file: &str) -> Result<Self, BoxError> {
        let pool = SqlitePoolOptions::new().acquire_timeout(2 * BUSY);
        let options = SqliteStore::connect_options(file).busy_timeout(BUSY);
        let pool = pool.connect_with(options).await?;
        SqliteStore::new(pool.clone()).migrate().await?; // to WAL mode, before anything else
        SqliteStorage::migrations().run(&pool).await?;
        sqlx::query(DOWNLOADS).execute(&pool).await?;
        Ok(Self::Sqlite(pool))
    }

    /// Where events are remembered.
    pub async fn store(&self) -> Result<AnyStore, BoxError> {
        match self {
            Self::Postgres(pool) => {
                let store = PostgresStore::new(pool.clone());
                store.migrate().await?;
                Ok(AnyStore::new(store))
            }
            // On connections of its own, which are less patient.
            Self::Sqlite(pool) => {
                let options = pool.connect_options();
                let options = SqliteStore::connect_options(options.get_filename());
                let pool = SqlitePoolOptions::new().acquire_timeout(ACQUIRE);
                let pool = pool.connect_lazy_with(options);
                Ok(AnyStore::new(SqliteStore::new(pool)))
            }
        }
    }

    /// Writes a job, once for each event.
    pub async fn push(&self, job: &Download, delivery: &Delivery) -> Result<(), BoxError> {
        let job = TaskBuilder::new(serde_json::to_vec(job)?);
        match self {
            // The job and the record of its event, or neither.
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                let jobs = vec![job.build()];
                apalis_postgres::queries::push_tasks(&mut *tx, QUEUE, jobs).await?;
                delivery.commit_in(&mut tx).await?;
                tx.commit().await?;
            }
            // The record comes after it. Should this process die in between, the event comes again,
            // and the queue has its key already.
            Self::Sqlite(pool) => {
                let key = hex(delivery.slot().as_bytes());
                let jobs = [job.idempotency_key(key).build()];
                let mut connection = pool.acquire().await?;
                apalis_sqlite::queries::push_tasks(&mut *connection, QUEUE, &jobs).await?;
            }
        }
        Ok(())
    }

    /// Notes what a job has brought, once however often it runs.
    pub async fn downloaded(&self, job: &str, link: &str, size: usize) -> Result<(), BoxError> {
        let note = "INSERT INTO downloads VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let size = i64::try_from(size)?;
        match self {
            Self::Postgres(pool) => {
                let note = sqlx::query(note).bind(job).bind(link).bind(size);
                note.execute(pool).await?;
            }
            Self::Sqlite(pool) => {
                let note = sqlx::query(note).bind(job).bind(link).bind(size);
                note.execute(pool).await?;
            }
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
