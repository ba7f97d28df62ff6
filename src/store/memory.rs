use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque, binary_heap::PeekMut},
    fmt,
    time::Duration,
};

use tokio::time::Instant;

use super::{Claim, DedupStore, Held, KEEP_FENCE, MAX_LEASE, Owner, Record, Settled, SlotKey};
use crate::shards::{Shards, SlotHash};

/// Remembers in this process: the embedded default.
///
/// For one process only, and it forgets at a restart. Entries expire by themselves. When it is
/// full it drops the done entry that expires first (within a shard of some thousand entries), then
/// the released slot that was used least recently, and never a held claim.
///
/// # Errors
///
/// [`StoreFull`] from a claim when every entry is held; the layer answers 503 then.
///
/// # Example
///
/// ```
/// use suno_callback::store::MemoryStore;
///
/// let store = MemoryStore::with_capacity(50_000);
/// assert!(store.is_empty());
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    shards: Shards<Shard>,
    start: Instant,
}

impl MemoryStore {
    /// How many entries [`MemoryStore::default`] holds: one million.
    pub const DEFAULT_CAPACITY: usize = 1_000_000;

    /// Small enough that a growing map stalls nobody, large enough that "expires first" is meant
    /// among many.
    const SHARD_CAPACITY: usize = 16_384;

    /// A store of at most `capacity` entries, at least one. Memory is taken as entries come.
    pub fn with_capacity(capacity: usize) -> Self {
        let count = capacity.div_ceil(Self::SHARD_CAPACITY).max(1);
        let each = capacity.div_ceil(count).max(1);
        Self {
            shards: Shards::new(count, |hash| Shard::new(each, hash)),
            start: Instant::now(),
        }
    }

    /// How many entries there are: held, released, and done ones whose room was not yet needed.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn now(&self) -> Tick {
        Tick::from(self.start.elapsed())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }
}

impl DedupStore for MemoryStore {
    type Error = StoreFull;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, StoreFull> {
        let now = self.now();
        Ok(self.shards.lock(slot).peek(slot, now))
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreFull> {
        let now = self.now();
        self.shards.lock(slot).claim(slot, owner, lease, now)
    }

    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, StoreFull> {
        let now = self.now();
        Ok(self.shards.lock(slot).renew(slot, held, lease, now))
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, StoreFull> {
        let until = self.now().plus(retain);
        Ok(self.shards.lock(slot).commit(slot, held, record, until))
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, StoreFull> {
        let now = self.now();
        Ok(self.shards.lock(slot).release(slot, held, now))
    }

    /// 24 hours.
    fn retention(&self) -> Duration {
        Duration::from_secs(24 * 3600)
    }
}

/// Every entry of the [`MemoryStore`] is held by a running handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFull;

impl fmt::Display for StoreFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("every entry of the memory store is held; give it more capacity")
    }
}

impl std::error::Error for StoreFull {}

/// Nanoseconds since the store was made: half the size of an `Instant`, good for 584 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u64);

impl Tick {
    fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(Self::from(span).0))
    }

    fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }
}

impl From<Duration> for Tick {
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A part of the map with the queues that let it forget.
struct Shard {
    capacity: usize,
    slots: HashMap<SlotKey, Slot, SlotHash>,
    /// Each done slot once, the one that expires first on top.
    done: BinaryHeap<Reverse<(Tick, SlotKey)>>,
    /// Each held or released slot once, with the time to look at it again; done ones stay behind
    /// until then or until [`Shard::compact`].
    open: VecDeque<(Tick, SlotKey)>,
}

struct Slot {
    owner: Owner,
    fence: i64,
    attempt: u32,
    changed: Tick,
    /// When its one valid entry in [`Shard::open`] is due.
    queued: Tick,
    state: State,
}

enum State {
    Free,
    Held { until: Tick },
    Done { until: Tick, record: Record },
}

impl Shard {
    /// How many expired entries one claim removes at most: more than it can add, so the store
    /// catches up, and few enough that no request pays for all.
    const SWEEP: usize = 4;

    fn new(capacity: usize, hash: SlotHash) -> Self {
        Self {
            capacity,
            slots: HashMap::with_hasher(hash),
            done: BinaryHeap::new(),
            open: VecDeque::new(),
        }
    }

    fn peek(&self, slot: &SlotKey, now: Tick) -> Option<Record> {
        match self.slots.get(slot)?.state {
            State::Done { until, record } if until > now => Some(record),
            _ => None,
        }
    }

    fn claim(
        &mut self,
        key: &SlotKey,
        owner: Owner,
        lease: Duration,
        now: Tick,
    ) -> Result<Claim, StoreFull> {
        self.sweep(now);
        let until = now.plus(lease);
        let Some(slot) = self.slots.get_mut(key) else {
            self.make_room()?;
            let slot = Slot::first(owner, until, now);
            self.open.push_back((slot.queued, *key));
            self.slots.insert(*key, slot);
            return Ok(Claim::Granted(Held::new(owner, 1, 1)));
        };
        let was_done = !slot.is_open();
        let claim = slot.claim(owner, until, now);
        if was_done && slot.is_open() {
            slot.queued = now.plus(KEEP_FENCE);
            self.open.push_back((slot.queued, *key));
        }
        Ok(claim)
    }

