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
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Open(Open),
    Done { until: Tick, record: Record },
}

/// A slot that is held or was released.
#[derive(Clone, Copy)]
struct Open {
    /// When its lease ends; `None` once it was released.
    until: Option<Tick>,
    changed: Tick,
    /// When its one valid entry in [`Shard::open`] is due.
    queued: Tick,
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

    fn renew(&mut self, slot: &SlotKey, held: &Held, lease: Duration, now: Tick) -> Settled {
        let slot = self.slots.get_mut(slot).and_then(|slot| slot.held(held));
        let Some(open) = slot else {
            return Settled::Lost;
        };
        open.until = Some(now.plus(lease));
        open.changed = now;
        Settled::Applied
    }

    fn commit(&mut self, key: &SlotKey, held: &Held, record: &Record, until: Tick) -> Settled {
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

    fn release(&mut self, slot: &SlotKey, held: &Held, now: Tick) -> Settled {
        let slot = self.slots.get_mut(slot).and_then(|slot| slot.held(held));
        let Some(open) = slot else {
            return Settled::Lost;
        };
        open.until = None;
        open.changed = now;
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

    fn make_room(&mut self) -> Result<(), StoreFull> {
        if self.slots.len() < self.capacity || self.evict_done() || self.evict_released() {
            return Ok(());
        }
        Err(StoreFull)
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

    fn evict_released(&mut self) -> bool {
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
    fn forget_open(&mut self, key: &SlotKey) {
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

impl Slot {
    fn first(owner: Owner, until: Tick, now: Tick) -> Self {
        Self {
            owner,
            fence: 1,
            attempt: 1,
            state: State::Open(Open::new(until, now)),
        }
    }

    fn claim(&mut self, owner: Owner, until: Tick, now: Tick) -> Claim {
        match &mut self.state {
            State::Done { until, record } if *until > now => return Claim::Done(*record),
            State::Done { .. } => {
                self.state = State::Open(Open::new(until, now));
                self.acquire(owner, 1);
            }
            State::Open(open) => {
                let is_own = open.until.is_some() && self.owner == owner;
                if let (false, Some(remaining)) = (is_own, open.lease_left(now)) {
                    return Claim::InFlight { remaining };
                }
                open.until = Some(until);
                open.changed = now;
                if !is_own {
                    self.acquire(owner, self.attempt.saturating_add(1));
                }
            }
        }
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

    /// The slot, if `held` holds it.
    fn held(&mut self, held: &Held) -> Option<&mut Open> {
        match self.is_of(held).then_some(&mut self.state)? {
            State::Open(open) if open.until.is_some() => Some(open),
            _ => None,
        }
    }

    /// Whether it is open and its valid entry in the queue is the one that is due `at`.
    fn is_queued(&self, at: Tick) -> bool {
        matches!(self.state, State::Open(open) if open.queued == at)
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }
}

impl Open {
    fn new(until: Tick, now: Tick) -> Self {
        Self {
            until: Some(until),
            changed: now,
            queued: now.plus(KEEP_FENCE),
        }
    }

    /// How long it is still held; a lease that ends absurdly late counts as ended.
    fn lease_left(&self, now: Tick) -> Option<Duration> {
        let until = self.until?;
        (until > now && until <= now.plus(MAX_LEASE)).then(|| now.until(until))
    }
}

#[cfg(test)]
mod tests;
