use std::time::Duration;

use super::*;
use crate::random;

const LEASE: Duration = Duration::from_secs(5);

fn key(number: u32) -> SlotKey {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    SlotKey::from(bytes)
}

fn shard() -> Shard {
    Shard::new(Seed::random())
}

/// As the store does it.
fn claim(shard: &mut Shard, key: &SlotKey, now: Tick) -> Option<Held> {
    let hash = shard.seed.hash(key);
    let (owner, until) = (random::owner(), now.plus(LEASE));
    let known = shard.claim(hash, key, owner, until, now);
    match known.or_else(|| shard.insert(hash, key, owner, until, now)) {
        Some(Claim::Granted(held)) => Some(held),
        _ => None,
    }
}

fn commit(shard: &mut Shard, key: &SlotKey, held: &Held, until: Tick) -> Settled {
    let hash = shard.seed.hash(key);
    shard.commit(hash, key, held, &Record::EMPTY, until)
}

fn queued(shard: &Shard) -> usize {
    let count = |queue: &Queue| {
        let next = |place: &Place| shard.slab.get(*place).and_then(Slot::after);
        std::iter::successors(queue.first(), next).count()
    };
    count(&shard.held) + count(&shard.released) + shard.done.len()
}

#[test]
fn every_slot_waits_to_be_forgotten_once() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut shard = shard();
    let mut now = Tick::from_nanos(0);
    let mut held = [None; 96];
    for round in 0..50_000 {
        now = now.plus(Duration::from_secs(random.u64(0..120)));
        shard.sweep(now);
        let number = random.u32(0..96);
        let (key, mine) = (key(number), &mut held[number as usize]);
        let hash = shard.seed.hash(&key);
        match (random.u8(0..5), mine.as_ref()) {
            (0 | 1, _) | (_, None) => *mine = claim(&mut shard, &key, now).or(*mine),
            (2, Some(mine)) => {
                let until = now.plus(Duration::from_secs(random.u64(1..4000)));
                let _ = commit(&mut shard, &key, mine, until);
            }
            (3, Some(mine)) => drop(shard.renew(hash, &key, mine, now.plus(LEASE), now)),
            (_, Some(mine)) => drop(shard.release(hash, &key, mine, now)),
        }
        // Slots that were claimed again leave a deadline behind until it is swept, which the next
        // claims do.
        let (slots, queued) = (shard.index.len(), queued(&shard));
        assert!(queued >= slots, "round {round}: {queued} queued of {slots}");
        assert!(
            queued <= slots + 8,
            "round {round}: {queued} queued of {slots}"
        );
    }
    for _ in 0..100 {
        shard.sweep(now.plus(2 * KEEP_FENCE));
    }
    assert_eq!((shard.index.len(), queued(&shard)), (0, 0));
}

#[test]
fn a_sweep_removes_nothing_before_its_time() {
    let mut shard = shard();
    let (start, later) = (Tick::from_nanos(0), Tick::from_millis(2000));
    for number in 0..=5 {
        let retain = if number == 0 { 3600 } else { 1 };
        let held = claim(&mut shard, &key(number), start).unwrap();
        let until = start.plus(Duration::from_secs(retain));
        assert_eq!(
            commit(&mut shard, &key(number), &held, until),
            Settled::Applied
        );
    }
    assert_eq!(shard.sweep(Tick::from_millis(999)), 0);
    assert_eq!(shard.sweep(later), 4);
    // Expired and not yet swept, so its deadline is left behind.
    let last = (1..=5).find(|number| {
        shard
            .find(shard.seed.hash(&key(*number)), &key(*number))
            .is_some()
    });
    claim(&mut shard, &key(last.unwrap()), later).unwrap();
    assert_eq!(shard.sweep(later), 0);
    let kept = shard.peek(shard.seed.hash(&key(0)), &key(0), later);
    assert_eq!(kept, Some(Record::EMPTY));
    assert_eq!(shard.index.len(), 2);
}

#[test]
fn a_shard_that_was_emptied_gives_its_memory_back() {
    let mut shard = shard();
    let start = Tick::from_nanos(0);
    for number in 0..1000 {
        claim(&mut shard, &key(number), start).unwrap();
    }
    assert!(shard.slab.is_large());
    for _ in 0..250 {
        shard.sweep(start.plus(KEEP_FENCE));
    }
    assert!(!shard.slab.is_large());
    assert_eq!(shard.index.capacity(), 0);
}

#[test]
fn for_ever_never_expires() {
    let mut shard = shard();
    let held = claim(&mut shard, &key(1), Tick::from_nanos(0)).unwrap();
    assert_eq!(
        commit(&mut shard, &key(1), &held, Tick::NEVER),
        Settled::Applied
    );
    let end = Tick::from_nanos(u64::MAX - 1);
    assert_eq!(shard.sweep(end), 0);
    let kept = shard.peek(shard.seed.hash(&key(1)), &key(1), end);
    assert_eq!(kept, Some(Record::EMPTY));
}
