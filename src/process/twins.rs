//! The events that this process handles right now, so that their twins wait here and not in the
//! store.

use std::{
    collections::{HashMap, hash_map},
    fmt,
    sync::Arc,
};

use tokio::sync::watch;

use crate::{
    config::Limits,
    metrics::{COMMITS_DEFERRED, Level, REQUESTS_WAITING},
    store::{Record, SlotKey},
    util::shards::{Shards, SlotHash},
};

/// Who handles which slot. The first request of a slot leads: it alone talks to the store.
pub(crate) struct Twins {
    slots: Shards<HashMap<SlotKey, Running, SlotHash>>,
    waiting: Level,
    deferred: Level,
    limits: Limits,
}

/// What a request that comes for a slot has to do.
pub(crate) enum Entry {
    /// Go to the store.
    Lead(Leader),
    /// Wait for the one that leads.
    Follow(Follower),
    /// Nothing: it was handled, and the commit is on its way.
    Handled(Record),
    /// Nothing: too many wait already.
    Full,
}

/// How a slot was left.
#[derive(Clone, Copy)]
pub(crate) enum SlotEnd {
    /// Somebody may try.
    Free,
    /// Done, with this record.
    Done(Record),
}

enum Running {
    /// The channel is made by the first twin that waits.
    Led(Option<watch::Sender<Option<SlotEnd>>>),
    /// Rare, and large: in a box it does not make the table larger.
    Handled(Box<Record>),
}

impl Twins {
    const SHARDS: usize = 32;

    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            slots: Shards::new(Self::SHARDS, HashMap::with_hasher),
            waiting: Level::new(&REQUESTS_WAITING),
            deferred: Level::new(&COMMITS_DEFERRED),
            limits,
        }
    }

    pub(crate) fn enter(self: &Arc<Self>, slot: SlotKey) -> Entry {
        match self.slots.lock(&slot).entry(slot) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Running::Led(None));
                Entry::Lead(Leader {
                    twins: Arc::clone(self),
                    slot,
                    is_over: false,
                })
            }
            hash_map::Entry::Occupied(mut occupied) => match occupied.get_mut() {
                Running::Handled(record) => Entry::Handled(**record),
                Running::Led(channel) => self.wait(channel),
            },
        }
    }

    /// The right to wait, for an event or for the provider's word.
    pub(crate) fn quota(self: &Arc<Self>) -> Option<Quota> {
        Quota::take(self, |twins| &twins.waiting, self.limits.waiters)
    }

    /// The record of a slot that was handled here and is not committed yet.
    pub(crate) fn handled(&self, slot: &SlotKey) -> Option<Record> {
        match self.slots.lock(slot).get(slot) {
            Some(Running::Handled(record)) => Some(**record),
            _ => None,
        }
    }

    fn wait(self: &Arc<Self>, channel: &mut Option<watch::Sender<Option<SlotEnd>>>) -> Entry {
        let channel = channel.get_or_insert_with(|| watch::Sender::new(None));
        if channel.receiver_count() >= self.limits.waiters_per_slot {
            return Entry::Full;
        }
        let Some(quota) = self.quota() else {
            return Entry::Full;
        };
        Entry::Follow(Follower {
            channel: channel.subscribe(),
            _quota: quota,
        })
    }

    /// Takes the slot out of the table, or leaves what was handled in it, and wakes the twins.
    fn leave(&self, slot: &SlotKey, left: SlotEnd, stays: Option<Running>) {
        let before = {
            let mut slots = self.slots.lock(slot);
            match stays {
                Some(running) => slots.insert(*slot, running),
                None => take(&mut slots, slot),
            }
        };
        if let Some(Running::Led(Some(channel))) = before {
            channel.send_replace(Some(left));
        }
    }
}

/// Removes a slot. What a flood has made large becomes small again.
fn take(slots: &mut HashMap<SlotKey, Running, SlotHash>, slot: &SlotKey) -> Option<Running> {
    const SMALL: usize = 256;
    let taken = slots.remove(slot);
    if slots.capacity() > SMALL && slots.len() < slots.capacity() / 8 {
        slots.shrink_to(SMALL.max(slots.len() * 2));
    }
    taken
}

impl fmt::Debug for Twins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twins")
            .field("waiting", &self.waiting)
            .field("deferred", &self.deferred)
            .finish_non_exhaustive()
    }
}

/// The right to handle a slot in this process. Dropping it lets the next one try.
pub(crate) struct Leader {
    twins: Arc<Twins>,
    slot: SlotKey,
    is_over: bool,
}

impl Leader {
    pub(crate) fn slot(&self) -> &SlotKey {
        &self.slot
    }

    /// The store has the record: twins are classified by it.
    pub(crate) fn done(mut self, record: Record) {
        self.twins.leave(&self.slot, SlotEnd::Done(record), None);
        self.is_over = true;
    }

    /// The event was handled and the store does not know it yet: callers here are classified by
    /// `record` for as long as the answer lives. `None` when too many are in that state.
    pub(crate) fn handled(&self, record: Record) -> Option<Quota> {
        let limit = self.twins.limits.deferred_commits;
        let quota = Quota::take(&self.twins, |twins| &twins.deferred, limit)?;
        let stays = Some(Running::Handled(Box::new(record)));
        self.twins.leave(&self.slot, SlotEnd::Done(record), stays);
        Some(quota)
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.is_over {
            self.twins.leave(&self.slot, SlotEnd::Free, None);
        }
    }
}

/// A twin that waits.
pub(crate) struct Follower {
    channel: watch::Receiver<Option<SlotEnd>>,
    _quota: Quota,
}

impl Follower {
    /// How the slot was left. Cancel safe.
    pub(crate) async fn slot_end(mut self) -> SlotEnd {
        match self.channel.wait_for(Option::is_some).await {
            Ok(left) => left.unwrap_or(SlotEnd::Free),
            Err(_) => SlotEnd::Free,
        }
    }
}

/// One of those that a limit allows, given back when dropped.
pub(crate) struct Quota {
    twins: Arc<Twins>,
    counter: fn(&Twins) -> &Level,
}

impl Quota {
    fn take(twins: &Arc<Twins>, counter: fn(&Twins) -> &Level, limit: usize) -> Option<Self> {
        let is_below = counter(twins).raise_below(limit);
        is_below.then(|| Self {
            twins: Arc::clone(twins),
            counter,
        })
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        (self.counter)(&self.twins).lower();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_no_large_table() {
        let twins = Arc::new(Twins::new(Limits::default()));
        let slot = |n: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
            SlotKey::from(bytes)
        };
        let capacity = || twins.slots.iter().map(|it| it.capacity()).sum::<usize>();
        let leads: Vec<_> = (0..100_000).map(|n| twins.enter(slot(n))).collect();
        assert!(leads.iter().all(|it| matches!(it, Entry::Lead(_))));
        assert!(capacity() >= 100_000);
        drop(leads);
        assert!(capacity() <= 1024 * Twins::SHARDS, "{}", capacity());
    }
}
