//! How many different events of one task are handed over beside its success and its failure.
//!
//! The body is not signed, so one captured header pair can claim any progress, phrase or
//! contradiction for as long as it is fresh; without a bound each made-up one would run the handler
//! and take room in the store.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::{
    shards::{Shards, SlotHash},
    store::SlotKey,
};

/// The slots of each task that were let through in this process, for as long as a header pair lives.
pub(crate) struct Variants {
    tasks: Shards<HashMap<SlotKey, Admitted, SlotHash>>,
}

struct Admitted {
    slots: Vec<SlotKey>,
    until: Instant,
}

impl Variants {
    const SHARDS: usize = 16;

    pub(crate) fn new() -> Self {
        Self {
            tasks: Shards::new(Self::SHARDS, HashMap::with_hasher),
        }
    }

    /// Whether `slot` is one of the first `limit` of `task`, which are remembered for `span` after
    /// the last of them came.
    pub(crate) fn admit(
        &self,
        task: &SlotKey,
        slot: SlotKey,
        limit: usize,
        span: Duration,
    ) -> bool {
        let now = Instant::now();
        let mut tasks = self.tasks.lock(task);
        // A map that has to grow first forgets what is over.
        if tasks.len() == tasks.capacity() {
            tasks.retain(|_, admitted| admitted.until > now);
        }
        let admitted = tasks.entry(*task).or_insert(Admitted {
            slots: Vec::new(),
            until: now,
        });
        if admitted.until <= now {
            admitted.slots.clear();
        }
        if admitted.slots.contains(&slot) {
            return true;
        }
        let has_room = admitted.slots.len() < limit;
        if has_room {
            admitted.slots.push(slot);
            admitted.until = now + span;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(600);

    fn slot(number: u32) -> SlotKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_le_bytes());
        SlotKey::from(bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_are_over_are_forgotten() {
        let variants = Variants::new();
        for number in 0..100_000 {
            assert!(variants.admit(&slot(number), slot(0), 1, SPAN));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let tasks: usize = variants.tasks.iter().map(|shard| shard.len()).sum();
        // Those of one span, and as many again in maps that need not grow.
        assert!(tasks < 4 * 600, "{tasks}");
    }
}
