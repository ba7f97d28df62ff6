//! A part of the store, and how it forgets.

use super::{
    Claim, Held, KEEP_FENCE, Owner, Record, Settled, SlotKey,
    deadlines::{Deadlines, Due},
    index::Index,
    queue::Queue,
    seed::Seed,
    slab::{Place, Slab},
    slot::{Slot, Standing},
    tick::Tick,
};

/// Slots at fixed places, a small index to find them by, and who is to be forgotten next.
#[derive(Default)]
pub(super) struct Shard {
    index: Index,
    slab: Slab,
    /// Each done slot once. A slot that was claimed again after its retention had ended leaves its
    /// old deadline behind, which is past and goes with the next sweeps.
    done: Deadlines,
    held: Queue,
    released: Queue,
}

/// What a shard would give up next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outlook {
    /// From when on a sweep finds something, [`Tick::NEVER`] if nothing is there.
    pub(super) expires: Tick,
    /// The done slot that expires first.
    pub(super) done: Option<Due>,
    /// When that one of the released slots was released that was so the longest ago.
    pub(super) released: Option<Tick>,
}

/// Which slot of a shard makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Done(Due),
    Released(Tick),
}

impl Shard {
    /// How many expired entries of a kind one claim removes at most: more than it can add, so the
    /// store catches up, and few enough that no request pays for all.
    const SWEEP: usize = 4;

    pub(super) fn peek(&self, hash: u64, key: &SlotKey, now: Tick) -> Option<Record> {
        self.slab.get(self.find(hash, key)?)?.record(now)
    }

    /// `None` when there is no such slot.
    pub(super) fn claim(
        &mut self,
        hash: u64,
        key: &SlotKey,
        owner: Owner,
        until: Tick,
        now: Tick,
    ) -> Option<Claim> {
        let place = self.find(hash, key)?;
        let refusal = self.slab.get(place)?.refusal(owner, now);
        if refusal.is_some() {
            return refusal;
        }
        let held = self.change(place, |slot| slot.acquire(owner, until, now))?;
        Some(Claim::Granted(held))
    }

