use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::{slab::Place, tick::Tick};

/// When each done slot ends, the first of all in front. Eight bytes a slot, and not in the slots,
/// since whoever sorts those touches a cold line for each.
#[derive(Default)]
pub(super) struct Deadlines {
    /// Kept apart, because every operation asks for it and the fronts are cold.
    first: Option<Due>,
    /// Most end in the order in which they come, as most are kept equally long.
    line: VecDeque<Due>,
    /// Those that came after a later one.
    heap: BinaryHeap<Reverse<Due>>,
}

/// The end of a retention in milliseconds, rounded up, and where its slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due(u64);

impl Due {
    const PLACE_BITS: u32 = u16::BITS;

    pub(super) fn new(at: Tick, place: Place) -> Self {
        // Milliseconds take 45 bits, so none is lost.
        Self(at.to_millis() << Self::PLACE_BITS | u64::from(place.to_bits()))
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    /// From when on the slot has expired.
    pub(super) fn at(self) -> Tick {
        Tick::from_millis(self.0 >> Self::PLACE_BITS)
    }

    pub(super) fn place(self) -> Option<Place> {
        Place::from_bits(self.0 as u16)
    }
}

impl Deadlines {
    pub(super) fn first(&self) -> Option<Due> {
        self.first
    }

    pub(super) fn pop(&mut self) {
        if self.line.front() == self.first.as_ref() {
            self.line.pop_front();
        } else {
            self.heap.pop();
        }
        let (line, heap) = (self.line.front(), self.heap.peek().map(|due| &due.0));
        self.first = line.into_iter().chain(heap).min().copied();
    }

    /// Grows by an eighth and not to twice its size, as most of what grows here stays.
    pub(super) fn push(&mut self, due: Due) {
        let (line, heap) = (&mut self.line, &mut self.heap);
        if line.back().is_none_or(|last| *last <= due) {
            if line.len() == line.capacity() {
                line.reserve_exact(line.len() / 8 + 4);
            }
            line.push_back(due);
        } else {
            if heap.len() == heap.capacity() {
                heap.reserve_exact(heap.len() / 8 + 4);
            }
            heap.push(Reverse(due));
        }
        self.first = Some(self.first.map_or(due, |first| first.min(due)));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.line.len() + self.heap.len()
    }
}
