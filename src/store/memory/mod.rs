mod shard;
mod slot;

use std::{fmt, time::Duration};

use tokio::time::Instant;

use self::shard::Shard;
use super::{Claim, DedupStore, Held, KEEP_FENCE, MAX_LEASE, Owner, Record, Settled, SlotKey};
use crate::shards::Shards;

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
