//! Slots that stand still: a store grows by another chunk, never by moving what it has.

use std::num::NonZeroU16;

use super::slot::Slot;

/// The slots of a shard, each at a place of its own for as long as it is kept.
#[derive(Default)]
pub(super) struct Slab {
    #[allow(clippy::vec_box)] // the vector moves what it holds when it grows
    chunks: Vec<Box<[Slot; Slab::CHUNK]>>,
    /// How many places were ever used.
    used: u16,
    vacant: Option<Place>,
}

/// Where a slot stands, counted from one so that an `Option` of it costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(NonZeroU16);

impl Place {
    pub(super) fn from_bits(bits: u16) -> Option<Self> {
        NonZeroU16::new(bits).map(Self)
    }

    pub(super) fn to_bits(self) -> u16 {
        self.0.get()
    }

    fn split(self) -> (usize, usize) {
        let index = usize::from(self.0.get() - 1);
        (index / Slab::CHUNK, index % Slab::CHUNK)
    }
}

impl Slab {
    /// Small, because each shard has one that is half empty on average.
    const CHUNK: usize = 16;

    pub(super) fn get(&self, place: Place) -> Option<&Slot> {
        let (chunk, index) = place.split();
        self.chunks.get(chunk)?.get(index)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Slot> {
        let (chunk, index) = place.split();
        self.chunks.get_mut(chunk)?.get_mut(index)
    }

    /// `None` when there is no place left: there are 65,535.
    pub(super) fn insert(&mut self, slot: Slot) -> Option<Place> {
        let place = match self.vacant {
            Some(place) => place,
            None => self.extend()?,
        };
        let target = self.get_mut(place)?;
        let next = target.next_vacant();
        *target = slot;
        self.vacant = next;
        Some(place)
    }

    pub(super) fn remove(&mut self, place: Place) {
        let next = self.vacant;
        if let Some(slot) = self.get_mut(place) {
            *slot = Slot::vacant(next);
            self.vacant = Some(place);
        }
    }

    /// Whether it has more memory than a few slots need.
    pub(super) fn is_large(&self) -> bool {
        self.chunks.len() > 1
    }

    fn extend(&mut self) -> Option<Place> {
        let used = self.used.checked_add(1)?;
        if usize::from(self.used).is_multiple_of(Self::CHUNK) {
            let chunk = std::array::from_fn(|_| Slot::vacant(None));
            self.chunks.push(Box::new(chunk));
        }
        self.used = used;
        Place::from_bits(used)
    }
}
