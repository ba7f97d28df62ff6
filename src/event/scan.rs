//! One pass over a body: what feeds the signature and what feeds the event are the same strings.
//!
//! The scanner knows where a task's id stands; which other keys mean something says the product.

use std::{fmt, marker::PhantomData};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    InvalidEvent, TaskId, Value,
    repair::repaired,
    value::{Lenient, drain_seq},
};

/// The keys that mean something to somebody, by their level.
pub(crate) trait Keys {
    /// What a key means at its level. `data` and the ids of the task are the scanner's own and are
    /// never asked for.
    fn key(level: Level, key: &str) -> Key;
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Beside `data`.
    Top,
    /// In `data`.
    Data,
    /// In the JSON text that is the result of a job, where a product reads one.
    Result,
    /// In an object of such a result.
    WithinResult,
}

/// What a key means: a small number of the product's own, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(Role);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// One of the values, read, and in which spelling.
    Field(Field, Spelling),
    /// One of the values, as the text that it was written as.
    Raw(Field, Spelling),
    /// More of the same level, one object deeper.
    Nested,
    /// Another product's.
    Foreign(&'static str),
    Ignored,
    /// The object that most of it stands in.
    Data,
}

impl Key {
    /// It means nothing to this product.
    pub const IGNORED: Self = Self(Role::Ignored);

    /// In the result of a job: an object whose keys mean what they would mean beside it.
    pub const NESTED: Self = Self(Role::Nested);

    /// Field `number` of the product, of at most [`Scanned::FIELDS`]: a text, a whole number, or
    /// something odd.
    pub const fn field(number: u8) -> Self {
        Self(Role::Field(Field::of_product(number), Spelling::Documented))
    }

    /// Field `number`, as the JSON text that it was written as: for arrays and objects that are
    /// read on demand.
    pub const fn raw(number: u8) -> Self {
        Self(Role::Raw(Field::of_product(number), Spelling::Documented))
    }

    /// A key that only the product of this name has. A body with such a key is none of ours.
    pub const fn foreign(product: &'static str) -> Self {
        Self(Role::Foreign(product))
    }

    /// The same field under another spelling: where both are there, both must say the same.
    pub const fn respelled(self) -> Self {
        Self(match self.0 {
            Role::Field(field, _) => Role::Field(field, Spelling::Other),
            Role::Raw(field, _) => Role::Raw(field, Spelling::Other),
            other => other,
        })
    }

    fn of(field: Field) -> Self {
        Self(Role::Field(field, Spelling::Documented))
    }
}

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

/// What a body says, borrowed from it.
#[derive(Debug, Default)]
pub struct Scanned<'a> {
    values: [Value<'a>; Field::COUNT],
    /// Which keys were there, two bits a field: one for each spelling.
    seen: u64,
    id_key_repeated: bool,
    content_key_repeated: bool,
    foreign: Option<&'static str>,
    /// Its replacement characters may stand for anything.
    is_damaged: bool,
}

impl<'a> Scanned<'a> {
    /// How many fields a product may have.
    pub const FIELDS: u8 = 12;

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

