//! One pass over the body: what feeds the signature and what feeds the event are the same strings.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    InvalidEvent, TaskId,
    value::{Lenient, Value, drain_seq},
};

/// What a body claims, borrowed from it.
#[derive(Debug, Default)]
pub(crate) struct Claims<'a> {
    values: [Value<'a>; Field::COUNT],
    seen: u16,
    id_key_repeated: bool,
    content_key_repeated: bool,
}

impl<'a> Claims<'a> {
    /// Fills what is still empty from a body. In place: there are hundreds of bytes to move.
    pub(crate) fn read(&mut self, body: &'a str) -> Result<(), InvalidEvent> {
        let mut json = serde_json::Deserializer::from_str(body);
        let envelope = Object {
            claims: self,
            level: Level::Top,
        };
        json.deserialize_any(envelope)
            .and_then(|()| json.end())
            .map_err(|_| InvalidEvent::NotJson)?;
        self.check_ids()
    }

    /// The id of the task: [`Claims::read`] made sure that there is exactly one.
    pub(crate) fn task_id(&self) -> &str {
        self.id().map_or("", |id| id)
    }

    fn id(&self) -> Option<&Cow<'a, str>> {
        self.ids().find_map(Value::as_cow)
    }

    pub(super) fn get(&self, field: Field) -> &Value<'a> {
        self.values.get(field as usize).unwrap_or(&Value::Absent)
    }

    pub(super) fn content_key_repeated(&self) -> bool {
        self.content_key_repeated
    }

    fn ids(&self) -> impl Iterator<Item = &Value<'a>> {
        Field::IDS.into_iter().map(|id| self.get(id))
    }

    /// Every id that is there must be the same string: otherwise a signature for one task could
    /// carry an event of another.
    fn check_ids(&self) -> Result<(), InvalidEvent> {
        if self.id_key_repeated {
            return Err(InvalidEvent::RepeatedKey);
        }
        let mut present = self.ids().filter(|id| **id != Value::Absent);
        let first = present.next().ok_or(InvalidEvent::NoTaskId)?;
        if present.any(|id| id != first) {
            return Err(InvalidEvent::TaskIdsDiffer);
        }
        match first.as_str() {
            Some(id) if TaskId::is_valid(id) => Ok(()),
            _ => Err(InvalidEvent::TaskIdOutsideGrammar),
        }
    }

    /// Notes that the key of `field` was there.
    fn see(&mut self, field: Field) {
        let bit = 1 << field as u16;
        match self.seen & bit != 0 {
            true if field.leads_to_an_id() => self.id_key_repeated = true,
            true => self.content_key_repeated = true,
            false => self.seen |= bit,
        }
    }

    fn put(&mut self, field: Field, value: Value<'a>) {
        if let Some(place) = self.values.get_mut(field as usize) {
            *place = value;
        }
    }
}

/// The keys that mean something, each at its own level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    TopTaskId,
    TopTaskIdSnake,
    TaskId,
    TaskIdSnake,
    Data,
    Code,
    Status,
    VoiceId,
    Phrase,
    ErrorCode,
    ErrorMessage,
}

impl Field {
    const COUNT: usize = Self::ErrorMessage as usize + 1;

    const IDS: [Self; 4] = [
        Self::TaskId,
        Self::TaskIdSnake,
        Self::TopTaskId,
        Self::TopTaskIdSnake,
    ];

    fn leads_to_an_id(self) -> bool {
        self == Self::Data || Self::IDS.contains(&self)
    }
}

#[derive(Clone, Copy)]
enum Level {
    Top,
    Data,
}

impl Level {
    fn field(self, key: &str) -> Option<Field> {
        match (self, key) {
            (Self::Top, "taskId") => Some(Field::TopTaskId),
            (Self::Top, "task_id") => Some(Field::TopTaskIdSnake),
            (Self::Top, "data") => Some(Field::Data),
            (Self::Top, "code") => Some(Field::Code),
            (Self::Data, "taskId") => Some(Field::TaskId),
            (Self::Data, "task_id") => Some(Field::TaskIdSnake),
            (Self::Data, "status") => Some(Field::Status),
            (Self::Data, "voiceId") => Some(Field::VoiceId),
            (Self::Data, "validateInfo") => Some(Field::Phrase),
            (Self::Data, "errorCode") => Some(Field::ErrorCode),
            (Self::Data, "errorMessage") => Some(Field::ErrorMessage),
            _ => None,
        }
    }
}

/// Fills the claims from an object at one level.
struct Object<'c, 'a> {
    claims: &'c mut Claims<'a>,
    level: Level,
}

impl<'a> Object<'_, 'a> {
    /// `data` may be null or of an odd type: then an id at the top still makes it an event.
    fn none<E: Error>(self) -> Result<(), E> {
        match self.level {
            Level::Top => Err(E::custom("not an object")),
            Level::Data => Ok(()),
        }
    }
}

impl<'a> DeserializeSeed<'a> for Object<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Object<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Key(self.level))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            self.claims.see(field);
            if field == Field::Data {
                map.next_value_seed(Object {
                    claims: self.claims,
                    level: Level::Data,
                })?;
            } else {
                let value = map.next_value_seed(Lenient)?;
                self.claims.put(field, value);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        drain_seq(seq)?;
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
struct Key(Level);

impl<'a> DeserializeSeed<'a> for Key {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.field(key))
    }
}
