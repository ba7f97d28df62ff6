//! Walks the objects that mean something, and skips the rest.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    Key, Keys, Level, Scanned, Value,
    keys::{Field, Role, key_of},
};

/// Fills what was found from an object at one level.
pub(super) struct Object<'c, 'a, K> {
    pub(super) scanned: &'c mut Scanned<'a>,
    pub(super) whole: Whole<'a>,
    pub(super) level: Level,
    pub(super) keys: PhantomData<K>,
}

impl<'a, K: Keys> Object<'_, 'a, K> {
    /// Takes what stands behind a key.
    fn take<A: MapAccess<'a>>(
        &mut self,
        key: Key,
        value: &'a str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key.0 {
            Role::Data => self.descend(Level::Data, value, map),
            Role::Nested => self.descend(Level::WithinResult, value, map),
            Role::Field(field, _) => self.put(field, value, map),
            Role::Raw(field, _) => {
                let raw = map.next_value::<&'a RawValue>()?;
                self.scanned.put(field, Value::of_raw(raw.get()));
                Ok(())
            }
            Role::Foreign(_) | Role::Ignored => skip(map),
        }
    }

    fn put<A: MapAccess<'a>>(
        &mut self,
        field: Field,
        value: &'a str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let read = match value.as_bytes() {
            [] => Value::of_json(map.next_value::<&'a RawValue>()?.get()),
            [b'"', ..] => map.next_value_seed(TextOf(self.whole))?.map(Value::Text),
            [..] => {
                skip(map)?;
                Some(Value::of_scalar(value))
            }
        };
        match read {
            Some(value) => self.scanned.put(field, value),
            None => self.scanned.put_damaged(field),
        }
        Ok(())
    }

    fn descend<A: MapAccess<'a>>(
        &mut self,
        level: Level,
        value: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match value.as_bytes() {
            [] | [b'{' | b'[', ..] => map.next_value_seed(Object::<K> {
                scanned: self.scanned,
                level,
                ..*self
            }),
            [..] => skip(map),
        }
    }

    /// `data` may be null or of an odd type: then an id at the top still makes it an event.
    fn none<E: Error>(self) -> Result<(), E> {
        match self.level {
            Level::Top | Level::Result => Err(E::custom("not an object")),
            Level::Data | Level::WithinResult => Ok(()),
        }
    }
}

impl<'a, K: Keys> DeserializeSeed<'a> for Object<'_, 'a, K> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a, K: Keys> Visitor<'a> for Object<'_, 'a, K> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(found) =
            map.next_key_seed(KeyOf::<K>(self.level, self.whole, PhantomData))?
        {
            let Found { key, plain } = match found {
                Some(found) => found,
                None => self.scanned.damaged_key().into(),
            };
            match key != Key::IGNORED && self.scanned.see(key, self.level) {
                true => self.take(
                    key,
                    plain.map_or("", |key| self.whole.behind(key)),
                    &mut map,
                )?,
                false => skip(&mut map)?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        if self.level == Level::WithinResult {
            // As a key that nobody has.
            self.scanned.see(K::key(self.level, "[]"), self.level);
        }
        self.none()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.none()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.none()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.none()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.none()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.none()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.none()
    }
}

fn skip<'a, A: MapAccess<'a>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// All that is walked.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    text: &'a str,
    /// Without one, no text in it can be damaged, and serde reads short ones quicker.
    has_escapes: bool,
}

impl<'a> Whole<'a> {
    /// `None` where it is no JSON and reading it would not show that.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let has_escapes = has(text, |byte| byte == b'\\');
        let whole = Self { text, has_escapes };
        // Read as bytes, a text could have such a character in it.
        let is_doubtful = has_escapes && has(text, |byte| byte < b' ');
        let is_json = !is_doubtful || serde_json::from_str::<IgnoredAny>(text).is_ok();
        is_json.then_some(whole)
    }

    /// What follows a key, from its value on: serde says what a value is when it has read it, and
    /// then a damaged one has ended the walk.
    fn behind(self, key: &str) -> &'a str {
        let start = self.start_of(key.as_bytes());
        // The quote that ends the key, and a colon.
        let rest = self.text.get(start.saturating_add(key.len() + 2)..);
        let rest = rest.unwrap_or_default();
        match rest.as_bytes() {
            [b':' | b' ' | b'\n' | b'\r' | b'\t', ..] => {
                rest.trim_start_matches([':', ' ', '\n', '\r', '\t'])
            }
            [..] => rest,
        }
    }

    fn part(self, bytes: &[u8]) -> Option<&'a str> {
        let start = self.start_of(bytes);
        self.text.get(start..start.saturating_add(bytes.len()))
    }

    fn start_of(self, part: &[u8]) -> usize {
        part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr())
    }

    /// As bytes, where a text may have half a character in it.
    fn read<D: Deserializer<'a>, V: Visitor<'a>>(
        self,
        deserializer: D,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        match self.has_escapes {
            true => deserializer.deserialize_bytes(visitor),
            false => deserializer.deserialize_str(visitor),
        }
    }
}

/// To the end: without a way out the compiler looks at many bytes at once.
fn has(text: &str, is: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |has, byte| has | is(byte))
}

/// A key that was found.
struct Found<'a> {
    key: Key,
    /// Where it was written without escapes.
    plain: Option<&'a str>,
}

impl From<Key> for Found<'_> {
    fn from(key: Key) -> Self {
        Self { key, plain: None }
    }
}

/// Reads a key without allocating; escapes in it are resolved before it is compared. `None` where
/// half a character is in it.
struct KeyOf<'a, K>(Level, Whole<'a>, PhantomData<K>);

impl<'a, K: Keys> DeserializeSeed<'a> for KeyOf<'a, K> {
    type Value = Option<Found<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.1.read(deserializer, self)
    }
}

impl<'a, K: Keys> Visitor<'a> for KeyOf<'a, K> {
    type Value = Option<Found<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'a str) -> Result<Self::Value, E> {
        Ok(Some(Found {
            key: key_of::<K>(self.0, key),
            plain: Some(key),
        }))
    }

    fn visit_borrowed_bytes<E: Error>(self, key: &'a [u8]) -> Result<Self::Value, E> {
        match self.1.part(key) {
            Some(key) => self.visit_borrowed_str(key),
            None => Ok(None),
        }
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Some(key_of::<K>(self.0, key).into()))
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Self::Value, E> {
        match str::from_utf8(key) {
            Ok(key) => self.visit_str(key),
            Err(_) => Ok(None),
        }
    }
}

/// Reads a text, without allocating where it has no escapes; `None` where half a character is in it.
struct TextOf<'a>(Whole<'a>);

impl<'a> DeserializeSeed<'a> for TextOf<'a> {
    type Value = Option<Cow<'a, str>>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.read(deserializer, self)
    }
}

impl<'a> Visitor<'a> for TextOf<'a> {
    type Value = Option<Cow<'a, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_borrowed_bytes<E: Error>(self, text: &'a [u8]) -> Result<Self::Value, E> {
        Ok(self.0.part(text).map(Cow::Borrowed))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Self::Value, E> {
        let text = str::from_utf8(text).ok();
        Ok(text.map(|text| Cow::Owned(text.to_owned())))
    }
}
