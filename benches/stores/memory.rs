//! The memory store alone, beside a map that does nothing but hold the same.
//!
//! `cargo bench -p benches --bench stores -- --memory 10000,1000000` (10000000 takes a minute and
//! 4 GB) prints for each size:
//!
//! - what a slot takes, as the process grows while it claims and commits so many;
//! - the slowest single operation of that, among those in which the system ran nothing else;
//! - claim and commit of one more event beside so many live ones: the store, a `DashMap` of the
//!   same value that neither expires nor is bounded, in turns, and the ratio.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use dashmap::{DashMap, Entry};
use suno_callback::store::{Claim, DedupStore, MemoryStore, Owner, Record, SlotKey};
use tokio::runtime::Runtime;

const LEASE: Duration = Duration::from_secs(5);
const RETAIN: Duration = Duration::from_secs(24 * 3600);

/// Events in one measurement, and how many measurements.
const ROUND: u64 = 10_000;
const ROUNDS: usize = 31;

/// Each size in a process of its own, or memory that one has given back would hide in the next.
pub(crate) fn run(runtime: &Runtime, sizes: Option<String>) {
    let sizes = sizes.unwrap_or_else(|| "10000,1000000".into());
    if let Ok(size) = sizes.parse() {
        return runtime.block_on(measure(size));
    }
    println!(
        "{:>11} {:>11} {:>11} {:>9} {:>11} {:>6} {:>13}",
        "live slots", "bytes/slot", "slowest us", "ns", "dashmap ns", "ratio", "dashmap bytes"
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
    let before = resident();
    let extra = ROUND * ROUNDS as u64;
    let store = MemoryStore::with_capacity(usize::try_from(size + extra).expect("it fits"));
    let mut slowest = Slowest::default();
    for _ in 0..size {
        slowest.handle(&store, keys.next()).await;
    }
    let bytes = resident().saturating_sub(before) / size;

    let before = resident();
    let map = DashMap::new();
    for _ in 0..size {
        hand_over(&map, keys.next());
    }
    let map_bytes = resident().saturating_sub(before) / size;

    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        let [of_store, of_map] = [keys.round(), keys.round()];
        let start = Instant::now();
        for key in of_store {
            handle(&store, key).await;
        }
        let middle = Instant::now();
        for key in of_map {
            hand_over(&map, key);
        }
        pairs.push((middle - start, middle.elapsed()));
    }
    let [ours, theirs] = [
        best(pairs.iter().map(|pair| pair.0)),
        best(pairs.iter().map(|pair| pair.1)),
    ];
    let mut ratios: Vec<f64> = pairs
        .iter()
        .map(|(ours, theirs)| ours.div_duration_f64(*theirs))
        .collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "{size:>11} {bytes:>11} {:>11} {ours:>9.0} {theirs:>11.0} {:>6.2} {map_bytes:>13}",
        slowest.time.as_micros(),
        ratios[ROUNDS / 2],
    );
}

/// Nanoseconds an event in the quickest round.
fn best(rounds: impl Iterator<Item = Duration>) -> f64 {
    rounds.min().unwrap_or_default().as_nanos() as f64 / ROUND as f64
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
