//! What a done slot keeps.

use sha2::{Digest, Sha256};

use super::{Origin, Trust};
use crate::{event::Stage, product::Event, store::Record};

/// What the layer remembers of a done event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    result: Outcome,
    /// Unix seconds that the provider signed; `None` where nothing is signed.
    pub(crate) signed_at: Option<u64>,
    pub(crate) trust: Trust,
}

/// Tells the result of a success from any other, in at most 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    /// How many bytes of a result there are, zero for none, or [`Outcome::HASHED`].
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl Outcome {
    const MAX_LEN: usize = 32;
    const HASHED: u8 = u8::MAX;
    const NONE: Self = Self {
        len: 0,
        bytes: [0; Self::MAX_LEN],
    };

    /// The result itself where it fits, which is the rule for an id, and otherwise its SHA-256.
    fn of(result: &str) -> Self {
        let id = result.as_bytes();
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
        Self::verbatim(bytes).filter(|it| it.len == len)
    }

    fn as_bytes(&self) -> &[u8] {
        let len = usize::from(self.len).min(Self::MAX_LEN);
        self.bytes.get(..len).unwrap_or_default()
    }
}

impl Receipt {
    const VERSION: u8 = 1;
    /// Version, trust, signed time, and what the result is.
    const HEAD: usize = 11;

    pub(crate) fn of(event: &impl Event, origin: &Origin) -> Self {
        let is_success = event.stage() == Stage::Success;
        let result = event.result().filter(|_| is_success);
        Self {
            result: result.map_or(Outcome::NONE, Outcome::of),
            signed_at: origin.signed_at,
            trust: origin.trust,
        }
    }

    /// Whether both speak of the same result, or of none.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        self.result == other.result
    }

    /// Version, trust, signed time (all ones for none), and the result.
    pub(crate) fn to_record(self) -> Record {
        let mut bytes = [0; Self::HEAD + Outcome::MAX_LEN];
        let [version, trust, rest @ ..] = &mut bytes;
        (*version, *trust) = (Self::VERSION, self.trust.code());
        let (signed_at, rest) = rest.split_at_mut(8);
        signed_at.copy_from_slice(&self.signed_at.unwrap_or(u64::MAX).to_be_bytes());
        let (len, result) = rest.split_at_mut(1);
        len.copy_from_slice(&[self.result.len]);
        result.copy_from_slice(&self.result.bytes);
        let used = Self::HEAD + self.result.as_bytes().len();
        let record = bytes.get(..used).map(Record::try_from);
        record.and_then(Result::ok).unwrap_or(Record::EMPTY)
    }

    /// `None` for what no version of this layer wrote.
    pub(crate) fn from_record(record: &Record) -> Option<Self> {
        let (head, result) = record.as_bytes().split_first_chunk::<{ Self::HEAD }>()?;
        let [version, trust, signed_at @ .., len] = *head;
        let signed_at = u64::from_be_bytes(signed_at);
        (version == Self::VERSION).then_some(Self {
            result: Outcome::from_parts(len, result)?,
            signed_at: (signed_at != u64::MAX).then_some(signed_at),
            trust: Trust::from_code(trust)?,
        })
    }
}
