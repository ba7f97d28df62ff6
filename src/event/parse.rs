//! One pass over the body: what feeds the signature and what feeds the event are the same strings.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    InvalidEvent, TaskId,
    repair::repaired,
    value::{Lenient, Value, drain_seq},
};

/// Reads a body; where it is no JSON, once more with its damage mended. `then` gets what it claims,
/// with the text that was read.
pub(crate) fn read<T, E: From<InvalidEvent>>(
    body: &[u8],
    then: impl FnOnce(&Claims<'_>, &str) -> Result<T, E>,
) -> Result<T, E> {
    let mut claims = Claims::default();
    if let Ok(text) = std::str::from_utf8(body)
        && claims.read(text, Level::Top).is_ok()
    {
        return then(&claims, text);
    }
    read_mended(body, then)
}

#[cold]
fn read_mended<T, E: From<InvalidEvent>>(
    body: &[u8],
    then: impl FnOnce(&Claims<'_>, &str) -> Result<T, E>,
) -> Result<T, E> {
    let text = repaired(body).ok_or(InvalidEvent::NotJson)?;
    let mut claims = Claims::of_damaged();
    let read = claims.read(&text, Level::Top);
    read.map_err(|_| InvalidEvent::NotJson)?;
    then(&claims, &text)
}

/// Reads the result of a job; `None` where it is no JSON object, mended or not.
pub(super) fn with_result<T>(result: &str, then: impl FnOnce(Option<&Claims<'_>>) -> T) -> T {
    let mut claims = Claims::default();
    if claims.read(result, Level::Result).is_ok() {
        return then(Some(&claims));
    }
    let text = repaired(result.as_bytes()).unwrap_or_default();
    let mut claims = Claims::of_damaged();
    let is_read = claims.read(&text, Level::Result).is_ok();
    then(Some(&claims).filter(|_| is_read))
}

/// What a body claims, borrowed from it.
#[derive(Debug, Default)]
pub(crate) struct Claims<'a> {
    values: [Value<'a>; Field::COUNT],
    /// Which keys were there, two bits a field: one for each spelling.
    seen: u64,
    id_key_repeated: bool,
    content_key_repeated: bool,
    foreign: Option<&'static str>,
    /// Its replacement characters may stand for anything.
    is_damaged: bool,
}

impl<'a> Claims<'a> {
    fn of_damaged() -> Self {
        Self {
            is_damaged: true,
            ..Self::default()
        }
    }

    /// In place: there are hundreds of bytes to move.
    fn read(&mut self, text: &'a str, level: Level) -> serde_json::Result<()> {
        let mut json = serde_json::Deserializer::from_str(text);
        let envelope = Object {
            claims: self,
            level,
        };
        json.deserialize_any(envelope)?;
        json.end()
    }

    /// The id of the task; empty before [`Claims::check_ids`].
    pub(crate) fn task_id(&self) -> &str {
        self.ids().find_map(Value::as_str).unwrap_or_default()
    }

    pub(super) fn get(&self, field: Field) -> &Value<'a> {
        self.values.get(field as usize).unwrap_or(&Value::Absent)
    }

    pub(super) fn content_key_repeated(&self) -> bool {
        self.content_key_repeated
    }

    /// Whether the damage is in this text: then nobody knows what it was.
    pub(super) fn has_damaged(&self, text: &str) -> bool {
        self.is_damaged && text.contains(char::REPLACEMENT_CHARACTER)
    }

    /// Whether a key is there that only voices have.
    pub(super) fn speaks_of_a_voice(&self) -> bool {
        let bits = Field::VoiceId.bits() | Field::Phrase.bits();
        self.seen & bits != 0
    }

    /// The product whose keys are there.
    pub(super) fn foreign(&self) -> Option<&'static str> {
        let stage = self.get(Field::CallbackType).as_str();
        let stage = stage.map(str::trim).filter(|stage| !stage.is_empty());
        // A job says `task_completed`, whatever it makes.
        let staged = stage.is_some_and(|stage| !stage.eq_ignore_ascii_case("task_completed"));
        self.foreign.or(staged.then_some("music or lyrics"))
    }

    fn ids(&self) -> impl Iterator<Item = &Value<'a>> {
        Field::IDS.into_iter().map(|id| self.get(id))
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

    /// Notes that a key was there. A result may say the same at several levels.
    fn see(&mut self, key: Key, level: Level) {
        let once = matches!(level, Level::Top | Level::Data);
        match key {
            Key::Foreign(product) => self.foreign = self.foreign.or(Some(product)),
            Key::Field(field, spelling) => {
                let bit = field.bit(spelling);
                match self.seen & bit != 0 {
                    true if field.leads_to_an_id() => self.id_key_repeated = true,
                    true => self.content_key_repeated |= once,
                    false => self.seen |= bit,
                }
            }
            Key::Nested | Key::Ignored => {}
        }
    }

    /// Takes a value. Where another spelling, or another level of a result, has it already, both
    /// must say the same.
    fn put(&mut self, field: Field, value: Value<'a>) {
        let Some(place) = self.values.get_mut(field as usize) else {
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

/// What means something, wherever it stands and however it is spelled.
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
    State,
    Result,
    FailCode,
    FailMessage,
    CallbackType,
}

impl Field {
    const COUNT: usize = Self::CallbackType as usize + 1;

    const IDS: [Self; 4] = [
        Self::TaskId,
        Self::TaskIdSnake,
        Self::TopTaskId,
        Self::TopTaskIdSnake,
    ];

    fn leads_to_an_id(self) -> bool {
        self == Self::Data || Self::IDS.contains(&self)
    }

    fn bit(self, spelling: Spelling) -> u64 {
        1 << (2 * self as u64 + spelling as u64)
    }

    fn bits(self) -> u64 {
        self.bit(Spelling::Documented) | self.bit(Spelling::Snake)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    Documented,
    Snake,
}

/// What a key means at its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Field(Field, Spelling),
    /// More of the same level, one object deeper.
    Nested,
    /// Another product's; no voice has it.
    Foreign(&'static str),
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Top,
    Data,
    /// Of a job.
    Result,
    WithinResult,
}

impl Level {
    fn key(self, key: &str) -> Key {
        use Spelling::{Documented, Snake};
        let content = match key {
            "status" => Key::Field(Field::Status, Documented),
            "voiceId" => Key::Field(Field::VoiceId, Documented),
            "voice_id" => Key::Field(Field::VoiceId, Snake),
            "validateInfo" => Key::Field(Field::Phrase, Documented),
            "validate_info" => Key::Field(Field::Phrase, Snake),
            "errorCode" => Key::Field(Field::ErrorCode, Documented),
            "error_code" => Key::Field(Field::ErrorCode, Snake),
            "errorMessage" => Key::Field(Field::ErrorMessage, Documented),
            "error_message" => Key::Field(Field::ErrorMessage, Snake),
            _ => Key::Ignored,
        };
        match self {
            Self::Top => top(key),
            _ if content != Key::Ignored => content,
            Self::Data => data(key),
            Self::Result if matches!(key, "data" | "resultObject") => Key::Nested,
            Self::Result | Self::WithinResult => result(key),
        }
    }
}

fn top(key: &str) -> Key {
    let field = match key {
        "taskId" => Field::TopTaskId,
        "task_id" => Field::TopTaskIdSnake,
        "data" => Field::Data,
        "code" => Field::Code,
        _ => return Key::Ignored,
    };
    Key::Field(field, Spelling::Documented)
}

fn data(key: &str) -> Key {
    let (field, spelling) = match key {
        "taskId" => (Field::TaskId, Spelling::Documented),
        "task_id" => (Field::TaskIdSnake, Spelling::Documented),
        "state" => (Field::State, Spelling::Documented),
        "resultJson" => (Field::Result, Spelling::Documented),
        "result_json" => (Field::Result, Spelling::Snake),
        "failCode" => (Field::FailCode, Spelling::Documented),
        "fail_code" => (Field::FailCode, Spelling::Snake),
        "failMsg" => (Field::FailMessage, Spelling::Documented),
        "fail_msg" => (Field::FailMessage, Spelling::Snake),
        "callbackType" => (Field::CallbackType, Spelling::Documented),
        "callback_type" => (Field::CallbackType, Spelling::Snake),
        _ => return foreign(key).map_or(Key::Ignored, Key::Foreign),
    };
    Key::Field(field, spelling)
}

/// The products that have a key of their own, by their callback pages.
fn foreign(key: &str) -> Option<&'static str> {
    Some(match key {
        "data" => "music or lyrics",
        "audioWavUrl" | "audio_wav_url" => "WAV",
        "vocal_separation_info" | "vocal_removal_info" => "stems",
        "instruments" | "midiData" => "MIDI",
        "images" => "cover image",
        "video_url" | "video_id" | "result_video_url" => "video",
        "info" | "fallbackFlag" | "promptJson" | "resultUrls" => "image or video",
        "response" | "successFlag" | "operationType" => "another product's record",
        _ => return None,
    })
}

fn result(key: &str) -> Key {
    match key {
        "verify_phrase_text" => Key::Field(Field::Phrase, Spelling::Snake),
        "taskId" | "task_id" => Key::Ignored,
        _ => Key::Foreign("job"),
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
            Level::Top | Level::Result => Err(E::custom("not an object")),
            Level::Data | Level::WithinResult => Ok(()),
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
        while let Some(key) = map.next_key_seed(KeyOf(self.level))? {
            self.claims.see(key, self.level);
            let level = match key {
                Key::Field(Field::Data, _) => Level::Data,
                Key::Nested => Level::WithinResult,
                Key::Field(field, _) => {
                    let value = map.next_value_seed(Lenient)?;
                    self.claims.put(field, value);
                    continue;
                }
                Key::Foreign(_) | Key::Ignored => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(Object {
                claims: self.claims,
                level,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        drain_seq(seq)?;
        if self.level == Level::WithinResult {
            self.claims.see(Key::Foreign("job"), self.level);
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
struct KeyOf(Level);

impl<'a> DeserializeSeed<'a> for KeyOf {
    type Value = Key;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeyOf {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.key(key))
    }
}
