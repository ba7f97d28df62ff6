//! What a callback pays for its memory: claim and commit, per store.
//!
//! ```sh
//! . tests/servers.sh && servers_start
//! cargo bench -p benches --bench stores
//! ```
//!
//! measures every store:
//!
//! - `single`: one event after the other;
//! - `parallel`: 32 events at a time, each with a slot of its own;
//! - `contended`: 32 tasks claim one slot at once, one commits.
//!
//! With `-- --table` it compares the stores on servers with bare clients; see [`clients`].
//! With `-- --growth` it prints how the cost grows with the number of live slots; see [`growth`].
//! With `-- --memory` it prints what the memory store takes beside a bare map; see [`memory`].
//! PostgreSQL is looked for at `SUNO_TEST_POSTGRES` and Redis at `SUNO_TEST_REDIS`.

mod clients;
mod growth;
mod memory;
mod postgres;
mod redis;
mod sqlite;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use criterion::Criterion;
use suno_callback::store::{Claim, DedupStore, MemoryStore, Owner, Record, SlotKey};
use tokio::{runtime::Runtime, task::JoinSet};

const LEASE: Duration = Duration::from_secs(5);
const RETAIN: Duration = Duration::from_secs(24 * 3600);
const TASKS: u64 = 32;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--table" => return clients::run(&runtime),
            "--growth" => return growth::run(&runtime, args.next()),
            "--memory" => return memory::run(&runtime, args.next()),
            _ => {}
        }
    }
    let mut criterion = Criterion::default().configure_from_args();
    let memory = Arc::new(MemoryStore::with_capacity(200_000));
    bench(&mut criterion, &runtime, "memory", &memory);
    {
        let sqlite = runtime.block_on(sqlite::Sqlite::open());
        bench(&mut criterion, &runtime, "sqlite", &sqlite.store);
    }
    {
        let postgres = runtime.block_on(postgres::Postgres::open());
        bench(&mut criterion, &runtime, "postgres", &postgres.store);
        runtime.block_on(postgres.remove());
    }
    {
        let redis = runtime.block_on(redis::Redis::open());
        bench(&mut criterion, &runtime, "redis", &redis.store);
        runtime.block_on(redis.remove());
    }
    criterion.final_summary();
}

fn bench<D: DedupStore>(criterion: &mut Criterion, runtime: &Runtime, name: &str, store: &Arc<D>) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    group.bench_function("single", |bencher| {
        bencher.iter_custom(|count| {
            timed(runtime, async {
                for _ in 0..count {
                    handle(&**store, slot()).await;
                }
            })
        });
    });
    group.throughput(criterion::Throughput::Elements(TASKS));
    for (way, shared) in [("parallel", false), ("contended", true)] {
        group.bench_function(way, |bencher| {
            bencher.iter_custom(|count| timed(runtime, rounds(store, count, shared)));
        });
    }
    group.finish();
}

fn timed(runtime: &Runtime, work: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    runtime.block_on(work);
    start.elapsed()
}

async fn rounds<D: DedupStore>(store: &Arc<D>, count: u64, shared: bool) {
    for _ in 0..count {
        round(store, shared).await;
    }
}

/// 32 tasks at a time.
pub(crate) async fn round<D: DedupStore>(store: &Arc<D>, shared: bool) {
    let one = slot();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (store, slot) = (Arc::clone(store), if shared { one } else { slot() });
        tasks.spawn(async move { handle(&*store, slot).await });
    }
    let winners = tasks.join_all().await.into_iter().filter(|won| *won);
    assert_eq!(winners.count() as u64, if shared { 1 } else { TASKS });
}

/// Claims, and commits what was granted; says whether it was.
pub(crate) async fn handle<D: DedupStore>(store: &D, slot: SlotKey) -> bool {
    handle_as(store, slot, owner()).await
}

pub(crate) async fn handle_as<D: DedupStore>(store: &D, slot: SlotKey, owner: Owner) -> bool {
    let claim = store.claim(&slot, owner, LEASE).await;
    let Claim::Granted(held) = claim.map_err(Into::into).expect("a claim") else {
        return false;
    };
    // As long as the layer's own.
    let record = Record::try_from(&[7; 42][..]).expect("short enough");
    let commit = store.commit(&slot, &held, &record, RETAIN).await;
    let _ = commit.map_err(Into::into).expect("a commit");
    true
}

pub(crate) fn owner() -> Owner {
    Owner::from(u128::from(next()).to_be_bytes())
}

/// A slot that was not used before, spread as hashes are.
pub(crate) fn slot() -> SlotKey {
    let mut spread = fastrand::Rng::with_seed(next());
    SlotKey::from(std::array::from_fn(|_| spread.u8(..)))
}

/// Bytes as a client of a server writes them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)]);
    digits.collect()
}

fn next() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    COUNTER.fetch_add(1, Relaxed)
}

/// The address of a server. Nothing is skipped: without one the measurement ends here.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        eprintln!(
            "{variable} is not set: `. tests/servers.sh; servers_start` starts a server and sets it"
        );
        std::process::exit(1)
    })
}
