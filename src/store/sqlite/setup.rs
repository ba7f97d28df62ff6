//! What is done once, before the first callback.

use std::{path::Path, time::Duration};

use sqlx::{
    Row as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use super::{SqliteStore, SqliteStoreError, VERSION, patience::patiently};

impl SqliteStore {
    /// How long a start waits for others that write.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// How to connect to the database file at `path` so that nothing acknowledged is lost.
    ///
    /// The file is created when missing, `synchronous` is `FULL`, and who finds it locked waits
    /// 800 ms, a little less than the layer gives one store operation. [`migrate`](Self::migrate)
    /// does the rest.
    pub fn connect_options(path: impl AsRef<Path>) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_millis(800))
    }

    /// Creates the table where it is missing, and checks all that can be checked before the first
    /// callback. Call it once at the start, in every process; many may do so at the same time. While
    /// another connection writes it waits, for 5 s at most.
    ///
    /// It switches the database to WAL mode, which stays. Cancel safe.
    ///
    /// # Errors
    ///
    /// - [`SqliteStoreError::Database`] when the file cannot be reached or written.
    /// - [`SqliteStoreError::OtherVersion`] when the table is not of this version.
    /// - [`SqliteStoreError::Unsuitable`] for a database in memory, for connections with a
    ///   `synchronous` below `FULL`, and for an SQLite older than 3.42.
    pub async fn migrate(&self) -> Result<(), SqliteStoreError> {
        self.file.check()?;
        match patiently(Self::PATIENCE, || self.make_table()).await {
            Err(SqliteStoreError::Database(error)) => Err(self.explain(error)),
            done => done,
        }
    }

    async fn make_table(&self) -> Result<(), SqliteStoreError> {
        self.check_library().await?;
        self.file.remember();
        self.check_durability().await?;
        let mut transaction = self.pool().begin_with("BEGIN IMMEDIATE").await?;
        let create_version = sqlx::raw_sql(self.statements.create_version.safe());
        create_version.execute(&mut *transaction).await?;
        let version = sqlx::query_scalar(self.statements.version.safe());
        is_ours(&version.fetch_all(&mut *transaction).await?)?;
        let create = sqlx::raw_sql(self.statements.create.safe());
        create.execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Under the lock of a writer, as a check needs it.
    pub(super) async fn check_version(&self) -> Result<(), SqliteStoreError> {
        let rows = self
            .rows(sqlx::query(self.statements.version.safe()))
            .await?;
        let found: Result<Vec<i64>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        is_ours(&found?)
    }

    fn pool(&self) -> &SqlitePool {
        self.connections.pool()
    }

    async fn check_library(&self) -> Result<(), SqliteStoreError> {
        let knows = "SELECT typeof(unixepoch('subsec')) = 'real'";
        match sqlx::query_scalar(knows).fetch_one(self.pool()).await? {
            true => Ok(()),
            false => Err(SqliteStoreError::Unsuitable(
                "SQLite is older than 3.42 and does not know milliseconds",
            )),
        }
    }

    /// Switches to WAL mode.
    async fn check_durability(&self) -> Result<(), SqliteStoreError> {
        let switch = sqlx::query_scalar("PRAGMA journal_mode = WAL");
        let mode: String = switch.fetch_one(self.pool()).await?;
        if mode != "wal" {
            return Err(SqliteStoreError::Unsuitable(
                "it is not a file that can be in WAL mode, so it would forget",
            ));
        }
        let synchronous = sqlx::query_scalar("PRAGMA synchronous");
        let level: i64 = synchronous.fetch_one(self.pool()).await?;
        if level < 2 {
            return Err(SqliteStoreError::Unsuitable(
                "its connections have synchronous below FULL, so a power cut could undo what was \
                 acknowledged; see SqliteStore::connect_options",
            ));
        }
        Ok(())
    }
}

fn is_ours(versions: &[i64]) -> Result<(), SqliteStoreError> {
    match *versions {
        [VERSION] => Ok(()),
        [found] => Err(SqliteStoreError::OtherVersion { found }),
        _ => Err(SqliteStoreError::Unreadable),
    }
}
