//! One pass over a body: what feeds the signature and what feeds the event are the same strings.
//!
//! The scanner knows where a task's id stands; which other keys mean something says the product.

use std::{fmt, marker::PhantomData};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    InvalidEvent, Key, Keys, Level, Scanned, Value,
    keys::{Role, key_of},
    repair::repaired,
    value::{Lenient, drain_seq},
};

/// Reads a body; where it is no JSON, once more with its damage mended. `then` gets what was found,
/// with the text that was read.
pub(crate) fn scan<K: Keys, T, E: From<InvalidEvent>>(
    body: &[u8],
    then: impl FnOnce(&Scanned<'_>, &str) -> Result<T, E>,
) -> Result<T, E> {
    let mut scanned = Scanned::default();
    if let Ok(text) = std::str::from_utf8(body)
        && scanned.read::<K>(text, Level::Top).is_ok()
    {
        return then(&scanned, text);
    }
    scan_mended::<K, T, E>(body, then)
}

#[cold]
fn scan_mended<K: Keys, T, E: From<InvalidEvent>>(
    body: &[u8],
    then: impl FnOnce(&Scanned<'_>, &str) -> Result<T, E>,
) -> Result<T, E> {
    let text = repaired(body).ok_or(InvalidEvent::NotJson)?;
    let mut scanned = Scanned::of_damaged();
    let read = scanned.read::<K>(&text, Level::Top);
    read.map_err(|_| InvalidEvent::NotJson)?;
    then(&scanned, &text)
}

impl<'a> Scanned<'a> {
    /// Reads the result of a job, a JSON text; `None` where it is no JSON object, mended or not.
    pub(crate) fn of_result<K: Keys, T>(
        result: &str,
        then: impl FnOnce(Option<&Scanned<'_>>) -> T,
    ) -> T {
        let mut scanned = Scanned::default();
        if scanned.read::<K>(result, Level::Result).is_ok() {
            return then(Some(&scanned));
        }
        let text = repaired(result.as_bytes()).unwrap_or_default();
        let mut scanned = Scanned::of_damaged();
        let is_read = scanned.read::<K>(&text, Level::Result).is_ok();
        then(Some(&scanned).filter(|_| is_read))
    }

    /// In place: there are hundreds of bytes to move.
    fn read<K: Keys>(&mut self, text: &'a str, level: Level) -> serde_json::Result<()> {
        let mut json = serde_json::Deserializer::from_str(text);
        let envelope = Object::<K> {
            scanned: self,
            level,
            keys: PhantomData,
        };
        json.deserialize_any(envelope)?;
        json.end()
    }
}

/// Fills what was found from an object at one level.
struct Object<'c, 'a, K> {
    scanned: &'c mut Scanned<'a>,
    level: Level,
    keys: PhantomData<K>,
}

impl<'a, K: Keys> Object<'_, 'a, K> {
    /// `data` may be null or of an odd type: then an id at the top still makes it an event.
    fn none<E: Error>(self) -> Result<(), E> {
        match self.level {
            Level::Top | Level::Result => Err(E::custom("not an object")),
            Level::Data | Level::WithinResult => Ok(()),
        }
    }

    /// Takes what stands behind a key.
    fn take<A: MapAccess<'a>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        let level = match key.0 {
            Role::Data => Level::Data,
            Role::Nested => Level::WithinResult,
            Role::Field(field, _) => {
                let value = map.next_value_seed(Lenient)?;
                self.scanned.put(field, value);
                return Ok(());
            }
            Role::Raw(field, _) => {
                let raw = map.next_value::<&'a RawValue>()?;
                self.scanned.put(field, Value::of_raw(raw.get()));
                return Ok(());
            }
            Role::Foreign(_) | Role::Ignored => {
                map.next_value::<IgnoredAny>()?;
                return Ok(());
            }
        };
        map.next_value_seed(Object::<K> {
            scanned: self.scanned,
            level,
            keys: PhantomData,
        })
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
        while let Some(key) = map.next_key_seed(KeyOf::<K>(self.level, PhantomData))? {
            self.scanned.see(key, self.level);
            self.take(key, &mut map)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        drain_seq(seq)?;
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

/// Reads a key without allocating; escapes in it are resolved before it is compared.
struct KeyOf<K>(Level, PhantomData<K>);

impl<'a, K: Keys> DeserializeSeed<'a> for KeyOf<K> {
    type Value = Key;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<K: Keys> Visitor<'_> for KeyOf<K> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(key_of::<K>(self.0, key))
    }
}
