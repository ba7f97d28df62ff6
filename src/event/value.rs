use std::borrow::Cow;

/// A JSON value that decides nothing by its type: what it means is for later.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Not there, or `null`.
    #[default]
    Absent,
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number.
    Whole(i64),
    /// What a [`Key::raw`](super::Key::raw) asks for: JSON as it was written, never `null`.
    Raw(&'a str),
    /// A fraction, a boolean, an array, an object.
    Odd,
}

impl<'a> Value<'a> {
    pub(crate) fn as_cow(&self) -> Option<&Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Reads a value that is no text.
    pub(super) fn of_scalar(json: &str) -> Self {
        match json {
            "null" => Self::Absent,
            // A float.
            "-0" => Self::Odd,
            json => json.parse().map_or(Self::Odd, Self::Whole),
        }
    }

    pub(super) fn of_raw(json: &'a str) -> Self {
        match json {
            "null" => Self::Absent,
            json => Self::Raw(json),
        }
    }

    /// The text.
    pub fn as_str(&self) -> Option<&str> {
        self.as_cow().map(|text| &**text)
    }

    /// The JSON that a [`Key::raw`](super::Key::raw) asked for.
    pub fn as_raw(&self) -> Option<&'a str> {
        match self {
            Self::Raw(json) => Some(json),
            _ => None,
        }
    }

    /// Not there, or a text of nothing but blanks.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::Whole(_) | Self::Raw(_) | Self::Odd => false,
        }
    }

    /// Whether both say the same; a number may be written as a string.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let whole = self.as_whole();
        self == other || whole.is_some() && whole == other.as_whole()
    }

    /// The number, also where it was written as a string.
    pub fn as_whole(&self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Absent | Self::Raw(_) | Self::Odd => None,
        }
    }
}
