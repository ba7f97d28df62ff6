use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// A part of a shared string. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Text {
    whole: Arc<str>,
    start: usize,
    end: usize,
}

impl Text {
    /// The text at this place of `whole`; empty where that is no place.
    pub(super) fn within(whole: &Arc<str>, start: usize, len: usize) -> Self {
        Self {
            whole: Arc::clone(whole),
            start,
            end: start.saturating_add(len),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.whole.get(self.start..self.end).unwrap_or_default()
    }
}

impl From<Arc<str>> for Text {
    fn from(whole: Arc<str>) -> Self {
        Self {
            start: 0,
            end: whole.len(),
            whole,
        }
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

/// Text of the provider, made fit for a log: control characters and the like as escapes, cut
/// after 256 bytes.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Escaped<'_> {
    const MAX_LEN: usize = 256;
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.floor_char_boundary(Self::MAX_LEN);
        fmt::Debug::fmt(self.0.get(..cut).unwrap_or_default(), f)?;
        if cut < self.0.len() {
            f.write_str("...")?;
        }
        Ok(())
    }
}
