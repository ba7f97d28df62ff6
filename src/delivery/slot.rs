//! Which slot an event belongs to, and what a done slot keeps.
//!
//! One slot for the success of a task, one for its failure, one for each progress status, each
//! ready phrase, each inconsistent and each unknown content. A success looks at no slot but its own, so nothing
//! that came before can swallow it, not even a forged failure.

use sha2::{Digest, Sha256};

use crate::{
    event::{CallbackKind, Inconsistency, Meaning, VoiceEvent, VoiceId},
    store::SlotKey,
};

/// Names slots. Two handlers on one store need two namespaces.
#[derive(Clone)]
pub(crate) struct Namespace {
    name: [u8; 32],
    /// The first block of every name, compressed once and for all.
    prefix: Sha256,
}

impl Namespace {
    pub(crate) fn new(name: &str, kind: CallbackKind) -> Self {
        Self::hashed(Sha256::digest(name).into(), kind)
    }

    pub(crate) fn of_kind(&self, kind: CallbackKind) -> Self {
        Self::hashed(self.name, kind)
    }

    fn hashed(name: [u8; 32], kind: CallbackKind) -> Self {
        let mut block = [0; 64];
        let (first, rest) = block.split_at_mut(32);
        first.copy_from_slice(&name);
        let domain = b"suno-callback/1/".iter().chain(kind.as_str().as_bytes());
        rest.iter_mut()
            .zip(domain)
            .for_each(|(to, from)| *to = *from);
        let prefix = Sha256::new_with_prefix(block);
        Self { name, prefix }
    }

    /// The slot of a task's success.
    pub(crate) fn success(&self, event: &VoiceEvent) -> SlotKey {
        finish(self.start(event, Tag::Success))
    }

    /// The slot of an event.
    pub(crate) fn slot(&self, event: &VoiceEvent) -> SlotKey {
        match event.meaning() {
            Meaning::Ready => self.success(event),
            Meaning::Failed => finish(self.start(event, Tag::Failure)),
            Meaning::Pending => {
                let hash = self.start(event, Tag::Progress);
                finish(hash.chain_update(event.status().as_str()))
            }
            Meaning::PhraseReady => {
                let hash = self.start(event, Tag::Phrase);
                finish(hash.chain_update(event.validate_info().unwrap_or_default()))
            }
            Meaning::Inconsistent(why) => self.inconsistent(event, why),
            Meaning::Unknown => {
                let hash = self.start(event, Tag::Unknown);
                finish(hash.chain_update(event.body()))
            }
        }
    }

    fn start(&self, event: &VoiceEvent, tag: Tag) -> Sha256 {
        let id = event.task_id().as_str();
        let [high, low] = u16::try_from(id.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut hash = self.prefix.clone();
        hash.update([tag as u8, high, low]);
        hash.update(id);
        hash
    }

    /// What contradicts itself is told apart by what it claims; where nobody can say what
    /// that is, by the whole body.
    fn inconsistent(&self, event: &VoiceEvent, why: Inconsistency) -> SlotKey {
        let hash = self.start(event, Tag::Inconsistent);
        if matches!(
            why,
            Inconsistency::RepeatedKey | Inconsistency::VoiceIdDamaged
        ) {
            return finish(hash.chain_update([1]).chain_update(event.body()));
        }
        let voice_id = event.voice_id().map(VoiceId::as_str).unwrap_or_default();
        let texts = [
            event.status().as_str(),
            voice_id,
            event.validate_info().unwrap_or_default(),
        ];
        let mut hash = hash.chain_update([0, why as u8]);
        hash.update(event.claimed_code().unwrap_or(i64::MIN).to_be_bytes());
        for text in texts {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        finish(hash)
    }
}

#[derive(Clone, Copy)]
enum Tag {
    Success = 1,
    Failure = 2,
    Progress = 3,
    Phrase = 4,
    Inconsistent = 5,
    Unknown = 6,
}

fn finish(hash: Sha256) -> SlotKey {
    SlotKey::from(<[u8; 32]>::from(hash.finalize()))
}
