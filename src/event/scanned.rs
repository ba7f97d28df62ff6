//! What a body says: the values of the keys that mean something.

use super::{
    InvalidEvent, Key, Level, TaskId, Value,
    keys::{Field, Role, Spelling},
    quoted::Quoted,
};

/// What stands for half a character.
const DAMAGE: &str = "\u{fffd}";

/// What a body says, borrowed from it.
#[derive(Debug, Default)]
pub struct Scanned<'a> {
    values: [Value<'a>; Field::COUNT],
    /// Which keys were there, two bits a field: one for each spelling.
    seen: u64,
    /// Which of them were there again.
    repeated: u64,
    id_key_repeated: bool,
    content_key_repeated: bool,
    foreign: Option<&'static str>,
    /// Its replacement characters may stand for anything.
    is_damaged: bool,
    /// As it stands something cannot be read that may mean something.
    needs_mending: bool,
}

impl<'a> Scanned<'a> {
    /// How many fields a product may have.
    pub const FIELDS: u8 = 12;

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

    pub(super) fn of(is_damaged: bool) -> Self {
        Self {
            is_damaged,
            ..Self::default()
        }
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
        let mut present = self.ids();
        let first = present.next().ok_or(InvalidEvent::NoTaskId)?;
        let mut texts = self.ids().filter_map(Value::as_str);
        if self.is_damaged && texts.any(|id| self.has_damaged(id)) {
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
        let values = Field::IDS.iter().map(|id| self.value(*id));
        values.filter(|id| !matches!(id, Value::Absent))
    }

    fn value(&self, field: Field) -> &Value<'a> {
        self.values
            .get(usize::from(field.0))
            .unwrap_or(&Value::Absent)
    }

    /// Notes that a key was there; false where its value changes nothing any more: there can be only
    /// one id, and a third value is no more ambiguous than a second. A result may say the same at
    /// several levels.
    pub(super) fn see(&mut self, key: Key, level: Level) -> bool {
        match key.0 {
            Role::Foreign(product) => {
                self.see_foreign(product);
                true
            }
            Role::Field(field, spelling) | Role::Raw(field, spelling) => {
                self.see_field(field, spelling, level)
            }
            Role::Data => self.see_data(),
            Role::Nested | Role::Ignored => true,
        }
    }

    #[inline(always)]
    pub(super) fn see_data(&mut self) -> bool {
        self.is_new(Field::DATA_BIT) || self.see_again(Field::DATA_BIT, true, true)
    }

    #[inline(always)]
    pub(super) fn see_field(&mut self, field: Field, spelling: Spelling, level: Level) -> bool {
        let bit = field.bit(spelling);
        let once = matches!(level, Level::Top | Level::Data);
        self.is_new(bit) || self.see_again(bit, field.is_id(), once)
    }

    pub(super) fn see_foreign(&mut self, product: &'static str) {
        self.foreign = self.foreign.or(Some(product));
    }

    fn is_new(&mut self, bit: u64) -> bool {
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }

    #[cold]
    fn see_again(&mut self, bit: u64, leads_to_an_id: bool, once: bool) -> bool {
        let was_repeated = self.repeated & bit != 0;
        self.repeated |= bit;
        self.id_key_repeated |= leads_to_an_id;
        self.content_key_repeated |= !leads_to_an_id && once;
        !(leads_to_an_id || once && was_repeated)
    }

    /// Takes a value. Where another spelling, or another level of a result, has it already, both
    /// must say the same.
    #[inline(always)]
    pub(super) fn put(&mut self, field: Field, value: Value<'a>) {
        match self.values.get_mut(usize::from(field.0)) {
            Some(place @ Value::Absent) => *place = value,
            Some(_) => self.put_again(field, value),
            None => {}
        }
    }

    #[cold]
    fn put_again(&mut self, field: Field, value: Value<'a>) {
        if value == Value::Absent {
            return;
        }
        if let Some(place) = self.values.get_mut(usize::from(field.0)) {
            self.content_key_repeated |= !place.is_same(&value);
            *place = value;
        }
    }

    /// Takes a text. One with half a character in it is yet to be mended: for now only that.
    #[inline(always)]
    pub(super) fn put_text(&mut self, field: Field, text: Quoted<'a>) {
        if !text.has_escapes {
            return self.put(field, Value::Text(text.inner.into()));
        }
        self.put_escaped(field, text);
    }

    #[cold]
    fn put_escaped(&mut self, field: Field, text: Quoted<'a>) {
        match text.text() {
            Some(text) => self.put(field, Value::Text(text)),
            None => self.put_damage(field),
        }
    }

    /// Takes a text that is yet to be mended.
    pub(super) fn put_damage(&mut self, field: Field) {
        self.needs_mending = true;
        self.is_damaged = true;
        self.put(field, Value::Text(DAMAGE.into()));
    }

    /// A key with half a character in it: of nobody until it is mended.
    pub(super) fn damaged_key(&mut self) -> Key {
        self.needs_mending = true;
        Key::IGNORED
    }

    /// Whether something is damaged that may mean something.
    pub(super) fn needs_mending(&self) -> bool {
        self.needs_mending
    }
}
