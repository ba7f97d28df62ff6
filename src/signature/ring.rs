use std::sync::Arc;

use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::{Signature, SigningKey, Timestamp};

/// The keys that are accepted: one, or several while rotating.
#[derive(Clone, Debug)]
pub(crate) struct KeyRing {
    first: SigningKey,
    more: Vec<SigningKey>,
}

impl KeyRing {
    pub(crate) fn new(first: SigningKey) -> Self {
        let more = Vec::new();
        Self { first, more }
    }

    pub(crate) fn push(&mut self, key: SigningKey) {
        self.more.push(key);
    }

    /// The label of the key that made `signature`.
    ///
    /// Every key is tried and every comparison takes the same time, whatever the outcome; only
    /// then the choice is looked at.
    pub(crate) fn verify(
        &self,
        task_id: &str,
        timestamp: &Timestamp,
        signature: &Signature,
    ) -> Option<&Arc<str>> {
        let mut chosen = 0_u32;
        for (number, key) in (1_u32..).zip(self.iter()) {
            let tag = key.tag(task_id, timestamp.as_bytes());
            chosen.conditional_assign(&number, words(&tag).ct_eq(&words(signature.as_bytes())));
        }
        let index = usize::try_from(chosen).ok()?.checked_sub(1)?;
        self.iter().nth(index).map(SigningKey::shared_label)
    }

    fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

/// The bytes of a tag as words: as constant in time when they are compared, in an eighth of the
/// steps.
fn words(tag: &[u8; 32]) -> [u64; 4] {
    let (chunks, _) = tag.as_chunks();
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(chunks) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}
