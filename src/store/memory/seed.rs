use std::hash::{BuildHasher, RandomState};

use crate::store::SlotKey;

/// Hashes slot keys under a secret of this store.
///
/// A key is a SHA-256 output, but of texts that others choose, and whoever fills a store by hand
/// may choose the keys themselves: so every byte counts, and nobody outside knows which keys meet.
#[derive(Clone, Copy)]
pub(super) struct Seed([u64; 4]);

impl Seed {
    pub(super) fn random() -> Self {
        let secret = RandomState::new();
        Self([0_u64, 1, 2, 3].map(|word| secret.hash_one(word)))
    }

    pub(super) fn hash(&self, key: &SlotKey) -> u64 {
        let [a, b, c, d] = words(key);
        let [first, second, third, fourth] = self.0;
        let front = fold(a ^ first, b ^ second);
        let back = fold(c ^ third, d ^ fourth);
        fold(front ^ second, back ^ third)
    }
}

/// The folded multiplication of foldhash and wyhash: it brings every bit of both factors to both
/// ends of the word.
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

fn words(key: &SlotKey) -> [u64; 4] {
    let mut words = [0; 4];
    let (bytes, _) = key.as_bytes().as_chunks();
    for (word, bytes) in words.iter_mut().zip(bytes) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_byte_of_a_key_counts() {
        let seed = Seed::random();
        let mut hashes = HashSet::from([seed.hash(&SlotKey::ZERO)]);
        for place in 0..32 {
            let mut key = [0; 32];
            key[place] = 1;
            assert!(
                hashes.insert(seed.hash(&SlotKey::from(key))),
                "byte {place}"
            );
        }
    }

    #[test]
    fn two_stores_hash_differently() {
        let [one, other] = [Seed::random(), Seed::random()];
        let same = |number| {
            one.hash(&SlotKey::from([number; 32])) == other.hash(&SlotKey::from([number; 32]))
        };
        assert!(!(0..=u8::MAX).any(same));
    }
}
