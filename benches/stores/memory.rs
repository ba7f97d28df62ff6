//! The memory store alone, beside a map that does nothing but hold the same.
//!
//! `cargo bench -p benches --bench stores -- --memory 10000,1000000` (10000000 takes minutes and
//! 4 GB) prints for each size:
//!
//! - what a slot takes, as the process grows while it claims and commits so many;
//! - the slowest single operation of that, among those in which the system ran nothing else;
//! - claim and commit of an event on the way to so many live ones, growth included: the store, and
//!   in turns with it a `DashMap` of the same value that neither expires nor is bounded; the
//!   median of the ratios;
//! - the ratio when each is full and another event comes for one that goes.

use std::{
    collections::VecDeque,
    process::Command,
    time::{Duration, Instant},
};

use dashmap::{DashMap, Entry};
use futures_util::FutureExt;
use suno_callback::store::{Claim, DedupStore, MemoryStore, Owner, Record, SlotKey};
use tokio::runtime::Runtime;

const LEASE: Duration = Duration::from_secs(5);
const RETAIN: Duration = Duration::from_secs(24 * 3600);

/// Events in one measurement.
const ROUND: u64 = 10_000;

/// Each size in a process of its own, or memory that one has given back would hide in the next.
pub(crate) fn run(runtime: &Runtime, sizes: Option<String>) {
    let sizes = sizes.unwrap_or_else(|| "10000,1000000".into());
    if let Ok(size) = sizes.parse() {
        return runtime.block_on(measure(size));
    }
    println!(
        "{:>11} {:>10} {:>10} {:>8} {:>11} {:>6} {:>11}",
        "live slots", "bytes/slot", "slowest us", "ns", "dashmap ns", "ratio", "ratio, full"
    );
    for size in sizes.split(',') {
        let this = std::env::current_exe().expect("this program");
        let status = Command::new(this).args(["--memory", size]).status();
        if !status.expect("it starts").success() {
            std::process::exit(1);
        }
    }
}

async fn measure(size: u64) {
    let mut keys = Keys(fastrand::Rng::with_seed(size));
    let (bytes, slowest) = alone(size, &mut keys).await;
    let (store, map) = (store(size), DashMap::new());
    let mut growing = Turns::default();
    let mut oldest = VecDeque::new();
    for _ in 0..size / ROUND {
        let [of_store, of_map] = [keys.round(), keys.round()];
        oldest.extend(of_map.iter().copied());
        growing.take(&store, &of_store, || {
            of_map.iter().for_each(|key| hand_over(&map, *key))
        });
    }
    let mut full = Turns::default();
    for _ in 0..31 {
        let [of_store, of_map] = [keys.round(), keys.round()];
        let gone: Vec<_> = oldest.drain(..of_map.len()).collect();
        oldest.extend(of_map.iter().copied());
        full.take(&store, &of_store, || {
            for (key, gone) in of_map.iter().zip(&gone) {
                map.remove(gone);
                hand_over(&map, *key);
            }
        });
    }
    let [ours, theirs] = growing.nanoseconds();
    println!(
        "{size:>11} {bytes:>10} {:>10} {ours:>8.0} {theirs:>11.0} {:>6.2} {:>11.2}",
        slowest.as_micros(),
        growing.ratio(),
        full.ratio(),
    );
}

fn store(size: u64) -> MemoryStore {
    MemoryStore::with_capacity(usize::try_from(size).expect("it fits"))
}

/// Bytes a slot, and the slowest operation.
async fn alone(size: u64, keys: &mut Keys) -> (u64, Duration) {
    let before = resident();
    let store = store(size);
    let mut slowest = Slowest::default();
    for _ in 0..size {
        slowest.handle(&store, keys.next()).await;
    }
    (resident().saturating_sub(before) / size, slowest.time)
}

/// How long rounds took, on the store and on the map.
#[derive(Default)]
struct Turns(Vec<[Duration; 2]>);

