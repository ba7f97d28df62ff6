use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

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

/// Reads any value.
pub(super) struct Lenient;

impl<'a> DeserializeSeed<'a> for Lenient {
    type Value = Value<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Value<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Lenient {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Value<'a>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'a>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value<'a>, E> {
        Ok(Value::Whole(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'a>, E> {
        Ok(i64::try_from(number).map_or(Value::Odd, Value::Whole))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value<'a>, E> {
        Ok(Value::Odd)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Value<'a>, E> {
        Ok(Value::Odd)
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'a>, E> {
        Ok(Value::Absent)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<Value<'a>, A::Error> {
        drain_seq(seq)?;
        Ok(Value::Odd)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Value<'a>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Odd)
    }
}

pub(super) fn drain_seq<'a, A: SeqAccess<'a>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}