    fn renew(&mut self, slot: &SlotKey, held: &Held, lease: Duration, now: Tick) -> Settled {
        let Some(slot) = self.slots.get_mut(slot).filter(|slot| slot.is_of(held)) else {
            return Settled::Lost;
        };
        let State::Held { until } = &mut slot.state else {
            return Settled::Lost;
        };
        *until = now.plus(lease);
        slot.changed = now;
        Settled::Applied
    }

    fn commit(&mut self, key: &SlotKey, held: &Held, record: &Record, until: Tick) -> Settled {
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.is_of(held)) else {
            return Settled::Lost;
        };
        match slot.state {
            State::Free => return Settled::Lost,
            State::Done { .. } => return Settled::Applied,
            State::Held { .. } => {}
        }
        let record = *record;
        slot.state = State::Done { until, record };
        self.done.push(Reverse((until, *key)));
        self.compact();
        Settled::Applied
    }

    fn release(&mut self, slot: &SlotKey, held: &Held, now: Tick) -> Settled {
        let Some(slot) = self.slots.get_mut(slot).filter(|slot| slot.is_of(held)) else {
            return Settled::Lost;
        };
        if !matches!(slot.state, State::Held { .. }) {
            return Settled::Lost;
        }
        slot.state = State::Free;
        slot.changed = now;
        Settled::Applied
    }

    /// Removes some of what has expired.
    fn sweep(&mut self, now: Tick) {
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
    fn look_again(&mut self, at: Tick, key: SlotKey, now: Tick) {
        let Some(slot) = self.slots.get_mut(&key).filter(|slot| slot.is_queued(at)) else {
            return;
        };
        slot.queued = slot.changed.plus(KEEP_FENCE);
        if slot.queued <= now {
            self.slots.remove(&key);
        } else {
            self.open.push_back((slot.queued, key));
        }
    }

    /// Removes the done slot that expires first; false when there is none.
    fn evict_done(&mut self) -> bool {
        while let Some(Reverse((at, key))) = self.done.pop() {
            if self.forget_done(at, &key) {
                return true;
            }
        }
        false
    }

    /// Removes a done slot, unless it was claimed again after its retention had ended at `at`.
    fn forget_done(&mut self, at: Tick, key: &SlotKey) -> bool {
        let is_it = |slot: &Slot| matches!(slot.state, State::Done { until, .. } if until == at);
        self.slots.get(key).is_some_and(is_it) && self.slots.remove(key).is_some()
    }

    fn make_room(&mut self) -> Result<(), StoreFull> {
        if self.slots.len() < self.capacity || self.evict_done() || self.evict_released() {
            return Ok(());
        }
        Err(StoreFull)
    }

    fn evict_released(&mut self) -> bool {
        let slots = &self.slots;
        let is_free = |slot: &Slot| matches!(slot.state, State::Free);
        let found = self
            .open
            .iter()
            .position(|(_, key)| slots.get(key).is_some_and(is_free));
        let Some((_, key)) = found.and_then(|at| self.open.remove(at)) else {
            return false;
        };
        self.slots.remove(&key).is_some()
    }

    /// Keeps what done and evicted slots leave in `open` below the number of slots, at a cost that
    /// spreads to nothing.
    fn compact(&mut self) {
        if self.open.len() <= 2 * self.slots.len() + 64 {
            return;
        }
        let slots = &self.slots;
        self.open
            .retain(|(at, key)| slots.get(key).is_some_and(|slot| slot.is_queued(*at)));
    }
}

impl Slot {
    fn first(owner: Owner, until: Tick, now: Tick) -> Self {
        Self {
            owner,
            fence: 1,
            attempt: 1,
            changed: now,
            queued: now.plus(KEEP_FENCE),
            state: State::Held { until },
        }
    }

    fn claim(&mut self, owner: Owner, until: Tick, now: Tick) -> Claim {
        match self.state {
            State::Done { until, record } if until > now => return Claim::Done(record),
            State::Done { .. } => self.acquire(owner, 1),
            State::Held { .. } if self.owner == owner => {}
            State::Held { until } if until > now && until <= now.plus(MAX_LEASE) => {
                let remaining = now.until(until);
                return Claim::InFlight { remaining };
            }
            State::Held { .. } | State::Free => {
                self.acquire(owner, self.attempt.saturating_add(1));
            }
        }
        self.state = State::Held { until };
        self.changed = now;
        Claim::Granted(Held::new(self.owner, self.fence, self.attempt))
    }

    fn acquire(&mut self, owner: Owner, attempt: u32) {
        self.owner = owner;
        self.fence = self.fence.saturating_add(1);
        self.attempt = attempt;
    }

    fn is_of(&self, held: &Held) -> bool {
        self.owner == held.owner() && self.fence == held.fence()
    }

    fn is_open(&self) -> bool {
        !matches!(self.state, State::Done { .. })
    }

    fn is_queued(&self, at: Tick) -> bool {
        self.is_open() && self.queued == at
    }
}

#[cfg(test)]
mod tests;
