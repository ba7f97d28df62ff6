use std::fmt;

use super::hex::Hex;

/// What a done slot keeps: at most 64 bytes that only the layer understands.
///
/// They begin with a version of their own, and say when the event was signed, how it was trusted,
/// and what the result was (an id, or its SHA-256). A store keeps them as they are, gives back
/// exactly these bytes, and never an empty record for one that it cannot find. No secret and no text
/// of a person is in them.
///
/// # Example
///
/// ```
/// use suno_callback::store::{Record, RecordTooLong};
///
/// let record = Record::try_from(&b"what the layer wrote"[..])?;
/// assert_eq!(record.as_bytes(), b"what the layer wrote");
/// assert_eq!(Record::try_from(&[0; 65][..]), Err(RecordTooLong));
/// # Ok::<(), RecordTooLong>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(8))]
pub struct Record {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl Record {
    /// The largest record, in bytes.
    pub const MAX_LEN: usize = 64;

    /// A record of no bytes.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; Self::MAX_LEN],
    };

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl TryFrom<&[u8]> for Record {
    type Error = RecordTooLong;

    fn try_from(slice: &[u8]) -> Result<Self, Self::Error> {
        let mut bytes = [0; Self::MAX_LEN];
        let target = bytes.get_mut(..slice.len()).ok_or(RecordTooLong)?;
        target.copy_from_slice(slice);
        let len = u8::try_from(slice.len()).map_err(|_| RecordTooLong)?;
        Ok(Self { len, bytes })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({})", Hex(self.as_bytes()))
    }
}

/// More than [`Record::MAX_LEN`] bytes were offered as a [`Record`]: to a store that reads its rows,
/// a sign that somebody else has written there, and so an error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordTooLong;

impl fmt::Display for RecordTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a record has at most {} bytes", Record::MAX_LEN)
    }
}

impl std::error::Error for RecordTooLong {}
