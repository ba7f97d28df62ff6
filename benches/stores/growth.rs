//! How a store grows: bytes per entry, and claims with their commits per second, one after the
//! other and 32 at a time, beside so many live slots.
//!
//! `cargo bench -p benches --bench stores -- --growth 10000,1000000`. The stores on disk and on
//! servers are filled in bulk with rows or keys as a commit leaves them; memory takes every slot
//! through a claim and a commit. What is timed are real claims and commits of new slots.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use suno_callback::store::{DedupStore, MemoryStore};
use tokio::runtime::Runtime;

use crate::{TASKS, handle, memory::resident, round, slot};

/// How long claims are counted for.
const WATCHED: Duration = Duration::from_secs(3);

/// From here on a server's store takes minutes to fill.
const LARGEST_ON_SERVERS: u64 = 1_000_000;

/// Each size in a process of its own, or memory that one has given back would hide in the next.
pub(crate) fn run(runtime: &Runtime, sizes: Option<String>) {
    let sizes = sizes.unwrap_or_else(|| "10000,1000000".into());
    if let Ok(size) = sizes.parse() {
        return runtime.block_on(measure(size));
    }
    println!(
        "{:<8} {:>11} {:>11} {:>11} {:>14}",
        "store", "live slots", "bytes/slot", "claims/s", "claims/s at 32"
    );
    for size in sizes.split(',') {
        let this = std::env::current_exe().expect("this program");
        let status = Command::new(this).args(["--growth", size]).status();
        if !status.expect("it starts").success() {
            std::process::exit(1);
        }
    }
}

async fn measure(size: u64) {
    memory(size).await;
    {
        let sqlite = crate::sqlite::Sqlite::open().await;
        sqlite.fill(size).await;
        row("sqlite", size, sqlite.bytes(), &sqlite.store).await;
    }
    if size <= LARGEST_ON_SERVERS {
        let postgres = crate::postgres::Postgres::open().await;
        postgres.fill(size).await;
        row("postgres", size, postgres.bytes().await, &postgres.store).await;
        postgres.remove().await;
    }
    if size <= LARGEST_ON_SERVERS {
        let redis = crate::redis::Redis::open().await;
        let before = redis.bytes().await;
        redis.fill(size).await;
        let bytes = redis.bytes().await.saturating_sub(before);
        row("redis", size, bytes, &redis.store).await;
        redis.remove().await;
    }
}

async fn memory(size: u64) {
    let before = resident();
    let store = MemoryStore::with_capacity(usize::try_from(size).expect("it fits") * 2);
    for _ in 0..size {
        handle(&store, slot()).await;
    }
    let bytes = resident().saturating_sub(before);
    // In the store's own room, whose entries nobody drops to make more.
    row("memory", size, bytes, &Arc::new(store)).await;
}

async fn row<D: DedupStore>(name: &str, size: u64, bytes: u64, store: &Arc<D>) {
    let single = async || assert!(handle(&**store, slot()).await);
    let single = rate(1, single).await;
    let parallel = rate(TASKS, async || round(store, false).await).await;
    let bytes = bytes / size;
    println!("{name:<8} {size:>11} {bytes:>11} {single:>11.0} {parallel:>14.0}");
}

/// How many events are handled in a second, with so many in each piece of `work`.
async fn rate(events: u64, work: impl AsyncFn()) -> f64 {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < WATCHED {
        work().await;
        count += events;
    }
    count as f64 / start.elapsed().as_secs_f64()
}
