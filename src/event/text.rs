use crate::util::Escaped;
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// A text in memory of its own. Cheap to clone: the lengths that ids have need no allocation.
#[derive(Clone)]
pub(crate) enum Text {
    Short(Short),
    Long(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Short(text) => text.as_str(),
            Self::Long(text) => text,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(text) => text.as_bytes(),
            Self::Long(text) => text.as_bytes(),
        }
    }
}

/// A text of at most 38 bytes, and zeros behind it.
#[derive(Clone, Copy)]
#[repr(align(8))] // looked at in words
pub(crate) struct Short {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl Short {
    /// A UUID has 36 bytes.
    const MAX_LEN: usize = 38;

    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::MAX_LEN];
        let len = u8::try_from(text.len()).ok()?;
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self { bytes, len })
    }

    /// A text went in. Whether it is one is looked at in steps of 16 bytes, and in single ones where
    /// there are fewer: with some zeros it costs less.
    fn as_str(&self) -> &str {
        let len = usize::from(self.len);
        let filled = len.next_multiple_of(16).min(Self::MAX_LEN);
        let filled = self.bytes.get(..filled).unwrap_or_default();
        let text = str::from_utf8(filled).unwrap_or_default();
        text.get(..len).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Short::new(text).map_or_else(|| Self::Long(text.into()), Self::Short)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// Escaped and cut: what the provider wrote is hostile until proven otherwise.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.as_str()).fmt(f)
    }
}
