//! One pass over a body: what feeds the signature and what feeds the event are the same strings.
//!
//! The scanner knows where a task's id stands; which other keys mean something says the product.
//! Anybody can send a body, and whoever has no key chooses what is in it. So before the check no
//! value is worth more than a look, and damage is mended only after it.

use std::{borrow::Cow, marker::PhantomData};

use serde::de::{DeserializeSeed, Error};

use super::{
    InvalidEvent, Keys, Level, Scanned,
    object::{Object, Whole},
    repair::{legible, repaired},
};

/// Reads a body. `check` looks at the ids alone, and what it says is handed on; `then` gets what was
/// found, with the text that was read. A body with damage in it is mended and read once more, and
/// checked as it is then.
pub(crate) fn scan<K: Keys, C, T, E: From<InvalidEvent>>(
    body: &[u8],
    check: impl Fn(&Scanned<'_>) -> Result<C, E>,
    then: impl FnOnce(C, &Scanned<'_>, &str) -> T,
) -> Result<T, E> {
    let text = legible(body);
    let is_damaged = matches!(text, Cow::Owned(_));
    let mut scanned = Scanned::of(is_damaged);
    let read = scanned.walk::<K>(&text, Level::Top);
    read.map_err(|_| InvalidEvent::NotJson)?;
    let checked = check(&scanned)?;
    match scanned.needs_mending() {
        false => Ok(then(checked, &scanned, &text)),
        true => scan_mended::<K, C, T, E>(&text, check, then),
    }
}

#[cold]
fn scan_mended<K: Keys, C, T, E: From<InvalidEvent>>(
    text: &str,
    check: impl Fn(&Scanned<'_>) -> Result<C, E>,
    then: impl FnOnce(C, &Scanned<'_>, &str) -> T,
) -> Result<T, E> {
    let text = repaired(text.as_bytes()).ok_or(InvalidEvent::NotJson)?;
    let mut scanned = Scanned::of(true);
    let read = scanned.walk::<K>(&text, Level::Top);
    read.map_err(|_| InvalidEvent::NotJson)?;
    Ok(then(check(&scanned)?, &scanned, &text))
}

impl<'a> Scanned<'a> {
    /// Reads the result of a job, a JSON text; `None` where it is no JSON object, mended or not.
    pub(crate) fn of_result<K: Keys, T>(
        result: &str,
        then: impl FnOnce(Option<&Scanned<'_>>) -> T,
    ) -> T {
        let mut scanned = Scanned::default();
        let read = scanned.walk::<K>(result, Level::Result);
        if read.is_ok() && !scanned.needs_mending() {
            return then(Some(&scanned));
        }
        let text = repaired(result.as_bytes()).unwrap_or_default();
        let mut scanned = Scanned::of(true);
        let read = scanned.walk::<K>(&text, Level::Result);
        then(Some(&scanned).filter(|_| read.is_ok()))
    }

    /// In place: there are hundreds of bytes to move.
    fn walk<K: Keys>(&mut self, text: &'a str, level: Level) -> serde_json::Result<()> {
        let mut json = serde_json::Deserializer::from_str(text);
        let whole = Whole::of(text).ok_or_else(|| serde_json::Error::custom("not JSON"))?;
        let envelope = Object::<K> {
            scanned: self,
            whole,
            level,
            keys: PhantomData,
        };
        envelope.deserialize(&mut json)?;
        json.end()
    }
}
