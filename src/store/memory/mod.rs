mod deadlines;
mod index;
mod queue;
mod seed;
mod shard;
mod shards;
mod slab;
mod slot;
mod tick;

use std::{fmt, time::Duration};

use tokio::time::Instant;

use self::{shard::Shard, shards::Shards, tick::Tick};
use super::{Claim, DedupStore, Held, KEEP_FENCE, MAX_LEASE, Owner, Record, Settled, SlotKey};
use crate::util::clock;

/// Remembers in this process: the embedded default.
///
/// For one process only, and it forgets at a restart. Entries expire by themselves, as claims come.
/// When it is full, and not before, it drops the done entry that expires first (of a large store:
/// among 200,000), then the released slot that was used least recently, and never a held claim.
///
/// An entry takes some 125 bytes, which its place keeps for the next one. There is no pause to
/// grow: entries never move, and what finds them grows in small parts.
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
pub struct MemoryStore {
    shards: Shards,
    start: Instant,
}

impl MemoryStore {
    /// How many entries [`MemoryStore::default`] holds: one million.
    pub const DEFAULT_CAPACITY: usize = 1_000_000;

    /// So few that none stalls while the index of a shard grows, and so many that a full one fills
    /// its index of 8,192 places well (7,168 of them can be taken).
    const SHARD_CAPACITY: usize = 6_784;

    /// More would cost a store memory that it may never fill; beyond 28 million entries shards get
    /// larger instead, up to ten times.
    const MAX_SHARDS: usize = 4_096;

    /// Most that a shard is meant to hold: it has 65,535 places, and chance fills none so much fuller
    /// than the others.
    const SHARE: usize = 60_000;

    /// A store of at most `capacity` entries, at least one and at most 245 million (30 GB). Memory is
    /// taken as entries come.
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.min(Self::MAX_SHARDS * Self::SHARE);
        let count = capacity.div_ceil(Self::SHARD_CAPACITY);
        Self::sharded(count.min(Self::MAX_SHARDS), capacity)
    }

    /// How many entries there are: held, released, and done ones whose room was not yet needed.
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sharded(count: usize, capacity: usize) -> Self {
        Self {
            shards: Shards::new(count, capacity),
            start: Instant::now(),
        }
    }

    fn now(&self) -> Tick {
        Tick::from(clock::now().saturating_duration_since(self.start))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }
}

impl DedupStore for MemoryStore {
    type Error = StoreFull;

    const ANSWERS_AT_ONCE: bool = true;

    async fn peek(&self, slot: &SlotKey) -> Result<Option<Record>, StoreFull> {
        let now = self.now();
        let peek = |shard: &mut Shard, hash| shard.peek(hash, slot, now);
        Ok(self.shards.with(slot, peek))
    }

    async fn claim(
        &self,
        slot: &SlotKey,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreFull> {
        let now = self.now();
        self.shards.claim(slot, owner, now.plus(lease), now)
    }

    async fn renew(
        &self,
        slot: &SlotKey,
        held: &Held,
        lease: Duration,
    ) -> Result<Settled, StoreFull> {
        let now = self.now();
        let until = now.plus(lease);
        let renew = |shard: &mut Shard, hash| shard.renew(hash, slot, held, until, now);
        Ok(self.shards.with(slot, renew))
    }

    async fn commit(
        &self,
        slot: &SlotKey,
        held: &Held,
        record: &Record,
        retain: Duration,
    ) -> Result<Settled, StoreFull> {
        let until = self.now().plus(retain);
        let commit = |shard: &mut Shard, hash| shard.commit(hash, slot, held, record, until);
        Ok(self.shards.with(slot, commit))
    }

    async fn release(&self, slot: &SlotKey, held: &Held) -> Result<Settled, StoreFull> {
        let now = self.now();
        let release = |shard: &mut Shard, hash| shard.release(hash, slot, held, now);
        Ok(self.shards.with(slot, release))
    }

    /// 24 hours.
    fn retention(&self) -> Duration {
        Duration::from_secs(24 * 3600)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("MemoryStore");
        text.field("len", &self.len()).finish_non_exhaustive()
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

#[cfg(test)]
mod tests;
