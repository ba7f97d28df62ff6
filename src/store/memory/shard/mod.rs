//! A part of the map, and how it forgets.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque, binary_heap::PeekMut},
    hash::BuildHasher,
    time::Duration,
};

use hashbrown::HashTable;

use super::{
    Claim, Held, KEEP_FENCE, Owner, Record, Settled, SlotKey, StoreFull, Tick, slot::Slot,
};
use crate::shards::SlotHash;

/// A part of the map with the queues that let it forget.
pub(super) struct Shard {
    capacity: usize,
    hash: SlotHash,
    pub(super) slots: HashTable<Slot>,
    /// Each done slot once, the one that expires first on top.
    done: BinaryHeap<Reverse<Due>>,
    /// Each held or released slot once, with the time to look at it again; done ones stay behind
    /// until then or until [`Shard::forget_open`].
    open: VecDeque<Due>,
}

/// A time, and the hash of the slot that is due then. Two slots of one hash and one time would be
/// due both, so a mistake between them is none.
type Due = (Tick, u64);

impl Shard {
    /// How many expired entries one claim removes at most: more than it can add, so the store
    /// catches up, and few enough that no request pays for all.
    const SWEEP: usize = 4;

    pub(super) fn new(capacity: usize, hash: SlotHash) -> Self {
        Self {
            capacity,
            hash,
            slots: HashTable::new(),
            done: BinaryHeap::new(),
            open: VecDeque::new(),
        }
    }

    pub(super) fn peek(&self, key: &SlotKey, now: Tick) -> Option<Record> {
        let hash = self.hash.hash_one(key);
        self.slots.find(hash, |slot| slot.key == *key)?.record(now)
    }

    pub(super) fn claim(
        &mut self,
        key: &SlotKey,
        owner: Owner,
        lease: Duration,
        now: Tick,
    ) -> Result<Claim, StoreFull> {
        self.sweep(now);
        let until = now.plus(lease);
        let hash = self.hash.hash_one(key);
        if let Some(slot) = self.slots.find_mut(hash, |slot| slot.key == *key) {
            let was_done = slot.is_done();
            let claim = slot.claim(owner, until, now);
            if was_done && slot.is_open() {
                self.open.push_back((slot.due, hash));
            }
            return Ok(claim);
        }
        self.make_room()?;
        let slot = Slot::first(*key, owner, until, now);
        self.open.push_back((slot.due, hash));
        let seed = self.hash;
        self.slots
            .insert_unique(hash, slot, |slot| seed.hash_one(slot.key));
        Ok(Claim::Granted(Held::new(owner, 1, 1)))
    }

    pub(super) fn renew(
        &mut self,
        key: &SlotKey,
        held: &Held,
        lease: Duration,
        now: Tick,
    ) -> Settled {
        let Some(open) = self.get_mut(key).and_then(|slot| slot.held(held)) else {
            return Settled::Lost;
        };
        open.until = Some(now.plus(lease));
        open.changed = now;
        Settled::Applied
    }

    pub(super) fn commit(
        &mut self,
        key: &SlotKey,
        held: &Held,
        record: &Record,
        until: Tick,
    ) -> Settled {
        let hash = self.hash.hash_one(key);
        let slot = self.slots.find_mut(hash, |slot| slot.key == *key);
        let Some(slot) = slot.filter(|slot| slot.is_of(held) && !slot.is_released()) else {
            return Settled::Lost;
        };
        if slot.is_open() {
            let queued = (slot.due, hash);
            slot.finish(record, until);
            self.done.push(Reverse((until, hash)));
            self.forget_open(queued);
        }
        Settled::Applied
    }

    pub(super) fn release(&mut self, key: &SlotKey, held: &Held, now: Tick) -> Settled {
        let Some(open) = self.get_mut(key).and_then(|slot| slot.held(held)) else {
            return Settled::Lost;
        };
        open.until = None;
        open.changed = now;
        Settled::Applied
    }

    fn get_mut(&mut self, key: &SlotKey) -> Option<&mut Slot> {
        let hash = self.hash.hash_one(key);
        self.slots.find_mut(hash, |slot| slot.key == *key)
    }

    /// Removes some of what has expired.
    fn sweep(&mut self, now: Tick) {
        for _ in 0..Self::SWEEP {
            let ended = self.done.peek_mut().filter(|first| first.0.0 <= now);
            let Some(Reverse(due)) = ended.map(PeekMut::pop) else {
                break;
            };
            self.forget_done(due);
        }
        for _ in 0..Self::SWEEP {
            let Some(due) = self.open.pop_front_if(|(at, _)| *at <= now) else {
                break;
            };
            self.look_again(due, now);
        }
    }

    /// Forgets an open slot that was kept long enough, or queues it once more.
    fn look_again(&mut self, (at, hash): Due, now: Tick) {
        let is_it = |slot: &Slot| slot.due == at && slot.is_open();
        let Ok(mut found) = self.slots.find_entry(hash, is_it) else {
            return;
        };
        let slot = found.get_mut();
        let keep = slot.open().map(|open| open.changed.plus(KEEP_FENCE));
        match keep.filter(|keep| *keep > now) {
            Some(keep) => {
                slot.due = keep;
                self.open.push_back((keep, hash));
            }
            None => drop(found.remove()),
        }
    }

    fn make_room(&mut self) -> Result<(), StoreFull> {
        if self.slots.len() < self.capacity || self.evict_done() || self.evict_released() {
            return Ok(());
        }
        Err(StoreFull)
    }

    /// Removes the done slot that expires first; false when there is none.
    fn evict_done(&mut self) -> bool {
        while let Some(Reverse(due)) = self.done.pop() {
            if self.forget_done(due) {
                return true;
            }
        }
        false
    }

    /// Removes a done slot, unless it was claimed again after its retention had ended.
    fn forget_done(&mut self, (at, hash): Due) -> bool {
        let is_it = |slot: &Slot| slot.due == at && slot.is_done();
        let found = self.slots.find_entry(hash, is_it);
        found.map(|found| drop(found.remove())).is_ok()
    }

    fn evict_released(&mut self) -> bool {
        let slots = &self.slots;
        let is_released = |(at, hash): &Due| {
            let is_it = |slot: &Slot| slot.due == *at && slot.is_released();
            slots.find(*hash, is_it).is_some()
        };
        let Some(place) = self.open.iter().position(is_released) else {
            return false;
        };
        let Some((at, hash)) = self.open.remove(place) else {
            return false;
        };
        let is_it = |slot: &Slot| slot.due == at && slot.is_released();
        let found = self.slots.find_entry(hash, is_it);
        found.map(|found| drop(found.remove())).is_ok()
    }

    /// Takes a slot that is no longer open out of the queue: at once where it came last, which is
    /// the rule, otherwise together with others, so that the queue stays shorter than twice the
    /// slots at a cost that spreads to nothing.
    fn forget_open(&mut self, queued: Due) {
        if self.open.pop_back_if(|last| *last == queued).is_some() {
            return;
        }
        if self.open.len() > 2 * self.slots.len() + 64 {
            let slots = &self.slots;
            self.open.retain(|(at, hash)| {
                let is_it = |slot: &Slot| slot.due == *at && slot.is_open();
                slots.find(*hash, is_it).is_some()
            });
        }
    }
}

#[cfg(test)]
mod tests;