    /// A field of the product.
    pub fn get(&self, number: u8) -> &Value<'a> {
        self.value(Field::of_product(number))
    }

    /// A field of the product as a text; empty where it is none.
    pub fn text(&self, number: u8) -> &str {
        self.get(number).as_str().unwrap_or_default()
    }

    /// Whether a key of the field was there, whatever its value.
    pub fn has(&self, number: u8) -> bool {
        let field = Field::of_product(number);
        let bits = field.bit(Spelling::Documented) | field.bit(Spelling::Other);
        self.seen & bits != 0
    }

    /// Whether a key of the product was there twice, or two spellings of one said different
    /// things: then there are two meanings.
    pub fn is_ambiguous(&self) -> bool {
        self.content_key_repeated
    }

    /// Whether half a character is in this text: then nobody knows what it was.
    pub fn has_damaged(&self, text: &str) -> bool {
        self.is_damaged && text.contains(char::REPLACEMENT_CHARACTER)
    }

    /// The product that a key is there of; see [`Key::foreign`].
    pub fn foreign(&self) -> Option<&'static str> {
        self.foreign
    }

    fn of_damaged() -> Self {
        Self {
            is_damaged: true,
            ..Self::default()
        }
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

    /// The id of the task; empty before [`Scanned::check_ids`].
    pub(crate) fn task_id(&self) -> &str {
        self.ids().find_map(Value::as_str).unwrap_or_default()
    }

    /// Every id that is there must be the same string: otherwise a signature for one task could
    /// carry an event of another.
    pub(crate) fn check_ids(&self) -> Result<(), InvalidEvent> {
        if self.id_key_repeated {
            return Err(InvalidEvent::RepeatedKey);
        }
        let mut present = self.ids().filter(|id| **id != Value::Absent);
        let first = present.next().ok_or(InvalidEvent::NoTaskId)?;
        let mut texts = self.ids().filter_map(Value::as_str);
        if texts.any(|id| self.has_damaged(id)) {
            return Err(InvalidEvent::NotJson);
        }
        if present.any(|id| id != first) {
            return Err(InvalidEvent::TaskIdsDiffer);
        }
        match first.as_str() {
            Some(id) if TaskId::is_valid(id) => Ok(()),
            _ => Err(InvalidEvent::TaskIdOutsideGrammar),
        }
    }

    fn ids(&self) -> impl Iterator<Item = &Value<'a>> {
        Field::IDS.into_iter().map(|id| self.value(id))
    }

    fn value(&self, field: Field) -> &Value<'a> {
        self.values
            .get(usize::from(field.0))
            .unwrap_or(&Value::Absent)
    }

    /// Notes that a key was there. A result may say the same at several levels.
    fn see(&mut self, key: Key, level: Level) {
        let once = matches!(level, Level::Top | Level::Data);
        let (bit, leads_to_an_id) = match key.0 {
            Role::Foreign(product) => return self.foreign = self.foreign.or(Some(product)),
            Role::Field(field, spelling) | Role::Raw(field, spelling) => {
                (field.bit(spelling), field.is_id())
            }
            Role::Data => (Field::DATA_BIT, true),
            Role::Nested | Role::Ignored => return,
        };
        match self.seen & bit != 0 {
            true if leads_to_an_id => self.id_key_repeated = true,
            true => self.content_key_repeated |= once,
            false => self.seen |= bit,
        }
    }

    /// Takes a value. Where another spelling, or another level of a result, has it already, both
    /// must say the same.
    fn put(&mut self, field: Field, value: Value<'a>) {
        let Some(place) = self.values.get_mut(usize::from(field.0)) else {
            return;
        };
        if value == Value::Absent {
            return;
        }
        if *place != Value::Absent && !place.is_same(&value) {
            self.content_key_repeated = true;
        }
        *place = value;
    }
}

/// A place among the values: the ids first, then the product's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field(u8);

impl Field {
    const TOP_TASK_ID: Self = Self(0);
    const TOP_TASK_ID_SNAKE: Self = Self(1);
    const TASK_ID: Self = Self(2);
    const TASK_ID_SNAKE: Self = Self(3);

    /// In the order in which they are asked for.
    const IDS: [Self; 4] = [
        Self::TASK_ID,
        Self::TASK_ID_SNAKE,
        Self::TOP_TASK_ID,
        Self::TOP_TASK_ID_SNAKE,
    ];

    const COUNT: usize = 4 + Scanned::FIELDS as usize;

    const DATA_BIT: u64 = 1 << 63;

    /// One beyond the last is no place, and keeps nothing.
    const fn of_product(number: u8) -> Self {
        match number < Scanned::FIELDS {
            true => Self(number + 4),
            false => Self(Scanned::FIELDS + 4),
        }
    }

    fn is_id(self) -> bool {
        self.0 < 4
    }

    fn bit(self, spelling: Spelling) -> u64 {
        1 << (2 * self.0 + spelling as u8)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    Documented,
    Other,
}

/// What the scanner itself looks for, and otherwise the product.
fn key_of<K: Keys>(level: Level, key: &str) -> Key {
    match (level, key) {
        (Level::Top, "data") => Key(Role::Data),
        (Level::Top, "taskId") => Key::of(Field::TOP_TASK_ID),
        (Level::Top, "task_id") => Key::of(Field::TOP_TASK_ID_SNAKE),
        (Level::Data, "taskId") => Key::of(Field::TASK_ID),
        (Level::Data, "task_id") => Key::of(Field::TASK_ID_SNAKE),
        _ => K::key(level, key),
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