    /// Adds a slot that is not there yet; `None` when the shard is as large as it can get.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        key: &SlotKey,
        owner: Owner,
        until: Tick,
        now: Tick,
    ) -> Option<Claim> {
        let mut slot = Slot::new(*key);
        let held = slot.acquire(owner, until, now);
        let place = self.slab.insert(slot)?;
        self.held.push(&mut self.slab, place);
        self.index.insert(hash, place);
        Some(Claim::Granted(held))
    }

    pub(super) fn renew(
        &mut self,
        hash: u64,
        key: &SlotKey,
        held: &Held,
        until: Tick,
        now: Tick,
    ) -> Settled {
        let renewed = self.held_by(hash, key, held);
        let renewed =
            renewed.and_then(|place| self.change(place, |slot| slot.lease(Some(until), now)));
        settled(renewed)
    }

    pub(super) fn commit(
        &mut self,
        hash: u64,
        key: &SlotKey,
        held: &Held,
        record: &Record,
        until: Tick,
    ) -> Settled {
        let committed = self.find(hash, key).and_then(|place| {
            let slot = self.slab.get(place).filter(|slot| slot.is_of(held))?;
            match slot.standing()? {
                Standing::Held => self.change(place, |slot| slot.finish(record, until)),
                Standing::Done => Some(()),
                Standing::Released => None,
            }
        });
        settled(committed)
    }

    pub(super) fn release(&mut self, hash: u64, key: &SlotKey, held: &Held, now: Tick) -> Settled {
        let released = self.held_by(hash, key, held);
        let released = released.and_then(|place| self.change(place, |slot| slot.lease(None, now)));
        settled(released)
    }

    /// Removes some of what has expired, and says how many slots those were.
    pub(super) fn sweep(&mut self, seed: &Seed, now: Tick) -> usize {
        let swept = self.sweep_done(seed, now) + self.sweep_open(seed, now);
        if self.index.is_empty() && self.slab.is_large() {
            *self = Self::default();
        }
        swept
    }

    /// Removes `victim`; false when it is no longer next.
    pub(super) fn evict(&mut self, seed: &Seed, victim: Victim) -> bool {
        self.drop_stale_deadlines();
        let place = match victim {
            Victim::Done(due) if self.done.first() == Some(due) => {
                self.done.pop();
                due.place()
            }
            Victim::Released(at) if self.first_of(&self.released) == Some(at) => {
                self.released.first()
            }
            _ => None,
        };
        place.map(|place| self.remove(seed, place)).is_some()
    }

    pub(super) fn outlook(&self) -> Outlook {
        let (done, released) = (self.done.first(), self.first_of(&self.released));
        let open = match (released, self.first_of(&self.held)) {
            (Some(released), Some(held)) => released.min(held),
            (released, held) => released.or(held).unwrap_or(Tick::NEVER),
        };
        Outlook {
            expires: open.plus(KEEP_FENCE).min(done.map_or(Tick::NEVER, Due::at)),
            done,
            released,
        }
    }

    /// When the first slot of a queue was changed.
    fn first_of(&self, queue: &Queue) -> Option<Tick> {
        Some(self.slab.get(queue.first()?)?.at)
    }

    fn find(&self, hash: u64, key: &SlotKey) -> Option<Place> {
        let is_it = |place| self.slab.get(place).is_some_and(|slot| slot.key == *key);
        self.index.find(hash, is_it)
    }

    #[cfg(test)]
    pub(super) fn has(&self, hash: u64, key: &SlotKey) -> bool {
        self.find(hash, key).is_some()
    }

    fn held_by(&self, hash: u64, key: &SlotKey, held: &Held) -> Option<Place> {
        let place = self.find(hash, key)?;
        self.slab.get(place)?.is_held_by(held).then_some(place)
    }

    /// Changes a slot, and puts it where it then belongs, as the last.
    fn change<T>(&mut self, place: Place, change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        self.dequeue(place);
        let slot = self.slab.get_mut(place)?;
        let changed = change(slot);
        let at = slot.at;
        match slot.standing()? {
            Standing::Held => self.held.push(&mut self.slab, place),
            Standing::Released => self.released.push(&mut self.slab, place),
            Standing::Done => self.done.push(Due::new(at, place)),
        }
        Some(changed)
    }

    fn dequeue(&mut self, place: Place) {
        match self.slab.get(place).and_then(Slot::standing) {
            Some(Standing::Held) => self.held.remove(&mut self.slab, place),
            Some(Standing::Released) => self.released.remove(&mut self.slab, place),
            Some(Standing::Done) | None => {}
        }
    }

    fn remove(&mut self, seed: &Seed, place: Place) {
        let Some(slot) = self.slab.get(place) else {
            return;
        };
        let hash = seed.hash(&slot.key);
        self.index.remove(hash, place);
        self.dequeue(place);
        self.slab.remove(place);
    }

    fn sweep_done(&mut self, seed: &Seed, now: Tick) -> usize {
        let mut swept = 0;
        for _ in 0..Self::SWEEP {
            let Some(due) = self.done.first().filter(|due| due.at() <= now) else {
                break;
            };
            if let Some(place) = self.due_slot(due) {
                self.remove(seed, place);
                swept += 1;
            }
            self.done.pop();
        }
        swept
    }

    fn sweep_open(&mut self, seed: &Seed, now: Tick) -> usize {
        let mut swept = 0;
        for _ in 0..Self::SWEEP {
            let ended = [self.held.first(), self.released.first()];
            let ended = ended.map(|first| first.filter(|place| self.is_forgotten(*place, now)));
            if ended == [None, None] {
                break;
            }
            for place in ended.into_iter().flatten() {
                self.remove(seed, place);
                swept += 1;
            }
        }
        swept
    }

    fn is_forgotten(&self, place: Place, now: Tick) -> bool {
        let slot = self.slab.get(place);
        slot.is_some_and(|slot| slot.at.plus(KEEP_FENCE) <= now)
    }

    /// The done slot that `due` speaks of, unless it was claimed since.
    fn due_slot(&self, due: Due) -> Option<Place> {
        let place = due.place()?;
        let slot = self.slab.get(place)?;
        let is_done = slot.standing() == Some(Standing::Done);
        (is_done && Due::new(slot.at, place) == due).then_some(place)
    }

    fn drop_stale_deadlines(&mut self) {
        while let Some(due) = self.done.first() {
            if self.due_slot(due).is_some() {
                break;
            }
            self.done.pop();
        }
    }
}

fn settled(changed: Option<()>) -> Settled {
    changed.map_or(Settled::Lost, |()| Settled::Applied)
}

#[cfg(test)]
mod tests;
