use std::{borrow::Cow, ops::Range};

use super::Value;

/// A text of the body that is not empty.
pub(crate) enum Part {
    /// It stands there as it is.
    Within(Range<usize>),
    /// It was written in escapes.
    Unescaped(Box<str>),
}

impl Part {
    pub(crate) fn of(body: &str, value: &Value<'_>) -> Option<Self> {
        let text = value.as_cow().filter(|text| !text.is_empty())?;
        Some(match text {
            Cow::Borrowed(part) => Self::within(body, part),
            Cow::Owned(unescaped) => Self::Unescaped(unescaped.as_str().into()),
        })
    }

    pub(crate) fn within(body: &str, part: &str) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(body.as_ptr().addr());
        match start.checked_add(part.len()) {
            Some(end) if end <= body.len() => Self::Within(start..end),
            // It stands in the result of a job, which is a text of its own.
            _ => Self::Unescaped(part.into()),
        }
    }

    pub(crate) fn as_str<'a>(&'a self, body: &'a str) -> &'a str {
        match self {
            Self::Within(range) => body.get(range.clone()).unwrap_or_default(),
            Self::Unescaped(text) => text,
        }
    }
}
