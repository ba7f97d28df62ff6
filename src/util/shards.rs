//! A value in many mutexes, picked by a hash.

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use crate::util::{
    lock,
    sync::{Mutex, MutexGuard},
};

/// One `T` per shard; a key always lands in the same one.
pub(crate) struct Shards<T> {
    shards: Box<[Mutex<T>]>,
    hash: SlotHash,
}

impl<T> Shards<T> {
    /// `count` shards (at least one), each made by `new`.
    pub(crate) fn new(count: usize, mut new: impl FnMut(SlotHash) -> T) -> Self {
        let hash = SlotHash::seeded();
        let shards = (0..count.max(1)).map(|_| Mutex::new(new(hash))).collect();
        Self { shards, hash }
    }

    /// Locks the shard of `key`.
    pub(crate) fn lock(&self, key: &impl Hash) -> MutexGuard<'_, T> {
        // The high bits, because the maps inside the shards use the low ones.
        let index = (self.hash.hash_one(key) >> 48) as usize % self.shards.len();
        #[allow(clippy::indexing_slicing)] // a remainder is below the length, which is at least 1
        lock(&self.shards[index])
    }

    /// Locks one shard after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.shards.iter().map(lock)
    }
}

impl<T> fmt::Debug for Shards<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shards({})", self.shards.len())
    }
}

/// Hashes what is a SHA-256 output already: eight of its bytes under a secret
/// seed spread well, and choosing them needs both the seed and a broken SHA-256.
#[derive(Clone, Copy)]
pub(crate) struct SlotHash(u64);

impl SlotHash {
    fn seeded() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for SlotHash {
    type Hasher = SlotHasher;

    fn build_hasher(&self) -> SlotHasher {
        SlotHasher(self.0)
    }
}

pub(crate) struct SlotHasher(u64);

impl Hasher for SlotHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*prefix);
        }
    }

    // `[u8; 32]` announces its length first.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        // The folded multiplication brings every input bit to both ends of the word.
        let wide = u128::from(self.0) * 0x9E37_79B9_7F4A_7C15;
        (wide as u64) ^ ((wide >> 64) as u64)
    }
}
