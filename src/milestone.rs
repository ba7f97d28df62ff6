//! Which slot an event belongs to, and what a done slot keeps.
//!
//! One slot for the success of a task, one for its failure, one for each progress status, each
//! ready phrase and each inconsistent content. A success looks at no slot but its own, so nothing
//! that came before can swallow it, not even a forged failure.

use sha2::{Digest, Sha256};

use crate::{
    delivery::Trust,
    event::{CallbackKind, Inconsistency, Meaning, VoiceEvent, VoiceId},
    store::{Record, SlotKey},
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
        }
    }

    fn start(&self, event: &VoiceEvent, tag: Tag) -> Sha256 {
        let id = event.task_id().as_str().as_bytes();
        let len = u16::try_from(id.len()).unwrap_or(u16::MAX);
        let hash = self.prefix.clone().chain_update(len.to_be_bytes());
        hash.chain_update(id).chain_update([tag as u8])
    }

    /// What contradicts itself is told apart by what it claims; where a key is repeated, by the
    /// whole body, because nobody can say which of the two values counts.
    fn inconsistent(&self, event: &VoiceEvent, why: Inconsistency) -> SlotKey {
        let hash = self.start(event, Tag::Inconsistent);
        if why == Inconsistency::RepeatedKey {
            return finish(hash.chain_update([1]).chain_update(event.body()));
        }
        let voice_id = event.voice_id().map(VoiceId::as_str).unwrap_or_default();
        let texts = [
            event.status().as_str(),
            voice_id,
            event.validate_info().unwrap_or_default(),
        ];
        let mut hash = hash.chain_update([0, why as u8]);
        hash.update(event.code().unwrap_or(i64::MIN).to_be_bytes());
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
}

fn finish(hash: Sha256) -> SlotKey {
    SlotKey::from(<[u8; 32]>::from(hash.finalize()))
}

/// What the layer remembers of a done event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    voice: Option<[u8; 32]>,
    /// Unix seconds that the provider signed; `None` where nothing is signed.
    pub(crate) signed_at: Option<u64>,
    pub(crate) trust: Trust,
}

impl Memory {
    const VERSION: u8 = 1;

    pub(crate) fn of(event: &VoiceEvent, signed_at: Option<u64>, trust: Trust) -> Self {
        let is_ready = event.meaning() == Meaning::Ready;
        let voice_id = event.voice_id().filter(|_| is_ready);
        let voice = voice_id.map(|id| Sha256::digest(id.as_str()).into());
        Self {
            voice,
            signed_at,
            trust,
        }
    }

    /// Whether both speak of the same voice, or of none.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        self.voice == other.voice
    }

    /// Version, trust, signed time (all ones for none), and the hash of the voice id if any.
    pub(crate) fn to_record(self) -> Record {
        let mut bytes = [0; 42];
        let (head, voice) = bytes.split_at_mut(10);
        let signed_at = self.signed_at.unwrap_or(u64::MAX).to_be_bytes();
        let parts = [Self::VERSION, self.trust.code()]
            .into_iter()
            .chain(signed_at);
        head.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        voice.copy_from_slice(&self.voice.unwrap_or_default());
        let len = if self.voice.is_some() { 42 } else { 10 };
        let record = bytes.get(..len).map(Record::try_from);
        record.and_then(Result::ok).unwrap_or(Record::EMPTY)
    }

    /// `None` for what no version of this layer wrote.
    pub(crate) fn from_record(record: &Record) -> Option<Self> {
        let (version, rest) = record.as_bytes().split_first()?;
        let (trust, rest) = rest.split_first()?;
        let (signed_at, voice) = rest.split_first_chunk()?;
        let signed_at = u64::from_be_bytes(*signed_at);
        let voice = match voice {
            [] => None,
            voice => Some(voice.try_into().ok()?),
        };
        (*version == Self::VERSION).then_some(Self {
            voice,
            signed_at: (signed_at != u64::MAX).then_some(signed_at),
            trust: Trust::from_code(*trust)?,
        })
    }
}
