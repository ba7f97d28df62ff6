use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
};

use super::{slab::Place, tick::Tick};

/// When each done slot ends, the first on top: eight bytes a slot, since a heap of slots would
/// touch one cold line per level.
#[derive(Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<Due>>);

/// The end of a retention in milliseconds, rounded up, and where its slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due(u64);

impl Due {
    const PLACE_BITS: u32 = 24;
    /// After 34 years: never.
    const LAST: u64 = u64::MAX >> Self::PLACE_BITS;

    pub(super) fn new(at: Tick, place: Place) -> Self {
        let millis = at.to_millis().min(Self::LAST);
        Self(millis << Self::PLACE_BITS | u64::from(place.to_bits()))
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    /// From when on the slot has expired.
    pub(super) fn at(self) -> Tick {
        match self.0 >> Self::PLACE_BITS {
            Self::LAST => Tick::NEVER,
            millis => Tick::from_millis(millis),
        }
    }

    pub(super) fn place(self) -> Option<Place> {
        Place::from_bits((self.0 & ((1 << Self::PLACE_BITS) - 1)) as u32)
    }
}

impl Deadlines {
    pub(super) fn first(&self) -> Option<Due> {
        self.0.peek().map(|first| first.0)
    }

    pub(super) fn pop(&mut self) {
        if let Some(first) = self.0.peek_mut() {
            PeekMut::pop(first);
        }
    }

    /// Grows by an eighth and not to twice its size, as most of what grows here stays.
    pub(super) fn push(&mut self, due: Due) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(self.0.len() / 8 + 4);
        }
        self.0.push(Reverse(due));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
