use std::fmt;

use super::hex::Hex;

/// The name of one slot: 32 opaque bytes.
///
/// The layer derives it with SHA-256 from the namespace, the product, the task and the stage, so
/// that a backend needs no opinion on lengths or characters, and keys of one length are spread
/// evenly. It says nothing about its task, and is no secret.
///
/// # Example
///
/// ```
/// use suno_callback::store::SlotKey;
///
/// let slot = SlotKey::from([7; 32]);
/// assert_eq!(slot.as_bytes(), &[7; 32]);
/// assert_eq!(format!("{slot:?}").len(), "SlotKey()".len() + 64);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(align(8))] // moved in words, also within enums
pub struct SlotKey([u8; 32]);

impl SlotKey {
    pub(crate) const ZERO: Self = Self([0; 32]);

    /// The bytes to store under.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for SlotKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SlotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotKey({})", Hex(&self.0))
    }
}
