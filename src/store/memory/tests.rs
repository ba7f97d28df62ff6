//! The store against a plain map that looks through everything at every step.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use futures_util::FutureExt;
use tokio::time::advance;

use super::*;

const LEASE: Duration = Duration::from_secs(5);
const CAPACITY: usize = 24;

fn key(number: u8) -> SlotKey {
    SlotKey::from([number; 32])
}

/// What is known of a slot, in milliseconds since the start.
#[derive(Clone, Copy, Debug)]
enum Known {
    Held {
        held: Held,
        changed: u64,
        until: u64,
    },
    Released {
        last: Held,
        changed: u64,
    },
    Done {
        last: Held,
        until: u64,
        record: Record,
    },
}

impl Known {
    fn has_ended(&self, now: u64) -> bool {
        let hour = KEEP_FENCE.as_millis() as u64;
        match *self {
            Self::Held { changed, .. } | Self::Released { changed, .. } => changed + hour <= now,
            Self::Done { until, .. } => until <= now,
        }
    }
}

#[derive(Default)]
struct Model {
    slots: BTreeMap<u8, Known>,
    now: u64,
}

impl Model {
    fn forget(&mut self) {
        let now = self.now;
        self.slots.retain(|_, known| !known.has_ended(now));
    }

    /// What a full store must drop.
    fn victim(&self) -> Option<u8> {
        let rank = |known: &Known| match *known {
            Known::Done { until, .. } => Some((0, until)),
            Known::Released { changed, .. } => Some((1, changed)),
            Known::Held { .. } => None,
        };
        let ranked = self
            .slots
            .iter()
            .filter_map(|(number, known)| Some((rank(known)?, *number)));
        ranked.min().map(|(_, number)| number)
    }

    fn claim(&mut self, number: u8, owner: Owner) -> Result<Claim, StoreFull> {
        let lease = LEASE.as_millis() as u64;
        let held = match self.slots.get(&number).copied() {
            Some(Known::Done { record, .. }) => return Ok(Claim::Done(record)),
            Some(Known::Held { held, .. }) if held.owner() == owner => held,
            Some(Known::Held { until, .. }) if until > self.now => {
                let remaining = Duration::from_millis(until - self.now);
                return Ok(Claim::InFlight { remaining });
            }
            Some(Known::Held { held: last, .. } | Known::Released { last, .. }) => {
                Held::new(owner, last.fence() + 1, last.attempt() + 1)
            }
            None => {
                if self.slots.len() == CAPACITY {
                    let victim = self.victim().ok_or(StoreFull)?;
                    self.slots.remove(&victim);
                }
                Held::new(owner, 1, 1)
            }
        };
        let (changed, until) = (self.now, self.now + lease);
        self.slots.insert(
            number,
            Known::Held {
                held,
                changed,
                until,
            },
        );
        Ok(Claim::Granted(held))
    }

    fn settle(&mut self, number: u8, held: &Held, next: impl FnOnce(Held) -> Known) -> Settled {
        match self.slots.get(&number) {
            Some(Known::Held { held: now, .. }) if now == held => {
                self.slots.insert(number, next(*held));
                Settled::Applied
            }
            _ => Settled::Lost,
        }
    }

    fn commit(&mut self, number: u8, held: &Held, record: Record, until: u64) -> Settled {
        match self.slots.get(&number) {
            Some(Known::Done { last, .. }) if last == held => Settled::Applied,
            _ => self.settle(number, held, |last| Known::Done {
                last,
                until,
                record,
            }),
        }
    }
}

/// Whether the store has it at all, expired or not.
fn has(store: &MemoryStore, number: u8) -> bool {
    let key = key(number);
    store.shards.with(&key, |shard, hash| shard.has(hash, &key))
}

