//! Which keys of a body mean something, and where each value is kept.

use super::Scanned;

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
    /// In the JSON text that is the result of a job. Of the products of this crate alone.
    Result,
    /// In an object of such a result.
    WithinResult,
}

/// What a key means: a small number of the product's own, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub(super) Role);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
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

/// A place among the values: the ids first, then the product's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field(pub(super) u8);

impl Field {
    const TOP_TASK_ID: Self = Self(0);
    const TOP_TASK_ID_SNAKE: Self = Self(1);
    const TASK_ID: Self = Self(2);
    const TASK_ID_SNAKE: Self = Self(3);

    /// In the order in which they are asked for.
    pub(super) const IDS: [Self; 4] = [
        Self::TASK_ID,
        Self::TASK_ID_SNAKE,
        Self::TOP_TASK_ID,
        Self::TOP_TASK_ID_SNAKE,
    ];

    pub(super) const COUNT: usize = 4 + Scanned::FIELDS as usize;

    pub(super) const DATA_BIT: u64 = 1 << 63;

    /// One beyond the last is no place, and keeps nothing.
    pub(super) const fn of_product(number: u8) -> Self {
        match number < Scanned::FIELDS {
            true => Self(number + 4),
            false => Self(Scanned::FIELDS + 4),
        }
    }

    pub(super) fn is_id(self) -> bool {
        self.0 < 4
    }

    pub(super) fn bit(self, spelling: Spelling) -> u64 {
        1 << (2 * self.0 + spelling as u8)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    Documented,
    Other,
}

/// What the scanner itself looks for, and otherwise the product.
#[inline(always)]
pub(super) fn key_of<K: Keys>(level: Level, key: &str) -> Key {
    match (level, key) {
        (Level::Top, "data") => Key(Role::Data),
        (Level::Top, "taskId") => Key::of(Field::TOP_TASK_ID),
        (Level::Top, "task_id") => Key::of(Field::TOP_TASK_ID_SNAKE),
        (Level::Data, "taskId") => Key::of(Field::TASK_ID),
        (Level::Data, "task_id") => Key::of(Field::TASK_ID_SNAKE),
        _ => K::key(level, key),
    }
}
