//! How a store grows: bytes per entry, and claims with their commits per second, beside so many
//! live slots.
//!
//! `cargo bench --bench stores --features sqlite -- --growth 10000,1000000,10000000`; without
//! numbers, the first two.

use std::time::{Duration, Instant};

use suno_callback::store::{DedupStore, MemoryStore};

use crate::{handle, slot};

/// How long claims are counted for.
const WATCHED: Duration = Duration::from_secs(3);

pub(crate) async fn run(sizes: Option<String>) {
    let sizes = sizes.unwrap_or_else(|| "10000,1000000".into());
    println!(
        "{:<8} {:>12} {:>12} {:>12}",
        "store", "live slots", "bytes/slot", "claims/s"
    );
    let sizes = sizes
        .split(',')
        .map(|size| size.parse().expect("sizes like 10000,1000000"));
    for size in sizes {
        memory(size).await;
        #[cfg(feature = "sqlite")]
        on_sqlite(size).await;
    }
}

async fn memory(size: u64) {
    let before = resident();
    let store = MemoryStore::with_capacity(usize::try_from(size).expect("it fits") * 2);
    for _ in 0..size {
        handle(&store, slot()).await;
    }
    let bytes = resident().saturating_sub(before);
    row("memory", size, bytes, rate(&store).await);
}

/// Claims with their commits in a second, one after the other.
async fn rate<D: DedupStore>(store: &D) -> f64 {
    let start = Instant::now();
    let mut count = 0.0;
    while start.elapsed() < WATCHED {
        for _ in 0..16 {
            handle(store, slot()).await;
            count += 1.0;
        }
    }
    count / start.elapsed().as_secs_f64()
}

fn row(store: &str, size: u64, bytes: u64, rate: f64) {
    println!("{store:<8} {size:>12} {:>12} {rate:>12.0}", bytes / size);
}

/// The memory of this process, in bytes; zero where `/proc` does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(feature = "sqlite")]
pub(crate) use self::on_file::{Folder, sqlite};

#[cfg(feature = "sqlite")]
async fn on_sqlite(size: u64) {
    let folder = Folder::new();
    let (store, pool) = sqlite(&folder).await;
    on_file::fill(&pool, size).await;
    row("sqlite", size, folder.size(), rate(&store).await);
}

#[cfg(feature = "sqlite")]
mod on_file {
    use std::path::PathBuf;

    use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};
    use suno_callback::store::SqliteStore;

    /// A folder that goes away with the measurement.
    pub(crate) struct Folder(PathBuf);

    impl Folder {
        pub(crate) fn new() -> Self {
            let name = format!("suno-callback-bench-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).expect("a folder");
            Self(path)
        }

        pub(crate) fn size(&self) -> u64 {
            let files = std::fs::read_dir(&self.0).expect("the folder");
            let sizes = files.map(|file| file.and_then(|file| file.metadata()));
            sizes.map(|file| file.expect("a file").len()).sum()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    pub(crate) async fn sqlite(folder: &Folder) -> (SqliteStore, SqlitePool) {
        let options = SqliteStore::connect_options(folder.0.join("callbacks.db"));
        let options = options.busy_timeout(std::time::Duration::from_secs(30));
        let pool = SqlitePoolOptions::new().max_connections(4);
        let pool = pool.connect_with(options).await.expect("a database");
        let store = SqliteStore::new(pool.clone());
        store.migrate().await.expect("a table");
        (store, pool)
    }

    /// Writes done slots as the store would, a hundred thousand in a transaction.
    pub(crate) async fn fill(pool: &SqlitePool, size: u64) {
        let mut left = i64::try_from(size).expect("it fits");
        while left > 0 {
            let batch = left.min(100_000);
            let rows = sqlx::query(
                "WITH RECURSIVE row (number) AS (
                     SELECT 1 UNION ALL SELECT number + 1 FROM row WHERE number < ?1
                 )
                 INSERT INTO suno_callback
                     (slot, state, owner, fence, attempt, lease_until, expires_at, record)
                 SELECT randomblob(32), 2, randomblob(16), 1, 1, 0,
                     unixepoch() * 1000 + 86400000 + number, randomblob(42)
                 FROM row",
            );
            rows.bind(batch).execute(pool).await.expect("rows");
            left -= batch;
        }
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
        checkpoint.execute(pool).await.expect("a checkpoint");
    }
}
