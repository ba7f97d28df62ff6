//! SQLite, on a file in the temporary directory.

use std::{path::PathBuf, sync::Arc};

use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};
use suno_callback::store::SqliteStore;

pub(crate) struct Sqlite {
    pub(crate) store: Arc<SqliteStore>,
    pool: SqlitePool,
    folder: Folder,
}

impl Sqlite {
    pub(crate) async fn open() -> Self {
        let folder = Folder::new();
        let options = SqliteStore::connect_options(folder.0.join("callbacks.db"));
        let options = options.busy_timeout(std::time::Duration::from_secs(30));
        let pool = SqlitePoolOptions::new().max_connections(4);
        let pool = pool.connect_with(options).await.expect("a database");
        let store = SqliteStore::new(pool.clone());
        store.migrate().await.expect("a table");
        Self {
            store: Arc::new(store),
            pool,
            folder,
        }
    }

    /// Writes done slots as the store would, a hundred thousand in a transaction.
    pub(crate) async fn fill(&self, size: u64) {
        let mut left = i64::try_from(size).expect("it fits");
        while left > 0 {
            let batch = left.min(100_000);
            let rows = sqlx::query(
                "WITH RECURSIVE row (number) AS (
                     SELECT 1 UNION ALL SELECT number + 1 FROM row WHERE number < ?1
                 )
                 INSERT INTO suno_callback
                     (slot, state, owner, fence, attempt, lease_until, expires_at, record)
                 SELECT randomblob(32), 2, randomblob(16), 1, 1, unixepoch() * 1000,
                     unixepoch() * 1000 + 86400000 + number, randomblob(42)
                 FROM row",
            );
            rows.bind(batch).execute(&self.pool).await.expect("rows");
            left -= batch;
        }
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
        checkpoint.execute(&self.pool).await.expect("a checkpoint");
    }

    pub(crate) fn bytes(&self) -> u64 {
        let files = std::fs::read_dir(&self.folder.0).expect("the folder");
        let sizes = files.map(|file| file.and_then(|file| file.metadata()));
        sizes.map(|file| file.expect("a file").len()).sum()
    }
}

/// A folder that goes away with the measurement.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("suno-callback-bench-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