impl Turns {
    fn take(&mut self, store: &MemoryStore, keys: &[SlotKey], on_map: impl FnOnce()) {
        let start = Instant::now();
        for key in keys {
            handle(store, *key).now_or_never().expect("it never waits");
        }
        let middle = Instant::now();
        on_map();
        self.0.push([middle - start, middle.elapsed()]);
    }

    /// An event, on average.
    fn nanoseconds(&self) -> [f64; 2] {
        let mean =
            |of: usize| self.0.iter().map(|turn| turn[of]).sum::<Duration>() / self.0.len() as u32;
        [mean(0), mean(1)].map(|round| round.as_nanos() as f64 / ROUND as f64)
    }

    fn ratio(&self) -> f64 {
        let ratios = self
            .0
            .iter()
            .map(|[ours, theirs]| ours.div_duration_f64(*theirs));
        let mut ratios: Vec<f64> = ratios.collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

async fn handle(store: &MemoryStore, key: SlotKey) {
    let Ok(Claim::Granted(held)) = store.claim(&key, owner(&key), LEASE).await else {
        panic!("{key:?} is new");
    };
    let _ = store.commit(&key, &held, &record(), RETAIN).await;
}

/// The slowest operation so far.
#[derive(Default)]
struct Slowest {
    time: Duration,
    interruptions: u64,
    events: u64,
}

impl Slowest {
    async fn handle(&mut self, store: &MemoryStore, key: SlotKey) {
        if self.events.is_multiple_of(256) {
            self.interruptions = interruptions();
        }
        self.events += 1;
        let start = Instant::now();
        let Ok(Claim::Granted(held)) = store.claim(&key, owner(&key), LEASE).await else {
            panic!("{key:?} is new");
        };
        let middle = Instant::now();
        let _ = store.commit(&key, &held, &record(), RETAIN).await;
        self.saw((middle - start).max(middle.elapsed()));
    }

    fn saw(&mut self, time: Duration) {
        if time > self.time {
            let before = std::mem::replace(&mut self.interruptions, interruptions());
            if before == self.interruptions {
                self.time = time;
            }
        }
    }
}

/// How often the system has taken this thread off its core.
fn interruptions() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let lines = status
        .lines()
        .filter_map(|line| line.split_once("ctxt_switches:"));
    lines
        .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
        .sum()
}

/// The same value as the store's, without its queues.
struct Value {
    owner: Owner,
    fence: i64,
    state: State,
}

enum State {
    Held { attempt: u32 },
    Done { len: u8, record: [u8; 46] },
}

/// Claim and commit on a map: two operations too, since the handler runs between them.
fn hand_over(map: &DashMap<SlotKey, Value>, key: SlotKey) {
    let Entry::Vacant(free) = map.entry(key) else {
        panic!("{key:?} is new");
    };
    let (owner, fence) = (owner(&key), 1);
    let state = State::Held { attempt: 1 };
    drop(free.insert(Value {
        owner,
        fence,
        state,
    }));
    let mut value = map.get_mut(&key).expect("just claimed");
    let is_held = matches!(value.state, State::Held { attempt } if attempt > 0);
    assert!(is_held && value.owner == owner && value.fence == fence);
    let given = record();
    let mut record = [0; 46];
    record[..given.as_bytes().len()].copy_from_slice(given.as_bytes());
    let len = given.as_bytes().len() as u8;
    value.state = State::Done { len, record };
    if let State::Done { len, record } = &value.state {
        std::hint::black_box((len, record));
    }
}

fn owner(key: &SlotKey) -> Owner {
    Owner::from(*key.as_bytes().first_chunk().expect("32 bytes"))
}

/// As long as the layer's own.
fn record() -> Record {
    Record::try_from(&[7; 42][..]).expect("short enough")
}

/// Keys that were not used before, spread as hashes are.
struct Keys(fastrand::Rng);

impl Keys {
    fn next(&mut self) -> SlotKey {
        let mut key = [0; 32];
        self.0.fill(&mut key);
        SlotKey::from(key)
    }

    fn round(&mut self) -> Vec<SlotKey> {
        (0..ROUND).map(|_| self.next()).collect()
    }
}

/// The memory of this process, in bytes; zero where `/proc` does not say.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}
