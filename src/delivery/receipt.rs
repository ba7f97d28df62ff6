//! What a done slot keeps.

use crate::{
    delivery::Trust,
    event::{Meaning, VoiceEvent, VoiceId},
    store::Record,
};
use sha2::{Digest, Sha256};

/// What the layer remembers of a done event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
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

impl Receipt {
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
