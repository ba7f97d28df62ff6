use std::collections::HashMap;

use super::*;
use crate::{random, shards::Shards};

const LEASE: Duration = Duration::from_secs(5);

fn key(number: u32) -> SlotKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_be_bytes());
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    SlotKey::from(bytes)
}

fn shard(capacity: usize) -> Shard {
    let mut hash = None;
    let _ = Shards::new(1, |seeded| hash = Some(seeded));
    Shard::new(capacity, hash.unwrap())
}

fn claim(shard: &mut Shard, key: &SlotKey, now: Tick) -> Held {
    match shard.claim(key, random::owner(), LEASE, now) {
        Ok(Claim::Granted(held)) => held,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_queues_stay_in_proportion_to_the_slots() {
    let mut shard = shard(100);
    let mut now = Tick(0);
    for round in 0..200_000 {
        now = now.plus(Duration::from_millis(20));
        let key = key(round % 337);
        let Ok(Claim::Granted(held)) = shard.claim(&key, random::owner(), LEASE, now) else {
            continue;
        };
        let settled = match round % 3 {
            0 => shard.release(&key, &held, now),
            1 => shard.commit(&key, &held, &Record::EMPTY, now.plus(LEASE)),
            _ => shard.commit(
                &key,
                &held,
                &Record::EMPTY,
                now.plus(Duration::from_millis(50)),
            ),
        };
        assert_eq!(settled, Settled::Applied);
        let slots = shard.slots.len();
        assert!(slots <= 100, "round {round}: {slots} slots");
        let open = shard.open.len();
        assert!(
            open <= 2 * slots + 65,
            "round {round}: {open} open for {slots}"
        );
        let done = shard.done.len();
        assert!(
            done <= 2 * slots + 65,
            "round {round}: {done} done for {slots}"
        );
    }
}

#[test]
fn every_open_slot_is_queued_once() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut shard = shard(64);
    let mut now = Tick(0);
    let mut held = HashMap::new();
    for _ in 0..20_000 {
        now = now.plus(Duration::from_secs(random.u64(0..120)));
        let key = key(random.u32(0..96));
        match random.u8(0..4) {
            0 | 1 => {
                let owner = crate::random::owner();
                if let Ok(Claim::Granted(mine)) = shard.claim(&key, owner, LEASE, now) {
                    held.insert(key, mine);
                }
            }
            2 => {
                let until = now.plus(Duration::from_secs(random.u64(1..4000)));
                if let Some(mine) = held.get(&key) {
                    let _ = shard.commit(&key, mine, &Record::EMPTY, until);
                }
            }
            _ => {
                if let Some(mine) = held.get(&key) {
                    let _ = shard.release(&key, mine, now);
                }
            }
        }
        for slot in &shard.slots {
            let due = (slot.due, shard.hash.hash_one(slot.key));
            let queued = match slot.is_open() {
                true => shard.open.contains(&due),
                false => shard.done.iter().any(|Reverse(entry)| *entry == due),
            };
            assert!(queued, "{:?} would stay for ever", slot.key);
        }
    }
}

#[test]
fn a_sweep_removes_nothing_before_its_time() {
    let mut shard = shard(100);
    let (start, later) = (Tick(0), Tick::from(Duration::from_secs(2)));
    for number in 0..=5 {
        let retain = if number == 0 { 3600 } else { 1 };
        let key = SlotKey::from([number; 32]);
        let held = claim(&mut shard, &key, start);
        let until = start.plus(Duration::from_secs(retain));
        let _ = shard.commit(&key, &held, &Record::EMPTY, until);
    }
    // Its sweep removes four of five, so this one is claimed before its entry was swept.
    claim(&mut shard, &SlotKey::from([5; 32]), later);
    claim(&mut shard, &SlotKey::from([99; 32]), later);
    let kept = shard.peek(&SlotKey::from([0; 32]), later);
    assert_eq!(kept, Some(Record::EMPTY));
}
