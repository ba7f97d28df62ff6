//! Remembers for some minutes what was asked about, in little memory.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hash, RandomState},
    time::Duration,
};

use tokio::time::Instant;

/// What was noted lately: for at least five minutes, unless more than 32,768 others were noted
/// since. Two things may be taken for one, with the chance of a 64-bit hash.
pub(crate) struct Tally {
    keys: RandomState,
    young: HashSet<u64>,
    old: HashSet<u64>,
    turned: Instant,
}

impl Tally {
    const SPAN: Duration = Duration::from_secs(300);
    const MOST: usize = 32_768;

    pub(crate) fn new() -> Self {
        Self {
            keys: RandomState::new(),
            young: HashSet::new(),
            old: HashSet::new(),
            turned: Instant::now(),
        }
    }

    pub(crate) fn note(&mut self, what: impl Hash) {
        self.turn();
        self.young.insert(self.keys.hash_one(what));
    }

    pub(crate) fn has(&mut self, what: impl Hash) -> bool {
        self.turn();
        let hash = self.keys.hash_one(what);
        self.young.contains(&hash) || self.old.contains(&hash)
    }

    /// Forgets a half at a time.
    fn turn(&mut self) {
        let age = self.turned.elapsed();
        if age < Self::SPAN && self.young.len() < Self::MOST {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        if age >= 2 * Self::SPAN {
            self.old = HashSet::new();
        }
        self.turned = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_noted_is_known_for_five_minutes_and_forgotten_within_fifteen() {
        let mut tally = Tally::new();
        tally.note("task");
        assert!(tally.has("task") && !tally.has("another"));
        tokio::time::advance(Tally::SPAN - Duration::from_secs(1)).await;
        tally.note("another");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(tally.has("task") && tally.has("another"));
        tokio::time::advance(2 * Tally::SPAN).await;
        assert!(!tally.has("task") && !tally.has("another"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_takes_no_more_than_two_halves() {
        let mut tally = Tally::new();
        for number in 0..200_000 {
            tally.note(number);
        }
        assert!(tally.young.len() + tally.old.len() <= 2 * Tally::MOST);
        assert!(tally.has(199_999) && !tally.has(0));
    }
}
