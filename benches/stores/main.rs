//! What a callback pays for its memory: claim and commit, per store.
//!
//! `cargo bench --bench stores --all-features` measures
//!
//! - `single`: one event after the other;
//! - `parallel`: 32 events at a time, each with a slot of its own;
//! - `contended`: 32 tasks claim one slot at once, one commits.
//!
//! With `-- --growth` it prints how the cost grows with the number of live slots; see [`growth`].

mod growth;

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
    if args.any(|arg| arg == "--growth") {
        return runtime.block_on(growth::run(args.next()));
    }
    let mut criterion = Criterion::default().configure_from_args();
    bench(
        &mut criterion,
        &runtime,
        "memory",
        MemoryStore::with_capacity(200_000),
    );
    #[cfg(feature = "sqlite")]
    {
        let folder = growth::Folder::new();
        let store = runtime.block_on(growth::sqlite(&folder)).0;
        bench(&mut criterion, &runtime, "sqlite", store);
    }
    // PostgreSQL joins here, under `feature = "postgres"`, at the address in SUNO_TEST_POSTGRES,
    // and Redis under `feature = "redis"`, at the one in SUNO_TEST_REDIS.
    criterion.final_summary();
}

fn bench<D: DedupStore>(criterion: &mut Criterion, runtime: &Runtime, name: &str, store: D) {
    let store = Arc::new(store);
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    group.bench_function("single", |bencher| {
        bencher.iter_custom(|count| {
            timed(runtime, async {
                for _ in 0..count {
                    handle(&*store, slot()).await;
                }
            })
        });
    });
    group.throughput(criterion::Throughput::Elements(TASKS));
    for (way, shared) in [("parallel", false), ("contended", true)] {
        group.bench_function(way, |bencher| {
            bencher.iter_custom(|count| timed(runtime, rounds(&store, count, shared)));
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
        let one = slot();
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let (store, slot) = (Arc::clone(store), if shared { one } else { slot() });
            tasks.spawn(async move { handle(&*store, slot).await });
        }
        let winners = tasks.join_all().await.into_iter().filter(|won| *won);
        assert_eq!(winners.count() as u64, if shared { 1 } else { TASKS });
    }
}

/// Claims, and commits what was granted; says whether it was.
pub(crate) async fn handle<D: DedupStore>(store: &D, slot: SlotKey) -> bool {
    let claim = store.claim(&slot, owner(), LEASE).await;
    let Claim::Granted(held) = claim.map_err(Into::into).expect("a claim") else {
        return false;
    };
    // As long as the layer's own.
    let record = Record::try_from(&[7; 42][..]).expect("short enough");
    let commit = store.commit(&slot, &held, &record, RETAIN).await;
    let _ = commit.map_err(Into::into).expect("a commit");
    true
}

fn owner() -> Owner {
    Owner::from(u128::from(next()).to_be_bytes())
}

/// A slot that was not used before, spread as hashes are.
pub(crate) fn slot() -> SlotKey {
    let mut spread = fastrand::Rng::with_seed(next());
    SlotKey::from(std::array::from_fn(|_| spread.u8(..)))
}

fn next() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    COUNTER.fetch_add(1, Relaxed)
}
