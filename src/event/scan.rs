//! One pass over a body: what feeds the signature and what feeds the event are the same strings.
//!
//! The scanner knows where a task's id stands; which other keys mean something says the product.
//! Anybody can send a body, and whoever has no key chooses what is in it. So before the check no
//! value is worth more than a look, and damage is mended only after it.

use super::{
    InvalidEvent, Keys, Level, Scanned,
    grammar::NotJson,
    repair::{repaired, unmarked},
    walk::Walk,
};

/// Reads a body. `check` looks at the ids alone, and what it says is handed on; `then` gets what was
/// found, with the text that was read. A body with damage in it is mended and read once more, and
/// checked as it is then.
pub(crate) fn scan<K: Keys, C, T, E: From<InvalidEvent>>(
    body: &[u8],
    check: impl Fn(&Scanned<'_>) -> Result<C, E>,
    then: impl FnOnce(C, &Scanned<'_>, &str) -> T,
) -> Result<T, E> {
    let body = unmarked(body);
    if let Ok(text) = str::from_utf8(body) {
        let mut scanned = Scanned::default();
        scanned.walk::<K>(text, Level::Top)?;
        let checked = check(&scanned)?;
        if !scanned.needs_mending() {
            return Ok(then(checked, &scanned, text));
        }
    } else {
        check_outline::<K, C, E>(body, &check)?;
    }
    scan_mended::<K, C, T, E>(body, check, then)
}

/// To mend a body that is no text takes more than a look. So its outline is checked before, where
/// each id is as it was written. One that is not ASCII can be read only in what is shown as text.
#[cold]
fn check_outline<K: Keys, C, E: From<InvalidEvent>>(
    body: &[u8],
    check: impl Fn(&Scanned<'_>) -> Result<C, E>,
) -> Result<(), E> {
    const UNREAD: u8 = 0x7f;
    let ascii = |byte: &u8| if byte.is_ascii() { *byte } else { UNREAD };
    let outline = body.iter().map(ascii).collect();
    let outline = String::from_utf8(outline).map_err(|_| InvalidEvent::NotJson)?;
    let mut scanned = Scanned::default();
    scanned.walk::<K>(&outline, Level::Top)?;
    if !scanned.task_id().contains(char::from(UNREAD)) {
        return check(&scanned).map(drop);
    }
    let shown = String::from_utf8_lossy(body);
    let mut scanned = Scanned::of(true);
    scanned.walk::<K>(&shown, Level::Top)?;
    check(&scanned).map(drop)
}

#[cold]
fn scan_mended<K: Keys, C, T, E: From<InvalidEvent>>(
    body: &[u8],
    check: impl Fn(&Scanned<'_>) -> Result<C, E>,
    then: impl FnOnce(C, &Scanned<'_>, &str) -> T,
) -> Result<T, E> {
    let text = repaired(body).ok_or(InvalidEvent::NotJson)?;
    let mut scanned = Scanned::of(true);
    scanned.walk::<K>(&text, Level::Top)?;
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
    fn walk<K: Keys>(&mut self, text: &'a str, level: Level) -> Result<(), InvalidEvent> {
        let walked = Walk::<K>::new(self, text).whole(level);
        walked.map_err(|NotJson| InvalidEvent::NotJson)
    }
}
