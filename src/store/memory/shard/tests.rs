use std::time::Duration;

use super::*;
use crate::MemoryStore;

const LEASE: Duration = Duration::from_secs(5);

fn key(number: u32) -> SlotKey {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    SlotKey::from(bytes)
}

/// A shard outside a store, with the secret that its callers have.
struct Lone {
    seed: Seed,
    shard: Shard,
}

impl Lone {
    fn new() -> Self {
        let (seed, shard) = (Seed::random(), Shard::default());
        Self { seed, shard }
    }

    /// As the store does it.
    fn claim(&mut self, key: &SlotKey, now: Tick) -> Option<Held> {
        let hash = self.seed.hash(key);
        let (owner, until) = (Owner::random(), now.plus(LEASE));
        let known = self.shard.claim(hash, key, owner, until, now);
        let claim = known.or_else(|| self.shard.insert(hash, key, owner, until, now));
        match claim {
            Some(Claim::Granted(held)) => Some(held),
            _ => None,
        }
    }

    fn commit(&mut self, key: &SlotKey, held: &Held, until: Tick) -> Settled {
        let hash = self.seed.hash(key);
        self.shard.commit(hash, key, held, &Record::EMPTY, until)
    }

    fn peek(&self, key: &SlotKey, now: Tick) -> Option<Record> {
        self.shard.peek(self.seed.hash(key), key, now)
    }

    fn sweep(&mut self, now: Tick) -> usize {
        self.shard.sweep(&self.seed, now)
    }
}

fn queued(shard: &Shard) -> usize {
    let count = |queue: &Queue| {
        let next = |place: &Place| shard.slab.get(*place).and_then(Slot::after);
        std::iter::successors(queue.first(), next).count()
    };
    count(&shard.held) + count(&shard.released) + shard.done.len()
}

#[test]
fn a_shard_has_a_place_for_every_slot_that_chance_brings_it_and_says_when_it_has_none() {
    let (mut lone, places) = (Lone::new(), u32::from(u16::MAX));
    for number in 0..places {
        assert!(
            lone.claim(&key(number), Tick::from_nanos(0)).is_some(),
            "{number}"
        );
    }
    assert_eq!(lone.claim(&key(places), Tick::from_nanos(0)), None);
    // Twenty times what a share spreads by.
    let share = MemoryStore::SHARE as f64;
    assert!(share + 20.0 * share.sqrt() < f64::from(places));
}

#[test]
fn a_capacity_that_no_memory_has_is_a_store_of_245_million() {
    let store = MemoryStore::with_capacity(usize::MAX);
    assert_eq!(store.shards.capacity(), 245_760_000);
}

#[test]
fn every_slot_waits_to_be_forgotten_once() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lone = Lone::new();
    let mut now = Tick::from_nanos(0);
    let mut held = [None; 96];
    for round in 0..50_000 {
        now = now.plus(Duration::from_secs(random.u64(0..120)));
        lone.sweep(now);
        let number = random.u32(0..96);
        let (key, mine) = (key(number), &mut held[number as usize]);
        let hash = lone.seed.hash(&key);
        match (random.u8(0..5), mine.as_ref()) {
            (0 | 1, _) | (_, None) => *mine = lone.claim(&key, now).or(*mine),
            (2, Some(mine)) => {
                let until = now.plus(Duration::from_secs(random.u64(1..4000)));
                let _ = lone.commit(&key, mine, until);
            }
            (3, Some(mine)) => drop(lone.shard.renew(hash, &key, mine, now.plus(LEASE), now)),
            (_, Some(mine)) => drop(lone.shard.release(hash, &key, mine, now)),
        }
        // Slots that were claimed again leave a deadline behind until it is swept, which the next
        // claims do.
        let (slots, queued) = (lone.shard.index.len(), queued(&lone.shard));
        assert!(queued >= slots, "round {round}: {queued} queued of {slots}");
        assert!(
            queued <= slots + 8,
            "round {round}: {queued} queued of {slots}"
        );
    }
    for _ in 0..100 {
        lone.sweep(now.plus(2 * KEEP_FENCE));
    }
    assert_eq!((lone.shard.index.len(), queued(&lone.shard)), (0, 0));
}

#[test]
fn a_sweep_removes_nothing_before_its_time() {
    let mut lone = Lone::new();
    let (start, later) = (Tick::from_nanos(0), Tick::from_millis(2000));
    for number in 0..=5 {
        let retain = if number == 0 { 3600 } else { 1 };
        let held = lone.claim(&key(number), start).unwrap();
        let until = start.plus(Duration::from_secs(retain));
        assert_eq!(lone.commit(&key(number), &held, until), Settled::Applied);
    }
    assert_eq!(lone.sweep(Tick::from_millis(999)), 0);
    assert_eq!(lone.sweep(later), 4);
    // Expired and not yet swept, so its deadline is left behind.
    let is_left = |number: &u32| lone.shard.has(lone.seed.hash(&key(*number)), &key(*number));
    let again = key((1..=5).find(is_left).unwrap());
    let held = lone.claim(&again, later).unwrap();
    let until = later.plus(Duration::from_secs(3600));
    assert_eq!(lone.commit(&again, &held, until), Settled::Applied);
    assert_eq!(lone.sweep(later), 0);
    for key in [key(0), again] {
        assert_eq!(lone.peek(&key, later), Some(Record::EMPTY));
    }
    assert_eq!((lone.shard.index.len(), queued(&lone.shard)), (2, 2));
}

#[test]
fn a_shard_that_was_emptied_gives_its_memory_back() {
    let mut lone = Lone::new();
    let start = Tick::from_nanos(0);
    for number in 0..1000 {
        lone.claim(&key(number), start).unwrap();
    }
    assert!(lone.shard.slab.is_large());
    for _ in 0..250 {
        lone.sweep(start.plus(KEEP_FENCE));
    }
    assert!(!lone.shard.slab.is_large());
    assert_eq!(lone.shard.index.capacity(), 0);
}

#[test]
fn for_ever_never_expires() {
    let mut lone = Lone::new();
    let held = lone.claim(&key(1), Tick::from_nanos(0)).unwrap();
    assert_eq!(lone.commit(&key(1), &held, Tick::NEVER), Settled::Applied);
    let end = Tick::from_nanos(u64::MAX - 1);
    assert_eq!(lone.sweep(end), 0);
    let kept = lone.peek(&key(1), end);
    assert_eq!(kept, Some(Record::EMPTY));
}