async fn play(seed: u64, shards: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let store = MemoryStore::sharded(shards, CAPACITY);
    let mut model = Model::default();
    let mut granted: BTreeMap<u8, Held> = BTreeMap::new();
    // Two of one deadline could be dropped in either order.
    let mut deadlines = HashSet::new();
    // Phases in which few are settled fill the store with held ones.
    let mut settling = 5;
    for step in 0..1000 {
        let pause = [1, 10, 1000, 20_000, 400_000][random.usize(0..5)];
        advance(Duration::from_millis(pause)).await;
        model.now += pause;
        model.forget();
        if step % 100 == 0 {
            settling = random.u8(1..9);
        }
        let number = random.u8(0..60);
        let name = format!("seed {seed}, {shards} shards, step {step}, slot {number}");
        match granted.get(&number).copied() {
            Some(held) if random.u8(0..9) < settling => {
                // What has ended may be kept or not, so its holder gets either answer.
                if !model.slots.contains_key(&number) {
                    granted.remove(&number);
                    continue;
                }
                let (key, now) = (key(number), model.now);
                match random.u8(0..4) {
                    0 => {
                        let until = now + LEASE.as_millis() as u64;
                        let renewed = |held| Known::Held {
                            held,
                            changed: now,
                            until,
                        };
                        let must = model.settle(number, &held, renewed);
                        assert_eq!(store.renew(&key, &held, LEASE).await, Ok(must), "{name}");
                    }
                    1 => {
                        let released = |last| Known::Released { last, changed: now };
                        let must = model.settle(number, &held, released);
                        assert_eq!(store.release(&key, &held).await, Ok(must), "{name}");
                    }
                    _ => {
                        let mut retain = random.u64(1..2_000_000);
                        while !deadlines.insert(now + retain) {
                            retain += 1;
                        }
                        let length = random.usize(0..=Record::MAX_LEN);
                        let record = Record::try_from(&[number; 64][..length]).unwrap();
                        let must = model.commit(number, &held, record, now + retain);
                        let retain = Duration::from_millis(retain);
                        let settled = store.commit(&key, &held, &record, retain).await;
                        assert_eq!(settled, Ok(must), "{name}");
                    }
                }
            }
            _ => {
                let owner = Owner::from([random.u8(0..4); 16]);
                let is_kept = has(&store, number) && !model.slots.contains_key(&number);
                let claim = store.claim(&key(number), owner, LEASE).await;
                if let (true, Ok(Claim::Granted(held))) = (is_kept, claim.clone()) {
                    // It had ended and was still there, so its fence may go on.
                    let (changed, until) = (model.now, model.now + LEASE.as_millis() as u64);
                    assert!(held.owner() == owner && held.fence() > 0, "{name}");
                    model.slots.insert(
                        number,
                        Known::Held {
                            held,
                            changed,
                            until,
                        },
                    );
                } else {
                    assert_eq!(claim, model.claim(number, owner), "{name}");
                }
                if let Ok(Claim::Granted(held)) = claim {
                    granted.insert(number, held);
                }
            }
        }
        assert!(store.len() <= CAPACITY, "{name}: {} slots", store.len());
        for (number, known) in &model.slots {
            let kept = store.peek(&key(*number)).await.unwrap();
            let must = match known {
                Known::Done { record, .. } => Some(*record),
                _ => None,
            };
            assert_eq!(kept, must, "{name}: {number} is {known:?}");
            assert!(
                has(&store, *number),
                "{name}: {number} was dropped: {known:?}"
            );
        }
        let of_shards: usize = (0..60).filter(|number| has(&store, *number)).count();
        assert_eq!(store.len(), of_shards, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn full_or_not_the_store_does_what_the_model_does() {
    let first = fastrand::u64(..);
    for seed in (0..8).map(|round| first.wrapping_add(round)) {
        println!("SEED {seed}");
        play(seed, [1, 2, 5, 16][seed as usize % 4]).await;
    }
}

/// The shards together have the capacity, so it does not matter that some get more than others.
#[tokio::test(start_paused = true)]
async fn below_its_capacity_nothing_is_dropped_however_the_keys_fall() {
    let store = MemoryStore::sharded(64, 256);
    let all: Vec<SlotKey> = (0_u16..).map(spread).take(256).collect();
    for key in &all {
        let Ok(Claim::Granted(held)) = store.claim(key, Owner::from([1; 16]), LEASE).await else {
            panic!("{key:?}");
        };
        let _ = store.commit(key, &held, &Record::EMPTY, LEASE).await;
    }
    for key in &all {
        assert_eq!(store.peek(key).await, Ok(Some(Record::EMPTY)));
    }
    // All in one of many, even.
    let store = MemoryStore::sharded(64, 256);
    let fullest = |key: &SlotKey| store.shards.shard_of(key) == 7;
    let mut all = (0_u16..).map(spread).filter(fullest);
    let all: Vec<SlotKey> = all.by_ref().take(256).collect();
    for key in &all {
        let Ok(Claim::Granted(held)) = store.claim(key, Owner::from([1; 16]), LEASE).await else {
            panic!("{key:?}");
        };
        let _ = store.commit(key, &held, &Record::EMPTY, LEASE).await;
    }
    assert_eq!(store.len(), 256);
    for key in &all {
        assert_eq!(store.peek(key).await, Ok(Some(Record::EMPTY)));
    }
}

fn spread(number: u16) -> SlotKey {
    let mut bytes = [0; 32];
    bytes[30..].copy_from_slice(&number.to_be_bytes());
    SlotKey::from(bytes)
}

#[test]
fn threads_on_a_full_store_lose_no_room() {
    let store = Arc::new(MemoryStore::sharded(8, 64));
    let threads = (0..4_u8).map(|thread| {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            for number in 0..20_000_u16 {
                let key = spread(number.wrapping_mul(31).wrapping_add(u16::from(thread) * 7) % 500);
                let owner = Owner::from([thread; 16]);
                let claim = store.claim(&key, owner, LEASE).now_or_never();
                let Some(Ok(Claim::Granted(held))) = claim else {
                    continue;
                };
                let commit = store.commit(&key, &held, &Record::EMPTY, KEEP_FENCE);
                let _ = commit.now_or_never();
                assert!(store.len() <= 64);
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let kept = (0..500).filter(|number| {
        let key = spread(*number);
        store.shards.with(&key, |shard, hash| shard.has(hash, &key))
    });
    assert_eq!(store.len(), kept.count());
    assert_eq!(store.len(), 64);
}
