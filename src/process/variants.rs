//! How many different events of one task are handed over beside its success and its failure.
//!
//! The body is not signed, so one captured header pair can claim any progress, phrase or
//! contradiction for as long as it is fresh; without a bound each made-up one would run the handler
//! and take room in the store.

use std::{collections::HashMap, mem, time::Duration};

use tokio::time::Instant;

use crate::{
    store::SlotKey,
    util::shards::{Shards, SlotHash},
};

/// The events of each task that were let through in this process, for as long as a header pair
/// lives.
pub(crate) struct Variants {
    tasks: Shards<Generations>,
}

/// Tasks by age: when the young ones are many or have lived for a span, they become the old ones,
/// and the old ones are forgotten. So nobody has to look for what is over, and a flood of tasks
/// pushes out those that were quiet for longest.
struct Generations {
    young: Tasks,
    old: Tasks,
    began: Instant,
}

type Tasks = HashMap<SlotKey, Admitted, SlotHash>;

struct Admitted {
    /// The first bytes of each slot, which are a hash.
    events: Vec<u64>,
    last: Instant,
}

impl Variants {
    const SHARDS: usize = 16;

    /// How many tasks are remembered at most.
    const TASKS: usize = 65_536;

    pub(crate) fn new() -> Self {
        Self {
            tasks: Shards::new(Self::SHARDS, Generations::new),
        }
    }

    /// Whether `slot` is one of the first `limit` of `task`, which are remembered for `span` after
    /// the last of them came.
    pub(crate) fn admit(
        &self,
        task: &SlotKey,
        slot: &SlotKey,
        limit: usize,
        span: Duration,
    ) -> bool {
        let (now, span) = (Instant::now(), span.max(Duration::from_secs(1)));
        let mut tasks = self.tasks.lock(task);
        let is_over = tasks.forget(now, span);
        let is_admitted = tasks.of(task, now).admit(slot, limit, now, span);
        drop(tasks);
        if is_over {
            // Also what nobody asks for again.
            for mut tasks in self.tasks.iter() {
                tasks.forget(now, span);
            }
        }
        is_admitted
    }
}

impl Generations {
    const YOUNG: usize = Variants::TASKS / Variants::SHARDS / 2;

    fn new(hash: SlotHash) -> Self {
        Self {
            young: HashMap::with_hasher(hash),
            old: HashMap::with_hasher(hash),
            began: Instant::now(),
        }
    }

    /// Lets the generations follow each other. Says whether it was for their age.
    fn forget(&mut self, now: Instant, span: Duration) -> bool {
        let age = now.saturating_duration_since(self.began);
        if age < span && self.young.len() < Self::YOUNG {
            return false;
        }
        let hash = *self.young.hasher();
        self.old = mem::replace(&mut self.young, HashMap::with_hasher(hash));
        if age >= span.saturating_mul(2) {
            self.old = HashMap::with_hasher(hash);
        }
        self.began = now;
        age >= span
    }

    /// The entry of a task, young again.
    fn of(&mut self, task: &SlotKey, now: Instant) -> &mut Admitted {
        let old = &mut self.old;
        self.young.entry(*task).or_insert_with(|| {
            let known = old.remove(task);
            known.unwrap_or_else(|| Admitted {
                events: Vec::new(),
                last: now,
            })
        })
    }
}

impl Admitted {
    fn admit(&mut self, slot: &SlotKey, limit: usize, now: Instant, span: Duration) -> bool {
        if now.saturating_duration_since(self.last) >= span {
            self.events.clear();
        }
        let [a, b, c, d, e, f, g, h, ..] = *slot.as_bytes();
        let event = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if self.events.contains(&event) {
            return true;
        }
        let has_room = self.events.len() < limit;
        if has_room {
            self.events.push(event);
            self.last = now;
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

    fn remembered(variants: &Variants) -> usize {
        let tasks = variants
            .tasks
            .iter()
            .map(|it| it.young.len() + it.old.len());
        tasks.sum()
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_are_over_are_forgotten() {
        let variants = Variants::new();
        for number in 0..100_000 {
            assert!(variants.admit(&slot(number), &slot(0), 1, SPAN));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // Those of this span and of the one before.
        assert!(remembered(&variants) <= 2 * 600);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_tasks_is_remembered_up_to_a_bound_and_forgotten_with_the_next_event() {
        let variants = Variants::new();
        for number in 0..300_000 {
            assert!(variants.admit(&slot(number), &slot(0), 1, SPAN));
            assert!(
                !variants.admit(&slot(number), &slot(1), 1, SPAN),
                "just seen"
            );
        }
        let most = remembered(&variants);
        assert!(
            (Variants::TASKS / 2..=Variants::TASKS).contains(&most),
            "{most}"
        );
        tokio::time::advance(2 * SPAN).await;
        assert!(variants.admit(&slot(0), &slot(0), 1, SPAN));
        assert_eq!(remembered(&variants), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_shortest_and_the_longest_span_are_counted_with() {
        for span in [Duration::ZERO, Duration::MAX] {
            let variants = Variants::new();
            assert!(variants.admit(&slot(0), &slot(0), 1, span));
            assert!(!variants.admit(&slot(0), &slot(1), 1, span));
            tokio::time::advance(Duration::from_secs(1_000_000_000)).await;
            assert_eq!(variants.admit(&slot(0), &slot(1), 1, span), span.is_zero());
        }
    }
}
