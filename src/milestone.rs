//! Which slot an event belongs to, and what a done slot keeps.
//!
//! One slot for the success of a task, one for its failure, one for each progress status, each
//! ready phrase, each inconsistent and each unknown content. A success looks at no slot but its own, so nothing
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

/// What the layer remembers of a done event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    voice: Voice,
    /// Unix seconds that the provider signed; `None` where nothing is signed.
    pub(crate) signed_at: Option<u64>,
    pub(crate) trust: Trust,
}

/// Tells the voice of a success from any other, in at most 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Voice {
    /// How many bytes of an id there are, zero for no voice, or [`Voice::HASHED`].
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl Voice {
    const MAX_LEN: usize = 32;
    const HASHED: u8 = u8::MAX;
    const NONE: Self = Self {
        len: 0,
        bytes: [0; Self::MAX_LEN],
    };

    /// The id itself where it fits, which is the rule, and otherwise its SHA-256.
    fn of(id: &VoiceId) -> Self {
        let id = id.as_str().as_bytes();
        Self::verbatim(id).unwrap_or_else(|| Self {
            len: Self::HASHED,
            bytes: Sha256::digest(id).into(),
        })
    }

    fn verbatim(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX_LEN];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        let len = u8::try_from(id.len()).ok()?;
        Some(Self { len, bytes })
    }

    fn from_parts(len: u8, bytes: &[u8]) -> Option<Self> {
        if len == Self::HASHED {
            let bytes = bytes.try_into().ok()?;
            return Some(Self { len, bytes });
        }
        Self::verbatim(bytes).filter(|voice| voice.len == len)
    }

    fn as_bytes(&self) -> &[u8] {
        let len = usize::from(self.len).min(Self::MAX_LEN);
        self.bytes.get(..len).unwrap_or_default()
    }
}

impl Memory {
    const VERSION: u8 = 1;
    /// Version, trust, signed time, and what the voice is.
    const HEAD: usize = 11;

    pub(crate) fn of(event: &VoiceEvent, signed_at: Option<u64>, trust: Trust) -> Self {
        let is_ready = event.meaning() == Meaning::Ready;
        let voice_id = event.voice_id().filter(|_| is_ready);
        Self {
            voice: voice_id.map_or(Voice::NONE, Voice::of),
            signed_at,
            trust,
        }
    }

    /// Whether both speak of the same voice, or of none.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        self.voice == other.voice
    }

    /// Version, trust, signed time (all ones for none), and the voice.
    pub(crate) fn to_record(self) -> Record {
        let mut bytes = [0; Self::HEAD + Voice::MAX_LEN];
        let [version, trust, rest @ ..] = &mut bytes;
        (*version, *trust) = (Self::VERSION, self.trust.code());
        let (signed_at, rest) = rest.split_at_mut(8);
        signed_at.copy_from_slice(&self.signed_at.unwrap_or(u64::MAX).to_be_bytes());
        let (len, voice) = rest.split_at_mut(1);
        len.copy_from_slice(&[self.voice.len]);
        voice.copy_from_slice(&self.voice.bytes);
        let used = Self::HEAD + self.voice.as_bytes().len();
        let record = bytes.get(..used).map(Record::try_from);
        record.and_then(Result::ok).unwrap_or(Record::EMPTY)
    }

    /// `None` for what no version of this layer wrote.
    pub(crate) fn from_record(record: &Record) -> Option<Self> {
        let (head, voice) = record.as_bytes().split_first_chunk::<{ Self::HEAD }>()?;
        let [version, trust, signed_at @ .., len] = *head;
        let signed_at = u64::from_be_bytes(signed_at);
        (version == Self::VERSION).then_some(Self {
            voice: Voice::from_parts(len, voice)?,
            signed_at: (signed_at != u64::MAX).then_some(signed_at),
            trust: Trust::from_code(trust)?,
        })
    }
}
