use crate::util::Escaped;
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// A text in memory of its own. Cheap to clone: the lengths that ids have need no allocation.
#[derive(Clone)]
pub(crate) enum Text {
    Short { len: u8, bytes: [u8; Text::SHORT] },
    Long(Arc<str>),
}

impl Text {
    /// A UUID has 36 bytes.
    const SHORT: usize = 38;

    fn short(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::SHORT];
        let len = u8::try_from(text.len()).ok()?;
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self::Short { len, bytes })
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            // A text went in.
            Self::Short { .. } => str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::short(text).unwrap_or_else(|| Self::Long(text.into()))
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
