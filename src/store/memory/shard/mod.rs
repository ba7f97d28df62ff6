//! A part of the map, and how it forgets.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque, binary_heap::PeekMut},
    time::Duration,
};

use super::{
    Claim, Held, KEEP_FENCE, Owner, Record, Settled, SlotKey, StoreFull, Tick,
    slot::{Open, Slot, State},
};
use crate::shards::SlotHash;

/// A part of the map with the queues that let it forget.
pub(super) struct Shard {
    capacity: usize,
    pub(super) slots: HashMap<SlotKey, Slot, SlotHash>,
    /// Each done slot once, the one that expires first on top.
    done: BinaryHeap<Reverse<(Tick, SlotKey)>>,
    /// Each held or released slot once, with the time to look at it again; done ones stay behind
    /// until then or until [`Shard::compact`].
    open: VecDeque<(Tick, SlotKey)>,
}

impl Shard {
    /// How many expired entries one claim removes at most: more than it can add, so the store
    /// catches up, and few enough that no request pays for all.
    const SWEEP: usize = 4;

    pub(super) fn new(capacity: usize, hash: SlotHash) -> Self {
        Self {
            capacity,
            slots: HashMap::with_hasher(hash),
            done: BinaryHeap::new(),
            open: VecDeque::new(),
        }
    }

    pub(super) fn peek(&self, slot: &SlotKey, now: Tick) -> Option<Record> {
        match self.slots.get(slot)?.state {
            State::Done { until, record } if until > now => Some(record),
            _ => None,
        }
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
        if let Some(slot) = self.slots.get_mut(key) {
            let was_done = !slot.is_open();
            let claim = slot.claim(owner, until, now);
            if was_done && slot.is_open() {
                self.open.push_back((now.plus(KEEP_FENCE), *key));
            }
            return Ok(claim);
        }
        self.make_room()?;
        self.slots.insert(*key, Slot::first(owner, until, now));
        self.open.push_back((now.plus(KEEP_FENCE), *key));
        Ok(Claim::Granted(Held::new(owner, 1, 1)))
    }

    pub(super) fn renew(
        &mut self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
        now: Tick,
    ) -> Settled {
        let slot = self.slots.get_mut(slot).and_then(|slot| slot.held(held));
        let Some(open) = slot else {
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
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.is_of(held)) else {
            return Settled::Lost;
        };
        match slot.state {
            State::Open(Open { until: None, .. }) => return Settled::Lost,
            State::Done { .. } => return Settled::Applied,
            State::Open(_) => {}
        }
        let record = *record;
        slot.state = State::Done { until, record };
        self.done.push(Reverse((until, *key)));
        self.forget_open(key);
        Settled::Applied
    }

    pub(super) fn release(&mut self, slot: &SlotKey, held: &Held, now: Tick) -> Settled {
        let slot = self.slots.get_mut(slot).and_then(|slot| slot.held(held));
        let Some(open) = slot else {
            return Settled::Lost;
        };
        open.until = None;
        open.changed = now;
        Settled::Applied
    }

    /// Removes some of what has expired.
    pub(super) fn sweep(&mut self, now: Tick) {
        for _ in 0..Self::SWEEP {
            let ended = self.done.peek_mut().filter(|first| first.0.0 <= now);
            let Some(Reverse((at, key))) = ended.map(PeekMut::pop) else {
                break;
            };
            self.forget_done(at, &key);
        }
        for _ in 0..Self::SWEEP {
            let Some((at, key)) = self.open.pop_front_if(|(at, _)| *at <= now) else {
                break;
            };
            self.look_again(at, key, now);
        }
    }

    /// Forgets an open slot that was kept long enough, or queues it once more.
    pub(super) fn look_again(&mut self, at: Tick, key: SlotKey, now: Tick) {
        let slot = self.slots.get_mut(&key).filter(|slot| slot.is_queued(at));
        let Some(State::Open(open)) = slot.map(|slot| &mut slot.state) else {
            return;
        };
        let keep = open.changed.plus(KEEP_FENCE);
        if keep > now {
            open.queued = keep;
            self.open.push_back((keep, key));
        } else {
            self.slots.remove(&key);
        }
    }

    pub(super) fn make_room(&mut self) -> Result<(), StoreFull> {
        if self.slots.len() < self.capacity || self.evict_done() || self.evict_released() {
            return Ok(());
        }
        Err(StoreFull)
    }

    /// Removes the done slot that expires first; false when there is none.
    pub(super) fn evict_done(&mut self) -> bool {
        while let Some(Reverse((at, key))) = self.done.pop() {
            if self.forget_done(at, &key) {
                return true;
            }
        }
        false
    }

    /// Removes a done slot, unless it was claimed again after its retention had ended at `at`.
    pub(super) fn forget_done(&mut self, at: Tick, key: &SlotKey) -> bool {
        let is_it = |slot: &Slot| matches!(slot.state, State::Done { until, .. } if until == at);
        self.slots.get(key).is_some_and(is_it) && self.slots.remove(key).is_some()
    }

    pub(super) fn evict_released(&mut self) -> bool {
        let slots = &self.slots;
        let is_released = |slot: &Slot| matches!(slot.state, State::Open(it) if it.until.is_none());
        let mut queue = self.open.iter();
        let found = queue.position(|(_, key)| slots.get(key).is_some_and(is_released));
        let Some((_, key)) = found.and_then(|at| self.open.remove(at)) else {
            return false;
        };
        self.slots.remove(&key).is_some()
    }

    /// Takes a slot that is no longer open out of the queue: at once where it came last, which is
    /// the rule, otherwise together with others, so that the queue stays shorter than twice the
    /// slots at a cost that spreads to nothing.
    pub(super) fn forget_open(&mut self, key: &SlotKey) {
        if self.open.pop_back_if(|(_, last)| last == key).is_some() {
            return;
        }
        if self.open.len() > 2 * self.slots.len() + 64 {
            let slots = &self.slots;
            self.open
                .retain(|(at, key)| slots.get(key).is_some_and(|slot| slot.is_queued(*at)));
        }
    }
}

#[cfg(test)]
mod tests;
