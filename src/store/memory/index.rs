use hashbrown::HashTable;

use super::slab::Place;

/// Finds the place of a slot by the hash of its key.
///
/// It keeps what it needs of each hash, so that it grows without a look at the slots: at many
/// millions of them each look is a cache miss, and thousands of misses are a pause.
#[derive(Default)]
pub(super) struct Index(HashTable<Entry>);

/// Two bytes of place, three of hash.
#[derive(Clone, Copy)]
struct Entry([u8; 5]);

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place with this hash of which `is_it` is true.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(Place) -> bool) -> Option<Place> {
        let is_it = |entry: &Entry| entry.place().is_some_and(&is_it);
        self.0.find(kept(hash), is_it).and_then(Entry::place)
    }

    pub(super) fn insert(&mut self, hash: u64, place: Place) {
        let hash = kept(hash);
        let entry = Entry::new(hash, place);
        self.0.insert_unique(hash, entry, Entry::hash);
    }

    pub(super) fn remove(&mut self, hash: u64, place: Place) {
        let is_it = |entry: &Entry| entry.place() == Some(place);
        if let Ok(found) = self.0.find_entry(kept(hash), is_it) {
            found.remove();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

/// `hashbrown` takes the bucket from the low end of a hash and a tag of 7 bits from the high end.
const TAG_BITS: u32 = 7;
/// As many buckets as the index of 65,535 slots has.
const BUCKET_BITS: u32 = 17;

/// The bits of `hash` that an entry can keep, where they are.
fn kept(hash: u64) -> u64 {
    hash & (!(u64::MAX >> TAG_BITS) | ((1 << BUCKET_BITS) - 1))
}

impl Entry {
    fn new(hash: u64, place: Place) -> Self {
        let [a, b] = place.to_bits().to_le_bytes();
        let hash = (hash >> (64 - TAG_BITS)) << BUCKET_BITS | (hash & ((1 << BUCKET_BITS) - 1));
        let [c, d, e, ..] = hash.to_le_bytes();
        Self([a, b, c, d, e])
    }

    fn place(&self) -> Option<Place> {
        let [a, b, ..] = self.0;
        Place::from_bits(u16::from_le_bytes([a, b]))
    }

    fn hash(&self) -> u64 {
        let [_, _, c, d, e] = self.0;
        let hash = u64::from(u32::from_le_bytes([c, d, e, 0]));
        (hash >> BUCKET_BITS) << (64 - TAG_BITS) | (hash & ((1 << BUCKET_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_what_the_table_needs_of_a_hash() {
        for hash in [0, u64::MAX, 0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210] {
            let place = Place::from_bits(0xABCD).unwrap();
            let entry = Entry::new(kept(hash), place);
            assert_eq!(entry.hash(), kept(hash), "{hash:x}");
            assert_eq!(entry.place(), Some(place));
            assert_eq!(entry.hash() >> 57, hash >> 57);
            assert_eq!(entry.hash() % (1 << 17), hash % (1 << 17));
        }
    }
}
